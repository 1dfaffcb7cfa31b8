//! How a new device hears.

use super::state::{History, Newcomer, RETRY};
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Inbound, Output, QueryId};
use crate::machine::linking::rendezvous::{open_message, roots_at};
use crate::machine::net::outside::sent_in;
use crate::params::{CATCH_UP_BUDGET, HISTORY_MESSAGE_COST, HISTORY_PAGE, RETRY_MAX};
use crate::wire::topic::{ContentTopic, lanes};

impl Newcomer {
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
}
