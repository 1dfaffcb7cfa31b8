//! What a backend provides so that Stores can be asked.

use async_trait::async_trait;

use crate::error::HistoryError;
use crate::message::MessageHash;

/// The connected Stores that are not this process.
#[async_trait]
pub(crate) trait Witnesses: Send + Sync + 'static {
    /// One of them.
    type Store: Send + Sync;

    /// All of them, each with its id.
    async fn stores(&self) -> Vec<(String, Self::Store)>;

    /// A page of the hashes that a Store has from a range of time, both ends included.
    async fn page(
        &self,
        store: &Self::Store,
        range: (i64, i64),
        cursor: Option<MessageHash>,
    ) -> Result<HashPage, HistoryError>;
}

/// A page of hashes.
#[derive(Debug, Default)]
pub(crate) struct HashPage {
    pub(crate) hashes: Vec<MessageHash>,
    /// For the next page; `None` on the last one.
    pub(crate) cursor: Option<MessageHash>,
}
