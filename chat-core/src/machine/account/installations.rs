//! What is known of the account's own installations besides its log: names, key packages, when they
//! were last heard.

use serde::{Deserialize, Serialize};

use super::me::Me;
use crate::database::Keyed;
use crate::identity::log::Author;
use crate::ids::{EntryHash, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::api::view::RevocationView;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::time::Timestamp;

/// Seconds after which it is written again that an installation was heard: exact enough for people.
const SEEN_SECS: u64 = 60;

/// What is known of an installation of the account, this one included.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct OwnInstallation {
    pub(in crate::machine) id: InstallationId,
    pub(in crate::machine) name: Option<String>,
    pub(in crate::machine) named_at: Timestamp,
    /// Its newest key package; empty: none is known.
    #[serde(with = "serde_bytes")]
    pub(in crate::machine) package: Vec<u8>,
    /// Until when that may be used.
    pub(in crate::machine) usable_until: Option<Timestamp>,
    /// Since when it can be added to groups from here.
    pub(in crate::machine) known_since: Option<Timestamp>,
    /// When something of it came last, by the time at which it was sent.
    pub(in crate::machine) last_seen: Option<Timestamp>,
    /// That it was revoked: a log that was compacted does not tell any more.
    pub(in crate::machine) revoked: Option<RevocationView>,
}

impl OwnInstallation {
    fn new(id: InstallationId) -> Self {
        Self {
            id,
            name: None,
            named_at: Timestamp(0),
            package: Vec::new(),
            usable_until: None,
            known_since: None,
            last_seen: None,
            revoked: None,
        }
    }

    /// What is known of an installation.
    pub(in crate::machine) fn of(cx: &Cx, id: &InstallationId) -> Result<Self, StepError> {
        let known = cx.db.keyed(Keyed::Installation, id.as_bytes())?;
        Ok(known.unwrap_or_else(|| Self::new(*id)))
    }

    /// All that something is known of.
    pub(in crate::machine) fn all(cx: &Cx) -> Result<Vec<Self>, StepError> {
        Ok(cx.db.all_keyed(Keyed::Installation)?)
    }

    /// All but this one.
    pub(in crate::machine) fn others(cx: &Cx, me: &Me) -> Result<Vec<Self>, StepError> {
        let mut all = Self::all(cx)?;
        all.retain(|record| record.id != me.id());
        Ok(all)
    }

    fn save(&self, cx: &Cx) -> Result<(), StepError> {
        Ok(cx.db.set_keyed(Keyed::Installation, self.id.as_bytes(), self)?)
    }

    /// Keeps a key package of another installation, with which it can be added to groups.
    pub(in crate::machine) fn keep_package(
        cx: &mut Cx,
        id: InstallationId,
        package: &[u8],
        usable_until: Timestamp,
    ) -> Result<(), StepError> {
        let mut record = Self::of(cx, &id)?;
        if record.usable_until.is_some_and(|known| known >= usable_until) {
            return Ok(());
        }
        record.package = package.to_vec();
        record.usable_until = Some(usable_until);
        record.known_since.get_or_insert(cx.now);
        cx.ask(Effect::Reconcile);
        record.save(cx)
    }

    /// Gives an installation a name, unless a later one is known.
    pub(in crate::machine) fn rename(
        cx: &Cx,
        id: InstallationId,
        name: &str,
        named_at: Timestamp,
    ) -> Result<(), StepError> {
        let record = Self::of(cx, &id)?;
        let known = (record.named_at, record.name.as_deref().unwrap_or_default());
        if known >= (named_at, name) {
            return Ok(());
        }
        Self { name: Some(name.into()), named_at, ..record }.save(cx)
    }

    /// Notes that something of an installation came.
    pub(in crate::machine) fn heard(cx: &Cx, id: &InstallationId) -> Result<(), StepError> {
        let record = Self::of(cx, id)?;
        let sent_at = cx.sent_at.min(cx.now);
        if record.last_seen.is_none_or(|seen| seen.secs() + SEEN_SECS <= sent_at.secs()) {
            Self { last_seen: Some(sent_at), ..record }.save(cx)?;
        }
        Ok(())
    }

    /// Remembers that an installation was revoked, and by what.
    pub(in crate::machine) fn note_revoked(
        cx: &Cx,
        me: &Me,
        id: &InstallationId,
        by: Option<(Author, EntryHash)>,
    ) -> Result<(), StepError> {
        let record = Self::of(cx, id)?;
        let at = by.and_then(|(_, entry)| Some(me.log().get(&entry)?.issued_at()));
        let by = by.and_then(|(author, _)| author_installation(author));
        let revoked = Some(RevocationView { by, at: at.unwrap_or(cx.now) });
        Self { revoked, ..record }.save(cx)
    }
}

/// The installation that signed a log entry; none: the account key did.
pub(in crate::machine) fn author_installation(author: Author) -> Option<InstallationId> {
    match author {
        Author::Account => None,
        Author::Installation(id) => Some(id),
    }
}

#[cfg(test)]
#[path = "installations_tests.rs"]
mod tests;
