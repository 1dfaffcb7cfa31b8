//! What a newer installation log means: for the account's own installations, and for the members of
//! groups.

use crate::identity::log::{Log, LogState};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::people::logs::Who;
use crate::wire::header::{CommitHeader, Warrant};

impl Machine {
    /// Who speaks, and what is known of others.
    pub(in crate::machine) fn who(&self) -> Who<'_> {
        Who { me: &self.me, logs: &self.logs }
    }

    /// Takes in what a log has that was not known. Says whether that was anything.
    pub(in crate::machine) fn learn_log(&mut self, log: &Log) -> Result<bool, StepError> {
        let account = log.account();
        let known = self.who().log_of(&account).cloned();
        let mut known = known.unwrap_or_else(|| Log::new(account, self.cx.network));
        let (before, had) = (known.state().clone(), known.head());
        if let Err(error) = known.merge(log) {
            tracing::warn!(%error, "a log is not taken in wholly");
        }
        if known.head() == had {
            return Ok(false);
        }
        let after = known.state().clone();
        if account == self.me.account {
            self.me.set_log(&self.cx, known)?;
            // Which installation's turn it is to publish the card follows from the log.
            self.own_card.forget_plan();
            self.tell_installations(&before, &after)?;
        } else {
            self.logs.set(&self.cx, known)?;
        }
        for group in self.groups.values_mut() {
            group.quarantine(&self.cx, &account, &after)?;
        }
        self.reconcile_due = true;
        Ok(true)
    }

    /// Tells which installations of this account came and went.
    fn tell_installations(&mut self, before: &LogState, after: &LogState) -> Result<(), StepError> {
        let own = self.me.id();
        for installation in after.active.keys() {
            if !before.active.contains_key(installation) && *installation != own {
                self.cx.tell(Event::InstallationAdded { installation: *installation })?;
            }
        }
        let mut revoked = false;
        for installation in before.active.keys() {
            if after.active.contains_key(installation) {
                continue;
            }
            revoked = true;
            let by = after.revoked.get(installation).map(|it| (it.by, it.entry));
            OwnInstallation::note_revoked(&self.cx, &self.me, installation, by)?;
            let own = *installation == own;
            self.cx.tell(Event::InstallationRevoked { installation: *installation, own })?;
        }
        if revoked {
            self.keys.retire_inbox(&self.cx)?;
        }
        Ok(())
    }

    /// Takes in the logs that a commit carries as warrants: before the commit itself, so that what
    /// they revoke is quarantined first.
    pub(in crate::machine) fn learn_warrants(
        &mut self,
        header: &CommitHeader,
    ) -> Result<(), StepError> {
        for warrant in &header.warrants {
            if let Warrant::Revoke(bytes) = warrant
                && let Ok(log) = Log::decode(bytes, &self.cx.network)
            {
                self.learn_log(&log)?;
            }
        }
        Ok(())
    }
}
