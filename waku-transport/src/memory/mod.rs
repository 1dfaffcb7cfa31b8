//! A Waku network inside the process.
//!
//! A [`Network`] is one ideal relay with a Store, to which every [`MemoryTransport`] is connected.
//! Delivery happens inside `publish`, in order, without tasks or timers, so a test that drives its
//! endpoints in a fixed order sees the same run each time. Everything that goes wrong in real
//! networks can be switched on: [`Faults`] (loss, duplicates, reordering, from a seed), partitions,
//! endpoints that are offline, a Store that is absent or answers nonsense ([`StoreBehaviour`]).
//! [`Network::observe`] shows what an outsider at the relay would see.

mod faults;
mod network;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use faults::Faults;
pub use network::{EndpointId, Network, NetworkOptions, Observed};
pub use store::StoreBehaviour;

use crate::hub::Hub;
use crate::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, MessageHash, PublishError,
    Status, Transport, TransportError,
};

/// One endpoint of a [`Network`]. Dropping it is as good as shutting it down.
pub struct MemoryTransport {
    id: EndpointId,
    network: Network,
    hub: Arc<Hub>,
    history_timeout: Duration,
}

impl MemoryTransport {
    /// The endpoint's name within the network, for its hooks.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    fn close(&self) {
        if self.hub.close() {
            self.network.leave(self.id);
        }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        self.network.publish(self.id, &self.hub, message)
    }

    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.watch(topics)
    }

    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.unwatch(&topics)
    }

    fn events(&self) -> EventStream {
        self.hub.subscribe()
    }

    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        if let Some(page) = self.hub.answer_without_asking(&query)? {
            return Ok(page);
        }
        let Some(page) = self.network.query(self.id, &query)? else {
            // The Store keeps silent. So does this, for as long as a real connection would.
            tokio::select! {
                () = tokio::time::sleep(self.history_timeout) => {}
                () = self.hub.closed() => return Err(HistoryError::Closed),
            }
            return Err(HistoryError::Timeout);
        };
        query.check_answer(&page, 0)?;
        Ok(page)
    }

    async fn status(&self) -> Status {
        let connected_peers = self.hub.peers();
        Status {
            connected_peers,
            can_publish: connected_peers > 0,
            store_available: self.network.has_store(self.id),
            recent_timestamps: self.hub.recent_timestamps(),
            ..Status::default()
        }
    }

    async fn shutdown(&self) {
        self.close();
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.close();
    }
}
