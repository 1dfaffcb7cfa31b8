//! The outbox: frames that wait to be published. It holds frames, not envelopes: each attempt seals
//! afresh, under the slot that is current then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Machine;
use super::error::StepError;
use super::event::Event;
use super::io::{OutboxId, Output, PublishFailure};
use super::link::linking_roots_at;
use crate::contact::card::Card;
use crate::contact::schedule::CARD_LANE;
use crate::ids::{EpochId, GroupId, ItemHash};
use crate::params::{RETRY_MAX, RETRY_MIN};
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{SizeClass, seal};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::roots::{Roots, card_roots, inbox_roots, invitation_roots};
use crate::wire::topic;

/// Under which roots something is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Address {
    /// Those of a group's state.
    Group {
        /// The group.
        group: GroupId,
        /// The state: a commit's parent, a message's own.
        epoch: EpochId,
    },
    /// The network's inbox.
    Inbox,
    /// The one-time roots of an invitation.
    Invitation {
        /// Their secret.
        secret: Zeroizing<[u8; 32]>,
        /// The slot that they begin in.
        slot: Slot,
    },
    /// The meeting place of a linking.
    Linking {
        /// The code's secret.
        secret: Zeroizing<[u8; 32]>,
        /// The slot that its roots begin in.
        slot: Slot,
        /// When nobody is there any more: what is not published by then never is.
        until: Timestamp,
    },
    /// Those of the own card of a period.
    Card {
        /// The period.
        period: u64,
    },
}

/// What waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// Where to.
    pub(super) address: Address,
    /// The encoded frame.
    #[serde(with = "serde_bytes_vec")]
    pub(super) frame: Vec<u8>,
    /// The item whose publication the application is told of.
    pub(super) item: Option<(GroupId, ItemHash)>,
}

impl Parcel {
    fn is_commit(&self) -> bool {
        Frame::decode(&self.frame).is_ok_and(|frame| frame.kind == FrameKind::Commit)
    }
}

/// Bytes as bytes, which MessagePack would otherwise write as a list of numbers.
pub(super) mod serde_bytes_vec {
    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        struct Read;
        impl de::Visitor<'_> for Read {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        d.deserialize_byte_buf(Read)
    }
}

/// A parcel in memory.
#[derive(Debug)]
pub(super) struct Waiting {
    parcel: Parcel,
    due_at: Timestamp,
    attempts: u32,
    in_flight: bool,
}

/// The outbox in memory; the database holds the same.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<u64, Waiting>);

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.0.values().filter(|waiting| !waiting.in_flight).map(|waiting| waiting.due_at).min()
    }

    /// After the connection was lost nothing is under way.
    pub(super) fn reset(&mut self) {
        self.0.values_mut().for_each(|waiting| waiting.in_flight = false);
    }

    /// Whether something of a state waits: then its roots are still needed.
    pub(super) fn uses(&self, epoch: &EpochId) -> bool {
        self.0.values().any(|waiting| {
            matches!(&waiting.parcel.address, Address::Group { epoch: used, .. } if used == epoch)
        })
    }
}

impl Outbox {
    /// The own card of a period, where it waits and is not under way.
    fn waiting_card(&self, period: u64) -> Option<u64> {
        let waits = |waiting: &Waiting| {
            let address = &waiting.parcel.address;
            !waiting.in_flight && matches!(address, Address::Card { period: of } if *of == period)
        };
        self.0.iter().find(|(_, waiting)| waits(waiting)).map(|(id, _)| *id)
    }
}

impl Machine {
    /// Takes the own card of a period out, where it has not gone yet.
    pub(super) fn withdraw_card(&mut self, period: u64) -> Result<(), StepError> {
        match self.outbox.waiting_card(period) {
            Some(id) => {
                self.outbox.0.remove(&id);
                Ok(self.store.delete_outbox(id)?)
            }
            None => Ok(()),
        }
    }

    pub(super) fn load_outbox(&mut self) -> Result<(), StepError> {
        self.outbox = Outbox(
            self.store
                .outbox::<Parcel>()?
                .into_iter()
                .map(|row| {
                    let waiting = Waiting {
                        parcel: row.data,
                        due_at: row.due_at,
                        attempts: row.attempts,
                        in_flight: false,
                    };
                    (row.id, waiting)
                })
                .collect(),
        );
        Ok(())
    }

    /// Puts something into the outbox, to go out after `delay`.
    pub(super) fn post(&mut self, parcel: Parcel, delay: Duration) -> Result<(), StepError> {
        let due_at = self.now + delay;
        let id = self.store.add_outbox(due_at, &parcel)?;
        self.outbox.0.insert(id, Waiting { parcel, due_at, attempts: 0, in_flight: false });
        Ok(())
    }

    /// Whether a frame waits.
    pub(super) fn is_posted(&self, frame: &[u8]) -> bool {
        self.outbox.0.values().any(|waiting| waiting.parcel.frame == frame)
    }

    /// Takes out what waits for the meeting place of a linking.
    pub(super) fn withdraw_from(&mut self, meeting: &[u8; 32]) -> Result<(), StepError> {
        self.withdraw_linkings(|secret, _| secret == meeting)
    }

    fn withdraw_linkings(
        &mut self,
        which: impl Fn(&[u8; 32], Timestamp) -> bool,
    ) -> Result<(), StepError> {
        let there = |waiting: &Waiting| {
            matches!(&waiting.parcel.address, Address::Linking { secret, until, .. }
                if which(secret, *until))
        };
        let gone: Vec<u64> =
            self.outbox.0.iter().filter(|(_, it)| there(it)).map(|(id, _)| *id).collect();
        for id in gone {
            self.outbox.0.remove(&id);
            self.store.delete_outbox(id)?;
        }
        Ok(())
    }

