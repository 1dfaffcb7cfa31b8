//! The account's inbox keys and this installation's key packages, which come and go by schedule and
//! never on use.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::me::Me;
use crate::contact::card::{CardKeyPackage, InboxPublic};
use crate::contact::inbox::InboxKey;
use crate::database::{Database, Timed};
use crate::group::package::OwnPackage;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::params::{
    INBOX_KEY_KEEP, INBOX_KEY_PERIOD, KEY_PACKAGE_KEEP, KEY_PACKAGE_PERIOD, KEY_PACKAGE_USE,
};
use crate::time::Timestamp;
use crate::wire::sync::SyncItem;

/// An inbox key of the account, as stored.
#[derive(Serialize, Deserialize)]
pub(in crate::machine) struct InboxRecord {
    pub(in crate::machine) secret: Zeroizing<[u8; 32]>,
    pub(in crate::machine) made_at: Timestamp,
    /// Whether an installation that was revoked since has it too: cards do not name it any more.
    pub(in crate::machine) retired: bool,
}

/// A key package of this installation, as stored, with the private half of the inbox key in its leaf.
#[derive(Serialize, Deserialize)]
struct PackageRecord {
    package: OwnPackage,
    inbox: Zeroizing<[u8; 32]>,
}

/// The private keys by which this installation is reached.
#[derive(Default)]
pub(in crate::machine) struct Keys {
    /// The newest first: it is the likeliest to open a doorbell.
    inbox: Vec<InboxKey>,
}

impl Keys {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        self.inbox = Self::inbox_records(db)?
            .iter()
            .map(|record| InboxKey::from_secret(&record.secret, record.made_at))
            .collect();
        self.inbox.reverse();
        Ok(())
    }

    /// All inbox keys as stored, oldest first.
    pub(in crate::machine) fn inbox_records(db: &Database) -> Result<Vec<InboxRecord>, StepError> {
        Ok(db.all_timed::<InboxRecord>(Timed::InboxKey)?)
    }

    /// The inbox keys that doorbells are tried with.
    pub(in crate::machine) fn inbox(&self) -> &[InboxKey] {
        &self.inbox
    }

    /// Deletes private keys whose time is over. `proven` is a time that others confirm: the device's
    /// own clock alone ends nothing, since one that is weeks ahead would take keys that are in use.
    pub(in crate::machine) fn expire(
        &mut self,
        cx: &Cx,
        proven: Timestamp,
    ) -> Result<(), StepError> {
        let now = proven.min(cx.now);
        cx.db.prune_timed(Timed::KeyPackage, now - KEY_PACKAGE_KEEP)?;
        cx.db.prune_used_packages(now - INBOX_KEY_KEEP.max(KEY_PACKAGE_KEEP))?;
        if cx.db.prune_timed(Timed::InboxKey, now - INBOX_KEY_KEEP)? > 0 {
            self.load(&cx.db)?;
        }
        Ok(())
    }

    /// The inbox key of this week, which all installations of the account have.
    pub(in crate::machine) fn current_inbox(
        &mut self,
        cx: &mut Cx,
    ) -> Result<InboxPublic, StepError> {
        let newest = Self::inbox_records(&cx.db)?
            .into_iter()
            .rfind(|record| !record.retired && record.made_at <= cx.now);
        let key = match newest.filter(|it| cx.now.since(it.made_at) < INBOX_KEY_PERIOD) {
            Some(record) => InboxKey::from_secret(&record.secret, record.made_at),
            None => self.renew_inbox(cx)?,
        };
        Ok(InboxPublic { key: key.public(), usable_until: key.usable_until() })
    }

    /// Makes an inbox key, and gives it to the account's other installations.
    pub(in crate::machine) fn renew_inbox(&mut self, cx: &mut Cx) -> Result<InboxKey, StepError> {
        let key = InboxKey::generate(&mut *cx.rng.lock(), cx.now);
        self.keep_inbox(cx, &key)?;
        let item = SyncItem::InboxKey { secret: key.secret(), made_at: cx.now };
        cx.ask(Effect::TellOwn(vec![item], Duration::ZERO));
        Ok(key)
    }

    /// Whether an inbox key is known.
    pub(in crate::machine) fn has_inbox(&self, key: &InboxKey) -> bool {
        self.inbox.iter().any(|known| known.public() == key.public())
    }

    /// Keeps an inbox key of the account.
    pub(in crate::machine) fn keep_inbox(
        &mut self,
        cx: &Cx,
        key: &InboxKey,
    ) -> Result<(), StepError> {
        let made_at = key.made_at();
        let record = InboxRecord { secret: key.secret(), made_at, retired: false };
        cx.db.set_timed(Timed::InboxKey, &key.public(), made_at, &record)?;
        self.load(&cx.db)
    }

    /// An installation that has the inbox keys was revoked: what there is stays open, for those who
    /// know no other yet, and is given to nobody any more.
    pub(in crate::machine) fn retire_inbox(&self, cx: &Cx) -> Result<(), StepError> {
        for record in Self::inbox_records(&cx.db)? {
            let key = InboxKey::from_secret(&record.secret, record.made_at);
            let retired = InboxRecord { retired: true, ..record };
            cx.db.set_timed(Timed::InboxKey, &key.public(), retired.made_at, &retired)?;
        }
        Ok(())
    }

    /// The key package of this day.
    pub(in crate::machine) fn current_package(
        &self,
        cx: &mut Cx,
        me: &Me,
    ) -> Result<CardKeyPackage, StepError> {
        let newest = cx.db.all_timed::<PackageRecord>(Timed::KeyPackage)?.pop();
        let fresh = |record: &PackageRecord| {
            let made_at = record.package.made_at;
            made_at <= cx.now && cx.now.since(made_at) < KEY_PACKAGE_PERIOD
        };
        let package = match newest.filter(fresh) {
            Some(record) => record.package,
            None => self.renew_package(cx, me)?,
        };
        Ok(CardKeyPackage {
            installation: me.id(),
            usable_until: package.made_at + KEY_PACKAGE_USE,
            bytes: package.public,
        })
    }

    /// Makes a key package, and gives it to the account's other installations.
    fn renew_package(&self, cx: &mut Cx, me: &Me) -> Result<OwnPackage, StepError> {
        let inbox = InboxKey::generate(&mut *cx.rng.lock(), cx.now);
        let credential = me.credential.encode();
        let package = OwnPackage::make(&cx.rng, &me.key, &credential, &inbox.public(), cx.now)?;
        let record = PackageRecord { package, inbox: inbox.secret() };
        cx.db.set_timed(Timed::KeyPackage, &record.package.reference, cx.now, &record)?;
        let item = SyncItem::KeyPackage {
            usable_until: record.package.made_at + KEY_PACKAGE_USE,
            bytes: record.package.public.clone(),
        };
        // Packages are renewed as a slot begins: not with all else that happens at that moment.
        let delay = cx.quiet();
        cx.ask(Effect::TellOwn(vec![item], delay));
        Ok(record.package)
    }

    /// The key packages that an invitation may be for, each with the private half of the inbox key
    /// in its leaf.
    #[allow(clippy::type_complexity)]
    pub(in crate::machine) fn packages(
        db: &Database,
    ) -> Result<(Vec<OwnPackage>, Vec<Zeroizing<[u8; 32]>>), StepError> {
        let records = db.all_timed::<PackageRecord>(Timed::KeyPackage)?;
        Ok(records.into_iter().map(|record| (record.package, record.inbox)).unzip())
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
