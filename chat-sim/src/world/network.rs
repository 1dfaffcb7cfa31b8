//! The network: relay, which can lose, repeat, delay and part, and a Store.

use std::collections::BTreeSet;

use chat_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use sha2::{Digest as _, Sha256};

/// A Waku message as an outsider at a relay sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Content topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Its timestamp, in nanoseconds since the unix epoch.
    pub timestamp_ns: i64,
    /// When the relay saw it.
    pub seen_at: Timestamp,
    /// The number of the device that published it; a number of no device for an outsider. This is
    /// ground truth for tests; no outsider has it.
    pub by: usize,
}

impl Observed {
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.payload);
        hash.update(&self.topic);
        hash.update(self.timestamp_ns.to_be_bytes());
        hash.finalize().into()
    }
}

/// How bad the network is. Shares are of 1,000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The share of deliveries that are lost. The Store still has them.
    pub drop: u64,
    /// The share of deliveries that come twice.
    pub duplicate: u64,
    /// The share of publications that are reported as failed though they went out.
    pub false_failure: u64,
    /// The most milliseconds that a delivery takes.
    pub delay_ms: u64,
}

/// Decides which deliveries are lost: of a message, to the device with this number.
pub type Censor = Box<dyn FnMut(&Observed, usize) -> bool>;

/// A device's place in the network.
#[derive(Debug, Default)]
pub(crate) struct Port {
    pub(crate) online: bool,
    /// Only devices of one partition hear one another.
    pub(crate) partition: u32,
    pub(crate) watched: BTreeSet<String>,
}

/// A delivery to a device, some milliseconds after the publication.
pub(crate) struct Delivery {
    pub(crate) to: usize,
    pub(crate) after_ms: u64,
}

/// A query to the Store.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) topics: Vec<String>,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) cursor: Option<[u8; 32]>,
    pub(crate) limit: u32,
}

/// A query as the Store logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreQuery {
    /// When it was asked.
    pub at: Timestamp,
    /// The device that asked: a Store sees its address.
    pub by: usize,
    /// The content topics; none for the whole shard.
    pub topics: Vec<String>,
    /// Begin, inclusive.
    pub start: Timestamp,
    /// End, inclusive.
    pub end: Timestamp,
    /// Whether it goes on where a page ended.
    pub goes_on: bool,
}

/// A page of the Store: messages, and where the next page begins.
pub(crate) type Page = (Vec<Observed>, Option<[u8; 32]>);

/// The network, as it is now, and all that was ever published on it.
pub struct Network {
    /// Everything that was published, in order. It is also what the Store has.
    pub observed: Vec<Observed>,
    /// How bad the network is.
    pub faults: Faults,
    /// Loses what it says should be lost, besides what [`Faults::drop`] loses.
    pub censor: Option<Censor>,
    /// Whether a device hears what it published itself, as some relays have it.
    pub echo: bool,
    /// Whether there is a Store.
    pub has_store: bool,
    /// What the Store was asked by topic: when, by which device, and the topics.
    pub asked: Vec<(Timestamp, usize, Vec<String>)>,
    /// All that the Store was asked, by time range too.
    pub queries: Vec<StoreQuery>,
    pub(crate) ports: Vec<Port>,
    /// The partition in which each observed message is known, as long as there are several.
    known_in: Vec<Option<u32>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({} devices, {} published)", self.ports.len(), self.observed.len())
    }
}

fn chance(rng: &mut ChaCha20Rng, of_thousand: u64) -> bool {
    of_thousand > 0 && rng.next_u64() % 1000 < of_thousand
}

impl Network {
    /// A good network with a Store, and no devices.
    pub(crate) fn new() -> Self {
        Self {
            observed: Vec::new(),
            faults: Faults::default(),
            censor: None,
            echo: false,
            has_store: true,
            asked: Vec::new(),
            queries: Vec::new(),
            ports: Vec::new(),
            known_in: Vec::new(),
        }
    }

    /// Takes a message, from whatever source: relay and Store take anything. Gives its deliveries.
    pub(crate) fn publish(&mut self, message: Observed, rng: &mut ChaCha20Rng) -> Vec<Delivery> {
        let partition = self.ports.get(message.by).map_or(0, |port| port.partition);
        let mut deliveries = Vec::new();
        for (to, port) in self.ports.iter().enumerate() {
            let listens = (self.echo || to != message.by)
                && port.online
                && port.partition == partition
                && port.watched.contains(&message.topic);
            let censored = |censor: &mut Censor| censor(&message, to);
            if !listens
                || self.censor.as_mut().is_some_and(censored)
                || chance(rng, self.faults.drop)
            {
                continue;
            }
            let copies = 1 + usize::from(chance(rng, self.faults.duplicate));
            for _ in 0..copies {
                let delay = rng.next_u64() % self.faults.delay_ms.saturating_add(1);
                deliveries.push(Delivery { to, after_ms: delay + 1 });
            }
        }
        self.join_stores();
        self.known_in.push(self.is_parted().then_some(partition));
        self.observed.push(message);
        deliveries
    }

    /// Has the Store lose a message.
    pub fn forget(&mut self, message: &Observed) {
        if let Some(at) = self.observed.iter().position(|it| it == message) {
            self.observed.remove(at);
            self.known_in.remove(at);
        }
    }

