//! The account's installations, as the user sees them; revoking them, and keeping the log short.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::identity::account::AccountKey;
use crate::identity::log::{Author, Entry, EntrySigner, Log, LogError};
use crate::identity::phrase::RecoveryPhrase;
use crate::ids::InstallationId;
use crate::machine::account::installations::{OwnInstallation, author_installation};
use crate::machine::api::command::Answer;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError, check_length};
use crate::machine::api::view::{InstallationView, RevocationView};
use crate::machine::assembly::Machine;
use crate::machine::effect::Effect;
use crate::machine::group::intent::Intent;
use crate::params::MAX_NAME;
use crate::time::Timestamp;
use crate::wire::sync::SyncItem;

impl Machine {
    /// The account's installations, senior ones first, then those that were revoked.
    ///
    /// # Errors
    /// Those of the database.
    pub fn installations(&self) -> Result<Vec<InstallationView>, StepError> {
        let log = self.me.log();
        let state = log.state();
        let own = self.me.id();
        let mut out = Vec::new();
        let mut active: Vec<_> = state.active.iter().collect();
        active.sort_by_key(|(id, info)| (info.seniority, **id));
        for (id, info) in active {
            out.push(InstallationView {
                added_at: Some(info.added_at),
                added_by: author_installation(info.added_by),
                may_revoke: log.may_revoke(Author::Installation(own), id),
                ..self.installation_view(id)?
            });
        }
        let mut revoked = BTreeMap::new();
        for (id, revocation) in &state.revoked {
            let at = log.get(&revocation.entry).map(|entry| entry.issued_at());
            let by = author_installation(revocation.by);
            revoked.insert(*id, RevocationView { by, at: at.unwrap_or_default() });
        }
        for record in OwnInstallation::all(&self.cx)? {
            if let Some(view) = record.revoked.filter(|_| !state.active.contains_key(&record.id)) {
                revoked.entry(record.id).or_insert(view);
            }
        }
        for (id, revoked) in revoked {
            out.push(InstallationView { revoked: Some(revoked), ..self.installation_view(&id)? });
        }
        Ok(out)
    }

    fn installation_view(&self, id: &InstallationId) -> Result<InstallationView, StepError> {
        let record = OwnInstallation::of(&self.cx, id)?;
        let own = *id == self.me.id();
        let mut view = InstallationView {
            installation: *id,
            name: record.name,
            own,
            added_at: None,
            added_by: None,
            last_seen: if own { Some(self.cx.now) } else { record.last_seen },
            groups: 0,
            groups_without: 0,
            may_revoke: false,
            revoked: None,
        };
        for group in self.groups.values() {
            if group.is_member() && self.cx.is_visible(&group.id()) {
                match group.current()?.leaf_of(id) {
                    Some(_) => view.groups += 1,
                    None => view.groups_without += 1,
                }
            }
        }
        Ok(view)
    }

    pub(in crate::machine) fn name_installation(
        &mut self,
        id: InstallationId,
        name: &str,
    ) -> Done<Answer> {
        check_length("the name", name, MAX_NAME)?;
        let state = self.me.log().state();
        if !state.active.contains_key(&id) && !state.revoked.contains_key(&id) {
            return Err(CommandError::UnknownInstallation { installation: id }.into());
        }
        let known = OwnInstallation::of(&self.cx, &id)?.named_at;
        let named_at = self.cx.now.max(known + Duration::from_millis(1));
        OwnInstallation::rename(&self.cx, id, name, named_at)?;
        let item = SyncItem::Name { installation: id, name: name.into(), changed_at: named_at };
        self.sync(vec![item])?;
        Ok(Answer::Done)
    }

    /// Compacts the account's log once it has grown, if that is this installation's part.
    pub(in crate::machine) fn compact_log(&mut self) -> Result<(), StepError> {
        let known = self.me.log();
        if !known.needs_compaction() || known.custodian() != Some(self.me.id()) {
            return Ok(());
        }
        let signer = EntrySigner::Installation(&self.me.key);
        let mut log = known.clone();
        match log.checkpoint(signer, self.cx.now).and_then(|entry| log.insert(entry)) {
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

    /// Revokes installations: in the log, in the self group, and from then on in every group. With
    /// the recovery phrase the account key does it, which asks for no seniority and cannot be undone.
    ///
    /// What they signed before counts; what they signed and nobody heard of yet does not.
    pub(in crate::machine) fn revoke_installations(
        &mut self,
        installations: &[InstallationId],
        phrase: Option<&RecoveryPhrase>,
    ) -> Done<Answer> {
        let log = self.log_without(installations, phrase)?;
        self.learn_log(&log)?;
        if !self.me.is_active() {
            // An installation that takes itself out says so with its last word; the others do the
            // rest.
            return Ok(Answer::Done);
        }
        let revoked = match self.self_group() {
            Some(group) => group.revoked_leaves(self.who())?,
            None => Vec::new(),
        };
        let own_group = self.cx.own_group.and_then(|id| self.groups.get_mut(&id));
        if let Some(group) = own_group.filter(|_| !revoked.is_empty()) {
            group.intend(&self.cx, Intent::Evict(revoked), Duration::ZERO)?;
        }
        // What is told from here on waits until they are out of the group.
        self.keys.renew_inbox(&mut self.cx)?;
        let item = SyncItem::Log(self.me.log().encode());
        self.cx.ask(Effect::TellOwn(vec![item], Duration::ZERO));
        Ok(Answer::Done)
    }

    /// The account's log with installations revoked.
    fn log_without(
        &self,
        installations: &[InstallationId],
        phrase: Option<&RecoveryPhrase>,
    ) -> Done<Log> {
        let account = phrase.map(RecoveryPhrase::account_key);
        if account.as_ref().is_some_and(|key| key.id() != self.me.account) {
            return Err(CommandError::WrongPhrase.into());
        }
        let signer = match &account {
            Some(key) => EntrySigner::Account(key),
            None => EntrySigner::Installation(&self.me.key),
        };
        let mut log = self.me.log().clone();
        let own = self.me.id();
        for id in installations {
            let heir = (*id == own && account.is_none() && log.custodian() == Some(own))
                .then(|| heir(&log, &own))
                .flatten();
            match heir {
                // The custodian, which keeps the log short, passes that on.
                Some(heir) => add(&mut log, |log| log.hand_over(signer, heir, self.cx.now))?,
                None => revoke(&mut log, signer, id, self.cx.now)?,
            }
        }
        if account.is_some() {
            // Whatever the revoked may have made of the log is void by it.
            add(&mut log, |log| log.checkpoint(signer, self.cx.now))?;
        }
        if log.state().active.is_empty() {
            return Err(CommandError::LastInstallation.into());
        }
        if *self.me.log() == log {
            return Err(CommandError::NothingToDo.into());
        }
        Ok(log)
    }
}

/// Revokes all others with the account key, and lays the ground of the log anew. Says whom.
pub(in crate::machine) fn revoke_all_but(
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
    if !log.state().active.contains_key(id) {
        return match log.state().revoked.contains_key(id) {
            true => Ok(()),
            false => Err(CommandError::UnknownInstallation { installation: *id }),
        };
    }
    if !log.may_revoke(signer.author(), id) {
        return Err(CommandError::NotSenior { installation: *id });
    }
    let last = log.last_entry_of(id);
    add(log, |log| log.revoke(signer, *id, last, now))
}
