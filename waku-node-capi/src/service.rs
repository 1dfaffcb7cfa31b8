//! Carries out requests on a node.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libwaku_json::{Event, PeerEvent, TopicHealth};
use tokio::sync::Semaphore;
use waku_node::{
    EventStream, FilterError, Node, NodeEvent, PeerId, PublishError, StoreError, WakuMessage,
    message_hash,
};

use crate::addresses::parse_one_peer;
use crate::answers::{Outcome, Reply, done, lock};
use crate::config::Settings;
use crate::errors::{self, FilterCall};
use crate::events::{EventQueue, health};
use crate::known_peers::KnownPeers;
use crate::requests::Request;
use crate::{convert, metrics};

/// Store answers that wait for the host at once: each can be many megabytes.
const MAX_PAGES: usize = 16;

/// How long a filter server may take for its answer, as in libwaku.
const FILTER_PATIENCE: Duration = Duration::from_secs(5);

/// A node as the host sees it: created, running, or stopped again.
pub(crate) struct Service {
    settings: Result<Settings, String>,
    pub(crate) events: Arc<EventQueue>,
    state: Mutex<State>,
    pub(crate) known: Mutex<KnownPeers>,
    pages: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    node: Option<Node>,
    /// The topics that the node subscribes to, or will subscribe to once it runs.
    topics: BTreeSet<String>,
}

impl Service {
    pub(crate) fn new(settings: Result<Settings, String>, events: Arc<EventQueue>) -> Self {
        let mut state = State::default();
        let mut known = KnownPeers::default();
        if let Ok(settings) = &settings {
            let node = &settings.node;
            if node.relay {
                let topic = |s: &u32| waku_node::pubsub_topic(node.cluster_id, *s);
                state.topics = node.shards.iter().map(topic).collect();
            }
            node.static_peers.iter().for_each(|address| known.learn(address));
        }
        Self {
            settings,
            events,
            state: Mutex::new(state),
            known: Mutex::new(known),
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
        }
    }

    /// Carries out a request, and answers it.
    pub(crate) async fn answer(self: Arc<Self>, request: Request, mut reply: Reply) {
        let result = match request {
            Request::StoreQuery { .. } => {
                // Held until the host has taken the answer.
                if let Ok(page) = self.pages.clone().acquire_owned().await {
                    reply.hold(page);
                }
                self.carry_out(request).await
            }
            other => self.carry_out(other).await,
        };
        reply.send(result);
    }

