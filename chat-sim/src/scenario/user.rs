//! What the user of an installation does.

use chat_core::ids::{AccountId, LinkingId, MessageId};
use chat_core::machine::{CommandError, ContactView, LinkingView};

use super::handle::{GroupHandle, Installation, Who};
use crate::world::{Hand, Unanswered};

fn accounts(who: &[&dyn Who]) -> Vec<AccountId> {
    who.iter().map(|who| who.account()).collect()
}

/// What its user does. Each command ends the test where it is refused; some milliseconds pass after
/// it.
impl Installation {
    /// Gives a command that may be refused, by the user's hand. What the command needs of other
    /// handles has to be asked of them before.
    ///
    /// # Errors
    /// Where it is not granted.
    pub fn attempt<T>(
        &self,
        command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        command(self.shared.world_mut().by(self.number()))
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
            other => panic!("{} is not refused: {other:?}", self.name()),
        }
    }

    #[track_caller]
    fn granted<T>(&self, command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>) -> T {
        match self.attempt(command) {
            Ok(answer) => answer,
            Err(why) => panic!("{} is {why}", self.name()),
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
        self.shared.world_mut().befriend(self.number(), other.installation().number());
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
    pub fn send(&self, group: &GroupHandle, text: &str) -> MessageId {
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
    pub fn answer_linking(&self, code: &str) -> LinkingView {
        self.granted(|hand| hand.answer_linking(code))
    }

    /// Types the authentication string that a new installation shows.
    #[track_caller]
    pub fn confirm_linking(&self, id: LinkingId, string: &str) -> LinkingView {
        self.granted(|hand| hand.confirm_linking(id, string))
    }

    /// Ends a linking whose authentication string was not typed yet.
    #[track_caller]
    pub fn cancel_linking(&self, id: LinkingId) {
        self.granted(|hand| hand.cancel_linking(id));
    }
}
