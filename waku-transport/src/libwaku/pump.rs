//! Brings a node's events to the hub.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;
use waku_sys::{Events, NodeEvent, WakuMessage};

use super::history;
use super::publish::Known;
use crate::hub::{Hub, lock};

/// What it takes to do so.
#[derive(Clone)]
pub(super) struct Pump {
    pub(super) pubsub_topic: String,
    pub(super) hub: Arc<Hub>,
    pub(super) known: Arc<Mutex<Known>>,
    /// Told when something may have happened to connections.
    pub(super) look: Arc<Notify>,
}

impl Pump {
    /// Until the node is gone or the hub is closed.
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
                    self.look.notify_one();
                }
                Some(NodeEvent::NotResponding) => tracing::warn!("libwaku takes no requests"),
                Some(NodeEvent::Connection { .. } | NodeEvent::TopicHealth { .. }) => {
                    self.look.notify_one();
                }
                Some(NodeEvent::Unknown) => {}
                None => break,
            }
        }
    }

    fn received(&self, message: WakuMessage) {
        let message = history::inbound(&self.pubsub_topic, message);
        {
            let (mut known, now) = (lock(&self.known), Instant::now());
            // One that was published here comes back, also where it went nowhere.
            if known.own.contains(&message.hash, now) {
                return;
            }
            known.received.insert(message.hash, now);
        }
        self.hub.relayed(message);
    }
}
