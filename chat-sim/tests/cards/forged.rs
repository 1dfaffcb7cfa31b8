//! Everybody who has the link can publish on the topic of a card. What does not come from the account neither
//! stands in the way of the true card nor takes its place.

use std::time::Duration;

use chat_core::contact::{Card, CardContent, CardKeyPackage, CardSecret, ContactLink, InboxPublic};
use chat_core::database::Database;
use chat_core::identity::log::{EntrySigner, Log};
use chat_core::identity::{AccountKey, InstallationKey, RecoveryPhrase};
use chat_core::machine::{Disposition, Refused};
use chat_core::params::{CARD_SIZE, INBOX_KEY_KEEP, KEY_PACKAGE_USE, NetworkId};
use chat_core::time::Timestamp;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_sim::world::{Unanswered, World};

use crate::kit::*;

/// An account whose keys are all in the test's hands.
struct Hand {
    account: AccountKey,
    secret: CardSecret,
    network: NetworkId,
    log: Log,
    first: InstallationKey,
}

impl Hand {
    fn new(world: &mut World) -> Self {
        let phrase = RecoveryPhrase::generate(world.rng());
        let (account, network) = (phrase.account_key(), world.params.id());
        let first = InstallationKey::generate(world.rng());
        let mut log = Log::new(account.id(), network);
        log.insert(log.create(&account, &first, world.now()).unwrap()).unwrap();
        Self { account, secret: phrase.card_secret(), network, log, first }
    }

    /// Adds an installation.
    fn add(&mut self, world: &mut World) -> InstallationKey {
        let key = InstallationKey::generate(world.rng());
        let possession = key.prove_possession(&self.account.id(), &self.network);
        let by = EntrySigner::Installation(&self.first);
        self.log.insert(self.log.add(by, key.id(), possession, world.now()).unwrap()).unwrap();
        key
    }

    fn revoke(&mut self, world: &World, key: &InstallationKey) {
        let by = EntrySigner::Installation(&self.first);
        let last = self.log.last_entry_of(&key.id());
        self.log.insert(self.log.revoke(by, key.id(), last, world.now()).unwrap()).unwrap();
    }

    fn link(&self) -> String {
        let secret = self.secret.clone();
        let link = ContactLink { account: self.account.id(), secret, card: None };
        link.to_text(&self.network).unwrap().to_string()
    }
}

fn signed(log: &Log, by: &InstallationKey, counter: u64, now: Timestamp) -> Card {
    let content = CardContent {
        log: log.clone(),
        counter,
        inbox: InboxPublic { key: [9; 32], usable_until: now + INBOX_KEY_KEEP },
        key_packages: vec![CardKeyPackage {
            installation: by.id(),
            usable_until: now + KEY_PACKAGE_USE,
            bytes: vec![7; 300],
        }],
    };
    Card::sign(content, by).unwrap()
}

/// What became of what came last at a device.
fn last(world: &World, device: usize) -> Disposition {
    world.devices[device].dispositions.last().unwrap().clone()
}

