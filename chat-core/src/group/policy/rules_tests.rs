use super::*;
use crate::params::NetworkId;
use proptest::prelude::*;

fn account(n: u8) -> AccountId {
    AccountId([n; 32])
}

/// Installation `i` of account `n`.
fn device(n: u8, i: u8) -> InstallationId {
    let mut id = [n; 32];
    id[31] = i;
    InstallationId(id)
}

fn member(leaf: u32, n: u8, i: u8) -> MemberView {
    MemberView { leaf, account: account(n), installation: device(n, i), seniority: u32::from(i) }
}

fn added(n: u8, i: u8) -> AddedView {
    AddedView { account: account(n), installation: device(n, i), seniority: u32::from(i) }
}

/// Leaves 0 and 1: account 1, the creator. 2: account 2, admin number 4. 3, 4: account 3. 6: 4.
struct Group {
    policy: GroupPolicy,
    members: Vec<MemberView>,
}

impl Group {
    fn new() -> Self {
        let mut policy =
            GroupPolicy::new(account(1), "name".into(), String::new(), NetworkId([0; 32]));
        policy.admins.insert(account(2), 4);
        policy.next_admin = 6;
        let members = [(0, 1, 0), (1, 1, 1), (2, 2, 0), (3, 3, 0), (4, 3, 1), (6, 4, 0)];
        let members = members.iter().map(|(leaf, n, i)| member(*leaf, *n, *i)).collect();
        Self { policy, members }
    }

    fn check(&self, facts: &CommitFacts) -> Result<Effect, Refusal> {
        check(&self.view(), facts)
    }

    fn view(&self) -> ParentView<'_> {
        ParentView { policy: &self.policy, members: &self.members, slot: Slot(100) }
    }

    fn at(&self, leaf: u32) -> MemberView {
        *self.members.iter().find(|m| m.leaf == leaf).unwrap()
    }

    /// A commit by `author` that removes leaves, with all that belongs to it.
    fn removal(&self, author: u32, leaves: &[u32]) -> CommitFacts {
        CommitFacts {
            removed: leaves.to_vec(),
            cuts: leaves.iter().map(|leaf| (self.at(*leaf).installation, 7)).collect(),
            rotate: true,
            ..by(author)
        }
    }

    fn setting(&self, author: u32, change: impl FnOnce(&mut GroupPolicy)) -> CommitFacts {
        let mut policy = self.policy.clone();
        change(&mut policy);
        CommitFacts { policy_after: Some(policy), ..by(author) }
    }

    fn wish(&self, leaf: u32) -> LeaveFact {
        LeaveFact { installation: self.at(leaf).installation, last_seq: 7 }
    }

    fn revoke(&self, leaf: u32) -> RevokeFact {
        RevokeFact { installation: self.at(leaf).installation, account: self.at(leaf).account }
    }
}

fn by(author: u32) -> CommitFacts {
    CommitFacts {
        author_leaf: author,
        slot: Slot(100),
        has_update_path: true,
        ..CommitFacts::default()
    }
}

#[test]
fn everybody_adds_renames_and_updates() {
    let group = Group::new();
    let effect =
        group.check(&CommitFacts { added: vec![added(9, 0), added(4, 1)], ..by(6) }).unwrap();
    assert_eq!(effect.added, [added(9, 0), added(4, 1)]);
    assert_eq!((effect.author, effect.author_admin), (group.at(6), None));
    assert!(effect.removed.is_empty() && effect.demoted.is_empty() && effect.promoted.is_empty());
    assert_eq!(group.check(&by(2)).unwrap().author_admin, Some(4));
    group.check(&CommitFacts { rotate: true, ..by(6) }).unwrap();
    let rename = |p: &mut GroupPolicy| {
        p.name = "other".into();
        p.description = "new".into();
    };
    group.check(&group.setting(6, rename)).unwrap();
    // Adds go without a path.
    let pathless = CommitFacts { has_update_path: false, ..by(6) };
    group.check(&CommitFacts { added: vec![added(9, 0)], ..pathless.clone() }).unwrap();
    assert_eq!(group.check(&pathless), Err(Refusal::EmptyCommit));
}

