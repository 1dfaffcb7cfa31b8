//! The linkings of a machine: those that it grants, and the one by which it came to be.

use std::collections::BTreeMap;

use super::grant::GrantRecord;
use super::record::NewcomerRecord;
use super::rendezvous::roots_at;
use super::repeated::Repeated;
use crate::database::Database;
use crate::identity::linking::LinkingCode;
use crate::ids::LinkingId;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::time::{Slot, Timestamp};
use crate::wire::roots::Roots;

/// Where the linkings that this device grants are in the database.
const GRANTS: &str = "linkings";

/// The linkings of a machine.
#[derive(Debug, Default)]
pub(in crate::machine) struct Linkings {
    pub(in crate::machine) grants: BTreeMap<LinkingId, GrantRecord>,
    /// Its own, on a device that was linked and has yet to enter the self group.
    pub(in crate::machine) arrival: Option<NewcomerRecord>,
}

impl Linkings {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        let grants: Vec<GrantRecord> = db.meta(GRANTS)?.unwrap_or_default();
        self.grants = grants.into_iter().map(|grant| (grant.id, grant)).collect();
        self.arrival = NewcomerRecord::load(db)?;
        Ok(())
    }

    pub(in crate::machine) fn save_grants(&self, cx: &Cx) -> Result<(), StepError> {
        let grants: Vec<_> = self.grants.values().collect();
        Ok(cx.db.set_meta(GRANTS, &grants)?)
    }

    pub(in crate::machine) fn save_arrival(&self, cx: &Cx) -> Result<(), StepError> {
        self.arrival.iter().try_for_each(|record| record.save(&cx.db))
    }

    /// The codes whose rendezvous are watched.
    pub(in crate::machine) fn codes(&self) -> impl Iterator<Item = (LinkingId, &LinkingCode)> {
        let grants = self.grants.values().filter_map(|grant| Some((grant.id, grant.code()?)));
        let arrival = self.arrival.iter().filter_map(|it| Some((it.id, it.code()?)));
        grants.chain(arrival)
    }

    /// The roots of each rendezvous in a slot.
    pub(in crate::machine) fn roots(&self, cx: &Cx, slot: Slot) -> Vec<(LinkingId, Roots)> {
        self.codes()
            .filter_map(|(id, code)| Some((id, roots_at(code, slot, &cx.params, &cx.network)?)))
            .collect()
    }

    /// When something of them ends.
    pub(in crate::machine) fn next_end(&self) -> Option<Timestamp> {
        let grants = self.grants.values().filter(|it| it.code().is_some()).map(|it| it.until);
        let arrival = self.arrival.iter().filter(|it| it.code().is_some()).map(|it| it.until);
        grants.chain(arrival).min()
    }

    /// When something is to be said again that does not wait in the outbox.
    pub(in crate::machine) fn next_repeat(
        &self,
        is_posted: impl Fn(&[u8]) -> bool,
    ) -> Option<Timestamp> {
        let grants = self.grants.values().filter_map(GrantRecord::said);
        let arrival = self.arrival.iter().filter_map(NewcomerRecord::said);
        let said = grants.chain(arrival).filter(|said| !is_posted(&said.frame));
        said.filter_map(Repeated::due).min()
    }
}

#[cfg(test)]
#[path = "linkings_tests.rs"]
mod tests;
