#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reason(method: &str, params: Value) -> String {
    match Call::read(method, params) {
        Ok(_) => panic!("{method} was read"),
        Err(MethodError::BadParams(reason)) => reason,
        Err(other) => panic!("{method}: {other}"),
    }
}

#[test]
fn a_method_is_known_by_its_name() {
    for method in Method::ALL {
        assert_eq!(method.to_string().parse::<Method>().unwrap(), *method);
    }
    assert_eq!(Method::WaitCaughtUp.to_string(), "wait_caught_up");
    assert_eq!(Method::WaitCaughtUp.kind(), Kind::Wait);
    for unknown in ["", "Identity", "no_such", "identity "] {
        let error = unknown.parse::<Method>().unwrap_err();
        assert!(matches!(error, MethodError::UnknownMethod(name) if name == unknown));
    }
}

#[test]
fn parameters_are_read_strictly() {
    assert!(matches!(Call::read("groups", Value::Null), Ok(Call::Groups {})));
    assert!(Call::read("groups", json!({})).is_ok());
    assert!(reason("groups", json!({"more": 1})).contains("`more`"));
    assert!(reason("groups", json!([])).contains("object"));
    assert!(reason("group", Value::Null).contains("`group`"));
    assert!(reason("group", json!({"group": "wkg1x"})).contains("id"));
    assert!(reason("acknowledge", json!([1])).contains("object"));
    let read = Call::read("acknowledge", json!({"cursor": u64::MAX}));
    assert!(matches!(read, Ok(Call::Acknowledge { cursor: u64::MAX })));
    for bad in [json!({"cursor": -1}), json!({"cursor": 1.5}), json!({"cursor": "1"})] {
        reason("acknowledge", bad);
    }
    let read = Call::read("create_group", json!({"name": "G"})).unwrap();
    let Call::CreateGroup { description, members, .. } = read else { panic!("another method") };
    assert!(description.is_empty() && members.is_empty());
}

#[test]
fn a_phrase_is_optional_and_is_a_text() {
    let id = InstallationId([7; 32]);
    let read = |params| Call::read("revoke_installations", params);
    match read(json!({"installations": [id], "phrase": "a b"})) {
        Ok(Call::RevokeInstallations { installations, phrase: Some(phrase) }) => {
            assert_eq!((installations, phrase.expose()), (vec![id], "a b"));
        }
        _ => panic!("it is not read"),
    }
    let without = read(json!({"installations": [id]}));
    assert!(matches!(without, Ok(Call::RevokeInstallations { phrase: None, .. })));
    assert!(read(json!({"installations": [id], "phrase": 1})).is_err());
    assert!(read(json!({"phrase": "a b"})).is_err());
}

#[test]
fn the_history_is_limited() {
    assert_eq!(checked_limit(None).unwrap(), DEFAULT_HISTORY);
    assert_eq!(checked_limit(Some(MAX_HISTORY)).unwrap(), MAX_HISTORY);
    assert!(checked_limit(Some(MAX_HISTORY + 1)).is_err());
}

#[test]
fn days_reach_back() {
    assert_eq!(days_ago(u64::MAX), Timestamp::from_secs(0));
    let (today, week) = (days_ago(0), days_ago(7));
    assert_eq!((today - Duration::from_secs(7 * DAY_SECS)).secs().abs_diff(week.secs()) / 60, 0);
    assert!(first_moment(Some(1), Some(today)).is_err());
    assert_eq!(first_moment(None, Some(week)).unwrap(), week);
}

proptest! {
    #[test]
    fn ids_are_read_as_they_are_written(id in any::<[u8; 32]>()) {
        let id = GroupId(id);
        match Call::read("group", json!({"group": id})) {
            Ok(Call::Group { group }) => prop_assert_eq!(group, id),
            _ => prop_assert!(false, "not read"),
        }
    }
}
