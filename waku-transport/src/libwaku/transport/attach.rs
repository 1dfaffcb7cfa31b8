//! A node of a host: a process that uses libwaku itself, and has a node that runs.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use waku_sys::{CallError, EventInlet, Library, Node, NodeOptions};

use super::LibwakuTransport;
use crate::libwaku::keeper::RelayKeeper;
use crate::libwaku::mode::Mode;
use crate::libwaku::options::LibwakuOptions;

/// Pause before subscribing to the shard again after a failure: the first and the longest.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

impl LibwakuTransport {
    /// Uses a running node of the host process, by its context pointer. The host passes on what its
    /// event callback is given, through the inlet. Call this within a tokio runtime.
    ///
    /// The node stays the host's. This never starts, stops or destroys it, and neither dials nor
    /// disconnects its peers: if there is no peer, or none in the mesh, that is reported, and the
    /// [`LibwakuOptions`] about static peers have no effect. The shard is subscribed if it is not yet,
    /// and stays subscribed, since the library cannot leave it. The node has to take part in relay.
    /// [`Event::Connected`](crate::Event::Connected) means that the shard is subscribed and has peers.
    ///
    /// [`shutdown`](crate::Transport::shutdown) detaches. Any number of transports can be attached to
    /// one node. The messages that one of them publishes come to the others as if from the network.
    ///
    /// # Safety
    ///
    /// As for [`Node::attach`]: `context` comes from a successful `waku_new` of this very library, and
    /// is not destroyed before this transport was detached. Await `shutdown`, or drop the transport
    /// and wait for [`EventInlet::wait_detached`].
    pub unsafe fn attach(
        library: &Library,
        context: NonNull<c_void>,
        cluster: u16,
        shard: u16,
        options: LibwakuOptions,
    ) -> (Self, EventInlet) {
        // SAFETY: as promised by the caller.
        let (node, events, inlet) =
            unsafe { Node::attach(library, context, NodeOptions::default()) };
        let pubsub_topic = waku_node::pubsub_topic(cluster.into(), shard.into());
        let transport = Self::assemble(node, pubsub_topic, [].into(), &options, None, Mode::Relay);
        let (pump, hub) = (transport.pump(), Arc::clone(&transport.hub));
        tokio::spawn(async move {
            pump.run(events).await;
            hub.close();
        });
        tokio::spawn(take_part(transport.relay_keeper([].into(), options)));
        (transport, inlet)
    }
}

/// Subscribes to the shard, however many attempts it takes, and reports on it from then on.
async fn take_part(keeper: RelayKeeper) {
    let subscribed = async {
        let node = keeper.node.get();
        let (mut pause, longest) = ASK_AGAIN;
        loop {
            let subscribed = async {
                node.subscribe(&keeper.pubsub_topic).await?;
                node.peer_id().await
            };
            match subscribed.await {
                Ok(peer_id) => return keeper.node.set_peer_id(peer_id),
                Err(CallError::Destroyed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the host's node did not subscribe to the shard");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    };
    tokio::select! {
        () = subscribed => {}
        () = keeper.hub.closed() => return,
    }
    keeper.run().await;
}
