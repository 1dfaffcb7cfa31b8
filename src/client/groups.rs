//! Groups and their members.

use chat_core::ids::{AccountId, GroupId};
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

    /// Invites contacts into a group.
    ///
    /// # Errors
    /// As for [`Client::create_group`]; an account is already a member; no permission.
    pub async fn add_members(&self, group: GroupId, accounts: &[AccountId]) -> Result<(), Error> {
        let accounts = accounts.to_vec();
        self.command(Command::AddMembers { group, accounts }).await.map(drop)
    }

    /// Removes accounts from a group.
    ///
    /// # Errors
    /// An account is not a member; no permission.
    pub async fn remove_members(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<(), Error> {
        let accounts = accounts.to_vec();
        self.command(Command::RemoveMembers { group, accounts }).await.map(drop)
    }

    /// Asks to leave a group; the commit of another member completes it.
    ///
    /// # Errors
    /// This account is not a member.
    pub async fn leave_group(&self, group: GroupId) -> Result<(), Error> {
        self.command(Command::LeaveGroup { group }).await.map(drop)
    }

    /// Changes the name of a group, its description, or both.
    ///
    /// # Errors
    /// A text is too long or empty, or nothing would change.
    pub async fn describe_group(
        &self,
        group: GroupId,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<(), Error> {
        self.command(Command::DescribeGroup { group, name, description }).await.map(drop)
    }

    /// Makes a member an admin of a group, or an admin an ordinary member.
    ///
    /// # Errors
    /// No permission; the group would be left without an admin.
    pub async fn set_admin(
        &self,
        group: GroupId,
        account: AccountId,
        admin: bool,
    ) -> Result<(), Error> {
        self.command(Command::SetAdmin { group, account, admin }).await.map(drop)
    }
}
