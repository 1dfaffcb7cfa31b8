//! Members that do not keep to the rules in what they say: they hold all keys of the group, and sign
//! as themselves.

use std::time::Duration;

use chat_core::identity::leave::LeaveWish;
use chat_core::ids::{EpochId, GroupId, ItemHash};
use chat_core::machine::{Deferred, Disposition, Event, Refused};
use chat_core::params::MAX_DEFERRED_PER_GROUP;
use chat_core::time::Timestamp;
use chat_core::wire::chain::{ChainLink, HeadRef};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};

use crate::commits::{commit, epoch};
use crate::kit::*;
use crate::works::assert_works;

/// Three members, one of which keeps to no rule.
struct Three {
    scenario: Scenario,
    alice: Person,
    bob: Person,
    mallory: Person,
    hikers: GroupHandle,
}

impl Three {
    fn new(seed: u64) -> Self {
        let (scenario, people, hikers) = hikers(["alice", "bob", "mallory"], seed);
        let [alice, bob, mallory] = people;
        Self { scenario, alice, bob, mallory, hikers }
    }

    fn all(&self) -> [&dyn Who; 3] {
        [&self.alice, &self.bob, &self.mallory]
    }

    fn link(&self) -> ChainLink {
        self.mallory.phone.machine(|machine| machine.insider_link(&self.hikers.id())).unwrap()
    }

    /// A plaintext as Mallory encrypts it.
    fn encrypted(&self, plaintext: &[u8]) -> Vec<u8> {
        let message = |machine: &mut chat_core::machine::Machine| {
            machine.insider_message(&self.hikers.id(), plaintext)
        };
        self.mallory.phone.break_rules(message).unwrap()
    }

    /// A frame of Mallory's: what becomes of it at Bob's.
    fn inside(&self, frame: &[u8]) -> Vec<Disposition> {
        inside(&self.scenario, &self.mallory.phone, &self.hikers, frame, &self.bob)
    }

    fn content(&self, content: &Content) -> Vec<Disposition> {
        let message = self.encrypted(&content.encode());
        self.inside(&Frame::new(FrameKind::Message, message).encode())
    }

    /// A numbered text with any link.
    fn text(&self, chain: ChainLink, text: &str) -> Vec<Disposition> {
        let body = Body::Text(text.into());
        self.content(&Content {
            chain: Some(chain),
            salt: [1; 16],
            sent_at: self.scenario.now(),
            body,
        })
    }

    fn assert_bob_reads(&self, text: &str) {
        self.alice.phone.send(&self.hikers, text);
        self.scenario.settle();
        assert_eq!(self.bob.phone.history(&self.hikers).last().unwrap(), text);
    }
}

#[test]
fn sealed_bytes_of_any_kind_are_refused_or_kept_within_limits() {
    let it = Three::new(20);
    let scenario = &it.scenario;
    let mut frames = Vec::new();
    for kind in FrameKind::ALL {
        for len in [0, 1, 100, 5000] {
            frames.push(Frame::new(kind, scenario.bytes(len)).encode());
        }
    }
    for len in [0, 1, 50, 400, 100_000] {
        frames.push(scenario.bytes(len));
    }
    // A real message and a real commit, cut short and with bits turned.
    let message = it.encrypted(&scenario.bytes(50));
    let parent = epoch(&it.mallory.phone, &it.hikers).epoch;
    let commit = commit(scenario, &it.mallory.phone, &it.hikers, |_, plan| plan.self_update = true);
    for real in [Frame::new(FrameKind::Message, message), Frame::commit(parent.prefix(), commit)] {
        let real = real.encode();
        for cut in [1, 2, 10, real.len() / 2, real.len() - 1] {
            frames.push(real[..cut].to_vec());
        }
        for _ in 0..60 {
            let bit = scenario.world().below(real.len() as u64 * 8) as usize;
            let mut turned = real.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            frames.push(turned);
        }
    }
    let judged: Vec<Disposition> = frames.iter().flat_map(|frame| it.inside(frame)).collect();
    assert_eq!(judged.len(), frames.len());
    let dropped = |found: &&Disposition| {
        let deferred = Disposition::Deferred(Deferred::UnknownEpoch);
        matches!(found, Disposition::Refused(_) | Disposition::Stale | Disposition::Duplicate)
            || **found == deferred
    };
    // A turned bit in a hint or in the frame's own fields may change nothing that counts.
    let others: Vec<_> = judged.iter().filter(|found| !dropped(found)).collect();
    assert!(others.len() <= 8, "{others:?}");
    assert!(rows(&it.bob, "deferred") <= MAX_DEFERRED_PER_GROUP as u64);
    let followed = |of: &Installation| epoch(of, &it.hikers).epoch;
    assert_eq!(followed(&it.bob.phone), followed(&it.alice.phone));
    scenario.settle();
    it.assert_bob_reads("still here");
    scenario.assert_no_failures();
}

