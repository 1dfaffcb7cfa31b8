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
