//! From the set of entries to the installations of the account.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::entry::{Author, EntryBody};
use super::log::Log;
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_INSTALLATIONS;
use crate::time::Timestamp;

/// An installation that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationInfo {
    /// Who enrolled it.
    pub added_by: Author,
    /// When, by the clock of who did.
    pub added_at: Timestamp,
    /// The entry that did.
    pub entry: EntryHash,
    /// Depth of that entry in the graph: lower is more senior. It puts installations in an order;
    /// the right to revoke asks for descent, which is more ([`Log::is_senior`]).
    pub seniority: u32,
}

/// Why an installation is not active any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who took it out. For an installation that fell with the one that had added it, who took
    /// that one out.
    pub by: Author,
    /// The Revoke.
    pub entry: EntryHash,
    /// Whether the Revoke is of another installation, whose entries were voided and this with them.
    pub inherited: bool,
}

/// What a log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogState {
    /// Installations that belong to the account.
    pub active: BTreeMap<InstallationId, InstallationInfo>,
    /// Installations that once were enrolled and are not active.
    pub revoked: BTreeMap<InstallationId, Revocation>,
    /// Installations that would be active, were there not [`MAX_INSTALLATIONS`] more senior ones.
    /// Only adding at the same time on several devices makes any.
    pub surplus: BTreeSet<InstallationId>,
    /// Entries that count for nothing: their author was revoked, and not after them.
    pub void: BTreeSet<EntryHash>,
}

/// Whether an entry counts, and if not, the Revoke that voids it.
type Verdict = Result<(), usize>;

/// The evaluation, by places in the log's list.
///
/// What counts is defined by recursion. An entry by an installation X counts if it counts *through*
/// some enrolment `a` of X: `a` is among its ancestors, `a` itself counts, and no Revoke that
/// strikes `a` cuts the entry off. A Revoke by an installation Z strikes `a` if it counts through an
/// enrolment of Z that is an ancestor of `a`. So each question leads to questions about enrolments
/// further up only, and the recursion ends.
struct Evaluation<'a> {
    log: &'a Log,
    enrolments: BTreeMap<InstallationId, Vec<usize>>,
    revokes: BTreeMap<InstallationId, Vec<usize>>,
    through: HashMap<(usize, usize), Verdict>,
    strikes: HashMap<(usize, usize), bool>,
}

pub(super) fn evaluate(log: &Log) -> LogState {
    Evaluation::new(log).run()
}

/// The enrolments that count and that nothing strikes.
pub(super) fn standing(log: &Log) -> BTreeSet<EntryHash> {
    let mut evaluation = Evaluation::new(log);
    (0..log.len())
        .filter(|place| log.at(*place).body().enrols())
        .filter(|place| evaluation.counts(*place).is_ok() && evaluation.struck(*place).is_none())
        .map(|place| log.at(place).hash())
        .collect()
}

impl<'a> Evaluation<'a> {
    fn new(log: &'a Log) -> Self {
        let mut enrolments: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut revokes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        // In an order that is the same for everybody, so that of several causes all name the same.
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
        // What a Checkpoint lists counts by its word, unless it lists the author too, or whoever
        // enrolled the author: then it falls with what that one did.
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
        // A log takes no entry whose author is not enrolled among its ancestors, so there is a cause.
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
