//! What history brings: pages are taken in envelope by envelope, and what is to be fetched next is
//! asked of those who wait for something.

use crate::contact::schedule::period_start;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Inbound, QueryId};
use crate::machine::assembly::Machine;
use crate::machine::net::history::{Failed, Next};
use crate::machine::net::query::{Aim, CardQuery};
use crate::machine::net::watch::Target;
use crate::params::{CLOCK_WARNING, HISTORY_PAGE};
use crate::time::Timestamp;

/// The time in which a card can lie.
fn card_period(card: &CardQuery) -> (Timestamp, Timestamp) {
    (period_start(card.period), period_start(card.period.saturating_add(1)))
}

impl Machine {
    /// Starts a query if one is wanted and none is under way, and writes down how far it is.
    pub(in crate::machine) fn drive_history(&mut self) -> Result<(), StepError> {
        if self.history.is_idle(&mut self.cx) {
            if let Some((request, time)) = self.requests.next_to_seek(&self.cx) {
                self.history.seek(&mut self.cx, request, time);
            } else if let Some((card, topic)) = self.cards.next(&mut self.cx, &self.me)? {
                self.history.look_up(&mut self.cx, card, topic, card_period(&card));
            }
        }
        self.history.save(&self.cx)
    }

    /// When there is something to do next.
    pub(in crate::machine) fn next_history_due(&self) -> Option<Timestamp> {
        let seek = self.requests.next_due();
        self.history.next_due(&self.cx, seek, self.cards.next_due(&self.cx))
    }

    /// Takes in a page.
    pub(in crate::machine) fn on_page(
        &mut self,
        id: QueryId,
        messages: Vec<Inbound>,
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        let Some(mut query) = self.history.answered(id) else { return Ok(()) };
        let empty = messages.is_empty();
        // A Store that answers more than was asked for is not read further than that.
        for message in messages.into_iter().take(HISTORY_PAGE as usize) {
            let size = message.payload.len().saturating_add(message.topic.len());
            let sent_at =
                u64::try_from(message.timestamp_ns).ok().map(|ns| Timestamp(ns / 1_000_000));
            if let Some(at) = sent_at.filter(|at| *at > self.cx.now + CLOCK_WARNING) {
                self.observe_time(at)?;
            }
            if query.count(size, sent_at)
                && let Some(at) = sent_at
            {
                // The own card goes out by the own clock, and confirms nothing.
                let target = self.card_target(&message.topic, message.payload.len(), at);
                if target != Some(Target::Card(self.me.account)) {
                    self.history.note_time(&self.cx, at);
                }
            }
            self.receive(message, false)?;
        }
        let found = match query.aim() {
            Aim::Card(card) => self.cards.was_found(&card),
            _ => false,
        };
        let paced_until = self.doorbells.recovers_at(self.cx.now);
        let next = self.history.go_on(&mut self.cx, query, cursor, empty, found, paced_until);
        match next {
            Next::Asked => Ok(()),
            Next::ByTopic(it) => {
                let topics = self.own_topics(it.slot);
                self.history.ask_by_topic(&mut self.cx, it, topics);
                Ok(())
            }
            Next::Failed(failed) => self.history_failed(failed),
            Next::Ended(ended) => match ended.aim {
                Aim::Everything => {
                    let until = self.history.caught_up(&self.cx, &ended);
                    self.forget_roots()?;
                    if !self.history.is_wanted() {
                        self.conclude_doubts()?;
                    }
                    self.history.tell_caught_up(&mut self.cx, until)
                }
                Aim::Invitation(request) => self.requests.was_sought(&self.cx, &request),
                Aim::Card(card) => self.cards.was_looked_up(&mut self.cx, &card),
            },
        }
    }

    pub(in crate::machine) fn on_history_failed(
        &mut self,
        id: QueryId,
        reason: String,
        no_store: bool,
    ) -> Result<(), StepError> {
        match self.history.on_failed(&self.cx, id, reason, no_store) {
            Some(failed) => self.history_failed(failed),
            None => Ok(()),
        }
    }

    fn history_failed(&mut self, failed: Failed) -> Result<(), StepError> {
        if failed.hopeless || matches!(failed.aim, Aim::Card(_)) {
            self.cards.give_up_own(&self.me);
        }
        if failed.hopeless {
            self.conclude_doubts()?;
            self.cards.could_not_look_up(&mut self.cx, &failed.reason)?;
        }
        self.history.tell_failed(&mut self.cx, failed)
    }

    /// Deletes the values of roots that nothing can need any more.
    fn forget_roots(&mut self) -> Result<(), StepError> {
        let slot = self.history.roots_kept_from(&self.cx);
        self.groups.values_mut().try_for_each(|group| group.forget_roots(&self.cx, slot))
    }
}
