//! What a client's database costs under load: transactions, each of which is an fsync.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use chat_core::database::DatabaseKey;
use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::ids::GroupId;
use chat_core::machine::Event;
use chat_core::params::NetworkParams;
use futures::TryStreamExt;
use rand_core::SeedableRng as _;
use waku_transport::memory::{EndpointId, Network, Observed};

use super::config::ClientConfig;
use super::lifecycle::Client;

/// Messages of one burst.
const MESSAGES: usize = 1_000;
/// The most transactions that they may cost where they are received, and where their publishing is
/// told.
const MOST_TRANSACTIONS: u64 = MESSAGES as u64 / 10;
/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client whose database is a file, on a network whose slots are so long that nothing happens only
/// because one is over.
async fn client(network: &Network, path: &Path, seed: u64) -> (Client, EndpointId) {
    let endpoint = network.endpoint();
    let id = endpoint.id();
    let config = ClientConfig {
        database: path.to_owned(),
        key: DatabaseKey::raw([7; 32]),
        network: NetworkParams { slot_secs: 3600, ..NetworkParams::fast() },
        transport: Arc::new(endpoint),
    };
    let phrase = RecoveryPhrase::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed));
    (Client::create(config, &phrase).await.unwrap(), id)
}

/// Waits for an event that is wanted, and gives what is wanted of it.
async fn until<T>(client: &Client, wanted: impl Fn(Event) -> Option<T>) -> T {
    let mut events = std::pin::pin!(client.events(0));
    let wait = async {
        loop {
            let (_, event) = events.try_next().await.unwrap().expect("the stream goes on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the event comes")
}

async fn group_of_two(owner: &Client, guest: &Client) -> GroupId {
    let contact = owner.add_contact(guest.contact_link().await.unwrap(), None).await.unwrap();
    let group = owner.create_group("Two", "", &[contact.account]).await.unwrap().id;
    let request = until(guest, |event| match event {
        Event::RequestReceived { request } => Some(request.id),
        _ => None,
    });
    guest.accept_request(request.await).await.unwrap();
    until(guest, |event| matches!(event, Event::GroupJoined { .. }).then_some(())).await;
    group
}

async fn transactions(client: &Client) -> u64 {
    client.query(|machine| Ok(machine.database().transactions())).await.unwrap()
}

/// Keeps a client's machine busy, with one query, until what is given back is dropped.
async fn keep_busy(client: &Client) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let busy = client.clone();
    tokio::spawn(async move {
        let query = busy.query(move |_| {
            let _ = began.send(());
            let _ = released.recv();
            Ok(())
        });
        query.await.unwrap();
    });
    begun.await.unwrap();
    release
}

/// The load is made without a clock. The sender writes while it has no connection, and so sends
/// everything in one burst; the receiver's machine is busy until all of it waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_ten_messages_share_a_transaction() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, alice_id) = client(&network, &home.path().join("a"), 1).await;
    let (bob, bob_id) = client(&network, &home.path().join("b"), 2).await;
    let group = group_of_two(&alice, &bob).await;
    for client in [&alice, &bob] {
        client.wait_published(PATIENCE).await.unwrap();
        client.wait_caught_up(PATIENCE).await.unwrap();
    }
    let queries = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&queries);
    network.observe(move |observed| {
        if matches!(observed, Observed::Queried { from, .. } if *from == bob_id) {
            asked.fetch_add(1, Ordering::SeqCst);
        }
    });

    network.set_online(alice_id, false);
    let mut connection = alice.progress();
    let lost = connection.wait_for(|progress| progress.connected_at.is_none());
    tokio::time::timeout(PATIENCE, lost).await.unwrap().unwrap();
    let texts: Vec<String> = (0..MESSAGES).map(|at| format!("text {at}")).collect();
    for text in &texts {
        alice.send(group, text.as_str()).await.unwrap();
    }
    let sending = transactions(&alice).await;
    let receiving = transactions(&bob).await;
    let busy = keep_busy(&bob).await;
    network.set_online(alice_id, true);
    alice.wait_caught_up(PATIENCE).await.unwrap();
    alice.wait_published(PATIENCE).await.unwrap();
    let sending = transactions(&alice).await - sending;
    assert!(sending <= MOST_TRANSACTIONS, "{MESSAGES} sent and told in {sending} transactions");

    drop(busy);
    let mut events = std::pin::pin!(bob.events(0));
    let received = async {
        let mut received = Vec::new();
        while received.len() < MESSAGES {
            let (_, event) = events.try_next().await.unwrap().expect("the stream goes on");
            if let Event::MessageReceived { message } = event {
                received.push(message.text.unwrap());
            }
        }
        received
    };
    let received = tokio::time::timeout(PATIENCE, received).await.expect("all are received");
    let receiving = transactions(&bob).await - receiving;
    println!("{MESSAGES} messages: {sending} transactions to send, {receiving} to receive");
    assert!(receiving <= MOST_TRANSACTIONS, "{MESSAGES} received in {receiving} transactions");
    assert!(received == texts, "they are told in the order in which they were written");
    let history = bob.history(group, None, 10_000).await.unwrap();
    assert!(history.into_iter().map(|it| it.text.unwrap()).eq(texts), "and they are there so");
    assert_eq!(queries.load(Ordering::SeqCst), 0, "nothing of it came from a Store");
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}
