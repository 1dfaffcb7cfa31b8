//! Requests: invitations that were offered, from the doorbell to the Welcome.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::database::{Database, Timed};
use crate::ids::{AccountId, RequestId};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::view::{RequestState, RequestView};
use crate::machine::cx::Cx;
use crate::machine::effect::{Effect, Why};
use crate::params::{CATCH_UP_MARGIN, MAX_REQUESTS, NetworkId};
use crate::time::{Slot, Timestamp};
use crate::wire::roots::{Roots, invitation_roots};
use crate::wire::sync::RequestAnswer;

/// Slots after the offer of an invitation in which it is looked for: its delay is at most an hour,
/// and a publication that failed is tried again.
pub(in crate::machine) const INVITATION_SLOTS: u64 = 48;
/// Frames on an invitation's topic that are not the invitation, after which it is given up.
const MAX_FAILURES: u32 = 8;

/// An invitation that was offered.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Request {
    pub(in crate::machine) id: RequestId,
    pub(in crate::machine) from: AccountId,
    pub(in crate::machine) secret: Zeroizing<[u8; 32]>,
    pub(in crate::machine) slot: Slot,
    pub(in crate::machine) group_name: String,
    pub(in crate::machine) received_at: Timestamp,
    pub(in crate::machine) state: RequestState,
    /// Whether the user was asked and said yes; not so where a contact invites.
    pub(in crate::machine) asked: bool,
    /// What came in its place and was not it.
    failures: u32,
    /// When the time that the invitation can lie in is to be fetched, apart from all else; none: it is
    /// not.
    seek: Option<Timestamp>,
    /// Whether another installation of the account accepted it, and joins in any case.
    elsewhere: bool,
}

impl Request {
    /// An offer that has just come.
    pub(in crate::machine) fn new(
        id: RequestId,
        from: AccountId,
        secret: Zeroizing<[u8; 32]>,
        slot: Slot,
        group_name: String,
        received_at: Timestamp,
    ) -> Self {
        Self {
            id,
            from,
            secret,
            slot,
            group_name,
            received_at,
            state: RequestState::Pending,
            asked: false,
            failures: 0,
            seek: None,
            elsewhere: false,
        }
    }

    /// The roots of its one-time topic in a slot, while its invitation is awaited.
    pub(in crate::machine) fn roots(&self, slot: Slot, network: &NetworkId) -> Option<Roots> {
        if self.state != RequestState::Accepted
            || slot < self.slot.previous()
            || slot.0 > self.slot.0.saturating_add(INVITATION_SLOTS)
        {
            return None;
        }
        // A clock that is a little behind may offer in a slot that others count as the next.
        let slot = slot.max(self.slot);
        invitation_roots(&self.secret, self.slot, network).at(slot, network).ok()
    }

    /// Between when and when the invitation may be sent.
    fn time(&self, cx: &Cx) -> (Timestamp, Timestamp) {
        let last = Slot(self.slot.0.saturating_add(INVITATION_SLOTS));
        let slot_secs = cx.params.slot_secs;
        (self.slot.previous().start(slot_secs), last.next().start(slot_secs) + CATCH_UP_MARGIN)
    }

    /// What is shown of it. `name` is the contact's.
    pub(in crate::machine) fn view(&self, name: Option<String>) -> RequestView {
        RequestView {
            id: self.id,
            from: self.from,
            name,
            group_name: self.group_name.clone(),
            received_at: self.received_at,
            state: self.state,
        }
    }
}

/// The requests that wait for an answer or for their invitation.
#[derive(Default)]
pub(in crate::machine) struct Requests {
    all: BTreeMap<RequestId, Request>,
}

