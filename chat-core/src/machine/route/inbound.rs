//! The way in: an envelope is recognised by its topic and handed to the part that it is for.

use crate::ids::GroupId;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::api::io::Inbound;
use crate::machine::assembly::Machine;
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
        self.cx.heard_to = if live { self.cx.now } else { sent_at };
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
        // Only now: what waited for this commit is understood by it.
        self.note_disposed(id, &disposition)?;
        Ok(disposition)
    }
}
