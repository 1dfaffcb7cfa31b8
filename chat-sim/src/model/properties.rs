//! Whether the fork choice keeps its promises on one tree.

use std::collections::BTreeSet;

use super::findings::{Findings, Property};
use super::group::{ACCOUNTS, Action, Group};
use super::scope::Scope;

/// Tries all properties on a group; it is left as it was.
pub(super) fn check(group: &mut Group, scope: &Scope, findings: &mut Findings) {
    let winner = group.winner();
    on_the_winner(group, winner, findings);
    pruning(group, winner, findings);
    safety(group, winner, scope, findings);
    if group.is_chain() {
        (0..ACCOUNTS).for_each(|account| alone(group, account, winner, scope, findings));
    }
}

fn on_the_winner(group: &mut Group, winner: usize, findings: &mut Findings) {
    let named: BTreeSet<u8> =
        (1..group.epochs()).filter_map(|commit| group.action(commit).removes).collect();
    for action in group.possible(winner) {
        let commit = group.epochs();
        group.push(action);
        let now = group.winner();
        if action.removes.is_none() && !named.contains(&action.by) {
            findings.note(Property::Waiting, now == commit, group);
        }
        findings.note(Property::Support, now == commit || now == winner, group);
        group.pop();
    }
}

fn pruning(group: &Group, winner: usize, findings: &mut Findings) {
    for epoch in group.path(winner) {
        findings.note(Property::Pruning, group.winner_from(epoch) == winner, group);
    }
}

fn safety(group: &mut Group, winner: usize, scope: &Scope, findings: &mut Findings) {
    for removal in group.path(winner) {
        let Action { by, removes: Some(removed), .. } = group.action(removal) else { continue };
        if group.rank(by) < group.rank(removed) {
            // It may hold warrants for anybody's removal.
            let further = Further { may: &|_, action| action.by == removed, more: scope.more };
            let holds = further.all(group, 0, &|now| now.winner() == winner);
            findings.note_found(Property::Safety, holds);
        }
    }
}

/// What one account can undo by itself.
fn alone(group: &mut Group, account: u8, winner: usize, scope: &Scope, findings: &mut Findings) {
    let path = group.path(winner);
    let author = |group: &Group, commit: usize| group.action(commit).by / 2;
    let of_admins: BTreeSet<usize> = path
        .iter()
        .copied()
        .filter(|at| group.authority(author(group, *at)) < group.authority(account))
        .collect();
    let mut held = vec![(Property::Authority, of_admins)];
    if group.authority(account) == u32::MAX {
        let in_company = |at: &usize| {
            let after = *at + 1..group.epochs();
            let others: BTreeSet<u8> =
                after.map(|it| author(group, it)).filter(|it| *it != account).collect();
            others.len() >= 2
        };
        held.push((Property::Company, path.iter().copied().filter(in_company).collect()));
    }
    for (property, held) in held.into_iter().filter(|(_, held)| !held.is_empty()) {
        let stays = |now: &Group| held.is_subset(&now.path(now.winner()));
        let may = |group: &Group, action: &Action| {
            let own = |installation: u8| installation / 2 == account;
            // Nobody gives it a warrant for anybody else's removal.
            let entitled = |it: u8| own(it) || group.authority(account) < group.authority(it / 2);
            own(action.by) && action.removes.is_none_or(entitled)
        };
        let holds = Further { may: &may, more: scope.more }.all(group, 0, &stays);
        findings.note_found(property, holds);
    }
}

/// Further commits that somebody might try.
struct Further<'a> {
    /// Those that it may make.
    may: &'a dyn Fn(&Group, &Action) -> bool,
    /// The most of them.
    more: usize,
}

impl Further<'_> {
    /// Whether something stays so, whatever is committed from an epoch on; or what breaks it.
    fn all(
        &self,
        group: &mut Group,
        from: usize,
        stays: &dyn Fn(&Group) -> bool,
    ) -> Result<(), String> {
        let Some(more) = self.more.checked_sub(1) else { return Ok(()) };
        for on in from..group.epochs() {
            for action in group.possible(on) {
                if !(self.may)(group, &action) {
                    continue;
                }
                group.push(action);
                let held = match stays(group) {
                    true => Further { may: self.may, more }.all(group, on, stays),
                    false => Err(group.to_string()),
                };
                group.pop();
                held?;
            }
        }
        Ok(())
    }
}
