//! How an archive answers queries.

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::database::Archive;
use crate::message::{MessageHash, WakuMessage};
use crate::store::error::QueryError;
use crate::store::query::{MAX_TOPICS_WITH_CURSOR, StorePage, StoreQuery, StoredMessage};

/// Bytes of messages in a page, after which it ends early. A page of the largest messages stays
/// well below what clients read.
pub(crate) const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

impl Archive {
    /// Answers a query as of `now`, as if all messages past their retention were deleted already.
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

    /// The statement that finds the ids, hashes and sizes of one page and of one message more, which
    /// tells whether another page follows. Bodies are read afterwards, so that sorting never touches
    /// them.
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
            let time = time.ok_or(QueryError::Bad("the cursor is not a message of this Store"))?;
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
}

fn places(n: usize) -> String {
    vec!["?"; n].join(",")
}
