//! Keys that were used are not used again: not from a backup, and not from a copy.

use super::member::Member;
use super::world::{group_of, group_with};
use crate::group::pages::RawRows;
use crate::group::rows::Rows;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::event::Event;
use crate::machine::group::intent::Intent;
use crate::random::SharedRng;

/// A backup of the first member of `group_of::<2>()`: the same member, who does not remember what was
/// sent after it was made.
fn backup() -> Member {
    let [mut restored, _] = group_with([1, 2]);
    restored.cx.rng = SharedRng::new([99; 32]);
    restored
}

/// Puts older MLS rows of the epoch that is followed back.
fn put_back(member: &mut Member, old: RawRows) {
    let epoch = member.tip();
    let rows = Rows::default();
    rows.absorb(&old);
    member.cx.db.delete_mls_rows(&epoch).unwrap();
    member.cx.db.write_mls_rows(&epoch, &rows.take_changes()).unwrap();
    member.reload();
}

#[test]
fn rows_that_are_older_than_the_mark_are_not_used_before_there_is_a_new_path() {
    let [mut alice, mut bob] = group_of();
    let epoch = alice.tip();
    let old = alice.cx.db.mls_rows(&epoch).unwrap();
    let (_, first) = alice.send("one");
    bob.take(&first);
    put_back(&mut alice, old);
    assert_eq!(alice.tip(), epoch);

    alice.say("two");
    let out = alice.flush();
    // A commit with a path goes before it.
    assert_eq!(out.group.len(), 2);
    assert!(matches!(bob.take(&out.group[0]), Disposition::Commit(_)));
    assert!(matches!(bob.take(&out.group[1]), Disposition::Message(_)));
    assert_ne!(alice.tip(), epoch);
    assert_eq!(alice.state(), bob.state());
    assert_eq!(bob.texts(), ["one", "two"]);
    // From there on as always.
    alice.send("three");
}

#[test]
fn rows_that_are_up_to_date_are_used_after_a_restart() {
    let [mut alice, _] = group_of();
    alice.send("one");
    alice.reload();
    let epoch = alice.tip();
    alice.send("two");
    assert_eq!(alice.tip(), epoch);
}

#[test]
fn a_restored_database_that_hears_of_its_own_future_makes_new_keys_first() {
    let [mut alice, mut bob] = group_of();
    let mut restored = backup();
    assert_eq!(alice.state(), restored.state());
    let epoch = alice.tip();
    let (_, envelope) = alice.send("after the backup");
    bob.take(&envelope);
    let heard = restored.take(&envelope);
    assert_eq!(heard, Disposition::Refused(Refused::Authentication));
    assert!(matches!(restored.events()[..], [Event::CloneAlarm { .. }]));

    restored.say("after the restoration");
    let out = restored.flush();
    assert_eq!(out.group.len(), 2);
    assert_ne!(restored.tip(), epoch);
    bob.take_all(&out);
    assert_eq!(bob.state(), restored.state());
    assert_eq!(bob.texts(), ["after the backup", "after the restoration"]);
}

#[test]
fn the_alarm_is_raised_once_for_an_epoch() {
    let [mut alice, _] = group_of();
    let mut restored = backup();
    let sent: Vec<_> = (0..3).map(|n| alice.send(&format!("{n}")).1).collect();
    for envelope in &sent {
        restored.take(envelope);
    }
    assert_eq!(restored.events().len(), 1);
}

#[test]
fn a_commit_of_the_other_copy_that_has_no_path_is_followed_with_an_alarm() {
    let [mut alice, _] = group_of();
    let mut restored = backup();
    let card = Member::new(7).card();
    alice.know(&card);
    let out = alice.change(Intent::Add(vec![card.account]));
    assert!(matches!(restored.take(&out.group[0]), Disposition::Commit(_)));
    assert!(restored.events().iter().any(|it| matches!(it, Event::CloneAlarm { .. })));
    assert_eq!(restored.state(), alice.state());
}

#[test]
fn a_commit_in_ones_own_name_that_was_not_made_here_raises_the_alarm() {
    let [mut alice, mut bob] = group_of();
    let mut restored = backup();
    let epoch = alice.tip();
    // It has a path, whose private half is not here: it cannot be followed.
    let renaming = alice.renaming("By the other copy");
    let out = alice.change(renaming);
    bob.take_all(&out);
    assert_eq!(restored.take(&out.group[0]), Disposition::Refused(Refused::Authentication));
    assert_eq!(restored.tip(), epoch);
    assert!(matches!(restored.events()[..], [Event::CloneAlarm { .. }]));
    // What this epoch was used for since is not known: it is not used to send.
    restored.say("with new keys");
    let sent = restored.flush();
    assert_eq!(sent.group.len(), 2);
    assert!(matches!(bob.take(&sent.group[0]), Disposition::Commit(_)));
    assert!(matches!(bob.take(&sent.group[1]), Disposition::Message(_)));
    assert_eq!(bob.texts(), ["with new keys"]);
}
