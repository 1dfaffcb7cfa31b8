//! From the set of entries to the installations of the account.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::entry::{Author, EntryBody};
use super::graph::Log;
use super::state::{InstallationInfo, LogState, Revocation};
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_INSTALLATIONS;

/// Whether an entry counts, and if not, the Revoke that voids it.
type Verdict = Result<(), usize>;

/// The evaluation, by places in the log's list.
///
/// What counts is defined by recursion. An entry by an installation X counts if it counts *through*
/// some enrolment `a` of X: `a` is among its ancestors, `a` itself counts, and no Revoke that
/// strikes `a` cuts the entry off. A Revoke by an installation Z strikes `a` if it counts through
/// an enrolment of Z that is an ancestor of `a`. So each question leads to questions about
/// enrolments further up only, and the recursion ends.
struct Evaluation<'a> {
    log: &'a Log,
    enrolments: BTreeMap<InstallationId, Vec<usize>>,
    revokes: BTreeMap<InstallationId, Vec<usize>>,
    through: HashMap<(usize, usize), Verdict>,
    strikes: HashMap<(usize, usize), bool>,
}

impl LogState {
    /// Evaluates a log. It does not depend on the order in which the entries came.
    pub fn of(log: &Log) -> Self {
        Evaluation::new(log).run()
    }
}

impl Log {
    /// Which installations the account has, by all that is known. Evaluated once and kept until the
    /// log changes.
    pub fn state(&self) -> &LogState {
        self.state.get_or_init(|| LogState::of(self))
    }

    /// The enrolments that count and that nothing strikes, surplus ones among them.
    pub(super) fn standing(&self) -> BTreeSet<EntryHash> {
        let mut evaluation = Evaluation::new(self);
        (0..self.len())
            .filter(|place| self.at(*place).body().enrols())
            .filter(|place| {
                evaluation.counts(*place).is_ok() && evaluation.struck(*place).is_none()
            })
            .map(|place| self.at(place).hash())
            .collect()
    }
}

impl<'a> Evaluation<'a> {
    fn new(log: &'a Log) -> Self {
        let mut enrolments: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut revokes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        // In an order that is the same for everyone, so that of several causes all name the same.
        for entry in log.entries() {
            let Some(place) = log.place(&entry.hash()) else {
                continue;
            };
            let list = match (entry.body().enrols(), entry.body().revokes()) {
                (true, _) => &mut enrolments,
                (_, true) => &mut revokes,
                // What a Checkpoint says is in the places of what it lists.
                _ => continue,
            };
            list.entry(entry.body().installation()).or_default().push(place);
        }
        Self { log, enrolments, revokes, through: HashMap::new(), strikes: HashMap::new() }
    }
}

