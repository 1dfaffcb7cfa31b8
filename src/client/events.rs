//! Events as a stream. They are read from the database, so that none is lost between two runs or
//! because a reader is slow.

use std::collections::VecDeque;

use chat_core::machine::{Command, Event};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::watch;

use super::lifecycle::Client;
use crate::error::Error;
use crate::runtime::Progress;

/// Events that are read from the database at a time: enough to make few queries, and few enough to
/// hold in memory.
const BATCH: u32 = 64;

struct Reader {
    client: Client,
    progress: watch::Receiver<Progress>,
    after: u64,
    batch: VecDeque<(u64, Event)>,
    failed: bool,
}

impl Client {
    /// All events after a cursor: first those of the past, then new ones as they come. Each comes with
    /// its cursor, which [`Client::acknowledge`] takes. Start with the cursor of the last event that
    /// was dealt with, or with 0 for all that were not acknowledged.
    ///
    /// The stream ends when the client is closed, and after an error, which is that of the database.
    pub fn events(
        &self,
        after: u64,
    ) -> impl Stream<Item = Result<(u64, Event), Error>> + Send + Unpin + use<> {
        let reader = Reader {
            client: self.clone(),
            progress: self.progress(),
            after,
            batch: VecDeque::new(),
            failed: false,
        };
        stream::unfold(reader, |mut reader| async move {
            if reader.failed {
                return None;
            }
            match reader.next().await {
                Ok(event) => {
                    reader.after = event.0;
                    Some((Ok(event), reader))
                }
                Err(Error::Closed) => None,
                Err(error) => {
                    reader.failed = true;
                    Some((Err(error), reader))
                }
            }
        })
        .boxed()
    }

    /// Forgets all events up to a cursor: the application has dealt with them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn acknowledge(&self, cursor: u64) -> Result<(), Error> {
        self.command(Command::AcknowledgeEvents { cursor }).await.map(drop)
    }
}

impl Reader {
    async fn next(&mut self) -> Result<(u64, Event), Error> {
        loop {
            if let Some(event) = self.batch.pop_front() {
                return Ok(event);
            }
            let after = self.after;
            // Taken before the database is read: an event in between is seen as a change.
            let known = self.progress.borrow_and_update().last_event;
            self.batch = self.client.query(move |m| m.events(after, BATCH)).await?.into();
            if self.batch.is_empty() {
                let news = self.progress.wait_for(|p| p.last_event > known.max(after)).await;
                news.map_err(|_| Error::Closed)?;
            }
        }
    }
}
