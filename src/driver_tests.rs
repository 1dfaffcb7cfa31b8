//! The driver alone, with a transport that does what a test says and nobody behind the channels.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use tokio::sync::Semaphore;
use waku_transport::{EventStream, HistoryPage, Status, TransportError};

use super::*;

/// What its calls wait for: permits that the test gives out, for ever if it gives none.
struct Scripted {
    events: Mutex<Option<EventStream>>,
    publish: Semaphore,
    history: Semaphore,
    publishing: AtomicUsize,
    most_publishing: AtomicUsize,
    watched: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Transport for Scripted {
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        message.check()?;
        let at_once = self.publishing.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_publishing.fetch_max(at_once, Ordering::SeqCst);
        self.publish.acquire().await.unwrap().forget();
        self.publishing.fetch_sub(1, Ordering::SeqCst);
        Ok(MessageHash([0; 32]))
    }
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.watched.lock().unwrap().extend(topics);
        Ok(())
    }
    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.watched.lock().unwrap().retain(|topic| !topics.contains(topic));
        Ok(())
    }
    fn events(&self) -> EventStream {
        self.events.lock().unwrap().take().unwrap()
    }
    async fn history(&self, _: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        self.history.acquire().await.unwrap().forget();
        Ok(HistoryPage::default())
    }
    async fn status(&self) -> Status {
        Status::default()
    }
    async fn shutdown(&self) {}
}

struct Rig {
    transport: Arc<Scripted>,
    happen: mpsc::UnboundedSender<Event>,
    outputs: mpsc::Sender<Output>,
    requests: mpsc::Receiver<Request>,
    progress: watch::Sender<Progress>,
    _stop: watch::Sender<bool>,
}

fn rig() -> Rig {
    let (happen, events) = mpsc::unbounded_channel();
    let events = tokio_stream::wrappers::UnboundedReceiverStream::new(events);
    let transport = Arc::new(Scripted {
        events: Mutex::new(Some(events.boxed())),
        publish: Semaphore::new(0),
        history: Semaphore::new(0),
        publishing: AtomicUsize::new(0),
        most_publishing: AtomicUsize::new(0),
        watched: Mutex::default(),
    });
    let (to_machine, requests) = mpsc::channel(4);
    let (outputs, from_machine) = mpsc::channel(4);
    let (progress, watched) = watch::channel(Progress::default());
    let (stop, stopped) = watch::channel(false);
    let driver = Driver::new(transport.clone(), to_machine, from_machine, watched);
    tokio::spawn(driver.run(stopped));
    Rig { transport, happen, outputs, requests, progress, _stop: stop }
}

impl Rig {
    async fn next(&mut self) -> NetworkInput {
        match self.requests.recv().await {
            Some(Request::Network(input)) => input,
            _ => panic!("the driver has ended"),
        }
    }

    async fn publish(&self, id: u64, size: usize) {
        let output = Output::Publish {
            outbox: OutboxId(id),
            topic: "/test/1/a/proto".to_owned(),
            payload: vec![1; size],
            timestamp: Timestamp::from_secs(1_700_000_000),
        };
        self.outputs.send(output).await.unwrap();
    }

