//! The way out: a command becomes an intent, the intent a commit, or a text a message; either is
//! framed and goes to the outbox.

use std::time::Duration;

use openmls::key_packages::KeyPackage;
use zeroize::Zeroizing;

use super::command::{Answer, Command};
use super::commits::{facts, node};
use super::converge::NewState;
use super::error::{CommandError, StepError};
use super::group::{Group, Record, state_error};
use super::intents::{Intent, IntentRecord, OwnWelcome};
use super::messages::Stored;
use super::outbox::{Address, Parcel};
use super::people::{Reply, check_length};
use super::view::Membership;
use super::{Done, Fail, Machine};
use crate::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use crate::contact::inbox::InboxKey;
use crate::contact::invitation::Invitation;
use crate::convergence::choose::would_lose;
use crate::group::commit::{CommitPlan, build};
use crate::group::epoch::{EpochInfo, Leaf, LineId, RootLines};
use crate::group::join_info::{JoinHead, JoinInfo};
use crate::group::mls::Mls;
use crate::group::package::{read_package, reference};
use crate::group::policy::{self, AddedView, GroupPolicy, ParentView, Refusal};
use crate::group::stage::leaves_after;
use crate::history::Head;
use crate::identity::leave::LeaveWish;
use crate::identity::phrase::{PhraseError, RecoveryPhrase};
use crate::ids::{AccountId, CommitId, EpochId, GroupId, InstallationId, IntentId, ItemHash};
use crate::params::{DOORBELL_WRAPS, MAX_DESCRIPTION, MAX_NAME, MAX_OUTBOX, MAX_TEXT};
use crate::wire::chain::{ChainLink, HeadRef};
use crate::wire::content::{Body, Content};
use crate::wire::envelope::{SealError, class_for};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::header::{CommitHeader, Cut, Warrant};
use crate::wire::item::message_hash;
use crate::wire::labels::Label;
use crate::wire::roots::Root;
use crate::wire::sync::SyncItem;

/// What a commit is to change.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) intent: IntentId,
    pub(super) adds: Vec<(KeyPackage, Leaf)>,
    /// Inbox keys that the doorbells go to.
    pub(super) inboxes: Vec<[u8; 32]>,
    pub(super) removes: Vec<Leaf>,
    pub(super) policy: Option<GroupPolicy>,
    pub(super) wish: Option<(Vec<u8>, LeaveWish, ItemHash)>,
    /// Why installations may be removed that were revoked.
    pub(super) warrants: Vec<Warrant>,
    /// Installations of the own account among those that are added.
    pub(super) own: Vec<InstallationId>,
    pub(super) self_update: bool,
    pub(super) rotate: bool,
}

impl Default for Change {
    fn default() -> Self {
        Self {
            intent: IntentId([0; 16]),
            adds: Vec::new(),
            inboxes: Vec::new(),
            removes: Vec::new(),
            policy: None,
            wish: None,
            warrants: Vec::new(),
            own: Vec::new(),
            self_update: false,
            rotate: false,
        }
    }
}

fn not_allowed(reason: impl std::fmt::Display) -> Fail {
    CommandError::NotAllowed { reason: reason.to_string() }.into()
}

fn too_large(error: SealError) -> CommandError {
    match error {
        SealError::TooLarge { size, max } => CommandError::TooLarge { size, max },
        other => CommandError::NotAllowed { reason: other.to_string() },
    }
}

