//! The Stores of connected peers: history, and which messages they have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use waku_sys::{CallError, MAX_PAGE, StoreAnswer, StoreQuery};

use super::message::received;
use super::node::{CurrentNode, StaticPeer};
use crate::confirm::{HashPage, Witnesses};
use crate::error::HistoryError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::MessageHash;
use crate::sync::lock;

/// The version of the Store protocol that the library speaks.
const STORE_PROTOCOL: &str = "/vac/waku/store-query/3.0.0";

/// Most Stores that are asked for one page, one after another.
const MAX_STORES_ASKED: usize = 5;

/// Numbers the queries of this process, to recognise the answer to another query.
static QUERIES: AtomicU64 = AtomicU64::new(1);

/// A connected peer that offers Store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) id: String,
    address: String,
}

/// The Stores of the peers that a node is connected to.
pub(super) struct Stores {
    node: Arc<CurrentNode>,
    peers: Arc<[StaticPeer]>,
    pubsub_topic: String,
    /// How long a Store may take to answer.
    patience: Duration,
    /// The Store that answered last. Staying with one tells fewer strangers what is asked for.
    preferred: Mutex<Option<String>>,
}

impl Stores {
    pub(super) fn new(
        node: Arc<CurrentNode>,
        peers: Arc<[StaticPeer]>,
        pubsub_topic: String,
        patience: Duration,
    ) -> Self {
        Self { node, peers, pubsub_topic, patience, preferred: Mutex::new(None) }
    }

    /// The Stores to ask, in this order: the one that answered last, then the others by id.
    pub(super) async fn connected(&self) -> Result<Vec<Store>, CallError> {
        let peers = self.node.get().peers().await?;
        let preferred = lock(&self.preferred).clone();
        let mut stores: Vec<_> = (peers.into_iter())
            .filter(|(_, info)| info.protocols.iter().any(|p| p == STORE_PROTOCOL))
            .filter_map(|(id, info)| {
                let address = match self.peers.iter().find(|p| p.id == id) {
                    Some(peer) => peer.address.clone(),
                    // Only the id matters: there is a connection already.
                    None => match info.addresses.into_iter().next() {
                        Some(address) if address.contains("/p2p/") => address,
                        Some(address) => format!("{address}/p2p/{id}"),
                        None => return None,
                    },
                };
                Some(Store { id, address })
            })
            .collect();
        stores.sort_by(|a, b| {
            let other = |store: &Store| Some(&store.id) != preferred.as_ref();
            (other(a), &a.id).cmp(&(other(b), &b.id))
        });
        stores.truncate(MAX_STORES_ASKED);
        Ok(stores)
    }

