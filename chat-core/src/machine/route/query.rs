//! Questions that change nothing.

use std::collections::BTreeMap;

use crate::history::GapState;
use crate::ids::{AccountId, EpochId, GroupId, InstallationId};
use crate::machine::account::keys::Keys;
use crate::machine::api::disposition::Counters;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::view::{
    ContactView, GroupView, IdentityView, MemberView, MessageView, MissingView, RequestView,
};
use crate::machine::assembly::Machine;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::stored;
use crate::machine::people::contacts::Contact;
use crate::machine::people::requests::Request;
use crate::params::NetworkParams;

impl Machine {
    /// This account and this installation.
    ///
    /// # Errors
    /// Those of the database; so for all questions here.
    pub fn identity(&self) -> Result<IdentityView, StepError> {
        Ok(IdentityView {
            account: self.me.account,
            installation: self.me.id(),
            network: self.cx.params.name.clone(),
            caught_up_to: self.history.synced_to(),
            outbox: self.waiting(),
            unconfirmed: self.outbox.unconfirmed(),
            recovering: self.is_recovering(),
        })
    }

    /// The network's parameters.
    pub fn params(&self) -> &NetworkParams {
        &self.cx.params
    }

    /// All groups, those that were left included.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn groups(&self) -> Result<Vec<GroupView>, StepError> {
        let visible = |group: &&Conversation| self.cx.is_visible(&group.id());
        let groups = self.groups.values().filter(visible);
        groups.map(|group| group.view(&self.me.account)).collect()
    }

    /// One group.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn group(&self, id: &GroupId) -> Result<Option<GroupView>, StepError> {
        let group = self.groups.get(id).filter(|_| self.cx.is_visible(id));
        group.map(|group| group.view(&self.me.account)).transpose()
    }

    /// The members of a group, in the order in which they came.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn members(&self, id: &GroupId) -> Result<Option<Vec<MemberView>>, StepError> {
        let Some(group) = self.groups.get(id).filter(|_| self.cx.is_visible(id)) else {
            return Ok(None);
        };
        group.members(&self.me.account, |account| self.contact_name(account)).map(Some)
    }

    fn contact_name(&self, account: &AccountId) -> Result<Option<String>, StepError> {
        Ok(Contact::find(&self.cx, account)?.and_then(|contact| contact.name))
    }

    /// All contacts, blocked accounts included.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn contacts(&self) -> Result<Vec<ContactView>, StepError> {
        let contacts = Contact::all(&self.cx)?;
        let shown = contacts.iter().filter(|contact| contact.is_shown());
        Ok(shown.map(|contact| contact.view(&self.cx.network)).collect())
    }

    /// The requests that wait, oldest first.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn requests(&self) -> Result<Vec<RequestView>, StepError> {
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|request| (request.received_at, request.id));
        let view = |request: &Request| Ok(request.view(self.contact_name(&request.from)?));
        requests.into_iter().map(view).collect()
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
        stored::history(&self.cx, group, &self.me.account, before, limit)
    }

    /// What is known to be missing in a group.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn missing(&self, id: &GroupId) -> Result<Vec<MissingView>, StepError> {
        Ok(self.groups.get(id).map(Conversation::missing).unwrap_or_default())
    }

    /// What is known of one number of an installation in a group.
    pub fn gap_state(
        &self,
        id: &GroupId,
        installation: &InstallationId,
        seq: u64,
    ) -> Option<GapState> {
        self.groups.get(id)?.gap_state(installation, seq)
    }

    /// Up to `limit` events behind a cursor.
    ///
    /// # Errors
    /// See [`Machine::identity`].
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StepError> {
        Ok(self.cx.db.events(after, limit)?)
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
        add("installation", self.me.id().as_bytes());
        add("card secret", self.me.card_secret.as_bytes());
        for group in self.groups.values() {
            add("group", group.id().as_bytes());
            for state in group.epochs() {
                add("epoch", state.epoch.as_bytes());
                if let Ok(policy) = state.policy() {
                    add("name", policy.name.as_bytes());
                    if !policy.description.is_empty() {
                        add("description", policy.description.as_bytes());
                    }
                }
            }
        }
        for key in self.keys.inbox() {
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
        if let Ok((packages, _)) = Keys::packages(&self.cx.db) {
            for package in packages {
                add("key package", &package.reference);
            }
        }
        out
    }

    /// The account, and the epoch of a group that is followed: what a test compares between members.
    pub fn epoch_of(&self, id: &GroupId) -> Option<(AccountId, EpochId)> {
        Some((self.me.account, self.groups.get(id)?.tip()))
    }
}
