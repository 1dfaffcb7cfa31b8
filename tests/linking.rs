//! Linking through the client, over a network in memory.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use waku_chat::transport::Transport;
use waku_chat::transport::memory::{MemoryTransport, Network};
use waku_chat::{
    Client, ClientConfig, DatabaseKey, EndCode, Error, Event, Linking, LinkingId, LinkingState,
    LinkingView, NetworkParams, NewcomerState, NewcomerView, new_phrase,
};

/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(path: &Path, transport: Arc<MemoryTransport>) -> ClientConfig {
    ClientConfig {
        database: path.to_owned(),
        key: DatabaseKey::raw([7; 32]),
        network: NetworkParams::fast(),
        transport: transport as Arc<dyn Transport>,
    }
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.expect("in time")
}

async fn state(
    states: &mut (impl Stream<Item = NewcomerView> + Unpin),
    wanted: impl Fn(&NewcomerView) -> bool,
) -> NewcomerView {
    within(async {
        while let Some(view) = states.next().await {
            if wanted(&view) {
                return view;
            }
        }
        panic!("the states end");
    })
    .await
}

async fn event<T>(client: &Client, wanted: impl Fn(&Event) -> Option<T>) -> T {
    within(async {
        let mut events = client.events(0);
        while let Some((_, event)) = events.try_next().await.unwrap() {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("the events end");
    })
    .await
}

async fn ready(client: &Client) -> LinkingView {
    event(client, |event| match event {
        Event::LinkingReady { linking } => Some(linking.clone()),
        _ => None,
    })
    .await
}

struct Home {
    dir: tempfile::TempDir,
    network: Network,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), network: Network::default() }
    }

    fn config(&self, name: &str) -> ClientConfig {
        let transport = Arc::new(self.network.endpoint());
        config(&self.dir.path().join(name), transport)
    }

    async fn phone(&self) -> Client {
        Client::create(self.config("phone"), &new_phrase().unwrap()).await.unwrap()
    }
}

async fn string_of(linking: &Linking) -> NewcomerView {
    state(&mut linking.states(), |view| view.string.is_some()).await
}

async fn answered(home: &Home) -> (Client, Linking, LinkingId, String) {
    let phone = home.phone().await;
    let tablet = Client::start_linking(home.config("tablet"), "tablet").await.unwrap();
    let code = tablet.code().await.unwrap().unwrap();
    let id = phone.answer_linking(&code).await.unwrap().id;
    let link = ready(&phone).await;
    assert_eq!((link.id, link.name.as_deref()), (id, Some("tablet")));
    let view = string_of(&tablet).await;
    assert_eq!(view.account, Some(phone.identity().await.unwrap().account));
    (phone, tablet, id, view.string.unwrap())
}

#[tokio::test]
async fn a_tablet_is_linked_and_hears_what_the_phone_does() {
    let home = Home::new();
    let (phone, tablet, id, string) = answered(&home).await;
    let mut states = tablet.states();
    let finished = tokio::spawn(tablet.finish());
    let link = phone.confirm_linking(id, string).await.unwrap();
    assert!(matches!(link.state, LinkingState::Granted | LinkingState::Admitted), "{link:?}");
    state(&mut states, |view| view.state == NewcomerState::Linked).await;
    let tablet = within(finished).await.unwrap().unwrap();
    for client in [&phone, &tablet] {
        event(client, |event| matches!(event, Event::LinkingDone { .. }).then_some(())).await;
    }
    let account = phone.identity().await.unwrap().account;
    assert_eq!(tablet.identity().await.unwrap().account, account);
    assert_eq!(tablet.own_linking().await.unwrap().unwrap().state, NewcomerState::Done);
    let group = phone.create_group("hikers", "", &[]).await.unwrap().id;
    let joined = |event: &Event| match event {
        Event::GroupJoined { group, .. } => Some(*group),
        _ => None,
    };
    assert_eq!(event(&tablet, joined).await, group);
    phone.shutdown().await.unwrap();
    tablet.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_goes_on_where_it_was_closed() {
    let home = Home::new();
    let (phone, tablet, id, string) = answered(&home).await;
    tablet.close().await.unwrap();
    let opened = Client::open(home.config("tablet")).await;
    assert!(matches!(opened, Err(Error::Linking)));
    let again = Client::start_linking(home.config("tablet"), "tablet").await;
    assert!(matches!(again, Err(Error::Linking)));
    phone.confirm_linking(id, string.clone()).await.unwrap();
    let tablet = Client::resume_linking(home.config("tablet")).await.unwrap();
    let tablet = within(tablet.finish()).await.unwrap();
    event(&tablet, |event| matches!(event, Event::LinkingDone { .. }).then_some(())).await;
    tablet.shutdown().await.unwrap();
    let again = Client::resume_linking(home.config("tablet")).await;
    assert!(matches!(again, Err(Error::AccountExists)));
    let tablet = Client::open(home.config("tablet")).await.unwrap();
    tablet.shutdown().await.unwrap();
    phone.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_linking_is_told_and_another_can_be_begun() {
    let home = Home::new();
    let (phone, tablet, id, _) = answered(&home).await;
    phone.cancel_linking(id).await.unwrap();
    let ended = within(tablet.finish()).await.unwrap_err();
    let cancelled = |error: &Error, there| matches!(error, Error::LinkingEnded { code: EndCode::Cancelled, by_other } if *by_other == there);
    assert!(cancelled(&ended, true), "{ended}");
    assert_eq!(ended.code(), "linking_cancelled");

    let tablet = Client::start_linking(home.config("tablet"), "tablet").await.unwrap();
    let code = tablet.code().await.unwrap().unwrap();
    let second = phone.answer_linking(&code).await.unwrap().id;
    assert_ne!(second, id);
    string_of(&tablet).await;
    tablet.cancel().await.unwrap();
    let ended = within(tablet.finish()).await.unwrap_err();
    assert!(cancelled(&ended, false), "{ended}");
    event(&phone, |event| match event {
        Event::LinkingFailed { linking, by_other: true, .. } if *linking == second => Some(()),
        _ => None,
    })
    .await;
    phone.shutdown().await.unwrap();
}
