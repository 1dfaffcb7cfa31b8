//! Reading and writing the tables: keys in columns, values encoded.

use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Store, StoreError, decode, encode};
use crate::group::rows::{RawRows, RowChange};
use crate::ids::{CommitId, EpochId, GroupId, InstallationId, ItemHash, MessageId};
use crate::time::{Slot, Timestamp};

/// Tables of the form (key, data), all with the same three statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Contacts by account.
    Contact,
    /// Groups by id.
    Group,
    /// Gaps by group.
    Gaps,
    /// Numbers of own items by group.
    Numbers,
    /// Installation logs of other accounts, by account.
    Log,
    /// What is known of the account's own installations, by installation.
    Installation,
    /// How far a group was read, by group.
    ReadMark,
    /// Welcomes of the self group that wait to be fetched, by installation.
    SelfWelcome,
    /// Handing over of messages that is under way, by the installation that gets them.
    Transfer,
}

/// The four statements of a keyed table: read one, set, delete, read all.
macro_rules! keyed {
    ($table:literal, $key:literal) => {
        [
            concat!("SELECT data FROM ", $table, " WHERE ", $key, " = ?1"),
            concat!(
                "INSERT INTO ",
                $table,
                " (",
                $key,
                ", data) VALUES (?1, ?2) ",
                "ON CONFLICT (",
                $key,
                ") DO UPDATE SET data = ?2"
            ),
            concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?1"),
            concat!("SELECT data FROM ", $table, " ORDER BY ", $key),
        ]
    };
}

impl Keyed {
    const fn statements(self) -> [&'static str; 4] {
        match self {
            Keyed::Contact => keyed!("contact", "account"),
            Keyed::Group => keyed!("grp", "id"),
            Keyed::Gaps => keyed!("gaps", "grp"),
            Keyed::Numbers => keyed!("numbers", "grp"),
            Keyed::Log => keyed!("account_log", "account"),
            Keyed::Installation => keyed!("own_installation", "id"),
            Keyed::ReadMark => keyed!("read_mark", "grp"),
            Keyed::SelfWelcome => keyed!("self_welcome", "installation"),
            Keyed::Transfer => keyed!("handover", "installation"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Keyed::Contact => "contact",
            Keyed::Group => "grp",
            Keyed::Gaps => "gaps",
            Keyed::Numbers => "numbers",
            Keyed::Log => "account_log",
            Keyed::Installation => "own_installation",
            Keyed::ReadMark => "read_mark",
            Keyed::SelfWelcome => "self_welcome",
            Keyed::Transfer => "handover",
        }
    }
}

/// Tables of the form (key, time, data), pruned by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timed {
    /// Requests by id.
    Request,
    /// Inbox keys by public key.
    InboxKey,
    /// Key packages by reference.
    KeyPackage,
}

impl Timed {
    const fn statements(self) -> [&'static str; 4] {
        match self {
            Timed::Request => [
                "SELECT data FROM request ORDER BY received_at, id",
                "INSERT INTO request (id, received_at, data) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET data = ?3",
                "DELETE FROM request WHERE id = ?1",
                "DELETE FROM request WHERE received_at < ?1",
            ],
            Timed::InboxKey => [
                "SELECT data FROM inbox_key ORDER BY made_at, public",
                "INSERT INTO inbox_key (public, made_at, data) VALUES (?1, ?2, ?3)
                 ON CONFLICT (public) DO UPDATE SET data = ?3",
                "DELETE FROM inbox_key WHERE public = ?1",
                "DELETE FROM inbox_key WHERE made_at < ?1",
            ],
            Timed::KeyPackage => [
                "SELECT data FROM key_package ORDER BY made_at, reference",
                "INSERT INTO key_package (reference, made_at, data) VALUES (?1, ?2, ?3)
                 ON CONFLICT (reference) DO UPDATE SET data = ?3",
                "DELETE FROM key_package WHERE reference = ?1",
                "DELETE FROM key_package WHERE made_at < ?1",
            ],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Timed::Request => "request",
            Timed::InboxKey => "inbox_key",
            Timed::KeyPackage => "key_package",
        }
    }
}

