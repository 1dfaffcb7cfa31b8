//! Accounts with three, two and one installations, on embedded nodes around a relay: every installation
//! has every message once, and a lost phone can read no more.

#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use waku_chat::confirmation;
use waku_chat::transport::Transport;
use waku_chat::{
    Client, ClientConfig, DatabaseKey, Error, Event, GroupId, NetworkParams, RecoveryPhrase,
    new_phrase,
};
use waku_node::{Node, NodeConfig, StoreConfig};
use waku_transport::EmbeddedTransport;
use waku_transport::embedded::EmbeddedOptions;

/// The longest wait for any step, far more than it takes, so that the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

struct Device {
    name: &'static str,
    client: Client,
    transport: Arc<dyn Transport>,
}

/// Waits until something holds, by polling: much of what happens in a group is not an event.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let wait = async {
        while !is_so().await {
            again.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what} does not come");
}

async fn relay(directory: &Path) -> Node {
    let network = NetworkParams::fast();
    let store = StoreConfig { path: Some(directory.join("relay")), ..StoreConfig::default() };
    let config = NodeConfig {
        cluster_id: network.cluster,
        shards: vec![network.shard()],
        store: Some(store),
        ..NodeConfig::default()
    };
    Node::start(config).await.unwrap()
}

async fn config(directory: &Path, name: &str, relay: &Node) -> (ClientConfig, Arc<dyn Transport>) {
    let network = NetworkParams::fast();
    let node = NodeConfig {
        listen: Vec::new(),
        cluster_id: network.cluster,
        shards: vec![network.shard()],
        static_peers: vec![relay.listen_addresses()[0].clone()],
        ..NodeConfig::default()
    };
    let options =
        EmbeddedOptions { confirmation: confirmation(&network), ..EmbeddedOptions::default() };
    let topic = network.pubsub_topic();
    let transport = EmbeddedTransport::with_options(node, &topic, options).await.unwrap();
    let transport: Arc<dyn Transport> = Arc::new(transport);
    let config = ClientConfig {
        database: directory.join(name),
        key: DatabaseKey::raw([7; 32]),
        network,
        transport: Arc::clone(&transport),
    };
    (config, transport)
}

async fn account(
    directory: &Path,
    name: &'static str,
    relay: &Node,
    phrase: &RecoveryPhrase,
) -> Device {
    let (config, transport) = config(directory, name, relay).await;
    let client = Client::create(config, phrase).await.unwrap();
    client.wait_connected(PATIENCE).await.unwrap();
    Device { name, client, transport }
}

