//! A new device once it has its account, until it is in the self group.

use std::time::Duration;

use super::super::Machine;
use super::super::disposition::{Disposition, Refused};
use super::super::error::StepError;
use super::super::event::Event;
use super::super::outbox::Parcel;
use super::view::{NewcomerState, NewcomerView};
use super::{MAX_FAILURES, NEWCOMER, address};
use crate::identity::linking::{Admission, Arrival, EndCode, Ending, LinkingAnswer, Sealed, Step};
use crate::ids::LinkingId;

impl Machine {
    /// The own linking, on a device that was linked to its account.
    pub fn arrival(&self) -> Option<NewcomerView> {
        self.links.arrival.as_ref().map(super::NewcomerRecord::view)
    }

    fn save_arrival(&mut self) -> Result<(), StepError> {
        if let Some(record) = &self.links.arrival {
            self.store.set_meta(NEWCOMER, record)?;
        }
        Ok(())
    }

    fn post_arrival(&mut self) -> Result<(), StepError> {
        let parcel = self.links.arrival.as_ref().and_then(|record| {
            let (code, said) = (record.code()?, record.said()?);
            let address = address(code, record.until, &self.params);
            Some(Parcel { address, frame: said.frame.clone(), item: None })
        });
        match parcel {
            Some(parcel) => self.post(parcel, Duration::ZERO),
            None => Ok(()),
        }
    }

    /// Says what is next, says it again, or gives up.
    pub(super) fn drive_arrival(&mut self) -> Result<(), StepError> {
        let now = self.now;
        let Some(record) = self.links.arrival.as_ref().filter(|record| record.code().is_some())
        else {
            return Ok(());
        };
        if record.until <= now && record.state == NewcomerState::Done {
            if let Some(record) = self.links.arrival.as_mut() {
                record.close(NewcomerState::Done);
            }
            self.links_changed();
            return self.save_arrival();
        }
        if record.until <= now {
            return self.end_arrival(EndCode::Expired, false);
        }
        if record.state != NewcomerState::Linked {
            return Ok(());
        }
        if !record.has_arrived() {
            let (name, own) = (record.name.clone(), self.me.key.id());
            self.name_own(own, &name, now)?;
            let arrival = Arrival { key_package: self.current_package()?.bytes }.encode();
            let rng = self.rng.clone();
            let network = self.network;
            let Some(record) = self.links.arrival.as_mut() else { return Ok(()) };
            if let Err(reason) = record.say(&rng, Step::Arrival, &arrival, true, now, &network) {
                tracing::error!(%reason, "the arrival of this device cannot be told");
                return self.end_arrival(EndCode::Refused, false);
            }
            self.post_arrival()?;
            return self.save_arrival();
        }
        let due = record.said().and_then(super::Said::due).is_some_and(|at| at <= now);
        let posted = record.said().is_some_and(|said| self.is_posted(&said.frame));
        if due && !posted && self.may_send() {
            if let Some(record) = self.links.arrival.as_mut() {
                record.say_again(now);
            }
            self.post_arrival()?;
            self.save_arrival()?;
        }
        Ok(())
    }

    /// A message at the meeting place of the own linking.
    pub(super) fn on_grantor_message(
        &mut self,
        message: &Sealed,
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        if !message.step.by_grantor() {
            return Ok(Disposition::NotForUs);
        }
        let network = self.network;
        let Some(record) = self.links.arrival.as_mut() else {
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
            self.save_arrival()?;
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
        let (rng, now, network) = (self.rng.clone(), self.now, self.network);
        let Some(record) = self.links.arrival.as_mut() else {
            return Ok(Disposition::NotForUs);
        };
        let (Ok(answer), Some(code)) = (LinkingAnswer::decode(text), record.code()) else {
            return Ok(Disposition::Refused(Refused::Content));
        };
        let answered = code.transcript(&network).then(Step::Answer, text, &network);
        record.heard(hash);
        if !record.warn() {
            self.save_arrival()?;
            return Ok(Disposition::Refused(Refused::Budget));
        }
        let twice = EndCode::AnsweredTwice;
        let ending = record.ending(twice, &answer.key, answered, &rng, now, &self.params);
        if let Some(ending) = ending {
            self.post(ending, Duration::ZERO)?;
        }
        self.save_arrival()?;
        let account = self.me.account;
        self.tell(Event::LinkAnsweredTwice { linking: id, account })?;
        Ok(Disposition::Linking(id))
    }

    fn on_admission(&mut self, text: &[u8], invitation: &[u8]) -> Result<Disposition, StepError> {
        let Some(id) = self.links.arrival.as_ref().map(|record| record.id) else {
            return Ok(Disposition::NotForUs);
        };
        if let Err(why) = self.enter_self_group(invitation)? {
            tracing::warn!(?why, "the self group cannot be entered");
            self.end_arrival(EndCode::Refused, false)?;
            return Ok(Disposition::Refused(why));
        }
        let (rng, network, now) = (self.rng.clone(), self.network, self.now);
        if let Some(record) = self.links.arrival.as_mut() {
            record.listen(Step::Admission, text, &network);
            // Nothing depends on it: the grantor forgets its secrets earlier.
            if let Err(reason) = record.say(&rng, Step::Done, &[], false, now, &network) {
                tracing::debug!(%reason, "the end of the linking cannot be told");
            }
        }
        if let Some(code) = self.links.arrival.as_ref().and_then(|it| it.code()).cloned() {
            self.withdraw_from(code.secret())?;
        }
        self.post_arrival()?;
        if let Some(record) = self.links.arrival.as_mut() {
            record.done();
        }
        self.save_arrival()?;
        let installation = self.me.key.id();
        self.tell(Event::LinkDone { linking: id, installation })?;
        Ok(Disposition::Linking(id))
    }

    fn end_arrival(&mut self, code: EndCode, by_other: bool) -> Result<(), StepError> {
        let (rng, now) = (self.rng.clone(), self.now);
        let Some(record) = self.links.arrival.as_mut() else {
            return Ok(());
        };
        let linking = record.id;
        let secret = record.code().map(|code| zeroize::Zeroizing::new(*code.secret()));
        let ending = match by_other {
            true => None,
            false => record.ending_to_grantor(code, &rng, now, &self.params),
        };
        record.close(NewcomerState::Ended { code, by_other });
        if let Some(secret) = secret {
            self.withdraw_from(&secret)?;
        }
        if let Some(ending) = ending {
            self.post(ending, Duration::ZERO)?;
        }
        self.save_arrival()?;
        self.links_changed();
        let added = Some(self.me.key.id());
        self.tell(Event::LinkFailed { linking, code, by_other, added })
    }
}
