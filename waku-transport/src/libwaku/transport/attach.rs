//! Nodes of a host: a process that has libwaku already, and a node that runs.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;
use std::time::Duration;

use waku_sys::{CallError, EventInlet, Library, Node, NodeOptions};

use super::keeper::Keeper;
use super::{LibwakuOptions, LibwakuTransport, Way};

/// How long to wait before the shard is asked for again, the first time and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

impl LibwakuTransport {
    /// Uses a running node of the host process, by its context pointer. What the host's event
    /// callback is given, it hands on through the inlet. Call it within a tokio runtime.
    ///
    /// The node stays the host's. It is never started, stopped or destroyed by this, nor are its
    /// peers dialled or disconnected: that there are none, or that none of them is in the mesh, is
    /// reported and no more, and of [`LibwakuOptions`] what is about static peers has no effect.
    /// Only the shard is subscribed, if it is not yet, and it stays so: the library cannot leave it.
    /// The node has to take part in relay. [`Event::Connected`](crate::Event::Connected) says that
    /// the shard is there and has peers.
    ///
    /// [`shutdown`](crate::Transport::shutdown) detaches. Any number of transports can be attached
    /// to one node; what one of them publishes, the others receive, as if it came from the network.
    ///
    /// # Safety
    ///
    /// As for [`Node::attach`]: `context` comes from a successful `waku_new` of this very library,
    /// and is not destroyed before this is detached. Await `shutdown`, or drop this and wait for
    /// [`EventInlet::wait_detached`].
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
        let (transport, keeper) =
            Self::assemble(node, pubsub_topic, [].into(), options, None, Way::Relay);
        let hub = transport.hub.clone();
        let pump = transport.pump();
        tokio::spawn(async move {
            pump.run(events).await;
            hub.close();
        });
        tokio::spawn(take_part(keeper));
        (transport, inlet)
    }
}

/// Takes the shard, however often it takes to ask for it, and reports on it from then on.
async fn take_part(keeper: Keeper) {
    let taken = async {
        let node = keeper.slot.node();
        let (mut pause, longest) = ASK_AGAIN;
        loop {
            let taken = async {
                node.subscribe(&keeper.pubsub_topic).await?;
                node.peer_id().await
            };
            match taken.await {
                Ok(peer_id) => return keeper.slot.set_peer_id(peer_id),
                Err(CallError::Destroyed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the host's node does not take the shard");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    };
    tokio::select! {
        () = taken => {}
        () = keeper.hub.closed() => return,
    }
    keeper.run().await;
}
