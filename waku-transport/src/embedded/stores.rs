//! The Stores that history comes from.

use std::sync::Mutex;
use std::time::Duration;

use waku_node::{Node, PeerId, StoreQuery};

use super::convert::{history_error, received};
use crate::error::HistoryError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::MessageHash;
use crate::sync::lock;

/// Most Stores that are asked for one page, one after another.
const MAX_STORES_ASKED: usize = 5;

/// The Stores of connected peers, and the node's own archive.
pub(super) struct Stores {
    node: Node,
    pubsub_topic: String,
    /// How long one Store may take to answer.
    patience: Duration,
    /// The Store that answered last. Staying with one tells fewer strangers what is asked for.
    preferred: Mutex<Option<PeerId>>,
}

impl Stores {
    pub(super) fn new(node: Node, pubsub_topic: String, patience: Duration) -> Self {
        Self { node, pubsub_topic, patience, preferred: Mutex::new(None) }
    }

    /// Whether there is a Store to ask.
    pub(super) fn any(&self) -> bool {
        !self.list().is_empty()
    }

    /// The Stores to ask for history, in this order: the one that answered last, the other peers, and
    /// the node's own archive if there is one (last, since it lacks what was published while the node
    /// was offline).
    fn list(&self) -> Vec<PeerId> {
        let peers = self.node.peers();
        let mut stores: Vec<_> = (peers.iter().filter(|p| p.store)).map(|p| p.peer_id).collect();
        if let Some(preferred) = *lock(&self.preferred)
            && let Some(index) = stores.iter().position(|s| *s == preferred)
        {
            stores[..=index].rotate_right(1);
        }
        stores.truncate(MAX_STORES_ASKED);
        if self.node.status().archive.is_some() {
            stores.push(self.node.peer_id());
        }
        stores
    }

    /// A page of history, from the first Store that gives one.
    pub(super) async fn fetch(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError> {
        let mut failure = HistoryError::NoStore;
        for store in self.list() {
            match self.fetch_from(store, query).await {
                Ok(page) => {
                    *lock(&self.preferred) = Some(store);
                    return Ok(page);
                }
                Err(error) => {
                    tracing::debug!(%store, %error, "this Store gave no history");
                    // A failure that may pass outweighs one that will not, and any answer none.
                    if failure == HistoryError::NoStore || !failure.is_retryable() {
                        failure = error;
                    }
                }
            }
        }
        Err(failure)
    }

    async fn fetch_from(
        &self,
        store: PeerId,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let question = StoreQuery {
            include_data: true,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            content_topics: query.content_topics.clone(),
            time_start: query.start_ns,
            time_end: query.end_ns,
            hashes: Vec::new(),
            cursor: query.cursor.map(|hash| waku_node::MessageHash(hash.0)),
            forward: true,
            limit: Some(query.limit.into()),
        };
        let answer = self.node.store_query(Some(store), question);
        let answer = tokio::time::timeout(self.patience, answer)
            .await
            .map_err(|_| HistoryError::Timeout)?
            .map_err(history_error)?;
        if answer.dropped > 0 {
            tracing::warn!(%store, dropped = answer.dropped, "left invalid messages out of history");
        }
        let messages = (answer.messages.into_iter())
            .filter_map(|m| Some((m.hash, m.message?)))
            .map(|(hash, message)| received(hash, message))
            .collect();
        let page = HistoryPage { messages, cursor: answer.cursor.map(|hash| MessageHash(hash.0)) };
        query.check_answer(&page, answer.dropped)?;
        Ok(page)
    }
}
