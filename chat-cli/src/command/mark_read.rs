//! Marking a group as read.

use waku_chat::{Client, GroupId, MessageId};

use crate::error::CliError;

/// Marks a group as read up to its newest message, which is returned if there is one.
pub(crate) async fn mark_read(
    client: &Client,
    group: GroupId,
) -> Result<Option<MessageId>, CliError> {
    let newest = client.history(group, None, 1).await?.pop().map(|message| message.message);
    if let Some(message) = newest {
        client.mark_read(group, message).await?;
    }
    Ok(newest)
}
