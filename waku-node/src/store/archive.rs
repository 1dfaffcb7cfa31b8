//! The archive: messages in one SQLite file, or in memory.
//!
//! All messages have a place in one order: by time, then by hash. A message's time is its own
//! timestamp, or that of its arrival if it has none.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{MAX_TOPICS_WITH_CURSOR, StorePage, StoreQuery, StoredMessage};
use crate::config::StoreConfig;
use crate::message::{MessageHash, WakuMessage};

/// Messages whose timestamp is further than this from the archive's clock are not kept, in
/// nanoseconds.
const MAX_CLOCK_SKEW: i64 = 20_000_000_000;
/// Bytes of messages in a page, after which it ends early. A page of the largest messages stays
/// well below what clients read.
pub(crate) const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Rows that a sweep deletes in one transaction, so that others are not kept waiting.
const SWEEP_BATCH: u64 = 1000;
/// Version of the schema, kept in `user_version`.
const SCHEMA: i64 = 1;

/// The archive's database failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// SQLite refused; a file that another process has open is one reason.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// The file was written by another version, or is no archive.
    #[error("the database has schema version {0}, which this version cannot read")]
    Schema(i64),
    /// The archive's thread could not be started, or has ended.
    #[error("the archive is not running")]
    Stopped,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// The query is at fault.
    #[error("{0}")]
    Bad(&'static str),
    /// The archive is.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<rusqlite::Error> for QueryError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Archive(e.into())
    }
}

/// A message on its way into the archive.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) pubsub_topic: String,
    pub(crate) hash: MessageHash,
    pub(crate) message: WakuMessage,
    /// When it arrived, in nanoseconds since the unix epoch.
    pub(crate) arrived: i64,
}

impl NewMessage {
    pub(crate) fn size(&self) -> usize {
        let m = &self.message;
        let optional = |b: &Option<Bytes>| b.as_ref().map_or(0, |b| b.len());
        32 + self.pubsub_topic.len()
            + m.content_topic.len()
            + m.payload.len()
            + optional(&m.meta)
            + optional(&m.rate_limit_proof)
    }
}

/// What became of a message that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// To be kept.
    Keep,
    /// Its sender does not want it kept.
    Ephemeral,
    /// Its timestamp is too far from the clock.
    Timestamp,
}

/// Whether the archive keeps a message, by the rules of Waku.
pub(crate) fn admission(m: &NewMessage) -> Admission {
    if m.message.ephemeral == Some(true) {
        Admission::Ephemeral
    } else if m.message.timestamp.is_some_and(|t| t.abs_diff(m.arrived) > MAX_CLOCK_SKEW as u64) {
        Admission::Timestamp
    } else {
        Admission::Keep
    }
}

/// An open archive. Blocking; one thread owns it.
pub(crate) struct Archive {
    db: Connection,
    retention: i64,
    max_messages: u64,
    max_bytes: u64,
    page_size: u64,
    messages: u64,
    bytes: u64,
}

