//! History from the Stores of connected peers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;
use waku_sys::{CallError, MAX_PAGE, StoreAnswer, StoreQuery};

use super::Slot;
use super::confirm::Found;
use super::keeper::StaticPeer;
use crate::hub::lock;
use crate::{HistoryError, HistoryPage, HistoryQuery, Inbound, MessageHash};

/// Store as this asks it.
const STORE_PROTOCOL: &str = "/vac/waku/store-query/3.0.0";

/// Most Stores that are asked for one page, one after another.
const MAX_STORES_ASKED: usize = 5;

/// Numbers the questions of this process, to tell an answer to another one.
static QUESTIONS: AtomicU64 = AtomicU64::new(1);

/// A connected peer that offers Store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) id: String,
    address: String,
}

/// The Stores of the peers that a node is connected with.
pub(super) struct Stores {
    slot: Arc<Slot>,
    peers: Arc<[StaticPeer]>,
    pubsub_topic: String,
    /// How long one of them may take to answer.
    patience: Duration,
    /// The Store that answered last. Staying with one tells fewer strangers what is asked for.
    preferred: Mutex<Option<String>>,
}

impl Stores {
    pub(super) fn new(
        slot: Arc<Slot>,
        peers: Arc<[StaticPeer]>,
        pubsub_topic: String,
        patience: Duration,
    ) -> Self {
        Self { slot, peers, pubsub_topic, patience, preferred: Mutex::new(None) }
    }

