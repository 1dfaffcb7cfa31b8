//! Passes a node's events to the hub.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;
use waku_sys::{Events, NodeEvent, WakuMessage};

use super::library_memory::LibraryMemory;
use super::message::received;
use crate::hub::Hub;
use crate::sync::lock;

/// Passes a node's events to the hub.
#[derive(Clone)]
pub(super) struct EventPump {
    pub(super) pubsub_topic: String,
    pub(super) hub: Arc<Hub>,
    pub(super) memory: Arc<Mutex<LibraryMemory>>,
    /// Notified when connections may have changed.
    pub(super) check: Arc<Notify>,
}

impl EventPump {
    /// Runs until the node is gone or the hub is closed.
    pub(super) async fn run(&self, mut events: Events) {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.hub.closed() => break,
            };
            match event {
                Some(NodeEvent::Message { pubsub_topic, message }) => {
                    if pubsub_topic == self.pubsub_topic {
                        self.received(message);
                    }
                }
                Some(NodeEvent::Dropped { count }) => {
                    tracing::warn!(count, "the node's events came faster than they could be read");
                    self.hub.missed(count);
                    self.check.notify_one();
                }
                Some(NodeEvent::NotResponding) => tracing::warn!("libwaku takes no requests"),
                Some(NodeEvent::Connection { .. } | NodeEvent::TopicHealth { .. }) => {
                    self.check.notify_one();
                }
                Some(NodeEvent::Unknown) => {}
                None => break,
            }
        }
    }

    fn received(&self, message: WakuMessage) {
        let message = received(&self.pubsub_topic, message);
        if lock(&self.memory).received(message.hash, Instant::now()) {
            self.hub.relayed(message);
        }
    }
}
