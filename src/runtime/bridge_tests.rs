//! The bridge alone, with a transport that does what a test says and a test in the machine's place.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
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
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        message.check()?;
        let at_once = self.publishing.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_publishing.fetch_max(at_once, Ordering::SeqCst);
        self.publish.acquire().await.unwrap().forget();
        self.publishing.fetch_sub(1, Ordering::SeqCst);
        Ok(Sent::new(MessageHash([0; 32]), async { Ok(()) }))
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
    /// What is left of the last batch.
    batch: VecDeque<Input>,
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
    let bridge = Bridge::new(transport.clone(), to_machine, from_machine, watched);
    tokio::spawn(bridge.run(stopped));
    let batch = VecDeque::new();
    Rig { transport, happen, outputs, requests, batch, progress, _stop: stop }
}

impl Rig {
    async fn next_batch(&mut self) -> Batch {
        match self.requests.recv().await {
            Some(Request::Network(batch)) => batch,
            _ => panic!("the bridge has ended"),
        }
    }

    async fn next(&mut self) -> Input {
        while self.batch.is_empty() {
            self.batch = self.next_batch().await.inputs.into();
        }
        self.batch.pop_front().unwrap()
    }

    async fn publish(&self, id: u64, size: usize) {
        let output = Output::Publish {
            outbox: OutboxId(id),
            topic: "/test/1/a/proto".to_owned(),
            payload: vec![1; size].into(),
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
    let Input::Published { outbox, failure } = rig.next().await else { panic!("other") };
    assert_eq!((outbox, failure), (OutboxId(1), Some(PublishFailure::Retry)));
    rig.fetch(5).await;
    let Input::HistoryFailed { query, no_store, .. } = rig.next().await else { panic!("other") };
    assert_eq!((query, no_store), (QueryId(5), false));
    // What can never go is told as such.
    rig.publish(2, 1_000_000).await;
    let Input::Published { outbox, failure } = rig.next().await else { panic!("other") };
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
    let (mut sent, mut done) = (BTreeSet::new(), BTreeSet::new());
    while done.len() < ALL as usize {
        match rig.next().await {
            Input::Sent { outbox } => assert!(sent.insert(outbox.0)),
            Input::Published { outbox, failure } => {
                assert_eq!(failure, None);
                assert!(sent.contains(&outbox.0), "sent first");
                assert!(done.insert(outbox.0));
            }
            _ => panic!("other"),
        }
    }
    assert_eq!(transport.most_publishing.load(Ordering::SeqCst), PUBLISHES);
}

#[tokio::test(start_paused = true)]
async fn pages_are_fetched_one_at_a_time_and_given_up_with_the_connection() {
    let mut rig = rig();
    rig.happen.send(Event::Connected { peers: 1 }).unwrap();
    assert!(matches!(rig.next().await, Input::Connection { connected: true }));
    // A second peer changes nothing.
    rig.happen.send(Event::Connected { peers: 2 }).unwrap();
    rig.fetch(1).await;
    rig.fetch(2).await;
    rig.transport.history.add_permits(1);
    assert!(matches!(rig.next().await, Input::HistoryPage { query: QueryId(1), .. }));
    rig.fetch(3).await;
    rig.outputs.send(Output::Watch(vec!["/test/1/b/proto".to_owned()])).await.unwrap();
    while rig.transport.watched.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.happen.send(Event::Disconnected).unwrap();
    assert!(matches!(rig.next().await, Input::Connection { connected: false }));
    assert!(matches!(rig.next().await, Input::HistoryFailed { query: QueryId(2), .. }));
    assert!(matches!(rig.next().await, Input::HistoryFailed { query: QueryId(3), .. }));
    // The next connection begins anew.
    rig.happen.send(Event::Connected { peers: 1 }).unwrap();
    assert!(matches!(rig.next().await, Input::Connection { connected: true }));
    rig.transport.history.add_permits(1);
    rig.fetch(4).await;
    assert!(matches!(rig.next().await, Input::HistoryPage { query: QueryId(4), .. }));
    // What the transport dropped is told, and a transport that ends is a lost connection.
    rig.happen.send(Event::Missed { count: 3 }).unwrap();
    assert!(matches!(rig.next().await, Input::Missed));
    let Rig { happen, .. } = &mut rig;
    *happen = mpsc::unbounded_channel().0;
    assert!(matches!(rig.next().await, Input::Connection { connected: false }));
}

#[tokio::test(start_paused = true)]
async fn the_machine_is_woken_when_it_wants_to_be() {
    let mut rig = rig();
    rig.progress.send_modify(|p| p.next_wake = Some(now()));
    assert!(matches!(rig.next().await, Input::Tick));
    // Not again before this tick was dealt with: what comes next is something else.
    rig.publish(1, 512).await;
    rig.transport.publish.add_permits(1);
    assert!(matches!(rig.next().await, Input::Sent { .. }));
    assert!(matches!(rig.next().await, Input::Published { .. }));
    rig.progress.send_modify(|p| {
        p.ticks += 1;
        p.next_wake = Some(now());
    });
    assert!(matches!(rig.next().await, Input::Tick));
}

fn message(n: u8) -> Event {
    Event::Message(Received {
        content_topic: "/test/1/a/proto".to_owned(),
        payload: vec![n].into(),
        timestamp_ns: 0,
        hash: MessageHash([n; 32]),
    })
}

/// What comes in while the machine is busy shares one step, results of publishing included.
#[tokio::test(start_paused = true)]
async fn what_comes_in_meanwhile_is_one_batch() {
    let mut rig = rig();
    rig.happen.send(message(0)).unwrap();
    let Batch { inputs, turn } = rig.next_batch().await;
    assert!(matches!(inputs[..], [Input::Envelope(_)]));
    // The machine works. Nothing more is handed over until it is ready.
    rig.publish(1, 512).await;
    rig.publish(2, 512).await;
    rig.transport.publish.add_permits(2);
    for n in 1..=10 {
        rig.happen.send(message(n)).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rig.requests.try_recv().is_err());
    drop(turn);
    let inputs = rig.next_batch().await.inputs;
    let came: Vec<_> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Envelope(inbound) => Some(inbound.payload[0]),
            _ => None,
        })
        .collect();
    assert_eq!(came, (1..=10).collect::<Vec<_>>(), "in their order");
    let published = inputs.iter().filter(|input| matches!(input, Input::Published { .. })).count();
    let sent = inputs.iter().filter(|input| matches!(input, Input::Sent { .. })).count();
    assert_eq!((sent, published, inputs.len()), (2, 2, 14));
}

/// While the backlog is full the transport is not read, and nothing is lost of what it keeps.
#[tokio::test(start_paused = true)]
async fn a_full_backlog_stops_the_reading() {
    let mut rig = rig();
    rig.happen.send(message(0)).unwrap();
    let turn = rig.next_batch().await.turn;
    for n in 1..=200 {
        rig.happen.send(message(n)).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(turn);
    let mut came = Vec::new();
    while came.len() < 200 {
        let batch = rig.next_batch().await;
        assert!(batch.inputs.len() <= super::super::backlog::MAX_INPUTS);
        for input in batch.inputs {
            let Input::Envelope(inbound) = input else { continue };
            came.push(inbound.payload[0]);
        }
    }
    assert_eq!(came, (1..=200).collect::<Vec<_>>());
}
