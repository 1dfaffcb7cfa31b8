//! What is known of the account's own installations, besides its log: names, key packages, when
//! they were last heard. And what the user asks about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Answer;
use super::error::{CommandError, StepError};
use super::intents::Intent;
use super::people::check_length;
use super::view::{InstallationView, RevocationView};
use super::{Done, Machine};
use crate::identity::account::AccountKey;
use crate::identity::log::{Author, Entry, EntrySigner, Log, LogError};
use crate::identity::phrase::RecoveryPhrase;
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_NAME;
use crate::store::Keyed;
use crate::time::Timestamp;
use crate::wire::sync::SyncItem;

/// Seconds after which it is written again that an installation was heard: exact enough for people.
const SEEN_SECS: u64 = 60;

/// What is known of an own installation, this one included.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OwnRecord {
    pub(super) id: InstallationId,
    pub(super) name: Option<String>,
    pub(super) named_at: Timestamp,
    /// Its newest key package; empty: none is known.
    #[serde(with = "serde_bytes")]
    pub(super) package: Vec<u8>,
    /// Until when that may be used.
    pub(super) usable_until: Option<Timestamp>,
    /// Since when it can be added to groups from here.
    pub(super) known_since: Option<Timestamp>,
    /// When something of it came last, by the time at which it was sent.
    pub(super) last_seen: Option<Timestamp>,
    /// That it was revoked: a log that was compacted does not tell any more.
    #[serde(default)]
    pub(super) revoked: Option<RevocationView>,
}

impl OwnRecord {
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
}

impl Machine {
    /// What is known of an own installation.
    pub(super) fn own_record(&self, id: &InstallationId) -> Result<OwnRecord, StepError> {
        let known = self.store.keyed(Keyed::Installation, id.as_bytes())?;
        Ok(known.unwrap_or_else(|| OwnRecord::new(*id)))
    }

    /// What is known of the other installations.
    pub(super) fn own_records(&self) -> Result<Vec<OwnRecord>, StepError> {
        let mut all: Vec<OwnRecord> = self.store.all_keyed(Keyed::Installation)?;
        all.retain(|record| record.id != self.me.key.id());
        Ok(all)
    }

    pub(super) fn save_own_record(&self, record: &OwnRecord) -> Result<(), StepError> {
        Ok(self.store.set_keyed(Keyed::Installation, record.id.as_bytes(), record)?)
    }

    /// Keeps a key package of another installation, with which it can be added to groups.
    pub(super) fn keep_package(
        &mut self,
        id: InstallationId,
        package: &[u8],
        usable_until: Timestamp,
    ) -> Result<(), StepError> {
        let mut record = self.own_record(&id)?;
        if record.usable_until.is_some_and(|known| known >= usable_until) {
            return Ok(());
        }
        record.package = package.to_vec();
        record.usable_until = Some(usable_until);
        record.known_since.get_or_insert(self.now);
        self.reconcile_due = true;
        self.save_own_record(&record)
    }

    /// Gives an installation a name; false: a later one is known.
    pub(super) fn name_own(
        &mut self,
        id: InstallationId,
        name: &str,
        named_at: Timestamp,
    ) -> Result<bool, StepError> {
        let record = self.own_record(&id)?;
        let known = (record.named_at, record.name.as_deref().unwrap_or_default());
        if known >= (named_at, name) {
            return Ok(false);
        }
        self.save_own_record(&OwnRecord { name: Some(name.into()), named_at, ..record })?;
        Ok(true)
    }

    /// Notes that something of an own installation came.
    pub(super) fn saw_own(&mut self, id: &InstallationId) -> Result<(), StepError> {
        let record = self.own_record(id)?;
        let sent_at = self.handled_at.min(self.now);
        if record.last_seen.is_none_or(|seen| seen.secs() + SEEN_SECS <= sent_at.secs()) {
            self.save_own_record(&OwnRecord { last_seen: Some(sent_at), ..record })?;
        }
        Ok(())
    }

    /// Whether this installation belongs to its account still.
    pub(super) fn is_active(&self) -> bool {
        self.me.log.state().active.contains_key(&self.me.key.id())
    }

