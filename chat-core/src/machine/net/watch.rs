//! Which topics are ours: what is watched, and what an incoming topic belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{AccountId, GroupId, LinkingId, RequestId};
use crate::machine::api::io::Output;
use crate::machine::cx::Cx;
use crate::params::NetworkId;
use crate::time::Slot;
use crate::wire::roots::Root;
use crate::wire::topic::lanes;

/// Slots whose topics are kept computed: the three that are watched, and a few for catching up.
const INDEXED_SLOTS: usize = 8;

/// Whose topic it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Target {
    /// The network's inbox.
    Inbox,
    /// An invitation that was accepted.
    Invitation(RequestId),
    /// A group.
    Group(GroupId),
    /// The rendezvous of a linking.
    Linking(LinkingId),
    /// A card, of this account or of a contact.
    Card(AccountId),
}

/// Who has topics in a slot.
pub(in crate::machine) trait TopicSource {
    /// The topic roots of everything but groups.
    fn others(&self, slot: Slot) -> Vec<(Root, Target)>;
    /// The groups, and their topic roots.
    fn groups(&self) -> Vec<GroupId>;
    fn roots_of(&self, group: &GroupId, slot: Slot) -> Vec<Root>;
}

/// The topics of a slot.
#[derive(Debug, Default)]
struct SlotTopics {
    all: HashMap<String, Target>,
    /// The groups whose topics are in there.
    groups: BTreeSet<GroupId>,
}

impl SlotTopics {
    fn add(&mut self, root: &Root, target: Target, network: &NetworkId) {
        for topic in lanes(root, network) {
            self.all.insert(topic.to_string(), target);
        }
    }
}

/// The topics by slot, computed when first asked for, and those that the driver watches.
#[derive(Debug, Default)]
pub(in crate::machine) struct Watch {
    index: BTreeMap<Slot, SlotTopics>,
    watched: BTreeSet<String>,
    /// What is watched once the step that says so has succeeded.
    pending: Option<BTreeSet<String>>,
    /// The slot that [`Self::refresh`] was last called in.
    slot: Slot,
    changed: bool,
}

impl Watch {
    /// A request or a linking came or went, or everything was loaded anew.
    pub(in crate::machine) fn clear(&mut self) {
        self.index.clear();
        self.changed = true;
    }

    /// A root or an epoch of a group came or went.
    pub(in crate::machine) fn clear_group(&mut self, group: &GroupId) {
        for topics in self.index.values_mut() {
            if topics.groups.remove(group) {
                topics.all.retain(|_, target| *target != Target::Group(*group));
            }
        }
        self.changed = true;
    }

    /// The connection came or went: the driver watches nothing.
    pub(in crate::machine) fn reset(&mut self) {
        self.watched.clear();
        self.changed = true;
    }

    /// Whether a slot has begun since this was last asked.
    pub(in crate::machine) fn enters(&mut self, slot: Slot) -> bool {
        let entered = self.slot != slot;
        self.slot = slot;
        self.changed |= entered;
        entered
    }

    /// The step has succeeded: the driver does as it was told.
    pub(in crate::machine) fn commit(&mut self) {
        if let Some(watched) = self.pending.take() {
            self.watched = watched;
        }
    }

    /// The step has failed: the driver hears nothing of it, and is told again.
    pub(in crate::machine) fn take_back(&mut self) {
        self.pending = None;
        // What the slot brought was taken back with the step.
        self.slot = Slot::default();
        self.changed = true;
    }

    /// Whose a topic is in a slot.
    pub(in crate::machine) fn target(
        &mut self,
        cx: &Cx,
        source: &impl TopicSource,
        topic: &str,
        slot: Slot,
    ) -> Option<Target> {
        self.topics_of(cx, source, slot).get(topic).copied()
    }

    /// All topics of a slot, for asking a Store by name.
    pub(in crate::machine) fn topics(
        &mut self,
        cx: &Cx,
        source: &impl TopicSource,
        slot: Slot,
    ) -> Vec<String> {
        let mut topics: Vec<String> = self.topics_of(cx, source, slot).keys().cloned().collect();
        topics.sort_unstable();
        topics
    }

    fn topics_of(
        &mut self,
        cx: &Cx,
        source: &impl TopicSource,
        slot: Slot,
    ) -> &HashMap<String, Target> {
        let known = self.index.contains_key(&slot);
        if !known && self.index.len() >= INDEXED_SLOTS {
            // Slots of long ago are fetched one after the other and seldom asked for again.
            self.index.pop_first();
        }
        let topics = self.index.entry(slot).or_default();
        if !known {
            for (root, target) in source.others(slot) {
                topics.add(&root, target, &cx.network);
            }
        }
        for group in source.groups() {
            if topics.groups.insert(group) {
                for root in source.roots_of(&group, slot) {
                    topics.add(&root, Target::Group(group), &cx.network);
                }
            }
        }
        &topics.all
    }

    /// Watches the topics of the slots around now, and drops others, if anything changed: what the
    /// driver is to be told. `own_cards` are these slots, with the topic of the account's own card.
    pub(in crate::machine) fn refresh(
        &mut self,
        cx: &Cx,
        source: &impl TopicSource,
        own_cards: [(Slot, String); 3],
    ) -> Vec<Output> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let mut wanted = BTreeSet::new();
        for (slot, own_card) in own_cards {
            wanted.extend(self.topics_of(cx, source, slot).keys().cloned());
            wanted.insert(own_card);
        }
        let fresh: Vec<String> = wanted.difference(&self.watched).cloned().collect();
        let stale: Vec<String> = self.watched.difference(&wanted).cloned().collect();
        self.pending = Some(wanted);
        let fresh = (!fresh.is_empty()).then_some(Output::Watch(fresh));
        let stale = (!stale.is_empty()).then_some(Output::Unwatch(stale));
        fresh.into_iter().chain(stale).collect()
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
