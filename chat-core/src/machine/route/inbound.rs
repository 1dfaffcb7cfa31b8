//! The way in: an envelope is recognised by its topic and handed to the part that it is for.

use crate::ids::GroupId;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Inbound, Output};
use crate::machine::assembly::Machine;
use crate::machine::group::deferred;
use crate::machine::group::open::Verdict;
use crate::machine::net::outside::sent_in;
use crate::machine::net::watch::Target;
use crate::machine::people::logs::Who;
use crate::time::{Slot, Timestamp};
use crate::wire::topic::ContentTopic;

impl Machine {
    /// Takes in a Waku message, live or from history, and says what became of it.
    pub(in crate::machine) fn receive(
        &mut self,
        inbound: Inbound,
        live: bool,
    ) -> Result<(), StepError> {
        let disposition = self.dispose(&inbound, live)?;
        self.run_effects()?;
        self.say_disposed(disposition);
        Ok(())
    }

    fn say_disposed(&mut self, disposition: Disposition) {
        self.counters.count(&disposition);
        self.cx.out.push(Output::Disposed(disposition));
    }

    fn dispose(&mut self, inbound: &Inbound, live: bool) -> Result<Disposition, StepError> {
        let Ok(topic) = ContentTopic::parse(&inbound.topic) else {
            return Ok(Disposition::NotForUs);
        };
        if live && let Ok(ns) = u64::try_from(inbound.timestamp_ns) {
            self.observe_time(Timestamp(ns / 1_000_000))?;
        }
        let sent = sent_in(inbound, &self.cx.params, self.cx.slot(), live);
        let (sent_at, slot) = match sent {
            Ok(sent) => sent,
            Err(disposition) => return Ok(disposition),
        };
        self.cx.sent_at = sent_at;
        let (payload, size) = (&inbound.payload, inbound.payload.len());
        let target = self.target(topic.as_str(), slot);
        match target.or_else(|| self.card_target(topic.as_str(), size, sent_at)) {
            None => Ok(Disposition::NotForUs),
            Some(Target::Inbox) => self.open_doorbell(&topic, payload, sent_at, live),
            Some(Target::Invitation(request)) => {
                self.open_invitation(request, &topic, payload, slot)
            }
            Some(Target::Linking(id)) => self.open_linking(id, &topic, payload, slot),
            Some(Target::Group(group)) => self.open_group(group, &topic, payload, slot),
            Some(Target::Card(account)) => self.open_card(&account, &topic, payload, sent_at),
        }
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

    fn open_group(
        &mut self,
        id: GroupId,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Result<Disposition, StepError> {
        let Self { cx, me, logs, groups, .. } = self;
        let Some(group) = groups.get_mut(&id) else { return Ok(Disposition::NotForUs) };
        let verdict = group.open(cx, Who { me, logs }, topic, payload, slot)?;
        let disposition = self.apply(id, verdict)?;
        if matches!(disposition, Disposition::Commit(_)) {
            self.retry_deferred(id)?;
        }
        Ok(disposition)
    }

    /// Takes in what a group judged; what it says of logs first.
    fn apply(&mut self, id: GroupId, verdict: Verdict) -> Result<Disposition, StepError> {
        if let Some(header) = verdict.header().cloned() {
            self.learn_warrants(&header)?;
        }
        let Self { cx, me, logs, groups, .. } = self;
        let Some(group) = groups.get_mut(&id) else { return Ok(Disposition::NotForUs) };
        let disposition = group.apply(cx, Who { me, logs }, verdict)?;
        self.run_effects()?;
        Ok(disposition)
    }

    /// What waited for a slot that has come is looked at; what has waited too long is dropped.
    pub(in crate::machine) fn review_deferred(&mut self) -> Result<(), StepError> {
        deferred::due(&self.cx)?.into_iter().try_for_each(|group| self.retry_deferred(group))
    }

    /// Looks again at what a group keeps for later, until nothing more comes of it. Called when an
    /// epoch came.
    pub(in crate::machine) fn retry_deferred(&mut self, id: GroupId) -> Result<(), StepError> {
        loop {
            let mut progress = false;
            let Some(group) = self.groups.get(&id) else { return Ok(()) };
            for row in group.deferred(&self.cx)? {
                let Self { cx, me, logs, groups, .. } = self;
                let Some(group) = groups.get_mut(&id) else { return Ok(()) };
                let Some(verdict) = group.reopen(cx, Who { me, logs }, &row)? else { continue };
                let disposition = self.apply(id, verdict)?;
                progress |= matches!(disposition, Disposition::Commit(_));
                self.say_disposed(disposition);
            }
            if !progress {
                return Ok(());
            }
        }
    }
}
