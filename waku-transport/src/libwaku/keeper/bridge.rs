//! Bridges the time in which the mesh is empty: what relay does not bring is fetched from a Store.
//!
//! After a disconnection libwaku keeps its mesh empty for a minute. What others publish meanwhile
//! comes by gossip if at all. The application cannot know, since the connection is there; so it is
//! fetched here and delivered as if it had been relayed.
//!
//! The queries name no topics, and their times follow the state of the connection alone. So they tell
//! a Store nothing of what this endpoint watches or sends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::HistoryError;
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::libwaku::stores::Stores;

/// A mesh that was empty for no longer than this has missed nothing: gossip tells of the messages of
/// the last three heartbeats, each a second long. So a usual start asks no Store.
const GOSSIPED: Duration = Duration::from_secs(3);
/// How far each query reaches behind the one before: a Store takes messages whose sender's clock is off
/// by up to 20 s, this machine's clock may be off too, and a Store takes its time to archive.
const MARGIN: Duration = Duration::from_secs(30);
/// The most pages of one query; what is left is fetched with the next one.
const MAX_PAGES: usize = 100;

/// How the mesh is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mesh {
    /// No peer is on the shard.
    Alone,
    /// There are peers on the shard, and none in the mesh.
    Empty,
    /// There are peers in the mesh.
    Whole,
}

/// The state of the mesh, and since when.
pub(super) type MeshState = (Mesh, Instant);

/// Where pages of history come from.
#[async_trait]
pub(super) trait Pages: Send + Sync {
    async fn page(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError>;
}

#[async_trait]
impl Pages for Stores {
    async fn page(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError> {
        self.fetch(query).await
    }
}

/// Fetches what an empty mesh does not bring.
pub(super) struct MeshBridge<P> {
    pub(super) pages: Arc<P>,
    pub(super) hub: Arc<Hub>,
    pub(super) clock: Clock,
    /// The pause before each query.
    pub(super) pause: Duration,
}

impl<P: Pages> MeshBridge<P> {
    /// Runs until the state has no sender any more.
    pub(super) async fn run(&self, mut mesh: watch::Receiver<MeshState>) {
        while let Ok(began) = mesh.wait_for(|(mesh, _)| *mesh == Mesh::Empty).await.map(|m| m.1) {
            let mut from = self.earlier((self.clock)());
            loop {
                // Also before the last query: what was sent just before the mesh was whole again
                // may not be archived yet.
                tokio::time::sleep(self.pause).await;
                let (now, since) = *mesh.borrow_and_update();
                let brief = since.duration_since(began) <= GOSSIPED;
                // A new connection begins with catching up, which is the application's.
                if now == Mesh::Alone || (now == Mesh::Whole && brief) {
                    break;
                }
                match self.fetch(from).await {
                    Ok(until) => {
                        from = self.earlier(until);
                        if now == Mesh::Whole {
                            break;
                        }
                    }
                    Err(error) => tracing::debug!(%error, "an empty mesh was not bridged"),
                }
            }
        }
    }

    /// Fetches and delivers everything from a time on. Returns the time up to which it has come.
    async fn fetch(&self, from: i64) -> Result<i64, HistoryError> {
        let asked_at = (self.clock)();
        let mut query = HistoryQuery { start_ns: Some(from), ..HistoryQuery::default() };
        let mut until = from;
        for _ in 0..MAX_PAGES {
            let page = self.pages.page(&query).await?;
            for message in page.messages {
                until = until.max(message.timestamp_ns);
                self.hub.fetched(message);
            }
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok(asked_at);
            }
        }
        // The margin leads back to messages that were delivered: they are not delivered again.
        Ok(until.saturating_add(nanoseconds(MARGIN)).min(asked_at))
    }

