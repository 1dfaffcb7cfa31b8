//! How an archive stays within its bounds.

use rusqlite::params;

use super::database::Archive;
use crate::store::error::ArchiveError;

/// Rows that a sweep deletes in one transaction, so that others are not kept waiting.
const SWEEP_BATCH: u64 = 1000;

/// How many bytes a database takes.
struct Footprint {
    /// The whole file.
    file: u64,
    /// The file without its free pages.
    used: u64,
}

impl Archive {
    /// Whether the archive holds more than it may, whatever the age of its messages.
    pub(crate) fn is_over_bounds(&self) -> bool {
        self.messages > self.max_messages
            || self.bytes > self.max_bytes
            || self.footprint().is_ok_and(|f| f.used > self.max_bytes)
    }

    /// How much the database takes, with its indexes.
    fn footprint(&self) -> rusqlite::Result<Footprint> {
        let pages = |pragma: &str| -> rusqlite::Result<u64> {
            let n: i64 = self.db.prepare_cached(pragma)?.query_row([], |r| r.get(0))?;
            Ok(n.max(0) as u64 * self.page_size)
        };
        let file = pages("PRAGMA page_count")?;
        Ok(Footprint { file, used: file.saturating_sub(pages("PRAGMA freelist_count")?) })
    }

    /// Returns to the system what the file takes beyond its bound. Free pages within the bound are
    /// kept for later messages.
    fn shrink(&self) -> rusqlite::Result<()> {
        let beyond = self.footprint()?.file.saturating_sub(self.max_bytes).div_ceil(self.page_size);
        if beyond == 0 {
            return Ok(());
        }
        // Each row that this returns stands for one page.
        let mut vacuum = self.db.prepare(&format!("PRAGMA incremental_vacuum({beyond})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Deletes one batch of messages that are past their retention or beyond the bounds, oldest first.
    /// Returns how many it deleted, and whether there may be more.
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
                // Somewhat more than the excess, so that not every batch needs a sweep.
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::StoreConfig;
    use crate::message::{WakuMessage, message_hash};
    use crate::store::archive::NewMessage;
    use crate::store::query::StoreQuery;

    fn new(n: usize, size: usize) -> NewMessage {
        let message = WakuMessage {
            payload: vec![n as u8; size].into(),
            content_topic: format!("/a/1/{}/proto", n % 7),
            timestamp: Some(n as i64),
            ..WakuMessage::default()
        };
        let pubsub_topic = "/waku/2/rs/66/0".to_owned();
        let hash = message_hash(&pubsub_topic, &message);
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
