//! Catching up: what was sent while a device was away is fetched, whatever ends in between.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

#[allow(dead_code)]
#[path = "bad_input/kit.rs"]
mod kit;

use std::time::Duration;

use chat_core::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use chat_core::ids::{GroupId, RequestId};
use chat_core::machine::{
    Answer, Command, CommandId, Disposition, Event, Inbound, Input, Machine, Output, QueryId,
    Refused, RequestState,
};
use chat_core::params::{CATCH_UP_MARGIN, HISTORY_PAGE, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::inbox_roots;
use chat_sim::world::World;
use common::*;
use kit::{NOBODY, bytes, deliver, hostile, network, ns, sealed_as};

/// A query that a machine asks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    id: QueryId,
    topics: Vec<String>,
    start: Timestamp,
    end: Timestamp,
}

/// A machine that is driven by hand: it asks, and the test is its Store.
struct Driven {
    machine: Machine,
    now: Timestamp,
    out: Vec<Output>,
}

impl Driven {
    fn new(world: &mut World, device: usize) -> Self {
        world.set_online(device, false);
        let machine = world.devices[device].machine.take().unwrap();
        Self { machine, now: world.now, out: Vec::new() }
    }

    fn step(&mut self, input: Input) {
        self.now = self.now + Duration::from_millis(5);
        let out = self.machine.step(self.now, input).unwrap();
        self.out.extend(out);
    }

    /// The query that it asks now; none while it waits.
    fn asked(&mut self) -> Option<Asked> {
        let mut found = None;
        for output in std::mem::take(&mut self.out) {
            if let Output::FetchHistory { query: id, topics, start, end, .. } = output {
                found = Some(Asked { id, topics, start, end });
            }
        }
        found
    }

    fn answer(&mut self, asked: &Asked, messages: Vec<Inbound>) {
        self.step(Input::HistoryPage { query: asked.id, messages, cursor: None });
    }
}

/// Something that nobody can read.
fn noise(at: Timestamp, len: usize) -> Inbound {
    Inbound {
        topic: "/waku-chat/1/aaaaaaaaaaaaaaaaaaaaaaaaaa/proto".into(),
        payload: vec![7; len].into(),
        timestamp_ns: ns(at),
    }
}

/// 0 knows 1, who does not know 0; and 2 and 3 chat with one another, so that time goes on.
fn strangers(seed: u64) -> (World, GroupId) {
    let mut world = World::new(NetworkParams::fast(), seed);
    for _ in 0..4 {
        world.add_device();
    }
    let Ok(Answer::ContactLink(link)) = world.command(1, Command::MakeContactLink) else {
        panic!()
    };
    world.command(0, Command::AddContact { link, name: None }).unwrap();
    world.befriend(2, 3);
    let members = vec![world.account(3)];
    let others = create(&mut world, 2, "others", members);
    settle(&mut world);
    (world, others)
}

/// Time passes, in which others talk, and device 1 catches up.
fn pass(world: &mut World, time: Duration, others: GroupId) {
    world.run_for(time);
    say(world, 2, others, "time goes on");
    settle(world);
    world.set_online(1, false);
    world.set_online(1, true);
    settle(world);
}

/// The one request that a device has.
fn request(world: &World, device: usize) -> RequestId {
    let requests = world.machine(device).requests().unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].id
}

fn gave_up(world: &World, device: usize) -> bool {
    events(world, device).iter().any(|event| matches!(event, Event::RequestFailed { .. }))
}

#[test]
fn what_was_said_before_the_invitation_came_is_read() {
    // The invitation goes out up to half a minute after the group was made, and everybody talks.
    let params = NetworkParams { invitation_delay_ms: 30_000, ..NetworkParams::fast() };
    let mut world = World::new(params, 20);
    for _ in 0..3 {
        world.add_device();
    }
    world.befriend(0, 1);
    world.befriend(0, 2);
    let members = vec![world.account(2)];
    let others = create(&mut world, 0, "others", members);
    settle(&mut world);
    world.set_online(1, false);
    world.run_for(Duration::from_secs(60));
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    world.run_for(Duration::from_secs(60));
    say(&mut world, 0, others, "time goes on");
    settle(&mut world);
    world.set_online(1, true);
    settle(&mut world);
    assert_agreed(&world, &[0, 1], group);
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    assert_no_failures(&world);
}