impl Machine {
    pub(super) fn run(&mut self, command: Command) -> Done<Answer> {
        if self.outbox.len() >= MAX_OUTBOX && !matches!(command, Command::AcknowledgeEvents { .. })
        {
            return Err(CommandError::OutboxFull.into());
        }
        if !self.is_active() && !matches!(command, Command::AcknowledgeEvents { .. }) {
            return Err(CommandError::Revoked.into());
        }
        match command {
            Command::MakeContactLink => self.make_contact_link(),
            Command::MakeShortContactLink => self.make_short_contact_link(),
            Command::AddContact { link, name } => self.add_contact(&link, name),
            Command::RemoveContact { account } => self.remove_contact(&account),
            Command::CreateGroup { name, description, members } => {
                self.create_group(name, description, members)
            }
            Command::AddMembers { group, accounts } => {
                let state = self.active(&group)?;
                for account in &accounts {
                    self.known_contact(account)?;
                    if state.has_account(account) {
                        return Err(CommandError::AlreadyMember { account: *account }.into());
                    }
                }
                self.intend(group, Intent::Add(accounts))
            }
            Command::RemoveMembers { group, accounts } => {
                let state = self.active(&group)?;
                let mut memberships = Vec::new();
                for account in &accounts {
                    if *account == self.me.account {
                        return Err(CommandError::OwnAccount.into());
                    }
                    if !state.has_account(account) {
                        return Err(CommandError::NotAMember { account: *account }.into());
                    }
                    memberships.extend(
                        state
                            .leaves_of(account)
                            .map(|leaf| (leaf.installation, leaf.since.unwrap_or(state.epoch))),
                    );
                }
                self.intend(group, Intent::Remove(memberships))
            }
            Command::LeaveGroup { group } => self.leave_group(group),
            Command::DescribeGroup { group, name, description } => {
                check_length("the name", name.as_deref().unwrap_or(""), MAX_NAME)?;
                let text = description.as_deref().unwrap_or("");
                check_length("the description", text, MAX_DESCRIPTION)?;
                if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
                    return Err(CommandError::Empty { what: "the name".into() }.into());
                }
                let policy = self.active(&group)?.policy().map_err(StepError::from)?;
                let intent = Intent::Describe {
                    name: name.map(|new| (policy.name, new)),
                    description: description.map(|new| (policy.description, new)),
                };
                self.intend(group, intent)
            }
            Command::SetAdmin { group, account, admin } => {
                if !self.active(&group)?.has_account(&account) {
                    return Err(CommandError::NotAMember { account }.into());
                }
                self.intend(group, Intent::Admin { account, admin })
            }
            Command::Send { group, text } => {
                self.active(&group)?;
                if text.is_empty() {
                    return Err(CommandError::Empty { what: "the text".into() }.into());
                }
                check_length("the text", &text, MAX_TEXT)?;
                let message = self.send(group, Body::Text(text))?;
                Ok(Answer::Sent { group, message })
            }
            Command::AcceptRequest { request } => self.answer_request(&request, Reply::Accept),
            Command::DeclineRequest { request } => self.answer_request(&request, Reply::Decline),
            Command::BlockRequest { request } => self.answer_request(&request, Reply::Block),
            Command::NameInstallation { installation, name } => {
                self.name_installation(installation, &name)
            }
            Command::RevokeInstallations { installations, phrase } => {
                let bad =
                    |error: PhraseError| CommandError::BadPhrase { reason: error.to_string() };
                let phrase = phrase.map(|words| RecoveryPhrase::parse(&words.0)).transpose();
                self.revoke_installations(&installations, phrase.map_err(bad)?.as_ref())
            }
            Command::EndRecovery => self.end_recovery(),
            Command::HandOver { installation, since } => self.hand_over(installation, since),
            Command::HurryInstallations => {
                self.hurry()?;
                Ok(Answer::Done)
            }
            Command::MarkRead { group, message } => {
                self.visible(&group)?;
                let sent_at = self.store.message_sent_at(&group, &message);
                let sent_at =
                    sent_at.map_err(StepError::from)?.ok_or(CommandError::UnknownMessage)?;
                if self.set_read_mark(group, message, sent_at)? {
                    self.sync(vec![SyncItem::Read { group, message, sent_at }])?;
                }
                Ok(Answer::Done)
            }
            Command::AnswerLink { code } => self.answer_link(code.as_str()),
            Command::ConfirmLink { id, string } => self.confirm_link(&id, &string),
            Command::CancelLink { id } => self.cancel_link(&id),
            Command::AcknowledgeEvents { cursor } => {
                self.store.delete_events(cursor).map_err(StepError::from)?;
                Ok(Answer::Done)
            }
        }
    }

    /// A group that the application sees.
    fn visible(&self, id: &GroupId) -> Done<&Group> {
        let group = self.groups.get(id).filter(|_| self.is_visible(id));
        Ok(group.ok_or(CommandError::UnknownGroup { group: *id })?)
    }

    /// The state of a group that the application sees and this account is a member of.
    fn active(&self, id: &GroupId) -> Done<EpochInfo> {
        self.visible(id)?;
        self.current_state(id)
    }

    /// The state of a group that this account is a member of.
    fn current_state(&self, id: &GroupId) -> Done<EpochInfo> {
        let group = self.groups.get(id).ok_or(CommandError::UnknownGroup { group: *id })?;
        match group.record.membership {
            Membership::Active => Ok(group.current()?.clone()),
            _ => Err(CommandError::NotMember.into()),
        }
    }

    pub(super) fn intend(&mut self, group: GroupId, intent: Intent) -> Done<Answer> {
        let record = IntentRecord {
            id: IntentId(self.rng.bytes()),
            group,
            intent,
            done_by: None,
            due_at: self.now,
            attempts: 0,
            welcome: None,
        };
        if self.pursue(record)? { Ok(Answer::Done) } else { Err(CommandError::NothingToDo.into()) }
    }

    fn create_group(
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
            self.known_contact(account)?;
        }
        let policy = GroupPolicy::new(self.me.account, name, description, self.network);
        let id = self.found_group(policy)?;
        if !members.is_empty() {
            self.intend(id, Intent::Add(members))?;
        }
        let view = self.group(&id)?.ok_or_else(|| state_error("the new group is not there"))?;
        Ok(Answer::Group(view))
    }

    /// Makes a group in which this installation is alone.
    pub(super) fn found_group(&mut self, policy: GroupPolicy) -> Result<GroupId, StepError> {
        let id = GroupId(self.rng.bytes());
        let inbox = InboxKey::generate(&mut *self.rng.lock(), self.now);
        let credential = self.me.credential.encode();
        let mls = Mls::create(&self.rng, &id, &policy, &self.me.key, &credential, &inbox.public())?;
        let slot = self.slot();
        let leaves = mls.verified_leaves(&self.network)?;
        let mut lines = RootLines::default();
        let (topic, seal): (LineId, LineId) = (self.rng.bytes(), self.rng.bytes());
        for (line, label) in [(topic, Label::GroupTopicRoot), (seal, Label::GroupSealRoot)] {
            let root = mls.export(label, &self.network)?;
            lines.insert(line, Root::new(slot, *root));
        }
        let epoch = mls.epoch_id(&self.network);
        let state = EpochInfo::new(
            epoch,
            mls.epoch(),
            None,
            slot,
            leaves,
            &policy,
            vec![(slot, topic)],
            seal,
            self.now,
        )?;
        let record = Record {
            id,
            tip: epoch,
            last_state: epoch,
            membership: Membership::Active,
            root: (epoch, state.number),
            first_epoch: epoch,
            members_before: Default::default(),
            invited_by: self.me.account,
            inbox: inbox.secret(),
            next_seq: 1,
            last_hash: None,
            last_in_epoch: Default::default(),
            heads: Default::default(),
            joined_at: self.now,
            quarantine: Default::default(),
        };
        self.begin_group(Group::new(record, state, lines, mls))?;
        Ok(id)
    }

    /// Writes a group that begins, and takes it up.
    pub(super) fn begin_group(&mut self, mut group: Group) -> Result<(), StepError> {
        let epoch = group.record.tip;
        group.save_record(&self.store)?;
        group.save_numbers(&self.store, &[])?;
        group.save_state(&self.store, &epoch)?;
        group.save_lines(&self.store)?;
        self.groups.insert(group.record.id, group);
        self.index.clear();
        self.watch_changed = true;
        self.reconcile_due = true;
        Ok(())
    }

    pub(super) fn leave_group(&mut self, id: GroupId) -> Done<Answer> {
        let state = self.active(&id)?;
        let own = self.me.key.id();
        // Each installation says for itself what its last item was.
        self.sync(vec![SyncItem::Leave { group: id }])?;
        if state.leaves.len() == 1 {
            // Nobody is there to be told.
            if let Some(group) = self.groups.get_mut(&id) {
                group.record.membership = Membership::Left;
                group.save_record(&self.store)?;
            }
            self.tell(Event::GroupLeft { group: id, removed: false })?;
            return Ok(Answer::Done);
        }
        let leaf = state.leaf_of(&own).ok_or(CommandError::NotMember)?;
        let group = self.groups.get(&id).ok_or(CommandError::UnknownGroup { group: id })?;
        let wish = LeaveWish {
            group: id,
            installation: own,
            membership_start: leaf.since.unwrap_or(state.epoch),
            // The wish itself is the last thing said.
            last_seq: group.record.next_seq,
            last_hash: group.record.last_hash,
        };
        let signed = wish.sign(&self.me.key, &self.network);
        self.send(id, Body::LeaveWish(signed))?;
        if let Some(group) = self.groups.get_mut(&id) {
            group.record.membership = Membership::Leaving;
            group.save_record(&self.store)?;
        }
        Ok(Answer::Done)
    }

    /// The number, chain and heads of the next own item, sent in a state.
    fn next_link(
        &self,
        group_id: &GroupId,
        state: &EpochInfo,
    ) -> Result<(ChainLink, Vec<Head>), StepError> {
        let group = self.groups.get(group_id).ok_or_else(|| state_error("no such group"))?;
        let mut tips = group.tips();
        // A head names a leaf: of those who are gone nothing can be said.
        tips.retain(|installation, _| state.leaf_of(installation).is_some());
        let heads = group.record.heads.select(&tips, &self.me.key.id());
        let link = ChainLink {
            seq: group.record.next_seq,
            previous: group.record.last_hash,
            prev_in_epoch: group.record.last_in_epoch.get(&state.epoch).copied(),
            heads: heads
                .iter()
                .filter_map(|head| {
                    Some(HeadRef {
                        leaf: state.leaf_of(&head.installation)?.leaf,
                        epoch: (head.epoch != state.epoch).then(|| head.epoch.prefix()),
                        seq: head.seq,
                        hash: head.hash.prefix(),
                    })
                })
                .collect(),
        };
        Ok((link, heads))
    }

    /// Notes that an own item has its number now.
    fn numbered(
        &mut self,
        group_id: &GroupId,
        epoch: EpochId,
        seq: u64,
        hash: ItemHash,
        said: &[Head],
    ) -> Result<(), StepError> {
        let group = self.groups.get_mut(group_id).ok_or_else(|| state_error("no such group"))?;
        group.record.heads.sent(said);
        group.record.next_seq = seq.saturating_add(1);
        group.record.last_hash = Some(hash);
        group.record.last_in_epoch.insert(epoch, seq);
        group.save_numbers(&self.store, said)?;
        self.store.mark_seen(group_id, &hash, self.now)?;
        Ok(())
    }

    /// Whether the keys of a state were used as often as the mark outside of it says. They were not
    /// where the state was derived again, or comes from a backup: then it must not be used to send.
    fn may_encrypt(&mut self, group_id: GroupId, epoch: &EpochId) -> Result<bool, StepError> {
        let mark = self.store.next_generation(epoch)?;
        let group = self.groups.get_mut(&group_id).ok_or_else(|| state_error("no such group"))?;
        let mls = group.take_mls(&self.store, &self.rng, epoch)?;
        let sent = mls.rows().sent().map_err(state_error)?;
        group.put_mls(*epoch, mls);
        Ok(sent == mark)
    }

    /// Encrypts, numbers, records and posts a message.
    pub(super) fn send(&mut self, group_id: GroupId, body: Body) -> Done<ItemHash> {
        self.send_after(group_id, body, Duration::ZERO)
    }

    /// The same, to go out after a delay; what is sent meanwhile overtakes it.
    pub(super) fn send_after(
        &mut self,
        group_id: GroupId,
        body: Body,
        delay: Duration,
    ) -> Done<ItemHash> {
        let mut state = self.current_state(&group_id)?;
        if !self.may_encrypt(group_id, &state.epoch)? {
            // This state was derived again: its keys have been used. A commit makes new ones.
            self.intend(group_id, Intent::Update)?;
            state = self.current_state(&group_id)?;
        }
        let (link, said) = self.next_link(&group_id, &state)?;
        let seq = link.seq;
        let text = match &body {
            Body::Text(text) => Some(text.clone()),
            _ => None,
        };
        let plaintext =
            Zeroizing::new(Content { chain: Some(link), sent_at: self.now, body }.encode());
        let group =
            self.groups.get_mut(&group_id).ok_or(CommandError::UnknownGroup { group: group_id })?;
        let mut mls = group.take_mls(&self.store, &self.rng, &state.epoch)?;
        let bytes = mls.encrypt(&self.me.key, &plaintext)?;
        let sent = mls.rows().count_sent().map_err(state_error)?;
        group.put_mls(state.epoch, mls);
        group.save_rows(&self.store, &state.epoch)?;
        self.store.set_next_generation(&state.epoch, sent)?;
        let hash = message_hash(&bytes).map_err(state_error)?;
        self.numbered(&group_id, state.epoch, seq, hash, &said)?;
        if text.is_some() {
            let stored = Stored {
                sender: self.me.account,
                installation: self.me.key.id(),
                seq,
                epoch: state.epoch,
                text,
                sent_at: self.now,
                received_at: self.now,
                handed_over_by: None,
            };
            self.add_to_history(group_id, hash, stored, false)?;
        }
        let frame = Frame::new(FrameKind::Message, bytes).encode();
        class_for(frame.len()).map_err(too_large)?;
        let parcel = Parcel {
            address: Address::Group { group: group_id, epoch: state.epoch },
            frame,
            item: Some((group_id, hash)),
        };
        self.post(parcel, delay)?;
        Ok(hash)
    }

    /// Looks up what is needed to add an account: its key packages and where its doorbell is.
    pub(super) fn plan_add(
        &mut self,
        change: &mut Change,
        group: &GroupId,
        epoch: &EpochId,
        account: &AccountId,
    ) -> Done<()> {
        let contact = self.known_contact(account)?;
        let Some(card) = contact.card(&self.network) else {
            return Err(self.no_usable_card(account).into());
        };
        let mut usable = 0;
        for package in card.key_packages_at(self.now) {
            let read = read_package(&package.bytes, &self.rng, &self.network);
            let (package, leaf) = match read {
                Ok((read, leaf))
                    if leaf.account == *account && leaf.installation == package.installation =>
                {
                    (read, leaf)
                }
                _ => {
                    tracing::warn!("a key package in a card is not usable");
                    continue;
                }
            };
            let id = reference(&package, &self.rng).map_err(StepError::from)?;
            let mark = [id.as_slice(), group.as_bytes(), epoch.as_bytes()].concat();
            self.store.mark_package(&mark, self.now).map_err(StepError::from)?;
            change.adds.push((package, leaf));
            usable += 1;
        }
        if usable == 0 || card.content().inbox.usable_until <= self.now {
            return Err(self.no_usable_card(account).into());
        }
        change.inboxes.push(card.content().inbox.key);
        Ok(())
    }

    /// Looks up what is needed to add another installation of this account.
    pub(super) fn plan_own_add(
        &mut self,
        change: &mut Change,
        group: &GroupId,
        epoch: &EpochId,
        installation: &InstallationId,
    ) -> Done<()> {
        let bad = CommandError::BadKeyPackage { installation: *installation };
        if !self.me.log.state().active.contains_key(installation) {
            return Err(CommandError::UnknownInstallation { installation: *installation }.into());
        }
        let record = self.own_record(installation)?;
        if record.usable_until.is_none_or(|until| until <= self.now) {
            return Err(bad.into());
        }
        let (package, leaf) = match read_package(&record.package, &self.rng, &self.network) {
            Ok((package, leaf))
                if (leaf.account, leaf.installation) == (self.me.account, *installation) =>
            {
                (package, leaf)
            }
            _ => return Err(bad.into()),
        };
        let id = reference(&package, &self.rng).map_err(StepError::from)?;
        let mark = [id.as_slice(), group.as_bytes(), epoch.as_bytes()].concat();
        self.store.mark_package(&mark, self.now).map_err(StepError::from)?;
        change.adds.push((package, leaf));
        change.own.push(*installation);
        Ok(())
    }

    /// Makes a commit on a state, applies it, and posts it with the invitations that belong to it.
    pub(super) fn make_commit(
        &mut self,
        group_id: GroupId,
        parent: &EpochInfo,
        change: Change,
    ) -> Done<((CommitId, EpochId), Option<OwnWelcome>)> {
        let (link, heads) = self.next_link(&group_id, parent)?;
        let seq = link.seq;
        let header = self.header(&group_id, parent, &change, link)?;
        // What others would refuse is not made: its author alone would follow it.
        if CommitHeader::decode(&header.encode()).as_ref() != Ok(&header) {
            return Err(not_allowed("the commit cannot be written as others read it"));
        }

        let mut facts = facts(&group_id, parent, self.own_leaf(parent)?, &header, &self.network)
            .map_err(|why| not_allowed(format!("{why:?}")))?;
        facts.added = change
            .adds
            .iter()
            .map(|(_, leaf)| AddedView {
                account: leaf.account,
                installation: leaf.installation,
                seniority: leaf.seniority,
            })
            .collect();
        facts.removed = change.removes.iter().map(|leaf| leaf.leaf).collect();
        facts.policy_after = change.policy.clone();
        facts.has_update_path =
            change.self_update || !change.removes.is_empty() || change.policy.is_some();
        let before = parent.policy().map_err(StepError::from)?;
        let members = parent.members();
        let view = ParentView { policy: &before, members: &members, slot: parent.slot };
        let effect = policy::check(&view, &facts).map_err(|refusal| match refusal {
            Refusal::NotAdmin => CommandError::NotAdmin,
            Refusal::LastAdmin => CommandError::LastAdmin,
            other => CommandError::NotAllowed { reason: other.to_string() },
        })?;

        let join_info = match change.adds.is_empty() {
            true => None,
            false => {
                let info = self.join_info(&group_id, parent, &header, &change.removes)?;
                Some(info.encode())
            }
        };
        let (packages, added): (Vec<KeyPackage>, Vec<Leaf>) = change.adds.into_iter().unzip();
        let plan = CommitPlan {
            adds: packages,
            removes: facts.removed.clone(),
            policy: change.policy.clone(),
            self_update: change.self_update,
            header: header.encode(),
            join_info,
        };
        let group =
            self.groups.get_mut(&group_id).ok_or(CommandError::UnknownGroup { group: group_id })?;
        let mls = group.take_mls(&self.store, &self.rng, &parent.epoch)?;
        let built = build(&mls, &self.rng, &self.me.key, &self.network, plan);
        group.put_mls(parent.epoch, mls);
        // What MLS refuses to build from what others gave us is no fault of our own state.
        let built = built.map_err(not_allowed)?;

        let epoch = built.mls.epoch_id(&self.network);
        let node = node(built.id, epoch, parent, &effect);
        if node.removes() && would_lose(&group.tree, node.clone(), &self.network) {
            return Err(CommandError::WouldLose.into());
        }
        let frame = Frame::commit(parent.epoch.prefix(), built.message).encode();
        class_for(frame.len()).map_err(too_large)?;

        let tree = built.mls.tree().map_err(StepError::from)?;
        let leaves =
            leaves_after(parent, &facts.removed, &added, &built.mls).map_err(StepError::from)?;
        let policy = change.policy.unwrap_or(before);
        let group_name = policy.name.clone();
        let new = NewState { node, parent: parent.clone(), mls: built.mls, leaves, policy, header };
        let hash = ItemHash::from(built.id);
        self.numbered(&group_id, parent.epoch, seq, hash, &heads)?;
        self.adopt(group_id, new, &frame)?;
        let parcel = Parcel {
            address: Address::Group { group: group_id, epoch: parent.epoch },
            frame,
            item: Some((group_id, hash)),
        };
        self.post(parcel, Duration::ZERO)?;
        let mut own_welcome = None;
        if let Some(welcome) = built.welcome {
            if !change.own.is_empty() {
                own_welcome = self.invite_own(group_id, &change.own, &welcome, &tree)?;
            }
            if !change.inboxes.is_empty() {
                self.invite(welcome, tree, &change.inboxes, group_name)?;
            }
        }
        Ok(((built.id, epoch), own_welcome))
    }

    fn own_leaf(&self, state: &EpochInfo) -> Done<u32> {
        let leaf = state.leaf_of(&self.me.key.id()).ok_or(CommandError::NotMember)?;
        Ok(leaf.leaf)
    }

    fn header(
        &self,
        group_id: &GroupId,
        parent: &EpochInfo,
        change: &Change,
        chain: ChainLink,
    ) -> Done<CommitHeader> {
        let group =
            self.groups.get(group_id).ok_or(CommandError::UnknownGroup { group: *group_id })?;
        let cuts = change
            .removes
            .iter()
            .map(|leaf| match &change.wish {
                // Who leaves says itself what its last number is.
                Some((_, wish, hash)) => {
                    Cut { installation: leaf.installation, seq: wish.last_seq, hash: Some(*hash) }
                }
                // Who was revoked counts up to what was heard before that was known.
                None if group.record.quarantine.contains_key(&leaf.installation) => {
                    let (seq, hash) = group.record.quarantine[&leaf.installation];
                    Cut { installation: leaf.installation, seq, hash }
                }
                None => {
                    let tip = group.chains.get(&leaf.installation).and_then(|chain| chain.tip());
                    Cut {
                        installation: leaf.installation,
                        seq: tip.map_or(0, |tip| tip.seq),
                        hash: tip.map(|tip| tip.hash),
                    }
                }
            })
            .collect();
        Ok(CommitHeader {
            chain,
            // Never before the parent's, even where the own clock is behind.
            slot: self.slot().max(parent.slot),
            rotate: change.rotate || !change.removes.is_empty(),
            intents: vec![change.intent],
            warrants: change
                .wish
                .iter()
                .map(|(wish, ..)| Warrant::Leave(wish.clone()))
                .chain(change.warrants.iter().cloned())
                .collect(),
            cuts,
        })
    }

    /// What a joiner needs beyond MLS.
    pub(super) fn join_info(
        &self,
        group_id: &GroupId,
        parent: &EpochInfo,
        header: &CommitHeader,
        removes: &[Leaf],
    ) -> Done<JoinInfo> {
        let slot = header.slot;
        let group =
            self.groups.get(group_id).ok_or(CommandError::UnknownGroup { group: *group_id })?;
        let at = |line: &LineId| -> Done<Root> {
            let root = group.lines.get(line).ok_or_else(|| state_error("a root is missing"))?;
            root.at(slot, &self.network).map_err(not_allowed)
        };
        // Only what holds from this slot on; nothing of the past goes with an invitation.
        let current = parent.topic_line(slot);
        let mut topics = vec![(slot, at(&current)?)];
        for (from, line) in parent.topics.iter().filter(|(from, _)| *from > slot) {
            topics.push((*from, at(line)?));
        }
        let mut since: Vec<(EpochId, Vec<u32>)> = Vec::new();
        // A leaf that the commit removes may be somebody else's after it.
        let stays = |leaf: &&Leaf| removes.iter().all(|gone| gone.leaf != leaf.leaf);
        for leaf in parent.leaves.iter().filter(stays) {
            let epoch = leaf.since.unwrap_or(parent.epoch);
            match since.iter_mut().find(|(known, _)| *known == epoch) {
                Some((_, leaves)) => leaves.push(leaf.leaf),
                None => since.push((epoch, vec![leaf.leaf])),
            }
        }
        let heads = group
            .tips()
            .into_iter()
            .filter_map(|(installation, tip)| {
                let leaf = parent.leaf_of(&installation)?.leaf;
                Some(JoinHead { leaf, seq: tip.seq, hash: tip.hash.prefix() })
            })
            .collect();
        let seal = if header.rotate { None } else { Some(at(&parent.seal)?) };
        Ok(JoinInfo { slot, topics, seal, since, heads })
    }

    /// Hands an invitation to other installations of this account: through their group, or, where
    /// it is that group, through whatever linked them. What may have to be sent to them again.
    fn invite_own(
        &mut self,
        group: GroupId,
        installations: &[InstallationId],
        welcome: &[u8],
        tree: &[u8],
    ) -> Done<Option<OwnWelcome>> {
        let invitation = Invitation { welcome: welcome.to_vec(), tree: Some(tree.to_vec()) }
            .encode()
            .map_err(|error| CommandError::NotAllowed { reason: error.to_string() })?;
        if self.is_visible(&group) {
            // Not with the commit: else who sees both at one instant, group after group, knows which
            // groups are of one account.
            let delay = self.invitation_delay();
            self.sync_after(vec![SyncItem::Welcome(invitation.clone())], delay)?;
            return Ok(Some(OwnWelcome(invitation)));
        }
        self.keep_self_welcome(installations, &invitation)?;
        Ok(None)
    }

    /// A random time after which an invitation goes out.
    pub(super) fn invitation_delay(&self) -> Duration {
        let most = self.params.invitation_delay_ms.saturating_add(1);
        Duration::from_millis(self.rng.below(most))
    }

    /// Posts an invitation on one-time topics, and the doorbells that name them.
    fn invite(
        &mut self,
        welcome: Vec<u8>,
        tree: Vec<u8>,
        inboxes: &[[u8; 32]],
        group_name: String,
    ) -> Done<()> {
        let secret = Zeroizing::new(self.rng.bytes::<32>());
        let slot = self.slot();
        let body = Invitation { welcome, tree: Some(tree) }
            .encode()
            .map_err(|error| CommandError::NotAllowed { reason: error.to_string() })?;
        let frame = Frame::new(FrameKind::Invitation, body).encode();
        class_for(frame.len()).map_err(too_large)?;
        let address = Address::Invitation { secret: secret.clone(), slot };
        let wait = self.invitation_delay();
        self.post(Parcel { address, frame, item: None }, wait)?;
        let content = DoorbellContent {
            inviter: self.me.credential.clone(),
            purpose: Purpose::Invitation(InvitationOffer { secret, slot, group_name }),
        };
        for recipients in inboxes.chunks(DOORBELL_WRAPS) {
            let body = {
                let mut rng = self.rng.lock();
                ring(&mut *rng, &self.network, recipients, &content, &self.me.key)
            };
            let body =
                body.map_err(|error| CommandError::NotAllowed { reason: error.to_string() })?;
            let frame = Frame::new(FrameKind::Doorbell, body).encode();
            let wait = self.invitation_delay();
            self.post(Parcel { address: Address::Inbox, frame, item: None }, wait)?;
        }
        Ok(())
    }
}

use super::event::Event;
