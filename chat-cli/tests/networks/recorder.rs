//! A transport that records what passes through it, and changes nothing.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use waku_transport::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, MessageHash, PublishError, Sent,
    Status, Transport, TransportError,
};

pub(crate) struct Recorder {
    inner: Arc<dyn Transport>,
    /// The messages that were published, in order.
    pub(crate) published: Mutex<Vec<MessageHash>>,
    /// The messages that a Store has returned.
    pub(crate) fetched: Mutex<HashSet<MessageHash>>,
}

impl Recorder {
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, published: Mutex::default(), fetched: Mutex::default() }
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        let sent = self.inner.send(message).await?;
        self.published.lock().unwrap().push(sent.hash());
        Ok(sent)
    }
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.inner.watch(topics).await
    }
    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.inner.unwatch(topics).await
    }
    fn events(&self) -> EventStream {
        self.inner.events()
    }
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        let page = self.inner.history(query).await?;
        self.fetched.lock().unwrap().extend(page.messages.iter().map(|message| message.hash));
        Ok(page)
    }
    async fn status(&self) -> Status {
        self.inner.status().await
    }
    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