    /// A page of history, from the first Store that gives one.
    pub(super) async fn fetch(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError> {
        let stores = timeout(self.patience, self.connected()).await;
        let stores = stores.map_err(|_| HistoryError::Timeout)?.map_err(history_error)?;
        let mut failure = HistoryError::NoStore;
        for store in stores {
            match self.fetch_from(&store, query).await {
                Ok(page) => {
                    *lock(&self.preferred) = Some(store.id);
                    return Ok(page);
                }
                Err(error) => {
                    tracing::debug!(store = store.id, %error, "this Store gave no history");
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
        store: &Store,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let store_query = StoreQuery {
            include_data: true,
            content_topics: query.content_topics.clone(),
            time_start: query.start_ns,
            time_end: query.end_ns,
            pagination_cursor: query.cursor.map(|hash| hash.0),
            pagination_limit: Some(query.limit.into()),
            ..self.query()
        };
        let answer = self.ask(store, &store_query).await?;
        let sent = answer.messages.len();
        let messages: Vec<_> = (answer.messages.into_iter())
            .filter(|m| m.pubsub_topic.as_ref().is_none_or(|t| *t == self.pubsub_topic))
            .filter_map(|m| Some((m.message_hash, received(&self.pubsub_topic, m.message?))))
            .filter(|(hash, message)| message.hash.0 == *hash)
            .map(|(_, message)| message)
            .collect();
        let left_out = sent - messages.len();
        if left_out > 0 {
            tracing::warn!(store = store.id, left_out, "left invalid messages out of history");
        }
        let page = HistoryPage { messages, cursor: answer.pagination_cursor.map(MessageHash) };
        query.check_answer(&page, left_out)?;
        Ok(page)
    }

    /// What all queries have in common: hashes on the shard, as many as fit in a page.
    fn query(&self) -> StoreQuery {
        StoreQuery {
            pagination_forward: true,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            pagination_limit: Some(MAX_PAGE.into()),
            ..StoreQuery::default()
        }
    }

    async fn ask(&self, store: &Store, query: &StoreQuery) -> Result<StoreAnswer, HistoryError> {
        let request_id = format!("{:016x}", QUERIES.fetch_add(1, Ordering::Relaxed));
        let query = StoreQuery { request_id, ..query.clone() };
        let node = self.node.get();
        let answer = node.store_query(&store.address, &query);
        let answer = timeout(self.patience, answer)
            .await
            .map_err(|_| HistoryError::Timeout)?
            .map_err(history_error)?;
        if answer.status_code != 200 {
            return Err(HistoryError::refused(answer.status_code, &answer.status_desc));
        }
        if answer.request_id != query.request_id {
            return Err(HistoryError::Malformed("an answer to another query"));
        }
        if answer.messages.len() as u64 > query.pagination_limit.unwrap_or_default() {
            return Err(HistoryError::Malformed("more messages than asked for"));
        }
        Ok(answer)
    }
}

#[async_trait]
impl Witnesses for Arc<Stores> {
    type Store = Store;

    async fn stores(&self) -> Vec<(String, Store)> {
        let connected = self.connected().await.unwrap_or_default();
        connected.into_iter().map(|store| (store.id.clone(), store)).collect()
    }

    async fn page(
        &self,
        store: &Store,
        (start, end): (i64, i64),
        cursor: Option<MessageHash>,
    ) -> Result<HashPage, HistoryError> {
        let query = StoreQuery {
            time_start: Some(start),
            time_end: Some(end),
            pagination_cursor: cursor.map(|hash| hash.0),
            ..self.query()
        };
        let answer = self.ask(store, &query).await?;
        Ok(HashPage {
            hashes: answer.messages.iter().map(|m| MessageHash(m.message_hash)).collect(),
            cursor: answer.pagination_cursor.map(MessageHash),
        })
    }
}

/// Reads an error out of the library's text, which has the names of some statuses but no numbers.
fn history_error(error: CallError) -> HistoryError {
    let text = match error {
        CallError::Invalid(what) => return HistoryError::Invalid(what),
        CallError::Timeout => return HistoryError::Timeout,
        CallError::Destroyed => return HistoryError::Closed,
        CallError::Malformed(what) => return HistoryError::Malformed(what),
        CallError::Failed(text) => text,
    };
    const MARK: &str = "failed store query: ";
    const LATE: &str = "did not answer in time";
    let Some(reason) = text.split_once(MARK).map(|(_, reason)| reason) else {
        // A library that keeps to the time-out of a query says so, without the mark.
        let late = text.ends_with(LATE);
        return if late { HistoryError::Timeout } else { HistoryError::Failed(text) };
    };
    let (name, cause) = reason.split_once(": ").unwrap_or((reason, ""));
    match name.trim() {
        "BAD_REQUEST" => HistoryError::refused(400, cause),
        "TOO_MANY_REQUESTS" => HistoryError::refused(429, cause),
        "SERVICE_UNAVAILABLE" => HistoryError::refused(503, cause),
        // Not from the Store: the library could not read the answer.
        "BAD_RESPONSE" => HistoryError::Malformed("an answer that cannot be read"),
        "PEER_DIAL_FAILURE" => HistoryError::Failed("the Store was not reached".to_owned()),
        // Any other status; the library does not say which.
        "UNKNOWN" => HistoryError::refused(500, "a status that libwaku does not report"),
        _ => HistoryError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_out_of_the_librarys_text() {
        let read = |reason: &str| {
            let text = format!("libwaku error: StoreRequest failed store query: {reason}");
            history_error(CallError::Failed(text))
        };
        let refused = |status, text: &str| HistoryError::refused(status, text);
        assert_eq!(read("BAD_REQUEST: bad: cursor"), refused(400, "bad: cursor"));
        assert_eq!(read("TOO_MANY_REQUESTS"), refused(429, ""));
        assert_eq!(read("SERVICE_UNAVAILABLE"), refused(503, ""));
        assert!(matches!(read("UNKNOWN"), HistoryError::Refused { status: 500, .. }));
        assert!(matches!(read("BAD_RESPONSE: decode"), HistoryError::Malformed(_)));
        assert!(matches!(read("PEER_DIAL_FAILURE: 16U"), HistoryError::Failed(_)));
        assert!(matches!(read("NEWS"), HistoryError::Failed(_)));
        let late = "libwaku error: StoreRequest failed: the Store did not answer in time";
        assert_eq!(history_error(CallError::Failed(late.to_owned())), HistoryError::Timeout);
        let other = history_error(CallError::Failed("something".to_owned()));
        assert_eq!(other, HistoryError::Failed("something".to_owned()));
    }
}
