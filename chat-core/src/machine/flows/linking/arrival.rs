//! A new device once it has its account, until it is in the self group.

use std::time::Duration;

use crate::identity::linking::{Admission, Arrival, EndCode, Ending, LinkingAnswer, Sealed, Step};
use crate::ids::LinkingId;
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::linking::{NewcomerState, NewcomerView};
use crate::machine::assembly::Machine;
use crate::machine::linking::record::NewcomerRecord;
use crate::machine::linking::rendezvous::{MAX_FAILURES, address};
use crate::machine::linking::repeated::Repeated;
use crate::machine::parcel::Parcel;

impl Machine {
    /// The own linking, on a device that was linked to its account.
    pub fn arrival(&self) -> Option<NewcomerView> {
        self.linkings.arrival.as_ref().map(NewcomerRecord::view)
    }

    fn post_arrival(&mut self) -> Result<(), StepError> {
        let parcel = self.linkings.arrival.as_ref().and_then(|record| {
            let (code, said) = (record.code()?, record.said()?);
            let address = address(code, record.until, &self.cx.params);
            Some(Parcel { address, frame: said.frame.clone(), item: None })
        });
        match parcel {
            Some(parcel) => self.outbox.post(&self.cx, parcel, Duration::ZERO),
            None => Ok(()),
        }
    }

    /// Says what is next, says it again, or gives up.
    pub(in crate::machine) fn drive_arrival(&mut self) -> Result<(), StepError> {
        let now = self.cx.now;
        let Some(record) = self.linkings.arrival.as_ref().filter(|record| record.code().is_some())
        else {
            return Ok(());
        };
        if record.until <= now && record.state == NewcomerState::Done {
            if let Some(record) = self.linkings.arrival.as_mut() {
                record.close(NewcomerState::Done);
            }
            self.watch.clear();
            return self.linkings.save_arrival(&self.cx);
        }
        if record.until <= now {
            return self.end_arrival(EndCode::Expired, false);
        }
        if record.state != NewcomerState::Linked {
            return Ok(());
        }
        if !record.has_arrived() {
            let (name, own) = (record.name.clone(), self.me.id());
            OwnInstallation::rename(&self.cx, own, &name, now)?;
            let arrival =
                Arrival { key_package: self.keys.current_package(&mut self.cx, &self.me)?.bytes }
                    .encode();
            let rng = self.cx.rng.clone();
            let network = self.cx.network;
            let Some(record) = self.linkings.arrival.as_mut() else { return Ok(()) };
            if let Err(reason) = record.say(&rng, Step::Arrival, &arrival, true, now, &network) {
                tracing::error!(%reason, "the arrival of this device cannot be told");
                return self.end_arrival(EndCode::Refused, false);
            }
            self.post_arrival()?;
            return self.linkings.save_arrival(&self.cx);
        }
        let due = record.said().and_then(Repeated::due).is_some_and(|at| at <= now);
        let posted = record.said().is_some_and(|said| self.outbox.holds(&said.frame));
        if due && !posted && self.history.may_send() {
            if let Some(record) = self.linkings.arrival.as_mut() {
                record.say_again(now);
            }
            self.post_arrival()?;
            self.linkings.save_arrival(&self.cx)?;
        }
        Ok(())
    }

    /// A message at the rendezvous of the own linking.
    pub(in crate::machine) fn on_grantor_message(
        &mut self,
        message: &Sealed,
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        if !message.step.by_grantor() {
            return Ok(Disposition::NotForUs);
        }
        let network = self.cx.network;
        let Some(record) = self.linkings.arrival.as_mut() else {
            return Ok(Disposition::NotForUs);
        };
        let id = record.id;
        if record.was_heard(&hash) {
            return Ok(Disposition::Duplicate);
        }
        if record.failures() >= MAX_FAILURES {
            return refused(Refused::Budget);
        }
        let linked = record.state == NewcomerState::Linked;
        let before = match message.step {
            Step::Admission if linked && record.has_arrived() => record.so_far(),
            Step::EndByGrantor if !linked => return Ok(Disposition::NotForUs),
            Step::Answer | Step::EndByGrantor => {
                record.code().map(|code| code.transcript(&network))
            }
            _ => return refused(Refused::Replay),
        };
        let opened = record
            .key()
            .zip(before)
            .and_then(|(key, before)| message.open(&key, &before, &network).ok());
        let Some(text) = opened else {
            record.count_failure();
            self.linkings.save_arrival(&self.cx)?;
            return refused(Refused::Authentication);
        };
        match message.step {
            Step::Answer => {
                if record.is_the_answer(&text, &network) {
                    return Ok(Disposition::Duplicate);
                }
                self.on_late_answer(id, &text, hash)
            }
            Step::EndByGrantor => match Ending::decode(&text) {
                Ok(ending) if record.is_answered_by(&ending.answer) => {
                    self.end_arrival(ending.code, true)?;
                    Ok(Disposition::Linking(id))
                }
                _ => refused(Refused::Content),
            },
            _ => {
                let Ok(admission) = Admission::decode(&text) else {
                    return refused(Refused::Content);
                };
                self.on_admission(&text, &admission.invitation)
            }
        }
    }

