//! A memory of message hashes, bounded in count and in age.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::message::MessageHash;

/// Recently seen hashes. A message whose hash was forgotten is delivered again, which does no harm.
#[derive(Debug)]
pub(crate) struct Window {
    order: VecDeque<(Instant, MessageHash)>,
    members: HashSet<MessageHash>,
    max_len: usize,
    max_age: Duration,
}

impl Window {
    pub(crate) fn new(max_len: usize, max_age: Duration) -> Self {
        Self { order: VecDeque::new(), members: HashSet::new(), max_len, max_age }
    }

    /// Adds a hash; false if it was there already. Seeing it again does not renew it, so that a
    /// duplicate that keeps coming is forgotten too.
    pub(crate) fn insert(&mut self, hash: MessageHash, now: Instant) -> bool {
        self.expire(now);
        if !self.members.insert(hash) {
            return false;
        }
        self.order.push_back((now, hash));
        if self.order.len() > self.max_len {
            self.forget_oldest();
        }
        true
    }

    pub(crate) fn contains(&mut self, hash: &MessageHash, now: Instant) -> bool {
        self.expire(now);
        self.members.contains(hash)
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= self.max_age) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, hash)) = self.order.pop_front() {
            self.members.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> MessageHash {
        MessageHash([n; 32])
    }

    #[test]
    fn forgets_by_count_and_by_age() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(2, Duration::from_secs(10));
        assert!(window.insert(hash(1), start));
        assert!(!window.insert(hash(1), start));
        assert!(window.insert(hash(2), start));
        assert!(window.insert(hash(3), after(1)));
        assert!(!window.contains(&hash(1), after(1)) && window.contains(&hash(2), after(1)));
        assert!(!window.insert(hash(3), after(10)));
        assert!(!window.contains(&hash(2), after(10)));
        assert!(!window.contains(&hash(3), after(11)));
        assert!(window.order.is_empty() && window.members.is_empty());
    }
}