#[test]
fn what_was_said_under_new_roots_before_the_rotation_came_is_read() {
    let mut world = world(4, 21);
    let group = group(&mut world, "hikers");
    let members = vec![world.account(2)];
    let others = create(&mut world, 0, "others", members);
    settle(&mut world);
    world.set_online(1, false);
    world.run_for(Duration::from_secs(20));
    let before = world.observed.len();
    let out = vec![world.account(3)];
    world.command(0, Command::RemoveMembers { group, accounts: out }).unwrap();
    // The removal reaches Store much later than what is said after it, and is the last thing there.
    let mut late = world.observed.split_off(before);
    assert_eq!(late.len(), 1);
    world.run_for(Duration::from_secs(10));
    say(&mut world, 0, group, "she is gone");
    world.run_for(Duration::from_secs(40));
    say(&mut world, 0, others, "time goes on");
    settle(&mut world);
    let mut commit = late.remove(0);
    let topics_now = kit::roots(&world, 1, group);
    let roots = topics_now.at(Slot::at(world.now, world.params.slot_secs), &network(&world));
    let frame = opened(&world, &commit, group);
    commit = kit::sealed(&mut world, &roots.unwrap(), &frame, 0);
    world.inject(commit);
    world.run_for(Duration::from_secs(1));
    say(&mut world, 0, others, "time goes on");
    world.set_online(1, true);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["she is gone"]);
    assert_agreed(&world, &[0, 1], group);
}

/// What is in an envelope of a group, as device 1 opens it.
fn opened(world: &World, envelope: &chat_sim::world::Observed, group: GroupId) -> Vec<u8> {
    use chat_core::wire::envelope::{EnvelopeKey, open};
    use chat_core::wire::topic::ContentTopic;
    let sent = Timestamp(u64::try_from(envelope.timestamp_ns).unwrap() / 1_000_000);
    let roots = world.machine(1).insider_roots(&group, sent).unwrap();
    let key = EnvelopeKey::derive(&roots.seal, &network(world));
    let topic = ContentTopic::parse(&envelope.topic).unwrap();
    open(&key, &topic, &envelope.payload).unwrap().to_vec()
}

#[test]
fn who_says_yes_and_is_gone_at_once_joins_at_the_next_start() {
    for killed in [true, false] {
        let (mut world, others) = strangers(22);
        let members = vec![world.account(1)];
        let group = create(&mut world, 0, "hikers", members);
        say(&mut world, 0, group, "are you there?");
        pass(&mut world, Duration::from_secs(60), others);
        let accept = Command::AcceptRequest { request: request(&world, 1) };
        world.step(1, Input::Command(CommandId(u64::MAX), accept));
        if killed {
            world.stop(1);
            world.start(1);
        } else {
            world.set_online(1, false);
            world.set_online(1, true);
        }
        settle(&mut world);
        assert_eq!(texts(&world, 1, group), ["are you there?"], "killed: {killed}");
        assert_no_failures(&world);
    }
}

#[test]
fn who_joins_and_is_killed_at_once_reads_what_was_said_before() {
    let params = NetworkParams { invitation_delay_ms: 30_000, ..NetworkParams::fast() };
    let mut world = World::new(params, 23);
    for _ in 0..2 {
        world.add_device();
    }
    world.befriend(0, 1);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    let joined = |world: &World| world.machine(1).group(&group).unwrap().is_some();
    let mut waited = 0;
    while !joined(&world) {
        world.run_for(Duration::from_millis(1));
        waited += 1;
        assert!(waited < 100_000, "it never joins");
    }
    assert!(waited > 15_000, "the invitation came late enough: {waited} ms");
    // The answer of the Store is under way.
    assert!(texts(&world, 1, group).is_empty());
    world.stop(1);
    world.run_for(Duration::from_secs(30));
    world.start(1);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    assert_no_failures(&world);
}

