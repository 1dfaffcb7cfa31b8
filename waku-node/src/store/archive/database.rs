//! The database of an archive: opening, writing, closing.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::admission::NewMessage;
use crate::config::StoreConfig;
use crate::store::error::ArchiveError;

/// Version of the schema, kept in `user_version`.
const SCHEMA: i64 = 1;

/// An open archive. Blocking; one thread owns it.
pub(crate) struct Archive {
    pub(super) db: Connection,
    /// In nanoseconds.
    pub(super) retention: i64,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    /// Bytes of one page of the database.
    pub(super) page_size: u64,
    /// What the archive holds, counted along so that no query has to.
    pub(super) messages: u64,
    pub(super) bytes: u64,
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

    /// How many messages the archive holds, and how many bytes they have.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    /// Writes messages in one transaction. One that is there already stays as it is.
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

    /// Writes a page, only to see whether that is possible.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        Ok(self.db.pragma_update(None, "user_version", SCHEMA)?)
    }

    /// Closes the file, with its write-ahead log folded in.
    pub(crate) fn close(self) -> Result<(), ArchiveError> {
        self.db.close().map_err(|(_, e)| e.into())
    }
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

fn nanoseconds(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}
