//! What an installation log says, a second time: by the whole set of its entries, of which nothing
//! was ever left out.

use chat_core::identity::{Author, Entry, EntryBody};
use chat_core::ids::{EntryHash, InstallationId};

/// The enrolments that stand, by depth and then by hash, one for each installation.
pub fn standing(entries: &[&Entry]) -> Vec<EntryHash> {
    let set = Set { entries };
    let mut out: Vec<&Entry> = Vec::new();
    for e in entries {
        if enrols(e) && set.counts(e) && !set.revokes(&subject(e)).any(|r| set.strikes(r, e)) {
            out.push(e);
        }
    }
    out.sort_by_key(|e| (e.depth(), e.hash()));
    let mut seen: Vec<InstallationId> = Vec::new();
    out.retain(|e| {
        let first = !seen.contains(&subject(e));
        seen.push(subject(e));
        first
    });
    out.iter().map(|e| e.hash()).collect()
}

/// Whether `a` is an ancestor of `b`.
pub fn is_ancestor(entries: &[&Entry], a: &EntryHash, b: &EntryHash) -> bool {
    entries
        .iter()
        .find(|e| e.hash() == *b)
        .is_some_and(|e| e.parents().iter().any(|p| p == a || is_ancestor(entries, a, p)))
}

fn enrols(e: &Entry) -> bool {
    matches!(e.body(), EntryBody::Create { .. } | EntryBody::Add { .. })
}

fn subject(e: &Entry) -> InstallationId {
    e.body().installation()
}

struct Set<'a> {
    entries: &'a [&'a Entry],
}

impl<'a> Set<'a> {
    fn below(&self, a: &Entry, b: &Entry) -> bool {
        is_ancestor(self.entries, &a.hash(), &b.hash())
    }

    fn enrolments(&self, x: InstallationId) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().copied().filter(move |e| enrols(e) && subject(e) == x)
    }

    fn revokes(&self, x: &InstallationId) -> impl Iterator<Item = &'a Entry> {
        let x = *x;
        let revoke = |e: &Entry| matches!(e.body(), EntryBody::Revoke { .. });
        self.entries.iter().copied().filter(move |e| revoke(e) && subject(e) == x)
    }

    /// "An entry by the account key counts. An entry by installation X counts if it counts through
    /// some enrolment of X."
    fn counts(&self, e: &Entry) -> bool {
        match e.author() {
            Author::Account => true,
            Author::Installation(x) => self.enrolments(x).any(|a| self.counts_through(e, a)),
        }
    }

    /// "a < e, a counts, and each Revoke r of X that strikes a spares e."
    fn counts_through(&self, e: &Entry, a: &Entry) -> bool {
        let own = |r: &Entry| {
            matches!(r.body(), EntryBody::Revoke { .. })
                && r.author() == Author::Installation(subject(r))
        };
        self.below(a, e)
            && self.counts(a)
            && self
                .revokes(&subject(a))
                // "If e is a Revoke of X by X, the Revokes of X by X are left out of this."
                .filter(|r| !(own(e) && own(r)))
                .all(|r| !self.strikes(r, a) || self.spares(r, e))
    }

    /// "If e is its last_valid, or an ancestor of that."
    fn spares(&self, r: &Entry, e: &Entry) -> bool {
        match r.body() {
            EntryBody::Revoke { last_valid: Some(last), .. } => {
                *last == e.hash() || is_ancestor(self.entries, &e.hash(), last)
            }
            _ => false,
        }
    }

    fn strikes(&self, r: &Entry, a: &Entry) -> bool {
        let Author::Installation(z) = r.author() else {
            return true;
        };
        if a.author() == Author::Account && self.below(r, a) {
            return false;
        }
        if z == subject(a) {
            return self.below(a, r) && self.counts_through(r, a);
        }
        self.enrolments(z)
            .any(|c| self.below(c, a) && self.below(c, r) && self.counts_through(r, c))
    }
}