#[test]
fn a_query_for_something_else_hides_nothing_that_relay_lost() {
    let mut world = world(3, 24);
    let group = group(&mut world, "hikers");
    world.faults.drop = 1000;
    say(&mut world, 0, group, "lost on the way");
    world.faults.drop = 0;
    world.run_for(Duration::from_secs(50));
    // Something to fetch history for, from now on only.
    let members = vec![world.account(1)];
    create(&mut world, 2, "others", members);
    settle(&mut world);
    // The next synchronisation finds what is older.
    world.set_online(1, false);
    world.set_online(1, true);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["lost on the way"]);
    assert_no_failures(&world);
}

#[test]
fn a_page_whose_step_failed_is_fetched_again() {
    // Wherever in the step: at any write, and where all is to be committed.
    let mut writes = 0;
    loop {
        // Slots so long that nothing is fetched only because a day is over.
        let params = NetworkParams { slot_secs: 600, ..NetworkParams::fast() };
        let mut world = World::new(params, 25);
        world.add_device();
        world.add_device();
        world.befriend(0, 1);
        let group = group(&mut world, "hikers");
        world.set_online(1, false);
        for text in ["one", "two", "three"] {
            say(&mut world, 0, group, text);
            world.run_for(Duration::from_secs(60));
        }
        world.set_online(1, true);
        world.machine(1).store().inject_fault_after(Some(writes));
        world.run_for(Duration::from_millis(2));
        world.machine(1).store().inject_fault_after(None);
        let failed = world.devices[1].failures.len();
        // The machine tells when it wants to go on; nobody asked it in the step that failed.
        for _ in 0..2 {
            world.run_for(Duration::from_secs(1));
            world.step(1, Input::Tick);
        }
        settle(&mut world);
        let mut found = texts(&world, 1, group);
        found.sort();
        assert_eq!(found, ["one", "three", "two"], "{writes} writes");
        if failed == 0 {
            break;
        }
        writes += 1;
    }
    assert!(writes > 5, "only {writes} writes");
}

#[test]
fn before_anything_was_seen_history_begins_with_the_account() {
    let mut world = World::new(NetworkParams::fast(), 26);
    world.add_device();
    let created = world.now;
    let mut it = Driven::new(&mut world, 0);
    for _ in 0..3 {
        it.now = it.now + Duration::from_secs(3600);
        it.step(Input::Connection { connected: true });
        let asked = it.asked().unwrap();
        assert_eq!(asked.start, created - CATCH_UP_MARGIN);
        it.answer(&asked, Vec::new());
        it.step(Input::Connection { connected: false });
    }
}

#[test]
fn a_slot_is_asked_for_again_where_some_of_its_topics_failed() {
    let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
    let mut world = World::new(params, 27);
    for _ in 0..2 {
        world.add_device();
    }
    world.befriend(0, 1);
    for name in ["a", "b", "c"] {
        let members = vec![world.account(1)];
        create(&mut world, 0, name, members);
        settle(&mut world);
    }
    let mut it = Driven::new(&mut world, 1);
    it.now = it.now + Duration::from_secs(6 * 3600);
    it.step(Input::Connection { connected: true });
    // More than the budget, without end: it asks by topic from there.
    let mut asked = it.asked().unwrap();
    let mut pages = 0u8;
    while asked.topics.is_empty() {
        pages += 1;
        let at = asked.start + CATCH_UP_MARGIN + Duration::from_secs(60);
        let messages = vec![noise(at, 128 * 1024); HISTORY_PAGE as usize];
        it.step(Input::HistoryPage { query: asked.id, messages, cursor: Some([pages; 32]) });
        asked = it.asked().unwrap();
    }
    let next = asked.start + CATCH_UP_MARGIN + Duration::from_secs(3600);
    it.answer(&asked, Vec::new());
    // The first topics of a slot have something at its end, and the others fail.
    let first = it.asked().unwrap();
    let (first, slot) = match first.start + CATCH_UP_MARGIN == next {
        true => (first, next),
        false => {
            it.answer(&first, Vec::new());
            (it.asked().unwrap(), next)
        }
    };
    assert_eq!(first.start + CATCH_UP_MARGIN, slot);
    it.answer(&first, vec![noise(slot + Duration::from_secs(3500), 512)]);
    let second = it.asked().unwrap();
    assert_eq!(second.start, first.start);
    assert!(second.topics.iter().all(|topic| !first.topics.contains(topic)));
    let failed = Input::HistoryFailed { query: second.id, reason: "gone".into(), no_store: false };
    it.step(failed);
    it.now = it.now + Duration::from_secs(60);
    it.step(Input::Tick);
    let again = it.asked().unwrap();
    assert!(again.start <= slot, "{:?} is left out", slot);
}

