//! Handing messages to the library, and reading its answers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use waku_sys::{CallError, Node};

use super::library_memory::{Knowledge, LibraryMemory};
use super::message::to_library;
use super::mode::Mode;
use super::node::{CurrentNode, StaticPeer, carriers};
use super::pace::Pacer;
use super::stores::Stores;
use crate::confirm::{Confirmer, Verdict};
use crate::error::PublishError;
use crate::hub::Hub;
use crate::message::{Message, MessageHash};
use crate::sent::Sent;
use crate::sync::lock;

/// How long a peer may take to answer a ping.
const PING_PATIENCE: Duration = Duration::from_secs(10);

/// How long to ask Stores for a message that may have been published before.
const DUPLICATE_PATIENCE: Duration = Duration::from_secs(2);

/// Publishes messages and has them confirmed.
pub(super) struct Publisher {
    pub(super) mode: Mode,
    pub(super) node: Arc<CurrentNode>,
    pub(super) pubsub_topic: String,
    pub(super) peers: Arc<[StaticPeer]>,
    pub(super) hub: Arc<Hub>,
    pub(super) memory: Arc<Mutex<LibraryMemory>>,
    pub(super) pacer: Pacer,
    pub(super) confirmer: Option<Arc<Confirmer<Arc<Stores>>>>,
    /// How long publishing may take, without confirmation.
    pub(super) timeout: Duration,
}

/// What the library means by an error.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// There is no peer to publish to, or the message is a duplicate.
    NoPeersOrDuplicate,
    /// There is no peer to publish to.
    NoPeers,
    Other(PublishError),
}

impl Publisher {
    /// Sends a message that was checked.
    pub(super) async fn send(
        &self,
        hash: MessageHash,
        message: Message,
    ) -> Result<Sent, PublishError> {
        let timestamp_ns = message.timestamp_ns;
        let published = timeout(self.timeout, self.publish_paced(hash, message)).await;
        published.unwrap_or(Err(PublishError::Timeout))?;
        let confirmer = self.confirmer.clone();
        let (hub, witness) = (Arc::clone(&self.hub), self.relay_witness());
        Ok(Sent::new(hash, async move {
            let arrived = async {
                let verdict = match confirmer {
                    Some(confirmer) => confirmer.verdict(hash, timestamp_ns).await,
                    None => Verdict::Unknown,
                };
                match verdict {
                    Verdict::Stored => true,
                    Verdict::Missing => false,
                    Verdict::Unknown => witness.answers().await,
                }
            };
            tokio::select! {
                biased;
                arrived = arrived => if arrived { Ok(()) } else { Err(PublishError::Unconfirmed) },
                () = hub.closed() => Err(PublishError::Closed),
            }
        }))
    }

    /// What shows, where no Store can be asked, that a message was passed on.
    fn relay_witness(&self) -> RelayWitness {
        RelayWitness {
            mode: self.mode.clone(),
            node: Arc::clone(&self.node),
            pubsub_topic: self.pubsub_topic.clone(),
            peers: Arc::clone(&self.peers),
        }
    }

    /// Waits for the message's turn and publishes it.
    async fn publish_paced(&self, hash: MessageHash, message: Message) -> Result<(), PublishError> {
        let Some(wait) = self.pacer.reserve(message.encoded_size(), self.timeout) else {
            return Err(PublishError::Failed("too many messages wait to be published".to_owned()));
        };
        // Even the shortest sleep takes a millisecond, which is longer than publishing does.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if let Mode::Edge(link) = &self.mode
            && !link.can_publish()
        {
            return Err(PublishError::NoPeers);
        }
        self.hub.sending(hash);
        lock(&self.memory).publishing(hash, Instant::now());
        let timestamp_ns = message.timestamp_ns;
        let message = to_library(message);
        let mut call = Call { memory: &self.memory, hash, unanswered: true };
        let node = self.node.get();
        let answer = match &self.mode {
            Mode::Relay => node.publish(&self.pubsub_topic, &message).await,
            Mode::Edge(_) => node.lightpush(&self.pubsub_topic, &message).await,
        };
        call.unanswered = answer == Err(CallError::Timeout);
        let refusal = match answer {
            Ok(answer) => {
                if answer != hash.0 {
                    tracing::warn!(%hash, "libwaku computed another hash for a message");
                }
                lock(&self.memory).accepted(hash, Instant::now());
                return Ok(());
            }
            // An edge node is also destroyed to make way for another one.
            Err(CallError::Destroyed) if !self.hub.is_closed() => Refusal::NoPeers,
            Err(error) => refusal(error),
        };
        match refusal {
            Refusal::NoPeersOrDuplicate if self.is_duplicate(&node, hash, timestamp_ns).await => {
                Ok(())
            }
            Refusal::NoPeersOrDuplicate | Refusal::NoPeers => Err(PublishError::NoPeers),
            Refusal::Other(error) => Err(error),
        }
    }