#[test]
fn junk_on_the_topic_neither_blocks_nor_replaces_the_true_card() {
    let mut world = accounts(3, 81);
    world.run_for(days(2));
    let secret = secret(&mut world, 0);
    let foreign = card(&mut world, 2);
    let yesterdays = card(&mut world, 0);
    let mut next = period(&world) + 1;
    run_to(&mut world, Timestamp::from_secs(next * 86_400));
    if due(&world, &secret, next).since(world.now()) < HOUR {
        next += 1;
        run_to(&mut world, Timestamp::from_secs(next * 86_400));
    }
    assert!(yesterdays.content().counter < next);
    // Everything that can be put there with the link, before the true one.
    let card_frame = |bytes: &[u8]| Frame::new(FrameKind::Card, bytes.to_vec()).encode();
    let mut junk = vec![
        forge(&mut world, &secret, b"no frame", SizeClass::Card),
        forge(&mut world, &secret, &card_frame(b"no card"), SizeClass::Card),
        forge(&mut world, &secret, &card_frame(foreign.encode()), SizeClass::Card),
        forge(&mut world, &secret, &card_frame(yesterdays.encode()), SizeClass::Card),
        forge(&mut world, &secret, &card_frame(yesterdays.encode()), SizeClass::Fit),
        forge(
            &mut world,
            &secret,
            &Frame::new(FrameKind::Message, yesterdays.encode().to_vec()).encode(),
            SizeClass::Card,
        ),
    ];
    let mut noise = junk[0].clone();
    noise.payload = (0..CARD_SIZE).map(|at| (at * 7) as u8).collect();
    junk.push(noise);
    let mut wrong = junk[1].clone();
    wrong.timestamp_ns += 1;
    junk.push(wrong);
    // More than a page of it.
    for message in junk.iter().cycle().take(150) {
        world.inject(message.clone());
    }
    // The own installation hears it live: nothing comes of it.
    world.run_for(Duration::from_secs(2));
    let refused: Vec<Refused> = world.devices[0]
        .dispositions
        .iter()
        .filter_map(|disposition| match disposition {
            Disposition::Refused(why) => Some(*why),
            _ => None,
        })
        .collect();
    for why in [
        Refused::Envelope,
        Refused::Seal,
        Refused::Frame,
        Refused::Content,
        Refused::Authentication,
        Refused::Replay,
    ] {
        assert!(refused.contains(&why), "{why:?} is not among them");
    }
    let at = due(&world, &secret, next) + Duration::from_secs(5);
    run_to(&mut world, at);
    let short = link(&mut world, 0, true);
    take(&mut world, 1, &short);
    world.run_for(Duration::from_secs(2));
    assert!(is_usable(&world, 1, 0));
    assert_eq!(rollbacks(&world, 0) + rollbacks(&world, 1), 0);
    assert_talk(&mut world, 1, 0);
}

#[test]
fn a_card_of_a_revoked_device_is_refused_and_told_by_contacts() {
    let mut world = accounts(1, 82);
    let mut hand = Hand::new(&mut world);
    let thief = hand.add(&mut world);
    let before = hand.log.clone();
    let account = hand.account.id();
    hand.revoke(&world, &thief);
    take(&mut world, 0, &hand.link());
    let (secret, now) = (hand.secret.clone(), world.now());
    let true_card = signed(&hand.log, &hand.first, period(&world), now);
    publish(&mut world, &secret, true_card.encode());
    world.run_for(days(1));
    assert_eq!(ready(&world, 0, account), 1);
    let usable = |world: &World| world.machine(0).contacts().unwrap()[0].usable_until;
    let known = usable(&world);

    // Day after day the thief publishes with the log from before, and the account is silent.
    for _ in 0..3 {
        let now = world.now();
        let forged = signed(&before, &thief, period(&world), now);
        publish(&mut world, &secret, forged.encode());
        world.run_for(days(1));
    }
    assert_eq!(usable(&world), known, "the thief's card was taken");
    let told = rollbacks(&world, 0);
    assert!((1..=4).contains(&told), "told {told} times");
    // The true one still counts, on a day on which the thief has published, too.
    let now = world.now();
    let forged = signed(&before, &thief, period(&world), now);
    publish(&mut world, &secret, forged.encode());
    let true_card = signed(&hand.log, &hand.first, period(&world), now);
    publish(&mut world, &secret, true_card.encode());
    world.run_for(days(2));
    assert!(usable(&world) > known);
    assert_no_failures(&world);
}

#[test]
fn a_log_that_lacks_what_a_link_has_shown_is_refused_though_the_card_is_newer() {
    let mut world = accounts(1, 83);
    let mut hand = Hand::new(&mut world);
    let short = hand.log.clone();
    hand.add(&mut world);
    let (secret, now) = (hand.secret.clone(), world.now());
    let known = signed(&hand.log, &hand.first, period(&world), now);
    let link =
        ContactLink { account: hand.account.id(), secret: secret.clone(), card: Some(known) };
    take(&mut world, 0, &link.to_text(&hand.network).unwrap());
    let usable = world.machine(0).contacts().unwrap()[0].usable_until;
    world.run_for(days(1));
    let now = world.now();
    let rolled_back = signed(&short, &hand.first, period(&world), now);
    publish(&mut world, &secret, rolled_back.encode());
    world.run_for(days(2));
    assert_eq!(world.machine(0).contacts().unwrap()[0].usable_until, usable);
    assert_eq!(rollbacks(&world, 0), 1);
    // And with the link it came with.
    let link = ContactLink { card: Some(rolled_back), ..link };
    let link = link.to_text(&hand.network).unwrap().to_string();
    let answer = world.by(0).add_contact(&link, None);
    assert!(matches!(answer, Err(Unanswered::Refused(_))), "{answer:?}");
}

