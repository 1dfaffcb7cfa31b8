//! The fork choice on all trees of two commits: what it promises holds.

use chat_sim::model::{Property, Scope, search};

#[test]
fn what_the_fork_choice_promises_holds_on_all_small_trees() {
    let findings = search(&Scope { commits: 2, more: 1 });
    for property in Property::ALL {
        let found = findings.of(property);
        // None has a chance of company in a tree this small: somebody, and two others on it.
        assert!(found.tried > 100 || property == Property::Company, "{property:?}: {found:?}");
        assert_eq!(found.broken, 0, "{property:?}: {found:?}");
    }
}
