//! How a new device hears and is heard: what it watches and fetches, and what it publishes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{History, Newcomer, RETRY, Run};
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Inbound, Output, QueryId};
use crate::machine::linking::rendezvous::{address, open_message, roots_at, sealing};
use crate::machine::net::outbox::{Address, Parcel, Sealing};
use crate::machine::net::outside::sent_in;
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, HISTORY_MESSAGE_COST, HISTORY_PAGE, RETRY_MAX,
};
use crate::wire::topic::{ContentTopic, lanes};

impl Newcomer {
    pub(super) fn refresh_watch(&mut self) {
        let slot = self.cx.slot();
        if !self.connected || self.watched_slot == Some(slot) {
            return;
        }
        let mut wanted = BTreeSet::new();
        // Once it has an account, the machine of that watches what is needed.
        if let Some(code) = self.record.code() {
            for slot in [slot.previous(), slot, slot.next()] {
                if let Some(roots) = roots_at(code, slot, &self.cx.params, &self.cx.network) {
                    let topics = lanes(&roots.topic, &self.cx.network);
                    wanted.extend(topics.iter().map(ToString::to_string));
                }
            }
        }
        let fresh: Vec<String> = wanted.difference(&self.watched).cloned().collect();
        let stale: Vec<String> = self.watched.difference(&wanted).cloned().collect();
        if !fresh.is_empty() {
            self.cx.out.push(Output::Watch(fresh));
        }
        if !stale.is_empty() {
            self.cx.out.push(Output::Unwatch(stale));
        }
        self.next_watched = Some(wanted);
        self.watched_slot = Some(slot);
    }

    pub(super) fn on_connection(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        self.watched.clear();
        self.watched_slot = None;
        self.outbox.reset();
        let next_id = self.history.next_id;
        self.history =
            History { wanted: connected, not_before: self.cx.now, next_id, ..History::default() };
    }

    /// Asks a Store for what was said since the code was made. The whole shard, as catching up does:
    /// the topics would tell the Store which traffic is this device's.
    pub(super) fn fetch(&mut self) {
        if !self.connected || self.history.run.is_some() || !self.history.wanted {
            return;
        }
        self.history.not_before = self.history.not_before.min(self.cx.now + RETRY_MAX);
        let Some(code) = self.record.code() else {
            self.history.wanted = false;
            self.history.attempted = true;
            return;
        };
        if self.cx.now < self.history.not_before {
            return;
        }
        self.history.wanted = false;
        let start = code.made_at().min(self.cx.now) - CATCH_UP_MARGIN;
        let (began, end) = (self.cx.now, self.cx.now + CATCH_UP_MARGIN);
        let id = self.next_query();
        self.ask(Run { id, began, start, end, cursor: None, bytes: 0 });
    }

    pub(super) fn next_query(&mut self) -> QueryId {
        self.history.next_id += 1;
        QueryId(self.history.next_id)
    }

    pub(super) fn ask(&mut self, run: Run) {
        self.cx.out.push(Output::FetchHistory {
            query: run.id,
            topics: Vec::new(),
            start: run.start,
            end: run.end,
            cursor: run.cursor,
            limit: HISTORY_PAGE,
        });
        self.history.run = Some(run);
    }

    pub(super) fn on_page(
        &mut self,
        query: QueryId,
        messages: Vec<Inbound>,
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        let Some(mut run) = self.history.run.take_if(|run| run.id == query) else {
            return Ok(());
        };
        let empty = messages.is_empty();
        for message in messages.into_iter().take(HISTORY_PAGE as usize) {
            let size = message.payload.len().saturating_add(message.topic.len());
            run.bytes = run.bytes.saturating_add(size.max(HISTORY_MESSAGE_COST));
            self.receive(message, false)?;
        }
        let next = cursor.filter(|next| !empty && run.cursor != Some(*next));
        if next.is_some() && run.bytes <= CATCH_UP_BUDGET {
            run.cursor = next;
            run.id = self.next_query();
            self.ask(run);
            return Ok(());
        }
        self.history.attempted = true;
        self.history.failures = 0;
        if next.is_none() {
            self.history.complete_to = self.history.complete_to.max(run.began);
        }
        Ok(())
    }

    pub(super) fn on_history_failed(&mut self, query: QueryId, no_store: bool) {
        if self.history.run.take_if(|run| run.id == query).is_none() {
            return;
        }
        let it = &mut self.history;
        it.attempted = true;
        it.wanted = true;
        it.failures = it.failures.saturating_add(1);
        let pause = if no_store { RETRY_MAX } else { RETRY.pause(it.failures) };
        it.not_before = self.cx.now + pause;
    }

    pub(super) fn receive(&mut self, inbound: Inbound, live: bool) -> Result<(), StepError> {
        let disposition = self.judge(&inbound, live)?;
        self.cx.out.push(Output::Disposed(disposition));
        Ok(())
    }

    pub(super) fn judge(
        &mut self,
        inbound: &Inbound,
        live: bool,
    ) -> Result<Disposition, StepError> {
        let Ok(topic) = ContentTopic::parse(&inbound.topic) else {
            return Ok(Disposition::NotForUs);
        };
        let slot = match sent_in(inbound, &self.cx.params, self.cx.slot(), live) {
            Ok((_, slot)) => slot,
            Err(disposition) => return Ok(disposition),
        };
        let Some(code) = self.record.code() else {
            return Ok(Disposition::NotForUs);
        };
        let ours = roots_at(code, slot, &self.cx.params, &self.cx.network)
            .is_some_and(|roots| lanes(&roots.topic, &self.cx.network).contains(&topic));
        if !ours {
            return Ok(Disposition::NotForUs);
        }
        let opened =
            open_message(code, &topic, &inbound.payload, slot, &self.cx.params, &self.cx.network);
        match opened {
            Ok((message, hash)) => self.on_message(&message, hash),
            Err(disposition) => Ok(disposition),
        }
    }

    pub(super) fn post(&mut self, parcel: Parcel) -> Result<(), StepError> {
        self.outbox.post(&self.cx, parcel, Duration::ZERO)
    }

    pub(super) fn post_said(&mut self) -> Result<(), StepError> {
        let (Some(code), Some(said)) = (self.record.code(), self.record.said()) else {
            return Ok(());
        };
        let address = address(code, self.record.code_until, &self.cx.params);
        let parcel = Parcel { address, frame: said.frame.clone(), item: None };
        self.post(parcel)
    }

    /// Takes out what is not published yet: something newer is said.
    pub(super) fn withdraw(&mut self) -> Result<(), StepError> {
        self.outbox.clear(&self.cx)
    }

    pub(super) fn flush(&mut self) -> Result<(), StepError> {
        self.outbox.expire(&self.cx)?;
        if !self.connected || !self.history.attempted {
            return Ok(());
        }
        self.outbox.flush(&mut self.cx, |cx, address| match address {
            Address::Linking { secret, slot, .. } => sealing(cx, secret, *slot),
            _ => Sealing::Never("a new device speaks at its rendezvous only".into()),
        })
    }
}
