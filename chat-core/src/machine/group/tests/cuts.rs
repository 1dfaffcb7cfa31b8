//! What one that was removed says after its removal does not count, for all alike.

use super::member::Member;
use super::world::{group_of, second_of};
use crate::machine::api::disposition::Disposition;

/// The texts of a history, and whether they are shown as such that do not count.
fn flags(member: &mut Member) -> Vec<(String, bool)> {
    let texts = member.history().into_iter();
    texts.filter_map(|message| Some((message.text?, message.flagged))).collect()
}

#[test]
fn what_was_said_above_the_cut_is_flagged_in_whatever_order_it_comes() {
    let [mut alice, mut bob, mut carol, mut dave] = group_of();
    let (_, heard) = carol.send("heard");
    for member in [&mut alice, &mut bob, &mut dave] {
        member.take(&heard);
    }
    let removal = alice.removal_of(carol.account());
    let removed = alice.change(removal);
    // Carol has not heard of it.
    let (_, late) = carol.send("late");
    bob.take_all(&removed);
    assert!(matches!(bob.take(&late), Disposition::Message(_)));
    dave.take(&late);
    assert_eq!(flags(&mut dave)[1], ("late".into(), false));
    dave.take_all(&removed);
    alice.take(&late);
    for member in [&mut alice, &mut bob, &mut dave] {
        assert_eq!(flags(member), [("heard".into(), false), ("late".into(), true)]);
        assert!(member.group().missing().is_empty());
        let before = flags(member);
        member.reload();
        assert_eq!(flags(member), before);
    }
}

#[test]
fn the_flag_is_taken_back_where_the_removal_loses() {
    let [mut alice, mut carol] = group_of();
    let mut second = second_of(&mut alice, [&mut carol]);
    let removal = alice.removal_of(carol.account());
    let removed = alice.change(removal);
    let (_, late) = carol.send("not late after all");
    // The branch of Alice's second installation is longer, and removes nobody: it wins.
    let long: Vec<_> = ["One", "Two"]
        .map(|name| {
            let renaming = second.renaming(name);
            second.change(renaming)
        })
        .into();
    alice.take(&late);
    assert_eq!(flags(&mut alice), [("not late after all".into(), true)]);
    long.iter().for_each(|out| alice.take_all(out));
    assert_eq!(alice.state(), second.state());
    assert_eq!(flags(&mut alice), [("not late after all".into(), false)]);
    second.take_all(&removed);
    assert_eq!(alice.state(), second.state());
}