#[test]
fn links_that_contradict_themselves_are_refused() {
    let it = Three::new(21);
    let link = it.link();
    let some = Some(ItemHash([9; 32]));
    for broken in [
        ChainLink { seq: 0, ..link.clone() },
        ChainLink { seq: 1, previous: some, ..link.clone() },
        ChainLink { seq: 5, previous: some, prev_in_epoch: Some(5), heads: Vec::new() },
        ChainLink { seq: 5, previous: some, prev_in_epoch: Some(0), heads: Vec::new() },
        ChainLink { seq: 5, previous: None, prev_in_epoch: Some(3), heads: Vec::new() },
        ChainLink { seq: u64::MAX, previous: None, prev_in_epoch: Some(u64::MAX), heads: vec![] },
    ] {
        assert_eq!(it.text(broken.clone(), "broken"), refused(Refused::Content), "{broken:?}");
    }
    assert!(it.bob.phone.history(&it.hikers).is_empty());
    assert!(it.bob.phone.missing(&it.hikers).is_empty());
    assert_works(&it.scenario, &it.hikers, &it.all());
}

#[test]
fn numbers_that_leap_or_come_twice_are_told_and_cost_little() {
    let it = Three::new(22);
    let link = |seq| ChainLink { seq, previous: Some(ItemHash([9; 32])), ..ChainLink::default() };
    let first = ChainLink { seq: 1, ..ChainLink::default() };
    assert!(matches!(it.text(first.clone(), "a")[..], [Disposition::Message(_)]));
    assert!(matches!(it.text(first, "b")[..], [Disposition::Message(_)]));
    let bob = &it.bob.phone;
    assert_eq!(bob.count_events(|e| matches!(e, Event::Equivocation { seq: 1, .. })), 1);
    // Every other number, then a number at the end of all.
    for seq in (3..900).step_by(2).chain([u64::MAX]) {
        let found = it.text(link(seq), "x");
        assert!(matches!(found[..], [Disposition::Message(_)]), "{seq}: {found:?}");
    }
    let missing = bob.missing(&it.hikers);
    assert!(!missing.is_empty() && missing.len() < 2000, "{}", missing.len());
    let told = bob.events().len();
    assert!(told < 3000, "{told} events");
    // Unnumbered contents and heads that claim anything of anybody.
    let heads: Vec<HeadRef> = (0..8)
        .map(|at| HeadRef { leaf: at, epoch: None, seq: u64::MAX - u64::from(at), hash: [1; 8] })
        .collect();
    let chain = Some(ChainLink { seq: 2, heads, ..ChainLink::default() });
    it.content(&Content {
        chain,
        salt: [1; 16],
        sent_at: Timestamp(u64::MAX),
        body: Body::Heartbeat,
    });
    let claimed = bob.missing(&it.hikers);
    let mallory = it.mallory.account();
    assert!(claimed.iter().all(|it| it.sender == mallory), "one claim alone is not a loss");
    // The others do not suffer from it.
    it.scenario.assert_no_failures();
    it.assert_bob_reads("never mind");
}

#[test]
fn a_flood_of_frames_for_unknown_epochs_is_bounded() {
    let it = Three::new(23);
    let real = it.encrypted(&it.scenario.bytes(20));
    let mut refusals = 0;
    for count in 0..MAX_DEFERRED_PER_GROUP as u64 + 50 {
        let mut message = real.clone();
        let at = message.len() - 8;
        message[at..].copy_from_slice(&count.to_be_bytes());
        let found = it.inside(&Frame::new(FrameKind::Message, message).encode());
        refusals += u32::from(found == refused(Refused::Budget));
    }
    assert!(refusals >= 50);
    assert_eq!(rows(&it.bob, "deferred"), MAX_DEFERRED_PER_GROUP as u64);
    assert_works(&it.scenario, &it.hikers, &it.all());
}

