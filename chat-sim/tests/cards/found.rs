//! A link without a card: the card is found in a Store, and newer ones after it.

use std::time::Duration;

use chat_core::machine::CommandError;
use chat_core::params::{CARD_REACH, INBOX_KEY_PERIOD, KEY_PACKAGE_USE};

use chat_sim::world::Unanswered;

use crate::kit::*;

#[test]
fn a_link_without_a_card_is_short_and_does() {
    let mut world = accounts(2, 1);
    world.run_for(days(1));
    let (short, long) = (link(&mut world, 0, true), link(&mut world, 0, false));
    // A QR code of 200 bytes is read from a screen by any phone.
    assert!(short.len() < 200 && long.len() > 1000, "{} and {}", short.len(), long.len());
    let taken = take(&mut world, 1, &short);
    // Asking took no longer than giving the command.
    assert!(taken.pending && taken.usable_until.is_none());
    assert_eq!(ready(&world, 1, world.account(0)), 1);
    assert!(!contact(&world, 1, 0).pending && is_usable(&world, 1, 0));
    assert_talk(&mut world, 1, 0);
}

#[test]
fn a_new_account_can_be_found_within_minutes() {
    let mut world = accounts(2, 2);
    // Whatever the hour at which it was made.
    world.run_for(Duration::from_secs(600));
    let links = [link(&mut world, 0, true), link(&mut world, 1, true)];
    take(&mut world, 1, &links[0]);
    take(&mut world, 0, &links[1]);
    world.run_for(days(1));
    assert!(is_usable(&world, 1, 0) && is_usable(&world, 0, 1));
    assert_talk(&mut world, 0, 1);
}

#[test]
fn without_a_card_nobody_is_added_and_it_is_said_why() {
    let mut world = accounts(2, 3);
    world.set_online(0, false);
    let secret = secret(&mut world, 0);
    let account = world.account(0);
    world.run_for(days(1));
    assert_eq!(on_topic(&world, &secret, period(&world)).len(), 0);
    let short = link(&mut world, 0, true);
    take(&mut world, 1, &short);
    world.run_for(Duration::from_secs(2));
    assert_eq!(failed(&world, 1, account), ["no Store has a card of it that can be used"]);
    // It was looked for just now.
    let expired = Err(CommandError::ContactExpired { account }.into());
    assert_eq!(invite(&mut world, 1, 0), expired);
    world.run_for(days(3));
    // It is looked for again, but not all the time, and told once.
    assert_eq!(failed(&world, 1, account).len(), 1);
    let asked = world.network.asked.len();
    assert!((10..40).contains(&asked), "{asked} queries");
    let pending = CommandError::ContactPending { account };
    assert!(pending.is_retryable());
    assert_eq!(invite(&mut world, 1, 0), Err(pending.into()));
    assert_eq!(invite(&mut world, 1, 0), expired);

    world.set_online(0, true);
    world.run_for(Duration::from_secs(400));
    assert_eq!(on_topic(&world, &secret, period(&world)).len(), 1);
    // Wanting it in a group has it looked for at once.
    assert_eq!(ready(&world, 1, account), 0);
    let _ = invite(&mut world, 1, 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(ready(&world, 1, account), 1);
    assert_talk(&mut world, 1, 0);
}

#[test]
fn a_card_that_is_wanted_is_wanted_after_a_restart_and_without_a_store() {
    let mut world = accounts(2, 4);
    world.run_for(days(1));
    world.network.has_store = false;
    let account = world.account(0);
    let short = link(&mut world, 0, true);
    take(&mut world, 1, &short);
    world.run_for(Duration::from_secs(300));
    world.set_online(1, false);
    world.set_online(1, true);
    world.run_for(Duration::from_secs(300));
    let said = failed(&world, 1, account);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("no Store"), "{said:?}");
    let pending = Err(CommandError::ContactPending { account }.into());
    assert_eq!(invite(&mut world, 1, 0), pending);
    world.stop(1);
    world.network.has_store = true;
    world.start(1);
    world.run_for(Duration::from_secs(90));
    assert_eq!(ready(&world, 1, account), 1);
    assert_talk(&mut world, 1, 0);
}

