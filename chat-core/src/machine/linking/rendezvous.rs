//! The rendezvous of a linking: one-time topics that both devices derive from the code.

use crate::identity::linking::{LinkingCode, Sealed};
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::cx::Cx;
use crate::machine::net::outbox::Sealing;
use crate::machine::parcel::Address;
use crate::params::{NetworkId, NetworkParams};
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::item::item_hash;
use crate::wire::roots::{Roots, linking_roots};
use crate::wire::topic::ContentTopic;

/// Messages at the rendezvous that are not the other device's, after which no more are tried:
/// somebody who saw the code can write there.
pub(in crate::machine) const MAX_FAILURES: u32 = 64;

/// The roots of a code's rendezvous in a slot; none before it begins.
pub(in crate::machine) fn roots_at(
    code: &LinkingCode,
    slot: Slot,
    params: &NetworkParams,
    network: &NetworkId,
) -> Option<Roots> {
    code.roots(params.slot_secs, network).at(slot, network).ok()
}

/// Where messages of a linking go, until when.
pub(in crate::machine) fn address(
    code: &LinkingCode,
    until: Timestamp,
    params: &NetworkParams,
) -> Address {
    Address::Linking {
        secret: zeroize::Zeroizing::new(*code.secret()),
        slot: Slot::at(code.made_at(), params.slot_secs).previous(),
        until,
    }
}

/// Opens an envelope at a code's rendezvous: the message, and the hash of its bytes.
pub(in crate::machine) fn open_message(
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

/// What the address of a linking comes to now.
pub(in crate::machine) fn sealing(cx: &Cx, secret: &[u8; 32], begins: Slot) -> Sealing {
    let slot = cx.slot();
    if begins > slot {
        return Sealing::From(begins.start(cx.params.slot_secs));
    }
    match linking_roots(secret, begins, &cx.network).at(slot, &cx.network) {
        Ok(roots) => Sealing::Now(roots),
        Err(error) => Sealing::Never(error.to_string()),
    }
}
