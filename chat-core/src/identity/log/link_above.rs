//! The way from an entry up to the account key, one enrolment at a time.

use super::entry::{Author, Entry};
use super::graph::Log;
use super::state::LogState;

impl Log {
    /// The enrolment of an entry's author through which it was made: the latest on which it builds
    /// and that counts. The latest, since a Revoke that the account key undid is no warrant against
    /// what its author enrolled afterwards. For what a Checkpoint lists, whose own parents may be
    /// forgotten: the one that was kept.
    pub(in crate::identity) fn link_above(
        &self,
        entry: &Entry,
        state: &LogState,
    ) -> Option<&Entry> {
        let Author::Installation(author) = entry.author() else {
            return None;
        };
        let of_author = |e: &&Entry| {
            e.body().enrols() && e.body().installation() == author && e.depth() < entry.depth()
        };
        let mut placed = self.entries();
        placed.retain(|e| of_author(e) && self.is_senior(&e.hash(), &entry.hash()));
        placed.retain(|e| !state.void.contains(&e.hash()));
        let kept = || {
            let listed = self.entries().into_iter().filter(|e| self.lists(&e.hash()));
            let all = listed.chain(self.evidence.values());
            all.filter(of_author).max_by_key(|e| (e.depth(), e.hash()))
        };
        placed.pop().or_else(kept)
    }
}
