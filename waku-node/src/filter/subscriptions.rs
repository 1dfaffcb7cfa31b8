//! The subscriptions at a filter server.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use libp2p::PeerId;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::proto::{FilterKind, FilterRequest, FilterResponse};
use crate::config::FilterConfig;
use crate::topic::MAX_CONTENT_TOPIC_SIZE;

/// A pubsub topic together with a content topic, as a digest: subscribers choose how long their
/// topics are, and must not thereby choose how much memory this node spends.
pub(crate) type Criterion = [u8; 32];

/// The criterion that a message on these topics meets.
pub(crate) fn criterion(pubsub_topic: &str, content_topic: &str) -> Criterion {
    Sha256::new()
        .chain_update((pubsub_topic.len() as u64).to_be_bytes())
        .chain_update(pubsub_topic)
        .chain_update(content_topic)
        .finalize()
        .into()
}

struct Subscriber {
    seen: Instant,
    criteria: HashSet<Criterion>,
}

/// All subscriptions, with bounds on the number of peers and on the criteria of each peer.
pub(crate) struct Subscriptions {
    max_peers: usize,
    max_criteria: usize,
    timeout: Duration,
    /// What a pubsub topic of this network begins with.
    prefix: String,
    peers: HashMap<PeerId, Subscriber>,
    index: HashMap<Criterion, HashSet<PeerId>>,
}

