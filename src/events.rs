//! Events as a stream: read from the database, so that none is lost between two runs or because a
//! reader was slow.

use std::collections::VecDeque;

use chat_core::machine::Event;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::watch;

use crate::client::Client;
use crate::error::Error;
use crate::worker::Progress;

/// Events read at a time.
const BATCH: u32 = 64;

struct Reader {
    client: Client,
    progress: watch::Receiver<Progress>,
    after: u64,
    batch: VecDeque<(u64, Event)>,
    failed: bool,
}

impl Client {
    /// All events after a cursor, those of the past first, then new ones as they come. Each has
    /// the cursor that [`Client::acknowledge`] takes; start with the last that was dealt with, or
    /// with 0 for all that were not acknowledged.
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
