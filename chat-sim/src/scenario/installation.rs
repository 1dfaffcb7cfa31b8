//! Installations of a scenario: what their users do and see, and what happens to them.

use std::collections::BTreeSet;

use chat_core::ids::{AccountId, GroupId, InstallationId, ItemHash, LinkingId};
use chat_core::machine::{
    CommandError, ContactView, Event, GroupView, InstallationView, LinkView, Machine, Membership,
    MessageView, MissingView, Newcomer, NewcomerView, RequestView,
};

use super::{GroupHandle, Shared, Who};
use crate::crash::{Crash, CrashPoint};
use crate::world::{Hand, Unanswered, World};

/// An installation, by its name.
#[derive(Clone)]
pub struct Installation {
    shared: Shared,
    number: usize,
    name: String,
}

impl std::fmt::Debug for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

fn accounts(who: &[&dyn Who]) -> Vec<AccountId> {
    who.iter().map(|who| who.account()).collect()
}

/// Who and what it is.
impl Installation {
    pub(super) fn new(shared: &Shared, number: usize, name: &str) -> Self {
        Self { shared: shared.clone(), number, name: name.to_owned() }
    }

    /// A further installation that is made from the world and this one's number.
    pub(super) fn beside(
        &self,
        name: &str,
        make: impl FnOnce(&mut World, usize) -> usize,
    ) -> Installation {
        let number = make(&mut self.shared.world_mut(), self.number);
        Self::new(&self.shared, number, name)
    }

    /// Its name, for people who read the scenario.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the world.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Looks at its machine, for what has no word here.
    ///
    /// # Panics
    /// Where its process is down, or it has no account.
    pub fn machine<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(self.shared.world().machine(self.number))
    }

    /// Looks at what it runs while it has no account.
    ///
    /// # Panics
    /// Where its process is down, or it has an account.
    #[allow(clippy::expect_used)]
    pub fn newcomer<T>(&self, look: impl FnOnce(&Newcomer) -> T) -> T {
        let world = self.shared.world();
        look(world.devices[self.number].newcomer.as_ref().expect("it waits to be linked"))
    }

    /// Its account's id.
    pub fn account_id(&self) -> AccountId {
        self.shared.world().account(self.number)
    }

    /// Its own id.
    #[allow(clippy::expect_used)]
    pub fn id(&self) -> InstallationId {
        self.machine(|machine| machine.identity()).expect("the identity can be read").installation
    }
}

/// What its user does. Each command ends the test where it is refused; some milliseconds pass after
/// it.
impl Installation {
    /// Gives a command that may be refused, by the user's hand.
    ///
    /// # Errors
    /// Where it is not granted.
    pub fn attempt<T>(
        &self,
        command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        command(self.shared.world_mut().by(self.number))
    }

    /// Gives a command that has to be refused. Gives the reason.
    ///
    /// # Panics
    /// Where it is granted, or the process dies.
    #[track_caller]
    pub fn refusal<T: std::fmt::Debug>(
        &self,
        command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>,
    ) -> CommandError {
        match self.attempt(command) {
            Err(Unanswered::Refused(why)) => why,
            other => panic!("{} is not refused: {other:?}", self.name),
        }
    }

    #[track_caller]
    fn granted<T>(&self, command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>) -> T {
        match self.attempt(command) {
            Ok(answer) => answer,
            Err(why) => panic!("{} is {why}", self.name),
        }
    }

    /// Makes a contact link with a card in it.
    #[track_caller]
    pub fn contact_link(&self) -> String {
        self.granted(|hand| hand.contact_link())
    }

    /// Adds or refreshes a contact from its link.
    #[track_caller]
    pub fn add_contact(&self, link: &str, name: Option<&str>) -> ContactView {
        self.granted(|hand| hand.add_contact(link, name))
    }

    /// Makes this account and another one contacts of each other.
    #[track_caller]
    pub fn befriend(&self, other: &dyn Who) {
        self.shared.world_mut().befriend(self.number, other.installation().number);
    }

    /// Removes a contact.
    #[track_caller]
    pub fn remove_contact(&self, contact: &dyn Who) {
        let account = contact.account();
        self.granted(|hand| hand.remove_contact(account));
    }

    /// Creates a group and invites contacts into it.
    #[track_caller]
    pub fn create_group(&self, name: &str, members: &[&dyn Who]) -> GroupHandle {
        let members = accounts(members);
        self.granted(|hand| hand.create_group(name, members)).into()
    }

    /// Invites contacts into a group.
    #[track_caller]
    pub fn add(&self, group: &GroupHandle, who: &[&dyn Who]) {
        let who = accounts(who);
        self.granted(|hand| hand.add_members(group.id(), who));
    }

