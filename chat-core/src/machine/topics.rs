//! Which topics are ours: what is watched, and what an incoming topic belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Machine;
use super::io::Output;
use super::people::RequestRecord;
use super::view::RequestState;
use crate::ids::{GroupId, RequestId};
use crate::params::NetworkId;
use crate::time::Slot;
use crate::wire::roots::{Root, Roots, inbox_roots, invitation_roots};
use crate::wire::topic::lanes;

/// Slots whose topics are kept computed: the three that are watched, and a few for catching up.
const INDEXED_SLOTS: usize = 8;
/// Slots after the offer of an invitation in which it is looked for: its delay is at most an hour,
/// and a publication that failed is tried again.
pub(super) const INVITATION_SLOTS: u64 = 48;

/// Whose topic it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The network's inbox.
    Inbox,
    /// An invitation that was accepted.
    Invitation(RequestId),
    /// A group.
    Group(GroupId),
}

/// Topics by slot, computed when first asked for.
#[derive(Debug, Default)]
pub(super) struct TopicIndex(BTreeMap<Slot, HashMap<String, Target>>);

impl TopicIndex {
    /// To be called when a root, a state or a request comes or goes.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

pub(super) fn request_roots(
    request: &RequestRecord,
    slot: Slot,
    network: &NetworkId,
) -> Option<Roots> {
    if request.state != RequestState::Accepted
        || slot < request.slot.previous()
        || slot.0 > request.slot.0.saturating_add(INVITATION_SLOTS)
    {
        return None;
    }
    // A clock that is a little behind may offer in a slot that others count as the next.
    let slot = slot.max(request.slot);
    invitation_roots(&request.secret, request.slot, network).at(slot, network).ok()
}

impl Machine {
    /// Whose a topic is in a slot.
    pub(super) fn target(&mut self, topic: &str, slot: Slot) -> Option<Target> {
        if !self.index.0.contains_key(&slot) {
            let topics = self.topics_of(slot);
            if self.index.0.len() >= INDEXED_SLOTS {
                self.index.0.pop_first();
            }
            self.index.0.insert(slot, topics);
        }
        self.index.0.get(&slot)?.get(topic).copied()
    }

    /// All own topics of a slot, for asking a Store by name.
    pub(super) fn own_topics(&self, slot: Slot) -> Vec<String> {
        self.topics_of(slot).into_keys().collect()
    }

    /// All own topics of a slot.
    fn topics_of(&self, slot: Slot) -> HashMap<String, Target> {
        let mut out = HashMap::new();
        let mut add = |root: &Root, target| {
            for topic in lanes(root, &self.network) {
                out.insert(topic.to_string(), target);
            }
        };
        add(&inbox_roots(&self.network, slot).topic, Target::Inbox);
        for request in self.requests.values() {
            if let Some(roots) = request_roots(request, slot, &self.network) {
                add(&roots.topic, Target::Invitation(request.id));
            }
        }
        for group in self.groups.values() {
            for state in group.watched(slot) {
                if let Ok(roots) = group.lines.roots(state, slot, &self.network) {
                    add(&roots.topic, Target::Group(group.record.id));
                }
            }
        }
        out
    }

    /// Watches the topics of the slots around now, and drops others.
    pub(super) fn refresh_watch(&mut self) {
        if !self.connected {
            return;
        }
        let slot = self.slot();
        let wanted: BTreeSet<String> = [slot.previous(), slot, slot.next()]
            .into_iter()
            .flat_map(|slot| self.topics_of(slot).into_keys())
            .collect();
        let fresh: Vec<String> = wanted.difference(&self.watched).cloned().collect();
        let stale: Vec<String> = self.watched.difference(&wanted).cloned().collect();
        if !fresh.is_empty() {
            self.out.push(Output::Watch(fresh));
        }
        if !stale.is_empty() {
            self.out.push(Output::Unwatch(stale));
        }
        self.next_watched = Some(wanted);
        self.watched_slot = slot;
    }
}
