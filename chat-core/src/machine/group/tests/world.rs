//! Groups of several members to begin a test with.

use super::book::Card;
use super::member::Member;
use crate::machine::group::intent::Intent;
use crate::machine::testing::effects;

/// A group of so many members; the first one made it.
pub(super) fn group_of<const N: usize>() -> [Member; N] {
    group_with(std::array::from_fn(|n| n as u8 + 1))
}

/// Another installation of a member's account, which comes in while the others look on.
pub(super) fn second_of<const N: usize>(first: &mut Member, others: [&mut Member; N]) -> Member {
    let mut second = first.second(9);
    let card = second.card();
    first.know(&card);
    let out = first.change(Intent::Enrol(vec![card.installation]));
    assert!(second.join(first.account(), &out.own_invitations[0]));
    for other in others {
        other.take_all(&out);
        other.events();
    }
    second
}

/// A group of members with these seeds; the first one made it.
pub(super) fn group_with<const N: usize>(seeds: [u8; N]) -> [Member; N] {
    let mut members = seeds.map(Member::new);
    let cards: Vec<Card> = members[1..].iter_mut().map(Member::card).collect();
    let (first, others) = members.split_first_mut().unwrap();
    first.found();
    cards.iter().for_each(|card| first.know(card));
    let out = first.change(Intent::Add(cards.iter().map(|card| card.account).collect()));
    let inviter = first.account();
    for other in others {
        assert!(other.join(inviter, &out.invitations[0]));
        cards.iter().for_each(|card| other.know(card));
    }
    for member in &mut members {
        effects(&mut member.cx);
        member.events();
    }
    members
}
