//! How a new device is heard, and what it listens to and asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::state::{Newcomer, Run};
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Output, QueryId};
use crate::machine::linking::rendezvous::{address, roots_at, sealing};
use crate::machine::net::outbox::Sealing;
use crate::machine::parcel::{Address, Parcel};
use crate::params::{CATCH_UP_MARGIN, HISTORY_PAGE, RETRY_MAX};
use crate::wire::topic::lanes;

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
