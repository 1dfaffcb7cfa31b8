//! What a user asks of a device, with typed answers.

use std::time::Duration;

use chat_core::ids::{
    AccountId, GroupId, InstallationId, IntentId, LinkingId, MessageId, RequestId,
};
use chat_core::machine::{
    Answer, Command, CommandError, CommandId, ContactView, Input, LinkingView, PhraseWords,
    RequestState,
};
use chat_core::time::Timestamp;

use crate::world::state::World;

/// How long a user looks at an answer before anything else happens.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a command was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was refused.
    #[error("refused: {0}")]
    Refused(#[from] CommandError),
    /// The step failed, or the process died before it answered: the command may be in force or not.
    #[error("the process died before it answered")]
    Died,
}

/// What can be asked: a device of a world, or a machine that is driven by hand.
pub(super) trait Asked {
    /// Gives a command, and lets some time pass. None: it was not answered.
    fn ask(&mut self, command: Command, pause: Duration) -> Option<Result<Answer, CommandError>>;
}

/// A device of a world.
struct OnDevice<'w> {
    world: &'w mut World,
    device: usize,
}

impl Asked for OnDevice<'_> {
    fn ask(&mut self, command: Command, pause: Duration) -> Option<Result<Answer, CommandError>> {
        self.world.commands += 1;
        let id = self.world.commands;
        self.world.step(self.device, Input::Command(CommandId(id), command));
        let answer = self.world.devices[self.device].answers.remove(&id);
        if !pause.is_zero() {
            self.world.run_for(pause);
        }
        answer
    }
}

/// The hand of a user on an installation. Each method gives one command; by default some
/// milliseconds pass after it.
pub struct Hand<'w> {
    asked: Box<dyn Asked + 'w>,
    pause: Duration,
}

impl std::fmt::Debug for Hand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hand")
    }
}

type Reply<T> = Result<T, Unanswered>;

impl World {
    /// The hand of a user on a device.
    pub fn by(&mut self, device: usize) -> Hand<'_> {
        Hand { asked: Box::new(OnDevice { world: self, device }), pause: PAUSE }
    }

    /// Makes two devices' accounts contacts of one another.
    ///
    /// # Panics
    /// Where a contact link does not work.
    #[allow(clippy::expect_used)]
    pub fn befriend(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let link = self.by(from).contact_link().expect("a link is made");
            self.by(to).add_contact(&link, None).expect("a link is taken");
        }
    }
}

impl World {
    /// Has everybody accept the requests that wait for an answer.
    pub fn accept_requests(&mut self) {
        for device in 0..self.devices.len() {
            let Some(machine) = &self.devices[device].machine else { continue };
            for request in machine.requests().unwrap_or_default() {
                if request.state == RequestState::Pending && self.is_up(device) {
                    // Things may have changed since the request was shown.
                    let _ = self.by(device).at_once().accept(request.id);
                }
            }
        }
    }
}

impl<'w> Hand<'w> {
    /// Lets no time pass after the command.
    pub fn at_once(mut self) -> Self {
        self.pause = Duration::ZERO;
        self
    }

    /// The hand of a user on a machine that is driven by hand.
    pub(super) fn on(asked: impl Asked + 'w) -> Self {
        Self { asked: Box::new(asked), pause: Duration::ZERO }
    }

    fn ask(mut self, command: Command) -> Reply<Answer> {
        Ok(self.asked.ask(command, self.pause).ok_or(Unanswered::Died)??)
    }

    fn done(self, command: Command) -> Reply<()> {
        self.ask(command).map(|answer| match answer {
            Answer::Done => (),
            other => unexpected(&other),
        })
    }

    /// Asks for a change to a group; its id.
    fn change(self, command: Command) -> Reply<IntentId> {
        self.ask(command).map(|answer| match answer {
            Answer::Change { intent, .. } => intent,
            other => unexpected(&other),
        })
    }

    fn linking(self, command: Command) -> Reply<LinkingView> {
        self.ask(command).map(|answer| match answer {
            Answer::Linking(view) => view,
            other => unexpected(&other),
        })
    }

    fn link(self, command: Command) -> Reply<String> {
        self.ask(command).map(|answer| match answer {
            Answer::ContactLink(link) => link,
            other => unexpected(&other),
        })
    }

    /// Makes a contact link with a card in it.
    ///
    /// # Errors
    /// Where the command is not granted; so it is with all methods of this type.
    pub fn contact_link(self) -> Reply<String> {
        self.link(Command::MakeContactLink)
    }

    /// Makes a contact link without a card.
    pub fn short_contact_link(self) -> Reply<String> {
        self.link(Command::MakeShortContactLink)
    }

    /// Adds or refreshes a contact from its link.
    pub fn add_contact(self, link: &str, name: Option<&str>) -> Reply<ContactView> {
        let (link, name) = (link.to_owned(), name.map(str::to_owned));
        self.ask(Command::AddContact { link, name }).map(|answer| match answer {
            Answer::Contact(contact) => contact,
            other => unexpected(&other),
        })
    }