#[test]
fn contacts_stay_usable_without_meeting_and_keys_are_renewed_by_schedule() {
    let mut world = accounts(2, 5);
    meet(&mut world, 0, 1);
    world.run_for(days(1));
    let keys = |world: &chat_sim::world::World, what| world.machine(0).fingerprints()[what].len();
    assert_eq!(keys(&world, "inbox key"), 1);
    let mut inboxes = vec![card(&mut world, 0).content().inbox];
    let mut packages = vec![card(&mut world, 0).content().key_packages[0].bytes.clone()];
    for day in 0..16 {
        world.run_for(days(1));
        let left = contact(&world, 1, 0).usable_until.unwrap().since(world.now());
        // A card is a day old at most, with a key package that is a day old at most, and the next one
        // is taken within a day and a half.
        assert!(left + days(3) > KEY_PACKAGE_USE, "day {day}: {left:?}");
        let card = card(&mut world, 0);
        inboxes.push(card.content().inbox);
        packages.push(card.content().key_packages[0].bytes.clone());
    }
    // Key packages daily, inbox keys weekly.
    packages.dedup();
    assert_eq!(packages.len(), 17);
    inboxes.dedup();
    assert_eq!(inboxes.len(), 3, "{inboxes:?}");
    assert!(inboxes.windows(2).all(|pair| {
        let apart = pair[1].usable_until.since(pair[0].usable_until);
        apart >= INBOX_KEY_PERIOD && apart < INBOX_KEY_PERIOD + days(2)
    }));
    assert_talk(&mut world, 1, 0);
    // A doorbell to the inbox key of last week's card still rings: asked by who was away since.
    assert_eq!(ready(&world, 1, world.account(0)), 1);
}

#[test]
fn who_was_away_for_weeks_finds_the_newest_card_and_is_found() {
    let mut world = accounts(3, 6);
    meet(&mut world, 0, 1);
    meet(&mut world, 0, 2);
    world.run_for(days(2));
    world.set_online(1, false);
    world.set_online(2, false);
    world.run_for(days(20));
    assert!(!is_usable(&world, 1, 0));
    world.set_online(1, true);
    world.run_for(Duration::from_secs(600));
    assert!(is_usable(&world, 1, 0));
    // What catching up brought by itself was not asked for by name.
    assert_eq!(
        world
            .network
            .asked
            .iter()
            .filter(|(at, by, _)| *by == 1 && *at + HOUR > world.now())
            .count(),
        0
    );
    assert_talk(&mut world, 1, 0);
    assert_talk(&mut world, 0, 1);
}

#[test]
fn a_card_is_of_use_as_long_as_its_key_packages() {
    let mut world = accounts(3, 7);
    world.run_for(days(1));
    let short = link(&mut world, 0, true);
    world.set_online(0, false);
    world.run_for(days(CARD_REACH as u32 - 2));
    // The card is some days old, and is found.
    take(&mut world, 1, &short);
    world.run_for(Duration::from_secs(2));
    assert!(is_usable(&world, 1, 0));
    world.run_for(days(4));
    take(&mut world, 2, &short);
    world.run_for(Duration::from_secs(2));
    // Now it is older than any that is asked for.
    assert_eq!(failed(&world, 2, world.account(0)).len(), 1);
    assert!(!is_usable(&world, 2, 0) && !is_usable(&world, 1, 0));
    let account = world.account(0);
    let refused = invite(&mut world, 1, 0).unwrap_err();
    let known =
        [CommandError::ContactPending { account }, CommandError::ContactExpired { account }]
            .map(Unanswered::Refused);
    assert!(known.contains(&refused), "{refused:?}");
}

#[test]
fn a_contact_that_was_removed_or_blocked_is_looked_for_no_more() {
    let mut world = accounts(2, 8);
    world.network.has_store = false;
    let short = link(&mut world, 0, true);
    take(&mut world, 1, &short);
    let account = world.account(0);
    world.by(1).remove_contact(account).unwrap();
    world.network.has_store = true;
    world.run_for(days(2));
    assert_eq!(world.network.asked, []);
    assert_eq!(ready(&world, 1, account), 0);
    // Who comes back is found again, also where its card was known before.
    for times in 1..3 {
        take(&mut world, 1, &short);
        assert!(is_usable(&world, 1, 0), "{times}");
        world.by(1).remove_contact(account).unwrap();
    }
}

#[test]
fn an_embedded_card_needs_no_store_and_is_renewed_all_the_same() {
    let mut world = accounts(2, 9);
    world.network.has_store = false;
    world.befriend(0, 1);
    assert!(is_usable(&world, 1, 0));
    let first = contact(&world, 1, 0).usable_until;
    world.network.has_store = true;
    assert_talk(&mut world, 1, 0);
    world.run_for(days(3));
    assert!(contact(&world, 1, 0).usable_until > first);
}
