//! The answering side of Store, which decides when each request is looked up.
//!
//! Answers stay in memory until they are written, and a peer may read slowly. So a request waits until
//! there is room for the largest page, and is refused if too many wait already.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::request_response::{InboundRequestId, ResponseChannel};

use super::archive::MAX_PAGE_BYTES;
use super::proto::{Response, decode_request, encode_response};
use super::query::StoreQuery;
use super::worker::ArchiveWorker;

/// An answer that can be written.
pub(crate) struct Answer {
    pub(crate) id: InboundRequestId,
    pub(crate) channel: ResponseChannel<Bytes>,
    pub(crate) body: Bytes,
}

struct Waiting {
    id: InboundRequestId,
    channel: ResponseChannel<Bytes>,
    request_id: String,
    query: StoreQuery,
}

/// Requests that wait, are being looked up, or whose answers are being written.
pub(crate) struct StoreServer {
    waiting: VecDeque<Waiting>,
    max_waiting: usize,
    running: FuturesUnordered<BoxFuture<'static, Option<Answer>>>,
    writing: HashMap<InboundRequestId, usize>,
    bytes: usize,
    max_bytes: usize,
}

impl StoreServer {
    pub(crate) fn new(max_waiting: usize, max_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            max_waiting,
            running: FuturesUnordered::new(),
            writing: HashMap::new(),
            bytes: 0,
            // At least one request must be able to run.
            max_bytes: max_bytes.max(MAX_PAGE_BYTES),
        }
    }

    /// Takes a request, or returns the answer that refuses it.
    pub(crate) fn on_request(
        &mut self,
        archive: &ArchiveWorker,
        id: InboundRequestId,
        channel: ResponseChannel<Bytes>,
        body: Bytes,
    ) -> Result<(), Answer> {
        let (request_id, query) = match decode_request(body) {
            Ok(request) => request,
            Err((request_id, e)) => {
                return Err(Answer { id, channel, body: refusal(request_id, 400, &e.to_string()) });
            }
        };
        if self.waiting.len() >= self.max_waiting {
            return Err(Answer {
                id,
                channel,
                body: refusal(request_id, 429, "too many requests"),
            });
        }
        self.waiting.push_back(Waiting { id, channel, request_id, query });
        self.start(archive);
        Ok(())
    }

    /// The next answer that can be written; waits for ever while there is none.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        match self.running.next().await {
            Some(answer) => answer,
            None => futures::future::pending().await,
        }
    }

    /// The answer is being written. Its bytes count until [`StoreServer::on_finished`].
    pub(crate) fn on_writing(&mut self, id: InboundRequestId, size: usize) {
        self.writing.insert(id, size);
        self.bytes += size;
    }

    /// The answer was written, or could not be.
    pub(crate) fn on_finished(&mut self, id: InboundRequestId) {
        if let Some(size) = self.writing.remove(&id) {
            self.bytes -= size;
        }
    }

    /// Looks up waiting requests as far as there is room for their answers.
    pub(crate) fn start(&mut self, archive: &ArchiveWorker) {
        while self.bytes + (self.running.len() + 1) * MAX_PAGE_BYTES <= self.max_bytes {
            let Some(Waiting { id, channel, request_id, query }) = self.waiting.pop_front() else {
                return;
            };
            // A peer that has given up needs no answer.
            if !channel.is_open() {
                continue;
            }
            let answer = archive.serve(request_id, query);
            self.running.push(Box::pin(async move {
                let body = answer.await.ok()?;
                Some(Answer { id, channel, body })
            }));
        }
    }
}

fn refusal(request_id: String, status_code: u32, status_desc: &str) -> Bytes {
    encode_response(&Response {
        request_id,
        status_code,
        status_desc: status_desc.to_owned(),
        messages: Vec::new(),
        unreadable: 0,
        cursor: None,
    })
}
