//! Handing messages to the library, and making sense of what it says to that.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use waku_sys::{CallError, Node, WakuMessage};

use super::confirm::Verdict;
use super::{LibwakuTransport, Way, keeper};
use crate::hub::lock;
use crate::window::Window;
use crate::{Message, MessageHash, PublishError};

/// How long the library remembers what went by, and refuses to send it again.
const LIBRARY_REMEMBERS: Duration = Duration::from_secs(120);

/// Most messages of which it is remembered here that the library knows them.
const MAX_KNOWN: usize = 65_536;

/// How long to ask Stores for a message that may have been published before.
const KNOWN_PATIENCE: Duration = Duration::from_secs(2);

/// What the library is known to know, and will call a duplicate.
pub(super) struct Known {
    /// Messages that this node was asked to publish. They come back as events.
    pub(super) own: Window,
    /// Messages that it took.
    accepted: Window,
    /// Messages of which it did not say whether it took them.
    uncertain: Window,
    /// Messages of others.
    pub(super) received: Window,
}

impl Known {
    pub(super) fn new() -> Self {
        let window = || Window::new(MAX_KNOWN, LIBRARY_REMEMBERS);
        Self { own: window(), accepted: window(), uncertain: window(), received: window() }
    }
}

/// What the library means by an error.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// Nobody is there to publish to, or whoever it is has the message already.
    NobodyOrDuplicate,
    /// Nobody is there.
    Nobody,
    Other(PublishError),
}

impl LibwakuTransport {
    /// Publishes once it is this message's turn.
    pub(super) async fn publish_paced(
        &self,
        hash: MessageHash,
        message: Message,
    ) -> Result<(), PublishError> {
        let wait = self.pacer.reserve(message.encoded_size(), self.options.publish_timeout);
        let Some(wait) = wait else {
            return Err(PublishError::Failed("too much waits to be published".to_owned()));
        };
        // Even the shortest sleep takes a millisecond, which is longer than publishing does.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if let Way::Edge(edge) = &self.way
            && !edge.can_publish()
        {
            return Err(PublishError::NoPeers);
        }
        self.hub.sending(hash);
        lock(&self.known).own.insert(hash, Instant::now());
        let timestamp_ns = message.timestamp_ns;
        let message = WakuMessage {
            payload: message.payload.into(),
            content_topic: message.content_topic,
            timestamp: message.timestamp_ns,
            ..WakuMessage::default()
        };
        let mut unanswered = Unanswered { known: &self.known, hash, so_far: true };
        let node = self.slot.node();
        let answer = match &self.way {
            Way::Relay => node.publish(&self.pubsub_topic, &message).await,
            Way::Edge(_) => node.lightpush(&self.pubsub_topic, &message).await,
        };
        unanswered.so_far = answer == Err(CallError::Timeout);
        let refusal = match answer {
            Ok(answer) => {
                if answer != hash.0 {
                    tracing::warn!(%hash, "libwaku calls a message by another hash");
                }
                lock(&self.known).accepted.insert(hash, Instant::now());
                return Ok(());
            }
            // An edge node is destroyed to make way for another one, too.
            Err(CallError::Destroyed) if !self.hub.is_closed() => Refusal::Nobody,
            Err(error) => refusal(error),
        };
        match refusal {
            Refusal::NobodyOrDuplicate if self.is_known(&node, hash, timestamp_ns).await => Ok(()),
            Refusal::NobodyOrDuplicate | Refusal::Nobody => Err(PublishError::NoPeers),
            Refusal::Other(error) => Err(error),
        }
    }

    /// Whether a message was refused because it is out already. The library answers alike when
    /// nobody is there.
    async fn is_known(&self, node: &Node, hash: MessageHash, timestamp_ns: i64) -> bool {
        let (sure, uncertain) = {
            let (mut known, now) = (lock(&self.known), Instant::now());
            let sure = known.accepted.contains(&hash, now) || known.received.contains(&hash, now);
            (sure, known.uncertain.contains(&hash, now))
        };
        if sure {
            return true;
        }
        let somebody_there = match &self.way {
            Way::Relay => {
                let carriers = keeper::carriers(node, &self.pubsub_topic).await;
                carriers.is_ok_and(|carriers| !carriers.is_empty())
            }
            Way::Edge(edge) => edge.can_publish(),
        };
        // This may be the answer to an earlier attempt that never got one; or somebody else has
        // published it, and a Store has had the time to note it.
        let stored = async {
            let verdict = timeout(KNOWN_PATIENCE, self.verdict(hash, timestamp_ns)).await;
            verdict == Ok(Verdict::Stored)
        };
        somebody_there && (uncertain || stored.await)
    }

    /// What a Store says to a message.
    pub(super) async fn verdict(&self, hash: MessageHash, timestamp_ns: i64) -> Verdict {
        match &self.confirmer {
            Some(confirmer) => confirmer.verdict(hash, timestamp_ns).await,
            None => Verdict::Unknown,
        }
    }
}

/// Remembers a message for which the library was called and gave no answer, also if that is because
/// nobody waited for it.
struct Unanswered<'a> {
    known: &'a Mutex<Known>,
    hash: MessageHash,
    so_far: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.so_far {
            lock(self.known).uncertain.insert(self.hash, Instant::now());
        }
    }
}

/// Reads an error out of the library's words, or those of the drop-in.
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
                return Refusal::NobodyOrDuplicate;
            }
            // Lightpush, of the library and of the drop-in.
            if says(&["no suitable remote peers", "dial_failure", "no connected peer offers"]) {
                return Refusal::Nobody;
            }
            PublishError::Failed(text)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_out_of_the_librarys_words() {
        let read = |text: &str| refusal(CallError::Failed(text.to_owned()));
        for text in [
            "libwaku error: PUBLISH failed: NoPeersToPublish",
            "not_published_to_any_peer",
            "the lightpush server answered 505: no connected peer is subscribed to the topic",
            "the lightpush server answered 420: the message was already seen",
        ] {
            assert_eq!(read(text), Refusal::NobodyOrDuplicate, "{text}");
        }
        for text in ["failed to lightpublish message, no suitable remote peers", "dial_failure"] {
            assert_eq!(read(text), Refusal::Nobody, "{text}");
        }
        let busy = "the lightpush server answered 429: too many requests";
        assert_eq!(read(busy), Refusal::Other(PublishError::Failed(busy.to_owned())));
        let timeout = refusal(CallError::Timeout);
        assert_eq!(timeout, Refusal::Other(PublishError::Timeout));
    }
}
