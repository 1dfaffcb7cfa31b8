//! The Store of a memory network: messages by (timestamp, hash), the oldest forgotten first.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::HistoryError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::{MessageHash, ReceivedMessage};

/// How the Store answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreBehaviour {
    /// It answers correctly.
    #[default]
    Honest,
    /// It lies: it says that it has nothing. It keeps what comes all the same.
    Lying,
    /// What it keeps shows only so long after it came.
    Lagging(Duration),
    /// There is no Store, and no message is kept.
    Absent,
    /// It accepts queries and never answers.
    Silent,
    /// It refuses each query with this status code.
    Refusing(u32),
    /// Its answers cannot be read.
    Garbage,
    /// It answers with messages that were not asked for.
    Unrelated,
    /// It answers with empty pages that have a cursor, without end.
    Endless,
}

#[derive(Debug)]
pub(super) struct Store {
    messages: BTreeMap<(i64, MessageHash), ReceivedMessage>,
    /// Timestamp of each message, which is where it stands in the order, and when it came.
    positions: HashMap<MessageHash, (i64, Instant)>,
    max_messages: usize,
    pub(super) behaviour: StoreBehaviour,
}

impl Store {
    pub(super) fn new(max_messages: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            positions: HashMap::new(),
            max_messages,
            behaviour: StoreBehaviour::Honest,
        }
    }

    pub(super) fn keep(&mut self, message: ReceivedMessage) {
        if self.behaviour == StoreBehaviour::Absent {
            return;
        }
        let came = (message.timestamp_ns, Instant::now());
        self.positions.entry(message.hash).or_insert(came);
        self.messages.insert((message.timestamp_ns, message.hash), message);
        if self.messages.len() > self.max_messages
            && let Some(((_, hash), _)) = self.messages.pop_first()
        {
            self.positions.remove(&hash);
        }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &ReceivedMessage> {
        self.messages.values()
    }

    /// The answer; `None` for silence.
    pub(super) fn answer(&self, query: &HistoryQuery) -> Result<Option<HistoryPage>, HistoryError> {
        match self.behaviour {
            StoreBehaviour::Honest => self.page(query, |_| true).map(Some),
            StoreBehaviour::Lying => Ok(Some(HistoryPage::default())),
            StoreBehaviour::Lagging(lag) => {
                self.page(query, |came| came.elapsed() >= lag).map(Some)
            }
            StoreBehaviour::Absent => Err(HistoryError::NoStore),
            StoreBehaviour::Silent => Ok(None),
            StoreBehaviour::Refusing(status) => Err(HistoryError::refused(status, "as configured")),
            StoreBehaviour::Garbage => Err(HistoryError::Malformed("not an answer")),
            StoreBehaviour::Unrelated => Ok(Some(HistoryPage {
                messages: vec![ReceivedMessage {
                    content_topic: "/nonsense/1/unrelated/proto".to_owned(),
                    payload: "nonsense".into(),
                    timestamp_ns: i64::MIN,
                    hash: MessageHash([0x55; 32]),
                }],
                cursor: None,
            })),
            StoreBehaviour::Endless => Ok(Some(HistoryPage {
                messages: Vec::new(),
                cursor: Some(MessageHash([0xaa; 32])),
            })),
        }
    }

    fn page(
        &self,
        query: &HistoryQuery,
        shows: impl Fn(Instant) -> bool,
    ) -> Result<HistoryPage, HistoryError> {
        let after_cursor = match query.cursor {
            None => Bound::Unbounded,
            Some(hash) => {
                let position = self.positions.get(&hash);
                let at = position.ok_or_else(|| HistoryError::refused(400, "unknown cursor"))?;
                Bound::Excluded((at.0, hash))
            }
        };
        let in_range = Bound::Included((query.start_ns.unwrap_or(i64::MIN), MessageHash([0; 32])));
        // The later of the two. A cursor is ordered against the start by time alone, which is right
        // since the start includes every hash of its instant.
        let from = match (after_cursor, in_range) {
            (Bound::Excluded(cursor), Bound::Included(start)) if cursor >= start => after_cursor,
            _ => in_range,
        };
        let mut found = self
            .messages
            .range((from, Bound::Unbounded))
            .map(|(_, message)| message)
            .take_while(|m| query.end_ns.is_none_or(|end| m.timestamp_ns <= end))
            .filter(|m| query.selects(&m.content_topic, m.timestamp_ns))
            .filter(|m| self.positions.get(&m.hash).is_some_and(|(_, came)| shows(*came)));
        let messages: Vec<_> = found.by_ref().take(query.limit as usize).cloned().collect();
        let more = found.next().is_some();
        let cursor = messages.last().filter(|_| more).map(|m| m.hash);
        Ok(HistoryPage { messages, cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(timestamp_ns: i64, n: u8) -> ReceivedMessage {
        ReceivedMessage {
            content_topic: format!("/store/1/{}/proto", n % 3),
            payload: vec![n].into(),
            timestamp_ns,
            hash: MessageHash([n; 32]),
        }
    }

    #[test]
    fn forgets_the_oldest() {
        let mut store = Store::new(2);
        for (at, n) in [(5, 1), (3, 2), (9, 3), (9, 3)] {
            store.keep(message(at, n));
        }
        let kept: Vec<_> = store.messages().map(|m| m.timestamp_ns).collect();
        assert_eq!(kept, [5, 9]);
        let query = HistoryQuery { cursor: Some(MessageHash([2; 32])), ..HistoryQuery::default() };
        assert!(matches!(store.answer(&query), Err(HistoryError::Refused { status: 400, .. })));
    }

    proptest! {
        /// Pages, put together, are what a plain filter and sort make of the same messages.
        #[test]
        fn pages_add_up(
            times in proptest::collection::vec(-4i64..4, 0..60),
            start in proptest::option::of(-5i64..5),
            end in proptest::option::of(-5i64..5),
            topics in proptest::collection::vec(0u8..4, 0..3),
            limit in 1u32..9,
        ) {
            let mut store = Store::new(1000);
            let all: Vec<_> = times.iter().zip(0u8..).map(|(at, n)| message(*at, n)).collect();
            all.iter().cloned().for_each(|m| store.keep(m));
            let mut query = HistoryQuery {
                content_topics: topics.iter().map(|t| format!("/store/1/{t}/proto")).collect(),
                start_ns: start,
                end_ns: end,
                cursor: None,
                limit,
            };
            let mut want: Vec<_> = all
                .into_iter()
                .filter(|m| query.selects(&m.content_topic, m.timestamp_ns))
                .collect();
            want.sort_by_key(|m| (m.timestamp_ns, m.hash));
            let mut got = Vec::new();
            loop {
                let page = store.answer(&query).expect("honest").expect("an answer");
                prop_assert_eq!(query.check_answer(&page, 0), Ok(()));
                got.extend(page.messages);
                match page.cursor {
                    None => break,
                    cursor => query.cursor = cursor,
                }
            }
            prop_assert_eq!(got, want);
        }
    }
}
