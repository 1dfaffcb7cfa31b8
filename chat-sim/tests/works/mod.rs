//! What must hold after each attack.

use chat_sim::scenario::{GroupHandle, Scenario, Who};

/// The group of these members still does its work, and nothing has failed at any of them.
pub(crate) fn assert_works(scenario: &Scenario, group: &GroupHandle, members: &[&dyn Who]) {
    // What was flooded may need longer than a silence to come to it.
    scenario.settle_until(|| group.is_agreed(members));
    scenario.settle();
    group.assert_agreed(members);
    let mut texts = members[0].installation().history(group);
    for who in members {
        let by = who.installation();
        let text = format!("{} still speaks at {}", by.name(), scenario.now().secs());
        by.send(group, &text);
        texts.push(text);
    }
    scenario.settle();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    group.assert_read(members, &texts);
    scenario.assert_no_failures();
}
