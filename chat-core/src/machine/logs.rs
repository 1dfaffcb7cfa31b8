//! Installation logs as this device knows them: its own account's, and those of others where a
//! commit or a card showed one. Logs only grow here; what a newer one says of a member is acted on.

use serde::{Deserialize, Serialize};

use super::Machine;
use super::error::StepError;
use super::event::Event;
use super::people::Identity;
use crate::group::epoch::Leaf;
use crate::identity::credential::Credential;
use crate::identity::log::{Log, LogState};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId};
use crate::store::Keyed;
use crate::wire::header::{CommitHeader, Warrant};

/// A log, as stored.
#[derive(Serialize, Deserialize)]
struct LogRecord {
    #[serde(with = "serde_bytes")]
    log: Vec<u8>,
}

impl Machine {
    /// The log of an account, as far as it is known.
    pub(super) fn log_of(&self, account: &AccountId) -> Option<Log> {
        if *account == self.me.account {
            return Some(self.me.log.clone());
        }
        self.logs.get(account).cloned()
    }

    /// Reads the logs of other accounts from the database.
    pub(super) fn load_logs(&mut self) -> Result<(), StepError> {
        self.logs.clear();
        for record in self.store.all_keyed::<LogRecord>(Keyed::Log)? {
            let log = Log::decode(&record.log, &self.network)
                .map_err(|error| StepError::State(format!("a stored log: {error}")))?;
            self.logs.insert(log.account(), log);
        }
        Ok(())
    }

    /// Takes in what a log has that was not known. Says whether that was anything.
    pub(super) fn learn_log(&mut self, log: &Log) -> Result<bool, StepError> {
        let account = log.account();
        let mut known = self.log_of(&account).unwrap_or_else(|| Log::new(account, self.network));
        let (before, had) = (known.state().clone(), known.head());
        if let Err(error) = known.merge(log) {
            tracing::warn!(%error, "a log is not taken in wholly");
        }
        if known.head() == had {
            return Ok(false);
        }
        let after = known.state().clone();
        if account == self.me.account {
            self.set_own_log(known, &before, &after)?;
        } else {
            let record = LogRecord { log: known.encode() };
            self.store.set_keyed(Keyed::Log, account.as_bytes(), &record)?;
            self.logs.insert(account, known);
        }
        self.quarantine(&account, &after)?;
        self.reconcile_due = true;
        Ok(true)
    }

    fn set_own_log(
        &mut self,
        log: Log,
        before: &LogState,
        after: &LogState,
    ) -> Result<(), StepError> {
        if let Ok(credential) = Credential::for_installation(&log, &self.me.key.id()) {
            self.me.credential = credential;
        }
        self.me.log = log;
        self.store.set_meta("identity", &Identity::of(&self.me))?;
        // Which installation's turn it is to publish the card follows from the log.
        self.forget_card_plan();
        for installation in after.active.keys() {
            if !before.active.contains_key(installation) && *installation != self.me.key.id() {
                self.tell(Event::InstallationAdded { installation: *installation })?;
            }
        }
        let mut revoked = false;
        for installation in before.active.keys() {
            if after.active.contains_key(installation) {
                continue;
            }
            revoked = true;
            let by =
                after.revoked.get(installation).map(|revocation| (revocation.by, revocation.entry));
            self.note_revoked(installation, by)?;
            let own = *installation == self.me.key.id();
            self.tell(Event::InstallationRevoked { installation: *installation, own })?;
        }
        if revoked {
            self.retire_inbox_keys()?;
        }
        Ok(())
    }

    /// From now on nothing that a revoked installation sends is shown as if it counted. Where its
    /// leaf is removed, the cut decides; until then, what was heard of it before this moment counts.
    fn quarantine(&mut self, account: &AccountId, state: &LogState) -> Result<(), StepError> {
        for group in self.groups.values_mut() {
            let mut changed = false;
            let leaves: Vec<InstallationId> =
                group.current()?.leaves_of(account).map(|leaf| leaf.installation).collect();
            for installation in leaves {
                let revoked = state.revoked.contains_key(&installation);
                let known = group.record.quarantine.contains_key(&installation);
                if revoked && !known {
                    let tip = group.chains.get(&installation).and_then(|chain| chain.tip());
                    let last = tip.map_or((0, None), |tip| (tip.seq, Some(tip.hash)));
                    group.record.quarantine.insert(installation, last);
                    changed = true;
                } else if !revoked && known {
                    group.record.quarantine.remove(&installation);
                    changed = true;
                }
            }
            if changed {
                group.save_record(&self.store)?;
            }
        }
        Ok(())
    }

    /// The leaves of a group whose installations were revoked, as far as logs are known: the
    /// installations, and the states in which their memberships began.
    pub(super) fn revoked_leaves(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(InstallationId, EpochId)>, StepError> {
        let Some(group) = self.groups.get(group) else {
            return Ok(Vec::new());
        };
        let state = group.current()?;
        let mut out = Vec::new();
        for account in state.accounts() {
            let log = match account == self.me.account {
                true => Some(&self.me.log),
                false => self.logs.get(&account),
            };
            let Some(log) = log else { continue };
            let gone = state.leaves_of(&account).filter(|leaf| is_revoked(log, leaf));
            out.extend(gone.map(|leaf| (leaf.installation, leaf.since.unwrap_or(state.epoch))));
        }
        Ok(out)
    }

    /// The warrant by which anybody may remove a leaf of a revoked installation.
    pub(super) fn revoke_warrant(&self, leaf: &Leaf) -> Option<Warrant> {
        let log = self.log_of(&leaf.account).filter(|log| is_revoked(log, leaf))?;
        Some(Warrant::Revoke(log.encode()))
    }

    /// Takes in the logs that a commit carries as warrants.
    pub(super) fn learn_warrants(&mut self, header: &CommitHeader) -> Result<(), StepError> {
        for warrant in &header.warrants {
            if let Warrant::Revoke(bytes) = warrant
                && let Ok(log) = Log::decode(bytes, &self.network)
            {
                self.learn_log(&log)?;
            }
        }
        Ok(())
    }
}

/// Whether a log says of a leaf that it has no right to its place any more: its installation was
/// revoked, or whoever enrolled it was, without that enrolment. An old Revoke says nothing of an
/// installation that the account key enrolled again.
pub(super) fn is_revoked(log: &Log, leaf: &Leaf) -> bool {
    log.has_fallen(&leaf.chain)
}
