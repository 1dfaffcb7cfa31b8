//! The names of accounts and groups, as this account knows them.

use std::collections::BTreeMap;

use waku_chat::{AccountId, Client, Event, GroupId};

use super::text;
use crate::error::CliError;

/// The names of accounts and groups, as this account knows them.
pub(crate) struct Names {
    own: AccountId,
    accounts: BTreeMap<AccountId, String>,
    groups: BTreeMap<GroupId, String>,
}

impl Names {
    /// Reads the names from a client.
    pub(crate) async fn load(client: &Client) -> Result<Self, CliError> {
        let contacts = client.contacts().await?;
        let groups = client.groups().await?;
        Ok(Self {
            own: client.identity().await?.account,
            accounts: contacts.into_iter().filter_map(|c| Some((c.account, c.name?))).collect(),
            groups: groups.into_iter().map(|g| (g.id, g.name)).collect(),
        })
    }

    /// Whether an event may have changed the names.
    pub(crate) fn may_have_changed(&self, event: &Event) -> bool {
        match event {
            Event::GroupJoined { .. } | Event::GroupDescribed { .. } => true,
            Event::MessageReceived { message } => !self.groups.contains_key(&message.group),
            _ => false,
        }
    }

    /// What to call an account.
    pub(crate) fn account(&self, account: &AccountId) -> String {
        match self.accounts.get(account) {
            _ if *account == self.own => "you".to_owned(),
            Some(name) => text::line(name),
            // In brackets, so that no contact's name looks like it.
            None => format!("[…{}]", account.short()),
        }
    }

    /// What to call several accounts.
    pub(crate) fn accounts(&self, accounts: &[AccountId]) -> String {
        accounts.iter().map(|account| self.account(account)).collect::<Vec<_>>().join(", ")
    }

    /// What to call a group.
    pub(crate) fn group(&self, group: &GroupId) -> String {
        match self.groups.get(group) {
            Some(name) => format!("“{}”", text::line(name)),
            None => format!("[…{}]", group.short()),
        }
    }
}