    /// Another answer. What was granted cannot be undone from here, but both users should know.
    fn on_late_answer(
        &mut self,
        id: LinkingId,
        text: &[u8],
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let (rng, now, network) = (self.cx.rng.clone(), self.cx.now, self.cx.network);
        let Some(record) = self.linkings.arrival.as_mut() else {
            return Ok(Disposition::NotForUs);
        };
        let (Ok(answer), Some(code)) = (LinkingAnswer::decode(text), record.code()) else {
            return Ok(Disposition::Refused(Refused::Content));
        };
        let answered = code.transcript(&network).then(Step::Answer, text, &network);
        record.heard(hash);
        if !record.warn() {
            self.linkings.save_arrival(&self.cx)?;
            return Ok(Disposition::Refused(Refused::Budget));
        }
        let twice = EndCode::AnsweredTwice;
        let ending = record.ending(twice, &answer.key, answered, &rng, now, &self.cx.params);
        if let Some(ending) = ending {
            self.outbox.post(&self.cx, ending, Duration::ZERO)?;
        }
        self.linkings.save_arrival(&self.cx)?;
        let account = self.me.account;
        self.cx.tell(Event::LinkingAnsweredTwice { linking: id, account })?;
        Ok(Disposition::Linking(id))
    }

    fn on_admission(&mut self, text: &[u8], invitation: &[u8]) -> Result<Disposition, StepError> {
        let Some(id) = self.linkings.arrival.as_ref().map(|record| record.id) else {
            return Ok(Disposition::NotForUs);
        };
        if let Err(why) = self.enter_self_group(invitation)? {
            tracing::warn!(?why, "the self group cannot be entered");
            self.end_arrival(EndCode::Refused, false)?;
            return Ok(Disposition::Refused(why));
        }
        let (rng, network, now) = (self.cx.rng.clone(), self.cx.network, self.cx.now);
        if let Some(record) = self.linkings.arrival.as_mut() {
            record.listen(Step::Admission, text, &network);
            // Nothing depends on it: the grantor forgets its secrets earlier.
            if let Err(reason) = record.say(&rng, Step::Done, &[], false, now, &network) {
                tracing::debug!(%reason, "the end of the linking cannot be told");
            }
        }
        if let Some(code) = self.linkings.arrival.as_ref().and_then(|it| it.code()).cloned() {
            self.outbox.withdraw_linking(&self.cx, code.secret())?;
        }
        self.post_arrival()?;
        if let Some(record) = self.linkings.arrival.as_mut() {
            record.done();
        }
        self.linkings.save_arrival(&self.cx)?;
        let installation = self.me.id();
        self.cx.tell(Event::LinkingDone { linking: id, installation })?;
        Ok(Disposition::Linking(id))
    }

    fn end_arrival(&mut self, code: EndCode, by_other: bool) -> Result<(), StepError> {
        let (rng, now) = (self.cx.rng.clone(), self.cx.now);
        let Some(record) = self.linkings.arrival.as_mut() else {
            return Ok(());
        };
        let linking = record.id;
        let secret = record.code().map(|code| zeroize::Zeroizing::new(*code.secret()));
        let ending = match by_other {
            true => None,
            false => record.ending_to_grantor(code, &rng, now, &self.cx.params),
        };
        record.close(NewcomerState::Ended { code, by_other });
        if let Some(secret) = secret {
            self.outbox.withdraw_linking(&self.cx, &secret)?;
        }
        if let Some(ending) = ending {
            self.outbox.post(&self.cx, ending, Duration::ZERO)?;
        }
        self.linkings.save_arrival(&self.cx)?;
        self.watch.clear();
        let added = Some(self.me.id());
        self.cx.tell(Event::LinkingFailed { linking, code, by_other, added })
    }
}
