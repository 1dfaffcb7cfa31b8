//! What a machine shows of itself.

use std::collections::BTreeSet;

use chat_core::ids::MessageId;
use chat_core::machine::{ContactView, GroupView, Machine, MessageView, RequestView};

/// What a machine shows of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    groups: Vec<GroupView>,
    history: Vec<Vec<MessageView>>,
    contacts: Vec<ContactView>,
    requests: Vec<RequestView>,
}

/// Everything, once it was seen that no message is there twice.
pub(super) fn shown(machine: &Machine) -> Shown {
    let groups = machine.groups().unwrap();
    let history: Vec<Vec<MessageView>> =
        groups.iter().map(|group| machine.history(&group.id, None, 10_000).unwrap()).collect();
    for messages in &history {
        let hashes: BTreeSet<MessageId> = messages.iter().map(|message| message.message).collect();
        assert_eq!(hashes.len(), messages.len(), "a message is in the history twice");
    }
    let contacts = machine.contacts().unwrap();
    let requests = machine.requests().unwrap();
    Shown { groups, history, contacts, requests }
}