/// Doorbells that are none, as anybody can make them; they count as any others, and the test need
/// not wait for thousands of them to be opened.
fn junk_rings(world: &mut World, count: usize) {
    let slot = Slot::at(world.now, world.params.slot_secs);
    let roots = inbox_roots(&network(world), slot);
    for _ in 0..count {
        let body = bytes(world, 32);
        let frame = Frame::new(FrameKind::Doorbell, body).encode();
        let message = sealed_as(world, &roots, &frame, NOBODY, SizeClass::Doorbell);
        world.inject(message);
    }
}

#[test]
fn a_flood_of_doorbells_while_away_hides_no_invitation() {
    let mut world = world(2, 28);
    world.set_online(1, false);
    junk_rings(&mut world, 700);
    world.run_for(Duration::from_secs(10));
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    world.run_for(Duration::from_secs(10));
    let began = world.now;
    world.set_online(1, true);
    // They are tried no faster than the budget allows.
    world.run_for(Duration::from_secs(1));
    let tried = world.devices[1].dispositions.len();
    assert!((400..700).contains(&tried), "{tried} in {:?}", world.now.since(began));
    world.run_for(Duration::from_secs(40));
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    let refused = &world.machine(1).counters().refused;
    assert_eq!(refused.get(&Refused::Budget), None);
    assert_no_failures(&world);
}

#[test]
fn an_invitation_amid_a_flood_of_doorbells_is_found_in_history() {
    let mut world = world(2, 29);
    settle(&mut world);
    junk_rings(&mut world, 700);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    world.run_for(Duration::from_secs(1));
    let refused = &world.machine(1).counters().refused;
    assert!(refused.get(&Refused::Budget).is_some_and(|count| *count > 100));
    world.run_for(Duration::from_secs(60));
    assert_agreed(&world, &[0, 1], group);
    assert_no_failures(&world);
}

#[test]
fn who_rings_without_end_does_not_keep_a_device_from_sending() {
    let mut world = world(2, 30);
    let group = group(&mut world, "hikers");
    world.set_online(1, false);
    // More than a minute's work.
    junk_rings(&mut world, 3800);
    world.run_for(Duration::from_secs(5));
    world.set_online(1, true);
    world.run_for(Duration::from_secs(1));
    say(&mut world, 1, group, "can you hear me?");
    assert_eq!(world.machine(1).identity().unwrap().outbox, 1, "it has yet to catch up");
    world.run_for(Duration::from_secs(80));
    assert_eq!(texts(&world, 0, group), ["can you hear me?"]);
    assert_no_failures(&world);
}

/// 0 rings at 1, for an invitation that waits at a slot: what becomes of it.
fn rings_for(world: &mut World, offered: Slot) -> Vec<Disposition> {
    let account = world.account(1);
    let own = world.machine(0).groups().unwrap()[0].id;
    let (_, inboxes) = hostile(world, 0).insider_packages(&own, &account).unwrap();
    let secret: [u8; 32] = bytes(world, 32).try_into().unwrap();
    let offer = InvitationOffer { secret: secret.into(), slot: offered, group_name: "g".into() };
    let content = DoorbellContent {
        inviter: world.machine(0).insider_credential(),
        purpose: Purpose::Invitation(offer),
    };
    let (key, network) = (world.machine(0).insider_key(), network(world));
    let body = ring(world.rng(), &network, &[inboxes[0]], &content, &key).unwrap();
    let frame = Frame::new(FrameKind::Doorbell, body).encode();
    let roots = inbox_roots(&network, Slot::at(world.now, world.params.slot_secs));
    let message = sealed_as(world, &roots, &frame, NOBODY, SizeClass::Doorbell);
    deliver(world, message, 1)
}

