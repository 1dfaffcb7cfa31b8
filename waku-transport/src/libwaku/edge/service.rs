//! One edge node and its server: what the server is told, and when.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use waku_sys::{CallError, Node};

use super::budget::RequestBudget;
use super::link::ServerLink;
use super::options::MAX_EDGE_TOPICS;
use crate::hub::Hub;
use crate::libwaku::node::StaticPeer;

/// Most topics in one request, by 12/WAKU2-FILTER.
const BATCH: usize = 100;

/// How long the server has to answer a ping.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before a request is repeated after the server has failed to answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often in a row a server may fail to answer before the connection is given up.
const MAX_SILENCE: u32 = 2;

/// The next request to a server.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Withdraw all subscriptions that the server may remember.
    Reset,
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
}

/// Why a node is not used any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was destroyed, but not here.
    Destroyed,
    /// It has subscribed too often.
    Worn,
    /// Its server is away.
    Unserved,
}

/// One node and its server.
pub(super) struct Service<'a> {
    pub(super) node: Node,
    pubsub_topic: &'a str,
    server: &'a StaticPeer,
    hub: &'a Hub,
    link: &'a ServerLink,
    /// What the server was told since the connection began.
    subscribed: HashSet<String>,
    /// Whether the server may remember subscriptions that have to be withdrawn.
    reset: bool,
    /// Number of requests that left a receiver behind.
    subscriptions: u32,
    budget: &'a mut RequestBudget,
    /// How often in a row the server failed to answer.
    silence: u32,
    /// Whether the connection was given up. The next one may be there before the loss is noticed.
    pub(super) lost: bool,
    refreshes: usize,
    refresh_at: Instant,
    ping_at: Instant,
    ask_at: Instant,
}

impl<'a> Service<'a> {
    /// `known` says whether the server may know the node from before.
    pub(super) fn new(
        node: Node,
        pubsub_topic: &'a str,
        server: &'a StaticPeer,
        hub: &'a Hub,
        link: &'a ServerLink,
        budget: &'a mut RequestBudget,
        known: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            node,
            pubsub_topic,
            server,
            hub,
            link,
            subscribed: HashSet::new(),
            reset: known,
            subscriptions: 0,
            budget,
            silence: 0,
            lost: false,
            refreshes: 0,
            refresh_at: now,
            ping_at: now,
            ask_at: now,
        }
    }

    /// Prepares for a connection that has begun.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.subscribed.clear();
        self.reset |= self.subscriptions > 0;
        self.silence = 0;
        self.ask_at = now;
        self.refresh_at = now + self.link.options().refresh;
        self.ping_at = now + self.link.options().ping;
    }

    /// Tells the server what has changed and what it would otherwise forget, as far as it is time.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        while !self.lost {
            let change = self.link.last_change();
            let wanted = self.hub.watched();
            let now = Instant::now();
            let step = if self.reset { Some(Step::Reset) } else { step(&wanted, &self.subscribed) };
            let step = match step {
                Some(step) => step,
                None => {
                    self.link.settle(change);
                    self.hub.set_peers(1);
                    self.ping(now).await?;
                    if now < self.refresh_at {
                        return Ok(());
                    }
                    self.refresh_at = now + self.link.options().refresh;
                    match self.refresh() {
                        Some(step) => step,
                        None => return Ok(()),
                    }
                }
            };
            if now < self.ask_at || !self.budget.take(now) {
                return Ok(());
            }
            self.tell(step).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, step: Step) -> Result<(), End> {
        let topic = self.pubsub_topic;
        let told = match &step {
            Step::Reset => self.node.filter_unsubscribe_all().await,
            Step::Subscribe(topics) => {
                if self.subscriptions >= self.link.options().max_subscriptions {
                    return Err(End::Worn);
                }
                // Counted even if it fails.
                self.subscriptions += 1;
                self.node.filter_subscribe(topic, topics).await
            }
            Step::Unsubscribe(topics) => self.node.filter_unsubscribe(topic, topics).await,
        };
        match told {
            Ok(()) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // There was nothing to withdraw, which libwaku itself would not report.
            Err(CallError::Failed(_)) if !matches!(step, Step::Subscribe(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "a request to the filter server failed");
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

    /// The next batch of topics to renew.
    fn refresh(&mut self) -> Option<Step> {
        let mut topics: Vec<_> = self.subscribed.iter().collect();
        topics.sort_unstable();
        let batches = topics.chunks(BATCH);
        let which = self.refreshes % batches.len().max(1);
        self.refreshes += 1;
        let batch = topics.chunks(BATCH).nth(which)?;
        Some(Step::Subscribe(batch.iter().map(|topic| (*topic).clone()).collect()))
    }

    /// Pings the server if it is time.
    async fn ping(&mut self, now: Instant) -> Result<(), End> {
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + self.link.options().ping;
        match self.node.ping(&self.server.address, PING_PATIENCE).await {
            Ok(_) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // The drop-in has no ping; its connections notice a dead peer by themselves.
            Err(CallError::Failed(text)) if text.contains("not served") => {}
            Err(error) => {
                tracing::debug!(%error, server = self.server.id, "no answer to a ping");
                // Sooner than the usual interval.
                self.ping_at = Instant::now() + ASK_AGAIN;
                return self.silent().await;
            }
        }
        Ok(())
    }

    /// Notes that the server did not answer, and gives the connection up if it was once too often.
    async fn silent(&mut self) -> Result<(), End> {
        self.silence += 1;
        if self.silence < MAX_SILENCE {
            return Ok(());
        }
        tracing::warn!(server = self.server.id, "the server does not answer: connecting anew");
        (self.silence, self.lost) = (0, true);
        match self.node.disconnect(&self.server.id).await {
            Err(CallError::Destroyed) => Err(End::Destroyed),
            _ => Ok(()),
        }
    }
}

/// The next request to a server that knows the topics in `subscribed` and should know those in
/// `wanted`. New topics come first, unless there is no room for them.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(topics: impl IntoIterator<Item = usize>) -> HashSet<String> {
        topics.into_iter().map(|n| n.to_string()).collect()
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