impl Archive {
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, ArchiveError> {
        let db = match &config.path {
            Some(path) => open_file(path)?,
            None => Connection::open_in_memory()?,
        };
        let page_size: i64 = db.query_row("PRAGMA page_size", [], |r| r.get(0))?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))?;
        match (version, tables) {
            (SCHEMA, _) => {}
            (0, 0) => db.execute_batch(&format!(
                "BEGIN;
                 CREATE TABLE message (
                     id INTEGER PRIMARY KEY,
                     hash BLOB NOT NULL UNIQUE,
                     time INTEGER NOT NULL,
                     pubsub_topic TEXT NOT NULL,
                     content_topic TEXT NOT NULL,
                     size INTEGER NOT NULL,
                     version INTEGER NOT NULL,
                     timestamp INTEGER,
                     ephemeral INTEGER,
                     meta BLOB,
                     proof BLOB,
                     payload BLOB NOT NULL
                 );
                 CREATE INDEX message_time ON message (time, hash, size);
                 CREATE INDEX message_topic ON message (content_topic, time, hash);
                 PRAGMA user_version = {SCHEMA};
                 COMMIT;"
            ))?,
            (other, _) => return Err(ArchiveError::Schema(other)),
        }
        let (messages, bytes) =
            db.query_row("SELECT count(*), coalesce(sum(size), 0) FROM message", [], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?))
            })?;
        Ok(Self {
            db,
            retention: nanoseconds(config.retention),
            max_messages: config.max_messages,
            max_bytes: config.max_bytes,
            page_size: page_size.max(1) as u64,
            messages: messages.max(0) as u64,
            bytes: bytes.max(0) as u64,
        })
    }

    /// Messages kept, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    /// Whether there is more than may be kept, whatever its age.
    pub(crate) fn is_over_bounds(&self) -> bool {
        self.messages > self.max_messages
            || self.bytes > self.max_bytes
            || self.footprint().is_ok_and(|f| f.used > self.max_bytes)
    }

    /// What the database takes, indexes and all.
    fn footprint(&self) -> rusqlite::Result<Footprint> {
        let pages = |pragma: &str| -> rusqlite::Result<u64> {
            let n: i64 = self.db.prepare_cached(pragma)?.query_row([], |r| r.get(0))?;
            Ok(n.max(0) as u64 * self.page_size)
        };
        let file = pages("PRAGMA page_count")?;
        Ok(Footprint { file, used: file.saturating_sub(pages("PRAGMA freelist_count")?) })
    }

    /// Gives what the file has beyond its bound back to the system. Free pages within the bound
    /// stay for messages to come.
    fn shrink(&self) -> rusqlite::Result<()> {
        let beyond = self.footprint()?.file.saturating_sub(self.max_bytes).div_ceil(self.page_size);
        if beyond == 0 {
            return Ok(());
        }
        // Each row that it gives is one page.
        let mut vacuum = self.db.prepare(&format!("PRAGMA incremental_vacuum({beyond})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Writes messages in one transaction. Those that are there already stay as they are.
    pub(crate) fn insert(&mut self, batch: &[NewMessage]) -> Result<(), ArchiveError> {
        let (mut messages, mut bytes) = (0, 0);
        let tx = self.db.transaction()?;
        {
            let mut insert = tx.prepare_cached(
                "INSERT OR IGNORE INTO message (hash, time, pubsub_topic, content_topic, size, version,
                     timestamp, ephemeral, meta, proof, payload)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            for new in batch {
                let m = &new.message;
                let added = insert.execute(params![
                    new.hash.0.as_slice(),
                    m.timestamp.unwrap_or(new.arrived),
                    new.pubsub_topic,
                    m.content_topic,
                    new.size() as i64,
                    m.version,
                    m.timestamp,
                    m.ephemeral,
                    m.meta.as_deref(),
                    m.rate_limit_proof.as_deref(),
                    m.payload.as_ref(),
                ])?;
                messages += added as u64;
                bytes += added as u64 * new.size() as u64;
            }
        }
        tx.commit()?;
        self.messages += messages;
        self.bytes += bytes;
        Ok(())
    }

    /// Answers a query as of `now`; what is past its retention is not there any more.
    pub(crate) fn query(&self, q: &StoreQuery, now: i64) -> Result<StorePage, QueryError> {
        if q.cursor.is_some() && q.content_topics.len() > MAX_TOPICS_WITH_CURSOR {
            return Err(QueryError::Bad(
                "at most 10 content topics are possible together with a cursor",
            ));
        }
        let page_size = q.page_size() as usize;
        let (sql, values) = self.select(q, now)?;
        let mut found = self
            .db
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values), |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, [u8; 32]>(1)?, r.get::<_, i64>(2)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let mut bytes = 0;
        let fits = found
            .iter()
            .take(page_size)
            .take_while(|(_, _, size)| {
                let first = bytes == 0;
                bytes += *size as usize;
                first || !q.include_data || bytes <= MAX_PAGE_BYTES
            })
            .count();
        let more = found.len() > fits;
        found.truncate(fits);
        let cursor = found.last().filter(|_| more).map(|(_, hash, _)| MessageHash(*hash));
        let mut messages = found
            .into_iter()
            .map(|(id, hash, _)| self.load(id, MessageHash(hash), q.include_data))
            .collect::<Result<Vec<_>, _>>()?;
        if !q.forward {
            messages.reverse();
        }
        Ok(StorePage { messages, cursor, dropped: 0 })
    }

    /// The statement that finds ids, hashes and sizes of a page and of one message more. Bodies
    /// are read afterwards, so that sorting never touches them.
    fn select(&self, q: &StoreQuery, now: i64) -> Result<(String, Vec<Value>), QueryError> {
        let (after, order) = if q.forward { (">", "ASC") } else { ("<", "DESC") };
        let mut conditions = vec!["time >= ?".to_owned()];
        let oldest = now.saturating_sub(self.retention);
        let mut values = vec![Value::Integer(q.time_start.map_or(oldest, |t| t.max(oldest)))];
        if let Some(end) = q.time_end {
            conditions.push("time <= ?".into());
            values.push(end.into());
        }
        if let Some(topic) = &q.pubsub_topic {
            conditions.push("pubsub_topic = ?".into());
            values.push(topic.clone().into());
        }
        if !q.content_topics.is_empty() {
            conditions.push(format!("content_topic IN ({})", places(q.content_topics.len())));
            values.extend(q.content_topics.iter().cloned().map(Value::Text));
        }
        if !q.hashes.is_empty() {
            conditions.push(format!("hash IN ({})", places(q.hashes.len())));
            values.extend(q.hashes.iter().map(|h| Value::Blob(h.0.to_vec())));
        }
        if let Some(cursor) = q.cursor {
            let time: Option<i64> = self
                .db
                .prepare_cached("SELECT time FROM message WHERE hash = ?")?
                .query_row([cursor.0.as_slice()], |r| r.get(0))
                .optional()?;
            let time = time.ok_or(QueryError::Bad("the cursor is no message of this Store"))?;
            conditions.push(format!("(time, hash) {after} (?, ?)"));
            values.push(time.into());
            values.push(Value::Blob(cursor.0.to_vec()));
        }
        values.push(Value::Integer(q.page_size() as i64 + 1));
        let sql = format!(
            "SELECT id, hash, size FROM message WHERE {} ORDER BY time {order}, hash {order} LIMIT ?",
            conditions.join(" AND ")
        );
        Ok((sql, values))
    }

    fn load(
        &self,
        id: i64,
        hash: MessageHash,
        include_data: bool,
    ) -> rusqlite::Result<StoredMessage> {
        if !include_data {
            return Ok(StoredMessage { hash, message: None, pubsub_topic: None });
        }
        let blob = |r: &Row<'_>, column: usize| -> rusqlite::Result<Option<Bytes>> {
            Ok(r.get::<_, Option<Vec<u8>>>(column)?.map(Into::into))
        };
        self.db
            .prepare_cached(
                "SELECT pubsub_topic, content_topic, version, timestamp, ephemeral, meta, proof, payload
                 FROM message WHERE id = ?",
            )?
            .query_row([id], |r| {
                Ok(StoredMessage {
                    hash,
                    pubsub_topic: Some(r.get(0)?),
                    message: Some(WakuMessage {
                        content_topic: r.get(1)?,
                        version: r.get(2)?,
                        timestamp: r.get(3)?,
                        ephemeral: r.get(4)?,
                        meta: blob(r, 5)?,
                        rate_limit_proof: blob(r, 6)?,
                        payload: r.get::<_, Vec<u8>>(7)?.into(),
                    }),
                })
            })
    }

    /// Deletes some of what is past its retention or beyond the bounds, oldest first. Returns how
    /// many, and whether there may be more.
    pub(crate) fn sweep(&mut self, now: i64) -> Result<(u64, bool), ArchiveError> {
        let expired: i64 = self.db.query_row(
            "SELECT count(*) FROM (SELECT 1 FROM message WHERE time < ? LIMIT ?)",
            params![now.saturating_sub(self.retention), SWEEP_BATCH as i64],
            |r| r.get(0),
        )?;
        let surplus = self.messages.saturating_sub(self.max_messages).min(SWEEP_BATCH);
        let mut count = (expired.max(0) as u64).max(surplus);
        if count == 0 && self.bytes > self.max_bytes {
            count = self.count_for(self.bytes - self.max_bytes)?;
        }
        if count == 0 {
            let used = self.footprint()?.used;
            if used > self.max_bytes {
                // Somewhat more than there is too much, so that not every batch needs a sweep.
                let excess = used - self.max_bytes + self.max_bytes / 32;
                let share = (self.messages as f64 * excess as f64 / used as f64).ceil() as u64;
                count = share.min(self.messages).min(SWEEP_BATCH);
            }
        }
        if count == 0 {
            self.shrink()?;
            return Ok((0, false));
        }
        let tx = self.db.transaction()?;
        let (deleted, bytes) = tx
            .prepare_cached(
                "DELETE FROM message WHERE id IN (SELECT id FROM message ORDER BY time, hash LIMIT ?)
                 RETURNING size",
            )?
            .query_map([count as i64], |r| r.get::<_, i64>(0))?
            .try_fold((0, 0), |(n, sum), size| size.map(|s| (n + 1, sum + s.max(0) as u64)))?;
        tx.commit()?;
        self.messages = self.messages.saturating_sub(deleted);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.shrink()?;
        Ok((deleted, true))
    }

    /// How many of the oldest messages hold at least `bytes`.
    fn count_for(&self, bytes: u64) -> Result<u64, ArchiveError> {
        let mut oldest =
            self.db.prepare_cached("SELECT size FROM message ORDER BY time, hash LIMIT ?")?;
        let mut sizes = oldest.query([SWEEP_BATCH as i64])?;
        let (mut count, mut sum) = (0, 0);
        while sum < bytes
            && let Some(row) = sizes.next()?
        {
            sum += row.get::<_, i64>(0)?.max(0) as u64;
            count += 1;
        }
        Ok(count)
    }

    /// Writes a page for no other reason than to see whether that is possible.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        Ok(self.db.pragma_update(None, "user_version", SCHEMA)?)
    }

    /// Closes the file, with its write-ahead log folded in.
    pub(crate) fn close(self) -> Result<(), ArchiveError> {
        self.db.close().map_err(|(_, e)| e.into())
    }
}