    fn earlier(&self, at: i64) -> i64 {
        at.saturating_sub(nanoseconds(MARGIN))
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::event::Event;
    use crate::hub::EventLimits;
    use crate::message::{MessageHash, ReceivedMessage};

    const TOPIC: &str = "/bridge/1/a/proto";
    const PAUSE: Duration = Duration::from_secs(10);
    const NOW: i64 = 1_000_000_000_000;

    fn message(n: u8) -> ReceivedMessage {
        ReceivedMessage {
            content_topic: TOPIC.to_owned(),
            payload: Bytes::from(vec![n]),
            timestamp_ns: NOW + i64::from(n),
            hash: MessageHash([n; 32]),
        }
    }

    /// A Store that answers each query by its number.
    struct Answers<F> {
        answer: F,
        asked: Mutex<Vec<HistoryQuery>>,
    }

    #[async_trait]
    impl<F: Fn(usize) -> Result<HistoryPage, HistoryError> + Send + Sync> Pages for Answers<F> {
        async fn page(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError> {
            let mut asked = self.asked.lock().expect("nobody panics with it");
            asked.push(query.clone());
            (self.answer)(asked.len() - 1)
        }
    }

    /// Runs a bridge, with a Store that answers each query by `answer`, while `steps` change the mesh
    /// and the time. Returns what was asked and what was delivered.
    async fn bridged(
        answer: impl Fn(usize) -> Result<HistoryPage, HistoryError> + Send + Sync,
        steps: impl AsyncFnOnce(&watch::Sender<MeshState>),
    ) -> (Vec<HistoryQuery>, Vec<ReceivedMessage>) {
        let clock: Clock = Arc::new(|| NOW);
        let hub = Arc::new(Hub::new(EventLimits::default(), Arc::clone(&clock)));
        hub.watch(vec![TOPIC.to_owned()]).expect("a good topic");
        let mut events = hub.subscribe();
        let pages = Arc::new(Answers { answer, asked: Mutex::default() });
        let bridge =
            MeshBridge { pages: Arc::clone(&pages), hub: Arc::clone(&hub), clock, pause: PAUSE };
        let (tell, mesh) = watch::channel((Mesh::Alone, Instant::now()));
        tokio::join!(bridge.run(mesh), async {
            steps(&tell).await;
            drop(tell);
        });
        // Messages of a Store are old, and say nothing about clocks.
        assert!(hub.recent_timestamps().is_empty());
        let delivered = std::iter::from_fn(|| events.next().now_or_never().flatten());
        let messages = delivered.map(|event| match event {
            Event::Message(message) => message,
            other => panic!("{other:?}"),
        });
        let messages = messages.collect();
        (std::mem::take(&mut *pages.asked.lock().expect("nobody panics with it")), messages)
    }

    fn set(tell: &watch::Sender<MeshState>, mesh: Mesh) {
        tell.send_replace((mesh, Instant::now()));
    }

    fn page(numbers: &[u8], cursor: Option<u8>) -> Result<HistoryPage, HistoryError> {
        Ok(HistoryPage {
            messages: numbers.iter().map(|n| message(*n)).collect(),
            cursor: cursor.map(|n| MessageHash([n; 32])),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_brings_what_an_empty_mesh_does_not_each_message_once() {
        let answers = |n| match n {
            0 => page(&[1, 2], Some(2)),
            1 => page(&[3], None),
            2 => Err(HistoryError::NoStore),
            3 => page(&[2, 3, 4], None),
            _ => page(&[4, 5], None),
        };
        let (asked, delivered) = bridged(answers, async |tell| {
            set(tell, Mesh::Empty);
            // A page and its next, a failure, a success; then the mesh is whole, and one query more.
            tokio::time::sleep(PAUSE * 3 + PAUSE / 2).await;
            set(tell, Mesh::Whole);
            tokio::time::sleep(PAUSE * 10).await;
        })
        .await;
        assert_eq!(delivered, [1, 2, 3, 4, 5].map(message));
        assert_eq!(asked.len(), 5);
        let start = Some(NOW - nanoseconds(MARGIN));
        assert!(asked.iter().all(|q| q.start_ns == start && q.content_topics.is_empty()));
        assert_eq!(asked[1].cursor, Some(MessageHash([2; 32])));
    }

    #[tokio::test(start_paused = true)]
    async fn a_usual_start_and_a_lost_connection_ask_no_store() {
        let (asked, _) = bridged(
            |_| page(&[], None),
            async |tell| {
                set(tell, Mesh::Empty);
                tokio::time::sleep(GOSSIPED / 2).await;
                set(tell, Mesh::Whole);
                tokio::time::sleep(PAUSE * 10).await;
                set(tell, Mesh::Empty);
                tokio::time::sleep(PAUSE / 2).await;
                set(tell, Mesh::Alone);
                tokio::time::sleep(PAUSE * 10).await;
            },
        )
        .await;
        assert!(asked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_without_end_is_asked_for_so_many_pages_at_once() {
        let (asked, _) = bridged(
            |_| page(&[1], Some(1)),
            async |tell| {
                set(tell, Mesh::Empty);
                tokio::time::sleep(PAUSE * 2 + PAUSE / 2).await;
                set(tell, Mesh::Alone);
                tokio::time::sleep(PAUSE).await;
            },
        )
        .await;
        assert_eq!(asked.len(), 2 * MAX_PAGES);
    }
}
