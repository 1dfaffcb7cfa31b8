//! The outsider: a plain Waku node on the same relay, which records what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use waku_chat::{CARD_SIZE, NetworkParams, Timestamp};
use waku_node::{MessageHash, Multiaddr, Node, NodeConfig, NodeEvent, StoreQuery};

use super::process::{failure, within};
use crate::error::CliError;
use crate::show::{text, time};

/// The longest time that the Store may lag behind the relay.
const BEHIND: Duration = Duration::from_secs(10);

/// What an outsider sees of a Waku message, apart from bytes that look like noise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seen {
    /// The message's timestamp.
    pub(super) at: Timestamp,
    /// The message's content topic.
    pub(super) topic: String,
    /// The size of the message's payload, in bytes.
    pub(super) size: usize,
    #[serde(skip)]
    hash: MessageHash,
}

impl Seen {
    /// Whether this is an account's card, which is published once a day whatever happens. Nothing else
    /// in the demo has this size.
    pub(super) fn is_card(&self) -> bool {
        self.size == CARD_SIZE
    }

    /// The message as a line.
    pub(super) fn show(&self) -> String {
        format!("{}  {}", time::clock(self.at), self.show_topic_and_size())
    }

    fn show_topic_and_size(&self) -> String {
        let topic = match self.topic.split('/').collect::<Vec<_>>().as_slice() {
            ["", application, version, name, encoding] => {
                format!("/{application}/{version}/{}/{encoding}", text::shorten(name, 4, 4))
            }
            _ => self.topic.clone(),
        };
        format!("{}  {:>6} B", text::line(&topic), self.size)
    }
}

/// The outsider's node, and the messages that it has seen.
pub(super) struct Observer {
    node: Node,
    network: NetworkParams,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
}

impl Observer {
    /// Connects to the relay, and starts recording.
    pub(super) async fn start(relay: &str, network: NetworkParams) -> Result<Self, CliError> {
        let relay: Multiaddr =
            relay.parse().map_err(|_| failure("the relay gave an address that is not one"))?;
        let node = Node::start(NodeConfig {
            listen: Vec::new(),
            cluster_id: network.cluster,
            shards: vec![network.shard()],
            static_peers: vec![relay],
            ..NodeConfig::default()
        })
        .await?;
        let mut events = node.events();
        let all = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let recorded = Arc::clone(&all);
        let mut meshed = node.events();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NodeEvent::Message { hash, message, .. } = event {
                    let at = message.timestamp.unwrap_or_default().max(0) / 1_000_000;
                    let mut all = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(Seen {
                        // Not negative, as ensured above.
                        at: Timestamp(at.unsigned_abs()),
                        topic: message.content_topic,
                        size: message.payload.len(),
                        hash,
                    });
                    counter.send_replace(all.iter().filter(|seen| !seen.is_card()).count());
                }
            }
        });
        let in_mesh = async {
            while node.status().topics.iter().all(|topic| topic.mesh_peers == 0) {
                if meshed.recv().await.is_none() {
                    return Err(failure("the observer's node has stopped"));
                }
            }
            Ok(())
        };
        within("the observer, connecting to the relay", in_mesh).await?;
        Ok(Self { node, network, seen: all, count })
    }

    /// Waits until this many messages were seen, not counting cards.
    pub(super) async fn wait_for(&self, count: usize) -> Result<(), CliError> {
        let mut seen = self.count.clone();
        let what = format!("the observer, waiting for Waku message {count}");
        within(what, async {
            let arrived = seen.wait_for(|seen| *seen >= count).await;
            arrived.map(drop).map_err(|_| failure("the observer's node has stopped"))
        })
        .await
    }

    /// The messages seen, from number `from` on.
    pub(super) fn seen(&self, from: usize) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(from..).unwrap_or_default().to_vec()
    }

    /// Whether the relay's Store has kept exactly the messages seen. A Store writes messages after they
    /// were relayed, so it is asked again while it has only some of them.
    pub(super) async fn agrees_with_store(&self) -> Result<bool, CliError> {
        /// The time between two questions.
        const AGAIN: Duration = Duration::from_millis(100);
        let seen: BTreeSet<_> = self.seen(0).iter().map(|seen| seen.hash).collect();
        let mut questions = tokio::time::interval(AGAIN);
        let asking = async {
            loop {
                questions.tick().await;
                let kept = self.kept().await?;
                if !kept.is_subset(&seen) || kept == seen {
                    return Ok(kept == seen);
                }
            }
        };
        match tokio::time::timeout(BEHIND, asking).await {
            Ok(agrees) => agrees,
            Err(_) => Ok(false),
        }
    }

    /// The messages that the relay's Store has kept.
    async fn kept(&self) -> Result<BTreeSet<MessageHash>, CliError> {
        /// Far more messages than a demo makes.
        const MOST: usize = 10_000;
        let query = StoreQuery {
            include_data: false,
            pubsub_topic: Some(self.network.pubsub_topic()),
            content_topics: Vec::new(),
            time_start: None,
            time_end: None,
            hashes: Vec::new(),
            cursor: None,
            forward: true,
            limit: None,
        };
        let kept = within("the observer, asking the Store", async {
            let peer = self.node.peers().first().map(|peer| peer.peer_id);
            let kept = self.node.store_collect(peer, query, MOST).await;
            kept.map_err(|error| {
                failure(format!("the Store does not answer the observer: {error}"))
            })
        })
        .await?;
        Ok(kept.iter().map(|message| message.hash).collect())
    }

    /// Stops the outsider's node.
    pub(super) async fn stop(self) {
        self.node.shutdown().await;
    }
}