#[test]
fn admins_remove_others() {
    let group = Group::new();
    let effect = group.check(&group.removal(2, &[3, 6])).unwrap();
    assert_eq!(effect.removed, [device(3, 0), device(4, 0)]);
    assert_eq!(group.check(&group.removal(6, &[3])), Err(Refusal::NotAdmin));
    // An admin too.
    let mut facts = group.removal(2, &[0, 1]);
    assert_eq!(group.check(&facts), Err(Refusal::AdminsOutdated));
    let mut policy = group.policy.clone();
    policy.admins.remove(&account(1));
    facts.policy_after = Some(policy);
    assert_eq!(group.check(&facts).unwrap().demoted, [account(1)]);
    // Of an admin with several installations one may go, and it stays admin.
    assert!(group.check(&group.removal(2, &[1])).unwrap().demoted.is_empty());
}

#[test]
fn what_a_removal_must_carry() {
    let group = Group::new();
    let base = group.removal(0, &[3]);
    assert!(group.check(&base).is_ok());
    let refused = |change: fn(&mut CommitFacts)| {
        let mut facts = base.clone();
        change(&mut facts);
        group.check(&facts).unwrap_err()
    };
    assert_eq!(refused(|f| f.rotate = false), Refusal::RotateMismatch);
    assert_eq!(refused(|f| f.has_update_path = false), Refusal::MissingPath);
    assert_eq!(refused(|f| f.cuts.clear()), Refusal::MissingCut);
    assert_eq!(refused(|f| f.cuts[0].0 = device(4, 0)), Refusal::MissingCut);
    assert_eq!(refused(|f| f.cuts.push((device(4, 0), 1))), Refusal::ExtraCut);
    assert_eq!(refused(|f| f.cuts.push(f.cuts[0])), Refusal::ExtraCut);
    assert_eq!(refused(|f| f.removed.push(3)), Refusal::DuplicateRemove);
    assert_eq!(refused(|f| f.removed.push(5)), Refusal::UnknownLeaf);
    assert_eq!(refused(|f| f.author_leaf = 5), Refusal::UnknownLeaf);
    assert_eq!(refused(|f| f.author_leaf = 3), Refusal::SelfRemoval);
    let cut_without_removal = CommitFacts { cuts: vec![(device(3, 0), 1)], ..by(0) };
    assert_eq!(group.check(&cut_without_removal), Err(Refusal::ExtraCut));
}

#[test]
fn an_own_installation_goes_with_a_warrant_only() {
    let group = Group::new();
    for (author, target) in [(0, 1), (3, 4)] {
        let mut facts = group.removal(author, &[target]);
        assert_eq!(group.check(&facts), Err(Refusal::MissingWarrant));
        facts.revoke_warrants = vec![group.revoke(target)];
        assert_eq!(group.check(&facts).unwrap().removed, [group.at(target).installation]);
        facts.revoke_warrants = vec![];
        facts.leave_warrants = vec![group.wish(target)];
        assert!(group.check(&facts).is_ok());
    }
}

#[test]
fn a_warrant_lets_anybody_remove_exactly_its_leaf() {
    let group = Group::new();
    let mut facts = group.removal(6, &[3]);
    facts.leave_warrants = vec![group.wish(3)];
    assert!(group.check(&facts).is_ok());
    facts.leave_warrants = vec![group.wish(4)];
    assert_eq!(group.check(&facts), Err(Refusal::NotAdmin));
    facts.leave_warrants = vec![LeaveFact { last_seq: 8, ..group.wish(3) }];
    assert_eq!(group.check(&facts), Err(Refusal::CutMismatch));
    facts.leave_warrants = vec![];
    facts.revoke_warrants = vec![group.revoke(3)];
    assert!(group.check(&facts).is_ok());
    // The log of one account says nothing about the installation of another.
    facts.revoke_warrants = vec![RevokeFact { account: account(4), ..group.revoke(3) }];
    assert_eq!(group.check(&facts), Err(Refusal::NotAdmin));
    // Two removals, one warrant.
    let mut facts = group.removal(6, &[3, 4]);
    facts.leave_warrants = vec![group.wish(3)];
    assert_eq!(group.check(&facts), Err(Refusal::NotAdmin));
}

