//! What the fork choice promises, and what was found of it.

use std::collections::BTreeMap;

use super::group::Group;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// What is committed on the winner, by somebody whom no removal names, is the winner.
    Waiting,
    /// A commit on the winner makes no other branch win.
    Support,
    /// The winner stays where those look who know the group from a later epoch on.
    Pruning,
    /// Who was removed on the winner, by more authority, changes nothing by further commits.
    Safety,
    /// An account alone does not undo what an admin with more authority committed.
    Authority,
    /// An ordinary account alone does not undo that on which two others built.
    Company,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Support, Self::Pruning, Self::Safety, Self::Authority, Self::Company];
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
