//! The outbox: frames that wait to be published. It holds frames, not envelopes: each attempt seals
//! afresh, under the slot that is current then.
//!
//! A frame leaves in two stages. It is *sent* when a peer was given it: what depends on it may go on, and
//! the next one goes out. It is *published* when it is known to have arrived: only then it is
//! forgotten. What stays unconfirmed is sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backoff::Backoff;
use crate::contact::schedule::CARD_LANE;
use crate::database::Database;
use crate::ids::{EpochId, GroupId};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::io::{OutboxId, Output, PublishFailure};
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::parcel::{Address, Item, Parcel};
use crate::params::{RETRY_MAX, RETRY_MIN};
use crate::time::Timestamp;
use crate::wire::envelope::seal;
use crate::wire::roots::Roots;
use crate::wire::topic;

/// Pauses between attempts to publish.
const RETRY: Backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
/// Publications under way at most: as many as the driver publishes at a time, so that a long outbox
/// does not keep it from taking in anything else.
const MAX_UNDER_WAY: usize = 64;

/// What an address comes to in the present slot.
pub(in crate::machine) enum Sealing {
    /// These roots.
    Now(Roots),
    /// Its topics begin later, since the inviter's clock is ahead or ours was set back; or its group's
    /// queue is held until then.
    From(Timestamp),
    /// Nothing can be sealed for it any more.
    Never(String),
}

#[derive(Debug)]
struct Waiting {
    parcel: Parcel,
    due_at: Timestamp,
    attempts: u32,
    stage: Stage,
}

/// How far an attempt to publish has come. It is not on disk: after a restart everything waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Waiting,
    /// The driver has it.
    UnderWay,
    /// A peer was given it, and whether it arrived is not known yet.
    Sent,
}

/// The outbox in memory; the database holds the same, but for what is under way.
#[derive(Debug, Default)]
pub(in crate::machine) struct Outbox {
    waiting: BTreeMap<u64, Waiting>,
}

