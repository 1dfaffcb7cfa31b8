//! The options of a transport on libwaku.

use std::time::Duration;

use super::edge::EdgeOptions;
use super::pace::Pace;
use crate::confirm::Confirmation;
use crate::hub::EventLimits;

/// Gossipsub's prune back-off in libwaku: for this long after a disconnection, the two peers do not
/// take each other into their meshes again.
const PRUNE_BACKOFF: Duration = Duration::from_secs(60);

/// How long a mesh may stay empty, unless the user sets another time.
const MESH_PATIENCE: Duration = Duration::from_secs(90);

// Connections that are made anew within the back-off would begin the back-off anew, without end.
const _: () = assert!(MESH_PATIENCE.as_secs() > PRUNE_BACKOFF.as_secs());

/// How often a Store is asked while the mesh is empty, unless the user sets another time: a message may be
/// late by this much, and each query brings half a minute of the shard again.
const MESH_BRIDGE: Duration = Duration::from_secs(10);

/// Bounds, time-outs and behaviour of a [`LibwakuTransport`](super::LibwakuTransport).
#[derive(Clone, Debug)]
pub struct LibwakuOptions {
    /// Bounds on what is kept for readers.
    pub events: EventLimits,
    /// How long publishing may take, including the wait for its turn, excluding confirmation.
    pub publish_timeout: Duration,
    /// How long one Store may take to answer before the next one is asked.
    pub history_timeout: Duration,
    /// The pace to publish at.
    pub pace: Pace,
    /// Whether and how a connected Store is asked for published messages. Without confirmation, or
    /// without a Store, publishing succeeds once the library has accepted the message, and the
    /// library may then lose it. With it publishing takes longer, so publish many messages at once.
    pub confirmation: Option<Confirmation>,
    /// Pause before a static peer is dialled again, the first time. It doubles with each attempt.
    pub redial_min: Duration,
    /// Longest pause before a static peer is dialled again.
    pub redial_max: Duration,
    /// How long a shard may have peers but none in its mesh before connections are made anew. The
    /// time doubles each time that this did not help. It should exceed 60 s: after a disconnection,
    /// gossipsub keeps the mesh empty for that long.
    pub mesh_patience: Duration,
    /// How often a connected Store is asked for what relay does not bring while the mesh is empty.
    pub mesh_bridge: Duration,
    /// Options of edge nodes; others ignore them.
    pub edge: EdgeOptions,
}

impl Default for LibwakuOptions {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            publish_timeout: Duration::from_secs(10),
            history_timeout: Duration::from_secs(20),
            pace: Pace::default(),
            confirmation: Some(Confirmation::default()),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(60),
            mesh_patience: MESH_PATIENCE,
            mesh_bridge: MESH_BRIDGE,
            edge: EdgeOptions::default(),
        }
    }
}