#[test]
fn a_resync_is_no_removal_and_needs_its_authority() {
    let group = Group::new();
    let mut facts = group.removal(0, &[3]);
    facts.added = vec![added(3, 0), added(9, 0)];
    facts.rotate = false;
    let effect = group.check(&facts).unwrap();
    assert!(effect.removed.is_empty());
    assert_eq!((effect.resynced, effect.added), (vec![device(3, 0)], vec![added(9, 0)]));
    facts.author_leaf = 6;
    assert_eq!(group.check(&facts), Err(Refusal::NotAdmin));
    // Under another account it is none.
    let mut facts = group.removal(0, &[3]);
    facts.added = vec![AddedView { account: account(9), ..added(3, 0) }];
    assert_eq!(group.check(&facts), Err(Refusal::DuplicateInstallation));
    // An admin whose only installation is resynced stays admin.
    let mut facts = group.removal(0, &[2]);
    facts.added = vec![added(2, 0)];
    assert!(group.check(&facts).unwrap().demoted.is_empty());
}

#[test]
fn an_installation_is_a_member_once_and_an_account_has_few() {
    let group = Group::new();
    let adding = |list: Vec<AddedView>| group.check(&CommitFacts { added: list, ..by(6) });
    assert_eq!(adding(vec![added(3, 0)]), Err(Refusal::DuplicateInstallation));
    assert_eq!(adding(vec![added(9, 0), added(9, 0)]), Err(Refusal::DuplicateInstallation));
    let many = |count: u8| adding((10..10 + count).map(|i| added(3, i)).collect());
    // Account 3 has two.
    assert!(many(MAX_INSTALLATIONS as u8 - 2).is_ok());
    assert_eq!(many(MAX_INSTALLATIONS as u8 - 1), Err(Refusal::TooManyInstallations));
    let crowd: Vec<AddedView> = (0..=MAX_PROPOSALS)
        .map(|n| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            AddedView { account: AccountId(id), installation: InstallationId(id), seniority: 0 }
        })
        .collect();
    assert_eq!(adding(crowd), Err(Refusal::TooMany));
}

#[test]
fn the_slot_stays_near_its_parents() {
    let group = Group::new();
    let at = |slot: u64| group.check(&CommitFacts { slot: Slot(slot), ..by(0) }).map(|_| ());
    assert_eq!(at(99), Err(Refusal::SlotOutOfRange));
    assert_eq!(at(100 + MAX_SLOT_ADVANCE), Ok(()));
    assert_eq!(at(101 + MAX_SLOT_ADVANCE), Err(Refusal::SlotOutOfRange));
    assert_eq!(at(u64::MAX), Err(Refusal::SlotOutOfRange));
}

#[test]
fn admins_name_admins() {
    let group = Group::new();
    let promote = |p: &mut GroupPolicy| {
        p.admins.insert(account(3), 6);
        p.next_admin = 7;
    };
    assert_eq!(group.check(&group.setting(2, promote)).unwrap().promoted, [account(3)]);
    assert_eq!(group.check(&group.setting(6, promote)), Err(Refusal::NotAdmin));
    let demote = |p: &mut GroupPolicy| {
        p.admins.remove(&account(1));
    };
    assert_eq!(group.check(&group.setting(2, demote)).unwrap().demoted, [account(1)]);
    assert_eq!(group.check(&group.setting(6, demote)), Err(Refusal::NotAdmin));
    let refused =
        |change: fn(&mut GroupPolicy)| group.check(&group.setting(0, change)).unwrap_err();
    assert_eq!(refused(|p| p.admins.clear()), Refusal::LastAdmin);
    for number in [0, 4, 5, 7] {
        let reuse = group.setting(0, |p| {
            p.admins.insert(account(3), number);
            p.next_admin = 7.max(number + 1);
        });
        assert_eq!(group.check(&reuse), Err(Refusal::AdminNumberReused), "{number}");
    }
    let renumber = |p: &mut GroupPolicy| {
        p.admins.insert(account(2), 6);
        p.next_admin = 7;
    };
    assert_eq!(refused(renumber), Refusal::AdminNumberReused);
    assert_eq!(refused(|p| p.next_admin = 9), Refusal::AdminNumberReused);
    assert_eq!(refused(|p| p.next_admin = 5), Refusal::AdminNumberReused);
    let stranger = |p: &mut GroupPolicy| {
        p.admins.insert(account(99), 6);
        p.next_admin = 7;
    };
    assert_eq!(refused(stranger), Refusal::AdminNotMember);
    // Someone who is added in the same commit may be one.
    let mut facts = group.setting(0, stranger);
    facts.added = vec![added(99, 0)];
    assert_eq!(group.check(&facts).unwrap().promoted, [account(99)]);
}

