//! The side that takes a new device in.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::identity::linking::{
    Admission, Arrival, EndCode, Ending, Grant, Introduction, LinkingAnswer, LinkingCode,
    LinkingCodeError, LinkingKey, LinkingString, LinkingStringError, Reveal, Sealed, Step,
    commitment, seal,
};
use crate::identity::log::{EntrySigner, Log};
use crate::ids::{InstallationId, LinkingId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::command::Answer;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::done::{Done, Fail};
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::api::linking::{LinkingState, LinkingView};
use crate::machine::assembly::Machine;
use crate::machine::linking::grant::{GrantRecord, Open};
use crate::machine::linking::rendezvous::{MAX_FAILURES, address};
use crate::machine::linking::repeated::Repeated;
use crate::machine::parcel::Parcel;
use crate::params::{LINKING_KEEP, MAX_INSTALLATIONS, MAX_LINKINGS};
use crate::wire::item::item_hash;

/// Linkings that are over and still listed; the oldest goes first.
const MAX_ENDED: usize = 32;

fn bad_code(why: LinkingCodeError) -> Fail {
    CommandError::BadLinkingCode { why }.into()
}

impl Machine {
    /// The linkings that this device grants, or granted within a day, oldest first.
    pub fn linkings(&self) -> Vec<LinkingView> {
        let mut all: Vec<_> = self.linkings.grants.values().collect();
        all.sort_by_key(|grant| (grant.code_until, grant.id));
        all.into_iter().map(|grant| self.link_view(grant)).collect()
    }

    /// One of them.
    pub fn linking(&self, id: &LinkingId) -> Option<LinkingView> {
        self.linkings.grants.get(id).map(|grant| self.link_view(grant))
    }

    fn link_view(&self, grant: &GrantRecord) -> LinkingView {
        LinkingView {
            id: grant.id,
            state: grant.state,
            until: grant.code_until,
            name: grant.name.clone(),
            installation: grant.installation,
            groups: self
                .groups
                .values()
                .filter(|group| group.is_member() && self.cx.is_visible(&group.id()))
                .count(),
            added: grant.added,
        }
    }

    fn view_of(&self, id: &LinkingId) -> Done<Answer> {
        Ok(Answer::Linking(self.linking(id).ok_or(CommandError::UnknownLinking)?))
    }

    fn save_grant(&mut self, grant: GrantRecord) -> Result<(), StepError> {
        self.linkings.grants.insert(grant.id, grant);
        self.linkings.save_grants(&self.cx)
    }

    /// Sends the last thing said.
    fn post_said(&mut self, grant: &GrantRecord) -> Result<(), StepError> {
        let Some(open) = &grant.open else {
            return Ok(());
        };
        let frame = open.said.frame.clone();
        let address = address(&open.code, grant.until, &self.cx.params);
        self.outbox.post(&self.cx, Parcel { address, frame, item: None }, Duration::ZERO)
    }

    pub(in crate::machine) fn answer_link(&mut self, text: &str) -> Done<Answer> {
        let code = LinkingCode::parse(text, &self.cx.network).map_err(bad_code)?;
        let id = code.id(&self.cx.network);
        if self.linkings.arrival.as_ref().is_some_and(|it| it.id == id) {
            return Err(bad_code(LinkingCodeError::Own));
        }
        if self.linkings.grants.contains_key(&id) {
            return Err(bad_code(LinkingCodeError::Used));
        }
        code.check_time(self.cx.now).map_err(bad_code)?;
        if self.linkings.grants.values().filter(|grant| !grant.is_over()).count() >= MAX_LINKINGS {
            return Err(CommandError::TooManyLinkings.into());
        }
        if !self.me.is_active() {
            return Err(CommandError::Revoked.into());
        }
        if self.me.log().state().active.len() >= MAX_INSTALLATIONS {
            let reason =
                format!("an account has at most {MAX_INSTALLATIONS} installations: revoke one");
            return Err(CommandError::NotAllowed { reason }.into());
        }

        let key = LinkingKey::generate(&mut *self.cx.rng.lock());
        let nonce = Zeroizing::new(self.cx.rng.bytes());
        let answer = LinkingAnswer {
            key: key.public(),
            account: self.me.account,
            installation: self.me.id(),
            commitment: commitment(&nonce, &self.cx.network),
        }
        .encode();
        let begin = code.transcript(&self.cx.network);
        let body = {
            let mut rng = self.cx.rng.lock();
            seal(&mut *rng, code.key(), Step::Answer, &begin, &answer, &self.cx.network)
        };
        let body = body.map_err(|_| bad_code(LinkingCodeError::Malformed))?;
        let so_far = begin.then(Step::Answer, &answer, &self.cx.network);
        let grant = GrantRecord {
            id,
            state: LinkingState::Answered,
            code_until: code.until(),
            until: code.until(),
            name: None,
            installation: None,
            added: false,
            open: Some(Open {
                code,
                key: key.secret(),
                nonce,
                answer: so_far,
                so_far,
                string: None,
                possession: None,
                said: Repeated::new(body, true, self.cx.now),
                arrived: None,
                welcome: None,
                heard: None,
                failures: 0,
            }),
        };
        self.post_said(&grant)?;
        self.save_grant(grant)?;
        self.watch.clear();
        self.view_of(&id)
    }

    /// Takes the string that the user typed. A slip is refused and costs nothing; another string
    /// than the newcomer's ends the linking, which the answer says.
    pub(in crate::machine) fn confirm_link(&mut self, id: &LinkingId, text: &str) -> Done<Answer> {
        let grant = self.linkings.grants.get(id).ok_or(CommandError::UnknownLinking)?;
        let Some(string) = grant.open.as_ref().and_then(|open| open.string) else {
            return Err(CommandError::LinkingNotReady { state: grant.state }.into());
        };
        if grant.state != LinkingState::AwaitsString {
            return Err(CommandError::LinkingNotReady { state: grant.state }.into());
        }
        let bad = |why: LinkingStringError| CommandError::BadLinkingString { why };
        let typed = LinkingString::parse(text).map_err(bad)?;
        if self.cx.now >= grant.code_until {
            self.end_grant(id, EndCode::Expired, false)?;
        } else if typed != string {
            self.end_grant(id, EndCode::WrongString, false)?;
        } else {
            self.grant(id)?;
        }
        self.view_of(id)
    }

    pub(in crate::machine) fn cancel_link(&mut self, id: &LinkingId) -> Done<Answer> {
        let grant = self.linkings.grants.get(id).ok_or(CommandError::UnknownLinking)?;
        if grant.is_over() || grant.added {
            return Err(CommandError::LinkingNotReady { state: grant.state }.into());
        }
        self.end_grant(id, EndCode::Cancelled, false)?;
        self.view_of(id)
    }

    /// The log with the newcomer in it.
    fn log_with(&self, installation: InstallationId, possession: &[u8]) -> Result<Log, String> {
        let signer = EntrySigner::Installation(&self.me.key);
        let possession = possession.try_into().map_err(|_| "a signature is cut".to_string())?;
        let mut log = self.me.log().clone();
        let entry = log
            .add(signer, installation, possession, self.cx.now)
            .map_err(|error| error.to_string())?;
        log.insert(entry).map_err(|error| error.to_string())?;
        Ok(log)
    }

    /// Seals the next message to the newcomer, and says it once the record is saved.
    fn say(&mut self, open: &mut Open, step: Step, text: &[u8], asks: bool) -> Result<(), String> {
        let body = {
            let mut rng = self.cx.rng.lock();
            seal(&mut *rng, open.code.key(), step, &open.so_far, text, &self.cx.network)
        };
        let body = body.map_err(|error| error.to_string())?;
        open.so_far = open.so_far.then(step, text, &self.cx.network);
        open.said = Repeated::new(body, asks, self.cx.now);
        Ok(())
    }

    /// Makes the newcomer an installation, and tells it.
    fn grant(&mut self, id: &LinkingId) -> Result<(), StepError> {
        let Some(mut grant) = self.linkings.grants.get(id).cloned() else {
            return Ok(());
        };
        let (Some(mut open), Some(installation)) = (grant.open.take(), grant.installation) else {
            return Ok(());
        };
        let possession = open.possession.take().unwrap_or_default();
        let made = self.log_with(installation, &possession).and_then(|log| {
            let card_secret = Zeroizing::new(*self.me.card_secret.as_bytes());
            let text = Grant { log: log.encode(), card_secret }.encode();
            self.say(&mut open, Step::Grant, &text, true)?;
            Ok(log)
        });
        let log = match made {
            Ok(log) => log,
            Err(reason) => {
                tracing::warn!(%reason, "a new device cannot be added");
                return self.end_grant(id, EndCode::Refused, false);
            }
        };
        self.learn_log(&log)?;
        OwnInstallation::rename(
            &self.cx,
            installation,
            grant.name.as_deref().unwrap_or_default(),
            self.cx.now,
        )?;
        let grant = GrantRecord {
            state: LinkingState::Granted,
            until: self.cx.now + LINKING_KEEP,
            added: true,
            open: Some(open),
            ..grant
        };
        self.post_said(&grant)?;
        self.save_grant(grant)
    }

    /// A message at the rendezvous of a linking that this device grants.
    pub(in crate::machine) fn on_newcomer_message(
        &mut self,
        id: LinkingId,
        message: &Sealed,
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        if message.step.by_grantor() {
            // The own one, or that of another grantor.
            return Ok(Disposition::NotForUs);
        }
        let Some(mut grant) = self.linkings.grants.get(&id).cloned() else {
            return Ok(Disposition::NotForUs);
        };
        let Some(open) = grant.open.as_mut() else {
            return Ok(Disposition::NotForUs);
        };
        if open.heard == Some(hash) {
            // It has not heard what it was answered.
            let replied =
                matches!(grant.state, LinkingState::AwaitsString | LinkingState::Admitted);
            if replied && self.cx.now >= open.said.at && !self.outbox.holds(&open.said.frame) {
                open.said.again(self.cx.now);
                self.post_said(&grant)?;
                self.save_grant(grant)?;
            }
            return Ok(Disposition::Duplicate);
        }
        if open.failures >= MAX_FAILURES {
            return refused(Refused::Budget);
        }
        let before = match (grant.state, message.step) {
            (LinkingState::Answered, Step::Introduction)
            | (LinkingState::Granted, Step::Arrival)
            | (LinkingState::Admitted, Step::Done) => open.so_far,
            (_, Step::EndByNewcomer) => open.code.transcript(&self.cx.network),
            _ => return refused(Refused::Replay),
        };
        let key = LinkingKey::from_secret(&open.key);
        let Ok(text) = message.open(&key, &before, &self.cx.network) else {
            open.failures += 1;
            self.save_grant(grant)?;
            return refused(Refused::Authentication);
        };
        match message.step {
            Step::Introduction => self.on_introduction(grant, &text, hash),
            Step::Arrival => self.on_arrival(grant, &text, hash),
            Step::Done => {
                self.link_done(grant)?;
                Ok(Disposition::Linking(id))
            }
            _ => match Ending::decode(&text) {
                Ok(ending) if ending.answer == open.answer => {
                    self.end_grant(&id, ending.code, true)?;
                    Ok(Disposition::Linking(id))
                }
                _ => refused(Refused::Content),
            },
        }
    }

    fn on_introduction(
        &mut self,
        mut grant: GrantRecord,
        text: &[u8],
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let id = grant.id;
        let Some(open) = grant.open.as_mut() else {
            return Ok(Disposition::NotForUs);
        };
        let made = Introduction::decode_and_verify(text, &self.me.account, &self.cx.network)
            .map_err(|error| error.to_string())
            .and_then(|it| {
                // Nobody is to type a string in vain.
                self.log_with(it.installation, &it.possession)?;
                open.so_far = open.so_far.then(Step::Introduction, text, &self.cx.network);
                open.string =
                    Some(LinkingString::derive(&open.so_far, &open.nonce, &self.cx.network));
                let reveal = Reveal { nonce: *open.nonce }.encode();
                self.say(open, Step::Reveal, &reveal, false)?;
                Ok(it)
            });
        let it = match made {
            Ok(it) => it,
            Err(reason) => {
                tracing::warn!(%reason, "a new device cannot be taken in");
                self.end_grant(&id, EndCode::Refused, false)?;
                return Ok(Disposition::Refused(Refused::Content));
            }
        };
        open.heard = Some(hash);
        open.possession = Some(it.possession.to_vec());
        grant.installation = Some(it.installation);
        grant.name = Some(it.name);
        grant.state = LinkingState::AwaitsString;
        self.withdraw_linking(id)?;
        self.post_said(&grant)?;
        let linking = self.link_view(&grant);
        self.save_grant(grant)?;
        self.cx.tell(Event::LinkingReady { linking })?;
        Ok(Disposition::Linking(id))
    }

    fn on_arrival(
        &mut self,
        mut grant: GrantRecord,
        text: &[u8],
        hash: [u8; 32],
    ) -> Result<Disposition, StepError> {
        let id = grant.id;
        let (Some(open), Some(installation)) = (grant.open.as_mut(), grant.installation) else {
            return Ok(Disposition::NotForUs);
        };
        let admitted = match Arrival::decode(text) {
            Ok(arrival) => self.admit_installation(installation, &arrival.key_package),
            Err(_) => Err(CommandError::BadKeyPackage { installation }.into()),
        };
        match admitted {
            Ok(()) => {}
            Err(Fail::Step(error)) => return Err(error),
            Err(Fail::Refused(
                error @ (CommandError::BadKeyPackage { .. }
                | CommandError::UnknownInstallation { .. }),
            )) => {
                tracing::warn!(%error, "a new device cannot be let in");
                self.end_grant(&id, EndCode::Refused, false)?;
                return Ok(Disposition::Refused(Refused::Content));
            }
            // Its key package is kept, and it is let in when that can be.
            Err(Fail::Refused(error)) => tracing::info!(%error, "a new device is let in later"),
        }
        open.heard = Some(hash);
        open.so_far = open.so_far.then(Step::Arrival, text, &self.cx.network);
        open.arrived = Some(open.so_far);
        open.said.asks = false;
        self.withdraw_linking(id)?;
        self.save_grant(grant)?;
        Ok(Disposition::Linking(id))
    }

    /// Sends the newcomer its Welcome, once there is one, and another if that takes its place; and
    /// sees that it was heard in the self group.
    fn admit_arrived(&mut self, mut grant: GrantRecord) -> Result<(), StepError> {
        let id = grant.id;
        let (Some(open), Some(installation)) = (grant.open.as_mut(), grant.installation) else {
            return Ok(());
        };
        let Some(arrived) = open.arrived else {
            return Ok(());
        };
        let Some(invitation) = self.self_welcome(&installation)? else {
            return match grant.state {
                LinkingState::Admitted => self.link_done(grant),
                _ => Ok(()),
            };
        };
        let hash = item_hash(&invitation).0;
        if open.welcome == Some(hash) {
            return Ok(());
        }
        open.welcome = Some(hash);
        open.so_far = arrived;
        let admission = Admission { invitation }.encode();
        if let Err(reason) = self.say(open, Step::Admission, &admission, false) {
            tracing::warn!(%reason, "an invitation for a new device cannot be sent");
            return self.end_grant(&id, EndCode::Refused, false);
        }
        grant.state = LinkingState::Admitted;
        self.withdraw_linking(id)?;
        self.post_said(&grant)?;
        self.save_grant(grant)
    }

    fn link_done(&mut self, mut grant: GrantRecord) -> Result<(), StepError> {
        let linking = grant.id;
        self.withdraw_linking(linking)?;
        grant.close(LinkingState::Done, self.cx.now);
        let installation = grant.installation;
        self.save_grant(grant)?;
        self.watch.clear();
        match installation {
            Some(installation) => self.cx.tell(Event::LinkingDone { linking, installation }),
            None => Ok(()),
        }
    }

    /// Ends a linking, and tells the newcomer unless that is where it comes from.
    fn end_grant(
        &mut self,
        id: &LinkingId,
        code: EndCode,
        by_other: bool,
    ) -> Result<(), StepError> {
        let Some(mut grant) = self.linkings.grants.get(id).cloned() else {
            return Ok(());
        };
        self.withdraw_linking(*id)?;
        if let Some(open) = grant.open.as_ref().filter(|_| !by_other) {
            let text = Ending { code, answer: open.answer }.encode();
            let begin = open.code.transcript(&self.cx.network);
            let step = Step::EndByGrantor;
            let body = {
                let mut rng = self.cx.rng.lock();
                seal(&mut *rng, open.code.key(), step, &begin, &text, &self.cx.network)
            };
            if let Ok(body) = body {
                let frame = Repeated::new(body, false, self.cx.now).frame;
                let address = address(&open.code, self.cx.now + LINKING_KEEP, &self.cx.params);
                self.outbox.post(
                    &self.cx,
                    Parcel { address, frame, item: None },
                    Duration::ZERO,
                )?;
            }
        }
        let added = grant.installation.filter(|_| grant.added);
        grant.close(LinkingState::Ended { code, by_other }, self.cx.now);
        self.save_grant(grant)?;
        self.watch.clear();
        self.cx.tell(Event::LinkingFailed { linking: *id, code, by_other, added })
    }

    /// What time brings: what is not answered is said again, and what has lasted too long ends.
    pub(in crate::machine) fn drive_grants(&mut self) -> Result<(), StepError> {
        let now = self.cx.now;
        let (ended, open): (Vec<_>, Vec<_>) =
            self.linkings.grants.values().partition(|grant| grant.is_over());
        let mut forget: Vec<LinkingId> =
            ended.iter().filter(|grant| grant.until <= now).map(|grant| grant.id).collect();
        if ended.len() > MAX_ENDED {
            let oldest = ended.iter().min_by_key(|grant| (grant.until, grant.id));
            forget.extend(oldest.map(|grant| grant.id));
        }
        let open: Vec<LinkingId> = open.iter().map(|grant| grant.id).collect();
        for id in &forget {
            self.linkings.grants.remove(id);
        }
        if !forget.is_empty() {
            self.linkings.save_grants(&self.cx)?;
        }
        for id in open {
            let Some(mut grant) = self.linkings.grants.get(&id).cloned() else { continue };
            if grant.until <= now {
                self.end_grant(&id, EndCode::Expired, false)?;
                continue;
            }
            if grant.open.as_ref().is_some_and(|open| open.arrived.is_some()) {
                self.admit_arrived(grant)?;
                continue;
            }
            if !self.history.may_send() {
                continue;
            }
            let Some(open) = grant.open.as_mut() else { continue };
            if open.said.due().is_some_and(|at| at <= now) && !self.outbox.holds(&open.said.frame) {
                open.said.again(now);
                self.post_said(&grant)?;
                self.save_grant(grant)?;
            }
        }
        Ok(())
    }

    /// Takes what is not published yet of a linking out of the outbox: something newer is said.
    fn withdraw_linking(&mut self, id: LinkingId) -> Result<(), StepError> {
        let Some(code) = self.linkings.grants.get(&id).and_then(GrantRecord::code).cloned() else {
            return Ok(());
        };
        self.outbox.withdraw_linking(&self.cx, code.secret())
    }
}
