//! What an envelope is told by: the topics of requests, linkings, groups and cards; and its time.

use std::collections::BTreeMap;

use crate::ids::GroupId;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::cx::Cx;
use crate::machine::group::conversation::Conversation;
use crate::machine::linking::linkings::Linkings;
use crate::machine::net::watch::{Target, TopicSource};
use crate::machine::people::requests::Requests;
use crate::time::{Slot, Timestamp};
use crate::wire::roots::{Root, inbox_roots};

/// Everything that has topics.
struct Topics<'a> {
    cx: &'a Cx,
    requests: &'a Requests,
    linkings: &'a Linkings,
    groups: &'a BTreeMap<GroupId, Conversation>,
}

impl TopicSource for Topics<'_> {
    fn others(&self, slot: Slot) -> Vec<(Root, Target)> {
        let network = &self.cx.network;
        let mut out = vec![(inbox_roots(network, slot).topic, Target::Inbox)];
        for request in self.requests.iter() {
            if let Some(roots) = request.roots(slot, network) {
                out.push((roots.topic, Target::Invitation(request.id)));
            }
        }
        for (id, roots) in self.linkings.roots(self.cx, slot) {
            out.push((roots.topic, Target::Linking(id)));
        }
        out
    }

    fn groups(&self) -> Vec<GroupId> {
        self.groups.keys().copied().collect()
    }

    fn roots_of(&self, group: &GroupId, slot: Slot) -> Vec<Root> {
        let group = self.groups.get(group);
        group.map(|group| group.topic_roots(slot, &self.cx.network)).unwrap_or_default()
    }
}

impl Machine {
    /// Whose a topic is in a slot.
    pub(in crate::machine) fn target(&mut self, topic: &str, slot: Slot) -> Option<Target> {
        let Self { cx, watch, requests, linkings, groups, .. } = self;
        watch.target(cx, &Topics { cx, requests, linkings, groups }, topic, slot)
    }

    /// All topics of a slot, for asking a Store by name.
    pub(in crate::machine) fn own_topics(&mut self, slot: Slot) -> Vec<String> {
        let Self { cx, watch, requests, linkings, groups, .. } = self;
        watch.topics(cx, &Topics { cx, requests, linkings, groups }, slot)
    }

    /// Watches the topics of the slots around now, if anything changed.
    pub(in crate::machine) fn refresh_watch(&mut self) {
        if !self.history.connected() {
            return;
        }
        let Self { cx, watch, requests, linkings, groups, me, .. } = self;
        let now = cx.slot();
        let own_card = [now.previous(), now, now.next()]
            .map(|slot| (slot, me.card_topic(cx, slot.start(cx.params.slot_secs))));
        let wanted = watch.refresh(cx, &Topics { cx, requests, linkings, groups }, own_card);
        cx.out.extend(wanted);
    }

    /// The card that goes on a topic at a moment.
    pub(in crate::machine) fn card_target(
        &mut self,
        topic: &str,
        size: usize,
        at: Timestamp,
    ) -> Option<Target> {
        self.cards.target(&self.cx, &self.me, topic, size, at).map(Target::Card)
    }

    /// Takes in the time at which something was sent that was published just now.
    pub(in crate::machine) fn observe_time(&mut self, at: Timestamp) -> Result<(), StepError> {
        self.history.note_time(&self.cx, at);
        self.clock.check(&mut self.cx, at)
    }
}
