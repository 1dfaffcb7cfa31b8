//! What a new device says and is told.

use super::state::Newcomer;
use crate::contact::link::CardSecret;
use crate::identity::linking::{
    EndCode, Ending, Grant, Introduction, LinkingAnswer, Reveal, Sealed, Step, Transcript,
    commitment,
};
use crate::identity::log::{Author, Log};
use crate::machine::account::me::Identity;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::linking::NewcomerState;
use crate::machine::linking::rendezvous::MAX_FAILURES;

impl Newcomer {
    pub(super) fn on_message(
        &mut self,
        message: &Sealed,
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        if !message.step.by_grantor() {
            return Ok(Disposition::NotForUs);
        }
        if self.record.was_heard(&hash) {
            return Ok(Disposition::Duplicate);
        }
        if self.record.failures() >= MAX_FAILURES {
            return refused(Refused::Budget);
        }
        let begin = self.record.code().map(|code| code.transcript(&self.cx.network));
        let before = match (self.record.state, message.step) {
            (_, Step::Answer | Step::EndByGrantor) => begin,
            (NewcomerState::Answered, Step::Reveal) | (NewcomerState::ShowsString, Step::Grant) => {
                self.record.so_far()
            }
            _ => return refused(Refused::Replay),
        };
        let opened = self
            .record
            .key()
            .zip(before)
            .and_then(|(key, before)| message.open(&key, &before, &self.cx.network).ok());
        let Some(text) = opened else {
            self.record.count_failure();
            self.save()?;
            return refused(Refused::Authentication);
        };
        let linking = Disposition::Linking(self.record.id);
        match message.step {
            Step::Answer => {
                let Ok(answer) = LinkingAnswer::decode(&text) else {
                    return refused(Refused::Content);
                };
                if self.record.is_the_answer(&text, &self.cx.network) {
                    return Ok(Disposition::Duplicate);
                }
                match self.record.state {
                    NewcomerState::Waiting => self.on_answer(&answer, &text, hash)?,
                    _ => {
                        let transcript =
                            before_answer(begin).then(Step::Answer, &text, &self.cx.network);
                        self.end(EndCode::AnsweredTwice, false, Some((&answer, transcript)))?;
                    }
                }
                Ok(linking)
            }
            Step::Reveal => {
                let nonce = match Reveal::decode(&text) {
                    Ok(reveal) => reveal.nonce,
                    Err(_) => return self.refuse(),
                };
                if self.record.commitment() != Some(commitment(&nonce, &self.cx.network)) {
                    return self.refuse();
                }
                self.record.reveal(&nonce, &self.cx.network);
                self.record.listen(Step::Reveal, &text, &self.cx.network);
                self.record.heard(hash);
                self.withdraw()?;
                self.save()?;
                if let Some(account) = self.record.account() {
                    self.cx.tell(Event::LinkingStringShown { linking: self.record.id, account })?;
                }
                Ok(linking)
            }
            Step::Grant => match self.on_grant(&text)? {
                Ok(()) => {
                    self.record.heard(hash);
                    self.save()?;
                    Ok(linking)
                }
                Err(reason) => {
                    tracing::warn!(%reason, "what was granted is not usable");
                    self.refuse()
                }
            },
            _ => match Ending::decode(&text) {
                Ok(ending) if self.record.is_answered_by(&ending.answer) => {
                    self.end(ending.code, true, None)?;
                    Ok(linking)
                }
                Ok(ending) => {
                    self.record.make_void(&ending);
                    self.save()?;
                    Ok(linking)
                }
                Err(_) => refused(Refused::Content),
            },
        }
    }

    /// The grantor does not keep to the protocol.
    pub(super) fn refuse(&mut self) -> Result<Disposition, StepError> {
        self.end(EndCode::Refused, false, None)?;
        Ok(Disposition::Refused(Refused::Content))
    }

