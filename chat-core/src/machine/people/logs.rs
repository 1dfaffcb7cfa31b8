//! The installation logs of other accounts, where a commit or a card showed one. They only grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::database::Keyed;
use crate::group::epoch::Leaf;
use crate::identity::log::Log;
use crate::ids::AccountId;
use crate::machine::account::me::Me;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::wire::header::Warrant;

/// A log, as stored.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(with = "serde_bytes")]
    log: Vec<u8>,
}

/// The logs of other accounts.
#[derive(Default)]
pub(in crate::machine) struct Logs {
    others: BTreeMap<AccountId, Log>,
}

impl Logs {
    pub(in crate::machine) fn load(&mut self, cx: &Cx) -> Result<(), StepError> {
        self.others.clear();
        for record in cx.db.all_keyed::<Record>(Keyed::Log)? {
            let log = Log::decode(&record.log, &cx.network)
                .map_err(|error| StepError::State(format!("a stored log: {error}")))?;
            self.others.insert(log.account(), log);
        }
        Ok(())
    }

    /// The log of another account, as far as it is known.
    pub(in crate::machine) fn get(&self, account: &AccountId) -> Option<&Log> {
        self.others.get(account)
    }

    /// Puts a longer log in the place of what is known of another account.
    pub(in crate::machine) fn set(&mut self, cx: &Cx, log: Log) -> Result<(), StepError> {
        let record = Record { log: log.encode() };
        cx.db.set_keyed(Keyed::Log, log.account().as_bytes(), &record)?;
        self.others.insert(log.account(), log);
        Ok(())
    }
}

/// Who speaks, and what is known of others: what a group has to know to judge what comes.
#[derive(Clone, Copy)]
pub(in crate::machine) struct Who<'a> {
    pub(in crate::machine) me: &'a Me,
    pub(in crate::machine) logs: &'a Logs,
}

impl Who<'_> {
    /// The log of an account, as far as it is known; of this account too.
    pub(in crate::machine) fn log_of(&self, account: &AccountId) -> Option<&Log> {
        match *account == self.me.account {
            true => Some(self.me.log()),
            false => self.logs.get(account),
        }
    }

    /// The warrant by which anybody may remove a leaf of a revoked installation.
    pub(in crate::machine) fn revoke_warrant(&self, leaf: &Leaf) -> Option<Warrant> {
        let log = self.log_of(&leaf.account).filter(|log| is_revoked(log, leaf))?;
        Some(Warrant::Revoke(log.encode()))
    }
}

/// Whether a log says of a leaf that it has no right to its place any more: its installation was
/// revoked, or the one that enrolled it was, without that enrolment. An old Revoke says nothing of
/// an installation that the account key enrolled again.
pub(in crate::machine) fn is_revoked(log: &Log, leaf: &Leaf) -> bool {
    log.has_fallen(&leaf.chain)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
