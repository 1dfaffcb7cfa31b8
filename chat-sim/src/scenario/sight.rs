//! What the user of an installation sees.

use std::collections::BTreeSet;

use chat_core::ids::{GroupId, InstallationId, LinkingId};
use chat_core::machine::{
    ContactView, Event, GroupView, InstallationView, LinkingView, Membership, MessageView,
    MissingView, NewcomerView, RequestView,
};

use super::handle::{GroupHandle, Installation};

/// What its user sees.
#[allow(clippy::expect_used)]
impl Installation {
    /// Whether its process runs with an account.
    pub fn has_account(&self) -> bool {
        self.shared.world().devices[self.number()].machine.is_some()
    }

    /// A group, as it sees it.
    pub fn group(&self, group: &GroupHandle) -> Option<GroupView> {
        self.machine(|machine| machine.group(&group.id())).expect("groups can be read")
    }

    /// A group that it has to know, as it sees it.
    ///
    /// # Panics
    /// Where it does not know the group.
    #[track_caller]
    pub fn view(&self, group: &GroupHandle) -> GroupView {
        match self.group(group) {
            Some(view) => view,
            None => panic!("{} does not know the group", self.name()),
        }
    }

    /// The ids of all groups that it knows.
    pub fn groups(&self) -> Vec<GroupId> {
        let groups = self.machine(|machine| machine.groups()).expect("groups can be read");
        groups.into_iter().map(|group| group.id).collect()
    }

    /// Whether it is a member of a group, as far as it knows.
    pub fn is_member(&self, group: &GroupHandle) -> bool {
        self.group(group).is_some_and(|view| view.membership == Membership::Active)
    }

    /// The installations that are members of a group.
    pub fn members(&self, group: &GroupHandle) -> BTreeSet<InstallationId> {
        let members = self.machine(|machine| machine.members(&group.id()));
        let members = members.expect("members can be read").unwrap_or_default();
        members.into_iter().flat_map(|member| member.installations).collect()
    }

    /// The messages of a group, in its order.
    pub fn messages(&self, group: &GroupHandle) -> Vec<MessageView> {
        let history = self.machine(|machine| machine.history(&group.id(), None, u32::MAX));
        history.expect("history can be read")
    }

    /// The texts of a group, in its order.
    pub fn history(&self, group: &GroupHandle) -> Vec<String> {
        self.messages(group).into_iter().filter_map(|message| message.text).collect()
    }

    /// Whether it has a text in a group.
    pub fn reads(&self, group: &GroupHandle, text: &str) -> bool {
        self.history(group).iter().any(|it| it == text)
    }

    /// The messages of a group that it knows of and does not have.
    pub fn missing(&self, group: &GroupHandle) -> Vec<MissingView> {
        self.machine(|machine| machine.missing(&group.id())).expect("gaps can be read")
    }

    /// Its requests.
    pub fn requests(&self) -> Vec<RequestView> {
        self.machine(|machine| machine.requests()).expect("requests can be read")
    }

    /// Its contacts.
    pub fn contacts(&self) -> Vec<ContactView> {
        self.machine(|machine| machine.contacts()).expect("contacts can be read")
    }

    /// The installations of its account, as it knows them.
    pub fn installations(&self) -> Vec<InstallationView> {
        self.machine(|machine| machine.installations()).expect("installations can be read")
    }

    /// How many publications wait in its outbox.
    pub fn outbox(&self) -> usize {
        self.machine(|machine| machine.identity()).expect("the identity can be read").outbox
    }

    /// Its events, in their order.
    pub fn events(&self) -> Vec<Event> {
        self.shared.world().devices[self.number()].events.values().cloned().collect()
    }

    /// How many of its events are of a kind.
    pub fn count_events(&self, of_kind: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| of_kind(event)).count()
    }

    /// The linking code that it shows.
    pub fn linking_code(&self) -> Option<String> {
        self.shared.world().code(self.number())
    }

    /// What it shows of its own linking, while it is linked and after.
    pub fn arrival(&self) -> Option<NewcomerView> {
        self.shared.world().linking(self.number())
    }

    /// What it shows of the linking of a new installation.
    pub fn linking(&self, id: &LinkingId) -> Option<LinkingView> {
        self.machine(|machine| machine.linking(id))
    }
}
