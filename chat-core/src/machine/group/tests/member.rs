//! A member of the test's group, and how members talk.

use std::time::Duration;

use super::book::{Book, Card};
use crate::contact::invitation::Invitation;
use crate::group::join::join;
use crate::group::policy::GroupPolicy;
use crate::identity::installation::InstallationKey;
use crate::identity::log::{Entry, EntrySigner, Log};
use crate::ids::{AccountId, InstallationId, IntentId, MessageId};
use crate::machine::account::keys::Keys;
use crate::machine::account::me::{Identity, Me};
use crate::machine::api::disposition::Disposition;
use crate::machine::api::done::Done;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::group::begin::Origin;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::intent::Intent;
use crate::machine::group::plan::Plan;
use crate::machine::parcel::{Address, Parcel};
use crate::machine::people::logs::{Logs, Who};
use crate::machine::testing::{context, done, effects, found_account};
use crate::time::Slot;
use crate::wire::envelope::{Envelope, SizeClass, seal};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::sync::SyncItem;

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

    /// Another installation of the account, which this one adds to the log.
    pub(super) fn second(&mut self, seed: u8) -> Self {
        let cx = context(seed);
        let key = InstallationKey::generate(&mut *cx.rng.lock());
        let possession = key.prove_possession(&self.account(), &cx.network);
        let by = EntrySigner::Installation(&self.me.key);
        let entry = self.me.log().add(by, key.id(), possession, cx.now).unwrap();
        self.grow(entry);
        let identity = Identity::new(&key, &self.me.card_secret, self.me.log(), cx.now);
        identity.found(&cx.db, &cx.network).unwrap();
        let me = Me::load(&cx.db, &cx.network).unwrap();
        Self { cx, me, logs: Logs::default(), book: Book::default(), group: None }
    }

    /// Revokes another installation of the account. The log that says so.
    pub(super) fn revoke(&mut self, id: InstallationId) -> Log {
        let log = self.me.log();
        let by = EntrySigner::Installation(&self.me.key);
        let entry = log.revoke(by, id, log.last_entry_of(&id), self.cx.now).unwrap();
        self.grow(entry);
        self.me.log().clone()
    }

    fn grow(&mut self, entry: Entry) {
        let mut log = self.me.log().clone();
        log.insert(entry).unwrap();
        self.me.set_log(&self.cx, log).unwrap();
    }

    /// Learns the log of an account.
    pub(super) fn learn(&mut self, log: &Log) {
        if log.account() != self.account() {
            self.logs.set(&self.cx, log.clone()).unwrap();
        }
        self.with(|group, cx, _, _| group.quarantine(cx, &log.account(), log.state())).unwrap();
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
        self.book.add(card.clone());
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
            let parcel = match effect {
                Effect::Post(parcel, _) => parcel,
                Effect::TellOwn(items, _) => {
                    out.own_invitations.extend(items.into_iter().filter_map(|item| match item {
                        SyncItem::Welcome(invitation) => Some(invitation),
                        _ => None,
                    }));
                    continue;
                }
                _ => continue,
            };
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
}

/// What goes out.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Envelopes on the group's topics, in order.
    pub(super) group: Vec<Envelope>,
    /// The bodies of invitations.
    pub(super) invitations: Vec<Vec<u8>>,
    /// The bodies of invitations for installations of the same account.
    pub(super) own_invitations: Vec<Vec<u8>>,
    pub(super) doorbells: usize,
}