/// Links a new device, as its user does with both devices at hand.
async fn link(directory: &Path, name: &'static str, relay: &Node, old: &Device) -> Device {
    let (config, transport) = config(directory, name, relay).await;
    let linking = Client::start_linking(config, name).await.unwrap();
    let code = linking.code().await.unwrap().unwrap();
    let mut states = linking.states();
    let id = old.client.answer_linking(&code).await.unwrap().id;
    let string = async {
        while let Some(view) = states.next().await {
            if let Some(string) = view.string {
                return string;
            }
        }
        panic!("the states end");
    };
    let string = tokio::time::timeout(PATIENCE, string).await.unwrap();
    old.client.confirm_linking(id, string).await.unwrap();
    let client = tokio::time::timeout(PATIENCE, linking.finish()).await.unwrap().unwrap();
    let mut events = client.events(0);
    let done = async {
        while let Some((_, event)) = events.try_next().await.unwrap() {
            if matches!(event, Event::LinkingDone { .. }) {
                return;
            }
        }
        panic!("the events end");
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    Device { name, client, transport }
}

async fn befriend(a: &Device, b: &Device) {
    for (from, to) in [(a, b), (b, a)] {
        let link = from.client.contact_link().await.unwrap();
        to.client.add_contact(link, None).await.unwrap();
    }
}

/// Waits until all these devices follow the same epoch of the group, with this many leaves.
async fn agree(devices: &[&Device], group: GroupId, installations: usize) {
    until("the same epoch of the group", || async {
        let mut epochs = Vec::new();
        for device in devices {
            match device.client.group(group).await.unwrap() {
                Some(view) if view.installations == installations => epochs.push(view.epoch_id),
                _ => return false,
            }
        }
        epochs.windows(2).all(|pair| pair[0] == pair[1])
    })
    .await;
}

async fn texts(device: &Device, group: GroupId) -> Vec<String> {
    let mut texts: Vec<String> = device
        .client
        .history(group, None, 1000)
        .await
        .unwrap()
        .into_iter()
        .filter(|message| !message.flagged)
        .filter_map(|message| message.text)
        .collect();
    texts.sort();
    texts
}

async fn have(devices: &[&Device], group: GroupId, mut wanted: Vec<String>) {
    wanted.sort();
    for device in devices {
        until(&format!("{wanted:?} at {}", device.name), || async {
            texts(device, group).await.len() >= wanted.len()
        })
        .await;
        assert_eq!(texts(device, group).await, wanted, "{}", device.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_accounts_on_six_devices() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let relay = relay(directory).await;
    let phrase = new_phrase().unwrap();
    let phone = account(directory, "phone", &relay, &phrase).await;
    let bob = account(directory, "bob", &relay, &new_phrase().unwrap()).await;
    let carol = account(directory, "carol", &relay, &new_phrase().unwrap()).await;
    befriend(&phone, &bob).await;
    befriend(&phone, &carol).await;
    let [alice_id, bob_id, carol_id] = [
        phone.client.identity().await.unwrap(),
        bob.client.identity().await.unwrap(),
        carol.client.identity().await.unwrap(),
    ];
    let members = [bob_id.account, carol_id.account];
    let group = phone.client.create_group("Hikers", "", &members).await.unwrap().id;
    agree(&[&phone, &bob, &carol], group, 3).await;

    let laptop = link(directory, "laptop", &relay, &phone).await;
    let tablet = link(directory, "tablet", &relay, &phone).await;
    let bobs_laptop = link(directory, "bob's laptop", &relay, &bob).await;
    let all = [&phone, &laptop, &tablet, &bob, &bobs_laptop, &carol];
    agree(&all, group, 6).await;
    let mut said = Vec::new();
    for device in all {
        let text = format!("from {}", device.name);
        device.client.send(group, text.as_str()).await.unwrap();
        said.push(text);
    }
    have(&all, group, said.clone()).await;
    for (device, own) in all.into_iter().zip([3, 3, 3, 2, 2, 1]) {
        let history = device.client.history(group, None, 100).await.unwrap();
        assert_eq!(history.iter().filter(|it| it.own).count(), own, "{}", device.name);
    }

    // The phone is lost. It is the senior one, so the laptop needs the phrase.
    let lost = [alice_id.installation];
    let junior = laptop.client.revoke_installations(&lost, None).await;
    assert!(matches!(junior, Err(Error::Command(error)) if error.code() == "not_senior"));
    laptop.client.revoke_installations(&lost, Some(&phrase)).await.unwrap();
    let left = [&laptop, &tablet, &bob, &bobs_laptop, &carol];
    agree(&left, group, 5).await;
    bob.client.send(group, "without the phone").await.unwrap();
    // The finder of the phone tries to send. What still gets out is accepted by no member.
    let tried = phone.client.send(group, "too late").await;
    have(&left, group, [said.clone(), vec!["without the phone".into()]].concat()).await;
    let heard = texts(&phone, group).await;
    assert!(!heard.contains(&"without the phone".to_owned()), "{heard:?} {tried:?}");
    let known = tablet.client.installations().await.unwrap();
    let gone = known.iter().find(|it| it.installation == lost[0]).unwrap();
    assert!(gone.revoked.is_some_and(|revoked| revoked.by.is_none()));

    for device in all {
        // What the lost phone could not publish does not matter.
        let _ = device.client.shutdown().await;
        device.transport.shutdown().await;
    }
    relay.shutdown().await;
}
