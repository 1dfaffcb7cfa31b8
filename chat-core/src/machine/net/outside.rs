//! What can be judged of an envelope from outside.

use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::io::Inbound;
use crate::params::NetworkParams;
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{check_timestamp, is_class};

/// When and in which slot an envelope was sent, if it is of the protocol's and can be judged now.
pub(in crate::machine) fn sent_in(
    inbound: &Inbound,
    params: &NetworkParams,
    now: Slot,
    live: bool,
) -> Result<(Timestamp, Slot), Disposition> {
    let refused = Err(Disposition::Refused(Refused::Envelope));
    if !is_class(inbound.payload.len()) {
        return refused;
    }
    let Ok(ns) = u64::try_from(inbound.timestamp_ns) else {
        return refused;
    };
    if ns % 1_000_000_000 != 0 {
        return refused;
    }
    let timestamp = Timestamp(ns / 1_000_000);
    let slot = Slot::at(timestamp, params.slot_secs);
    if check_timestamp(timestamp, slot, params.slot_secs).is_err() {
        return refused;
    }
    if slot > now.next() || (live && slot < now.previous()) {
        return Err(Disposition::Stale);
    }
    Ok((timestamp, slot))
}
