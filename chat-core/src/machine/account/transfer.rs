//! Transfers of message history to other installations that are under way. How far one has come is in
//! the database, so it goes on where it was interrupted.

use serde::{Deserialize, Serialize};

use crate::database::Keyed;
use crate::ids::InstallationId;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::time::Timestamp;

/// A transfer that is under way, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Transfer {
    pub(in crate::machine) to: InstallationId,
    /// Messages sent at or after this.
    pub(in crate::machine) since: Timestamp,
    /// Those with a lower row have yet to go.
    pub(in crate::machine) below: u64,
    pub(in crate::machine) sent: u64,
    pub(in crate::machine) total: u64,
}

impl Transfer {
    pub(in crate::machine) fn save(&self, cx: &Cx) -> Result<(), StepError> {
        Ok(cx.db.set_keyed(Keyed::Transfer, self.to.as_bytes(), self)?)
    }

    pub(in crate::machine) fn end(&self, cx: &Cx) -> Result<(), StepError> {
        Ok(cx.db.delete_keyed(Keyed::Transfer, self.to.as_bytes())?)
    }
}

/// Whether any transfer may be under way.
#[derive(Debug)]
pub(in crate::machine) struct Transfers {
    any: bool,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { any: true }
    }
}

impl Transfers {
    /// Begins one.
    pub(in crate::machine) fn begin(
        &mut self,
        cx: &Cx,
        to: InstallationId,
        since: Timestamp,
    ) -> Result<(), StepError> {
        let (below, total) = cx.db.stretch_end(since)?;
        self.any = true;
        Transfer { to, since, below, sent: 0, total }.save(cx)
    }

    /// Those that are under way.
    pub(in crate::machine) fn under_way(&mut self, cx: &Cx) -> Result<Vec<Transfer>, StepError> {
        if !self.any {
            return Ok(Vec::new());
        }
        let all: Vec<Transfer> = cx.db.all_keyed(Keyed::Transfer)?;
        self.any = !all.is_empty();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{GroupId, MessageId};
    use crate::machine::testing::{NOW, context};

    const TO: InstallationId = InstallationId([8; 32]);

    fn add(cx: &Cx, number: u8, sent_at: Timestamp) {
        let (group, message) = (GroupId([1; 32]), MessageId([number; 16]));
        let added = cx.db.add_message(&group, &message, sent_at, &TO, Some(1), false, &());
        assert!(added.unwrap().is_some());
    }

    #[test]
    fn a_transfer_is_of_what_was_there_when_it_began() {
        let cx = context(1);
        let mut transfers = Transfers::default();
        add(&cx, 1, NOW - Duration::from_secs(100));
        add(&cx, 2, NOW);
        add(&cx, 3, NOW);
        transfers.begin(&cx, TO, NOW - Duration::from_secs(10)).unwrap();
        add(&cx, 4, NOW);
        let all = transfers.under_way(&cx).unwrap();
        let [transfer] = &all[..] else { panic!("one transfer") };
        assert_eq!((transfer.to, transfer.sent, transfer.total), (TO, 0, 2));
        let stretch = crate::database::Stretch { since: transfer.since, below: transfer.below };
        let rows = cx.db.newest_messages::<()>(stretch, 100).unwrap();
        let ids: Vec<_> = rows.iter().map(|(_, row)| row.message.0[0]).collect();
        assert_eq!(ids, [3, 2]);
    }

    #[test]
    fn how_far_a_transfer_has_come_survives_a_restart() {
        let cx = context(1);
        add(&cx, 1, NOW);
        Transfers::default().begin(&cx, TO, Timestamp(0)).unwrap();
        let mut transfers = Transfers::default();
        let transfer = transfers.under_way(&cx).unwrap().remove(0);
        Transfer { sent: 1, below: 1, ..transfer }.save(&cx).unwrap();
        let transfer = Transfers::default().under_way(&cx).unwrap().remove(0);
        assert_eq!((transfer.sent, transfer.below), (1, 1));
        transfer.end(&cx).unwrap();
        assert!(transfers.under_way(&cx).unwrap().is_empty());
    }

    #[test]
    fn a_second_transfer_to_one_installation_takes_the_place_of_the_first() {
        let cx = context(1);
        let mut transfers = Transfers::default();
        assert!(transfers.under_way(&cx).unwrap().is_empty());
        transfers.begin(&cx, TO, NOW).unwrap();
        transfers.begin(&cx, TO, Timestamp(0)).unwrap();
        let all = transfers.under_way(&cx).unwrap();
        assert_eq!(all.iter().map(|it| it.since).collect::<Vec<_>>(), [Timestamp(0)]);
    }
}
