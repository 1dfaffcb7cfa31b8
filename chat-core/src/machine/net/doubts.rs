//! Doubts: something came in a group that is not understood, so that something else may be missing
//! here. Most doubts are gone within seconds, since relay keeps no order. One that stays is looked
//! into: a Store is asked, a few times, less and less often. If that does not help, the application is
//! told that the group is behind.
//!
//! Strangers can cause doubts too: they see a group's topics and can publish there. So the looks are
//! counted, all doubts share one fetch, and what only a stranger may have caused is no reason to say
//! anything where members are understood still.
//!
//! This part knows when to look. Whether a group is in doubt, the group says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use crate::database::Database;
use crate::ids::GroupId;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::params::{DOUBT_LOOKS, DOUBT_PATIENCE, DOUBT_PATIENCE_MIN, DOUBT_PAUSE, DOUBT_REACH};
use crate::time::Timestamp;

/// Where the doubts are in the database.
const DOUBTS: &str = "doubts";

/// What of a group is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Unexplained {
    /// Nothing.
    Nothing,
    /// One account alone says that something is missing.
    Claimed,
    /// Envelopes that no root opens. Anybody can make them.
    Unopened,
    /// Frames of unknown epochs, or numbers that their authors signed: only members make those.
    ByMembers,
}

/// A group in doubt.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Doubt {
    /// When the doubt arose.
    since: Timestamp,
    /// When it was renewed: what would explain it was sent not long before.
    from: Timestamp,
    /// When it is looked into next; none: not before it is renewed.
    due: Option<Timestamp>,
    /// From when on it can be renewed.
    rests_until: Timestamp,
    /// How often a Store was asked because of it.
    looks: u32,
    /// How many looks have reached further and further back.
    reached: u32,
    /// A Store is being asked.
    asked: bool,
    /// It was asked since the doubt was renewed, and had no explanation.
    unanswered: bool,
    /// Something of the group was understood since.
    heard: bool,
    /// The application was told.
    told: bool,
}

/// The groups in doubt.
#[derive(Debug, Default)]
pub(in crate::machine) struct Doubts {
    all: BTreeMap<GroupId, Doubt>,
    changed: bool,
}

