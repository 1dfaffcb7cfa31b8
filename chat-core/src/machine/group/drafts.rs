//! Drafts: what is to be said in the group and is not encrypted yet. A draft that goes out within the
//! step that made it is never written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::database::Database;
use crate::ids::{GroupId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::time::Timestamp;

/// What a draft says.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum DraftBody {
    /// A text for people.
    Text(Zeroizing<String>),
    /// What the installations of this account tell one another.
    Sync(#[serde(with = "serde_bytes")] Vec<u8>),
    /// This installation's wish to leave, its last word: signed when it goes out, since it names
    /// its own number.
    LeaveWish,
}

/// A message that waits to be encrypted.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Draft {
    pub(super) salt: [u8; 16],
    pub(super) body: DraftBody,
    pub(super) written_at: Timestamp,
    /// Not before this.
    pub(super) due_at: Timestamp,
    /// Not while one of these is a member: they were revoked.
    pub(super) not_to: Vec<InstallationId>,
    /// Its row in the history, if it is there already.
    pub(super) row: Option<u64>,
}

struct Waiting {
    draft: Draft,
    /// The database has a row of it.
    stored: bool,
    /// The row is to be written, for the first time or anew.
    changed: bool,
}

/// The drafts of a group, in the order in which they were written.
#[derive(Default)]
pub(in crate::machine) struct Drafts {
    waiting: BTreeMap<u64, Waiting>,
}

impl Drafts {
    pub(super) fn load(db: &Database, group: &GroupId) -> Result<Self, StepError> {
        let rows = db.drafts::<Draft>(group)?;
        let waiting = |(number, draft)| (number, Waiting { draft, stored: true, changed: false });
        Ok(Self { waiting: rows.into_iter().map(waiting).collect() })
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, draft: Draft) {
        let number = self.waiting.keys().next_back().map_or(1, |last| last.saturating_add(1));
        self.waiting.insert(number, Waiting { draft, stored: false, changed: true });
    }

    /// The oldest that may go now. `is_member`: whether an installation is in the group.
    pub(super) fn first_due(
        &self,
        now: Timestamp,
        is_member: impl Fn(&InstallationId) -> bool,
    ) -> Option<(u64, &Draft)> {
        let goes = |draft: &Draft| draft.due_at <= now && !draft.not_to.iter().any(&is_member);
        let mut all = self.waiting.iter().map(|(number, waiting)| (*number, &waiting.draft));
        all.find(|(_, draft)| goes(draft))
    }

    /// When the next one is due that does not wait for a removal.
    pub(super) fn next_due(
        &self,
        is_member: impl Fn(&InstallationId) -> bool,
    ) -> Option<Timestamp> {
        let drafts = self.waiting.values().map(|waiting| &waiting.draft);
        drafts.filter(|draft| !draft.not_to.iter().any(&is_member)).map(|it| it.due_at).min()
    }

    /// Takes one out: it was encrypted, or cannot be any more.
    pub(super) fn remove(
        &mut self,
        cx: &Cx,
        group: &GroupId,
        number: u64,
    ) -> Result<Option<Draft>, StepError> {
        let Some(waiting) = self.waiting.remove(&number) else { return Ok(None) };
        if waiting.stored {
            cx.db.delete_draft(group, number)?;
        }
        Ok(Some(waiting.draft))
    }

    /// Puts one off.
    pub(super) fn postpone(&mut self, number: u64, due_at: Timestamp) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.draft.due_at = due_at;
            waiting.changed = true;
        }
    }

    /// Whether a wish to leave waits.
    pub(super) fn has_wish(&self) -> bool {
        let mut bodies = self.waiting.values().map(|waiting| &waiting.draft.body);
        bodies.any(|body| matches!(body, DraftBody::LeaveWish))
    }

    /// All that wait.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// Writes those that are not in the database; `show` gives each its place in the history.
    pub(super) fn save(
        &mut self,
        cx: &Cx,
        group: &GroupId,
        mut show: impl FnMut(&Cx, &mut Draft) -> Result<(), StepError>,
    ) -> Result<(), StepError> {
        for (number, waiting) in &mut self.waiting {
            if std::mem::take(&mut waiting.changed) {
                waiting.stored = true;
                show(cx, &mut waiting.draft)?;
                cx.db.set_draft(group, *number, &waiting.draft)?;
            }
        }
        Ok(())
    }
}