/// What can be counted in the messages seen.
#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    /// How many messages there are.
    pub(super) messages: usize,
    /// How many of them are cards.
    pub(super) cards: usize,
    /// The size of all payloads together, in bytes.
    pub(super) bytes: usize,
    /// How many messages there are of each size.
    pub(super) sizes: BTreeMap<usize, usize>,
    /// How many different content topics were used.
    pub(super) topics: usize,
    /// In how many slots messages were sent.
    pub(super) slots: usize,
    /// How many content topics were used in more than one slot.
    pub(super) topics_in_two_slots: usize,
}

impl Statistics {
    /// Counts messages.
    pub(super) fn of(all: &[Seen], slot_secs: u64) -> Self {
        let mut sizes = BTreeMap::new();
        let mut topics: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for seen in all {
            *sizes.entry(seen.size).or_default() += 1;
            topics.entry(&seen.topic).or_default().insert(seen.at.secs() / slot_secs.max(1));
        }
        Self {
            messages: all.len(),
            cards: all.iter().filter(|seen| seen.is_card()).count(),
            bytes: all.iter().map(|seen| seen.size).sum(),
            sizes,
            topics: topics.len(),
            slots: topics.values().flatten().collect::<BTreeSet<_>>().len(),
            topics_in_two_slots: topics.values().filter(|slots| slots.len() > 1).count(),
        }
    }

    /// Whether every size is one of an envelope's: 512 bytes, and its doubles up to 128 KiB.
    pub(super) fn only_classes(&self) -> bool {
        let is_class = |size: usize| size.is_power_of_two() && (512..=131_072).contains(&size);
        self.sizes.keys().all(|size| is_class(*size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(secs: u64, topic: &str, size: usize) -> Seen {
        Seen {
            at: Timestamp::from_secs(secs),
            topic: topic.to_owned(),
            size,
            hash: MessageHash([0; 32]),
        }
    }

    #[test]
    fn counts_sizes_topics_and_slots() {
        let all = [seen(0, "a", 512), seen(4, "a", 512), seen(4, "b", 1024), seen(5, "c", 512)];
        let statistics = Statistics::of(&all, 5);
        assert_eq!((statistics.messages, statistics.bytes, statistics.cards), (4, 2560, 0));
        assert_eq!(Statistics::of(&[seen(0, "a", 32_768), seen(0, "b", 512)], 5).cards, 1);
        assert_eq!(statistics.sizes, BTreeMap::from([(512, 3), (1024, 1)]));
        assert_eq!((statistics.topics, statistics.slots), (3, 2));
        assert_eq!(statistics.topics_in_two_slots, 0);
        assert!(statistics.only_classes());
        let odd = Statistics::of(&[seen(0, "a", 513), seen(9, "a", 256)], 5);
        assert_eq!(odd.topics_in_two_slots, 1);
        assert!(!odd.only_classes());
    }

    #[test]
    fn a_line_shows_time_topic_and_size() {
        let topic = "/waku-chat/1/abcdefghijklmnopqrstuvwxyz/proto";
        let seen = seen(61, topic, 512);
        assert_eq!(seen.show_topic_and_size(), "/waku-chat/1/abcd…wxyz/proto     512 B");
        // The time is the machine's local time.
        let clock = time::clock(Timestamp::from_secs(61));
        assert_eq!(seen.show(), format!("{clock}  {}", seen.show_topic_and_size()));
    }
}