#[test]
fn nobody_rings_for_a_time_long_ago() {
    let mut world = world(2, 31);
    create(&mut world, 0, "trap", vec![]);
    world.run_for(Duration::from_secs(600));
    let slot = Slot::at(world.now, world.params.slot_secs);
    for far in [Slot(0), slot.back(49), slot.next().next(), Slot(u64::MAX)] {
        assert_eq!(rings_for(&mut world, far), [Disposition::Refused(Refused::Content)], "{far}");
        assert!(world.machine(1).requests().unwrap().is_empty());
    }
    for near in [slot.back(48), slot, slot.next()] {
        let found = rings_for(&mut world, near);
        assert!(matches!(found[..], [Disposition::Doorbell(_)]), "{near}: {found:?}");
    }
    assert_no_failures(&world);
}

#[test]
fn a_late_yes_is_looked_for_in_its_own_time_only() {
    let (mut world, others) = strangers(32);
    let members = vec![world.account(1)];
    let offered = world.now;
    create(&mut world, 0, "hikers", members);
    pass(&mut world, Duration::from_secs(3600), others);
    let accept = Command::AcceptRequest { request: request(&world, 1) };
    let mut it = Driven::new(&mut world, 1);
    it.step(Input::Connection { connected: true });
    let asked = it.asked().unwrap();
    it.answer(&asked, Vec::new());
    it.step(Input::Command(CommandId(1), accept));
    let asked = it.asked().unwrap();
    let slots = Duration::from_secs(50 * world.params.slot_secs) + 2 * CATCH_UP_MARGIN;
    assert!(asked.start <= offered && asked.end <= offered + slots, "{asked:?}");
    // Once.
    it.answer(&asked, Vec::new());
    it.step(Input::Tick);
    assert_eq!(it.asked(), None);
}

#[test]
fn a_late_yes_joins_and_reads_everything() {
    for killed in [false, true] {
        let (mut world, others) = strangers(33);
        let members = vec![world.account(1)];
        let group = create(&mut world, 0, "hikers", members);
        say(&mut world, 0, group, "are you there?");
        pass(&mut world, Duration::from_secs(1800), others);
        say(&mut world, 0, group, "still?");
        pass(&mut world, Duration::from_secs(1800), others);
        let accept = Command::AcceptRequest { request: request(&world, 1) };
        world.step(1, Input::Command(CommandId(u64::MAX), accept));
        if killed {
            world.stop(1);
            world.start(1);
        }
        settle(&mut world);
        assert_eq!(texts(&world, 1, group), ["are you there?", "still?"], "killed: {killed}");
        assert_no_failures(&world);
    }
}

#[test]
fn an_invitation_is_not_given_up_while_no_store_answers() {
    let (mut world, others) = strangers(34);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    pass(&mut world, Duration::from_secs(600), others);
    world.has_store = false;
    let accept = Command::AcceptRequest { request: request(&world, 1) };
    world.command(1, accept).unwrap();
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.machine(1).requests().unwrap()[0].state, RequestState::Accepted);
    assert!(!gave_up(&world, 1));
    world.has_store = true;
    world.run_for(Duration::from_secs(90));
    assert_agreed(&world, &[0, 1], group);
    assert_no_failures(&world);
}

#[test]
fn an_invitation_that_never_came_is_given_up() {
    for late in [false, true] {
        let (mut world, others) = strangers(35);
        let before = world.observed.len();
        let members = vec![world.account(1)];
        create(&mut world, 0, "hikers", members);
        settle(&mut world);
        // The doorbell went out, the invitation was lost.
        let sent = world.observed.split_off(before);
        for message in sent {
            let slot = Slot(u64::try_from(message.timestamp_ns).unwrap() / 5_000_000_000);
            let inbox = kit::topics(&world, &inbox_roots(&network(&world), slot));
            if inbox.contains(&message.topic) {
                world.observed.push(message);
            }
        }
        if late {
            pass(&mut world, Duration::from_secs(600), others);
        }
        let accept = Command::AcceptRequest { request: request(&world, 1) };
        world.command(1, accept).unwrap();
        if !late {
            pass(&mut world, Duration::from_secs(100), others);
            assert!(!gave_up(&world, 1), "its time is not over");
            pass(&mut world, Duration::from_secs(300), others);
        }
        settle(&mut world);
        assert!(gave_up(&world, 1), "late: {late}");
        assert!(world.machine(1).requests().unwrap().is_empty());
        assert_no_failures(&world);
    }
}
