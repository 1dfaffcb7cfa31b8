//! The search through all trees.

use super::findings::Findings;
use super::group::{Group, Layout};
use super::properties::check;
use super::scope::Scope;

/// Tries all properties on all trees of a scope.
pub fn search(scope: &Scope) -> Findings {
    let mut findings = Findings::default();
    for layout in Layout::ALL {
        descend(&mut Group::new(layout), scope, &mut findings);
    }
    findings
}

/// Checks a tree and all that begin with it. Commits come in one order only: by the epoch that they are
/// made on, then by what they are.
fn descend(group: &mut Group, scope: &Scope, findings: &mut Findings) {
    check(group, scope, findings);
    if group.epochs() > scope.commits {
        return;
    }
    let last = group.last();
    for on in last.map_or(0, |last| last.on)..group.epochs() {
        for action in
            group.possible(on).into_iter().filter(|action| last.is_none_or(|it| it < *action))
        {
            group.push(action);
            descend(group, scope, findings);
            group.pop();
        }
    }
}
