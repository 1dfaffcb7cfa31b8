//! Groups and their members.

use chat_core::ids::{AccountId, GroupId, IntentId};
use chat_core::machine::{Answer, Command, GroupView, MemberView};

use super::lifecycle::{Client, UNEXPECTED};
use crate::error::Error;

impl Client {
    /// All groups, including those that the account has left.
    ///
    /// # Errors
    /// Those of the database, as for everything here; further ones are named at each.
    pub async fn groups(&self) -> Result<Vec<GroupView>, Error> {
        self.query(|machine| machine.groups()).await
    }

    /// One group; none if it is not known here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn group(&self, group: GroupId) -> Result<Option<GroupView>, Error> {
        self.query(move |machine| machine.group(&group)).await
    }

    /// The members of a group; none if the group is not known here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn members(&self, group: GroupId) -> Result<Option<Vec<MemberView>>, Error> {
        self.query(move |machine| machine.members(&group)).await
    }

    /// Creates a group and invites contacts into it.
    ///
    /// # Errors
    /// An account is not a contact, or what is known of it has expired; a text is too long.
    pub async fn create_group(
        &self,
        name: impl Into<String>,
        description: impl Into<String>,
        members: &[AccountId],
    ) -> Result<GroupView, Error> {
        let command = Command::CreateGroup {
            name: name.into(),
            description: description.into(),
            members: members.to_vec(),
        };
        match self.command(command).await? {
            Answer::Group(group) => Ok(group),
            _ => Err(UNEXPECTED),
        }
    }

    /// Invites contacts into a group. Gives the id of the change, by which
    /// [`Event::ChangePublished`](chat_core::machine::Event::ChangePublished) and
    /// [`Event::ChangeFailed`](chat_core::machine::Event::ChangeFailed) name it.
    ///
    /// # Errors
    /// As for [`Client::create_group`]; an account is already a member; no permission.
    pub async fn add_members(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<IntentId, Error> {
        let accounts = accounts.to_vec();
        self.change(Command::AddMembers { group, accounts }).await
    }

    /// Removes accounts from a group. Gives the id of the change, as [`Client::add_members`] does.
    ///
    /// # Errors
    /// An account is not a member; no permission.
    pub async fn remove_members(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<IntentId, Error> {
        let accounts = accounts.to_vec();
        self.change(Command::RemoveMembers { group, accounts }).await
    }

    /// Asks to leave a group; the commit of another member completes it.
    ///
    /// # Errors
    /// This account is not a member.
    pub async fn leave_group(&self, group: GroupId) -> Result<(), Error> {
        self.command(Command::LeaveGroup { group }).await.map(drop)
    }

    /// Changes the name of a group, its description, or both. Gives the id of the change, as
    /// [`Client::add_members`] does.
    ///
    /// # Errors
    /// A text is too long or empty, or nothing would change.
    pub async fn describe_group(
        &self,
        group: GroupId,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<IntentId, Error> {
        self.change(Command::DescribeGroup { group, name, description }).await
    }

    /// Makes a member an admin of a group, or an admin an ordinary member. Gives the id of the
    /// change, as [`Client::add_members`] does.
    ///
    /// # Errors
    /// No permission; the group would be left without an admin.
    pub async fn set_admin(
        &self,
        group: GroupId,
        account: AccountId,
        admin: bool,
    ) -> Result<IntentId, Error> {
        self.change(Command::SetAdmin { group, account, admin }).await
    }

    async fn change(&self, command: Command) -> Result<IntentId, Error> {
        match self.command(command).await? {
            Answer::Change { intent, .. } => Ok(intent),
            _ => Err(UNEXPECTED),
        }
    }
}