    async fn fetch(&self, id: u64) {
        let output = Output::FetchHistory {
            query: QueryId(id),
            topics: Vec::new(),
            start: Timestamp(0),
            end: Timestamp(1),
            cursor: None,
            limit: 100,
        };
        self.outputs.send(output).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_hangs_gets_an_answer_all_the_same() {
    let mut rig = rig();
    rig.publish(1, 512).await;
    let NetworkInput::Published { outbox, failure } = rig.next().await else { panic!("other") };
    assert_eq!((outbox, failure), (OutboxId(1), Some(PublishFailure::Retry)));
    rig.fetch(5).await;
    let NetworkInput::HistoryFailed { query, no_store, .. } = rig.next().await else {
        panic!("other")
    };
    assert_eq!((query, no_store), (QueryId(5), false));
    // What can never go is told as such.
    rig.publish(2, 1_000_000).await;
    let NetworkInput::Published { outbox, failure } = rig.next().await else { panic!("other") };
    assert_eq!((outbox, failure), (OutboxId(2), Some(PublishFailure::Refused)));
}

#[tokio::test(start_paused = true)]
async fn several_publications_but_not_too_many_are_on_their_way() {
    const ALL: u64 = PUBLISHES as u64 + 34;
    let mut rig = rig();
    let transport = rig.transport.clone();
    let outputs = async {
        for id in 0..ALL {
            rig.publish(id, 512).await;
            if id == PUBLISHES as u64 + 14 {
                transport.publish.add_permits(ALL as usize);
            }
        }
    };
    // The channel holds a few, so the first permits are given while `PUBLISHES` are on their way.
    let give = async {
        while transport.publishing.load(Ordering::SeqCst) < PUBLISHES {
            tokio::task::yield_now().await;
        }
        transport.publish.add_permits(20);
    };
    let ((), ()) = tokio::join!(outputs, give);
    let mut done = std::collections::BTreeSet::new();
    while done.len() < ALL as usize {
        let NetworkInput::Published { outbox, failure } = rig.next().await else { panic!("other") };
        assert_eq!(failure, None);
        assert!(done.insert(outbox.0));
    }
    assert_eq!(transport.most_publishing.load(Ordering::SeqCst), PUBLISHES);
}

#[tokio::test(start_paused = true)]
async fn pages_are_fetched_one_at_a_time_and_given_up_with_the_connection() {
    let mut rig = rig();
    rig.happen.send(Event::Connected { peers: 1 }).unwrap();
    assert!(matches!(rig.next().await, NetworkInput::Connection(true)));
    // A second peer is no news.
    rig.happen.send(Event::Connected { peers: 2 }).unwrap();
    rig.fetch(1).await;
    rig.fetch(2).await;
    rig.transport.history.add_permits(1);
    assert!(matches!(rig.next().await, NetworkInput::Page { query: QueryId(1), .. }));
    rig.fetch(3).await;
    rig.outputs.send(Output::Watch(vec!["/test/1/b/proto".to_owned()])).await.unwrap();
    while rig.transport.watched.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.happen.send(Event::Disconnected).unwrap();
    assert!(matches!(rig.next().await, NetworkInput::Connection(false)));
    assert!(matches!(rig.next().await, NetworkInput::HistoryFailed { query: QueryId(2), .. }));
    assert!(matches!(rig.next().await, NetworkInput::HistoryFailed { query: QueryId(3), .. }));
    // The next connection begins anew.
    rig.happen.send(Event::Connected { peers: 1 }).unwrap();
    assert!(matches!(rig.next().await, NetworkInput::Connection(true)));
    rig.transport.history.add_permits(1);
    rig.fetch(4).await;
    assert!(matches!(rig.next().await, NetworkInput::Page { query: QueryId(4), .. }));
    // What the transport dropped is told, and a transport that ends is a lost connection.
    rig.happen.send(Event::Missed { count: 3 }).unwrap();
    assert!(matches!(rig.next().await, NetworkInput::Missed));
    let Rig { happen, .. } = &mut rig;
    *happen = mpsc::unbounded_channel().0;
    assert!(matches!(rig.next().await, NetworkInput::Connection(false)));
}

#[tokio::test(start_paused = true)]
async fn the_machine_is_woken_when_it_wants_to_be() {
    let mut rig = rig();
    rig.progress.send_modify(|p| p.next_wake = Some(now()));
    assert!(matches!(rig.next().await, NetworkInput::Tick));
    // Not again before this tick was dealt with: what comes next is something else.
    rig.publish(1, 512).await;
    rig.transport.publish.add_permits(1);
    assert!(matches!(rig.next().await, NetworkInput::Published { .. }));
    rig.progress.send_modify(|p| {
        p.ticks += 1;
        p.next_wake = Some(now());
    });
    assert!(matches!(rig.next().await, NetworkInput::Tick));
}