    /// Seals and hands out what is due. Waits for catching up: a device does not send before.
    pub(super) fn flush_outbox(&mut self) -> Result<(), StepError> {
        let now = self.now;
        self.withdraw_linkings(|_, until| until <= now)?;
        if !self.connected || !self.may_send() {
            return Ok(());
        }
        let due: Vec<u64> = self
            .outbox
            .0
            .iter()
            .filter(|(_, waiting)| !waiting.in_flight && waiting.due_at <= self.now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(waiting) = self.outbox.0.get(&id) else {
                continue;
            };
            if let Some(begins) = self.roots_begin(&waiting.parcel.address) {
                // Whoever invited us has a clock ahead, or ours was set back: there is no topic yet.
                self.store.defer_outbox(id, begins)?;
                if let Some(waiting) = self.outbox.0.get_mut(&id) {
                    waiting.due_at = begins;
                }
                continue;
            }
            let sealed = self.roots_for(&waiting.parcel.address).and_then(|roots| {
                let class = match waiting.parcel.address {
                    Address::Inbox => SizeClass::Doorbell,
                    Address::Card { .. } => SizeClass::Card,
                    _ => SizeClass::Fit,
                };
                let mut rng = self.rng.lock();
                let lane = match waiting.parcel.address {
                    Address::Card { .. } => CARD_LANE,
                    _ => topic::lane(&mut *rng),
                };
                seal(&mut *rng, &roots, lane, &waiting.parcel.frame, class, self.now, &self.params)
                    .map_err(|error| error.to_string())
            });
            match sealed {
                Ok(envelope) => {
                    if let Some(waiting) = self.outbox.0.get_mut(&id) {
                        waiting.in_flight = true;
                    }
                    self.out.push(Output::Publish {
                        outbox: OutboxId(id),
                        topic: envelope.topic.to_string(),
                        payload: envelope.payload.into(),
                        timestamp: envelope.timestamp,
                    });
                }
                Err(reason) => {
                    tracing::warn!(%reason, "something in the outbox cannot be sealed");
                    self.on_published(OutboxId(id), Some(PublishFailure::Refused))?;
                }
            }
        }
        Ok(())
    }

    /// When the topics of an address begin, where that is still to come.
    fn roots_begin(&self, address: &Address) -> Option<Timestamp> {
        let slot = self.slot();
        let begins = match address {
            Address::Inbox | Address::Card { .. } => return None,
            Address::Invitation { slot, .. } | Address::Linking { slot, .. } => *slot,
            Address::Group { group, epoch } => {
                let group = self.groups.get(group)?;
                let state = group.states.get(epoch).or_else(|| group.current().ok())?;
                group.lines.get(&state.topic_line(slot))?.slot()
            }
        };
        (begins > slot).then(|| begins.start(self.params.slot_secs))
    }

    fn roots_for(&self, address: &Address) -> Result<Roots, String> {
        let slot = self.slot();
        match address {
            Address::Inbox => Ok(inbox_roots(&self.network, slot)),
            Address::Invitation { secret, slot: begin } => {
                invitation_roots(secret, *begin, &self.network)
                    .at(slot, &self.network)
                    .map_err(|error| error.to_string())
            }
            Address::Linking { secret, slot: begin, .. } => {
                linking_roots_at(secret, *begin, slot, &self.network)
            }
            Address::Group { group, epoch } => {
                let group = self.groups.get(group).ok_or("the group is not there")?;
                let state = match group.states.get(epoch) {
                    Some(state) => state,
                    None => group.current().map_err(|error| error.to_string())?,
                };
                group.lines.roots(state, slot, &self.network).map_err(|error| error.to_string())
            }
            Address::Card { period } => match Card::counter_at(self.now) == *period {
                true => {
                    Ok(card_roots(self.me.card_secret.as_bytes(), *period, slot, &self.network))
                }
                false => Err("the period of the card is over".into()),
            },
        }
    }

    /// Takes note of what became of a publication.
    pub(super) fn on_published(
        &mut self,
        id: OutboxId,
        failure: Option<PublishFailure>,
    ) -> Result<(), StepError> {
        let Some(waiting) = self.outbox.0.get_mut(&id.0) else {
            // It was told twice.
            return Ok(());
        };
        waiting.in_flight = false;
        // This device is in the state after its commit already: without it, it would be there alone.
        let must_go = waiting.parcel.is_commit();
        if failure == Some(PublishFailure::Retry) || (failure.is_some() && must_go) {
            waiting.attempts = waiting.attempts.saturating_add(1);
            let attempts = waiting.attempts;
            let pause = match failure {
                Some(PublishFailure::Refused) => RETRY_MAX,
                _ => RETRY_MIN.saturating_mul(1 << attempts.min(10)).min(RETRY_MAX),
            };
            // Devices that lost the same relay do not come back at the same instant.
            let jitter = Duration::from_millis(self.rng.below(RETRY_MIN.as_millis() as u64));
            let due_at = self.now + pause + jitter;
            self.store.retry_outbox(id.0, due_at)?;
            if let Some(waiting) = self.outbox.0.get_mut(&id.0) {
                waiting.due_at = due_at;
            }
            return Ok(());
        }
        let waiting = self.outbox.0.remove(&id.0);
        self.store.delete_outbox(id.0)?;
        match (failure, waiting.and_then(|waiting| waiting.parcel.item)) {
            (None, Some((group, item))) => self.tell(Event::Published { group, item })?,
            (Some(_), Some((group, item))) => self.tell(Event::PublishFailed { group, item })?,
            (Some(_), None) => {
                tracing::error!("an invitation or card cannot be published; dropped")
            }
            _ => {}
        }
        Ok(())
    }
}
