//! Which topics are ours: what is watched, and what an incoming topic belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Machine;
use super::io::Output;
use super::people::RequestRecord;
use super::view::RequestState;
use crate::ids::{AccountId, GroupId, LinkingId, RequestId};
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
    /// The meeting place of a linking.
    Linking(LinkingId),
    /// A card, of this account or of a contact.
    Card(AccountId),
}

/// Topics by slot, computed when first asked for; those of a group, again after it changed.
#[derive(Debug, Default)]
pub(super) struct TopicIndex(BTreeMap<Slot, SlotTopics>);

/// The topics of a slot.
#[derive(Debug, Default)]
struct SlotTopics {
    all: HashMap<String, Target>,
    /// The groups whose topics are in there.
    groups: BTreeSet<GroupId>,
}

impl TopicIndex {
    /// To be called when a request or a linking comes or goes, or everything was loaded anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// To be called when a root or a state of a group comes or goes.
    pub(super) fn clear_group(&mut self, group: &GroupId) {
        for topics in self.0.values_mut() {
            if topics.groups.remove(group) {
                topics.all.retain(|_, target| *target != Target::Group(*group));
            }
        }
    }
}

impl SlotTopics {
    fn add(&mut self, root: &Root, target: Target, network: &NetworkId) {
        for topic in lanes(root, network) {
            self.all.insert(topic.to_string(), target);
        }
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
        self.topics_of(slot).get(topic).copied()
    }

    /// All own topics of a slot, for asking a Store by name.
    pub(super) fn own_topics(&mut self, slot: Slot) -> Vec<String> {
        let mut topics: Vec<String> = self.topics_of(slot).keys().cloned().collect();
        topics.sort_unstable();
        topics
    }

    /// All own topics of a slot; computed where they are not known.
    fn topics_of(&mut self, slot: Slot) -> &HashMap<String, Target> {
        let linkings = match self.index.0.contains_key(&slot) {
            true => Vec::new(),
            false => self.link_topics(slot),
        };
        let index = &mut self.index.0;
        if !index.contains_key(&slot) && index.len() >= INDEXED_SLOTS {
            // Slots of long ago are fetched one after the other and seldom asked for again.
            index.pop_first();
        }
        let network = &self.network;
        let topics = index.entry(slot).or_insert_with(|| {
            let mut topics = SlotTopics::default();
            topics.add(&inbox_roots(network, slot).topic, Target::Inbox, network);
            for request in self.requests.values() {
                if let Some(roots) = request_roots(request, slot, network) {
                    topics.add(&roots.topic, Target::Invitation(request.id), network);
                }
            }
            for (id, roots) in &linkings {
                topics.add(&roots.topic, Target::Linking(*id), network);
            }
            topics
        });
        for (id, group) in &self.groups {
            if !topics.groups.insert(*id) {
                continue;
            }
            for state in group.watched(slot) {
                if let Ok(roots) = group.lines.roots(state, slot, network) {
                    topics.add(&roots.topic, Target::Group(*id), network);
                }
            }
        }
        &topics.all
    }

    /// Watches the topics of the slots around now, and drops others.
    pub(super) fn refresh_watch(&mut self) {
        if !self.connected {
            return;
        }
        let slot = self.slot();
        let mut wanted = BTreeSet::new();
        for slot in [slot.previous(), slot, slot.next()] {
            wanted.extend(self.topics_of(slot).keys().cloned());
            wanted.insert(self.own_card_topic(slot.start(self.params.slot_secs)));
        }
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