    /// The account's installations, senior ones first, then those that were revoked.
    ///
    /// # Errors
    /// Those of the database.
    pub fn installations(&self) -> Result<Vec<InstallationView>, StepError> {
        let state = self.me.log.state();
        let own = self.me.key.id();
        let mut out = Vec::new();
        let by = |author: Author| match author {
            Author::Account => None,
            Author::Installation(id) => Some(id),
        };
        let mut active: Vec<_> = state.active.iter().collect();
        active.sort_by_key(|(id, info)| (info.seniority, **id));
        for (id, info) in active {
            out.push(InstallationView {
                added_at: Some(info.added_at),
                added_by: by(info.added_by),
                may_revoke: self.me.log.may_revoke(Author::Installation(own), id),
                ..self.installation_view(id)?
            });
        }
        let mut revoked = BTreeMap::new();
        for (id, revocation) in &state.revoked {
            let at = self.me.log.get(&revocation.entry).map(|entry| entry.issued_at());
            let view = RevocationView { by: by(revocation.by), at: at.unwrap_or_default() };
            revoked.insert(*id, view);
        }
        for record in self.store.all_keyed::<OwnRecord>(Keyed::Installation)? {
            if let Some(view) = record.revoked.filter(|_| !state.active.contains_key(&record.id)) {
                revoked.entry(record.id).or_insert(view);
            }
        }
        for (id, revoked) in revoked {
            out.push(InstallationView { revoked: Some(revoked), ..self.installation_view(&id)? });
        }
        Ok(out)
    }

    /// Remembers that an installation was revoked, and by what.
    pub(super) fn note_revoked(
        &mut self,
        id: &InstallationId,
        by: Option<(Author, EntryHash)>,
    ) -> Result<(), StepError> {
        let record = self.own_record(id)?;
        let at = by.and_then(|(_, entry)| Some(self.me.log.get(&entry)?.issued_at()));
        let revoked = Some(RevocationView {
            by: by.and_then(|(author, _)| match author {
                Author::Account => None,
                Author::Installation(id) => Some(id),
            }),
            at: at.unwrap_or(self.now),
        });
        self.save_own_record(&OwnRecord { revoked, ..record })
    }

    /// Compacts the own log once it has grown, if that is this installation's part.
    pub(super) fn compact_log(&mut self) -> Result<(), StepError> {
        if !self.me.log.needs_compaction() || self.me.log.custodian() != Some(self.me.key.id()) {
            return Ok(());
        }
        let signer = EntrySigner::Installation(&self.me.key);
        let mut log = self.me.log.clone();
        match log.checkpoint(signer, self.now).and_then(|entry| log.insert(entry)) {
            Ok(_) => {
                self.learn_log(&log)?;
                self.sync(vec![SyncItem::Log(log.encode())])
            }
            Err(error) => {
                tracing::warn!(%error, "the installation log cannot be compacted");
                Ok(())
            }
        }
    }

    fn installation_view(&self, id: &InstallationId) -> Result<InstallationView, StepError> {
        let record = self.own_record(id)?;
        let mut view = InstallationView {
            installation: *id,
            name: record.name,
            own: *id == self.me.key.id(),
            added_at: None,
            added_by: None,
            last_seen: if *id == self.me.key.id() { Some(self.now) } else { record.last_seen },
            groups: 0,
            groups_without: 0,
            may_revoke: false,
            revoked: None,
        };
        for group in self.groups.values() {
            if !group.is_member() || !self.is_visible(&group.record.id) {
                continue;
            }
            match group.current()?.leaf_of(id) {
                Some(_) => view.groups += 1,
                None => view.groups_without += 1,
            }
        }
        Ok(view)
    }

    pub(super) fn name_installation(&mut self, id: InstallationId, name: &str) -> Done<Answer> {
        check_length("the name", name, MAX_NAME)?;
        let state = self.me.log.state();
        if !state.active.contains_key(&id) && !state.revoked.contains_key(&id) {
            return Err(CommandError::UnknownInstallation { installation: id }.into());
        }
        let named_at =
            self.now.max(self.own_record(&id)?.named_at + std::time::Duration::from_millis(1));
        self.name_own(id, name, named_at)?;
        let item = SyncItem::Name { installation: id, name: name.into(), changed_at: named_at };
        self.sync(vec![item])?;
        Ok(Answer::Done)
    }

