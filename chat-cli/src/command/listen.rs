//! `listen`.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::Client;

use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::event::event as show_event;
use crate::show::names::Names;
use crate::signals::stop_requested;

/// The arguments of `listen`.
#[derive(Debug, clap::Args)]
pub(crate) struct Listen {
    /// Begin after the event with this cursor, not with the first event that was never shown
    #[arg(long, value_name = "CURSOR")]
    after: Option<u64>,
    /// Keep the events, so that they are shown again the next time
    #[arg(long)]
    keep: bool,
    /// Stop after this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Runs `listen`, until a signal comes or all the events that were asked for were shown.
pub(crate) async fn run(global: &Global, out: Out, args: Listen) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Eventually).await?;
    let listened = tokio::select! {
        listened = listen(&session.client, out, args) => listened,
        stopped = stop_requested() => stopped,
    };
    session.finish(listened).await
}

async fn listen(client: &Client, out: Out, args: Listen) -> Result<(), CliError> {
    let mut names = Names::load(client).await?;
    let mut events = client.events(args.after.unwrap_or(0));
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some((cursor, event)) = events.try_next().await? else { break };
        if names.may_have_changed(&event) {
            names = Names::load(client).await?;
        }
        out.result(&json!({"cursor": cursor, "event": event}), || show_event(&event, &names))?;
        // Only now: an event that was not shown must not be acknowledged.
        if !args.keep {
            client.acknowledge(cursor).await?;
        }
        left -= 1;
    }
    Ok(())
}
