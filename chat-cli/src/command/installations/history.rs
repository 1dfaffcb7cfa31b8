//! History transfer: old messages for an installation that was added later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use waku_chat::Timestamp;

use super::progress::{Pace, settle};
use crate::error::CliError;
use crate::find;
use crate::session::Session;
use crate::show::installation as show;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs `installations transfer-history`.
pub(super) async fn transfer(session: &Session, wanted: &str, days: u32) -> Result<(), CliError> {
    let client = &session.client;
    let id = find::installation(client, wanted).await?.installation;
    client.transfer_history(id, days_ago(days)).await?;
    let views = client.installations().await?;
    settle(session, &[id], true, Pace { now: false, no_wait: false }).await?;
    session.out.result(&json!({"history_transferred_to": id}), || {
        format!("The history was transferred to {}.", show::name(&id, &views))
    })
}

/// The moment this many days ago.
pub(super) fn days_ago(days: u32) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_secs(now.unwrap_or_default().as_secs()) - DAY.saturating_mul(days)
}