impl Requests {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        let requests = db.all_timed::<Request>(Timed::Request)?;
        self.all = requests.into_iter().map(|request| (request.id, request)).collect();
        Ok(())
    }

    pub(in crate::machine) fn get(&self, id: &RequestId) -> Option<&Request> {
        self.all.get(id)
    }

    pub(in crate::machine) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.all.values()
    }

    fn save(&mut self, cx: &Cx, request: Request) -> Result<(), StepError> {
        let at = request.received_at;
        cx.db.set_timed(Timed::Request, request.id.as_bytes(), at, &request)?;
        self.all.insert(request.id, request);
        Ok(())
    }

    pub(in crate::machine) fn forget(
        &mut self,
        cx: &mut Cx,
        id: &RequestId,
    ) -> Result<(), StepError> {
        self.all.remove(id);
        cx.ask(Effect::TopicsChanged(None));
        Ok(cx.db.delete_timed(Timed::Request, id.as_bytes())?)
    }

    /// Forgets all requests of an account.
    pub(in crate::machine) fn forget_from(
        &mut self,
        cx: &mut Cx,
        from: &AccountId,
    ) -> Result<(), StepError> {
        let theirs = self.all.values().filter(|request| request.from == *from);
        let theirs: Vec<RequestId> = theirs.map(|request| request.id).collect();
        theirs.iter().try_for_each(|id| self.forget(cx, id))
    }

    /// Makes room for a request that is not there yet. Unanswered ones go first; they are the ones
    /// that strangers can make.
    fn make_room(&mut self, cx: &mut Cx, id: &RequestId) -> Result<(), StepError> {
        while self.all.len() >= MAX_REQUESTS && !self.all.contains_key(id) {
            let oldest = self
                .all
                .values()
                .min_by_key(|r| (r.state == RequestState::Accepted, r.received_at, r.id))
                .map(|request| request.id);
            match oldest {
                Some(id) => self.forget(cx, &id)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Keeps a request until the user answers it.
    pub(in crate::machine) fn ask_user(
        &mut self,
        cx: &mut Cx,
        request: Request,
    ) -> Result<Request, StepError> {
        self.make_room(cx, &request.id)?;
        let request = Request { state: RequestState::Pending, ..request };
        self.save(cx, request.clone())?;
        cx.ask(Effect::TopicsChanged(None));
        Ok(request)
    }

    /// Listens for an invitation, and looks for it in what was already sent. `complete_to`: all that
    /// was sent before this was fetched. `asked`: the user said yes.
    pub(in crate::machine) fn accept(
        &mut self,
        cx: &mut Cx,
        request: Request,
        complete_to: Timestamp,
        asked: bool,
    ) -> Result<(), StepError> {
        let why = if asked { Why::Asked } else { Why::Caused };
        self.await_invitation(cx, Request { asked, ..request }, complete_to, why)
    }

    /// What a contact's doorbell, or another installation, causes is not asked for in that moment.
    fn await_invitation(
        &mut self,
        cx: &mut Cx,
        request: Request,
        complete_to: Timestamp,
        why: Why,
    ) -> Result<(), StepError> {
        self.make_room(cx, &request.id)?;
        cx.ask(Effect::TopicsChanged(None));
        let (from, until) = request.time(cx);
        // Long after its time, all that was sent since is not fetched again for it.
        let apart = until <= complete_to;
        if !apart {
            cx.ask(Effect::Fetch { from, why });
        }
        let pause = if why == Why::Asked { Duration::ZERO } else { cx.quiet() };
        let seek = apart.then(|| cx.now + pause);
        self.save(cx, Request { seek, state: RequestState::Accepted, ..request })
    }

    /// The same, for one that another installation accepted: this one was invited with it, or is
    /// added by it.
    pub(in crate::machine) fn accept_elsewhere(
        &mut self,
        cx: &mut Cx,
        request: Request,
        complete_to: Timestamp,
    ) -> Result<(), StepError> {
        let request = Request { elsewhere: true, asked: true, ..request };
        self.await_invitation(cx, request, complete_to, Why::Caused)
    }

    /// The next invitation whose time is to be fetched apart now: between when and when.
    pub(in crate::machine) fn next_to_seek(
        &self,
        cx: &Cx,
    ) -> Option<(RequestId, (Timestamp, Timestamp))> {
        let (_, request) = self.sought().find(|(at, _)| *at <= cx.now)?;
        Some((request.id, request.time(cx)))
    }

    /// When the next one is due.
    pub(in crate::machine) fn next_due(&self) -> Option<Timestamp> {
        self.sought().map(|(at, _)| at).min()
    }

    fn sought(&self) -> impl Iterator<Item = (Timestamp, &Request)> {
        let accepted = self.all.values().filter(|it| it.state == RequestState::Accepted);
        accepted.filter_map(|request| Some((request.seek?, request)))
    }

    /// The time that an invitation can lie in was fetched.
    pub(in crate::machine) fn was_sought(
        &mut self,
        cx: &Cx,
        id: &RequestId,
    ) -> Result<(), StepError> {
        match self.all.get(id).cloned() {
            Some(request) => self.save(cx, Request { seek: None, ..request }),
            None => Ok(()),
        }
    }

    /// Gives up invitations that were accepted and cannot come any more: everything that was sent in
    /// their time was fetched.
    pub(in crate::machine) fn expire(
        &mut self,
        cx: &mut Cx,
        complete_to: Timestamp,
    ) -> Result<(), StepError> {
        let over: Vec<(RequestId, bool)> = self
            .all
            .values()
            .filter(|request| request.state == RequestState::Accepted && request.seek.is_none())
            .filter(|request| request.time(cx).1 <= complete_to)
            // What this user did not accept here concerns another installation.
            .map(|request| (request.id, request.elsewhere))
            .collect();
        for (request, silent) in over {
            self.forget(cx, &request)?;
            if !silent {
                let reason = "it was not found: ask for another one".into();
                cx.tell(Event::RequestFailed { request, reason })?;
            }
        }
        Ok(())
    }

    /// Counts something on an invitation's topic that is not the invitation. Everybody who was
    /// invited with it can write there, so the real one is still waited for; but not through any
    /// number of others.
    pub(in crate::machine) fn failed(
        &mut self,
        cx: &mut Cx,
        id: &RequestId,
        reason: String,
    ) -> Result<(), StepError> {
        let Some(mut request) = self.all.get(id).cloned() else { return Ok(()) };
        request.failures = request.failures.saturating_add(1);
        if request.failures < MAX_FAILURES {
            return self.save(cx, request);
        }
        self.forget(cx, id)?;
        cx.tell(Event::RequestFailed { request: *id, reason })
    }
}

/// Remembers how another installation answered a request: its doorbell may come later.
pub(in crate::machine) fn note_answer(
    cx: &Cx,
    id: &RequestId,
    answer: RequestAnswer,
) -> Result<(), StepError> {
    cx.db.mark_package(&answer_mark(id, answer), cx.now)?;
    Ok(())
}

/// How another installation answered a request, if one did.
pub(in crate::machine) fn noted_answer(
    cx: &Cx,
    id: &RequestId,
) -> Result<Option<RequestAnswer>, StepError> {
    for answer in [RequestAnswer::Accept, RequestAnswer::Decline] {
        if cx.db.has_package_mark(&answer_mark(id, answer))? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

fn answer_mark(id: &RequestId, answer: RequestAnswer) -> Vec<u8> {
    let said: &[u8] = match answer {
        RequestAnswer::Accept => b"accepted",
        RequestAnswer::Decline => b"declined",
    };
    [said, id.as_bytes()].concat()
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
