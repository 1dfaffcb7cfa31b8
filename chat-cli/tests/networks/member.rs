//! A member: an account in a database, and a client on a node while it is online.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use waku_chat::{
    Client, ClientConfig, DatabaseKey, Event, GroupId, GroupView, NetworkParams, RecoveryPhrase,
    new_phrase,
};
use waku_transport::embedded::EmbeddedOptions;
use waku_transport::libwaku::{Library, LibwakuOptions, LibwakuTransport, NodeConfig};
use waku_transport::{Confirmation, EmbeddedTransport, MessageHash, Transport};

use crate::recorder::Recorder;
use crate::{PATIENCE, soon};

/// The kind of a member's node.
pub(crate) enum On {
    Embedded,
    Libwaku(Library),
}

pub(crate) struct Member {
    pub(crate) name: &'static str,
    on: On,
    database: PathBuf,
    online: Option<(Client, Arc<Recorder>)>,
}

impl Member {
    /// Creates an account, and connects it to the hub.
    pub(crate) async fn create(name: &'static str, on: On, hub: &str, home: &Path) -> Self {
        let mut member = Self { name, on, database: home.join(name), online: None };
        member.start(hub, Some(new_phrase().unwrap())).await;
        member
    }

    /// Goes online again.
    pub(crate) async fn online(&mut self, hub: &str) {
        self.start(hub, None).await;
    }

    async fn start(&mut self, hub: &str, new: Option<RecoveryPhrase>) {
        let transport = Arc::new(Recorder::new(self.on.transport(hub).await));
        let config = ClientConfig {
            database: self.database.clone(),
            key: DatabaseKey::raw([7; 32]),
            network: NetworkParams::fast(),
            transport: Arc::clone(&transport) as Arc<dyn Transport>,
        };
        let client = match new {
            Some(phrase) => Client::create(config, &phrase).await.unwrap(),
            None => Client::open(config).await.unwrap(),
        };
        client.wait_connected(PATIENCE).await.unwrap();
        self.online = Some((client, transport));
    }

    /// Goes offline, and stops its node.
    pub(crate) async fn offline(&mut self) {
        let (client, transport) = self.online.take().unwrap();
        client.shutdown().await.unwrap();
        soon("a node ends", transport.shutdown()).await;
    }

    pub(crate) fn is_online(&self) -> bool {
        self.online.is_some()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.online.as_ref().unwrap().0
    }

    /// The Waku messages that it has published since it went online.
    pub(crate) fn published(&self) -> Vec<MessageHash> {
        let online = self.online.as_ref();
        online.map_or(Vec::new(), |(_, transport)| transport.published.lock().unwrap().clone())
    }

    /// The Waku messages that it has got from a Store since it went online.
    pub(crate) fn fetched(&self) -> HashSet<MessageHash> {
        self.online.as_ref().unwrap().1.fetched.lock().unwrap().clone()
    }

    /// Accepts the invitation into a group.
    pub(crate) async fn join(&self, group: GroupId) {
        let request = self.event("an invitation", |event| match event {
            Event::RequestReceived { request } => Some(request.id),
            _ => None,
        });
        self.client().accept_request(request.await).await.unwrap();
        self.event("joining", |event| {
            matches!(event, Event::GroupJoined { group: joined, .. } if joined == group)
                .then_some(())
        })
        .await;
    }

    /// Waits for a message.
    pub(crate) async fn reads(&self, text: &str) {
        self.event(text, |event| match event {
            Event::MessageReceived { message } => {
                (message.text.as_deref() == Some(text)).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// Waits until its view of a group passes a test.
    pub(crate) async fn sees(
        &self,
        group: GroupId,
        test: impl Fn(&GroupView) -> bool,
    ) -> GroupView {
        soon(&format!("{} and the others agree", self.name), async {
            let mut events = self.client().events(0);
            loop {
                let view = self.client().group(group).await.unwrap();
                if let Some(view) = view.filter(&test) {
                    return view;
                }
                // Every change of a group is an event; earlier events count too.
                events.try_next().await.unwrap().expect("the stream does not end");
            }
        })
        .await
    }

    /// All texts in its history of a group, sorted.
    pub(crate) async fn texts(&self, group: GroupId) -> Vec<String> {
        let history = self.client().history(group, None, 1000).await.unwrap();
        let mut texts: Vec<_> = history.into_iter().map(|m| m.text.unwrap()).collect();
        texts.sort();
        texts
    }

    async fn event<T>(&self, what: &str, test: impl Fn(Event) -> Option<T>) -> T {
        soon(&format!("{}: {what}", self.name), async {
            let mut events = self.client().events(0);
            loop {
                let (_, event) = events.try_next().await.unwrap().expect("the stream does not end");
                if let Some(found) = test(event) {
                    return found;
                }
            }
        })
        .await
    }
}

impl On {
    async fn transport(&self, hub: &str) -> Arc<dyn Transport> {
        match self {
            On::Embedded => {
                let network = NetworkParams::fast();
                let config = waku_node::NodeConfig {
                    listen: Vec::new(),
                    cluster_id: network.cluster,
                    shards: vec![network.shard()],
                    static_peers: vec![hub.parse().unwrap()],
                    ..waku_node::NodeConfig::default()
                };
                let (topic, options) = (network.pubsub_topic(), embedded_options());
                Arc::new(EmbeddedTransport::with_options(config, &topic, options).await.unwrap())
            }
            On::Libwaku(library) => {
                Arc::new(libwaku(library, libwaku_config(), vec![hub.to_owned()]).await)
            }
        }
    }
}

fn embedded_options() -> EmbeddedOptions {
    EmbeddedOptions { confirmation: Confirmation::fast(), ..EmbeddedOptions::default() }
}

/// A libwaku node on the network's shard.
pub(crate) async fn libwaku(
    library: &Library,
    config: NodeConfig,
    peers: Vec<String>,
) -> LibwakuTransport {
    let shard = config.shards[0];
    let options =
        LibwakuOptions { confirmation: Some(Confirmation::fast()), ..LibwakuOptions::default() };
    LibwakuTransport::new(library, config, shard, peers, options).await.unwrap()
}

/// The configuration of a libwaku node: a free port, and relay only.
pub(crate) fn libwaku_config() -> NodeConfig {
    let network = NetworkParams::fast();
    let shard = u16::try_from(network.shard()).unwrap();
    let shards = u16::try_from(network.shards).unwrap();
    NodeConfig {
        shards_in_network: NonZeroU16::new(shards),
        ..NodeConfig::new(
            Ipv4Addr::LOCALHOST.into(),
            free_port(),
            u16::try_from(network.cluster).unwrap(),
            vec![shard],
        )
    }
}

/// A port that is free at this moment, for nodes that cannot find one themselves.
pub(crate) fn free_port() -> NonZeroU16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap()
}
