//! A doorbell is opened; and requests are answered, here or on another installation.

use crate::contact::doorbell::{self, DoorbellError, Purpose};
use crate::ids::RequestId;
use crate::machine::api::command::Answer;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::api::view::RequestState;
use crate::machine::assembly::Machine;
use crate::machine::effect::Why;
use crate::machine::people::contacts::Contact;
use crate::machine::people::requests::{INVITATION_SLOTS, Request, note_answer, noted_answer};
use crate::params::DOORBELL_SIZE;
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::roots::inbox_roots;
use crate::wire::sync::{RequestAnswer, SyncItem};
use crate::wire::topic::ContentTopic;

/// What the user answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Reply {
    Accept,
    Decline,
    Block,
}

impl Machine {
    /// Opens an envelope on one of the network's inbox topics.
    pub(in crate::machine) fn open_doorbell(
        &mut self,
        topic: &ContentTopic,
        payload: &[u8],
        sent_at: Timestamp,
        live: bool,
    ) -> Result<Disposition, StepError> {
        if payload.len() != DOORBELL_SIZE {
            return Ok(Disposition::Refused(Refused::Envelope));
        }
        let slot = Slot::at(sent_at, self.cx.params.slot_secs);
        let roots = inbox_roots(&self.cx.network, slot);
        let key = EnvelopeKey::derive(&roots.seal, &self.cx.network);
        let Ok(frame) = envelope::open(&key, topic, payload) else {
            return Ok(Disposition::Refused(Refused::Seal));
        };
        match Frame::decode(&frame) {
            Ok(frame) if frame.kind == FrameKind::Doorbell => {
                self.on_doorbell(&frame.body, sent_at, live)
            }
            _ => Ok(Disposition::Refused(Refused::Frame)),
        }
    }

    /// Tries to open a doorbell that was sent at a moment: everybody does, within a budget.
    fn on_doorbell(
        &mut self,
        body: &[u8],
        sent_at: Timestamp,
        live: bool,
    ) -> Result<Disposition, StepError> {
        if !live {
            self.doorbells.owe(self.cx.now);
        } else if !self.doorbells.take(self.cx.now) {
            // History has it, and is fetched no faster than the budget allows.
            self.history.backfill(&self.cx, sent_at, Why::Caused);
            return Ok(Disposition::Refused(Refused::Budget));
        }
        let doorbell = match doorbell::answer(body, self.keys.inbox(), &self.cx.network) {
            Ok(Some(doorbell)) => doorbell,
            Ok(None) => return Ok(Disposition::NotForUs),
            Err(error) => {
                tracing::debug!(%error, "a doorbell is refused");
                return Ok(Disposition::Refused(match error {
                    DoorbellError::Credential(_) => Refused::Credential,
                    DoorbellError::Signature(_) => Refused::Authentication,
                    _ => Refused::Content,
                }));
            }
        };
        let from = doorbell.inviter.account;
        if from == self.me.account {
            return Ok(Disposition::Refused(Refused::Replay));
        }
        let contact = Contact::find(&self.cx, &from)?;
        if contact.as_ref().is_some_and(|contact| contact.blocked) {
            return Ok(Disposition::Refused(Refused::Blocked));
        }
        let Purpose::Invitation(offer) = doorbell.purpose;
        // History is fetched from the offer's slot on, so that is not any that somebody names.
        let sent_in = Slot::at(sent_at, self.cx.params.slot_secs);
        if !(sent_in.back(INVITATION_SLOTS)..=sent_in.next()).contains(&offer.slot) {
            return Ok(Disposition::Refused(Refused::Content));
        }
        let mark = [b"doorbell".as_slice(), doorbell.id.as_bytes()].concat();
        if !self.cx.db.mark_package(&mark, self.cx.now)? {
            return Ok(Disposition::Duplicate);
        }
        let (secret, name) = (offer.secret.clone(), offer.group_name.clone());
        let request = Request::new(doorbell.id, from, secret, offer.slot, name, self.cx.now);
        let complete_to = self.history.complete_to();
        match noted_answer(&self.cx, &doorbell.id)? {
            Some(RequestAnswer::Decline) => {}
            Some(RequestAnswer::Accept) => {
                self.requests.accept_elsewhere(&mut self.cx, request, complete_to)?;
            }
            None if contact.is_some_and(|contact| contact.secret.is_some()) => {
                self.requests.accept(&mut self.cx, request, complete_to, false)?;
            }
            None => self.ask_user(request)?,
        }
        Ok(Disposition::Doorbell(doorbell.id))
    }

    /// Asks the user whether to join.
    pub(in crate::machine) fn ask_user(&mut self, request: Request) -> Result<(), StepError> {
        let name = Contact::find(&self.cx, &request.from)?.and_then(|contact| contact.name);
        let request = self.requests.ask_user(&mut self.cx, request)?.view(name);
        self.cx.tell(Event::RequestReceived { request })
    }

    pub(in crate::machine) fn answer_request(
        &mut self,
        id: &RequestId,
        answer: Reply,
    ) -> Done<Answer> {
        let request = self.requests.get(id).cloned().ok_or(CommandError::UnknownRequest)?;
        let said = match answer {
            Reply::Accept => RequestAnswer::Accept,
            Reply::Decline | Reply::Block => RequestAnswer::Decline,
        };
        self.sync(vec![SyncItem::Answer { request: *id, answer: said }])?;
        match answer {
            Reply::Accept => {
                let complete_to = self.history.complete_to();
                self.requests.accept(&mut self.cx, request, complete_to, true)?;
            }
            Reply::Decline => self.requests.forget(&mut self.cx, id)?,
            Reply::Block => {
                let known = Contact::find(&self.cx, &request.from)?;
                let known = known.unwrap_or_else(|| Contact::unknown(request.from));
                self.change_contact(&mut Contact { blocked: true, ..known })?;
                self.requests.forget_from(&mut self.cx, &request.from)?;
            }
        }
        Ok(Answer::Done)
    }

    /// A request was answered on another installation.
    pub(in crate::machine) fn on_answer(
        &mut self,
        id: &RequestId,
        answer: RequestAnswer,
    ) -> Result<(), StepError> {
        // The doorbell itself may come later.
        note_answer(&self.cx, id, answer)?;
        let Some(request) = self.requests.get(id).cloned() else { return Ok(()) };
        if request.state == RequestState::Accepted {
            return Ok(());
        }
        self.cx.tell(Event::RequestAnswered { request: *id })?;
        let complete_to = self.history.complete_to();
        match answer {
            RequestAnswer::Accept => {
                self.requests.accept_elsewhere(&mut self.cx, request, complete_to)
            }
            RequestAnswer::Decline => self.requests.forget(&mut self.cx, id),
        }
    }
}