    /// Whether a message was refused because it is out already. The library gives the same answer
    /// when there is no peer.
    async fn is_duplicate(&self, node: &Node, hash: MessageHash, timestamp_ns: i64) -> bool {
        let knowledge = lock(&self.memory).knowledge(&hash, Instant::now());
        if knowledge == Knowledge::Duplicate {
            return true;
        }
        let has_peers = match &self.mode {
            Mode::Relay => {
                let carriers = carriers(node, &self.pubsub_topic).await;
                carriers.is_ok_and(|carriers| !carriers.is_empty())
            }
            Mode::Edge(link) => link.can_publish(),
        };
        // This may be the late answer to an earlier attempt; or another node has published the
        // message, and a Store has had the time to archive it.
        let stored = async {
            let verdict = timeout(DUPLICATE_PATIENCE, self.verdict(hash, timestamp_ns)).await;
            verdict == Ok(Verdict::Stored)
        };
        has_peers && (knowledge == Knowledge::Unanswered || stored.await)
    }

    /// What a Store says about a message.
    async fn verdict(&self, hash: MessageHash, timestamp_ns: i64) -> Verdict {
        match &self.confirmer {
            Some(confirmer) => confirmer.verdict(hash, timestamp_ns).await,
            None => Verdict::Unknown,
        }
    }
}

/// The peers that were given a message.
struct RelayWitness {
    mode: Mode,
    node: Arc<CurrentNode>,
    pubsub_topic: String,
    peers: Arc<[StaticPeer]>,
}

impl RelayWitness {
    /// Whether one of them still answers.
    async fn answers(&self) -> bool {
        // The server of an edge node has answered already.
        let Mode::Relay = self.mode else { return true };
        let node = self.node.get();
        let carriers = carriers(&node, &self.pubsub_topic).await.unwrap_or_default();
        for peer in self.peers.iter().filter(|peer| carriers.contains(&peer.id)) {
            if node.ping(&peer.address, PING_PATIENCE).await.is_ok() {
                return true;
            }
        }
        // The library pings only addresses. Of others it is known only that they are connected.
        carriers.iter().any(|id| !self.peers.iter().any(|peer| peer.id == *id))
    }
}

/// A call to the library. If it ends without an answer, even because its caller stopped waiting, that
/// is remembered.
struct Call<'a> {
    memory: &'a Mutex<LibraryMemory>,
    hash: MessageHash,
    unanswered: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.unanswered {
            lock(self.memory).unanswered(self.hash, Instant::now());
        }
    }
}

/// Reads an error out of the text of the library, or of the drop-in.
fn refusal(error: CallError) -> Refusal {
    Refusal::Other(match error {
        CallError::Invalid(what) => PublishError::Invalid(what),
        CallError::Timeout => PublishError::Timeout,
        CallError::Destroyed => PublishError::Closed,
        CallError::Malformed(what) => PublishError::Failed(what.to_owned()),
        CallError::Failed(text) => {
            let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
            // Relay; a lightpush server of version 2; the drop-in for one of version 3.
            if says(&[
                "NoPeersToPublish",
                "not_published_to_any_peer",
                "no connected peer is subscribed",
                "the message was already seen",
                "relayed the message to nobody",
            ]) {
                return Refusal::NoPeersOrDuplicate;
            }
            // Lightpush, of the library and of the drop-in.
            if says(&["no suitable remote peers", "dial_failure", "no connected peer offers"]) {
                return Refusal::NoPeers;
            }
            PublishError::Failed(text)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_out_of_the_librarys_text() {
        let read = |text: &str| refusal(CallError::Failed(text.to_owned()));
        for text in [
            "libwaku error: PUBLISH failed: NoPeersToPublish",
            "not_published_to_any_peer",
            "the lightpush server answered 505: no connected peer is subscribed to the topic",
            "the lightpush server answered 420: the message was already seen",
        ] {
            assert_eq!(read(text), Refusal::NoPeersOrDuplicate, "{text}");
        }
        for text in ["failed to lightpublish message, no suitable remote peers", "dial_failure"] {
            assert_eq!(read(text), Refusal::NoPeers, "{text}");
        }
        let busy = "the lightpush server answered 429: too many requests";
        assert_eq!(read(busy), Refusal::Other(PublishError::Failed(busy.to_owned())));
        let timeout = refusal(CallError::Timeout);
        assert_eq!(timeout, Refusal::Other(PublishError::Timeout));
    }
}
