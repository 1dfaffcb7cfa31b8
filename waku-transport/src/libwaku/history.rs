//! History from the Stores of connected peers.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::timeout;
use waku_sys::{CallError, StoreQuery};

use super::LibwakuTransport;
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
    id: String,
    address: String,
}

impl LibwakuTransport {
    /// Whom to ask, in this order: who answered last, then the others by id.
    pub(super) async fn stores(&self) -> Result<Vec<Store>, CallError> {
        let peers = self.node.peers().await?;
        let preferred = lock(&self.preferred_store).clone();
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

    pub(super) async fn ask_stores(
        &self,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let stores = timeout(self.options.history_timeout, self.stores()).await;
        let stores = stores.map_err(|_| HistoryError::Timeout)?.map_err(history_error)?;
        let mut failure = HistoryError::NoStore;
        for store in stores {
            match self.ask_store(&store, query).await {
                Ok(page) => {
                    *lock(&self.preferred_store) = Some(store.id);
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

    async fn ask_store(
        &self,
        store: &Store,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let question = StoreQuery {
            request_id: format!("{:016x}", QUESTIONS.fetch_add(1, Ordering::Relaxed)),
            include_data: true,
            forward: true,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            content_topics: query.content_topics.clone(),
            time_start: query.start_ns,
            time_end: query.end_ns,
            hashes: Vec::new(),
            cursor: query.cursor.map(|hash| hash.0),
            limit: query.limit,
        };
        let answer = self.node.store_query(&store.address, &question);
        let answer = timeout(self.options.history_timeout, answer)
            .await
            .map_err(|_| HistoryError::Timeout)?
            .map_err(history_error)?;
        if answer.status != 200 {
            return Err(HistoryError::refused(answer.status, &answer.description));
        }
        if answer.request_id != question.request_id {
            return Err(HistoryError::Malformed("an answer to another question"));
        }
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
    let Some(reason) = text.split_once(MARK).map(|(_, reason)| reason) else {
        return drop_in_error(text);
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

/// The same in the words of the drop-in, which does tell the status.
fn drop_in_error(text: String) -> HistoryError {
    if let Some((_, answer)) = text.split_once("the Store answered ")
        && let Some((status, cause)) = answer.split_once(": ")
        && let Ok(status) = status.parse()
    {
        return HistoryError::refused(status, cause);
    }
    let says = |words: &str| text.contains(words);
    if says("the Store's answer is invalid") || says("the Store's cursor makes no progress") {
        return HistoryError::Malformed("an answer that cannot be read");
    }
    if says("the Store did not answer in time") {
        return HistoryError::Timeout;
    }
    HistoryError::Failed(text)
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
        let drop_in = |text: &str| history_error(CallError::Failed(text.to_owned()));
        assert_eq!(drop_in("failed: the Store answered 503: busy"), refused(503, "busy"));
        assert!(matches!(drop_in("the Store's answer is invalid: x"), HistoryError::Malformed(_)));
        assert_eq!(drop_in("the Store did not answer in time"), HistoryError::Timeout);
        let other = history_error(CallError::Failed("something".to_owned()));
        assert_eq!(other, HistoryError::Failed("something".to_owned()));
    }
}
