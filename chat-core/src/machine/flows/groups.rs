//! What the user does with groups. What needs the network is stored and done when it can go out; where
//! that is now, refusals are answered at once.

use super::directory::Known;
use crate::group::epoch::EpochInfo;
use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, GroupId, MessageId};
use crate::machine::api::command::Answer;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError, check_length};
use crate::machine::assembly::Machine;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::intent::Intent;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::Who;
use crate::params::{MAX_DESCRIPTION, MAX_NAME, MAX_TEXT};
use crate::wire::sync::SyncItem;

impl Machine {
    /// A group that the application sees.
    pub(in crate::machine) fn visible(&self, id: &GroupId) -> Done<&Conversation> {
        let group = self.groups.get(id).filter(|_| self.cx.is_visible(id));
        Ok(group.ok_or(CommandError::UnknownGroup { group: *id })?)
    }

    /// The epoch of a group that the application sees and this account is a member of.
    fn active(&self, id: &GroupId) -> Done<&EpochInfo> {
        let group = self.visible(id)?;
        match group.is_active() {
            true => Ok(group.current()?),
            false => Err(CommandError::NotMember.into()),
        }
    }

    /// Wants something of a group. Where it can go out now, it is committed at once or refused;
    /// otherwise it is committed when it can, unless it is refused already.
    pub(in crate::machine) fn intend(&mut self, id: GroupId, intent: Intent) -> Done<Answer> {
        let may_send = self.history.may_send();
        let Self { cx, me, logs, cards, groups, .. } = self;
        let who = Who { me, logs };
        let known = Known { who, cards };
        let group = groups.get_mut(&id).ok_or(CommandError::UnknownGroup { group: id })?;
        if !group.is_active() {
            return Err(CommandError::NotMember.into());
        }
        let prepared = group.prepare(cx, who, &known, intent, may_send)?;
        let intent = group.go_ahead(cx, who, prepared)?;
        Ok(Answer::Change { group: id, intent })
    }

    pub(in crate::machine) fn create_group(
        &mut self,
        name: String,
        description: String,
        members: Vec<AccountId>,
    ) -> Done<Answer> {
        check_length("the name", &name, MAX_NAME)?;
        check_length("the description", &description, MAX_DESCRIPTION)?;
        if name.trim().is_empty() {
            return Err(CommandError::Empty { what: "the name".into() }.into());
        }
        for account in &members {
            Contact::known(&self.cx, &self.me, account)?;
        }
        let policy = GroupPolicy::new(self.me.account, name, description, self.cx.network);
        let may_send = self.history.may_send();
        let Self { cx, me, logs, cards, groups, scheduler, .. } = self;
        let who = Who { me, logs };
        let known = Known { who, cards };
        let mut group = Conversation::found(cx, me, &policy)?;
        let invitation = match members.is_empty() {
            true => None,
            false => Some(group.prepare(cx, who, &known, Intent::Add(members), may_send)?),
        };
        group.begin(cx)?;
        if let Some(prepared) = invitation {
            group.go_ahead(cx, who, prepared)?;
        }
        let view = group.view(&me.account)?;
        scheduler.typed(cx, group.id());
        groups.insert(group.id(), group);
        Ok(Answer::Group(view))
    }

    /// Makes a group in which this installation is alone.
    pub(in crate::machine) fn found_group(
        &mut self,
        policy: &GroupPolicy,
    ) -> Result<GroupId, StepError> {
        let group = Conversation::found(&self.cx, &self.me, policy)?;
        group.begin(&mut self.cx)?;
        let id = group.id();
        self.groups.insert(id, group);
        Ok(id)
    }

    pub(in crate::machine) fn add_members(
        &mut self,
        group: GroupId,
        accounts: Vec<AccountId>,
    ) -> Done<Answer> {
        let state = self.active(&group)?;
        for account in &accounts {
            Contact::known(&self.cx, &self.me, account)?;
            if state.has_account(account) {
                return Err(CommandError::AlreadyMember { account: *account }.into());
            }
        }
        self.intend(group, Intent::Add(accounts))
    }

    pub(in crate::machine) fn remove_members(
        &mut self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Done<Answer> {
        let state = self.active(&group)?;
        let mut memberships = Vec::new();
        for account in accounts {
            if *account == self.me.account {
                return Err(CommandError::OwnAccount.into());
            }
            if !state.has_account(account) {
                return Err(CommandError::NotAMember { account: *account }.into());
            }
            let leaves = state.leaves_of(account);
            memberships
                .extend(leaves.map(|leaf| (leaf.installation, leaf.since.unwrap_or(state.epoch))));
        }
        self.intend(group, Intent::Remove(memberships))
    }

    pub(in crate::machine) fn describe_group(
        &mut self,
        group: GroupId,
        name: Option<String>,
        description: Option<String>,
    ) -> Done<Answer> {
        check_length("the name", name.as_deref().unwrap_or(""), MAX_NAME)?;
        let text = description.as_deref().unwrap_or("");
        check_length("the description", text, MAX_DESCRIPTION)?;
        if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(CommandError::Empty { what: "the name".into() }.into());
        }
        let mut policy = self.active(&group)?.policy().map_err(StepError::from)?;
        // What cannot go out now is committed after what waits already.
        if !self.history.may_send()
            && let Some(group) = self.groups.get(&group)
        {
            policy = group.policy_to_be()?;
        }
        let intent = Intent::Describe {
            name: name.map(|new| (policy.name, new)),
            description: description.map(|new| (policy.description, new)),
        };
        self.intend(group, intent)
    }

    pub(in crate::machine) fn set_admin(
        &mut self,
        group: GroupId,
        account: AccountId,
        admin: bool,
    ) -> Done<Answer> {
        if !self.active(&group)?.has_account(&account) {
            return Err(CommandError::NotAMember { account }.into());
        }
        self.intend(group, Intent::Admin { account, admin })
    }

    pub(in crate::machine) fn leave_group(&mut self, id: GroupId) -> Done<Answer> {
        self.active(&id)?;
        // Each installation says for itself what its last item was.
        self.sync(vec![SyncItem::Leave { group: id }])?;
        if let Some(group) = self.groups.get_mut(&id) {
            group.leave(&mut self.cx)?;
        }
        Ok(Answer::Done)
    }

    pub(in crate::machine) fn send_text(&mut self, id: GroupId, text: String) -> Done<Answer> {
        self.active(&id)?;
        if text.is_empty() {
            return Err(CommandError::Empty { what: "the text".into() }.into());
        }
        check_length("the text", &text, MAX_TEXT)?;
        let Self { cx, me, logs, groups, .. } = self;
        let group = groups.get_mut(&id).ok_or(CommandError::UnknownGroup { group: id })?;
        let message = group.say(cx, Who { me, logs }, text);
        Ok(Answer::Sent { group: id, message })
    }

    pub(in crate::machine) fn mark_read(
        &mut self,
        group: GroupId,
        message: MessageId,
    ) -> Done<Answer> {
        self.visible(&group)?;
        let sent_at = self.cx.db.message_sent_at(&group, &message).map_err(StepError::from)?;
        let sent_at = sent_at.ok_or(CommandError::UnknownMessage)?;
        if self.set_read_mark(group, message, sent_at)? {
            self.sync(vec![SyncItem::Read { group, message, sent_at }])?;
        }
        Ok(Answer::Done)
    }
}