/// Bytes that a database takes.
struct Footprint {
    /// The whole file.
    file: u64,
    /// Without pages that are free.
    used: u64,
}

fn open_file(path: &Path) -> Result<Connection, ArchiveError> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_millis(500))?;
    // Before the first page is written, after which it has no effect.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Exclusive: one node owns the file, and a second one learns it at its start.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A crash of the machine may cost the last messages, never the file.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    db.execute_batch("BEGIN IMMEDIATE; COMMIT;")?;
    Ok(db)
}

fn places(n: usize) -> String {
    vec!["?"; n].join(",")
}

fn nanoseconds(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(n: usize, size: usize) -> NewMessage {
        let message = WakuMessage {
            payload: vec![n as u8; size].into(),
            content_topic: format!("/a/1/{}/proto", n % 7),
            timestamp: Some(n as i64),
            ..WakuMessage::default()
        };
        let pubsub_topic = "/waku/2/rs/66/0".to_owned();
        let hash = crate::message_hash(&pubsub_topic, &message);
        NewMessage { pubsub_topic, hash, message, arrived: n as i64 }
    }

    fn config(path: &Path, max_bytes: u64) -> StoreConfig {
        StoreConfig {
            path: Some(path.to_owned()),
            retention: Duration::MAX,
            max_bytes,
            ..StoreConfig::default()
        }
    }

    /// As the archive's thread does after each batch.
    fn hold_bounds(a: &mut Archive) {
        while a.is_over_bounds() && a.sweep(0).expect("a sweep").1 {}
    }

    #[test]
    fn the_file_stays_within_its_bound_whatever_the_messages_are_like() {
        let dir = tempfile::tempdir().expect("a directory");
        for (max, size) in [(StoreConfig::MIN_BYTES, 1), (1 << 20, 200), (2 << 20, 100_000)] {
            let path = dir.path().join(format!("{size}.sqlite"));
            let mut a = Archive::open(&config(&path, max)).expect("an archive");
            let (total, batch) = if size > 10_000 { (80, 8) } else { (12_000, 400) };
            for first in (0..total).step_by(batch) {
                let messages: Vec<_> = (first..first + batch).map(|n| new(n, size)).collect();
                a.insert(&messages).expect("inserted");
                hold_bounds(&mut a);
                let f = a.footprint().expect("a size");
                assert!(f.used <= max && f.file <= max, "{} of {max} at {first}", f.file);
            }
            // It is used well, and what is left are the newest, all of them.
            let (messages, _) = a.size();
            assert!(a.footprint().expect("a size").used > max / 2);
            let newest = a.query(&StoreQuery { forward: false, ..StoreQuery::default() }, 0);
            let last = newest.expect("a page").messages.pop().expect("a message");
            assert_eq!(last.hash, new(total - 1, size).hash);
            let oldest = a.query(&StoreQuery::default(), 0).expect("a page").messages;
            assert_eq!(oldest[0].hash, new(total - messages as usize, size).hash);
            a.close().expect("closed");
            let on_disk = std::fs::metadata(&path).expect("a file").len();
            assert!(on_disk <= max, "{on_disk} on disk, {max} allowed");
        }
    }

    #[test]
    fn a_lower_bound_shrinks_a_file_that_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("archive.sqlite");
        let mut a = Archive::open(&config(&path, 64 << 20)).expect("an archive");
        let messages: Vec<_> = (0..3000).map(|n| new(n, 1000)).collect();
        a.insert(&messages).expect("inserted");
        hold_bounds(&mut a);
        assert_eq!(a.size().0, 3000);
        a.close().expect("closed");
        assert!(std::fs::metadata(&path).expect("a file").len() > 3_000_000);

        let mut a = Archive::open(&config(&path, 1 << 20)).expect("an archive");
        hold_bounds(&mut a);
        let (left, _) = a.size();
        assert!(left > 300 && left < 1000, "{left} messages are left");
        a.close().expect("closed");
        assert!(std::fs::metadata(&path).expect("a file").len() <= 1 << 20);
    }
}
