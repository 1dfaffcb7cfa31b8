//! What this installation tells the account's others through the self group.

use std::time::Duration;

use crate::database::Keyed;
use crate::ids::{GroupId, InstallationId, MessageId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::account::keys::{InboxRecord, Keys};
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::Who;
use crate::time::Timestamp;
use crate::wire::sync::{self, SyncItem};

/// Bytes of items that go into one message: they then fit an envelope of 32 KiB.
const BATCH: usize = 28 * 1024;

/// How far a group was read, as stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct ReadMark {
    group: GroupId,
    message: MessageId,
    sent_at: Timestamp,
}

impl Machine {
    /// Tells the account's other installations, if there are any.
    pub(in crate::machine) fn sync(&mut self, items: Vec<SyncItem>) -> Result<(), StepError> {
        self.sync_after(items, Duration::ZERO)
    }

    /// The same, after a delay.
    pub(in crate::machine) fn sync_after(
        &mut self,
        items: Vec<SyncItem>,
        delay: Duration,
    ) -> Result<(), StepError> {
        let Some(id) = self.cx.own_group else { return Ok(()) };
        let Self { cx, me, logs, groups, .. } = self;
        let Some(group) = groups.get_mut(&id) else { return Ok(()) };
        if !group.is_active() || group.current()?.leaves.len() < 2 {
            return Ok(());
        }
        // What is told while a revoked installation is still in the group is not for it.
        let revoked = group.revoked_leaves(Who { me, logs })?;
        let not_to: Vec<InstallationId> = revoked.into_iter().map(|(id, _)| id).collect();
        let mut batch: Vec<SyncItem> = Vec::new();
        let mut size = 0;
        for item in items {
            let more = item.size();
            if size + more > BATCH && !batch.is_empty() {
                let full = std::mem::take(&mut batch);
                group.say_to_own(cx, sync::encode(&full).to_vec(), delay, not_to.clone());
                size = 0;
            }
            size += more;
            batch.push(item);
        }
        if !batch.is_empty() {
            group.say_to_own(cx, sync::encode(&batch).to_vec(), delay, not_to);
        }
        Ok(())
    }

    /// All that an installation has to know that has just come: contacts, keys, names, read marks.
    pub(in crate::machine) fn introduce(&mut self) -> Result<(), StepError> {
        let mut items = vec![SyncItem::Log(self.me.log().encode())];
        for record in Keys::inbox_records(&self.cx.db)? {
            if !record.retired {
                let InboxRecord { secret, made_at, .. } = record;
                items.push(SyncItem::InboxKey { secret, made_at });
            }
        }
        items.extend(Contact::all(&self.cx)?.iter().map(Contact::item));
        for mark in self.cx.db.all_keyed::<ReadMark>(Keyed::ReadMark)? {
            let ReadMark { group, message, sent_at } = mark;
            items.push(SyncItem::Read { group, message, sent_at });
        }
        items.extend(OwnInstallation::all(&self.cx)?.into_iter().filter_map(name_item));
        items.push(self.own_package_item()?);
        self.sync(items)
    }

    /// What this installation says of itself when it came into the self group.
    pub(in crate::machine) fn announce(&mut self) -> Result<(), StepError> {
        let mut items = vec![self.own_package_item()?];
        items.extend(name_item(OwnInstallation::of(&self.cx, &self.me.id())?));
        self.sync(items)
    }

    fn own_package_item(&mut self) -> Result<SyncItem, StepError> {
        let package = self.keys.current_package(&mut self.cx, &self.me)?;
        Ok(SyncItem::KeyPackage { usable_until: package.usable_until, bytes: package.bytes })
    }

    /// Moves a read mark forward; false: it is there or further already.
    pub(in crate::machine) fn set_read_mark(
        &mut self,
        group: GroupId,
        message: MessageId,
        sent_at: Timestamp,
    ) -> Result<bool, StepError> {
        let known: Option<ReadMark> = self.cx.db.keyed(Keyed::ReadMark, group.as_bytes())?;
        if known.is_some_and(|mark| (mark.sent_at, mark.message) >= (sent_at, message)) {
            return Ok(false);
        }
        let mark = ReadMark { group, message, sent_at };
        self.cx.db.set_keyed(Keyed::ReadMark, group.as_bytes(), &mark)?;
        Ok(true)
    }
}

/// What other installations are told of an installation's name, if it has one.
fn name_item(record: OwnInstallation) -> Option<SyncItem> {
    let (installation, changed_at) = (record.id, record.named_at);
    record.name.map(|name| SyncItem::Name { installation, name, changed_at })
}