impl Outbox {
    /// Reads it from the database. What is under way stays so: it is not published twice because a
    /// step was taken back.
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        let stages: BTreeMap<u64, Stage> =
            self.waiting.iter().map(|(id, it)| (*id, it.stage)).collect();
        self.waiting = db
            .outbox::<Parcel>()?
            .into_iter()
            .map(|row| {
                let waiting = Waiting {
                    parcel: row.data,
                    due_at: row.due_at,
                    attempts: row.attempts,
                    stage: stages.get(&row.id).copied().unwrap_or(Stage::Waiting),
                };
                (row.id, waiting)
            })
            .collect();
        Ok(())
    }

    pub(in crate::machine) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many were sent, and are not known to have arrived.
    pub(in crate::machine) fn unconfirmed(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.stage == Stage::Sent).count()
    }

    /// When something is due next.
    pub(in crate::machine) fn next_due(&self) -> Option<Timestamp> {
        if self.under_way() >= MAX_UNDER_WAY {
            // The next one goes with the result of one of these.
            return None;
        }
        let waiting = self.waiting.values().filter(|waiting| waiting.stage == Stage::Waiting);
        waiting.map(|it| it.due_at).min()
    }

    fn under_way(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.stage == Stage::UnderWay).count()
    }

    /// After the connection was lost nothing is under way. What was sent may have arrived; that is still
    /// to be told.
    pub(in crate::machine) fn reset(&mut self) {
        for waiting in self.waiting.values_mut() {
            if waiting.stage == Stage::UnderWay {
                waiting.stage = Stage::Waiting;
            }
        }
    }

    /// The outputs of a step that hands out these publications never reach the driver.
    pub(in crate::machine) fn take_back(&mut self, out: &[Output]) {
        for output in out {
            if let Output::Publish { outbox, .. } = output
                && let Some(waiting) = self.waiting.get_mut(&outbox.0)
            {
                waiting.stage = Stage::Waiting;
            }
        }
    }

    /// Whether something of an epoch waits: then its roots are still needed.
    pub(in crate::machine) fn uses(&self, epoch: &EpochId) -> bool {
        self.waiting.values().any(|waiting| {
            matches!(&waiting.parcel.address, Address::Group { epoch: used, .. } if used == epoch)
        })
    }

    /// Whether a frame waits to be sent.
    pub(in crate::machine) fn holds(&self, frame: &[u8]) -> bool {
        self.waiting
            .values()
            .any(|waiting| waiting.stage != Stage::Sent && waiting.parcel.frame == frame)
    }

    /// Takes a parcel in, to go out after `delay`.
    pub(in crate::machine) fn post(
        &mut self,
        cx: &Cx,
        parcel: Parcel,
        delay: Duration,
    ) -> Result<(), StepError> {
        let due_at = cx.now + delay;
        let id = cx.db.add_outbox(due_at, &parcel)?;
        self.waiting.insert(id, Waiting { parcel, due_at, attempts: 0, stage: Stage::Waiting });
        Ok(())
    }

    /// Whether something of a group waits.
    pub(in crate::machine) fn has_of(&self, group: &GroupId) -> bool {
        self.waiting.values().any(|waiting| waiting.parcel.address.is_of(group))
    }

    /// After a connection came: doorbells and invitations that waited for it go out each at a time of
    /// its own. What waits in groups is held with them.
    pub(in crate::machine) fn spread(&mut self, cx: &Cx) {
        let apart =
            |address: &Address| matches!(address, Address::Inbox | Address::Invitation { .. });
        let due = self
            .waiting
            .values_mut()
            .filter(|it| it.stage == Stage::Waiting && it.due_at <= cx.now);
        for waiting in due.filter(|it| apart(&it.parcel.address)) {
            waiting.due_at = cx.now + cx.within(cx.params.quiet_delay());
        }
    }

    /// What waits in a group is tried now.
    pub(in crate::machine) fn hurry(&mut self, cx: &Cx, group: &GroupId) {
        for waiting in self.waiting.values_mut().filter(|it| it.parcel.address.is_of(group)) {
            waiting.due_at = waiting.due_at.min(cx.now);
        }
    }

    /// Takes the account's own card of a period out, where it is not under way.
    pub(in crate::machine) fn withdraw_card(
        &mut self,
        cx: &Cx,
        period: u64,
    ) -> Result<(), StepError> {
        self.withdraw(cx, |waiting| {
            let address = &waiting.parcel.address;
            waiting.stage != Stage::UnderWay
                && matches!(address, Address::Card { period: of } if *of == period)
        })
    }

    /// Takes out what waits for the rendezvous of a linking.
    pub(in crate::machine) fn withdraw_linking(
        &mut self,
        cx: &Cx,
        rendezvous: &[u8; 32],
    ) -> Result<(), StepError> {
        self.withdraw(cx, |waiting| {
            matches!(&waiting.parcel.address, Address::Linking { secret, .. }
                if **secret == *rendezvous)
        })
    }

    /// Takes everything out.
    pub(in crate::machine) fn clear(&mut self, cx: &Cx) -> Result<(), StepError> {
        self.withdraw(cx, |_| true)
    }

    fn withdraw(&mut self, cx: &Cx, which: impl Fn(&Waiting) -> bool) -> Result<(), StepError> {
        let gone: Vec<u64> =
            self.waiting.iter().filter(|(_, it)| which(it)).map(|(id, _)| *id).collect();
        for id in gone {
            self.waiting.remove(&id);
            cx.db.delete_outbox(id)?;
        }
        Ok(())
    }

    /// Forgets what nobody listens for any more.
    pub(in crate::machine) fn expire(&mut self, cx: &Cx) -> Result<(), StepError> {
        self.withdraw(cx, |waiting| {
            matches!(&waiting.parcel.address, Address::Linking { until, .. } if *until <= cx.now)
        })
    }

    /// Seals and hands out what is due. `sealing` says what an address comes to now.
    pub(in crate::machine) fn flush(
        &mut self,
        cx: &mut Cx,
        sealing: impl Fn(&Cx, &Address) -> Sealing,
    ) -> Result<(), StepError> {
        let due: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.stage == Stage::Waiting && waiting.due_at <= cx.now)
            .map(|(id, _)| *id)
            .collect();
        let mut free = MAX_UNDER_WAY.saturating_sub(self.under_way());
        for id in due {
            if free == 0 {
                break;
            }
            let Some(waiting) = self.waiting.get_mut(&id) else { continue };
            let address = &waiting.parcel.address;
            let sealed = match sealing(cx, address) {
                Sealing::From(begins) => {
                    cx.db.defer_outbox(id, begins)?;
                    waiting.due_at = begins;
                    continue;
                }
                Sealing::Never(reason) => Err(reason),
                Sealing::Now(roots) => {
                    let mut rng = cx.rng.lock();
                    let lane = match address {
                        Address::Card { .. } => CARD_LANE,
                        _ => topic::lane(&mut *rng),
                    };
                    let (frame, class) = (&waiting.parcel.frame, address.size_class());
                    seal(&mut *rng, &roots, lane, frame, class, cx.now, &cx.params)
                        .map_err(|error| error.to_string())
                }
            };
            match sealed {
                Ok(envelope) => {
                    waiting.stage = Stage::UnderWay;
                    free -= 1;
                    cx.out.push(Output::Publish {
                        outbox: OutboxId(id),
                        topic: envelope.topic.to_string(),
                        payload: envelope.payload.into(),
                        timestamp: envelope.timestamp,
                    });
                }
                Err(reason) => {
                    tracing::warn!(%reason, "something in the outbox cannot be sealed");
                    self.on_published(cx, OutboxId(id), Some(PublishFailure::Refused))?;
                }
            }
        }
        Ok(())
    }

    /// Takes note that a peer was given a publication.
    pub(in crate::machine) fn on_sent(
        &mut self,
        cx: &mut Cx,
        id: OutboxId,
    ) -> Result<(), StepError> {
        let Some(waiting) = self.waiting.get_mut(&id.0) else { return Ok(()) };
        if waiting.stage != Stage::UnderWay {
            // The connection was lost meanwhile, and it goes out again.
            return Ok(());
        }
        waiting.stage = Stage::Sent;
        match waiting.parcel.item {
            Some(Item::Message { group, message }) => cx.tell(Event::Sent { group, message }),
            _ => Ok(()),
        }
    }

    /// Takes note of what became of a publication.
    pub(in crate::machine) fn on_published(
        &mut self,
        cx: &mut Cx,
        id: OutboxId,
        failure: Option<PublishFailure>,
    ) -> Result<(), StepError> {
        let Some(waiting) = self.waiting.get_mut(&id.0) else {
            // It was told twice.
            return Ok(());
        };
        waiting.stage = Stage::Waiting;
        // This device is in the epoch after its commit already: without it, it would be there alone.
        let must_go = waiting.parcel.is_commit();
        let again = matches!(failure, Some(PublishFailure::Retry | PublishFailure::Unconfirmed));
        if again || (failure.is_some() && must_go) {
            waiting.attempts = waiting.attempts.saturating_add(1);
            let pause = match failure {
                Some(PublishFailure::Refused) => RETRY_MAX,
                _ => RETRY.pause(waiting.attempts),
            };
            // Devices that lost the same relay do not come back at the same instant.
            waiting.due_at = cx.now + pause + cx.within(RETRY_MIN);
            cx.db.retry_outbox(id.0, waiting.due_at)?;
            return match (failure, waiting.parcel.item) {
                (Some(PublishFailure::Unconfirmed), Some(Item::Message { group, message })) => {
                    cx.tell(Event::Unconfirmed { group, message })
                }
                _ => Ok(()),
            };
        }
        let item = self.waiting.remove(&id.0).and_then(|waiting| waiting.parcel.item);
        cx.db.delete_outbox(id.0)?;
        match (failure, item) {
            (None, Some(Item::Message { group, message })) => {
                cx.tell(Event::Published { group, message })?;
            }
            (None, Some(Item::Change { group, intent })) => {
                cx.tell(Event::ChangePublished { group, intent })?;
            }
            (Some(_), Some(Item::Message { group, message })) => {
                cx.ask(Effect::Unsendable { group, message });
                let reason = "it cannot be sealed, or the transport refuses it for good".into();
                cx.tell(Event::MessageFailed { group, message, reason })?;
            }
            (Some(_), _) => tracing::error!("an invitation or card cannot be published; dropped"),
            (None, None) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