    /// Revokes installations: in the log, in the self group, and from then on in every group. With
    /// the recovery phrase the account key does it, which asks for no seniority and cannot be undone.
    ///
    /// What they signed before counts; what they signed and nobody heard of yet does not.
    pub(super) fn revoke_installations(
        &mut self,
        installations: &[InstallationId],
        phrase: Option<&RecoveryPhrase>,
    ) -> Done<Answer> {
        let account = phrase.map(RecoveryPhrase::account_key);
        if account.as_ref().is_some_and(|key| key.id() != self.me.account) {
            return Err(CommandError::WrongPhrase.into());
        }
        let signer = match &account {
            Some(key) => EntrySigner::Account(key),
            None => EntrySigner::Installation(&self.me.key),
        };
        let mut log = self.me.log.clone();
        let own = self.me.key.id();
        for id in installations {
            let heir = (*id == own && account.is_none() && log.custodian() == Some(own))
                .then(|| heir(&log, &own))
                .flatten();
            match heir {
                // Whoever keeps the log short gives that on.
                Some(heir) => hand_over(&mut log, signer, heir, self.now)?,
                None => revoke(&mut log, signer, id, self.now)?,
            }
        }
        if account.is_some() {
            // Whatever the revoked may have made of the log is void by it.
            add(&mut log, |log| log.checkpoint(signer, self.now))?;
        }
        if log.state().active.is_empty() {
            return Err(CommandError::LastInstallation.into());
        }
        if self.me.log == log {
            return Err(CommandError::NothingToDo.into());
        }
        self.learn_log(&log)?;
        if !self.is_active() {
            // Whoever takes itself out says so with its last word; the others do the rest.
            return Ok(Answer::Done);
        }
        if let Some(group) = self.self_group {
            let gone = self.revoked_leaves(&group)?;
            if !gone.is_empty() {
                self.intend(group, Intent::Evict(gone))?;
            }
        }
        // Only now, so that those who are out of the group cannot read it.
        self.new_inbox_key()?;
        let item = SyncItem::Log(self.me.log.encode());
        self.sync(vec![item])?;
        Ok(Answer::Done)
    }
}

/// Revokes everybody else with the account key, and lays the ground of the log anew. Whom.
pub(super) fn revoke_all_but(
    log: &mut Log,
    key: &AccountKey,
    own: &InstallationId,
    now: Timestamp,
) -> Result<Vec<InstallationId>, CommandError> {
    let signer = EntrySigner::Account(key);
    let others: Vec<InstallationId> =
        log.state().active.keys().filter(|id| *id != own).copied().collect();
    for id in &others {
        revoke(log, signer, id, now)?;
    }
    add(log, |log| log.checkpoint(signer, now))?;
    Ok(others)
}

/// The most senior of the others.
fn heir(log: &Log, own: &InstallationId) -> Option<InstallationId> {
    let active = &log.state().active;
    let others = active.iter().filter(|(id, _)| *id != own);
    others.min_by_key(|(id, info)| (info.seniority, **id)).map(|(id, _)| *id)
}

fn hand_over(
    log: &mut Log,
    signer: EntrySigner<'_>,
    heir: InstallationId,
    now: Timestamp,
) -> Result<(), CommandError> {
    add(log, |log| log.hand_over(signer, heir, now))
}

/// Makes an entry, and takes it in.
fn add(
    log: &mut Log,
    make: impl FnOnce(&Log) -> Result<Entry, LogError>,
) -> Result<(), CommandError> {
    let refused = |error: LogError| CommandError::NotAllowed { reason: error.to_string() };
    let entry = make(log).map_err(refused)?;
    log.insert(entry).map_err(refused)?;
    Ok(())
}

fn revoke(
    log: &mut Log,
    signer: EntrySigner<'_>,
    id: &InstallationId,
    now: Timestamp,
) -> Result<(), CommandError> {
    let unknown = || CommandError::UnknownInstallation { installation: *id };
    if !log.state().active.contains_key(id) {
        return match log.state().revoked.contains_key(id) {
            true => Ok(()),
            false => Err(unknown()),
        };
    }
    if !log.may_revoke(signer.author(), id) {
        return Err(CommandError::NotSenior { installation: *id });
    }
    let last = log.last_entry_of(id);
    add(log, |log| log.revoke(signer, *id, last, now))
}