/// Whether something was kept for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was.
    Yes,
    /// It is there already.
    Known,
    /// There is no room.
    Full,
}

/// How much of a kind is kept for later of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Whether it was sealed by a member. What was not makes room for what comes: the last is as
    /// likely to be of use, and a Store has it still.
    pub(crate) opened: bool,
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes.
    pub(crate) bytes: u64,
}

/// What something that is kept waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    /// Since when it is kept.
    pub(crate) kept_at: Timestamp,
    /// The slot that it waits for; none: a state.
    pub(crate) slot: Option<Slot>,
}

/// A cut as stored: of whose membership that began where, and the number.
pub(crate) type StoredCut = ((InstallationId, EpochId), u64);

/// A root as stored: its id, the slot of its value, and the value.
pub(crate) type StoredRoot = ([u8; 16], Slot, Zeroizing<[u8; 32]>);

/// A row of the outbox.
#[derive(Debug)]
pub struct OutboxRow<T> {
    /// Its id, which goes up.
    pub id: u64,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it may be published.
    pub due_at: Timestamp,
    /// What is to be published.
    pub data: T,
}

/// A row of the history.
#[derive(Debug)]
pub struct MessageRow<T> {
    /// Its id, which goes up in the order of arrival.
    pub id: u64,
    /// Its id.
    pub message: MessageId,
    /// Whether it was sent above its author's cut.
    pub flagged: bool,
    /// The message.
    pub data: T,
}

/// A screen of a group's history, backwards.
pub(super) const MESSAGES: &str = "SELECT id, message, flagged, data FROM message
     WHERE grp = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";

pub(super) fn int(value: u64) -> i64 {
    // SQLite has signed integers; no time or count of ours comes near 2^63.
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn message_rows<T: DeserializeOwned>(
    mut rows: rusqlite::Rows<'_>,
) -> Result<Vec<MessageRow<T>>, StoreError> {
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(MessageRow {
            id: uint(row.get(0)?),
            message: MessageId(row.get(1)?),
            flagged: row.get(2)?,
            data: decode("message", &row.get::<_, Vec<u8>>(3)?)?,
        });
    }
    Ok(out)
}

