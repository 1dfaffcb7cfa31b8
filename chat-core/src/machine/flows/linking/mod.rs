//! Linking, where it touches more than the linking itself: `grantor` is the side that takes a new
//! device in, `arrival` a new device that has its account and is not in the self group yet.

mod arrival;
mod grantor;

use crate::ids::LinkingId;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::linking::rendezvous::open_message;
use crate::time::Slot;
use crate::wire::topic::ContentTopic;

impl Machine {
    /// An envelope at the rendezvous of a linking.
    pub(in crate::machine) fn open_linking(
        &mut self,
        id: LinkingId,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Result<Disposition, StepError> {
        let Some((_, code)) = self.linkings.codes().find(|(known, _)| *known == id) else {
            return Ok(Disposition::NotForUs);
        };
        let (params, network) = (&self.cx.params, &self.cx.network);
        let (message, hash) = match open_message(code, topic, payload, slot, params, network) {
            Ok(opened) => opened,
            Err(disposition) => return Ok(disposition),
        };
        match self.linkings.grants.contains_key(&id) {
            true => self.on_newcomer_message(id, &message, hash),
            false => self.on_grantor_message(&message, hash),
        }
    }

    /// What time brings to the linkings.
    pub(in crate::machine) fn drive_linkings(&mut self) -> Result<(), StepError> {
        self.drive_grants()?;
        self.drive_arrival()
    }
}