#[test]
fn fixed_fields_and_lengths() {
    let group = Group::new();
    let refused =
        |change: fn(&mut GroupPolicy)| group.check(&group.setting(0, change)).unwrap_err();
    assert_eq!(refused(|p| p.network = NetworkId([1; 32])), Refusal::PolicyFieldForbidden);
    assert_eq!(refused(|p| p.version += 1), Refusal::PolicyFieldForbidden);
    assert_eq!(refused(|p| p.name = "x".repeat(MAX_NAME + 1)), Refusal::NameTooLong);
    let long = |p: &mut GroupPolicy| p.description = "x".repeat(MAX_DESCRIPTION + 1);
    assert_eq!(refused(long), Refusal::DescriptionTooLong);
}

#[test]
fn when_the_last_admin_leaves_the_lowest_leaf_follows() {
    let mut group = Group::new();
    group.policy.admins = BTreeMap::from([(account(2), 4)]);
    // Leaf 6 carries the wish of the only admin: leaf 0's account follows, with a new number.
    let mut facts = group.removal(6, &[2]);
    facts.leave_warrants = vec![group.wish(2)];
    assert_eq!(group.check(&facts), Err(Refusal::AdminsOutdated));
    let (admins, next) = admins_after(&group.view(), &BTreeSet::from([2]));
    assert_eq!((&admins, next), (&BTreeMap::from([(account(1), 6)]), 7));
    let mut policy = group.policy.clone();
    (policy.admins, policy.next_admin) = (admins, next);
    facts.policy_after = Some(policy.clone());
    let effect = group.check(&facts).unwrap();
    assert_eq!((effect.demoted, effect.promoted), (vec![account(2)], vec![account(1)]));
    // No one else follows, not even who carries the wish.
    policy.admins = BTreeMap::from([(account(4), 6)]);
    facts.policy_after = Some(policy);
    assert_eq!(group.check(&facts), Err(Refusal::NotAdmin));
    // With no one left there is no admin to find.
    let everybody = group.members.iter().map(|m| m.leaf).collect();
    assert!(admins_after(&group.view(), &everybody).0.is_empty());
}

#[test]
fn codes_are_stable_and_differ() {
    let all = [
        (Refusal::UnknownLeaf, "unknown-leaf"),
        (Refusal::TooMany, "too-many"),
        (Refusal::EmptyCommit, "empty-commit"),
        (Refusal::SlotOutOfRange, "slot-out-of-range"),
        (Refusal::DuplicateRemove, "duplicate-remove"),
        (Refusal::SelfRemoval, "self-removal"),
        (Refusal::MissingCut, "missing-cut"),
        (Refusal::ExtraCut, "extra-cut"),
        (Refusal::CutMismatch, "cut-mismatch"),
        (Refusal::RotateMismatch, "rotate-mismatch"),
        (Refusal::MissingPath, "missing-path"),
        (Refusal::NotAdmin, "not-admin"),
        (Refusal::MissingWarrant, "missing-warrant"),
        (Refusal::DuplicateInstallation, "duplicate-installation"),
        (Refusal::TooManyInstallations, "too-many-installations"),
        (Refusal::PolicyFieldForbidden, "policy-field-forbidden"),
        (Refusal::NameTooLong, "name-too-long"),
        (Refusal::DescriptionTooLong, "description-too-long"),
        (Refusal::AdminsOutdated, "admins-outdated"),
        (Refusal::AdminNumberReused, "admin-number-reused"),
        (Refusal::AdminNotMember, "admin-not-member"),
        (Refusal::TooManyAdmins, "too-many-admins"),
        (Refusal::LastAdmin, "last-admin"),
    ];
    for (refusal, code) in all {
        assert_eq!(refusal.code(), code);
    }
    let codes: BTreeSet<&str> = all.iter().map(|(r, _)| r.code()).collect();
    assert_eq!(codes.len(), all.len());
}