impl Doubts {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        self.all = db.meta(DOUBTS)?.unwrap_or_default();
        self.changed = false;
        Ok(())
    }

    /// Writes down what changed, so that a restart ends no doubt.
    pub(in crate::machine) fn save(&mut self, db: &Database) -> Result<(), StepError> {
        if std::mem::take(&mut self.changed) {
            db.set_meta(DOUBTS, &self.all)?;
        }
        Ok(())
    }

    /// Something came that is not understood.
    pub(in crate::machine) fn note(&mut self, cx: &Cx, group: GroupId) {
        let patience = cx.params.part_of_slot(DOUBT_PATIENCE).max(DOUBT_PATIENCE_MIN);
        let due = Some(cx.now + patience);
        match self.all.get_mut(&group) {
            None => {
                let doubt = Doubt {
                    since: cx.now,
                    from: cx.now,
                    due,
                    rests_until: cx.now,
                    looks: 0,
                    reached: 0,
                    asked: false,
                    unanswered: false,
                    heard: false,
                    told: false,
                };
                self.all.insert(group, doubt);
            }
            Some(it) if it.due.is_none() && !it.asked && cx.now >= it.rests_until => {
                // One more look, and then it rests again: whoever goes on making noise gets no more.
                (it.from, it.due) = (cx.now, due);
                (it.heard, it.unanswered) = (false, false);
                it.looks = DOUBT_LOOKS.saturating_sub(1);
                if it.reached >= DOUBT_LOOKS {
                    it.reached = 1;
                }
            }
            Some(_) => return,
        }
        self.changed = true;
    }

    /// Something of a group was understood. True: the group is in doubt, so that this may be its end.
    pub(in crate::machine) fn heard(&mut self, group: &GroupId) -> bool {
        let Some(doubt) = self.all.get_mut(group) else { return false };
        self.changed |= !std::mem::replace(&mut doubt.heard, true);
        true
    }

    /// When a doubt is looked into next.
    pub(in crate::machine) fn next_due(&self) -> Option<Timestamp> {
        self.all.values().filter_map(|doubt| doubt.due).min()
    }

    /// The groups that are looked into now.
    pub(in crate::machine) fn due(&self, now: Timestamp) -> Vec<GroupId> {
        let due = |doubt: &Doubt| doubt.due.is_some_and(|at| at <= now);
        self.all.iter().filter(|(_, doubt)| due(doubt)).map(|(group, _)| *group).collect()
    }

    /// The groups for which a Store is being asked.
    pub(in crate::machine) fn asked(&self) -> Vec<GroupId> {
        self.all.iter().filter(|(_, doubt)| doubt.asked).map(|(group, _)| *group).collect()
    }

    /// A Store is asked because of a group. From when on: what a member's word says is missing may have been
    /// sent long before, so each further look for that reaches further back.
    pub(in crate::machine) fn ask(
        &mut self,
        cx: &Cx,
        group: &GroupId,
        unexplained: Unexplained,
    ) -> Option<Timestamp> {
        let doubt = self.all.get_mut(group)?;
        (doubt.due, doubt.asked) = (None, true);
        doubt.looks = doubt.looks.saturating_add(1);
        self.changed = true;
        let back = match unexplained {
            Unexplained::Claimed | Unexplained::ByMembers if doubt.reached > 0 => {
                let slots = DOUBT_REACH.saturating_pow(doubt.reached.min(DOUBT_LOOKS));
                cx.params.part_of_slot(1).saturating_mul(slots)
            }
            _ => Duration::ZERO,
        };
        doubt.reached = doubt.reached.saturating_add(1);
        Some(doubt.from - back)
    }

    /// Takes in how a group is by now, and says what the application is to be told of it.
    pub(in crate::machine) fn review(
        &mut self,
        group: &GroupId,
        unexplained: Unexplained,
    ) -> Option<Event> {
        let doubt = self.all.get_mut(group)?;
        // Before a Store was asked nothing is sure; and after that, a stranger may be at it.
        let is_behind = match unexplained {
            Unexplained::Nothing | Unexplained::Claimed => false,
            Unexplained::Unopened => doubt.unanswered && !doubt.heard,
            Unexplained::ByMembers => doubt.told || doubt.unanswered,
        };
        let was_told = std::mem::replace(&mut doubt.told, is_behind);
        let (group, since) = (*group, doubt.since);
        if unexplained == Unexplained::Nothing {
            self.all.remove(&group);
        }
        self.changed = true;
        match (was_told, is_behind) {
            (false, true) => Some(Event::GroupBehind { group, since }),
            (true, false) => Some(Event::GroupCaughtUp { group }),
            _ => None,
        }
    }

    /// A Store was asked, and what it has was taken in, or there is none.
    pub(in crate::machine) fn answered(&mut self, cx: &Cx, group: &GroupId) {
        let slot = cx.params.part_of_slot(1);
        let pauses = Backoff::new(cx.params.part_of_slot(DOUBT_PAUSE), slot);
        if let Some(doubt) = self.all.get_mut(group) {
            (doubt.asked, doubt.unanswered) = (false, true);
            if doubt.looks < DOUBT_LOOKS {
                doubt.due = Some(cx.now + pauses.pause(doubt.looks.saturating_sub(1)));
            } else {
                doubt.rests_until = cx.now + slot;
            }
            self.changed = true;
        }
    }

    /// No pause is longer than a slot: one that is comes from a clock that was ahead then.
    pub(in crate::machine) fn bound_pauses(&mut self, cx: &Cx) {
        let latest = cx.now + cx.params.part_of_slot(1).max(DOUBT_PATIENCE_MIN);
        for doubt in self.all.values_mut() {
            doubt.due = doubt.due.map(|at| at.min(latest));
            doubt.rests_until = doubt.rests_until.min(latest);
        }
    }

    /// Forgets groups that are no concern any more.
    pub(in crate::machine) fn retain(&mut self, keep: impl Fn(&GroupId) -> bool) {
        let before = self.all.len();
        self.all.retain(|group, _| keep(group));
        self.changed |= self.all.len() != before;
    }
}

#[cfg(test)]
#[path = "doubts_tests.rs"]
mod tests;
