//! What waits for one reader of events.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bounded_queue::{Item, Next, Receiver};
use futures::Stream;

use crate::event::Event;
use crate::message::ReceivedMessage;

/// One place in the queue of a reader.
#[derive(Clone, Debug)]
pub(super) enum Queued {
    Message(ReceivedMessage),
    /// The node below lost this number of messages.
    Missed(u64),
    Connection(ConnectionChanges),
}

impl Item for Queued {
    type Lost = Lost;

    fn weight(&self) -> usize {
        const BASE: usize = 128;
        match self {
            Self::Message(m) => BASE + m.content_topic.len() + m.payload.len(),
            Self::Missed(_) | Self::Connection(_) => BASE,
        }
    }

    fn give_way(&self, lost: &mut Lost) {
        match self {
            Self::Message(_) => lost.missed = lost.missed.saturating_add(1),
            Self::Missed(count) => lost.missed = lost.missed.saturating_add(*count),
            Self::Connection(changes) => {
                lost.connection.add(*changes);
                if lost.connection.interrupted {
                    lost.connection.before = None;
                }
            }
        }
    }

    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        match (self, newer) {
            (Self::Missed(count), Self::Missed(more)) => *count = count.saturating_add(more),
            (Self::Connection(changes), Self::Connection(newer)) => changes.add(newer),
            (_, newer) => return Err(newer),
        }
        Ok(())
    }
}

/// What a reader is told about events that gave way.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost {
    missed: u64,
    connection: ConnectionChanges,
}

/// What happened to the connection with no other event in between. It may change any number of times
/// while the reader is away. That there was an interruption counts, and how it ended, but not how
/// often it happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionChanges {
    /// Peers before the first interruption, if their number changed.
    before: Option<usize>,
    interrupted: bool,
    /// Peers after the last interruption; `None` if it goes on.
    after: Option<usize>,
}

impl ConnectionChanges {
    /// The number of peers is now `peers`.
    pub(super) fn to(peers: usize) -> Self {
        match peers {
            0 => Self { interrupted: true, ..Self::default() },
            peers => Self { before: Some(peers), ..Self::default() },
        }
    }

    fn add(&mut self, newer: Self) {
        if let Some(peers) = newer.before {
            let place = if self.interrupted { &mut self.after } else { &mut self.before };
            *place = Some(peers);
        }
        if newer.interrupted {
            self.interrupted = true;
            self.after = newer.after;
        }
    }

    fn events(self) -> impl Iterator<Item = Event> {
        let connected = |peers: Option<usize>| peers.map(|peers| Event::Connected { peers });
        let interruption = self.interrupted.then_some(Event::Disconnected);
        connected(self.before).into_iter().chain(interruption).chain(connected(self.after))
    }
}

/// The stream of events of one reader.
pub(super) struct EventReader {
    queue: Receiver<Queued>,
    /// Events that came out of the queue together and are still to be read.
    ready: VecDeque<Event>,
}

impl EventReader {
    pub(super) fn new(queue: Receiver<Queued>) -> Self {
        Self { queue, ready: VecDeque::new() }
    }
}

impl Stream for EventReader {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            match ready!(Pin::new(&mut this.queue).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Next::Item(Queued::Message(message))) => {
                    return Poll::Ready(Some(Event::Message(message)));
                }
                Some(Next::Item(Queued::Missed(count))) => {
                    return Poll::Ready(Some(Event::Missed { count }));
                }
                Some(Next::Item(Queued::Connection(changes))) => {
                    this.ready.extend(changes.events());
                }
                Some(Next::Lost(Lost { missed, connection })) => {
                    this.ready.extend((missed > 0).then_some(Event::Missed { count: missed }));
                    this.ready.extend(connection.events());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peers: &[usize]) -> Vec<Event> {
        let mut changes = ConnectionChanges::default();
        peers.iter().for_each(|peers| changes.add(ConnectionChanges::to(*peers)));
        changes.events().collect()
    }

    #[test]
    fn changes_are_told_in_short_and_end_as_they_did() {
        let connected = |peers| Event::Connected { peers };
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[1, 2, 3]), [connected(3)]);
        assert_eq!(told(&[1, 0]), [connected(1), Event::Disconnected]);
        assert_eq!(told(&[0, 1, 2]), [Event::Disconnected, connected(2)]);
        assert_eq!(told(&[5, 0, 1, 0, 2, 0, 7]), [connected(5), Event::Disconnected, connected(7)]);
        assert_eq!(told(&[0, 1, 0]), [Event::Disconnected]);
    }

    #[test]
    fn changes_that_were_lost_are_told_by_their_end() {
        let mut lost = Lost::default();
        for peers in [1, 0, 4] {
            Queued::Connection(ConnectionChanges::to(peers)).give_way(&mut lost);
        }
        let events: Vec<_> = lost.connection.events().collect();
        assert_eq!(events, [Event::Disconnected, Event::Connected { peers: 4 }]);
    }
}