impl Evaluation<'_> {
    fn run(mut self) -> LogState {
        let mut state = LogState::default();
        for place in 0..self.log.len() {
            if !self.log.at(place).is_checkpoint() && self.counts(place).is_err() {
                state.void.insert(self.log.at(place).hash());
            }
        }
        let mut standing = Vec::new();
        for (id, places) in self.enrolments.clone() {
            let mut cause = None;
            let mut found = None;
            for place in places {
                let verdict = match self.counts(place) {
                    Ok(()) => self.struck(place).map_or(Ok(()), |revoke| Err((revoke, false))),
                    Err(revoke) => Err((revoke, true)),
                };
                match verdict {
                    // The first is the most senior.
                    Ok(()) => found = found.or(Some(place)),
                    Err(why) => cause = cause.or(Some(why)),
                }
            }
            match (found, cause) {
                (Some(place), _) => standing.push((id, place)),
                (None, Some((revoke, inherited))) => {
                    let entry = self.log.at(revoke);
                    let revocation =
                        Revocation { by: entry.author(), entry: entry.hash(), inherited };
                    state.revoked.insert(id, revocation);
                }
                (None, None) => {}
            }
        }
        standing.sort_unstable_by_key(|(_, place)| {
            let entry = self.log.at(*place);
            (entry.depth(), entry.hash())
        });
        for (rank, (id, place)) in standing.into_iter().enumerate() {
            let entry = self.log.at(place);
            if rank >= MAX_INSTALLATIONS {
                state.surplus.insert(id);
                continue;
            }
            let info = InstallationInfo {
                added_by: entry.author(),
                added_at: entry.issued_at(),
                entry: entry.hash(),
                seniority: entry.depth(),
            };
            state.active.insert(id, info);
        }
        state
    }

    fn counts(&mut self, entry: usize) -> Verdict {
        let Author::Installation(author) = self.log.at(entry).author() else {
            return Ok(());
        };
        let mut cause = None;
        let enrolments = self.enrolments.get(&author).cloned().unwrap_or_default();
        // What a Checkpoint lists counts by its word, unless it lists the author too, or the one
        // that enrolled the author: then it falls with what that one did.
        if self.log.is_listed(entry) {
            return match self.log.hangs_on(entry) {
                Some(enrolment) => self.through(entry, enrolment),
                None => Ok(()),
            };
        }
        for enrolment in enrolments {
            if self.log.below(enrolment, entry) {
                match self.through(entry, enrolment) {
                    Ok(()) => return Ok(()),
                    Err(revoke) => cause = cause.or(Some(revoke)),
                }
            }
        }
        // A log takes no entry whose author is not enrolled among its ancestors, so there is a
        // cause.
        Err(cause.unwrap_or(entry))
    }

    fn through(&mut self, entry: usize, enrolment: usize) -> Verdict {
        if let Some(verdict) = self.through.get(&(entry, enrolment)) {
            return *verdict;
        }
        let verdict = self.work_out(entry, enrolment);
        self.through.insert((entry, enrolment), verdict);
        verdict
    }

    fn work_out(&mut self, entry: usize, enrolment: usize) -> Verdict {
        self.counts(enrolment)?;
        let subject = self.log.at(enrolment).body().installation();
        // An installation that takes itself out does not cut off the very statement.
        let takes_itself_out = self.revokes_itself(entry);
        for revoke in self.revokes.get(&subject).cloned().unwrap_or_default() {
            if takes_itself_out && self.revokes_itself(revoke) {
                continue;
            }
            if self.strikes(revoke, enrolment) && !self.spares(revoke, entry) {
                return Err(revoke);
            }
        }
        Ok(())
    }

    /// The Revoke, if there is one, by which this enrolment does not stand.
    fn struck(&mut self, enrolment: usize) -> Option<usize> {
        let subject = self.log.at(enrolment).body().installation();
        let revokes = self.revokes.get(&subject).cloned().unwrap_or_default();
        revokes.into_iter().find(|revoke| self.strikes(*revoke, enrolment))
    }

    fn strikes(&mut self, revoke: usize, enrolment: usize) -> bool {
        if let Some(answer) = self.strikes.get(&(revoke, enrolment)) {
            return *answer;
        }
        let answer = self.is_struck_by(revoke, enrolment);
        self.strikes.insert((revoke, enrolment), answer);
        answer
    }

    fn is_struck_by(&mut self, revoke: usize, enrolment: usize) -> bool {
        let Author::Installation(by) = self.log.at(revoke).author() else {
            return true;
        };
        let by_account = self.log.at(enrolment).author() == Author::Account;
        if by_account && self.log.below(revoke, enrolment) {
            return false;
        }
        if self.revokes_itself(revoke) {
            return self.log.below(enrolment, revoke) && self.through(revoke, enrolment).is_ok();
        }
        self.enrolments.get(&by).cloned().unwrap_or_default().into_iter().any(|own| {
            self.log.below(own, enrolment)
                && self.log.below(own, revoke)
                && self.through(revoke, own).is_ok()
        })
    }

    /// Whether the Revoke lets an entry of its subject count: the last valid one and its ancestors.
    fn spares(&self, revoke: usize, entry: usize) -> bool {
        match self.log.at(revoke).body() {
            EntryBody::Revoke { last_valid: Some(last), .. } => self
                .log
                .place(last)
                .is_some_and(|last| last == entry || self.log.below(entry, last)),
            _ => false,
        }
    }

    fn revokes_itself(&self, entry: usize) -> bool {
        let entry = self.log.at(entry);
        entry.body().revokes()
            && entry.author() == Author::Installation(entry.body().installation())
    }
}
