//! From the library's thread to the reader.
//!
//! The library calls back on its own threads and stands still until the callback returns. So the
//! callback only copies the text into a bounded queue, and the reader of the queue parses it.

use bounded_queue::{Item, Limits, Next, Receiver, Sender};

use super::node_event::NodeEvent;

/// Longest text of an event, in bytes: a message of the largest size that relays carry, in base64,
/// with room to spare.
pub(super) const MAX_EVENT_BYTES: usize = 1 << 20;

/// The text of an event, as the library gave it.
struct EventText(Vec<u8>);

impl Item for EventText {
    /// How many events were lost.
    type Lost = u64;

    fn weight(&self) -> usize {
        self.0.len()
    }

    fn give_way(&self, lost: &mut u64) {
        *lost = lost.saturating_add(1);
    }
}

/// Makes a queue of events and returns both its ends.
pub(crate) fn queue(limits: Limits) -> (EventSender, Events) {
    let (texts, receiver) = bounded_queue::queue(limits);
    (EventSender { texts }, Events { texts: receiver })
}

/// The end of the queue that callbacks write to.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    texts: Sender<EventText>,
}

impl EventSender {
    /// Takes a copy of the text of an event. A text that is too long counts as lost and is not even
    /// copied.
    pub(crate) fn push_text(&self, text: &[u8]) {
        if text.len() > MAX_EVENT_BYTES {
            self.push_lost(1);
        } else if !self.texts.is_closed() {
            self.texts.push(EventText(text.to_vec()));
        }
    }

    /// Notes that `count` events were lost on their way here.
    pub(crate) fn push_lost(&self, count: u64) {
        if count > 0 {
            self.texts.note_loss(|lost| *lost = lost.saturating_add(count));
        }
    }

    /// Takes in nothing more. What is in the queue can still be read.
    pub(crate) fn close(&self) {
        self.texts.close();
    }
}

/// The events of one node, for one reader. They end when the node is destroyed or detached. Once
/// this is dropped, events are no longer kept.
#[derive(Debug)]
pub struct Events {
    texts: Receiver<EventText>,
}

impl Events {
    /// The next event; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        self.texts.next().await.map(|next| match next {
            Next::Lost(count) => NodeEvent::Dropped { count },
            Next::Item(EventText(text)) => NodeEvent::parse(&text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_is_told() {
        let (sender, mut events) = queue(Limits { len: 2, bytes: 100 });
        for _ in 0..5 {
            sender.push_text(br#"{"eventType":"waku_not_responding"}"#);
        }
        assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 3 }));
        assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
        sender.push_text(&[b' '; 90]);
        sender.push_text(&vec![b' '; MAX_EVENT_BYTES + 1]);
        // Bytes count too; and a text that is too long to be an event is not even copied.
        assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 2 }));
        assert_eq!(events.next().await, Some(NodeEvent::Unknown));
        sender.close();
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn nothing_is_kept_without_a_reader() {
        let (sender, mut events) = queue(Limits { len: 10, bytes: 1000 });
        sender.push_text(b"[]");
        sender.push_text(b"{}");
        sender.push_lost(0);
        // What the texts say does not belong in a log.
        assert_eq!(format!("{events:?}"), "Events { texts: Receiver { waiting: 2, .. } }");
        assert_eq!(events.next().await, Some(NodeEvent::Unknown));
        drop(events);
        sender.push_text(b"{}");
        sender.push_lost(1);
        assert_eq!(format!("{sender:?}"), "EventSender { texts: Sender { waiting: 0, .. } }");
    }
}
