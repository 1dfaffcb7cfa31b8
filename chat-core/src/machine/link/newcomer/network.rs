//! How a new device hears and is heard: what it watches and fetches, and what it publishes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::disposition::Disposition;
use super::super::super::error::StepError;
use super::super::super::inbound::sent_in;
use super::super::super::io::{Inbound, OutboxId, Output, PublishFailure, QueryId};
use super::super::super::outbox::{Address, Parcel};
use super::super::{address, linking_roots_at, open_message, roots_at};
use super::{History, Letter, Newcomer, Run};
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, HISTORY_MESSAGE_COST, HISTORY_PAGE, RETRY_MAX, RETRY_MIN,
};
use crate::wire::envelope::{SizeClass, seal};
use crate::wire::topic::{self, ContentTopic, lanes};

impl Newcomer {
    pub(super) fn refresh_watch(&mut self) {
        let slot = self.slot();
        if !self.connected || self.watched_slot == Some(slot) {
            return;
        }
        let mut wanted = BTreeSet::new();
        // Once it has an account, the machine of that watches what is needed.
        if let Some(code) = self.record.code() {
            for slot in [slot.previous(), slot, slot.next()] {
                if let Some(roots) = roots_at(code, slot, &self.params, &self.network) {
                    let topics = lanes(&roots.topic, &self.network);
                    wanted.extend(topics.iter().map(ToString::to_string));
                }
            }
        }
        let fresh: Vec<String> = wanted.difference(&self.watched).cloned().collect();
        let stale: Vec<String> = self.watched.difference(&wanted).cloned().collect();
        if !fresh.is_empty() {
            self.out.push(Output::Watch(fresh));
        }
        if !stale.is_empty() {
            self.out.push(Output::Unwatch(stale));
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
        self.letters.values_mut().for_each(|letter| letter.in_flight = false);
        let next_id = self.history.next_id;
        self.history =
            History { wanted: connected, not_before: self.now, next_id, ..History::default() };
    }

    /// Asks a Store for what was said since the code was made. The whole shard, as catching up does:
    /// the topics would tell the Store which traffic is this device's.
    pub(super) fn fetch(&mut self) {
        if !self.connected || self.history.run.is_some() || !self.history.wanted {
            return;
        }
        self.history.not_before = self.history.not_before.min(self.now + RETRY_MAX);
        let Some(code) = self.record.code() else {
            self.history.wanted = false;
            self.history.attempted = true;
            return;
        };
        if self.now < self.history.not_before {
            return;
        }
        self.history.wanted = false;
        let start = code.made_at().min(self.now) - CATCH_UP_MARGIN;
        let (began, end) = (self.now, self.now + CATCH_UP_MARGIN);
        let id = self.next_query();
        self.ask(Run { id, began, start, end, cursor: None, bytes: 0 });
    }

    pub(super) fn next_query(&mut self) -> QueryId {
        self.history.next_id += 1;
        QueryId(self.history.next_id)
    }

    pub(super) fn ask(&mut self, run: Run) {
        self.out.push(Output::FetchHistory {
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
        let pause = match no_store {
            true => RETRY_MAX,
            false => RETRY_MIN.saturating_mul(1 << it.failures.min(10)).min(RETRY_MAX),
        };
        it.not_before = self.now + pause;
    }

    pub(super) fn receive(&mut self, inbound: Inbound, live: bool) -> Result<(), StepError> {
        let disposition = self.judge(&inbound, live)?;
        self.out.push(Output::Disposed(disposition));
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
        let slot = match sent_in(inbound, &self.params, self.slot(), live) {
            Ok((_, slot)) => slot,
            Err(disposition) => return Ok(disposition),
        };
        let Some(code) = self.record.code() else {
            return Ok(Disposition::NotForUs);
        };
        let ours = roots_at(code, slot, &self.params, &self.network)
            .is_some_and(|roots| lanes(&roots.topic, &self.network).contains(&topic));
        if !ours {
            return Ok(Disposition::NotForUs);
        }
        let opened =
            open_message(code, &topic, &inbound.payload, slot, &self.params, &self.network);
        match opened {
            Ok((message, hash)) => self.on_message(&message, hash),
            Err(disposition) => Ok(disposition),
        }
    }

    pub(super) fn post(&mut self, parcel: Parcel) -> Result<(), StepError> {
        let due_at = self.now;
        let id = self.store.add_outbox(due_at, &parcel)?;
        self.letters.insert(id, Letter { parcel, due_at, attempts: 0, in_flight: false });
        Ok(())
    }

    pub(super) fn post_said(&mut self) -> Result<(), StepError> {
        let (Some(code), Some(said)) = (self.record.code(), self.record.said()) else {
            return Ok(());
        };
        let address = address(code, self.record.code_until, &self.params);
        let parcel = Parcel { address, frame: said.frame.clone(), item: None };
        self.post(parcel)
    }

    /// Takes out what is not published yet: something newer is said.
    pub(super) fn withdraw(&mut self) -> Result<(), StepError> {
        for id in std::mem::take(&mut self.letters).into_keys() {
            self.store.delete_outbox(id)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), StepError> {
        let over: Vec<u64> = self
            .letters
            .iter()
            .filter(|(_, letter)| {
                matches!(letter.parcel.address, Address::Linking { until, .. } if until <= self.now)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.letters.remove(&id);
            self.store.delete_outbox(id)?;
        }
        if !self.connected || !self.history.attempted {
            return Ok(());
        }
        let slot = self.slot();
        for (id, letter) in &mut self.letters {
            if letter.in_flight || letter.due_at > self.now {
                continue;
            }
            let Address::Linking { secret, slot: begin, .. } = &letter.parcel.address else {
                continue;
            };
            let sealed = linking_roots_at(secret, *begin, slot, &self.network).and_then(|roots| {
                let mut rng = self.rng.lock();
                let lane = topic::lane(&mut *rng);
                let (frame, class) = (&letter.parcel.frame, SizeClass::Fit);
                seal(&mut *rng, &roots, lane, frame, class, self.now, &self.params)
                    .map_err(|error| error.to_string())
            });
            match sealed {
                Ok(envelope) => {
                    letter.in_flight = true;
                    self.out.push(Output::Publish {
                        outbox: OutboxId(*id),
                        topic: envelope.topic.to_string(),
                        payload: envelope.payload.into(),
                        timestamp: envelope.timestamp,
                    });
                }
                Err(reason) => {
                    // The clock was set back: there is no topic yet.
                    tracing::warn!(%reason, "a message of the linking cannot be sealed now");
                    letter.due_at = self.now + RETRY_MAX;
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_published(
        &mut self,
        id: OutboxId,
        failure: Option<PublishFailure>,
    ) -> Result<(), StepError> {
        let Some(letter) = self.letters.get_mut(&id.0) else {
            return Ok(());
        };
        letter.in_flight = false;
        if failure == Some(PublishFailure::Retry) {
            letter.attempts = letter.attempts.saturating_add(1);
            let pause = RETRY_MIN.saturating_mul(1 << letter.attempts.min(10)).min(RETRY_MAX);
            let jitter = Duration::from_millis(self.rng.below(RETRY_MIN.as_millis() as u64));
            letter.due_at = self.now + pause + jitter;
            let due_at = letter.due_at;
            return Ok(self.store.retry_outbox(id.0, due_at)?);
        }
        self.letters.remove(&id.0);
        Ok(self.store.delete_outbox(id.0)?)
    }
}