#[test]
fn a_wish_to_leave_that_another_member_signed_moves_nobody() {
    let it = Three::new(24);
    let (mallory, bob) = (&it.mallory.phone, &it.bob.phone);
    let state = epoch(mallory, &it.hikers);
    let wish_of = |of: &Installation, start: EpochId, group: GroupId| {
        let key = of.machine(|machine| machine.insider_key());
        let wish = LeaveWish {
            group,
            installation: key.id(),
            membership_start: start,
            last_seq: 1,
            last_hash: None,
        };
        wish.sign(&key, &network())
    };
    let since = |of: &Installation| state.leaf_of(&of.id()).unwrap().since.unwrap();
    let (mine, theirs) = (since(mallory), since(&it.alice.phone));
    let group = it.hikers.id();
    // Signed by another member; of another membership; of another group; bytes that are not a wish.
    let mut forged = wish_of(mallory, mine, group);
    let end = forged.len() - 1;
    forged[end] ^= 1;
    let refusals = || {
        let counters = bob.machine(|machine| machine.counters());
        counters.refused.get(&Refused::Content).copied().unwrap_or(0)
    };
    for wish in [
        wish_of(&it.alice.phone, theirs, group),
        wish_of(mallory, EpochId([7; 32]), group),
        wish_of(mallory, mine, GroupId([7; 32])),
        forged,
        vec![1; 200],
        Vec::new(),
    ] {
        let before = refusals();
        let (chain, body) = (Some(it.link()), Body::LeaveWish(wish));
        it.content(&Content { chain, salt: [1; 16], sent_at: Timestamp(0), body });
        assert_eq!(refusals(), before + 1);
    }
    it.scenario.settle();
    assert_eq!(bob.view(&it.hikers).accounts, 3);
    // One that holds, many times over: one intent, one commit.
    let wish = wish_of(mallory, mine, group);
    for seq in 1..60 {
        let chain = Some(ChainLink { seq, ..ChainLink::default() });
        let body = Body::LeaveWish(wish.clone());
        let message = it.encrypted(
            &Content { chain, salt: [1; 16], sent_at: it.scenario.now(), body }.encode(),
        );
        let frame = Frame::new(FrameKind::Message, message).encode();
        let sealed = mallory.sealed(&it.scenario, &it.hikers, &frame);
        it.scenario.world().inject(sealed);
    }
    it.scenario.pass(Duration::from_millis(100));
    assert!(rows(bob, "intent") <= 2, "{}", rows(bob, "intent"));
    it.scenario.settle();
    assert_eq!(bob.view(&it.hikers).accounts, 2);
    assert_works(&it.scenario, &it.hikers, &[&it.alice, &it.bob]);
}

#[test]
fn a_message_and_a_commit_of_one_group_are_refused_in_another() {
    let it = Three::new(27);
    let mallory = &it.mallory.phone;
    // A frame of one group in another one, properly sealed there.
    let second = it.alice.phone.create_group("others", &[&it.bob, &it.mallory]);
    it.scenario.settle();
    let elsewhere = |frame: &[u8]| inside(&it.scenario, mallory, &second, frame, &it.bob);
    let (chain, body) = (Some(it.link()), Body::Text("elsewhere".into()));
    let message =
        it.encrypted(&Content { chain, salt: [1; 16], sent_at: it.scenario.now(), body }.encode());
    let frame = Frame::new(FrameKind::Message, message).encode();
    assert_eq!(elsewhere(&frame), refused(Refused::Mls));
    let message = commit(&it.scenario, mallory, &it.hikers, |_, plan| plan.self_update = true);
    let frame = Frame::commit(epoch(mallory, &second).epoch.prefix(), message).encode();
    assert_eq!(elsewhere(&frame), refused(Refused::Mls));
    assert!(it.bob.phone.history(&second).is_empty());
    assert!(it.bob.phone.is_member(&it.hikers));
    assert_works(&it.scenario, &second, &it.all());
}