    /// Whom to ask, in this order: who answered last, then the others by id.
    pub(super) async fn connected(&self) -> Result<Vec<Store>, CallError> {
        let peers = self.slot.node().peers().await?;
        let preferred = lock(&self.preferred).clone();
        let mut stores: Vec<_> = (peers.into_iter())
            .filter(|(_, info)| info.protocols.iter().any(|p| p == STORE_PROTOCOL))
            .filter_map(|(id, info)| {
                let address = match self.peers.iter().find(|p| p.id == id) {
                    Some(peer) => peer.address.clone(),
                    // Only the id counts: there is a connection already.
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

    /// A page of history from the first of them that has one.
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
                    tracing::debug!(store = store.id, %error, "no history from this Store");
                    // What may yet work outweighs what will not, and an answer outweighs none.
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
        let question = StoreQuery {
            include_data: true,
            content_topics: query.content_topics.clone(),
            time_start: query.start_ns,
            time_end: query.end_ns,
            cursor: query.cursor.map(|hash| hash.0),
            limit: query.limit,
            ..self.question()
        };
        let answer = self.ask(store, &question).await?;
        let sent = answer.messages.len();
        let messages: Vec<_> = (answer.messages.into_iter())
            .filter(|m| m.pubsub_topic.as_ref().is_none_or(|t| *t == self.pubsub_topic))
            .filter_map(|m| Some((m.hash, inbound(&self.pubsub_topic, m.message?))))
            .filter(|(hash, message)| message.hash.0 == *hash)
            .map(|(_, message)| message)
            .collect();
        let left_out = sent - messages.len();
        if left_out > 0 {
            tracing::warn!(store = store.id, left_out, "left false messages out of history");
        }
        let page = HistoryPage { messages, cursor: answer.cursor.map(MessageHash) };
        query.check_answer(&page, left_out)?;
        Ok(page)
    }

    /// Which of at most 100 messages a Store has.
    pub(super) async fn which_of(
        &self,
        store: &Store,
        hashes: &[MessageHash],
    ) -> Result<Found, HistoryError> {
        let question = StoreQuery {
            hashes: hashes.iter().map(|hash| hash.0).collect(),
            pubsub_topic: None,
            ..self.question()
        };
        let answer = self.ask(store, &question).await?;
        let has = answer.messages.iter().map(|m| MessageHash(m.hash));
        // Whatever else it may answer was not asked for.
        Ok(Found { hashes: has.filter(|hash| hashes.contains(hash)).collect(), complete: true })
    }

    /// The hashes of all messages that a Store has from a time, both ends included; no more once
    /// `wanted` are among them, and no more than so many pages.
    pub(super) async fn hashes_between(
        &self,
        store: &Store,
        start_ns: i64,
        end_ns: i64,
        wanted: &[MessageHash],
        max_pages: usize,
    ) -> Result<Found, HistoryError> {
        let mut found = Found::default();
        let mut missing: HashSet<_> = wanted.iter().collect();
        let mut question =
            StoreQuery { time_start: Some(start_ns), time_end: Some(end_ns), ..self.question() };
        for _ in 0..max_pages {
            let answer = self.ask(store, &question).await?;
            for hash in answer.messages.iter().map(|m| MessageHash(m.hash)) {
                missing.remove(&hash);
                found.hashes.insert(hash);
            }
            if answer.cursor.is_none() || missing.is_empty() {
                found.complete = true;
                break;
            }
            if answer.messages.is_empty() || answer.cursor == question.cursor {
                return Err(HistoryError::Malformed("a cursor that leads nowhere"));
            }
            question.cursor = answer.cursor;
        }
        Ok(found)
    }

    /// What all questions have in common: hashes on the shard, as many as fit in a page.
    fn question(&self) -> StoreQuery {
        StoreQuery {
            forward: true,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            limit: MAX_PAGE,
            ..StoreQuery::default()
        }
    }

    async fn ask(&self, store: &Store, question: &StoreQuery) -> Result<StoreAnswer, HistoryError> {
        let request_id = format!("{:016x}", QUESTIONS.fetch_add(1, Ordering::Relaxed));
        let question = StoreQuery { request_id, ..question.clone() };
        let node = self.slot.node();
        let answer = node.store_query(&store.address, &question);
        let answer = timeout(self.patience, answer)
            .await
            .map_err(|_| HistoryError::Timeout)?
            .map_err(history_error)?;
        if answer.status != 200 {
            return Err(HistoryError::refused(answer.status, &answer.description));
        }
        if answer.request_id != question.request_id {
            return Err(HistoryError::Malformed("an answer to another question"));
        }
        if answer.messages.len() > question.limit as usize {
            return Err(HistoryError::Malformed("more messages than asked for"));
        }
        Ok(answer)
    }
}

/// A message as the library hands it over, its hash computed here.
pub(super) fn inbound(pubsub_topic: &str, message: waku_sys::WakuMessage) -> Inbound {
    let message = waku_node::WakuMessage {
        payload: message.payload.into(),
        content_topic: message.content_topic,
        timestamp: Some(message.timestamp),
        meta: (!message.meta.is_empty()).then(|| message.meta.into()),
        ..waku_node::WakuMessage::default()
    };
    Inbound {
        hash: MessageHash(waku_node::message_hash(pubsub_topic, &message).0),
        content_topic: message.content_topic,
        payload: message.payload,
        timestamp_ns: message.timestamp.unwrap_or_default(),
    }
}

/// What went wrong, out of the library's words: it tells no status, only names of some of them.
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
        // A library that heeds the time-out of a query says so, without the mark.
        let late = text.ends_with(LATE);
        return if late { HistoryError::Timeout } else { HistoryError::Failed(text) };
    };
    let (name, cause) = reason.split_once(": ").unwrap_or((reason, ""));
    match name.trim() {
        "BAD_REQUEST" => HistoryError::refused(400, cause),
        "TOO_MANY_REQUESTS" => HistoryError::refused(429, cause),
        "SERVICE_UNAVAILABLE" => HistoryError::refused(503, cause),
        // Not the Store's word: the library could not read what came.
        "BAD_RESPONSE" => HistoryError::Malformed("an answer that cannot be read"),
        "PEER_DIAL_FAILURE" => HistoryError::Failed("the Store was not reached".to_owned()),
        // Any other status, which one it does not say.
        "UNKNOWN" => HistoryError::refused(500, "a status that libwaku does not tell"),
        _ => HistoryError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_out_of_the_librarys_words() {
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
