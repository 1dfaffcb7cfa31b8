//! `whoami`.

use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::{text, time};

/// Runs `whoami`.
pub(crate) async fn run(global: &Global, out: Out) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let shown = show(&session).await;
    session.finish(shown).await
}

async fn show(session: &Session) -> Result<(), CliError> {
    let identity = session.client.identity().await?;
    session.out.result(&identity, || {
        let caught_up = identity.caught_up_to.map_or("never".to_owned(), time::date_time);
        format!(
            "Account      {}\nInstallation {}\nNetwork      {}\nHome         {}\n\
             Caught up    {caught_up}\nTo be sent   {}",
            identity.account,
            identity.installation,
            text::line(&identity.network),
            session.home.path().display(),
            identity.outbox,
        )
    })
}
