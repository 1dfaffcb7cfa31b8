//! What the library remembers.
//!
//! The library refuses to publish what it has seen within two minutes, and gives back as an event what
//! this node published itself, even if publishing failed. It gives the same error for a duplicate and
//! for the lack of peers. To tell these apart, this keeps what the library is known to know.

use std::time::{Duration, Instant};

use crate::message::MessageHash;
use crate::window::Window;

/// How long the library remembers a message and refuses to publish it again.
const LIBRARY_REMEMBERS: Duration = Duration::from_secs(120);

/// Most messages in each list.
const MAX_KNOWN: usize = 65_536;

/// Messages that the library knows and will call duplicates.
pub(super) struct LibraryMemory {
    /// Messages that this node was asked to publish.
    own: Window,
    /// Messages that the library accepted.
    accepted: Window,
    /// Messages of which the library did not say whether it accepted them.
    unanswered: Window,
    /// Messages of others that came in.
    received: Window,
}

/// What is known about a message that the library may have refused as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It was accepted before, or came in from others: it is a duplicate.
    Duplicate,
    /// An earlier attempt had no answer, and may have succeeded.
    Unanswered,
    /// Nothing was seen of it here.
    New,
}

impl LibraryMemory {
    pub(super) fn new() -> Self {
        let window = || Window::new(MAX_KNOWN, LIBRARY_REMEMBERS);
        Self { own: window(), accepted: window(), unanswered: window(), received: window() }
    }

    /// The node is asked to publish a message.
    pub(super) fn publishing(&mut self, hash: MessageHash, now: Instant) {
        self.own.insert(hash, now);
    }

    /// The library accepted a message.
    pub(super) fn accepted(&mut self, hash: MessageHash, now: Instant) {
        self.accepted.insert(hash, now);
    }

    /// The library gave no answer, or the caller did not wait for it.
    pub(super) fn unanswered(&mut self, hash: MessageHash, now: Instant) {
        self.unanswered.insert(hash, now);
    }

    /// A message came in as an event. Returns whether it is from others, rather than from this node.
    pub(super) fn received(&mut self, hash: MessageHash, now: Instant) -> bool {
        if self.own.contains(&hash, now) {
            return false;
        }
        self.received.insert(hash, now);
        true
    }

    pub(super) fn knowledge(&mut self, hash: &MessageHash, now: Instant) -> Knowledge {
        if self.accepted.contains(hash, now) || self.received.contains(hash, now) {
            Knowledge::Duplicate
        } else if self.unanswered.contains(hash, now) {
            Knowledge::Unanswered
        } else {
            Knowledge::New
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_duplicate_once_it_was_accepted_or_came_from_others() {
        let (now, hash) = (Instant::now(), |n| MessageHash([n; 32]));
        let mut memory = LibraryMemory::new();
        for n in 0..3 {
            memory.publishing(hash(n), now);
            assert_eq!(memory.knowledge(&hash(n), now), Knowledge::New);
        }
        // It comes back as an event even if it was not sent to any peer.
        assert!(!memory.received(hash(0), now));
        assert_eq!(memory.knowledge(&hash(0), now), Knowledge::New);
        memory.unanswered(hash(1), now);
        assert_eq!(memory.knowledge(&hash(1), now), Knowledge::Unanswered);
        memory.accepted(hash(1), now);
        assert_eq!(memory.knowledge(&hash(1), now), Knowledge::Duplicate);
        assert!(memory.received(hash(9), now));
        assert_eq!(memory.knowledge(&hash(9), now), Knowledge::Duplicate);
        assert_eq!(memory.knowledge(&hash(9), now + LIBRARY_REMEMBERS), Knowledge::New);
    }
}
