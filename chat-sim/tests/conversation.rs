//! Three people chat: created, joined, named, talked in, one offline for a while, one removed.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use std::time::Duration;

use chat_core::machine::{Answer, Command, CommandError, Disposition, Event, Membership};
use chat_core::params::NetworkParams;
use chat_sim::world::World;
use common::*;

#[test]
fn three_members_read_one_another() {
    let mut world = world(3, 1);
    let group = group(&mut world, "hikers");
    assert_agreed(&world, &[0, 1, 2], group);
    for by in 0..3 {
        say(&mut world, by, group, &format!("hello from {by}"));
    }
    settle(&mut world);
    for device in 0..3 {
        let mut found = texts(&world, device, group);
        found.sort();
        assert_eq!(found, ["hello from 0", "hello from 1", "hello from 2"]);
        assert!(world.machine(device).missing(&group).unwrap().is_empty());
    }
    assert_no_failures(&world);
}

#[test]
fn name_and_description_reach_everybody() {
    let mut world = world(3, 2);
    let group = group(&mut world, "old");
    let change = Command::DescribeGroup {
        group,
        name: Some("new".into()),
        description: Some("for walks".into()),
    };
    world.command(1, change.clone()).unwrap();
    settle(&mut world);
    for device in 0..3 {
        let it = view(&world, device, group);
        assert_eq!((it.name.as_str(), it.description.as_str()), ("new", "for walks"));
    }
    assert_agreed(&world, &[0, 1, 2], group);
    assert_eq!(world.command(2, change), Err(CommandError::NothingToDo));
}

#[test]
fn who_was_offline_catches_up() {
    let mut world = world(3, 3);
    let group = group(&mut world, "hikers");
    world.set_online(2, false);
    say(&mut world, 0, group, "one");
    let rename = Command::DescribeGroup { group, name: Some("walkers".into()), description: None };
    world.command(1, rename).unwrap();
    world.run_for(Duration::from_secs(60));
    say(&mut world, 1, group, "two");
    world.run_for(Duration::from_secs(60));
    assert_eq!(texts(&world, 2, group), Vec::<String>::new());
    world.set_online(2, true);
    settle(&mut world);
    assert_eq!(texts(&world, 2, group), ["one", "two"]);
    assert_agreed(&world, &[0, 1, 2], group);
    assert_no_failures(&world);
}

#[test]
fn who_is_removed_reads_no_more() {
    let mut world = world(3, 4);
    let group = group(&mut world, "hikers");
    say(&mut world, 2, group, "before");
    settle(&mut world);
    let out = vec![world.account(1)];
    assert_eq!(
        world.command(2, Command::RemoveMembers { group, accounts: out.clone() }),
        Err(CommandError::NotAdmin)
    );
    world.command(0, Command::RemoveMembers { group, accounts: out }).unwrap();
    settle(&mut world);
    say(&mut world, 2, group, "after");
    settle(&mut world);
    assert_eq!(texts(&world, 0, group), ["before", "after"]);
    assert_eq!(texts(&world, 1, group), ["before"]);
    assert_eq!(view(&world, 1, group).membership, Membership::Removed);
    assert_agreed(&world, &[0, 2], group);
    assert!(events(&world, 1).iter().any(|e| matches!(e, Event::GroupLeft { removed: true, .. })));
    let send = Command::Send { group, text: "let me in".into() };
    assert_eq!(world.command(1, send), Err(CommandError::NotMember));
    // Not even with everything that Store has, from the beginning.
    world.stop(1);
    world.start(1);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["before"]);
    assert_no_failures(&world);
}

#[test]
fn who_leaves_is_out_and_an_admin_is_left() {
    let mut world = world(3, 5);
    let group = group(&mut world, "hikers");
    world.command(0, Command::LeaveGroup { group }).unwrap();
    settle(&mut world);
    assert_eq!(view(&world, 0, group).membership, Membership::Left);
    assert_agreed(&world, &[1, 2], group);
    assert_eq!(view(&world, 1, group).accounts, 2);
    let admins: Vec<bool> = [1, 2].map(|at| view(&world, at, group).admin).to_vec();
    assert_eq!(admins.iter().filter(|admin| **admin).count(), 1);
    say(&mut world, 1, group, "quiet now");
    settle(&mut world);
    assert_eq!(texts(&world, 2, group), ["quiet now"]);
    assert!(texts(&world, 0, group).is_empty());
    let left = |e: &&Event| matches!(e, Event::MembersRemoved { left: true, .. });
    assert_eq!(events(&world, 2).into_iter().filter(left).count(), 1);
}

