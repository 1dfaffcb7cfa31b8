//! A member of the test's group, and how members talk.

use std::collections::BTreeMap;
use std::time::Duration;

use openmls::key_packages::KeyPackage;

use crate::contact::invitation::Invitation;
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::join::join;
use crate::group::package::read_package;
use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, EpochId, InstallationId, IntentId, MessageId};
use crate::machine::account::keys::Keys;
use crate::machine::account::me::Me;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::done::Done;
use crate::machine::api::error::CommandError;
use crate::machine::api::event::Event;
use crate::machine::api::view::MessageView;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::group::begin::Origin;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::directory::{Directory, Reachable};
use crate::machine::group::intent::Intent;
use crate::machine::group::plan::Plan;
use crate::machine::group::stored::history;
use crate::machine::parcel::{Address, Parcel};
use crate::machine::people::logs::{Logs, Who};
use crate::machine::testing::{context, done, effects, events, found_account};
use crate::time::Slot;
use crate::wire::envelope::{Envelope, SizeClass, seal};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::labels::Label;

/// What a member gives to others, so that they can add it.
#[derive(Clone)]
pub(super) struct Card {
    pub(super) account: AccountId,
    pub(super) installation: InstallationId,
    package: Vec<u8>,
    inbox: [u8; 32],
}

/// The directory of a member: the cards that it has.
#[derive(Default, Clone)]
pub(super) struct Book(BTreeMap<AccountId, Card>);

impl Book {
    fn read(cx: &Cx, card: &Card) -> (KeyPackage, Leaf) {
        read_package(&card.package, &cx.rng, &cx.network).unwrap()
    }
}

impl Directory for Book {
    fn contact(&self, cx: &Cx, account: &AccountId) -> Done<Reachable> {
        let card = self.0.get(account).ok_or(CommandError::ContactPending { account: *account })?;
        Ok(Reachable { packages: vec![Self::read(cx, card)], inbox: card.inbox })
    }

    fn installation(&self, cx: &Cx, id: &InstallationId) -> Done<(KeyPackage, Leaf)> {
        let card = self.0.values().find(|card| card.installation == *id);
        let card = card.ok_or(CommandError::BadKeyPackage { installation: *id })?;
        Ok(Self::read(cx, card))
    }

    fn needs_readmission(&self, _: &Cx, _: &EpochInfo, _: &AccountId) -> bool {
        false
    }
}

/// One installation, with a context of its own.
pub(super) struct Member {
    pub(super) cx: Cx,
    pub(super) me: Me,
    logs: Logs,
    book: Book,
    group: Option<Conversation>,
}

impl Member {
    /// The same seed gives the same member: a copy, as a backup is one.
    pub(super) fn new(seed: u8) -> Self {
        let cx = context(seed);
        let (me, _) = found_account(&cx);
        Self { cx, me, logs: Logs::default(), book: Book::default(), group: None }
    }

    pub(super) fn account(&self) -> AccountId {
        self.me.account
    }

    pub(super) fn group(&mut self) -> &mut Conversation {
        self.group.as_mut().unwrap()
    }

