//! The Stores of peers, which show whether a message has arrived. The node's own archive does not.

use async_trait::async_trait;
use waku_node::{Node, PeerId, StoreQuery};

use super::convert::history_error;
use crate::confirm::{HashPage, Witnesses};
use crate::error::HistoryError;
use crate::history::MAX_HISTORY_LIMIT;
use crate::message::MessageHash;

/// The Stores of connected peers.
pub(super) struct PeerStores {
    pub(super) node: Node,
    pub(super) pubsub_topic: String,
}

#[async_trait]
impl Witnesses for PeerStores {
    type Store = PeerId;

    async fn stores(&self) -> Vec<(String, PeerId)> {
        let peers = self.node.peers().into_iter().filter(|peer| peer.store);
        peers.map(|peer| (peer.peer_id.to_string(), peer.peer_id)).collect()
    }

    async fn page(
        &self,
        store: &PeerId,
        (start, end): (i64, i64),
        cursor: Option<MessageHash>,
    ) -> Result<HashPage, HistoryError> {
        let question = StoreQuery {
            include_data: false,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            time_start: Some(start),
            time_end: Some(end),
            cursor: cursor.map(|hash| waku_node::MessageHash(hash.0)),
            limit: Some(MAX_HISTORY_LIMIT.into()),
            ..StoreQuery::default()
        };
        let page = self.node.store_query(Some(*store), question).await.map_err(history_error)?;
        Ok(HashPage {
            hashes: page.messages.iter().map(|message| MessageHash(message.hash.0)).collect(),
            cursor: page.cursor.map(|hash| MessageHash(hash.0)),
        })
    }
}
