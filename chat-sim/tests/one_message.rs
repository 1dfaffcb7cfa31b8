//! One group message is one Waku message, and so is one commit, whatever the group's size.

use chat_core::params::DOORBELL_WRAPS;
use chat_sim::observer::is_doorbell;
use chat_sim::scenario::{GroupHandle, Installation, Scenario, Who};

/// A group of so many installations, all of them contacts of the first.
struct Group {
    scenario: Scenario,
    members: Vec<Installation>,
    group: GroupHandle,
}

fn all(members: &[Installation]) -> Vec<&dyn Who> {
    members.iter().map(|member| member as &dyn Who).collect()
}

impl Group {
    fn of(count: usize) -> Self {
        let scenario = Scenario::new(count as u64);
        let members: Vec<Installation> =
            (0..count).map(|at| scenario.person(&format!("member {at}")).phone).collect();
        for member in &members[1..] {
            members[0].befriend(member);
        }
        let before = scenario.world().no_cards_since(0).len();
        assert_eq!(before, 0, "an account that is in no group sends nothing but a card");
        let group = members[0].create_group("hikers", &all(&members[1..]));
        scenario.settle();
        {
            let world = scenario.world();
            let observed = &world.network.observed;
            let bells = observed.iter().filter(|m| is_doorbell(m, &world.params)).count();
            assert_eq!(bells, (count - 1).div_ceil(DOORBELL_WRAPS), "doorbells");
            // The commit that adds everybody, and the invitation for everybody.
            assert_eq!(world.no_cards_since(0).len() - bells, 2, "what is not a doorbell");
        }
        for member in &members {
            assert_eq!(member.view(&group).installations, count);
        }
        group.assert_agreed(&all(&members));
        Self { scenario, members, group }
    }

    /// How many Waku messages something takes, with all that follows from it.
    fn cost<T>(&self, act: impl FnOnce() -> T) -> usize {
        let before = self.scenario.world().network.observed.len();
        act();
        self.scenario.settle();
        self.scenario.world().no_cards_since(before).len()
    }
}

fn one_each(count: usize) {
    let it = Group::of(count);
    let (members, group) = (&it.members, &it.group);
    let last = &members[count - 1];
    let mut texts = Vec::new();
    for by in [0, count / 2, count - 1] {
        let text = format!("by {by}, after {} others", texts.len());
        assert_eq!(it.cost(|| members[by].send(group, &text)), 1);
        texts.push(text);
    }
    assert_eq!(it.cost(|| last.rename(group, "walkers")), 1);
    assert_eq!(it.cost(|| members[0].send(group, "renamed")), 1);
    texts.push("renamed".into());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    group.assert_read(&all(members), &texts);
    for member in members {
        assert_eq!(member.view(group).name, "walkers");
    }
    assert_eq!(it.cost(|| members[0].remove(group, &[&members[1]])), 1);
    assert_eq!(members[0].view(group).installations, count - 1);
    it.scenario.assert_no_failures();
}

#[test]
fn in_a_group_of_two() {
    one_each(2);
}

#[test]
fn in_a_group_of_ten() {
    one_each(10);
}

#[test]
fn in_a_group_of_a_hundred() {
    one_each(100);
}

#[test]
fn a_message_with_eight_heads_is_512_bytes() {
    let it = Group::of(20);
    let (members, group) = (&it.members, &it.group);
    members[0].send(group, "before");
    it.scenario.settle();
    for by in &members[1..9] {
        by.send(group, &format!("by {}", by.name()));
    }
    it.scenario.settle();
    let text = "x".repeat(100);
    assert_eq!(it.cost(|| members[0].send(group, &text)), 1);
    let size = it.scenario.world().network.observed.last().map(|last| last.payload.len());
    assert_eq!(size, Some(512));
    for member in members {
        assert_eq!(member.history(group).len(), 10, "{member:?}");
    }
}
