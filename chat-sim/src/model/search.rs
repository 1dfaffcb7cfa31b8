//! The search through all trees, and what it found.

use std::collections::BTreeMap;

use super::group::{Group, Layout};
use super::properties::{Property, check};

/// How far the search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Commits of the trees, at most.
    pub commits: usize,
    /// Further commits by those who might gain, at most.
    pub more: usize,
}

/// What was found of one property.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// How often it was tried.
    pub tried: u64,
    /// How often it did not hold.
    pub broken: u64,
    /// The shortest example.
    pub example: Option<String>,
}

/// What was found of all properties.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings(BTreeMap<Property, Tally>);

impl Findings {
    /// What was found of one property.
    pub fn of(&self, property: Property) -> Tally {
        self.0.get(&property).cloned().unwrap_or_default()
    }

    pub(super) fn note(&mut self, property: Property, holds: bool, group: &Group) {
        let found = if holds { Ok(()) } else { Err(group.to_string()) };
        self.note_found(property, found);
    }

    pub(super) fn note_found(&mut self, property: Property, found: Result<(), String>) {
        let tally = self.0.entry(property).or_default();
        tally.tried += 1;
        if let Err(example) = found {
            tally.broken += 1;
            if tally.example.as_ref().is_none_or(|known| example.len() < known.len()) {
                tally.example = Some(example);
            }
        }
    }
}

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
