//! One endpoint of a memory network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::relay::{EndpointId, Relay};
use super::witness::RelayStore;
use crate::confirm::{Confirmer, Verdict};
use crate::error::{HistoryError, PublishError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::message::Message;
use crate::sent::Sent;
use crate::status::Status;
use crate::sync::lock;
use crate::transport::Transport;

/// One endpoint of a [`Network`](super::Network). Dropping it is as good as shutting it down.
pub struct MemoryTransport {
    pub(super) id: EndpointId,
    pub(super) relay: Arc<Mutex<Relay>>,
    pub(super) hub: Arc<Hub>,
    pub(super) confirmer: Arc<Confirmer<RelayStore>>,
    pub(super) history_timeout: Duration,
}

impl MemoryTransport {
    /// The endpoint's id, by which the network's hooks know it.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    fn close(&self) {
        if self.hub.close() {
            lock(&self.relay).remove(self.id);
        }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        let timestamp_ns = message.timestamp_ns;
        let hash = lock(&self.relay).publish(self.id, message)?;
        let (confirmer, hub) = (Arc::clone(&self.confirmer), Arc::clone(&self.hub));
        Ok(Sent::new(hash, async move {
            tokio::select! {
                biased;
                verdict = confirmer.verdict(hash, timestamp_ns) => match verdict {
                    // Without a Store: the relay has taken it, and it loses nothing.
                    Verdict::Stored | Verdict::Unknown => Ok(()),
                    Verdict::Missing => Err(PublishError::Unconfirmed),
                },
                () = hub.closed() => Err(PublishError::Closed),
            }
        }))
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
        let answer = lock(&self.relay).query(self.id, &query)?;
        let Some(page) = answer else {
            // The Store is silent. Wait as long as a real connection would.
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
            store_available: lock(&self.relay).reaches_store(self.id),
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
