//! `send`.

use serde_json::json;

use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Outcome, Session};
use crate::{find, input};

/// How much text is read from standard input, in bytes. The limit of a message may be lower.
const MAX_INPUT: u64 = 1024 * 1024;

/// The arguments of `send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// Id, name, or end of the id of the group
    group: String,
    /// The text; `-` reads it from standard input
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
}

/// Runs `send`.
pub(crate) async fn run(global: &Global, out: Out, args: Send) -> Result<(), CliError> {
    let text = if args.text == ["-"] {
        input::read_all(MAX_INPUT).await?.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.text.join(" ")
    };
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let sent = send(&session, &args.group, text).await;
    session.finish(sent).await
}

async fn send(session: &Session, group: &str, text: String) -> Result<(), CliError> {
    let group = find::group(&session.client, group).await?.id;
    let message = session.client.send(group, text).await?;
    let outcome = session.published().await?;
    let published = outcome == Outcome::Published;
    let result = json!({
        "group": group,
        "message": message,
        "state": outcome,
        "published": published,
    });
    session.out.result(&result, || {
        let state = match outcome {
            Outcome::Published => "Published",
            Outcome::Sent => "Sent, not confirmed yet:",
            Outcome::Stored => "Stored, to be sent when online:",
        };
        format!("{state} {message}")
    })
}
