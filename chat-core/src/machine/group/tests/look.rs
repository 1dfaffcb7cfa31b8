//! What is to be compared of members, and what follows from the group as they see it.

use super::member::Member;
use crate::ids::{AccountId, EpochId};
use crate::machine::api::event::Event;
use crate::machine::api::view::MessageView;
use crate::machine::group::intent::Intent;
use crate::machine::group::stored::history;
use crate::machine::testing::events;
use crate::wire::labels::Label;

impl Member {
    /// The epoch that it follows.
    pub(super) fn tip(&mut self) -> EpochId {
        self.group().tip()
    }

    /// The epoch that it follows, its name and description, and a secret that only those in the
    /// same epoch derive.
    pub(super) fn state(&mut self) -> (EpochId, String, String, [u8; 32]) {
        let epoch = self.tip();
        let secret = self.with(|group, cx, _, _| {
            let mls = group.take_mls(cx, &epoch).unwrap();
            assert_eq!(mls.epoch_id(&cx.network), epoch);
            let secret = *mls.export(Label::GroupTopicRoot, &cx.network).unwrap();
            group.put_mls(epoch, mls);
            secret
        });
        let policy = self.group().current().unwrap().policy().unwrap();
        (epoch, policy.name, policy.description, secret)
    }

    /// Its history, oldest first.
    pub(super) fn history(&mut self) -> Vec<MessageView> {
        let (id, own) = (self.group().id(), self.account());
        history(&self.cx, &id, &own, None, 100).unwrap()
    }

    /// The texts of its history, oldest first.
    pub(super) fn texts(&mut self) -> Vec<String> {
        self.history().into_iter().filter_map(|message| message.text).collect()
    }

    /// What it was told since it was asked last.
    pub(super) fn events(&mut self) -> Vec<Event> {
        events(&mut self.cx)
    }

    /// The membership of an account, to be removed.
    pub(super) fn removal_of(&mut self, account: AccountId) -> Intent {
        let state = self.group().current().unwrap();
        let leaves = state.leaves_of(&account);
        Intent::Remove(leaves.map(|it| (it.installation, it.since.unwrap())).collect())
    }

    /// A new name for the group, in place of the present one.
    pub(super) fn renaming(&mut self, name: &str) -> Intent {
        let old = self.group().current().unwrap().policy().unwrap().name;
        Intent::Describe { name: Some((old, name.into())), description: None }
    }

    /// A new description.
    pub(super) fn describing(&mut self, text: &str) -> Intent {
        let old = self.group().current().unwrap().policy().unwrap().description;
        Intent::Describe { name: None, description: Some((old, text.into())) }
    }
}
