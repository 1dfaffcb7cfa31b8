//! Coming, going and coming back: who may put whom where.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use std::time::Duration;

use chat_core::machine::{Answer, Command, Event, Membership};
use chat_core::params::{NetworkParams, ROOT_MAX_AGE};
use common::*;

#[test]
fn two_who_leave_at_once_are_both_out() {
    for seed in 0..5 {
        let mut world = world(4, 200 + seed);
        let group = group(&mut world, "hikers");
        world.set_online(1, false);
        world.set_online(2, false);
        world.command(1, Command::LeaveGroup { group }).unwrap();
        world.command(2, Command::LeaveGroup { group }).unwrap();
        world.set_online(1, true);
        world.set_online(2, true);
        world.run_for(Duration::from_secs(40));
        assert_agreed(&world, &[0, 3], group);
        assert_eq!(view(&world, 0, group).accounts, 2, "seed {seed}");
        for gone in [1, 2] {
            assert_eq!(view(&world, gone, group).membership, Membership::Left, "seed {seed}");
        }
        say(&mut world, 0, group, "quiet");
        settle(&mut world);
        assert_eq!(texts(&world, 3, group), ["quiet"]);
        assert_no_failures(&world);
    }
}

#[test]
fn the_last_two_can_both_leave() {
    let mut world = world(2, 210);
    let group = group(&mut world, "pair");
    for device in [0, 1] {
        world.set_online(device, false);
        world.command(device, Command::LeaveGroup { group }).unwrap();
    }
    for device in [0, 1] {
        world.set_online(device, true);
    }
    world.run_for(Duration::from_secs(40));
    for device in [0, 1] {
        assert_eq!(view(&world, device, group).membership, Membership::Left);
    }
    assert_no_failures(&world);
}

#[test]
fn whoever_was_removed_can_come_back_and_is_asked() {
    let mut world = world(3, 211);
    let group = group(&mut world, "hikers");
    let one = vec![world.account(1)];
    world.command(0, Command::RemoveMembers { group, accounts: one.clone() }).unwrap();
    settle(&mut world);
    world.command(0, Command::AddMembers { group, accounts: one }).unwrap();
    settle(&mut world);
    assert_eq!(view(&world, 1, group).membership, Membership::Removed);
    let request = world.machine(1).requests().unwrap()[0].id;
    world.command(1, Command::AcceptRequest { request }).unwrap();
    settle(&mut world);
    assert_eq!(view(&world, 1, group).membership, Membership::Active);
    assert_agreed(&world, &[0, 1, 2], group);
    say(&mut world, 1, group, "back");
    settle(&mut world);
    assert_eq!(texts(&world, 2, group), ["back"]);
    assert!(world.machine(2).missing(&group).unwrap().is_empty());
    assert_no_failures(&world);
}

#[test]
fn a_removal_that_lost_does_not_hit_a_later_membership() {
    let mut world = world(3, 212);
    let group = group(&mut world, "hikers");
    let two = world.account(2);
    // 0 removes 2 in a partition; meanwhile nothing else happens, so the removal counts.
    world.command(0, Command::RemoveMembers { group, accounts: vec![two] }).unwrap();
    settle(&mut world);
    world.command(1, Command::AddMembers { group, accounts: vec![two] }).unwrap();
    settle(&mut world);
    let request = world.machine(2).requests().unwrap()[0].id;
    world.command(2, Command::AcceptRequest { request }).unwrap();
    world.run_for(Duration::from_secs(60));
    assert_agreed(&world, &[0, 1, 2], group);
    assert_eq!(view(&world, 0, group).accounts, 3);
}

#[test]
fn old_roots_are_renewed_by_one_member() {
    // Slots of an hour, or a week of them would be many.
    let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
    let mut world = world_on(params, 3, 213);
    let group = group(&mut world, "hikers");
    let before = view(&world, 0, group).epoch;
    let published = world.observed.len();
    world.run_for(ROOT_MAX_AGE + Duration::from_secs(2 * 3600));
    assert_agreed(&world, &[0, 1, 2], group);
    assert_eq!(view(&world, 0, group).epoch, before + 1);
    assert_eq!(world.no_cards_since(published).len(), 1);
    say(&mut world, 2, group, "on new roots");
    settle(&mut world);
    assert_eq!(texts(&world, 0, group), ["on new roots"]);
    assert_no_failures(&world);
}

#[test]
fn a_change_that_lost_for_good_is_told() {
    let mut world = world(3, 214);
    let group = group(&mut world, "hikers");
    let two = world.account(2);
    world.command(0, Command::SetAdmin { group, account: world.account(1), admin: true }).unwrap();
    settle(&mut world);
    // 1 renames alone while 0 removes 1: the rename is struck.
    world.devices[1].partition = 1;
    let rename = Command::DescribeGroup { group, name: Some("mine".into()), description: None };
    assert_eq!(world.command(1, rename), Ok(Answer::Done));
    let one = vec![world.account(1)];
    world.command(0, Command::RemoveMembers { group, accounts: one }).unwrap();
    world.devices[1].partition = 0;
    for device in 0..3 {
        world.set_online(device, false);
        world.set_online(device, true);
    }
    world.run_for(Duration::from_secs(60));
    assert_agreed(&world, &[0, 2], group);
    assert_eq!(view(&world, 0, group).name, "hikers");
    assert_eq!(view(&world, 1, group).membership, Membership::Removed);
    let branch = |e: &&Event| matches!(e, Event::BranchChanged { .. });
    assert_eq!(events(&world, 1).into_iter().filter(branch).count(), 1);
    assert!(world.machine(0).members(&group).unwrap().unwrap().iter().any(|m| m.account == two));
    assert_no_failures(&world);
}
