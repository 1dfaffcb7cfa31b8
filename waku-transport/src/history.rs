//! Queries for history, pages of history, and checks of one against the other.

use crate::error::HistoryError;
use crate::message::{MessageHash, ReceivedMessage};
use crate::topics::check_topic;

/// Most messages in one page of history, which is what nwaku serves.
pub const MAX_HISTORY_LIMIT: u32 = 100;

/// Most content topics in one history query.
///
/// nwaku refuses a query that has both a cursor and more topics than this, so a longer list could
/// be asked for its first page only. Split it, or leave it empty for the whole shard.
pub const MAX_HISTORY_TOPICS: usize = 10;

/// One page of history to fetch, oldest first.
///
/// Messages are ordered by (timestamp, hash). The time range includes both its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Content topics to fetch, at most [`MAX_HISTORY_TOPICS`]; empty for the whole shard, which
    /// tells the Store the least.
    pub content_topics: Vec<String>,
    /// Earliest timestamp, in unix nanoseconds.
    pub start_ns: Option<i64>,
    /// Latest timestamp, in unix nanoseconds.
    pub end_ns: Option<i64>,
    /// The message after which the page begins: the [`HistoryPage::cursor`] of the page before, or
    /// any other message that the Store has. A Store that does not know the message refuses the
    /// query; then start again from a time.
    pub cursor: Option<MessageHash>,
    /// Most messages in the page, 1 to [`MAX_HISTORY_LIMIT`].
    pub limit: u32,
}

impl Default for HistoryQuery {
    /// The first page of the whole shard, as large as a page can be.
    fn default() -> Self {
        Self {
            content_topics: Vec::new(),
            start_ns: None,
            end_ns: None,
            cursor: None,
            limit: MAX_HISTORY_LIMIT,
        }
    }
}

impl HistoryQuery {
    /// Makes the checks that every backend makes before it asks a Store.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Invalid`].
    pub fn check(&self) -> Result<(), HistoryError> {
        if self.limit == 0 || self.limit > MAX_HISTORY_LIMIT {
            return Err(HistoryError::Invalid("the limit is not within 1 to 100"));
        }
        if self.content_topics.len() > MAX_HISTORY_TOPICS {
            return Err(HistoryError::Invalid("more than 10 content topics"));
        }
        self.content_topics
            .iter()
            .try_for_each(|topic| check_topic(topic))
            .map_err(HistoryError::Invalid)
    }

    /// Whether a message belongs in the answer, cursor and limit aside.
    pub(crate) fn selects(&self, content_topic: &str, timestamp_ns: i64) -> bool {
        self.start_ns.is_none_or(|start| timestamp_ns >= start)
            && self.end_ns.is_none_or(|end| timestamp_ns <= end)
            && self.selects_topic(content_topic)
    }

    fn selects_topic(&self, content_topic: &str) -> bool {
        self.content_topics.is_empty() || self.content_topics.iter().any(|t| t == content_topic)
    }

    /// Whether no message can match, so that no Store needs to be asked.
    pub(crate) fn is_void(&self) -> bool {
        matches!((self.start_ns, self.end_ns), (Some(start), Some(end)) if start > end)
    }

    /// Checks an answer against the query, so that callers can rely on it. `left_out` is the number
    /// of entries that were removed from the page before.
    ///
    /// A message without a timestamp passes, because the Store files it by the time at which it came
    /// in, which only the Store knows. Otherwise anyone could spoil a page by publishing one.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Malformed`].
    pub(crate) fn check_answer(
        &self,
        page: &HistoryPage,
        left_out: usize,
    ) -> Result<(), HistoryError> {
        if page.messages.len() > self.limit as usize {
            return Err(HistoryError::Malformed("more messages than asked for"));
        }
        let asked_for = |m: &ReceivedMessage| match m.timestamp_ns {
            0 => self.selects_topic(&m.content_topic),
            at => self.selects(&m.content_topic, at),
        };
        if !page.messages.iter().all(asked_for) {
            return Err(HistoryError::Malformed("a message that was not asked for"));
        }
        let times = page.messages.iter().map(|m| m.timestamp_ns);
        if !times.filter(|at| *at != 0).is_sorted() {
            return Err(HistoryError::Malformed("messages out of order"));
        }
        let repeats =
            self.cursor.is_some_and(|cursor| page.messages.iter().any(|m| m.hash == cursor));
        if repeats {
            return Err(HistoryError::Malformed("the cursor's message again"));
        }
        match page.cursor {
            // It would look like the end of history.
            None if page.messages.is_empty() && left_out > 0 => {
                Err(HistoryError::Malformed("nothing but false messages"))
            }
            // The caller would ask without end.
            Some(_) if page.cursor == self.cursor || page.messages.len() + left_out == 0 => {
                Err(HistoryError::Malformed("a cursor that leads nowhere"))
            }
            _ => Ok(()),
        }
    }
}

/// One page of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The messages, oldest first.
    pub messages: Vec<ReceivedMessage>,
    /// The cursor for the next page; `None` on the last page only. A page that is empty has a
    /// cursor where all that the Store sent was invalid.
    pub cursor: Option<MessageHash>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn message(timestamp_ns: i64) -> Message {
        let content_topic = "/a/1/b/proto".to_owned();
        Message { content_topic, payload: "message".into(), timestamp_ns }
    }

    #[test]
    fn answers_are_checked_against_the_query() {
        let at = |timestamp_ns: i64, n: u8| ReceivedMessage {
            hash: MessageHash([n; 32]),
            ..ReceivedMessage::of("", &message(timestamp_ns))
        };
        let query = HistoryQuery {
            content_topics: vec!["/a/1/b/proto".to_owned()],
            start_ns: Some(10),
            end_ns: Some(20),
            cursor: Some(MessageHash([1; 32])),
            limit: 3,
        };
        let check = |messages: Vec<ReceivedMessage>, cursor: Option<u8>, left_out| {
            let cursor = cursor.map(|n| MessageHash([n; 32]));
            query.check_answer(&HistoryPage { messages, cursor }, left_out)
        };
        let good = vec![at(10, 2), at(0, 3), at(20, 4)];
        assert_eq!(check(good.clone(), Some(4), 0), Ok(()));
        assert_eq!(check(good.clone(), None, 7), Ok(()));
        assert_eq!(check(vec![], None, 0), Ok(()));
        assert_eq!(check(vec![], Some(5), 1), Ok(()));

        let elsewhere = ReceivedMessage { content_topic: "/a/1/c/proto".to_owned(), ..at(0, 6) };
        let bad = [
            check([good.clone(), vec![at(20, 5)]].concat(), None, 0),
            check(vec![at(9, 5)], None, 0),
            check(vec![at(21, 5)], None, 0),
            check(vec![elsewhere], None, 0),
            check(vec![at(12, 5), at(0, 6), at(11, 7)], None, 0),
            check(vec![at(12, 1)], None, 0),
            check(good, Some(1), 0),
            check(vec![], Some(5), 0),
            check(vec![], None, 1),
        ];
        for (n, result) in bad.into_iter().enumerate() {
            assert!(matches!(result, Err(HistoryError::Malformed(_))), "{n}");
        }
    }
}
