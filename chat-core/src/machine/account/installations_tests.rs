use std::time::Duration;

use super::*;
use crate::machine::testing::{NOW, context, effects, found_account};

const OTHER: InstallationId = InstallationId([8; 32]);

#[test]
fn only_a_key_package_that_can_be_used_longer_takes_the_place_of_one() {
    let mut cx = context(1);
    let day = Duration::from_secs(86_400);
    OwnInstallation::keep_package(&mut cx, OTHER, b"one", NOW + day).unwrap();
    assert!(matches!(effects(&mut cx)[..], [Effect::Reconcile]));
    OwnInstallation::keep_package(&mut cx, OTHER, b"older", NOW).unwrap();
    assert!(effects(&mut cx).is_empty());
    assert_eq!(OwnInstallation::of(&cx, &OTHER).unwrap().package, b"one");
    cx.now = NOW + day;
    OwnInstallation::keep_package(&mut cx, OTHER, b"newer", NOW + day * 2).unwrap();
    let record = OwnInstallation::of(&cx, &OTHER).unwrap();
    assert_eq!(record.package, b"newer");
    assert_eq!(record.known_since, Some(NOW), "since it could be added first");
}

#[test]
fn of_two_names_the_later_stays_in_whatever_order_they_come() {
    let names = [("first", 1), ("second", 2), ("b", 3), ("a", 3)];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let cx = context(1);
        for at in order {
            let (name, named_at) = names[at];
            OwnInstallation::rename(&cx, OTHER, name, Timestamp(named_at)).unwrap();
        }
        assert_eq!(OwnInstallation::of(&cx, &OTHER).unwrap().name.as_deref(), Some("b"));
    }
}

#[test]
fn when_one_was_heard_last_is_written_by_the_minute() {
    let mut cx = context(1);
    let mut hear = |secs: u64| {
        cx.sent_at = NOW + Duration::from_secs(secs);
        cx.now = cx.sent_at;
        cx.db.watch_writes();
        OwnInstallation::heard(&cx, &OTHER).unwrap();
        cx.db.has_written()
    };
    assert!(hear(0));
    assert!(!hear(SEEN_SECS - 1));
    assert!(hear(SEEN_SECS));
    // What comes late does not set it back.
    assert!(!hear(1));
    let seen = OwnInstallation::of(&cx, &OTHER).unwrap().last_seen;
    assert_eq!(seen, Some(NOW + Duration::from_secs(SEEN_SECS)));
}

#[test]
fn a_time_of_the_future_is_not_when_one_was_heard() {
    let mut cx = context(1);
    cx.sent_at = NOW + Duration::from_secs(86_400);
    OwnInstallation::heard(&cx, &OTHER).unwrap();
    assert_eq!(OwnInstallation::of(&cx, &OTHER).unwrap().last_seen, Some(NOW));
}

#[test]
fn the_others_are_all_but_this_one() {
    let cx = context(1);
    let (me, _) = found_account(&cx);
    assert!(OwnInstallation::others(&cx, &me).unwrap().is_empty());
    OwnInstallation::rename(&cx, me.id(), "this one", NOW).unwrap();
    OwnInstallation::rename(&cx, OTHER, "the other", NOW).unwrap();
    assert_eq!(OwnInstallation::all(&cx).unwrap().len(), 2);
    let others = OwnInstallation::others(&cx, &me).unwrap();
    assert_eq!(others.iter().map(|it| it.id).collect::<Vec<_>>(), [OTHER]);
}

#[test]
fn a_revocation_names_who_did_it_and_when_as_far_as_that_is_known() {
    let mut cx = context(1);
    let (me, _) = found_account(&cx);
    let entry = me.log().tips()[0];
    cx.now = NOW + Duration::from_secs(60);
    let by = Some((Author::Installation(me.id()), entry));
    OwnInstallation::note_revoked(&cx, &me, &OTHER, by).unwrap();
    let known = OwnInstallation::of(&cx, &OTHER).unwrap().revoked.unwrap();
    assert_eq!((known.by, known.at), (Some(me.id()), NOW));
    // By the account key, with an entry that the log does not have any more.
    let by = Some((Author::Account, EntryHash([0; 32])));
    OwnInstallation::note_revoked(&cx, &me, &OTHER, by).unwrap();
    let known = OwnInstallation::of(&cx, &OTHER).unwrap().revoked.unwrap();
    assert_eq!((known.by, known.at), (None, cx.now));
}