    async fn carry_out(&self, request: Request) -> Outcome {
        let settings = self.settings()?;
        match request {
            Request::Start => self.start().await,
            Request::Stop => {
                self.stop().await;
                done()
            }
            Request::Publish { topic, message } => self.publish(topic, message).await,
            Request::Subscribe { topic } => self.subscribe(topic).await,
            Request::Unsubscribe { topic } => self.unsubscribe(topic).await,
            Request::FilterSubscribe { topic, contents } => {
                let node = self.node()?;
                let subscribed =
                    async { node.filter_subscribe(None, &topic, &contents).await.map(drop) };
                filter(FilterCall::Subscribe, subscribed).await
            }
            Request::FilterUnsubscribe { topic, contents } => {
                let node = self.node()?;
                let ended = node.filter_unsubscribe(None, &topic, &contents);
                filter(FilterCall::Unsubscribe, ended).await
            }
            Request::FilterUnsubscribeAll => {
                let node = self.node()?;
                filter(FilterCall::UnsubscribeAll, node.filter_unsubscribe_all(None)).await
            }
            Request::Lightpush { topic, message } => {
                let hash = self.node()?.lightpush_publish(None, &topic, message).await;
                Ok(hash.map_err(|e| errors::lightpush(&e))?.to_string())
            }
            Request::CountPeers { topic, among } => self.count_peers(&topic, among),
            Request::ListPeers { topic, among } => self.list_peers(&topic, among),
            Request::StoreQuery { query, peer, timeout } => {
                within(
                    timeout,
                    errors::store(&StoreError::Timeout),
                    self.store_query(&query, &peer),
                )
                .await
            }
            Request::Connect { peers, timeout } => {
                within(timeout, timed_out(timeout), self.connect(peers)).await
            }
            Request::Disconnect { peer } => {
                self.node()?.disconnect(peer).await;
                done()
            }
            Request::DisconnectAll => self.disconnect_all().await,
            Request::Dial { peer, protocol, timeout } => {
                within(timeout, timed_out(timeout), self.dial(peer, &protocol)).await
            }
            Request::DialById { peer, protocol, timeout } => {
                within(timeout, timed_out(timeout), self.dial_by_id(peer, &protocol)).await
            }
            Request::Ping { peer, timeout } => {
                within(timeout, "ping timed out".to_owned(), self.ping(&peer)).await
            }
            Request::KnownPeers => Ok(lock(&self.known).list()),
            Request::ConnectedPeers => Ok(self.connected_peers(|_| true)),
            Request::ConnectedPeersInfo => Ok(self.connected_peers_info()),
            Request::PeersByProtocol { protocol } => {
                Ok(self.connected_peers(|peer| peer.protocols.contains(&protocol)))
            }
            Request::ListenAddresses => {
                let addresses = settings.listen_addresses();
                Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            Request::Enr => settings.enr(),
            Request::PeerId => Ok(settings.peer_id.to_string()),
            Request::Metrics => Ok(metrics::text(self.running().as_ref())),
            Request::Online => {
                Ok(self.running().is_some_and(|n| !n.peers().is_empty()).to_string())
            }
            Request::NotServed(what) => Err(format!("{what} by this node")),
        }
    }

    pub(crate) fn settings(&self) -> Result<&Settings, String> {
        self.settings.as_ref().map_err(|e| format!("the node was not created: {e}"))
    }

    /// The node, if it was started and not stopped since.
    pub(crate) fn running(&self) -> Option<Node> {
        lock(&self.state).node.clone()
    }

    pub(crate) fn node(&self) -> Result<Node, String> {
        self.running().ok_or_else(|| "the node is not started".into())
    }

    /// Starts the node. Doing so twice changes nothing.
    async fn start(&self) -> Outcome {
        if self.running().is_some() {
            return done();
        }
        let node = Node::start(self.settings()?.node.clone()).await.map_err(text)?;
        // Nothing was awaited since the node's task was made, so no event can have been missed.
        tokio::spawn(tell(node.events(), self.events.clone()));
        let topics = lock(&self.state).topics.clone();
        for topic in topics {
            if let Err(error) = node.subscribe(&topic).await {
                node.shutdown().await;
                return Err(text(error));
            }
        }
        lock(&self.state).node = Some(node);
        done()
    }

    /// Stops the node; it can be started again, with the same identity.
    pub(crate) async fn stop(&self) {
        let node = lock(&self.state).node.take();
        if let Some(node) = node {
            node.shutdown().await;
        }
    }

    async fn publish(&self, topic: String, message: WakuMessage) -> Outcome {
        self.relay()?;
        if topic.trim().is_empty() {
            return Err("NoTopicSpecified".into());
        }
        let node = self.node()?;
        let result = node.publish(&topic, message.clone()).await;
        // As in libwaku, a subscriber of a topic gets its own messages, whether or not a peer does.
        let heard = match &result {
            Ok(_) => true,
            Err(PublishError::NoPeers | PublishError::Duplicate | PublishError::Overloaded) => true,
            Err(_) => false,
        };
        if heard && lock(&self.state).topics.contains(&topic) {
            let hash = message_hash(&topic, &message);
            self.events.push(convert::message_event(topic, hash, message));
        }
        match result {
            Ok(hash) => Ok(hash.to_string()),
            // libwaku has one answer for both.
            Err(PublishError::NoPeers | PublishError::Duplicate) => Err("NoPeersToPublish".into()),
            Err(other) => Err(text(other)),
        }
    }

    async fn subscribe(&self, topic: String) -> Outcome {
        self.relay()?;
        match self.running() {
            Some(node) => node.subscribe(&topic).await.map_err(text)?,
            None => self.check_topic(&topic)?,
        }
        lock(&self.state).topics.insert(topic);
        done()
    }

    async fn unsubscribe(&self, topic: String) -> Outcome {
        self.relay()?;
        match self.running() {
            Some(node) => node.unsubscribe(&topic).await.map_err(text)?,
            None => self.check_topic(&topic)?,
        }
        lock(&self.state).topics.remove(&topic);
        done()
    }

    /// Refuses topics that the node would refuse once it runs.
    fn check_topic(&self, topic: &str) -> Result<(), String> {
        let (cluster, _) = waku_node::parse_pubsub_topic(topic).map_err(text)?;
        match cluster == self.settings()?.node.cluster_id {
            true => Ok(()),
            false => Err(text(waku_node::TopicError::OtherCluster)),
        }
    }

    /// Refuses what needs relay if the node has none.
    pub(crate) fn relay(&self) -> Result<(), String> {
        match self.settings()?.node.relay {
            true => Ok(()),
            false => Err("Operation not supported without Waku Relay enabled.".into()),
        }
    }

    async fn store_query(&self, query: &str, peer: &str) -> Outcome {
        self.settings()?;
        let (request_id, query) = convert::store_query(query)?;
        let addresses = parse_one_peer(peer).map_err(errors::store_address)?;
        let node = self.node()?;
        let peer = self.reach(&addresses).await.map_err(errors::store_dial)?;
        let page = node.store_query(Some(peer), query).await.map_err(|error| {
            tracing::debug!(%error, "a Store query failed");
            errors::store(&error)
        })?;
        if page.messages.is_empty() && page.dropped > 0 {
            return Err(errors::store_unwanted(page.dropped));
        }
        Ok(convert::store_answer(request_id, page).to_json())
    }
}

/// Passes a node's events on until it stops.
async fn tell(mut stream: EventStream, events: Arc<EventQueue>) {
    let mut healths: HashMap<String, TopicHealth> = HashMap::new();
    while let Some(event) = stream.recv().await {
        match event {
            NodeEvent::Message { pubsub_topic, hash, message }
            | NodeEvent::FilterMessage { pubsub_topic, hash, message, .. } => {
                events.push(convert::message_event(pubsub_topic, hash, message));
            }
            NodeEvent::PeerConnected { peer } => {
                events.push(connection(peer, PeerEvent::Joined));
            }
            NodeEvent::PeerDisconnected { peer } => {
                events.push(connection(peer, PeerEvent::Left));
            }
            NodeEvent::MeshChanged { pubsub_topic, mesh_peers, .. } => {
                let now = health(mesh_peers);
                // A topic begins as unhealthy, and only changes are told.
                let before = healths.insert(pubsub_topic.clone(), now);
                if now != before.unwrap_or(TopicHealth::UnHealthy) {
                    events.push(Event::RelayTopicHealthChange { pubsub_topic, topic_health: now });
                }
            }
            NodeEvent::Lagged(n) => events.missed(n),
            // Events that libwaku does not have.
            _ => {}
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn connection(peer: PeerId, peer_event: PeerEvent) -> Event {
    Event::ConnectionChange { peer_id: peer.to_string(), peer_event }
}

async fn within(
    timeout: Option<Duration>,
    expired: String,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    match timeout {
        None => work.await,
        Some(patience) => tokio::time::timeout(patience, work).await.unwrap_or(Err(expired)),
    }
}

fn timed_out(timeout: Option<Duration>) -> String {
    format!("timed out after {} ms", timeout.unwrap_or_default().as_millis())
}

/// Carries out a filter request within the time that libwaku gives it.
async fn filter(
    call: FilterCall,
    request: impl Future<Output = Result<(), FilterError>>,
) -> Outcome {
    let answer = async { request.await.map_err(|e| call.failed(&e)).and(done()) };
    within(Some(FILTER_PATIENCE), call.timed_out().to_owned(), answer).await
}
