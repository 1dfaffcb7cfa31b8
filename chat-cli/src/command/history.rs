//! `history`.

use serde_json::json;

use super::mark_read::mark_read;
use crate::error::CliError;
use crate::find;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::message;
use crate::show::names::Names;

/// The arguments of `history`.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Id, name, or end of the id of the group
    group: String,
    /// How many messages to show, the newest ones
    #[arg(long, short = 'n', default_value = "50", value_name = "N")]
    limit: u32,
    /// Show only messages before the one with this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Mark the group as read, for the account's other installations
    #[arg(long)]
    mark_read: bool,
}

/// Runs `history`.
pub(crate) async fn run(global: &Global, out: Out, args: History) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let shown = show(&session, &args).await;
    session.finish(shown).await
}

async fn show(session: &Session, args: &History) -> Result<(), CliError> {
    let client = &session.client;
    let group = find::group(client, &args.group).await?.id;
    let messages = client.history(group, args.before, args.limit).await?;
    let missing = client.missing(group).await?;
    let names = Names::load(client).await?;
    session.out.result(&json!({"messages": messages, "missing": missing}), || {
        let messages = messages.iter().map(|it| message::message(it, &names));
        let missing = missing.iter().map(|it| message::missing(it, &names));
        messages.chain(missing).collect::<Vec<_>>().join("\n")
    })?;
    if args.mark_read && mark_read(client, group).await?.is_some() {
        session.published().await?;
    }
    Ok(())
}
