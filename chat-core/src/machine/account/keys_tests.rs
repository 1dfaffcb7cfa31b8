use super::*;
use crate::group::package::read_package;
use crate::machine::testing::{context, effects, found_account};

/// What others of the account are told.
fn told(cx: &mut Cx) -> Vec<SyncItem> {
    let items = |effect| match effect {
        Effect::TellOwn(items, _) => items,
        _ => Vec::new(),
    };
    effects(cx).into_iter().flat_map(items).collect()
}

#[test]
fn an_inbox_key_is_used_for_its_period_and_then_renewed() {
    let mut cx = context(1);
    let mut keys = Keys::default();
    let first = keys.current_inbox(&mut cx).unwrap();
    assert!(matches!(told(&mut cx)[..], [SyncItem::InboxKey { .. }]));
    cx.now = cx.now + INBOX_KEY_PERIOD - Duration::from_millis(1);
    assert_eq!(keys.current_inbox(&mut cx).unwrap(), first);
    assert!(told(&mut cx).is_empty());
    cx.now = cx.now + Duration::from_millis(1);
    let second = keys.current_inbox(&mut cx).unwrap();
    assert_ne!(second.key, first.key);
    // The old one is still tried, after the new one.
    let publics: Vec<[u8; 32]> = keys.inbox().iter().map(InboxKey::public).collect();
    assert_eq!(publics, [second.key, first.key]);
}

#[test]
fn an_inbox_key_of_another_installation_is_used_too() {
    let mut cx = context(1);
    let mut keys = Keys::default();
    let other = InboxKey::generate(&mut *cx.rng.lock(), cx.now);
    assert!(!keys.has_inbox(&other));
    keys.keep_inbox(&cx, &other).unwrap();
    assert!(keys.has_inbox(&other));
    assert_eq!(keys.current_inbox(&mut cx).unwrap().key, other.public());
    assert!(told(&mut cx).is_empty());
}

#[test]
fn an_inbox_key_dated_in_the_future_is_not_given_to_others() {
    let mut cx = context(1);
    let mut keys = Keys::default();
    let future = InboxKey::generate(&mut *cx.rng.lock(), cx.now + INBOX_KEY_PERIOD);
    keys.keep_inbox(&cx, &future).unwrap();
    assert_ne!(keys.current_inbox(&mut cx).unwrap().key, future.public());
}

#[test]
fn a_retired_inbox_key_opens_and_is_named_no_more() {
    let mut cx = context(1);
    let mut keys = Keys::default();
    let old = keys.current_inbox(&mut cx).unwrap();
    keys.retire_inbox(&cx).unwrap();
    assert_ne!(keys.current_inbox(&mut cx).unwrap().key, old.key);
    keys.load(&cx.db).unwrap();
    assert!(keys.inbox().iter().any(|key| key.public() == old.key));
}

#[test]
fn keys_go_when_their_time_is_over_and_others_confirm_it() {
    let mut cx = context(1);
    let (me, _) = found_account(&cx);
    let begin = cx.now;
    let mut keys = Keys::default();
    keys.current_inbox(&mut cx).unwrap();
    keys.current_package(&mut cx, &me).unwrap();
    // The device's own clock is far ahead.
    cx.now = begin + INBOX_KEY_KEEP * 2;
    keys.expire(&cx, begin).unwrap();
    assert_eq!((keys.inbox().len(), Keys::packages(&cx.db).unwrap().0.len()), (1, 1));
    // Others' clocks are, and not its own.
    let own = std::mem::replace(&mut cx.now, begin);
    keys.expire(&cx, own).unwrap();
    assert_eq!((keys.inbox().len(), Keys::packages(&cx.db).unwrap().0.len()), (1, 1));
    // Both: a package first, an inbox key later.
    cx.now = begin + KEY_PACKAGE_KEEP + Duration::from_secs(1);
    keys.expire(&cx, cx.now).unwrap();
    assert_eq!((keys.inbox().len(), Keys::packages(&cx.db).unwrap().0.len()), (1, 0));
    cx.now = begin + INBOX_KEY_KEEP + Duration::from_secs(1);
    keys.expire(&cx, cx.now).unwrap();
    assert!(keys.inbox().is_empty());
}

#[test]
fn a_key_package_is_of_this_installation_and_renewed_by_the_day() {
    let mut cx = context(1);
    let (me, _) = found_account(&cx);
    let keys = Keys::default();
    let first = keys.current_package(&mut cx, &me).unwrap();
    let (_, leaf) = read_package(&first.bytes, &cx.rng, &cx.network).unwrap();
    assert_eq!((leaf.account, leaf.installation), (me.account, me.id()));
    assert_eq!(first.usable_until, cx.now + KEY_PACKAGE_USE);
    assert_eq!(keys.current_package(&mut cx, &me).unwrap(), first);
    assert!(matches!(told(&mut cx)[..], [SyncItem::KeyPackage { .. }]));
    cx.now = cx.now + KEY_PACKAGE_PERIOD;
    assert_ne!(keys.current_package(&mut cx, &me).unwrap(), first);
    // An invitation may be for either, and each has the private half of its inbox key.
    let (packages, inboxes) = Keys::packages(&cx.db).unwrap();
    assert_eq!((packages.len(), inboxes.len()), (2, 2));
    for (package, inbox) in packages.iter().zip(&inboxes) {
        let (_, leaf) = read_package(&package.public, &cx.rng, &cx.network).unwrap();
        assert_eq!(leaf.inbox, InboxKey::from_secret(inbox, cx.now).public());
    }
}
