//! What is shown of a group.

use super::conversation::Conversation;
use crate::history::GapState;
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::api::view::{GroupView, MemberView, MissingView};

/// Numbers listed for one stretch that is missing; a longer one is a stretch all the same.
const MAX_LISTED: usize = 1000;

impl Conversation {
    pub(in crate::machine) fn view(&self, own: &AccountId) -> Result<GroupView, StepError> {
        let state = self.current()?;
        let policy = state.policy()?;
        Ok(GroupView {
            id: self.record.id,
            membership: self.record.membership,
            epoch_id: state.epoch,
            epoch: state.number,
            accounts: state.accounts().len(),
            installations: state.leaves.len(),
            admin: policy.is_admin(own),
            name: policy.name,
            description: policy.description,
        })
    }

    /// The members, in the order in which they came. `name_of` is what a contact is called.
    pub(in crate::machine) fn members(
        &self,
        own: &AccountId,
        name_of: impl Fn(&AccountId) -> Result<Option<String>, StepError>,
    ) -> Result<Vec<MemberView>, StepError> {
        let state = self.current()?;
        let policy = state.policy()?;
        let member = |account: AccountId| {
            Ok(MemberView {
                account,
                name: name_of(&account)?,
                admin: policy.admins.get(&account).copied(),
                installations: state.leaves_of(&account).map(|leaf| leaf.installation).collect(),
                own: account == *own,
            })
        };
        state.accounts().into_iter().map(member).collect()
    }

    /// What is known to be missing.
    pub(in crate::machine) fn missing(&self) -> Vec<MissingView> {
        let group = self.record.id;
        let stretches = self.gaps.missing().into_iter();
        stretches
            .flat_map(|missing| {
                missing.span.seqs().take(MAX_LISTED).map(move |seq| MissingView {
                    group,
                    sender: missing.account,
                    installation: missing.span.from,
                    seq,
                    since: missing.since,
                })
            })
            .collect()
    }

    /// What is known of one number of an installation.
    pub(in crate::machine) fn gap_state(
        &self,
        installation: &InstallationId,
        seq: u64,
    ) -> Option<GapState> {
        self.gaps.state(installation, seq, self.chains.get(installation)?)
    }
}
