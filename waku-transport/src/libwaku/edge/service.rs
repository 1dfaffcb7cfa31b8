//! One edge node and its server: what to tell it, and when.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use waku_sys::{CallError, Node};

use super::{EdgeKeeper, End, MAX_EDGE_TOPICS};
use crate::libwaku::keeper::StaticPeer;

/// Most topics in one request.
const BATCH: usize = 100;

/// Requests that may be made at once, and in a minute: servers refuse, in silence, what is more
/// than 30 in any minute.
const REQUESTS: u32 = 15;

/// How long the server has to answer a ping.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before the server is asked again after it has failed.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often a server may fail to answer, in a row, before the connection is given up.
const MAX_SILENCE: u32 = 2;

/// What to tell a server next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// To forget all that it may remember.
    Reset,
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
}

/// One node and its server.
pub(super) struct Service<'a> {
    keeper: &'a EdgeKeeper,
    pub(super) node: Node,
    server: &'a StaticPeer,
    /// What the server was told since the connection began.
    subscribed: HashSet<String>,
    reset: bool,
    /// Requests that left a receiver behind.
    subscriptions: u32,
    turns: &'a mut Turns,
    silence: u32,
    /// The connection was given up. Another one may be there before it is missed.
    pub(super) lost: bool,
    refreshes: usize,
    refresh_at: Instant,
    ping_at: Instant,
    ask_at: Instant,
}

impl<'a> Service<'a> {
    pub(super) fn new(
        keeper: &'a EdgeKeeper,
        server: &'a StaticPeer,
        turns: &'a mut Turns,
        now: Instant,
    ) -> Self {
        Self {
            node: keeper.slot.node(),
            server,
            subscribed: HashSet::new(),
            // A node with a key of its own may have been here before.
            reset: keeper.config.key.is_some(),
            subscriptions: 0,
            turns,
            silence: 0,
            lost: false,
            refreshes: 0,
            refresh_at: now,
            ping_at: now,
            ask_at: now,
            keeper,
        }
    }

    /// A connection has begun.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.subscribed.clear();
        self.reset |= self.subscriptions > 0;
        self.silence = 0;
        self.ask_at = now;
        self.refresh_at = now + self.keeper.edge.options.refresh;
        self.ping_at = now + self.keeper.edge.options.ping;
    }

    /// Tells the server what has changed, and what it would forget; as far as it is time for it.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        while !self.lost {
            let change = self.keeper.edge.requested.load(Ordering::Acquire);
            let wanted = self.keeper.hub.watched();
            let now = Instant::now();
            let step = if self.reset { Some(Step::Reset) } else { step(&wanted, &self.subscribed) };
            let step = match step {
                Some(step) => step,
                None => {
                    self.keeper.edge.now.send_modify(|now| now.settled = change);
                    self.keeper.hub.set_peers(1);
                    self.ping(now).await?;
                    if now < self.refresh_at {
                        return Ok(());
                    }
                    self.refresh_at = now + self.keeper.edge.options.refresh;
                    match self.refresh() {
                        Some(step) => step,
                        None => return Ok(()),
                    }
                }
            };
            if now < self.ask_at || !self.turns.take(now) {
                return Ok(());
            }
            self.tell(step).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, step: Step) -> Result<(), End> {
        let topic = &self.keeper.pump.pubsub_topic;
        let told = match &step {
            Step::Reset => self.node.filter_unsubscribe_all().await,
            Step::Subscribe(topics) => {
                if self.subscriptions >= self.keeper.edge.options.max_subscriptions {
                    return Err(End::Worn);
                }
                // Also if it fails.
                self.subscriptions += 1;
                self.node.filter_subscribe(topic, topics).await
            }
            Step::Unsubscribe(topics) => self.node.filter_unsubscribe(topic, topics).await,
        };
        match told {
            Ok(()) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // There was nothing to take back, which libwaku would not even say.
            Err(CallError::Failed(_)) if !matches!(step, Step::Subscribe(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "the filter server did not do as it was told");
                self.ask_at = Instant::now() + ASK_AGAIN;
                return self.silent().await;
            }
        }
        match step {
            Step::Reset => self.reset = false,
            Step::Subscribe(topics) => self.subscribed.extend(topics),
            Step::Unsubscribe(topics) => {
                for topic in topics {
                    self.subscribed.remove(&topic);
                }
            }
        }
        Ok(())
    }

    /// Some of the topics, others each time.
    fn refresh(&mut self) -> Option<Step> {
        let mut topics: Vec<_> = self.subscribed.iter().collect();
        topics.sort_unstable();
        let batches = topics.chunks(BATCH);
        let which = self.refreshes % batches.len().max(1);
        self.refreshes += 1;
        let batch = topics.chunks(BATCH).nth(which)?;
        Some(Step::Subscribe(batch.iter().map(|topic| (*topic).clone()).collect()))
    }

    /// Asks for a sign of life if it is time for it.
    async fn ping(&mut self, now: Instant) -> Result<(), End> {
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + self.keeper.edge.options.ping;
        match self.node.ping(&self.server.address, PING_PATIENCE).await {
            Ok(_) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // The drop-in has no ping; its connections notice by themselves.
            Err(CallError::Failed(text)) if text.contains("not served") => {}
            Err(error) => {
                tracing::debug!(%error, server = self.server.id, "no answer to a ping");
                // Not to wait for another half a minute.
                self.ping_at = Instant::now() + ASK_AGAIN;
                return self.silent().await;
            }
        }
        Ok(())
    }

    /// The server did not answer. Once too often, and the connection is made anew.
    async fn silent(&mut self) -> Result<(), End> {
        self.silence += 1;
        if self.silence < MAX_SILENCE {
            return Ok(());
        }
        tracing::warn!(server = self.server.id, "the server is silent: connecting anew");
        (self.silence, self.lost) = (0, true);
        match self.node.disconnect(&self.server.id).await {
            Err(CallError::Destroyed) => Err(End::Destroyed),
            _ => Ok(()),
        }
    }
}

