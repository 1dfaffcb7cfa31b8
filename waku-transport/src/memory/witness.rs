//! The Store of a memory network, which shows whether a message has arrived.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::relay::{EndpointId, Relay};
use crate::confirm::{HashPage, Witnesses};
use crate::error::HistoryError;
use crate::history::HistoryQuery;
use crate::message::MessageHash;
use crate::sync::lock;

/// The Store, as one endpoint reaches it.
pub(super) struct RelayStore {
    pub(super) id: EndpointId,
    pub(super) relay: Arc<Mutex<Relay>>,
}

#[async_trait]
impl Witnesses for RelayStore {
    type Store = ();

    async fn stores(&self) -> Vec<(String, ())> {
        let there = lock(&self.relay).reaches_store(self.id);
        there.then(|| ("the Store".to_owned(), ())).into_iter().collect()
    }

    async fn page(
        &self,
        (): &(),
        (start, end): (i64, i64),
        cursor: Option<MessageHash>,
    ) -> Result<HashPage, HistoryError> {
        let (start_ns, end_ns) = (Some(start), Some(end));
        let query = HistoryQuery { start_ns, end_ns, cursor, ..HistoryQuery::default() };
        let answer = lock(&self.relay).query(self.id, &query)?;
        // A silent Store is given up by whoever waits for it.
        let page = match answer {
            Some(page) => page,
            None => std::future::pending().await,
        };
        query.check_answer(&page, 0)?;
        Ok(HashPage {
            hashes: page.messages.iter().map(|message| message.hash).collect(),
            cursor: page.cursor,
        })
    }
}