/// The status of a refusal, and its explanation.
type Refusal = (u32, &'static str);

impl Subscriptions {
    pub(crate) fn new(config: &FilterConfig, cluster_id: u32) -> Self {
        Self {
            max_peers: config.max_peers,
            max_criteria: config.max_criteria_per_peer,
            timeout: config.subscription_timeout,
            prefix: format!("/waku/2/rs/{cluster_id}/"),
            peers: HashMap::new(),
            index: HashMap::new(),
        }
    }

    /// How many subscribers there are, and how many criteria they have together.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.peers.len(), self.peers.values().map(|s| s.criteria.len()).sum())
    }

    /// Carries out a peer's request, and returns the answer to it.
    pub(crate) fn handle(
        &mut self,
        peer: PeerId,
        request: FilterRequest,
        now: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> FilterResponse {
        self.expire(now);
        let outcome = match request.kind {
            FilterKind::Ping => self.ping(peer, now),
            FilterKind::Subscribe => self
                .criteria(&request)
                .and_then(|criteria| self.subscribe(peer, criteria, now, is_connected)),
            FilterKind::Unsubscribe => {
                self.criteria(&request).and_then(|criteria| self.unsubscribe(peer, &criteria, now))
            }
            FilterKind::UnsubscribeAll => {
                if self.remove(&peer) {
                    Ok(())
                } else {
                    Err((404, "no subscriptions"))
                }
            }
        };
        let (status_code, status_desc) = outcome.err().unwrap_or((200, "OK"));
        FilterResponse {
            request_id: request.request_id,
            status_code,
            status_desc: status_desc.to_owned(),
        }
    }

    fn criteria(&self, r: &FilterRequest) -> Result<HashSet<Criterion>, Refusal> {
        let pubsub_topic = r.pubsub_topic.as_deref().filter(|_| !r.content_topics.is_empty());
        let pubsub_topic =
            pubsub_topic.ok_or((400, "a pubsub topic and content topics are needed"))?;
        if !pubsub_topic.starts_with(&self.prefix) {
            return Err((400, "the pubsub topic is of another network"));
        }
        if r.content_topics.iter().any(|t| t.is_empty() || t.len() > MAX_CONTENT_TOPIC_SIZE) {
            return Err((400, "a content topic is empty or too long"));
        }
        Ok(r.content_topics.iter().map(|t| criterion(pubsub_topic, t)).collect())
    }

    fn ping(&mut self, peer: PeerId, now: Instant) -> Result<(), Refusal> {
        self.peers.get_mut(&peer).ok_or((404, "no subscriptions"))?.seen = now;
        Ok(())
    }

    fn subscribe(
        &mut self,
        peer: PeerId,
        criteria: HashSet<Criterion>,
        now: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Result<(), Refusal> {
        let held = self.peers.get(&peer).map(|s| &s.criteria);
        let added = criteria.iter().filter(|c| !held.is_some_and(|h| h.contains(*c))).count();
        if held.map_or(0, HashSet::len) + added > self.max_criteria {
            return Err((503, "too many content topics"));
        }
        if held.is_none() && self.peers.len() >= self.max_peers {
            // A peer that is gone makes room before its time; a connected one keeps its place.
            let gone = self
                .peers
                .iter()
                .filter(|(id, _)| !is_connected(id))
                .min_by_key(|(_, s)| s.seen)
                .map(|(id, _)| *id);
            self.remove(&gone.ok_or((503, "too many subscribers"))?);
        }
        let subscriber = self
            .peers
            .entry(peer)
            .or_insert_with(|| Subscriber { seen: now, criteria: HashSet::new() });
        subscriber.seen = now;
        for c in criteria {
            subscriber.criteria.insert(c);
            self.index.entry(c).or_default().insert(peer);
        }
        Ok(())
    }

    fn unsubscribe(
        &mut self,
        peer: PeerId,
        criteria: &HashSet<Criterion>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let subscriber = self.peers.get_mut(&peer).ok_or((404, "no subscriptions"))?;
        subscriber.seen = now;
        let mut known = false;
        for c in criteria {
            if subscriber.criteria.remove(c) {
                known = true;
                unlist(&mut self.index, c, &peer);
            }
        }
        if subscriber.criteria.is_empty() {
            self.peers.remove(&peer);
        }
        if known { Ok(()) } else { Err((404, "not subscribed to that")) }
    }

    /// Ends all subscriptions of a peer; returns whether it had any.
    fn remove(&mut self, peer: &PeerId) -> bool {
        let Some(subscriber) = self.peers.remove(peer) else {
            return false;
        };
        for c in subscriber.criteria {
            unlist(&mut self.index, &c, peer);
        }
        true
    }

    /// Ends the subscriptions of peers that have sent no request for too long. Returns whether there
    /// were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let late: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, s)| now.saturating_duration_since(s.seen) > self.timeout)
            .map(|(id, _)| *id)
            .collect();
        for id in &late {
            self.remove(id);
        }
        !late.is_empty()
    }

    /// The peers that are to get a message.
    pub(crate) fn subscribers(&self, pubsub_topic: &str, content_topic: &str) -> Vec<PeerId> {
        if self.index.is_empty() {
            return Vec::new();
        }
        let peers = self.index.get(&criterion(pubsub_topic, content_topic));
        peers.into_iter().flatten().copied().collect()
    }
}

fn unlist(index: &mut HashMap<Criterion, HashSet<PeerId>>, c: &Criterion, peer: &PeerId) {
    if let Some(peers) = index.get_mut(c) {
        peers.remove(peer);
        if peers.is_empty() {
            index.remove(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPIC: &str = "/waku/2/rs/66/0";

    fn subscriptions(max_peers: usize, max_criteria_per_peer: usize) -> Subscriptions {
        let config = FilterConfig {
            max_peers,
            max_criteria_per_peer,
            subscription_timeout: Duration::from_secs(300),
        };
        Subscriptions::new(&config, 66)
    }

    fn request(kind: FilterKind, topics: &[&str]) -> FilterRequest {
        FilterRequest {
            request_id: "i".into(),
            kind,
            pubsub_topic: Some(TOPIC.into()),
            content_topics: topics.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    fn status(s: &mut Subscriptions, peer: PeerId, r: FilterRequest, now: Instant) -> u32 {
        s.handle(peer, r, now, |_| true).status_code
    }

    #[tokio::test]
    async fn subscriptions_come_and_go() {
        use FilterKind::{Ping, Subscribe, Unsubscribe, UnsubscribeAll};
        let (mut s, now) = (subscriptions(10, 10), Instant::now());
        let (a, b) = (PeerId::random(), PeerId::random());
        assert_eq!(status(&mut s, a, request(Ping, &[]), now), 404);
        assert_eq!(status(&mut s, a, request(Unsubscribe, &["/x"]), now), 404);
        assert_eq!(status(&mut s, a, request(UnsubscribeAll, &[]), now), 404);
        assert_eq!(status(&mut s, a, request(Subscribe, &[]), now), 400);
        assert_eq!(status(&mut s, a, request(Subscribe, &["/x", "/y", "/x"]), now), 200);
        assert_eq!(status(&mut s, b, request(Subscribe, &["/x"]), now), 200);
        assert_eq!(s.size(), (2, 3));
        let mut both = s.subscribers(TOPIC, "/x");
        both.sort();
        let mut want = vec![a, b];
        want.sort();
        assert_eq!(both, want);
        assert_eq!(s.subscribers(TOPIC, "/y"), [a]);
        assert!(s.subscribers("/waku/2/rs/66/1", "/x").is_empty());
        assert_eq!(status(&mut s, a, request(Unsubscribe, &["/x"]), now), 200);
        assert_eq!(s.subscribers(TOPIC, "/x"), [b]);
        assert_eq!(status(&mut s, a, request(Ping, &[]), now), 200);
        assert_eq!(status(&mut s, a, request(UnsubscribeAll, &[]), now), 200);
        assert_eq!(s.size(), (1, 1));
        let foreign = FilterRequest {
            pubsub_topic: Some("/waku/2/rs/67/0".into()),
            ..request(Subscribe, &["/x"])
        };
        assert_eq!(status(&mut s, a, foreign, now), 400);
    }

    #[tokio::test]
    async fn silence_ends_them_and_pings_keep_them() {
        let (mut s, start) = (subscriptions(10, 10), Instant::now());
        let (a, b) = (PeerId::random(), PeerId::random());
        for peer in [a, b] {
            assert_eq!(status(&mut s, peer, request(FilterKind::Subscribe, &["/x"]), start), 200);
        }
        let later = start + Duration::from_secs(200);
        assert_eq!(status(&mut s, a, request(FilterKind::Ping, &[]), later), 200);
        assert!(s.expire(start + Duration::from_secs(301)));
        assert_eq!(s.subscribers(TOPIC, "/x"), [a]);
        assert!(s.expire(start + Duration::from_secs(501)));
        assert_eq!(s.size(), (0, 0));
        assert!(s.index.is_empty());
    }

    #[tokio::test]
    async fn bounds_hold_and_only_the_absent_make_room() {
        let (mut s, now) = (subscriptions(2, 3), Instant::now());
        let (a, b, c) = (PeerId::random(), PeerId::random(), PeerId::random());
        let subscribe = |topics: &[&str]| request(FilterKind::Subscribe, topics);
        assert_eq!(status(&mut s, a, subscribe(&["/1", "/2", "/3"]), now), 200);
        assert_eq!(status(&mut s, a, subscribe(&["/3", "/1"]), now), 200, "nothing is new");
        assert_eq!(status(&mut s, a, subscribe(&["/4"]), now), 503);
        assert_eq!(status(&mut s, b, subscribe(&["/1"]), now), 200);
        assert_eq!(status(&mut s, c, subscribe(&["/1"]), now), 503);
        let answer = s.handle(c, subscribe(&["/1"]), now, |p| *p != b);
        assert_eq!(answer.status_code, 200);
        assert_eq!(s.size(), (2, 4));
        assert!(!s.subscribers(TOPIC, "/1").contains(&b));
    }

    proptest! {
        /// Whatever is asked for, the index says the same as the subscribers do.
        #[test]
        fn the_index_stays_true(steps in prop::collection::vec(
            (0usize..4, 0u8..4, prop::collection::vec(0u8..8, 0..5), 0u64..200), 0..60,
        )) {
            let mut s = subscriptions(3, 5);
            let peers: Vec<_> = (0..4).map(|_| PeerId::random()).collect();
            let mut now = Instant::now();
            for (peer, kind, topics, wait) in steps {
                now += Duration::from_secs(wait);
                let kind = [
                    FilterKind::Ping,
                    FilterKind::Subscribe,
                    FilterKind::Unsubscribe,
                    FilterKind::UnsubscribeAll,
                ][usize::from(kind)];
                let topics: Vec<_> = topics.iter().map(|t| format!("/{t}")).collect();
                let topics: Vec<_> = topics.iter().map(String::as_str).collect();
                s.handle(peers[peer], request(kind, &topics), now, |p| *p == peers[0]);
                let listed: usize = s.index.values().map(HashSet::len).sum();
                prop_assert_eq!(listed, s.size().1);
                prop_assert!(s.peers.len() <= 3);
                for (id, subscriber) in &s.peers {
                    prop_assert!((1..=5).contains(&subscriber.criteria.len()));
                    prop_assert!(subscriber.criteria.iter().all(|c| s.index[c].contains(id)));
                }
            }
        }
    }
}
