//! Clients over a network in memory, and what the tests do with them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use waku_chat::transport::Transport;
use waku_chat::transport::memory::{EndpointId, Network};
use waku_chat::{
    Client, ClientConfig, DatabaseKey, Error, Event, GroupId, MessageId, NetworkParams, new_phrase,
};

/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(path: &Path, transport: Arc<dyn Transport>) -> ClientConfig {
    ClientConfig {
        database: path.to_owned(),
        key: DatabaseKey::raw([7; 32]),
        network: NetworkParams::fast(),
        transport,
    }
}

/// A client on a new account, and its endpoint.
pub(crate) async fn client(network: &Network, path: &Path) -> (Client, EndpointId) {
    let endpoint = network.endpoint();
    let id = endpoint.id();
    let config = config(path, Arc::new(endpoint));
    (Client::create(config, &new_phrase().unwrap()).await.unwrap(), id)
}

/// Reads events until one is what is waited for.
pub(crate) async fn until<T>(
    events: &mut (impl Stream<Item = Result<(u64, Event), Error>> + Unpin),
    test: impl Fn(u64, Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            let (cursor, event) = events.try_next().await.unwrap().expect("the stream goes on");
            if let Some(found) = test(cursor, event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the event comes")
}

/// A message with a text.
pub(crate) fn text(wanted: &str) -> impl Fn(u64, Event) -> Option<MessageId> + '_ {
    move |_, event| match event {
        Event::MessageReceived { message } if message.text.as_deref() == Some(wanted) => {
            Some(message.message)
        }
        _ => None,
    }
}

/// A group of two: `owner` creates it and `guest` joins.
pub(crate) async fn group_of_two(owner: &Client, guest: &Client) -> GroupId {
    let contact = owner.add_contact(guest.contact_link().await.unwrap(), None).await.unwrap();
    let group = owner.create_group("Two", "", &[contact.account]).await.unwrap().id;
    let mut events = guest.events(0);
    let request = until(&mut events, |_, event| match event {
        Event::RequestReceived { request } => Some(request.id),
        _ => None,
    })
    .await;
    guest.accept_request(request).await.unwrap();
    let joined = until(&mut events, |_, event| match event {
        Event::GroupJoined { group, .. } => Some(group),
        _ => None,
    });
    assert_eq!(joined.await, group);
    group
}

pub(crate) async fn texts(client: &Client, group: GroupId) -> Vec<String> {
    let history = client.history(group, None, 10_000).await.unwrap();
    history.into_iter().map(|message| message.text.unwrap()).collect()
}
