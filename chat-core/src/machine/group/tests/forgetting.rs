//! What is beyond the horizon is forgotten, with its keys.

use std::time::Duration;

use super::member::Member;
use super::world::group_of;
use crate::ids::EpochId;
use crate::machine::api::disposition::Disposition;
use crate::params::{HORIZON_AGE, HORIZON_COMMITS};

fn has_keys(member: &Member, epoch: &EpochId) -> bool {
    !member.cx.db.mls_rows(epoch).unwrap().is_empty()
}

fn holds(member: &mut Member, epoch: &EpochId) -> bool {
    member.group().epochs().any(|state| state.epoch == *epoch)
}

/// Prunes as if everything up to a moment after the horizon had been fetched.
fn prune_later(member: &mut Member, in_use: &dyn Fn(&EpochId) -> bool) {
    let proven = member.cx.now + HORIZON_AGE + Duration::from_secs(1);
    member.with(|group, cx, _, _| group.prune(cx, proven, in_use)).unwrap();
}

/// Renames the group so often; the epochs that were left.
fn rename(member: &mut Member, times: u64) -> Vec<EpochId> {
    let mut left = Vec::new();
    for n in 0..times {
        left.push(member.tip());
        let renaming = member.renaming(&format!("Name {n}"));
        member.change(renaming);
    }
    left
}

#[test]
fn old_epochs_go_with_their_keys_and_the_one_that_is_followed_stays() {
    let [mut alice, mut bob] = group_of();
    let left = rename(&mut alice, 3);
    let tip = alice.tip();
    prune_later(&mut alice, &|_| false);
    for epoch in &left {
        assert!(!holds(&mut alice, epoch) && !has_keys(&alice, epoch));
    }
    assert!(holds(&mut alice, &tip) && has_keys(&alice, &tip));
    // The same after a restart.
    let state = alice.state();
    alice.reload();
    assert_eq!(alice.state(), state);
    assert_eq!(alice.group().epochs().count(), 1);
    // What comes of an epoch that is gone is not read any more.
    let (_, late) = bob.send("too late");
    assert_eq!(alice.take(&late), Disposition::Stale);
}

#[test]
fn nothing_goes_before_its_time_is_proven() {
    let [mut alice, mut bob] = group_of();
    let left = rename(&mut alice, 3);
    // The device's own clock is far ahead, and nobody confirms that time.
    let proven = alice.cx.now;
    alice.wait(HORIZON_AGE * 2);
    alice.with(|group, cx, _, _| group.prune(cx, proven, &|_| false)).unwrap();
    assert!(left.iter().all(|epoch| has_keys(&alice, epoch)));
    let (_, late) = bob.send("in time");
    assert!(matches!(alice.take(&late), Disposition::Message(_)));
}

#[test]
fn an_epoch_of_which_something_is_still_to_be_published_stays() {
    let [mut alice, _] = group_of();
    let left = rename(&mut alice, 3);
    let kept = left[1];
    prune_later(&mut alice, &|epoch| *epoch == kept);
    assert!(holds(&mut alice, &kept) && has_keys(&alice, &kept));
    let slot = alice.cx.slot();
    let roots = alice.with(|group, cx, _, _| group.roots(&kept, slot, &cx.network).map(drop));
    assert_eq!(roots, Ok(()));
    assert!(!holds(&mut alice, &left[0]) && !holds(&mut alice, &left[2]));
    prune_later(&mut alice, &|_| false);
    assert!(!holds(&mut alice, &kept) && !has_keys(&alice, &kept));
}

#[test]
fn at_most_so_many_epochs_are_kept_however_young_they_are() {
    let [mut alice, _] = group_of();
    rename(&mut alice, HORIZON_COMMITS + 5);
    let now = alice.cx.now;
    alice.with(|group, cx, _, _| group.prune(cx, now, &|_| false)).unwrap();
    assert_eq!(alice.group().epochs().count() as u64, HORIZON_COMMITS + 1);
}

#[test]
fn roots_that_no_epoch_uses_any_more_go_with_the_epochs() {
    let [mut alice, mut bob, carol] = group_of();
    let removal = alice.removal_of(carol.account());
    let rotation = alice.change(removal);
    bob.take_all(&rotation);
    let lines = |member: &Member, id| member.cx.db.root_lines(&id).unwrap().len();
    let id = alice.group().id();
    assert_eq!(lines(&alice, id), 4);
    // Epochs name the topics of the slots just before them, too.
    alice.wait(Duration::from_secs(3 * alice.cx.params.slot_secs));
    let renaming = alice.renaming("After the rotation");
    alice.change(renaming);
    prune_later(&mut alice, &|_| false);
    assert_eq!(lines(&alice, id), 2);
    let state = alice.state();
    alice.reload();
    assert_eq!(alice.state(), state);
    alice.send("under the new roots");
}

#[test]
fn one_that_was_removed_forgets_every_key_after_the_horizon() {
    let [mut alice, mut bob] = group_of();
    let (_, said) = alice.send("kept in the history");
    bob.take(&said);
    let removal = alice.removal_of(bob.account());
    let out = alice.change(removal);
    bob.take_all(&out);
    let last = bob.group().current().unwrap().epoch;
    prune_later(&mut bob, &|_| false);
    // The time of its last epoch begins with the end of the membership.
    assert!(!has_keys(&bob, &last));
    let id = bob.group().id();
    assert!(bob.cx.db.root_lines(&id).unwrap().is_empty());
    let slot = bob.cx.slot();
    assert!(bob.with(|group, cx, _, _| group.topic_roots(slot, &cx.network)).is_empty());
    assert_eq!(bob.texts(), ["kept in the history"]);
    bob.reload();
    assert!(!bob.group().is_member());
}
