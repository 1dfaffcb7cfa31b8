//! Members whose installation was revoked: quarantined until they are removed.

use super::conversation::Conversation;
use crate::identity::log::LogState;
use crate::ids::{AccountId, EpochId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::{Who, is_revoked};

impl Conversation {
    /// From now on nothing that a revoked installation sends is shown as if it counted. Where its
    /// leaf is removed, the cut decides; until then, what was heard of it before this moment counts.
    pub(in crate::machine) fn quarantine(
        &mut self,
        cx: &Cx,
        account: &AccountId,
        state: &LogState,
    ) -> Result<(), StepError> {
        let leaves = self.current()?.leaves_of(account);
        let leaves: Vec<InstallationId> = leaves.map(|leaf| leaf.installation).collect();
        let mut changed = false;
        for installation in leaves {
            let revoked = state.revoked.contains_key(&installation);
            let known = self.record.quarantine.contains_key(&installation);
            if revoked && !known {
                let tip = self.chains.get(&installation).and_then(|chain| chain.tip());
                let last = tip.map_or((0, None), |tip| (tip.seq, Some(tip.hash)));
                self.record.quarantine.insert(installation, last);
                changed = true;
            } else if !revoked && known {
                self.record.quarantine.remove(&installation);
                changed = true;
            }
        }
        if changed {
            self.record.save(&cx.db)?;
        }
        Ok(())
    }

    /// The leaves whose installations were revoked, as far as logs are known: the installations, and
    /// the epochs in which their memberships began.
    pub(in crate::machine) fn revoked_leaves(
        &self,
        who: Who<'_>,
    ) -> Result<Vec<(InstallationId, EpochId)>, StepError> {
        let state = self.current()?;
        let mut out = Vec::new();
        for account in state.accounts() {
            let Some(log) = who.log_of(&account) else { continue };
            let gone = state.leaves_of(&account).filter(|leaf| is_revoked(log, leaf));
            out.extend(gone.map(|leaf| (leaf.installation, leaf.since.unwrap_or(state.epoch))));
        }
        Ok(out)
    }
}
