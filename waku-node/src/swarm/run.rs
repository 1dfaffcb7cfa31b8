//! The loop of the network task: commands, events of the swarm, and what the clock makes due.

use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use tokio::time::MissedTickBehavior;

use super::behaviour::BehaviourEvent;
use super::command::Command;
use super::driver::Driver;
use crate::lightpush::LightpushVersion;
use crate::store::ArchiveWorker;

/// How often the mesh is looked at; gossipsub does not report its changes.
const MESH_TICK: Duration = Duration::from_millis(200);

impl Driver {
    /// Runs until a handle sends `Shutdown`, or all handles are gone.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(MESH_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.statics.next_due();
            let retry = async move {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.on_command(command),
                },
                answer = self.store_server.next() => self.on_store_answer(answer),
                () = retry => self.dial_static(),
                _ = tick.tick() => {
                    self.end_returns(tokio::time::Instant::now());
                    self.look_at_mesh();
                    self.expire_filter();
                }
            }
            if std::mem::take(&mut self.peers_changed) {
                self.publish_peers();
            }
        }
        self.close().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { pubsub_topic, hash, encoded, message, reply } => {
                let _ = reply.send(self.publish(&pubsub_topic, hash, encoded, &message));
            }
            Command::Subscribers { pubsub_topic, reply } => {
                let _ = reply.send(self.subscribers(&pubsub_topic).copied().collect());
            }
            Command::Subscribe { pubsub_topic, reply } => {
                let _ = reply.send(self.subscribe(pubsub_topic));
            }
            Command::Unsubscribe { pubsub_topic, reply } => {
                let _ = reply.send(self.unsubscribe(&pubsub_topic));
            }
            Command::Connect { addr, reply } => self.connect(addr, reply),
            Command::Disconnect { peer, reply } => {
                let _ = self.swarm.disconnect_peer_id(peer);
                let _ = reply.send(());
            }
            Command::StoreQuery { peer, request_id, query, reply } => {
                self.store_query(peer, &request_id, query, reply);
            }
            Command::Filter { peer, request, reply } => self.filter_request(peer, request, reply),
            Command::FilterServers(reply) => drop(reply.send(self.filter_servers())),
            Command::Lightpush { peer, request, reply } => {
                self.lightpush_request(peer, &request, reply);
            }
            Command::Ping { peer, reply } => self.ping(peer, reply),
            Command::CheckArchive(reply) => {
                drop(reply.send(self.archive.as_ref().map(ArchiveWorker::check)));
            }
            Command::Shutdown => {}
        }
    }

    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => match event {
                BehaviourEvent::Relay(event) => self.on_relay(event),
                BehaviourEvent::Metadata(event) => self.on_metadata(event),
                BehaviourEvent::Store(event) => self.on_store(event),
                BehaviourEvent::AskStore(asked) => self.on_store_asked(asked),
                BehaviourEvent::Filter(event) => self.on_filter(event),
                BehaviourEvent::AskFilter(asked) => self.on_filter_asked(asked),
                BehaviourEvent::Push(pushed) => self.on_pushed(pushed),
                BehaviourEvent::Lightpush(event) => {
                    self.on_lightpush(LightpushVersion::V3, event);
                }
                BehaviourEvent::LightpushV2(event) => {
                    self.on_lightpush(LightpushVersion::V2, event);
                }
                BehaviourEvent::AskLightpush(asked) => {
                    self.on_lightpush_asked(LightpushVersion::V3, asked);
                }
                BehaviourEvent::AskLightpushV2(asked) => {
                    self.on_lightpush_asked(LightpushVersion::V2, asked);
                }
                BehaviourEvent::Identify(event) => self.on_identify(event),
                BehaviourEvent::Ping(event) => self.on_ping(&event),
                // The limits have no events.
                BehaviourEvent::Limits(never) | BehaviourEvent::Colocation(never) => match never {},
                BehaviourEvent::AskedPing(event) => self.on_asked_ping(event),
            },
            SwarmEvent::NewListenAddr { mut address, .. } => {
                address.push(Protocol::P2p(*self.swarm.local_peer_id()));
                tracing::info!(%address, "listening");
                self.shared.update(|v| v.listen.push(address));
            }
            SwarmEvent::ExpiredListenAddr { mut address, .. } => {
                address.push(Protocol::P2p(*self.swarm.local_peer_id()));
                self.shared.update(|v| v.listen.retain(|a| *a != address));
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.listeners.remove(&listener_id);
                let own = Protocol::P2p(*self.swarm.local_peer_id());
                let gone: Vec<_> = addresses.into_iter().map(|a| a.with(own.clone())).collect();
                self.shared.update(|v| v.listen.retain(|a| !gone.contains(a)));
                if let Err(error) = reason {
                    tracing::error!(%error, "a listener closed");
                }
            }
            other => self.on_connection_event(other),
        }
    }
}
