//! The account's own card: when this installation publishes it.
//!
//! Its time follows from the card secret and the period, so it says nothing of the user's doings. The
//! installations of an account wait for one another, in an order that changes from period to
//! period: the one whose turn it is publishes, and one that sees the card does not. Where the time
//! passed with none of them up, the first that comes publishes after a random delay. So it does
//! before the time, too, where there is no card of the period before either: a new account, or one
//! whose device is up for an hour a day, would else have none for days.

use std::collections::BTreeMap;
use std::time::Duration;

use super::me::Me;
use crate::contact::card::Card;
use crate::contact::schedule::card_time;
use crate::database::Database;
use crate::ids::AccountId;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::params::{CARD_LATE_DELAY, CARD_MARGIN};
use crate::time::Timestamp;

/// The last period whose card is out, in the database.
const OUT: &str = "card_out";
/// The period whose card is late, and the moment drawn for it, in the database: a device that comes
/// for a minute now and then would otherwise begin to wait anew each time.
const LATE: &str = "card_late";
/// Longest delay of a card that was late already when this device was there last.
const COME_BACK: Duration = Duration::from_secs(10);

/// When this installation publishes the card of a period, if no other does before.
#[derive(Debug, Clone, Copy)]
struct Plan {
    period: u64,
    at: Timestamp,
    /// Whether a Store is asked for it first: another installation may have published it while this
    /// one was away.
    ask: bool,
}

/// What is to be done about the card now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum CardTurn {
    Wait,
    /// A Store is asked for the card first.
    AskFirst,
    /// It is time: the card of this period is to be published.
    Publish(u64),
}

/// Where the account's own card stands.
#[derive(Debug, Default)]
pub(in crate::machine) struct OwnCard {
    /// The period whose card is out: published here, or seen.
    out: Option<u64>,
    plan: Option<Plan>,
    /// The last periods of whose cards a rollback was told.
    told: BTreeMap<AccountId, u64>,
}

impl OwnCard {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        self.out = db.meta(OUT)?;
        Ok(())
    }

    /// When the connection comes or goes, or the log changes: what was planned for a time at which
    /// this installation was not there, or by an order that changed, is planned anew.
    pub(in crate::machine) fn forget_plan(&mut self) {
        self.plan = None;
    }

    /// When the card is due.
    pub(in crate::machine) fn next_due(&self) -> Option<Timestamp> {
        self.plan.filter(|plan| self.out != Some(plan.period)).map(|plan| plan.at)
    }

    /// What is to be done now. `sought`: a Store is being asked for the card. Where it says
    /// [`CardTurn::Publish`], the card counts as published.
    pub(in crate::machine) fn turn(
        &mut self,
        cx: &Cx,
        me: &Me,
        sought: bool,
    ) -> Result<CardTurn, StepError> {
        let period = Card::counter_at(cx.now);
        if self.out == Some(period) {
            return Ok(CardTurn::Wait);
        }
        let plan = match self.plan.filter(|plan| plan.period == period) {
            Some(plan) => plan,
            None => self.plan(cx, me, period)?,
        };
        self.plan = Some(Plan { ask: false, ..plan });
        if plan.ask {
            return Ok(CardTurn::AskFirst);
        }
        if cx.now < plan.at || sought {
            return Ok(CardTurn::Wait);
        }
        self.set_out(cx, period)?;
        Ok(CardTurn::Publish(period))
    }

    fn plan(&self, cx: &Cx, me: &Me, period: u64) -> Result<Plan, StepError> {
        let due = card_time(&me.card_secret, period, &cx.network) + place_in_order(cx, me, period);
        let last_is_out = self.out.is_some_and(|out| out.saturating_add(1) == period);
        if cx.now <= due && last_is_out {
            return Ok(Plan { period, at: due, ask: false });
        }
        let slot = Duration::from_secs(cx.params.slot_secs);
        let random = |most: Duration| {
            let most = slot.min(most).as_millis() as u64;
            cx.now + Duration::from_millis(cx.rng.below(most.saturating_add(1)))
        };
        let at = match cx.db.meta::<(u64, Timestamp)>(LATE)? {
            Some((of, at)) if of == period => {
                at.max(random(COME_BACK)).min(random(CARD_LATE_DELAY))
            }
            _ => random(CARD_LATE_DELAY),
        };
        cx.db.set_meta(LATE, &(period, at))?;
        // Nobody but this installation can have published it, if it is the only one.
        Ok(Plan { period, at, ask: me.log().state().active.len() > 1 })
    }

    fn set_out(&mut self, cx: &Cx, period: u64) -> Result<(), StepError> {
        self.out = Some(period);
        Ok(cx.db.set_meta(OUT, &period)?)
    }

    /// A card of the account's was seen that another installation published.
    pub(in crate::machine) fn was_seen(&mut self, cx: &Cx, period: u64) -> Result<(), StepError> {
        if period <= Card::counter_at(cx.now) && self.out.is_none_or(|out| out < period) {
            self.set_out(cx, period)?;
            // With the last one out, the next has its time.
            self.forget_plan();
        }
        Ok(())
    }

    /// Refuses a card, of this account or a contact's, whose log lacks what is known.
    pub(in crate::machine) fn refuse_rollback(
        &mut self,
        cx: &mut Cx,
        card: &Card,
    ) -> Result<Disposition, StepError> {
        let (account, installation) = (card.account(), card.signer());
        tracing::warn!(?account, ?installation, "a card lacks entries of the log that are known");
        // History is fetched more than once.
        let period = card.content().counter;
        if self.told.get(&account).is_none_or(|told| *told < period) {
            self.told.insert(account, period);
            cx.tell(Event::CardRollback { account, installation })?;
        }
        Ok(Disposition::Refused(Refused::Rollback))
    }
}

/// How long this installation leaves the card of a period to the others.
fn place_in_order(cx: &Cx, me: &Me, period: u64) -> Duration {
    let state = me.log().state();
    let count = state.active.len().max(1) as u64;
    let place = state.active.keys().position(|id| *id == me.id()).unwrap_or(0) as u64;
    let turn = (place + period % count) % count;
    Duration::from_millis(cx.params.rank_delay_ms.saturating_mul(turn)).min(CARD_MARGIN / 2)
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