prop_compose! {
    /// Any commit on [`Group`], sensible or not.
    fn any_facts()(
        author_leaf in 0u32..8,
        added_list in prop::collection::vec((0u8..7, 0u8..3), 0..4),
        removed in prop::collection::btree_set(0u32..7, 0..4),
        cuts in any::<bool>(),
        rotate: bool,
        has_update_path: bool,
        leave in prop::collection::vec(0usize..6, 0..4),
        revoke in prop::collection::vec(0usize..6, 0..3),
        policy in 0u8..8,
        number in 0u32..9,
        whom in 0u8..7,
        slot in 90u64..120,
    ) -> CommitFacts {
        let group = Group::new();
        let leaf = |at: usize| group.members[at].leaf;
        let removed: Vec<u32> = removed.into_iter().collect();
        let present = |l: &&u32| group.members.iter().any(|m| m.leaf == **l);
        let mut after = group.policy.clone();
        match policy {
            0 | 1 => after.name = "other".into(),
            2 => {
                after.admins.insert(account(whom), number);
                after.next_admin = number + 1;
            }
            3 => {
                after.admins.remove(&account(whom));
            }
            4 => {
                let gone = removed.iter().copied().collect();
                (after.admins, after.next_admin) = admins_after(&group.view(), &gone);
            }
            _ => {}
        }
        CommitFacts {
            author_leaf,
            added: added_list.into_iter().map(|(n, i)| added(n, i)).collect(),
            cuts: if cuts {
                removed.iter().filter(present).map(|l| (group.at(*l).installation, 7)).collect()
            } else {
                vec![]
            },
            removed,
            policy_after: (policy < 7).then_some(after),
            slot: Slot(slot),
            rotate,
            leave_warrants: leave.into_iter().map(|at| group.wish(leaf(at))).collect(),
            revoke_warrants: revoke.into_iter().map(|at| group.revoke(leaf(at))).collect(),
            has_update_path,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// What must hold of every commit that is accepted, whatever it was made of.
    #[test]
    fn what_is_accepted_is_in_order(facts in any_facts()) {
        let group = Group::new();
        let Ok(effect) = group.check(&facts) else { return Ok(()) };
        let after = facts.policy_after.clone().unwrap_or_else(|| group.policy.clone());
        prop_assert_eq!(after.validate(), Ok(()));

        // Who is a member then: each installation once, the author among them, all admins too.
        let removed: BTreeSet<u32> = facts.removed.iter().copied().collect();
        let mut members: Vec<(AccountId, InstallationId)> = group
            .members
            .iter()
            .filter(|m| !removed.contains(&m.leaf))
            .map(|m| (m.account, m.installation))
            .collect();
        members.extend(facts.added.iter().map(|a| (a.account, a.installation)));
        let installations: BTreeSet<InstallationId> = members.iter().map(|m| m.1).collect();
        prop_assert_eq!(installations.len(), members.len());
        prop_assert!(installations.contains(&effect.author.installation));
        for admin in after.admins.keys() {
            prop_assert!(members.iter().any(|m| m.0 == *admin));
        }

        // The effect is the difference.
        for m in &group.members {
            let gone = !installations.contains(&m.installation);
            prop_assert_eq!(effect.removed.contains(&m.installation), gone);
        }
        for a in &effect.added {
            prop_assert!(group.members.iter().all(|m| m.installation != a.installation));
        }
        prop_assert!(effect.removed.is_empty() || facts.rotate);

        // No one without the authority took anything away.
        let admin = group.policy.is_admin(&effect.author.account);
        for leaf in &facts.removed {
            let target = group.at(*leaf);
            let warranted = facts.leave_warrants.iter().any(|w| w.installation == target.installation)
                || facts.revoke_warrants.iter().any(|w| w.installation == target.installation);
            prop_assert!(warranted || (admin && target.account != effect.author.account));
        }
        if !admin {
            for demoted in &effect.demoted {
                prop_assert!(group
                    .members
                    .iter()
                    .filter(|m| m.account == *demoted)
                    .all(|m| effect.removed.contains(&m.installation)));
            }
        }
        for (account, number) in &after.admins {
            match group.policy.admins.get(account) {
                Some(old) => prop_assert_eq!(old, number),
                None => prop_assert!(*number >= group.policy.next_admin),
            }
        }
        prop_assert!(after.next_admin >= group.policy.next_admin);
    }
}
