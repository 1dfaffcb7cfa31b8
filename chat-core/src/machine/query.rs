//! Questions that change nothing.

use std::collections::BTreeMap;

use super::Machine;
use super::disposition::Counters;
use super::error::StepError;
use super::event::Event;
use super::group::Group;
use super::messages::Stored;
use super::people::Contact;
use super::view::{
    ContactView, GroupView, IdentityView, MemberView, MessageView, MissingView, RequestView,
};
use crate::history::GapState;
use crate::ids::{AccountId, EpochId, GroupId};
use crate::params::NetworkParams;
use crate::store::Keyed;

impl Machine {
    /// The own account and this installation.
    ///
    /// # Errors
    /// Those of the database; so for all questions here.
    pub fn identity(&self) -> Result<IdentityView, StepError> {
        Ok(IdentityView {
            account: self.me.account,
            installation: self.me.key.id(),
            network: self.params.name.clone(),
            caught_up_to: self.catch_up.synced_to,
            outbox: self.outbox.len(),
            recovering: self.is_recovering(),
        })
    }

    /// The network's parameters.
    pub fn params(&self) -> &NetworkParams {
        &self.params
    }

    /// All groups, those that were left included.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn groups(&self) -> Result<Vec<GroupView>, StepError> {
        let own = |group: &&Group| self.is_visible(&group.record.id);
        self.groups.values().filter(own).map(|group| self.group_view(group)).collect()
    }

    /// One group.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn group(&self, id: &GroupId) -> Result<Option<GroupView>, StepError> {
        let group = self.groups.get(id).filter(|_| self.is_visible(id));
        group.map(|group| self.group_view(group)).transpose()
    }

    fn group_view(&self, group: &Group) -> Result<GroupView, StepError> {
        let state = group.current()?;
        let policy = state.policy()?;
        Ok(GroupView {
            id: group.record.id,
            membership: group.record.membership,
            epoch_id: state.epoch,
            epoch: state.number,
            accounts: state.accounts().len(),
            installations: state.leaves.len(),
            admin: policy.is_admin(&self.me.account),
            name: policy.name,
            description: policy.description,
        })
    }

    /// The members of a group, in the order in which they came.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn members(&self, id: &GroupId) -> Result<Option<Vec<MemberView>>, StepError> {
        let Some(group) = self.groups.get(id).filter(|_| self.is_visible(id)) else {
            return Ok(None);
        };
        let state = group.current()?;
        let policy = state.policy()?;
        let mut out = Vec::new();
        for account in state.accounts() {
            out.push(MemberView {
                account,
                name: self.contact(&account)?.and_then(|contact| contact.name),
                admin: policy.admins.get(&account).copied(),
                installations: state.leaves_of(&account).map(|leaf| leaf.installation).collect(),
                own: account == self.me.account,
            });
        }
        Ok(Some(out))
    }

    /// All contacts, blocked accounts included.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn contacts(&self) -> Result<Vec<ContactView>, StepError> {
        let contacts: Vec<Contact> = self.store.all_keyed(Keyed::Contact)?;
        let shown = contacts.iter().filter(|contact| contact.is_shown());
        Ok(shown.map(|contact| contact.view(&self.network)).collect())
    }

    /// The requests that wait, oldest first.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn requests(&self) -> Result<Vec<RequestView>, StepError> {
        let mut requests: Vec<_> = self.requests.values().collect();
        requests.sort_by_key(|request| (request.received_at, request.id));
        requests.into_iter().map(|request| self.request_view(request)).collect()
    }

    /// Up to `limit` messages of a group, the newest of those before `before`, oldest first.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn history(
        &self,
        group: &GroupId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MessageView>, StepError> {
        Ok(self
            .store
            .messages::<Stored>(group, before, limit)?
            .into_iter()
            .map(|row| Stored::view(row, *group, self.me.account))
            .collect())
    }

    /// What is known to be missing in a group.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn missing(&self, id: &GroupId) -> Result<Vec<MissingView>, StepError> {
        /// Numbers listed for one stretch; a longer one is a stretch all the same.
        const MOST: usize = 1000;
        let Some(group) = self.groups.get(id) else {
            return Ok(Vec::new());
        };
        Ok(group
            .gaps
            .missing()
            .into_iter()
            .flat_map(|missing| {
                missing.span.seqs().take(MOST).map(move |seq| MissingView {
                    group: *id,
                    sender: missing.account,
                    installation: missing.span.from,
                    seq,
                    since: missing.since,
                })
            })
            .collect())
    }

    /// What is known of one number of an installation in a group.
    pub fn gap_state(
        &self,
        id: &GroupId,
        installation: &crate::ids::InstallationId,
        seq: u64,
    ) -> Option<GapState> {
        let group = self.groups.get(id)?;
        group.gaps.state(installation, seq, group.chains.get(installation)?)
    }

    /// Up to `limit` events behind a cursor.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StepError> {
        Ok(self.store.events(after, limit)?)
    }

    /// What became of envelopes since the machine was opened.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// The secrets that an outside observer must never see in anything that goes out, for tests:
    /// ids and names that must not appear on the wire.
    pub fn fingerprints(&self) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
        let mut out: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
        let mut add = |what, bytes: &[u8]| out.entry(what).or_default().push(bytes.to_vec());
        add("account", self.me.account.as_bytes());
        add("installation", self.me.key.id().as_bytes());
        add("card secret", self.me.card_secret.as_bytes());
        for group in self.groups.values() {
            add("group", group.record.id.as_bytes());
            for state in group.states.values() {
                add("epoch", state.epoch.as_bytes());
                if let Ok(policy) = state.policy() {
                    add("name", policy.name.as_bytes());
                    if !policy.description.is_empty() {
                        add("description", policy.description.as_bytes());
                    }
                }
            }
        }
        for key in &self.inbox_keys {
            add("inbox key", &key.public());
        }
        for contact in self.contacts().into_iter().flatten().filter_map(|contact| contact.name) {
            add("contact", contact.as_bytes());
        }
        for group in self.groups.keys() {
            for message in self.history(group, None, u32::MAX).into_iter().flatten() {
                add("message", message.message.as_bytes());
                add("text", message.text.unwrap_or_default().as_bytes());
            }
        }
        if let Ok(packages) =
            self.store.all_timed::<super::people::PackageRecord>(crate::store::Timed::KeyPackage)
        {
            for record in packages {
                add("key package", &record.package.reference);
            }
        }
        out
    }

    /// The state that a group's own branch is followed in, and the account that it belongs to: what
    /// a test compares between members.
    pub fn epoch_of(&self, id: &GroupId) -> Option<(AccountId, EpochId)> {
        Some((self.me.account, self.groups.get(id)?.record.tip))
    }
}