    /// Whether a publication that went out is reported as failed.
    pub(crate) fn fails_falsely(&self, rng: &mut ChaCha20Rng) -> bool {
        chance(rng, self.faults.false_failure)
    }

    fn is_parted(&self) -> bool {
        self.ports.windows(2).any(|pair| pair[0].partition != pair[1].partition)
    }

    /// Once the network is whole again, its Stores tell one another what they have.
    fn join_stores(&mut self) {
        if !self.is_parted() {
            for known in self.known_in.iter_mut().rev().take_while(|known| known.is_some()) {
                *known = None;
            }
        }
    }

    /// What the Store in a device's partition answers.
    pub(crate) fn page(&mut self, device: usize, query: &Query) -> Page {
        self.join_stores();
        let ns = |at: Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let partition = self.ports[device].partition;
        let mut matching: Vec<&Observed> = self
            .observed
            .iter()
            .zip(&self.known_in)
            .filter(|(_, known_in)| known_in.is_none_or(|known_in| known_in == partition))
            .map(|(message, _)| message)
            .filter(|message| {
                (ns(query.start)..=ns(query.end)).contains(&message.timestamp_ns)
                    && (query.topics.is_empty() || query.topics.contains(&message.topic))
            })
            .collect();
        matching.sort_by_key(|message| (message.timestamp_ns, message.hash()));
        let begin = match query.cursor {
            Some(cursor) => {
                matching.iter().position(|message| message.hash() == cursor).map_or(0, |at| at + 1)
            }
            None => 0,
        };
        let page: Vec<&Observed> =
            matching.iter().skip(begin).take(query.limit as usize).copied().collect();
        let more = begin + page.len() < matching.len();
        let cursor = page.last().filter(|_| more).map(|message| message.hash());
        (page.into_iter().cloned().collect(), cursor)
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    const TOPIC: &str = "/waku-chat/1/aaaaaaaaaaaaaaaaaaaaaaaaaa/proto";

    /// Three devices that are online and watch one topic.
    fn network() -> (Network, ChaCha20Rng) {
        let mut network = Network::new();
        for _ in 0..3 {
            let watched = BTreeSet::from([TOPIC.to_string()]);
            network.ports.push(Port { online: true, partition: 0, watched });
        }
        (network, ChaCha20Rng::seed_from_u64(1))
    }

    fn message(by: usize, secs: u64) -> Observed {
        let seen_at = Timestamp::from_secs(secs);
        let timestamp_ns = i64::try_from(secs).unwrap() * 1_000_000_000;
        Observed { topic: TOPIC.into(), payload: vec![1], timestamp_ns, seen_at, by }
    }

    fn heard(network: &mut Network, rng: &mut ChaCha20Rng, message: Observed) -> Vec<usize> {
        network.publish(message, rng).into_iter().map(|delivery| delivery.to).collect()
    }

    #[test]
    fn those_who_watch_hear_and_the_sender_only_with_echo() {
        let (mut network, mut rng) = network();
        assert_eq!(heard(&mut network, &mut rng, message(0, 1)), [1, 2]);
        network.echo = true;
        assert_eq!(heard(&mut network, &mut rng, message(0, 2)), [0, 1, 2]);
        network.ports[1].online = false;
        network.ports[2].watched.clear();
        assert_eq!(heard(&mut network, &mut rng, message(0, 3)), [0]);
    }

    #[test]
    fn what_is_lost_or_censored_is_in_the_store_all_the_same() {
        let (mut network, mut rng) = network();
        network.censor = Some(Box::new(|message, to| message.by == 0 && to == 2));
        assert_eq!(heard(&mut network, &mut rng, message(0, 1)), [1]);
        network.faults.drop = 1000;
        assert_eq!(heard(&mut network, &mut rng, message(1, 2)), Vec::<usize>::new());
        network.faults = Faults { duplicate: 1000, ..Faults::default() };
        assert_eq!(heard(&mut network, &mut rng, message(1, 3)), [0, 0, 2, 2]);
        assert_eq!(network.observed.len(), 3);
    }

    fn all(network: &mut Network, device: usize, limit: u32, cursor: Option<[u8; 32]>) -> Page {
        let (start, end) = (Timestamp(0), Timestamp::from_secs(100));
        network.page(device, &Query { topics: Vec::new(), start, end, cursor, limit })
    }

    #[test]
    fn the_store_of_a_partition_learns_of_the_other_once_they_meet() {
        let (mut network, mut rng) = network();
        network.ports[2].partition = 1;
        assert_eq!(heard(&mut network, &mut rng, message(0, 1)), [1]);
        assert_eq!(all(&mut network, 2, 10, None).0, []);
        assert_eq!(all(&mut network, 1, 10, None).0.len(), 1);
        network.ports[2].partition = 0;
        assert_eq!(all(&mut network, 2, 10, None).0.len(), 1);
    }

    #[test]
    fn pages_follow_on_one_another() {
        let (mut network, mut rng) = network();
        for secs in [3, 1, 2] {
            network.publish(message(0, secs), &mut rng);
        }
        let (first, cursor) = all(&mut network, 1, 2, None);
        let (second, end) = all(&mut network, 1, 2, cursor);
        let times: Vec<i64> =
            first.iter().chain(&second).map(|it| it.timestamp_ns / 1_000_000_000).collect();
        assert_eq!((times, end), (vec![1, 2, 3], None));
    }
}