    /// Removes accounts from a group.
    #[track_caller]
    pub fn remove(&self, group: &GroupHandle, who: &[&dyn Who]) {
        let who = accounts(who);
        self.granted(|hand| hand.remove_members(group.id(), who));
    }

    /// Leaves a group.
    #[track_caller]
    pub fn leave(&self, group: &GroupHandle) {
        self.granted(|hand| hand.leave(group.id()));
    }

    /// Sets a group's name.
    #[track_caller]
    pub fn rename(&self, group: &GroupHandle, name: &str) {
        self.granted(|hand| hand.rename(group.id(), name));
    }

    /// Sets a group's name, its description, or both.
    #[track_caller]
    pub fn describe(&self, group: &GroupHandle, name: Option<&str>, description: Option<&str>) {
        self.granted(|hand| hand.describe(group.id(), name, description));
    }

    /// Makes an account an admin of a group.
    #[track_caller]
    pub fn promote(&self, group: &GroupHandle, who: &dyn Who) {
        let account = who.account();
        self.granted(|hand| hand.set_admin(group.id(), account, true));
    }

    /// Makes an account an ordinary member of a group again.
    #[track_caller]
    pub fn demote(&self, group: &GroupHandle, who: &dyn Who) {
        let account = who.account();
        self.granted(|hand| hand.set_admin(group.id(), account, false));
    }

    /// Sends a text to a group.
    #[track_caller]
    pub fn send(&self, group: &GroupHandle, text: &str) -> ItemHash {
        self.granted(|hand| hand.send(group.id(), text))
    }

    /// Accepts all requests that wait for an answer.
    #[track_caller]
    pub fn accept_requests(&self) {
        for request in self.requests() {
            self.granted(|hand| hand.accept(request.id));
        }
    }

    /// Takes installations out of the account.
    #[track_caller]
    pub fn revoke(&self, whom: &[&Installation]) {
        let ids = whom.iter().map(|it| it.id()).collect();
        self.granted(|hand| hand.revoke(ids, None));
    }

    /// Answers the linking code that a new installation shows.
    #[track_caller]
    pub fn answer_linking(&self, code: &str) -> LinkView {
        self.granted(|hand| hand.answer_linking(code))
    }

    /// Types the authentication string that a new installation shows.
    #[track_caller]
    pub fn confirm_linking(&self, id: LinkingId, string: &str) -> LinkView {
        self.granted(|hand| hand.confirm_linking(id, string))
    }

    /// Ends a linking whose authentication string was not typed yet.
    #[track_caller]
    pub fn cancel_linking(&self, id: LinkingId) {
        self.granted(|hand| hand.cancel_linking(id));
    }
}

/// What its user sees.
#[allow(clippy::expect_used)]
impl Installation {
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
            None => panic!("{} does not know the group", self.name),
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
        self.shared.world().devices[self.number].events.values().cloned().collect()
    }

    /// How many of its events are of a kind.
    pub fn count_events(&self, of_kind: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| of_kind(event)).count()
    }

    /// The linking code that it shows.
    pub fn linking_code(&self) -> Option<String> {
        self.shared.world().code(self.number)
    }

    /// What it shows of its own linking, while it is linked and after.
    pub fn arrival(&self) -> Option<NewcomerView> {
        self.shared.world().linking(self.number)
    }

    /// What it shows of the linking of a new installation.
    pub fn linking(&self, id: &LinkingId) -> Option<LinkView> {
        self.machine(|machine| machine.linking(id))
    }
}

/// What happens to it.
impl Installation {
    /// Takes its connection.
    pub fn offline(&self) {
        self.shared.world_mut().set_online(self.number, false);
    }

    /// Gives it its connection.
    pub fn online(&self) {
        self.shared.world_mut().set_online(self.number, true);
    }

    /// Takes its connection and gives it back, so that it fetches what it missed.
    pub fn reconnect(&self) {
        self.shared.world_mut().reconnect(self.number);
    }

    /// Puts it into a partition of the network; all begin in partition 0.
    pub fn part(&self, partition: u32) {
        self.shared.world_mut().part(self.number, partition);
    }

    /// Sets its clock ahead, or behind where that is less than zero.
    pub fn set_clock_ahead(&self, milliseconds: i64) {
        self.shared.world_mut().devices[self.number].clock_ahead_ms = milliseconds;
    }

    /// Ends its process; its database stays.
    pub fn stop(&self) {
        self.shared.world_mut().stop(self.number);
    }

    /// Starts its process again, online.
    pub fn start(&self) {
        self.shared.world_mut().start(self.number);
    }

    /// Ends its process and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.shared.world().is_up(self.number)
    }

    /// Plans the death of its process, in place of any other death that was planned.
    pub fn crash_at(&self, point: CrashPoint) {
        self.shared.world_mut().crash = Some(Crash { device: self.number, point });
    }
}
