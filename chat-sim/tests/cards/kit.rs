//! Accounts that give links without a card, and what is on the wire of their cards.

use std::time::Duration;

use chat_core::contact::schedule::{CARD_LANE, card_time, card_topic};
use chat_core::contact::{Card, CardSecret, ContactLink};
use chat_core::ids::{AccountId, GroupId};
use chat_core::machine::{CommandError, ContactView, Event};
use chat_core::params::{CARD_PERIOD, CARD_SIZE, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::envelope::{SizeClass, seal};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::card_roots;
use chat_sim::world::{Observed, Unanswered, World};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Slots of an hour, so that weeks pass quickly; no connection of the devices is lost.
pub(crate) fn accounts(count: usize, seed: u64) -> World {
    let mut world = World::new(NetworkParams::public(), seed);
    for _ in 0..count {
        world.add_device();
    }
    world
}

pub(crate) fn days(count: u32) -> Duration {
    CARD_PERIOD * count
}

pub(crate) fn link(world: &mut World, device: usize, short: bool) -> String {
    let hand = world.by(device);
    if short { hand.short_contact_link().unwrap() } else { hand.contact_link().unwrap() }
}

pub(crate) fn take(world: &mut World, device: usize, link: &str) -> ContactView {
    world.by(device).add_contact(link, None).unwrap()
}

/// Each of two devices takes the other's short link.
pub(crate) fn meet(world: &mut World, a: usize, b: usize) {
    for (from, to) in [(a, b), (b, a)] {
        let link = link(world, from, true);
        take(world, to, &link);
    }
}

pub(crate) fn contact(world: &World, device: usize, of: usize) -> ContactView {
    let account = world.account(of);
    let contacts = world.machine(device).contacts().unwrap();
    contacts.into_iter().find(|contact| contact.account == account).unwrap()
}

pub(crate) fn is_usable(world: &World, device: usize, of: usize) -> bool {
    contact(world, device, of).usable_until.is_some_and(|until| until > world.now())
}

/// The secret in the contact link of a device's account.
pub(crate) fn secret(world: &mut World, device: usize) -> CardSecret {
    let text = link(world, device, true);
    ContactLink::parse(&text, &world.params.id(), world.now()).unwrap().secret
}

/// The card that a device would give in a link now.
pub(crate) fn card(world: &mut World, device: usize) -> Card {
    let text = link(world, device, false);
    ContactLink::parse(&text, &world.params.id(), world.now()).unwrap().card.unwrap()
}

pub(crate) fn due(world: &World, secret: &CardSecret, period: u64) -> Timestamp {
    card_time(secret, period, &world.params.id())
}

pub(crate) fn period(world: &World) -> u64 {
    Card::counter_at(world.now())
}

/// Lets time pass up to a moment.
pub(crate) fn run_to(world: &mut World, at: Timestamp) {
    world.run_for(at.since(world.now()));
}

/// Lets time pass up to a while before a card is due that has hours to its period's end; the period.
pub(crate) fn before_next(world: &mut World, secret: &CardSecret, before: Duration) -> u64 {
    let mut next = period(world);
    let early = |at: Timestamp| at.secs() % 86_400 + 3 * 3600 < 86_400;
    while due(world, secret, next) - before <= world.now() || !early(due(world, secret, next)) {
        next += 1;
    }
    let at = due(world, secret, next) - before;
    run_to(world, at);
    next
}

/// The cards on the topic of an account in a period, as a relay saw them.
pub(crate) fn on_topic<'w>(
    world: &'w World,
    secret: &CardSecret,
    period: u64,
) -> Vec<&'w Observed> {
    let topic = card_topic(secret, period, &world.params.id()).to_string();
    world.network.observed.iter().filter(|message| message.topic == topic).collect()
}

/// Everything of the size of a card.
pub(crate) fn card_sized(world: &World) -> usize {
    world.network.observed.iter().filter(|message| message.payload.len() == CARD_SIZE).count()
}

/// A frame on the topic of a card, sealed as a card is, by an outsider who has the link.
pub(crate) fn forge(
    world: &mut World,
    secret: &CardSecret,
    frame: &[u8],
    class: SizeClass,
) -> Observed {
    let (now, params) = (world.now(), world.params.clone());
    let (network, slot) = (params.id(), Slot::at(now, params.slot_secs));
    let roots = card_roots(secret.as_bytes(), Card::counter_at(now), slot, &network);
    let sealed = seal(world.rng(), &roots, CARD_LANE, frame, class, now, &params).unwrap();
    Observed {
        topic: sealed.topic.to_string(),
        payload: sealed.payload,
        timestamp_ns: i64::try_from(sealed.timestamp.millis()).unwrap() * 1_000_000,
        seen_at: now,
        by: usize::MAX,
    }
}

/// Publishes a card, by an outsider who has the link.
pub(crate) fn publish(world: &mut World, secret: &CardSecret, card: &[u8]) {
    let frame = Frame::new(FrameKind::Card, card.to_vec()).encode();
    let message = forge(world, secret, &frame, SizeClass::Card);
    world.inject(message);
}

pub(crate) fn ready(world: &World, device: usize, account: AccountId) -> usize {
    let of = Event::ContactReady { account };
    events(world, device).into_iter().filter(|event| **event == of).count()
}

pub(crate) fn failed(world: &World, device: usize, account: AccountId) -> Vec<String> {
    events(world, device)
        .into_iter()
        .filter_map(|event| match event {
            Event::ContactFailed { account: of, reason } if *of == account => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

pub(crate) fn rollbacks(world: &World, device: usize) -> usize {
    let is = |event: &&&Event| matches!(event, Event::CardRollback { .. });
    events(world, device).iter().filter(is).count()
}

/// Device `by` makes a group with `member` in it.
pub(crate) fn invite(world: &mut World, by: usize, member: usize) -> Result<GroupId, Unanswered> {
    let members = vec![world.account(member)];
    world.by(by).create_group("hikers", members)
}

/// The two talk in a new group.
pub(crate) fn assert_talk(world: &mut World, by: usize, member: usize) {
    let mut answer = invite(world, by, member);
    if matches!(answer, Err(Unanswered::Refused(CommandError::ContactPending { .. }))) {
        world.run_for(Duration::from_secs(2));
        answer = invite(world, by, member);
    }
    let group = answer.unwrap();
    world.run_for(Duration::from_secs(120));
    world.accept_requests();
    world.run_for(Duration::from_secs(120));
    say(world, by, group, "hello");
    say(world, member, group, "hello you");
    world.run_for(Duration::from_secs(60));
    for device in [by, member] {
        let mut found = texts(world, device, group);
        found.sort();
        assert_eq!(found, ["hello", "hello you"], "device {device}");
    }
    assert_no_failures(world);
}

pub(crate) fn say(world: &mut World, by: usize, group: GroupId, text: &str) {
    world.by(by).send(group, text).unwrap();
}

/// The texts that a device has of a group, in its order.
pub(crate) fn texts(world: &World, device: usize, group: GroupId) -> Vec<String> {
    world
        .machine(device)
        .history(&group, None, 10_000)
        .unwrap()
        .into_iter()
        .filter_map(|message| message.text)
        .collect()
}

pub(crate) fn events(world: &World, device: usize) -> Vec<&Event> {
    world.devices[device].events.values().collect()
}

pub(crate) fn assert_no_failures(world: &World) {
    for (at, device) in world.devices.iter().enumerate() {
        assert!(device.failures.is_empty(), "device {at}: {:?}", device.failures);
    }
}