#[test]
fn a_stranger_waits_for_an_answer() {
    let mut world = World::new(NetworkParams::fast(), 6);
    for _ in 0..2 {
        world.add_device();
    }
    // 0 knows 1, and 1 does not know 0.
    let Ok(Answer::ContactLink(link)) = world.command(1, Command::MakeContactLink) else {
        panic!()
    };
    world.command(0, Command::AddContact { link, name: Some("one".into()) }).unwrap();
    let invited = vec![world.account(1)];
    let first = create(&mut world, 0, "a", invited.clone());
    settle(&mut world);
    let requests = world.machine(1).requests().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].from, requests[0].group_name.as_str()), (world.account(0), "a"));
    assert!(world.machine(1).groups().unwrap().is_empty());
    say(&mut world, 0, first, "are you there?");
    settle(&mut world);
    // Until it is accepted, nothing is fetched, watched or answered. (The card of the day comes in any
    // case.)
    let by_one = world.no_cards_since(0).into_iter().filter(|message| message.by == 1).count();
    assert_eq!(by_one, 0);
    world.command(1, Command::AcceptRequest { request: requests[0].id }).unwrap();
    settle(&mut world);
    assert_agreed(&world, &[0, 1], first);
    assert_eq!(texts(&world, 1, first), ["are you there?"]);

    let second = create(&mut world, 0, "b", invited.clone());
    settle(&mut world);
    let request = world.machine(1).requests().unwrap()[0].id;
    world.command(1, Command::DeclineRequest { request }).unwrap();
    settle(&mut world);
    assert!(world.machine(1).requests().unwrap().is_empty());
    assert!(world.machine(1).group(&second).unwrap().is_none());

    create(&mut world, 0, "c", invited.clone());
    settle(&mut world);
    let request = world.machine(1).requests().unwrap()[0].id;
    world.command(1, Command::BlockRequest { request }).unwrap();
    create(&mut world, 0, "d", invited);
    settle(&mut world);
    assert!(world.machine(1).requests().unwrap().is_empty());
    assert_no_failures(&world);
}

#[test]
fn a_restart_forgets_nothing() {
    let mut world = world(3, 7);
    let group = group(&mut world, "hikers");
    say(&mut world, 0, group, "one");
    settle(&mut world);
    for device in 0..3 {
        world.stop(device);
    }
    for device in 0..3 {
        world.start(device);
    }
    settle(&mut world);
    say(&mut world, 1, group, "two");
    settle(&mut world);
    for device in 0..3 {
        assert_eq!(texts(&world, device, group), ["one", "two"]);
    }
    assert_agreed(&world, &[0, 1, 2], group);
    assert_no_failures(&world);
}

#[test]
fn what_waits_in_the_outbox_goes_later() {
    let mut world = world(2, 8);
    let group = group(&mut world, "hikers");
    world.set_online(0, false);
    say(&mut world, 0, group, "written on a train");
    world.run_for(Duration::from_secs(100));
    world.stop(0);
    world.start(0);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["written on a train"]);
    assert_eq!(world.machine(0).identity().unwrap().outbox, 0);
}

#[test]
fn commits_that_meet_end_on_one_branch_with_both_intents() {
    for seed in 0..10 {
        let mut world = world(3, 100 + seed);
        let group = group(&mut world, "hikers");
        let name = Command::DescribeGroup { group, name: Some("n".into()), description: None };
        let about = Command::DescribeGroup { group, name: None, description: Some("d".into()) };
        world.devices[0].partition = 1;
        world.command(0, name).unwrap();
        say(&mut world, 0, group, "on my branch");
        world.command(1, about).unwrap();
        say(&mut world, 1, group, "on the other");
        world.run_for(Duration::from_secs(20));
        world.devices[0].partition = 0;
        for device in 0..3 {
            world.set_online(device, false);
            world.set_online(device, true);
        }
        world.run_for(Duration::from_secs(60));
        assert_agreed(&world, &[0, 1, 2], group);
        let it = view(&world, 2, group);
        assert_eq!((it.name.as_str(), it.description.as_str()), ("n", "d"), "seed {seed}");
        for device in 0..3 {
            let mut found = texts(&world, device, group);
            found.sort();
            assert_eq!(found, ["on my branch", "on the other"], "device {device}, seed {seed}");
        }
        assert_no_failures(&world);
    }
}

#[test]
fn a_lost_message_is_noticed_and_named() {
    let mut world = world(3, 9);
    let group = group(&mut world, "hikers");
    world.has_store = false;
    world.faults.drop = 1000;
    say(&mut world, 1, group, "lost on the way");
    world.faults.drop = 0;
    say(&mut world, 1, group, "heard");
    settle(&mut world);
    for device in [0, 2] {
        let missing = world.machine(device).missing(&group).unwrap();
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].sender, missing[0].seq), (world.account(1), 1));
        let told = |e: &&Event| matches!(e, Event::MessageMissing { .. });
        assert_eq!(events(&world, device).into_iter().filter(told).count(), 1);
    }
    // The Store comes back, and with it the message.
    world.has_store = true;
    world.set_online(0, false);
    world.set_online(0, true);
    settle(&mut world);
    assert!(world.machine(0).missing(&group).unwrap().is_empty());
    assert_eq!(texts(&world, 0, group).len(), 2);
    let told = |e: &&Event| matches!(e, Event::MessageRecovered { .. });
    assert_eq!(events(&world, 0).into_iter().filter(told).count(), 1);
}

#[test]
fn an_envelope_that_comes_again_is_a_duplicate() {
    let mut world = world(2, 10);
    let group = group(&mut world, "hikers");
    say(&mut world, 0, group, "once");
    let again = world.observed.last().unwrap().clone();
    world.inject(again);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["once"]);
    assert!(world.devices[1].dispositions.contains(&Disposition::Duplicate));
}