#[test]
fn the_account_itself_is_told_of_a_card_that_forgets_and_publishes_its_own() {
    let mut world = accounts(0, 84);
    let phrase = RecoveryPhrase::generate(world.rng());
    world.add_device_of(&phrase, Database::in_memory().unwrap());
    let secret = phrase.card_secret();
    // A device that the account has never heard of, enrolled with the phrase: it is taken in.
    let (account, network) = (phrase.account_key(), world.params.id());
    let other = InstallationKey::generate(world.rng());
    let mut log = Log::new(account.id(), network);
    log.insert(log.create(&account, &other, world.now()).unwrap()).unwrap();
    let next = before_next(&mut world, &secret, HOUR);
    let now = world.now();
    let forged = signed(&log, &other, period(&world), now);
    publish(&mut world, &secret, forged.encode());
    world.run_for(HOUR * 2);
    assert_eq!(card(&mut world, 0).content().log.state().active.len(), 2);
    // It lacks the account's first device. That is told, and the true card goes out all the same.
    assert_eq!(rollbacks(&world, 0), 1);
    let cards = on_topic(&world, &secret, next);
    assert_eq!(cards.iter().filter(|card| card.by == 0).count(), 1);

    // A full card by the other: nothing to tell, and none of our own beside it.
    let next = before_next(&mut world, &secret, HOUR);
    let all = card(&mut world, 0).content().log.clone();
    let now = world.now();
    let forged = signed(&all, &other, period(&world), now);
    publish(&mut world, &secret, forged.encode());
    world.run_for(HOUR * 2);
    assert_eq!(last(&world, 0), Disposition::Card(account.id()));
    assert_eq!(on_topic(&world, &secret, next).len(), 1);
    assert_eq!(rollbacks(&world, 0), 1);

    // The phrase revokes it: what it says then is told, and takes nothing in.
    let mut revoked = all.clone();
    let by = EntrySigner::Account(&account);
    revoked.insert(all.revoke(by, other.id(), None, world.now()).unwrap()).unwrap();
    let first = before_next(&mut world, &secret, HOUR);
    let third = InstallationKey::generate(world.rng());
    let mut junk = all.clone();
    let possession = third.prove_possession(&account.id(), &network);
    let by = EntrySigner::Installation(&other);
    junk.insert(all.add(by, third.id(), possession, world.now()).unwrap()).unwrap();
    // The account hears of the revocation by the card of a device that knows it.
    let helper = InstallationKey::generate(world.rng());
    let possession = helper.prove_possession(&account.id(), &network);
    let by = EntrySigner::Account(&account);
    let entry = revoked.add(by, helper.id(), possession, world.now()).unwrap();
    revoked.insert(entry).unwrap();
    let now = world.now();
    let forged = signed(&revoked, &helper, period(&world), now);
    publish(&mut world, &secret, forged.encode());
    world.run_for(HOUR / 60);
    let known = card(&mut world, 0).content().log.clone();
    assert!(!known.state().active.contains_key(&other.id()));
    let forged = signed(&junk, &other, period(&world), now);
    publish(&mut world, &secret, forged.encode());
    world.run_for(HOUR / 60);
    assert_eq!(last(&world, 0), Disposition::Refused(Refused::Rollback));
    assert_eq!(card(&mut world, 0).content().log.len(), known.len());
    assert_eq!(rollbacks(&world, 0), 2);
    assert_eq!(period(&world), first);
    assert_no_failures(&world);
}