    /// The group with what it is lent: see [`Conversation`].
    #[allow(clippy::type_complexity)]
    pub(super) fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Conversation, &mut Cx, Who<'_>, &Book) -> T,
    ) -> T {
        let Self { cx, me, logs, book, group } = self;
        act(group.as_mut().unwrap(), cx, Who { me, logs }, book)
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.cx.now = self.cx.now + time;
    }

    // ---- groups begin ----

    /// Founds the group.
    pub(super) fn found(&mut self) {
        let (name, network) = ("The group".to_owned(), self.cx.network);
        let policy = GroupPolicy::new(self.account(), name, String::new(), network);
        let group = Conversation::found(&self.cx, &self.me, &policy).unwrap();
        group.begin(&mut self.cx).unwrap();
        self.group = Some(group);
    }

    /// Its card.
    pub(super) fn card(&mut self) -> Card {
        let mut keys = Keys::default();
        let package = keys.current_package(&mut self.cx, &self.me).unwrap();
        let inbox = keys.current_inbox(&mut self.cx).unwrap();
        Card {
            account: self.me.account,
            installation: self.me.id(),
            package: package.bytes,
            inbox: inbox.key,
        }
    }

    /// Learns how another member is added.
    pub(super) fn know(&mut self, card: &Card) {
        self.book.0.insert(card.account, card.clone());
    }

    /// Joins with an invitation; false: it was used before.
    pub(super) fn join(&mut self, from: AccountId, invitation: &[u8]) -> bool {
        let invitation = Invitation::decode(invitation).unwrap();
        let (packages, inboxes) = Keys::packages(&self.cx.db).unwrap();
        let tree = invitation.tree.unwrap();
        let (rng, network) = (&self.cx.rng, &self.cx.network);
        let joined = join(rng, network, &packages, &invitation.welcome, &tree).unwrap();
        let inbox = inboxes[0].clone();
        let earlier = self.group.as_mut();
        let entered =
            Conversation::enter(&mut self.cx, joined, from, inbox, Origin::Request, earlier);
        let entered = entered.unwrap();
        let came = entered.is_some();
        self.group = entered.or(self.group.take());
        came
    }

    /// Loads the group from the database, as a process does that starts.
    pub(super) fn reload(&mut self) {
        let mut groups = Conversation::load_all(&self.cx).unwrap();
        assert_eq!(groups.len(), 1);
        self.group = groups.pop_first().map(|(_, group)| group);
    }

    // ---- out ----

    /// A plan for an intent.
    pub(super) fn plan(&mut self, intent: &Intent) -> Done<Option<Plan>> {
        let id = IntentId(self.cx.rng.bytes());
        self.with(|group, cx, who, book| group.plan(cx, who, book, intent, id))
    }

    /// Does at once what is wanted; what goes out.
    pub(super) fn change(&mut self, intent: Intent) -> Outgoing {
        self.with(|group, cx, who, book| {
            let prepared = done(group.prepare(cx, who, book, intent, true));
            group.go_ahead(cx, who, prepared).unwrap();
        });
        self.outgoing()
    }

    /// Commits what is due.
    pub(super) fn commit_due(&mut self) -> Outgoing {
        self.with(|group, cx, who, book| group.commit_due(cx, who, book)).unwrap();
        self.outgoing()
    }

    pub(super) fn say(&mut self, text: &str) -> MessageId {
        self.with(|group, cx, who, _| group.say(cx, who, text.into()))
    }

    /// Encrypts what is due; what goes out.
    pub(super) fn flush(&mut self) -> Outgoing {
        self.with(|group, cx, who, book| group.flush(cx, who, book)).unwrap();
        self.outgoing()
    }

    /// Says something at once.
    pub(super) fn send(&mut self, text: &str) -> (MessageId, Envelope) {
        let message = self.say(text);
        let mut out = self.flush();
        assert_eq!(out.group.len(), 1, "one message makes one envelope");
        (message, out.group.remove(0))
    }

    /// What it asked to have posted, sealed now.
    pub(super) fn outgoing(&mut self) -> Outgoing {
        let mut out = Outgoing::default();
        for effect in effects(&mut self.cx) {
            let Effect::Post(parcel, _) = effect else { continue };
            match parcel.address {
                Address::Group { .. } => {
                    let envelope = self.seal(&parcel);
                    out.group.push(envelope);
                }
                Address::Invitation { .. } => {
                    let frame = Frame::decode(&parcel.frame).unwrap();
                    assert_eq!(frame.kind, FrameKind::Invitation);
                    out.invitations.push(frame.body);
                }
                Address::Inbox => out.doorbells += 1,
                _ => panic!("a group posts nothing else"),
            }
        }
        out
    }

    fn seal(&mut self, parcel: &Parcel) -> Envelope {
        let Address::Group { epoch, .. } = &parcel.address else { panic!("not for the group") };
        let Self { cx, group, .. } = self;
        let roots = group.as_ref().unwrap().roots(epoch, cx.slot(), &cx.network).unwrap();
        let rng = &mut *cx.rng.lock();
        seal(rng, &roots, 0, &parcel.frame, SizeClass::Fit, cx.now, &cx.params).unwrap()
    }

    // ---- in ----

    /// Opens an envelope and takes in what is in it.
    pub(super) fn take(&mut self, envelope: &Envelope) -> Disposition {
        let slot = Slot::at(envelope.timestamp, self.cx.params.slot_secs);
        let Envelope { topic, payload, .. } = envelope;
        self.with(|group, cx, who, _| {
            let verdict = group.open(cx, who, topic, payload, slot).unwrap();
            group.apply(cx, who, verdict).unwrap()
        })
    }

    /// Takes in everything; what it posts because of that, it posts later.
    pub(super) fn take_all(&mut self, out: &Outgoing) {
        for envelope in &out.group {
            self.take(envelope);
        }
    }

    /// Looks again at what it kept.
    pub(super) fn reopen(&mut self) -> Vec<Disposition> {
        self.with(|group, cx, who, _| {
            let mut out = Vec::new();
            for row in group.deferred(cx).unwrap() {
                if let Some(verdict) = group.reopen(cx, who, &row).unwrap() {
                    out.push(group.apply(cx, who, verdict).unwrap());
                }
            }
            out
        })
    }

    // ---- what is to be compared ----

    /// The epoch that it follows.
    pub(super) fn tip(&mut self) -> EpochId {
        self.group().tip()
    }

    /// The epoch that it follows, its name and description, and a secret that only those in the
    /// same epoch derive.
    pub(super) fn state(&mut self) -> (EpochId, String, String, [u8; 32]) {
        let epoch = self.tip();
        let Self { cx, group, .. } = self;
        let group = group.as_mut().unwrap();
        let mls = group.take_mls(cx, &epoch).unwrap();
        let secret = *mls.export(Label::GroupTopicRoot, &cx.network).unwrap();
        assert_eq!(mls.epoch_id(&cx.network), epoch);
        group.put_mls(epoch, mls);
        let policy = group.current().unwrap().policy().unwrap();
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

/// What goes out.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Envelopes on the group's topics, in order.
    pub(super) group: Vec<Envelope>,
    /// The bodies of invitations.
    pub(super) invitations: Vec<Vec<u8>>,
    pub(super) doorbells: usize,
}

/// A group of so many members; the first one made it.
pub(super) fn group_of<const N: usize>() -> [Member; N] {
    group_with(std::array::from_fn(|n| n as u8 + 1))
}

/// A group of members with these seeds; the first one made it.
pub(super) fn group_with<const N: usize>(seeds: [u8; N]) -> [Member; N] {
    let mut members = seeds.map(Member::new);
    let cards: Vec<Card> = members[1..].iter_mut().map(Member::card).collect();
    let (first, others) = members.split_first_mut().unwrap();
    first.found();
    cards.iter().for_each(|card| first.know(card));
    let out = first.change(Intent::Add(cards.iter().map(|card| card.account).collect()));
    let inviter = first.account();
    for other in others {
        assert!(other.join(inviter, &out.invitations[0]));
        cards.iter().for_each(|card| other.know(card));
    }
    for member in &mut members {
        effects(&mut member.cx);
        member.events();
    }
    members
}
