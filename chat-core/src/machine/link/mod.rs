//! Linking a device, as the two machines that take part in it live through it.
//!
//! `newcomer` is the new device until it has an account; `arrival` is what remains of that once it
//! is a [`Machine`](super::Machine); `grantor` is the installation that takes it in. What they say
//! is in [`identity::linking`](crate::identity::linking).
//!
//! Whoever waits for an answer repeats its message, ever more seldom; whoever is asked again says
//! the same again. So messages may be lost, doubled and late, and either device may be off for a
//! while: what it needs to go on is written in the transaction of the step that it follows from.

mod arrival;
mod grantor;
mod newcomer;
mod record;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use newcomer::Newcomer;
pub use view::{LinkState, LinkView, NewcomerState, NewcomerView};

use super::Machine;
use super::disposition::{Disposition, Refused};
use super::error::StepError;
use super::outbox::Address;
use crate::identity::linking::{LinkingCode, Sealed};
use crate::ids::LinkingId;
use crate::params::{LINKING_REPEAT_MAX, LINKING_REPEAT_MIN, NetworkId, NetworkParams};
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::item::item_hash;
use crate::wire::roots::Roots;
use crate::wire::topic::ContentTopic;
use grantor::GrantRecord;
use record::NewcomerRecord;

/// Where the linkings that this device grants are in the database.
const GRANTS: &str = "linkings";
/// Where the own linking of a new device is in the database.
const NEWCOMER: &str = "newcomer";
/// Messages at the meeting place that are none of the other device's, after which no more are tried:
/// who saw the code can write there.
const MAX_FAILURES: u32 = 64;

/// The last own message, for as long as the other device may not have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    #[serde(with = "serde_bytes")]
    frame: Vec<u8>,
    /// Whether an answer is awaited; otherwise it is said again only when asked for.
    asks: bool,
    /// Not again before.
    at: Timestamp,
    times: u32,
}

impl Said {
    fn new(body: Vec<u8>, asks: bool, now: Timestamp) -> Self {
        let frame = Frame::new(FrameKind::Linking, body).encode();
        Self { frame, asks, at: now + LINKING_REPEAT_MIN, times: 1 }
    }

    /// When it is to be said again, if it asks for something.
    fn due(&self) -> Option<Timestamp> {
        self.asks.then_some(self.at)
    }

    fn again(&mut self, now: Timestamp) {
        let pause =
            LINKING_REPEAT_MIN.saturating_mul(1 << self.times.min(16)).min(LINKING_REPEAT_MAX);
        self.at = now + pause;
        self.times = self.times.saturating_add(1);
    }
}

/// The roots of a code's meeting place in a slot; none before it begins.
fn roots_at(
    code: &LinkingCode,
    slot: Slot,
    params: &NetworkParams,
    network: &NetworkId,
) -> Option<Roots> {
    code.roots(params.slot_secs, network).at(slot, network).ok()
}

/// Where messages of a linking go, until when.
fn address(code: &LinkingCode, until: Timestamp, params: &NetworkParams) -> Address {
    Address::Linking {
        secret: zeroize::Zeroizing::new(*code.secret()),
        slot: Slot::at(code.made_at(), params.slot_secs).previous(),
        until,
    }
}

/// Opens an envelope at a code's meeting place: the message, and the hash of its bytes.
fn open_message(
    code: &LinkingCode,
    topic: &ContentTopic,
    payload: &[u8],
    slot: Slot,
    params: &NetworkParams,
    network: &NetworkId,
) -> Result<(Sealed, [u8; 32]), Disposition> {
    let roots = roots_at(code, slot, params, network).ok_or(Disposition::NotForUs)?;
    let key = EnvelopeKey::derive(&roots.seal, network);
    let frame =
        envelope::open(&key, topic, payload).map_err(|_| Disposition::Refused(Refused::Seal))?;
    let body = match Frame::decode(&frame) {
        Ok(frame) if frame.kind == FrameKind::Linking => frame.body,
        _ => return Err(Disposition::Refused(Refused::Frame)),
    };
    let message = Sealed::decode(&body).map_err(|_| Disposition::Refused(Refused::Content))?;
    Ok((message, item_hash(&body).0))
}

/// The linkings of a machine.
#[derive(Debug, Default)]
pub(super) struct Links {
    grants: BTreeMap<LinkingId, GrantRecord>,
    /// The own one, on a device that was linked and has yet to enter the self group.
    arrival: Option<NewcomerRecord>,
}

impl Links {
    /// The codes whose meeting places are watched.
    pub(super) fn codes(&self) -> impl Iterator<Item = (LinkingId, &LinkingCode)> {
        let grants = self.grants.values().filter_map(|grant| Some((grant.id, grant.code()?)));
        let arrival = self.arrival.iter().filter_map(|it| Some((it.id, it.code()?)));
        grants.chain(arrival)
    }

    /// When something of them ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        let grants = self.grants.values().filter(|it| it.code().is_some()).map(|it| it.until);
        let arrival = self.arrival.iter().filter(|it| it.code().is_some()).map(|it| it.until);
        grants.chain(arrival).min()
    }
}

/// The roots of an address of a linking in a slot.
pub(super) fn linking_roots_at(
    secret: &[u8; 32],
    begin: Slot,
    slot: Slot,
    network: &NetworkId,
) -> Result<Roots, String> {
    crate::wire::roots::linking_roots(secret, begin, network)
        .at(slot, network)
        .map_err(|error| error.to_string())
}

impl Machine {
    pub(super) fn load_links(&mut self) -> Result<(), StepError> {
        let grants: Vec<GrantRecord> = self.store.meta(GRANTS)?.unwrap_or_default();
        self.links.grants = grants.into_iter().map(|grant| (grant.id, grant)).collect();
        self.links.arrival = self.store.meta(NEWCOMER)?;
        Ok(())
    }

    /// The roots of a linking's meeting place in a slot, for finding its topics.
    pub(super) fn link_topics(&self, slot: Slot) -> Vec<(LinkingId, Roots)> {
        self.links
            .codes()
            .filter_map(|(id, code)| Some((id, roots_at(code, slot, &self.params, &self.network)?)))
            .collect()
    }

    /// An envelope at the meeting place of a linking.
    pub(super) fn on_link_envelope(
        &mut self,
        id: LinkingId,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Result<Disposition, StepError> {
        let Some((_, code)) = self.links.codes().find(|(known, _)| *known == id) else {
            return Ok(Disposition::NotForUs);
        };
        let opened = open_message(code, topic, payload, slot, &self.params, &self.network);
        let (message, hash) = match opened {
            Ok(opened) => opened,
            Err(disposition) => return Ok(disposition),
        };
        match self.links.grants.contains_key(&id) {
            true => self.on_newcomer_message(id, &message, hash),
            false => self.on_grantor_message(&message, hash),
        }
    }

    /// When something of them is to be said again.
    pub(super) fn next_link_repeat(&self) -> Option<Timestamp> {
        let grants = self.links.grants.values().filter_map(GrantRecord::said);
        let arrival = self.links.arrival.iter().filter_map(NewcomerRecord::said);
        let said = grants.chain(arrival).filter(|said| !self.is_posted(&said.frame));
        said.filter_map(Said::due).min()
    }

    /// What time brings to the linkings.
    pub(super) fn drive_links(&mut self) -> Result<(), StepError> {
        self.drive_grants()?;
        self.drive_arrival()
    }

    /// What is watched has changed.
    fn links_changed(&mut self) {
        self.index.clear();
        self.watch_changed = true;
    }
}