impl Store {
    fn all<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes = Zeroizing::new(row.get::<_, Vec<u8>>(0)?);
            out.push(decode(table, &bytes)?);
        }
        Ok(out)
    }

    /// One value of a keyed table.
    pub(crate) fn keyed<T: DeserializeOwned>(
        &self,
        table: Keyed,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        self.blob(table.statements()[0], params![key])?
            .map(|bytes| decode(table.name(), &bytes))
            .transpose()
    }

    /// Sets a value of a keyed table.
    pub(crate) fn set_keyed(
        &self,
        table: Keyed,
        key: &[u8],
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(table.statements()[1], params![key, encode(value)?.as_slice()]).map(drop)
    }

    /// Deletes a value of a keyed table.
    pub(crate) fn delete_keyed(&self, table: Keyed, key: &[u8]) -> Result<(), StoreError> {
        self.write(table.statements()[2], params![key]).map(drop)
    }

    /// All values of a keyed table.
    pub(crate) fn all_keyed<T: DeserializeOwned>(
        &self,
        table: Keyed,
    ) -> Result<Vec<T>, StoreError> {
        self.all(table.name(), table.statements()[3])
    }

    /// All values of a timed table, oldest first.
    pub(crate) fn all_timed<T: DeserializeOwned>(
        &self,
        table: Timed,
    ) -> Result<Vec<T>, StoreError> {
        self.all(table.name(), table.statements()[0])
    }

    /// Sets a value of a timed table; the time of one that is there stays.
    pub(crate) fn set_timed(
        &self,
        table: Timed,
        key: &[u8],
        at: Timestamp,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let data = encode(value)?;
        self.write(table.statements()[1], params![key, int(at.0), data.as_slice()]).map(drop)
    }

    /// Deletes a value of a timed table.
    pub(crate) fn delete_timed(&self, table: Timed, key: &[u8]) -> Result<(), StoreError> {
        self.write(table.statements()[2], params![key]).map(drop)
    }

    /// Deletes what is older than `before`.
    pub(crate) fn prune_timed(&self, table: Timed, before: Timestamp) -> Result<usize, StoreError> {
        self.write(table.statements()[3], params![int(before.0)])
    }

    /// Forgets uses older than `before`: the keys that they were made with are deleted by then.
    pub(crate) fn prune_used_packages(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write("DELETE FROM used_package WHERE used_at < ?1", params![int(before.0)])
    }

    /// Remembers the use of a (key package, group, epoch); false if it was used before.
    pub(crate) fn mark_package(&self, mark: &[u8], at: Timestamp) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO used_package (mark, used_at) VALUES (?1, ?2)";
        Ok(self.write(sql, params![mark, int(at.0)])? == 1)
    }

    /// Whether such a use is remembered.
    pub(crate) fn has_package_mark(&self, mark: &[u8]) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM used_package WHERE mark = ?1";
        Ok(self.conn.prepare_cached(sql)?.exists(params![mark])?)
    }

    /// When a message of the history was sent, by its id.
    pub(crate) fn message_sent_at(
        &self,
        group: &GroupId,
        message: &MessageId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT sent_at FROM message WHERE grp = ?1 AND message = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let sent_at = statement.query_row(params![group.0, message.0], |row| row.get::<_, i64>(0));
        Ok(sent_at.optional()?.map(|at| Timestamp(uint(at))))
    }

    /// All states of a group.
    pub(crate) fn states<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT data FROM state WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(decode("state", &row.get::<_, Vec<u8>>(0)?)?);
        }
        Ok(out)
    }

    /// Sets the description of a state.
    pub(crate) fn set_state(
        &self,
        group: &GroupId,
        epoch: &EpochId,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO state (grp, epoch, data) VALUES (?1, ?2, ?3)
             ON CONFLICT (grp, epoch) DO UPDATE SET data = ?3",
            params![group.0, epoch.0, encode(value)?.as_slice()],
        )
        .map(drop)
    }

    /// Deletes a state with its MLS rows.
    pub(crate) fn delete_state(&self, group: &GroupId, epoch: &EpochId) -> Result<(), StoreError> {
        self.write("DELETE FROM state WHERE grp = ?1 AND epoch = ?2", params![group.0, epoch.0])?;
        self.delete_superseded(epoch)?;
        self.delete_mls_rows(epoch)
    }

    /// Deletes the MLS rows of a state.
    pub(crate) fn delete_mls_rows(&self, epoch: &EpochId) -> Result<(), StoreError> {
        self.write("DELETE FROM mls_row WHERE epoch = ?1", params![epoch.0]).map(drop)
    }

    /// When the states of a group ceased to be the one that is followed.
    pub(crate) fn superseded(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(EpochId, Timestamp)>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT epoch, at FROM superseded WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((EpochId(row.get(0)?), Timestamp(uint(row.get(1)?))));
        }
        Ok(out)
    }

    /// Sets when a state ceased to be the one that is followed.
    pub(crate) fn set_superseded(
        &self,
        group: &GroupId,
        epoch: &EpochId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO superseded (epoch, grp, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (epoch) DO UPDATE SET at = ?3",
            params![epoch.0, group.0, int(at.0)],
        )
        .map(drop)
    }

    /// Notes that a state is followed again, or gone.
    pub(crate) fn delete_superseded(&self, epoch: &EpochId) -> Result<(), StoreError> {
        self.write("DELETE FROM superseded WHERE epoch = ?1", params![epoch.0]).map(drop)
    }

    /// The MLS rows of a state.
    pub(crate) fn mls_rows(&self, epoch: &EpochId) -> Result<RawRows, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT key, value FROM mls_row WHERE epoch = ?1 ORDER BY key, page")?;
        let mut rows = statement.query(params![epoch.0])?;
        let mut out = RawRows::new();
        while let Some(row) = rows.next()? {
            let page = Zeroizing::new(row.get::<_, Vec<u8>>(1)?);
            out.entry(row.get(0)?).or_default().extend_from_slice(&page);
        }
        Ok(out)
    }

    /// Writes what changed in the MLS rows of a state.
    pub(crate) fn write_mls_rows(
        &self,
        epoch: &EpochId,
        changes: &[(Vec<u8>, RowChange)],
    ) -> Result<(), StoreError> {
        for (key, change) in changes {
            let count = match change {
                RowChange::Deleted => 0,
                RowChange::Pages { pages, count } => {
                    for (number, page) in pages {
                        self.write(
                            "INSERT INTO mls_row (epoch, key, page, value) VALUES (?1, ?2, ?3, ?4)
                             ON CONFLICT (epoch, key, page) DO UPDATE SET value = ?4",
                            params![epoch.0, key, number, page.as_slice()],
                        )?;
                    }
                    *count
                }
            };
            self.write(
                "DELETE FROM mls_row WHERE epoch = ?1 AND key = ?2 AND page >= ?3",
                params![epoch.0, key, count],
            )?;
        }
        Ok(())
    }

    /// The root lines of a group: id, slot and value.
    pub(crate) fn root_lines(&self, group: &GroupId) -> Result<Vec<StoredRoot>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT id, slot, value FROM root_line WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((row.get(0)?, Slot(uint(row.get(1)?)), Zeroizing::new(row.get(2)?)));
        }
        Ok(out)
    }

    /// Sets a root line, overwriting an older value.
    pub(crate) fn set_root_line(
        &self,
        group: &GroupId,
        id: &[u8; 16],
        slot: Slot,
        value: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO root_line (grp, id, slot, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (grp, id) DO UPDATE SET slot = ?3, value = ?4",
            params![group.0, id, int(slot.0), value],
        )
        .map(drop)
    }

    /// Deletes a root line.
    pub(crate) fn delete_root_line(
        &self,
        group: &GroupId,
        id: &[u8; 16],
    ) -> Result<(), StoreError> {
        self.write("DELETE FROM root_line WHERE grp = ?1 AND id = ?2", params![group.0, id])
            .map(drop)
    }

    /// All commits known of a group.
    pub(crate) fn commit_nodes<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT node FROM commit_node WHERE grp = ?1 ORDER BY depth, id")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(decode("commit_node", &row.get::<_, Vec<u8>>(0)?)?);
        }
        Ok(out)
    }

    /// Adds a commit: its public part, and the frame that carried it.
    pub(crate) fn add_commit_node(
        &self,
        group: &GroupId,
        id: &[u8; 32],
        depth: u64,
        node: &impl Serialize,
        frame: &[u8],
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT OR IGNORE INTO commit_node (grp, id, depth, node, frame) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![group.0, id, int(depth), encode(node)?.as_slice(), frame],
        )
        .map(drop)
    }

    /// Deletes commits that `choose` has no use for.
    pub(crate) fn delete_commit_nodes(
        &self,
        group: &GroupId,
        ids: &[CommitId],
    ) -> Result<(), StoreError> {
        for id in ids {
            self.write(
                "DELETE FROM commit_node WHERE grp = ?1 AND id = ?2",
                params![group.0, id.0],
            )?;
        }
        Ok(())
    }

    /// Deletes the frame of a commit; its public part stays.
    pub(crate) fn delete_commit_frame(
        &self,
        group: &GroupId,
        id: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.write(
            "UPDATE commit_node SET frame = NULL WHERE grp = ?1 AND id = ?2",
            params![group.0, id],
        )
        .map(drop)
    }

    /// The next generation that may be used in a state.
    pub(crate) fn next_generation(&self, epoch: &EpochId) -> Result<u64, StoreError> {
        let next: Option<i64> = self
            .conn
            .prepare_cached("SELECT next FROM sent WHERE epoch = ?1")?
            .query_row(params![epoch.0], |row| row.get(0))
            .optional()?;
        Ok(uint(next.unwrap_or(0)))
    }

    /// Sets the next generation that may be used in a state.
    pub(crate) fn set_next_generation(&self, epoch: &EpochId, next: u64) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO sent (epoch, next) VALUES (?1, ?2)
             ON CONFLICT (epoch) DO UPDATE SET next = max(next, ?2)",
            params![epoch.0, int(next)],
        )
        .map(drop)
    }

    /// All intents of all groups.
    pub(crate) fn intents<T: DeserializeOwned>(&self) -> Result<Vec<T>, StoreError> {
        self.all("intent", "SELECT data FROM intent ORDER BY due_at, id")
    }

    /// Adds or changes an intent.
    pub(crate) fn set_intent(
        &self,
        id: &[u8; 16],
        group: &GroupId,
        due_at: Timestamp,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO intent (id, grp, due_at, data) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET due_at = ?3, data = ?4",
            params![id, group.0, int(due_at.0), encode(value)?.as_slice()],
        )
        .map(drop)
    }

    /// Deletes an intent.
    pub(crate) fn delete_intent(&self, id: &[u8; 16]) -> Result<(), StoreError> {
        self.write("DELETE FROM intent WHERE id = ?1", params![id]).map(drop)
    }

    /// All chains of a group.
    pub(crate) fn chains<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(InstallationId, T)>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT installation, data FROM chain WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((InstallationId(row.get(0)?), decode("chain", &row.get::<_, Vec<u8>>(1)?)?));
        }
        Ok(out)
    }

    /// Sets the chain of an installation in a group.
    pub(crate) fn set_chain(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO chain (grp, installation, data) VALUES (?1, ?2, ?3)
             ON CONFLICT (grp, installation) DO UPDATE SET data = ?3",
            params![group.0, installation.0, encode(value)?.as_slice()],
        )
        .map(drop)
    }

    /// The heads that were said in a group: whose, of which number and hash.
    pub(crate) fn heads(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(InstallationId, u64, ItemHash)>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT installation, seq, hash FROM head WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((InstallationId(row.get(0)?), uint(row.get(1)?), ItemHash(row.get(2)?)));
        }
        Ok(out)
    }

    /// Sets the head of an installation that was said last.
    pub(crate) fn set_head(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        seq: u64,
        hash: &ItemHash,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO head (grp, installation, seq, hash) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (grp, installation) DO UPDATE SET seq = ?3, hash = ?4",
            params![group.0, installation.0, int(seq), hash.0],
        )
        .map(drop)
    }

    /// Forgets which head of an installation was said.
    pub(crate) fn delete_head(
        &self,
        group: &GroupId,
        installation: &InstallationId,
    ) -> Result<(), StoreError> {
        self.write(
            "DELETE FROM head WHERE grp = ?1 AND installation = ?2",
            params![group.0, installation.0],
        )
        .map(drop)
    }

    /// Remembers an item's hash; false if it was known.
    pub(crate) fn mark_seen(
        &self,
        group: &GroupId,
        hash: &ItemHash,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO seen (grp, hash, at) VALUES (?1, ?2, ?3)";
        Ok(self.write(sql, params![group.0, hash.0, int(at.0)])? == 1)
    }

    /// Whether an item was seen.
    pub(crate) fn is_seen(&self, group: &GroupId, hash: &ItemHash) -> Result<bool, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM seen WHERE grp = ?1 AND hash = ?2")?
            .exists(params![group.0, hash.0])?)
    }

    /// Adds a message to the history; none if it is there.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_message(
        &self,
        group: &GroupId,
        message: &MessageId,
        sent_at: Timestamp,
        installation: &InstallationId,
        seq: Option<u64>,
        flagged: bool,
        value: &impl Serialize,
    ) -> Result<Option<u64>, StoreError> {
        let added = self.write(
            "INSERT OR IGNORE INTO message (grp, message, sent_at, installation, seq, flagged, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                group.0,
                message.0,
                int(sent_at.0),
                installation.0,
                seq.map(int),
                flagged,
                encode(value)?.as_slice()
            ],
        )?;
        Ok((added == 1).then(|| uint(self.conn.last_insert_rowid())))
    }

    /// Writes what became of a message that waited to be encrypted.
    pub(crate) fn update_message(
        &self,
        id: u64,
        seq: Option<u64>,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.write(
            "UPDATE message SET seq = ?2, data = ?3 WHERE id = ?1",
            params![int(id), seq.map(int), encode(value)?.as_slice()],
        )
        .map(drop)
    }

    /// The messages of an installation with a higher number.
    pub(crate) fn messages_above<T: DeserializeOwned>(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        seq: u64,
    ) -> Result<Vec<MessageRow<T>>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, message, flagged, data FROM message
             WHERE grp = ?1 AND installation = ?2 AND seq > ?3",
        )?;
        let rows = statement.query(params![group.0, installation.0, int(seq)])?;
        message_rows(rows)
    }

    /// Says whether a message lies above its author's cut.
    pub(crate) fn set_flag(&self, id: u64, flagged: bool) -> Result<(), StoreError> {
        self.write("UPDATE message SET flagged = ?2 WHERE id = ?1", params![int(id), flagged])
            .map(drop)
    }

    /// The cuts of states that are gone: whose, of the membership that began where, and the number.
    pub(crate) fn cuts(&self, group: &GroupId) -> Result<Vec<StoredCut>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT installation, since, seq FROM cut WHERE grp = ?1")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(((InstallationId(row.get(0)?), EpochId(row.get(1)?)), uint(row.get(2)?)));
        }
        Ok(out)
    }

    /// Keeps the cut of a state that goes.
    pub(crate) fn set_cut(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        since: &EpochId,
        seq: u64,
    ) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO cut (grp, installation, since, seq) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (grp, installation, since) DO UPDATE SET seq = ?4",
            params![group.0, installation.0, since.0, int(seq)],
        )
        .map(drop)
    }

    /// Deletes the states, commits, roots and chains of a group, before it is joined anew. What was
    /// received stays, and so do the marks of what was sent.
    pub(crate) fn forget_branch(&self, group: &GroupId) -> Result<(), StoreError> {
        self.write(
            "DELETE FROM mls_row WHERE epoch IN (SELECT epoch FROM state WHERE grp = ?1)",
            params![group.0],
        )?;
        for sql in [
            "DELETE FROM state WHERE grp = ?1",
            "DELETE FROM superseded WHERE grp = ?1",
            "DELETE FROM commit_node WHERE grp = ?1",
            "DELETE FROM root_line WHERE grp = ?1",
            "DELETE FROM chain WHERE grp = ?1",
            "DELETE FROM head WHERE grp = ?1",
            "DELETE FROM cut WHERE grp = ?1",
            "DELETE FROM gaps WHERE grp = ?1",
        ] {
            self.write(sql, params![group.0])?;
        }
        Ok(())
    }

    /// Up to `limit` messages of a group, the newest of those before `before` (by arrival), oldest
    /// first.
    pub(crate) fn messages<T: DeserializeOwned>(
        &self,
        group: &GroupId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MessageRow<T>>, StoreError> {
        let mut statement = self.conn.prepare_cached(MESSAGES)?;
        let before = before.map_or(i64::MAX, int);
        let mut out = message_rows(statement.query(params![group.0, before, limit])?)?;
        out.reverse();
        Ok(out)
    }

    /// Keeps something for later, within its quota. Quotas are separate, so that what anybody can
    /// make takes no room from what only members can.
    pub(crate) fn defer(
        &self,
        group: &GroupId,
        hash: &ItemHash,
        size: usize,
        value: &impl Serialize,
        quota: &Quota,
        wait: Wait,
    ) -> Result<Kept, StoreError> {
        let known = self
            .conn
            .prepare_cached("SELECT 1 FROM deferred WHERE grp = ?1 AND hash = ?2")?
            .exists(params![group.0, hash.0])?;
        if known {
            return Ok(Kept::Known);
        }
        loop {
            let (count, total): (i64, i64) = self
                .conn
                .prepare_cached(
                    "SELECT count(*), coalesce(sum(size), 0) FROM deferred
                     WHERE grp = ?1 AND opened = ?2",
                )?
                .query_row(params![group.0, quota.opened], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if uint(count) < quota.rows && uint(total) + size as u64 <= quota.bytes {
                break;
            }
            if quota.opened || count == 0 {
                return Ok(Kept::Full);
            }
            self.write(
                "DELETE FROM deferred WHERE id =
                 (SELECT min(id) FROM deferred WHERE grp = ?1 AND opened = 0)",
                params![group.0],
            )?;
        }
        self.write(
            "INSERT INTO deferred (grp, hash, opened, size, kept_at, slot, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                group.0,
                hash.0,
                quota.opened,
                int(size as u64),
                int(wait.kept_at.0),
                wait.slot.map(|slot| int(slot.0)),
                encode(value)?.as_slice()
            ],
        )?;
        Ok(Kept::Yes)
    }

    /// Drops what has been kept since before a moment.
    pub(crate) fn prune_deferred(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write("DELETE FROM deferred WHERE kept_at < ?1", params![int(before.0)])
    }

    /// The groups in which something waits for this slot or one before.
    pub(crate) fn due_deferred(&self, slot: Slot) -> Result<Vec<GroupId>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT DISTINCT grp FROM deferred WHERE slot <= ?1")?;
        let mut rows = statement.query(params![int(slot.0)])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(GroupId(row.get(0)?));
        }
        Ok(out)
    }

    /// Whether something is kept for later.
    pub(crate) fn is_deferred(&self, group: &GroupId, hash: &ItemHash) -> Result<bool, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM deferred WHERE grp = ?1 AND hash = ?2")?
            .exists(params![group.0, hash.0])?)
    }

    /// What is kept for later of a group, oldest first.
    pub(crate) fn deferred<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        let mut statement =
            self.conn.prepare_cached("SELECT id, data FROM deferred WHERE grp = ?1 ORDER BY id")?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((uint(row.get(0)?), decode("deferred", &row.get::<_, Vec<u8>>(1)?)?));
        }
        Ok(out)
    }

    /// Drops something that was kept for later.
    pub(crate) fn delete_deferred(&self, id: u64) -> Result<(), StoreError> {
        self.write("DELETE FROM deferred WHERE id = ?1", params![int(id)]).map(drop)
    }

    /// Adds to the outbox.
    pub(crate) fn add_outbox(
        &self,
        due_at: Timestamp,
        value: &impl Serialize,
    ) -> Result<u64, StoreError> {
        self.write(
            "INSERT INTO outbox (due_at, data) VALUES (?1, ?2)",
            params![int(due_at.0), encode(value)?.as_slice()],
        )?;
        Ok(uint(self.conn.last_insert_rowid()))
    }

    /// The whole outbox, in order.
    pub(crate) fn outbox<T: DeserializeOwned>(&self) -> Result<Vec<OutboxRow<T>>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT id, attempts, due_at, data FROM outbox ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(OutboxRow {
                id: uint(row.get(0)?),
                attempts: row.get(1)?,
                due_at: Timestamp(uint(row.get(2)?)),
                data: decode("outbox", &Zeroizing::new(row.get::<_, Vec<u8>>(3)?))?,
            });
        }
        Ok(out)
    }

    /// Counts an attempt and sets when the next one is due.
    pub(crate) fn retry_outbox(&self, id: u64, due_at: Timestamp) -> Result<(), StoreError> {
        self.write(
            "UPDATE outbox SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1",
            params![int(id), int(due_at.0)],
        )
        .map(drop)
    }

    /// Sets when the next attempt is due, without counting one.
    pub(crate) fn defer_outbox(&self, id: u64, due_at: Timestamp) -> Result<(), StoreError> {
        self.write("UPDATE outbox SET due_at = ?2 WHERE id = ?1", params![int(id), int(due_at.0)])
            .map(drop)
    }

    /// Takes something out of the outbox.
    pub(crate) fn delete_outbox(&self, id: u64) -> Result<(), StoreError> {
        self.write("DELETE FROM outbox WHERE id = ?1", params![int(id)]).map(drop)
    }

    /// Adds an event; its cursor.
    pub(crate) fn add_event(&self, value: &impl Serialize) -> Result<u64, StoreError> {
        self.write("INSERT INTO event (data) VALUES (?1)", params![encode(value)?.as_slice()])?;
        Ok(uint(self.conn.last_insert_rowid()))
    }

    /// Up to `limit` events behind a cursor.
    pub(crate) fn events<T: DeserializeOwned>(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT cursor, data FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
        )?;
        let mut rows = statement.query(params![int(after), limit])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push((uint(row.get(0)?), decode("event", &row.get::<_, Vec<u8>>(1)?)?));
        }
        Ok(out)
    }

    /// Deletes events up to a cursor: they were acknowledged.
    pub(crate) fn delete_events(&self, up_to: u64) -> Result<(), StoreError> {
        self.write("DELETE FROM event WHERE cursor <= ?1", params![int(up_to)]).map(drop)
    }
}