    /// Removes a contact.
    pub fn remove_contact(self, account: AccountId) -> Reply<()> {
        self.done(Command::RemoveContact { account })
    }

    /// Creates a group and invites contacts into it.
    pub fn create_group(self, name: &str, members: Vec<AccountId>) -> Reply<GroupId> {
        self.create_described_group(name, "", members)
    }

    /// Creates a group with a description, and invites contacts into it.
    pub fn create_described_group(
        self,
        name: &str,
        description: &str,
        members: Vec<AccountId>,
    ) -> Reply<GroupId> {
        let (name, description) = (name.to_owned(), description.to_owned());
        self.ask(Command::CreateGroup { name, description, members }).map(|answer| match answer {
            Answer::Group(group) => group.id,
            other => unexpected(&other),
        })
    }

    /// Adds contacts to a group. The id of the change, as with those that follow.
    pub fn add_members(self, group: GroupId, accounts: Vec<AccountId>) -> Reply<IntentId> {
        self.change(Command::AddMembers { group, accounts })
    }

    /// Removes accounts from a group.
    pub fn remove_members(self, group: GroupId, accounts: Vec<AccountId>) -> Reply<IntentId> {
        self.change(Command::RemoveMembers { group, accounts })
    }

    /// Leaves a group.
    pub fn leave(self, group: GroupId) -> Reply<()> {
        self.done(Command::LeaveGroup { group })
    }

    /// Sets a group's name, its description, or both.
    pub fn describe(
        self,
        group: GroupId,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Reply<IntentId> {
        let (name, description) = (name.map(str::to_owned), description.map(str::to_owned));
        self.change(Command::DescribeGroup { group, name, description })
    }

    /// Sets a group's name.
    pub fn rename(self, group: GroupId, name: &str) -> Reply<IntentId> {
        self.describe(group, Some(name), None)
    }

    /// Makes an account an admin of a group, or takes that back.
    pub fn set_admin(self, group: GroupId, account: AccountId, admin: bool) -> Reply<IntentId> {
        self.change(Command::SetAdmin { group, account, admin })
    }

    /// Sends a text to a group; its message's id.
    pub fn send(self, group: GroupId, text: &str) -> Reply<MessageId> {
        let text = text.to_owned();
        self.ask(Command::Send { group, text }).map(|answer| match answer {
            Answer::Sent { message, .. } => message,
            other => unexpected(&other),
        })
    }

    /// Notes that a group was read up to a message.
    pub fn mark_read(self, group: GroupId, message: MessageId) -> Reply<()> {
        self.done(Command::MarkRead { group, message })
    }

    /// Accepts a request.
    pub fn accept(self, request: RequestId) -> Reply<()> {
        self.done(Command::AcceptRequest { request })
    }

    /// Declines a request.
    pub fn decline(self, request: RequestId) -> Reply<()> {
        self.done(Command::DeclineRequest { request })
    }

    /// Declines a request, and ignores further ones of that account.
    pub fn block(self, request: RequestId) -> Reply<()> {
        self.done(Command::BlockRequest { request })
    }

    /// Gives one of the account's installations a name.
    pub fn name_installation(self, installation: InstallationId, name: &str) -> Reply<()> {
        let name = name.to_owned();
        self.done(Command::NameInstallation { installation, name })
    }

    /// Takes installations out of the account, with the recovery phrase if it is given.
    pub fn revoke(
        self,
        installations: Vec<InstallationId>,
        phrase: Option<PhraseWords>,
    ) -> Reply<()> {
        self.done(Command::RevokeInstallations { installations, phrase })
    }

    /// Ends a recovery whose card is in no Store.
    pub fn end_recovery(self) -> Reply<()> {
        self.done(Command::EndRecovery)
    }

    /// Transfers the messages since a moment to another installation of the account.
    pub fn transfer_history(self, installation: InstallationId, since: Timestamp) -> Reply<()> {
        self.done(Command::TransferHistory { installation, since })
    }

    /// Answers the linking code that a new installation shows.
    pub fn answer_linking(self, code: &str) -> Reply<LinkingView> {
        self.linking(Command::AnswerLinking { code: code.into() })
    }

    /// Types the authentication string that a new installation shows.
    pub fn confirm_linking(self, id: LinkingId, string: &str) -> Reply<LinkingView> {
        self.linking(Command::ConfirmLinking { id, string: string.into() })
    }

    /// Ends a linking whose authentication string was not typed yet.
    pub fn cancel_linking(self, id: LinkingId) -> Reply<()> {
        self.ask(Command::CancelLinking { id }).map(drop)
    }

    /// Forgets events up to a cursor.
    pub fn acknowledge(self, cursor: u64) -> Reply<()> {
        self.done(Command::AcknowledgeEvents { cursor })
    }
}

fn unexpected(answer: &Answer) -> ! {
    panic!("not the answer to this command: {answer:?}")
}