    pub(super) fn on_answer(
        &mut self,
        answer: &LinkingAnswer,
        text: &[u8],
        hash: [u8; 32],
    ) -> Result<(), StepError> {
        if self.cx.now >= self.record.code_until {
            return Ok(());
        }
        if let Some(code) = self.record.take_answer(answer, text, &self.cx.network) {
            return self.end(code, true, None);
        }
        let Some(key) = self.record.installation() else {
            return Err(StepError::State("the own key is missing".into()));
        };
        let nonce = self.cx.rng.bytes();
        let name = self.record.name.clone();
        let text = Introduction::new(nonce, &key, name, &answer.account, &self.cx.network).encode();
        let (rng, network) = (self.cx.rng.clone(), self.cx.network);
        let step = Step::Introduction;
        if let Err(reason) = self.record.say(&rng, step, &text, true, self.cx.now, &network) {
            // A key that nothing can be sealed to.
            tracing::warn!(%reason, "an answer cannot be answered");
            return self.end(EndCode::Refused, false, None);
        }
        self.record.heard(hash);
        self.record.state = NewcomerState::Answered;
        self.post_said()?;
        self.save()?;
        let (account, by) = (answer.account, answer.installation);
        self.cx.tell(Event::LinkingAnswered { linking: self.record.id, account, by })
    }

    /// Takes in the account: from the end of this step on, this is one of its installations.
    pub(super) fn on_grant(&mut self, text: &[u8]) -> Result<Result<(), String>, StepError> {
        let key = self.record.installation();
        let (Some(key), Some(account), Some(grantor)) =
            (key, self.record.account(), self.record.grantor())
        else {
            return Err(StepError::State("the own key is missing".into()));
        };
        let checked = || -> Result<(Log, Grant), String> {
            let grant = Grant::decode(text).map_err(|error| error.to_string())?;
            let log =
                Log::decode(&grant.log, &self.cx.network).map_err(|error| error.to_string())?;
            if log.account() != account {
                return Err("the log is that of another account".into());
            }
            let state = log.state();
            let own = state.active.get(&key.id()).ok_or("this device is not in the log")?;
            if own.added_by != Author::Installation(grantor) {
                return Err("another installation than the one that answered added it".into());
            }
            Ok((log, grant))
        };
        let (log, grant) = match checked() {
            Ok(checked) => checked,
            Err(reason) => return Ok(Err(reason)),
        };
        let card_secret = CardSecret::from_bytes(grant.card_secret);
        let identity = Identity::new(&key, &card_secret, &log, self.cx.now);
        self.cx.db.set_meta("identity", &identity)?;
        self.cx.db.set_meta("network", &self.cx.network)?;
        self.record.listen(Step::Grant, text, &self.cx.network);
        self.record.granted(self.cx.now);
        self.withdraw()?;
        self.cx.tell(Event::Linked { linking: self.record.id, account, installation: key.id() })?;
        Ok(Ok(()))
    }

    /// Ends the linking, and tells those who answered unless that is where it comes from.
    pub(super) fn end(
        &mut self,
        code: EndCode,
        by_other: bool,
        other: Option<(&LinkingAnswer, Transcript)>,
    ) -> Result<(), StepError> {
        self.withdraw()?;
        let (rng, now, params) = (&self.cx.rng, self.cx.now, &self.cx.params);
        let first = match by_other {
            true => None,
            false => self.record.ending_to_grantor(code, rng, now, params),
        };
        let other = other.and_then(|(answer, transcript)| {
            self.record.ending(code, &answer.key, transcript, rng, now, params)
        });
        for parcel in first.into_iter().chain(other) {
            self.post(parcel)?;
        }
        self.record.close(NewcomerState::Ended { code, by_other });
        self.watched_slot = None;
        self.save()?;
        self.cx.tell(Event::LinkingFailed { linking: self.record.id, code, by_other, added: None })
    }
}

/// The transcript of a code that is there, since a message opened under it.
fn before_answer(begin: Option<Transcript>) -> Transcript {
    begin.unwrap_or(Transcript::from_bytes([0; 32]))
}