/// What to tell a server that knows these topics and should know those. New topics come first,
/// unless there is no room for them.
fn step(wanted: &HashSet<String>, subscribed: &HashSet<String>) -> Option<Step> {
    let batch = |topics: Vec<&String>| -> Option<Vec<String>> {
        let batch: Vec<_> = topics.into_iter().take(BATCH).cloned().collect();
        (!batch.is_empty()).then_some(batch)
    };
    let new = batch(wanted.difference(subscribed).collect());
    let old = batch(subscribed.difference(wanted).collect());
    let fits = new.as_ref().is_some_and(|new| subscribed.len() + new.len() <= MAX_EDGE_TOPICS);
    match (new, old) {
        (Some(new), _) if fits => Some(Step::Subscribe(new)),
        (_, Some(old)) => Some(Step::Unsubscribe(old)),
        (new, None) => new.map(Step::Subscribe),
    }
}

/// Hands out turns to make requests.
#[derive(Debug)]
pub(super) struct Turns {
    left: f64,
    at: Instant,
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: f64::from(REQUESTS), at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * f64::from(REQUESTS) / 60.0).min(f64::from(REQUESTS));
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(topics: impl IntoIterator<Item = usize>) -> HashSet<String> {
        topics.into_iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn no_minute_sees_more_requests_than_a_server_takes() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        let taken: Vec<u64> =
            (0..6000).filter(|ms| turns.take(start + Duration::from_millis(ms * 50))).collect();
        let most = taken
            .iter()
            .map(|from| taken.iter().filter(|at| (*from..from + 1200).contains(at)).count());
        assert!((28..=30).contains(&most.max().unwrap_or_default()));
        assert!(taken.len() >= 85, "{}", taken.len());
    }

    #[test]
    fn topics_make_room_for_others() {
        let full = set(0..MAX_EDGE_TOPICS);
        let Some(Step::Unsubscribe(old)) = step(&set(10..MAX_EDGE_TOPICS + 10), &full) else {
            panic!("there is no room");
        };
        assert_eq!(old.into_iter().collect::<HashSet<_>>(), set(0..10));
        let Some(Step::Subscribe(new)) = step(&set(5..15), &set(0..10)) else {
            panic!("there is room");
        };
        assert_eq!(new.into_iter().collect::<HashSet<_>>(), set(10..15));
        assert_eq!(step(&full, &full), None);
    }

    proptest! {
        #[test]
        fn a_server_ends_up_knowing_what_is_wanted(
            wanted in proptest::collection::hash_set(0..2000_usize, 0..MAX_EDGE_TOPICS),
            known in proptest::collection::hash_set(0..2000_usize, 0..MAX_EDGE_TOPICS),
        ) {
            let (wanted, mut known) = (set(wanted), set(known));
            for _ in 0..50 {
                match step(&wanted, &known) {
                    None => break,
                    Some(Step::Reset) => prop_assert!(false),
                    Some(Step::Subscribe(new)) => {
                        prop_assert!(new.len() <= BATCH);
                        known.extend(new);
                    }
                    Some(Step::Unsubscribe(old)) => {
                        prop_assert!(old.len() <= BATCH);
                        known.retain(|topic| !old.contains(topic));
                    }
                }
                prop_assert!(known.len() <= MAX_EDGE_TOPICS);
            }
            prop_assert_eq!(known, wanted);
        }
    }
}
