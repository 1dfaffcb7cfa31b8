use super::*;
use crate::identity::credential::Credential;
use crate::identity::installation::InstallationKey;
use crate::identity::log::{Enrolment, Entry, EntrySigner};
use crate::ids::InstallationId;
use crate::machine::account::me::Me;
use crate::machine::testing::{context, found_account};
use crate::wire::header::Warrant;

/// An account with two installations, in a context of its own; the second was added by the first.
fn family(seed: u8) -> (Cx, Me, InstallationKey) {
    let cx = context(seed);
    let (mut me, _) = found_account(&cx);
    let second = InstallationKey::generate(&mut *cx.rng.lock());
    let possession = second.prove_possession(&me.account, &cx.network);
    let by = EntrySigner::Installation(&me.key);
    let entry = me.log().add(by, second.id(), possession, cx.now).unwrap();
    grow(&cx, &mut me, entry);
    (cx, me, second)
}

fn grow(cx: &Cx, me: &mut Me, entry: Entry) {
    let mut log = me.log().clone();
    log.insert(entry).unwrap();
    me.set_log(cx, log).unwrap();
}

fn revoke(cx: &Cx, me: &mut Me, id: InstallationId) {
    let log = me.log();
    let by = EntrySigner::Installation(&me.key);
    let entry = log.revoke(by, id, log.last_entry_of(&id), cx.now).unwrap();
    grow(cx, me, entry);
}

fn leaf(cx: &Cx, me: &Me, id: &InstallationId) -> Leaf {
    let credential = Credential::for_installation(me.log(), id).unwrap();
    let member = Credential::decode(&credential.encode(), &cx.network).unwrap();
    Leaf {
        leaf: 0,
        account: me.account,
        installation: *id,
        seniority: 0,
        chain: member.chain.iter().map(Enrolment::from).collect(),
        inbox: [0; 32],
        since: None,
    }
}

#[test]
fn a_log_that_was_seen_is_known_after_a_restart() {
    let (cx, _, _) = family(1);
    let (_, other, _) = family(2);
    let mut logs = Logs::default();
    assert!(logs.get(&other.account).is_none());
    logs.set(&cx, other.log().clone()).unwrap();
    let mut loaded = Logs::default();
    loaded.load(&cx).unwrap();
    assert_eq!(loaded.get(&other.account).map(Log::encode), Some(other.log().encode()));
    // What a step that was taken back had set is forgotten by loading.
    logs.load(&context(9)).unwrap();
    assert!(logs.get(&other.account).is_none());
}

#[test]
fn the_own_log_is_the_one_of_this_installation() {
    let (_, me, _) = family(1);
    let logs = Logs::default();
    let who = Who { me: &me, logs: &logs };
    assert_eq!(who.log_of(&me.account).map(Log::encode), Some(me.log().encode()));
    assert!(who.log_of(&AccountId([1; 32])).is_none());
}

#[test]
fn only_a_leaf_whose_installation_was_revoked_has_no_right_to_its_place() {
    let (cx, mut me, second) = family(1);
    let (first, gone) = (leaf(&cx, &me, &me.id()), leaf(&cx, &me, &second.id()));
    assert!(!is_revoked(me.log(), &first) && !is_revoked(me.log(), &gone));
    revoke(&cx, &mut me, second.id());
    assert!(!is_revoked(me.log(), &first) && is_revoked(me.log(), &gone));
    let logs = Logs::default();
    let who = Who { me: &me, logs: &logs };
    assert_eq!(who.revoke_warrant(&first), None);
    assert_eq!(who.revoke_warrant(&gone), Some(Warrant::Revoke(me.log().encode())));
}

#[test]
fn a_warrant_against_a_leaf_of_another_account_takes_its_log() {
    let (cx, me, _) = family(1);
    let (theirs, mut other, second) = family(2);
    let gone = leaf(&theirs, &other, &second.id());
    revoke(&theirs, &mut other, second.id());
    let mut logs = Logs::default();
    assert_eq!(Who { me: &me, logs: &logs }.revoke_warrant(&gone), None);
    logs.set(&cx, other.log().clone()).unwrap();
    assert!(Who { me: &me, logs: &logs }.revoke_warrant(&gone).is_some());
}
