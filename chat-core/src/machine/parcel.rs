//! What is to be published: a frame, and where it goes.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{EpochId, GroupId, IntentId, MessageId};
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::SizeClass;
use crate::wire::frame::{Frame, FrameKind};

/// Under which roots something is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) enum Address {
    /// Those of an epoch of a group.
    Group {
        group: GroupId,
        /// A commit's parent, a message's own.
        epoch: EpochId,
    },
    /// The network's inbox.
    Inbox,
    /// The one-time roots of an invitation.
    Invitation {
        secret: Zeroizing<[u8; 32]>,
        /// The slot that the roots begin in.
        slot: Slot,
    },
    /// The rendezvous of a linking.
    Linking {
        /// The code's secret.
        secret: Zeroizing<[u8; 32]>,
        /// The slot that the roots begin in.
        slot: Slot,
        /// When nobody listens any more: what is not published by then never is.
        until: Timestamp,
    },
    /// Those of the account's own card of a period.
    Card { period: u64 },
}

impl Address {
    /// Whether it is in a group.
    pub(in crate::machine) fn is_of(&self, id: &GroupId) -> bool {
        matches!(self, Address::Group { group, .. } if group == id)
    }

    pub(in crate::machine) fn size_class(&self) -> SizeClass {
        match self {
            Address::Inbox => SizeClass::Doorbell,
            Address::Card { .. } => SizeClass::Card,
            _ => SizeClass::Fit,
        }
    }
}

/// What the application is told of once it is published.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::machine) enum Item {
    Message { group: GroupId, message: MessageId },
    Change { group: GroupId, intent: IntentId },
}

/// A frame, and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Parcel {
    pub(in crate::machine) address: Address,
    /// The encoded frame.
    #[serde(with = "serde_bytes")]
    pub(in crate::machine) frame: Vec<u8>,
    /// None: the application is not told.
    pub(in crate::machine) item: Option<Item>,
}

impl Parcel {
    pub(in crate::machine) fn is_commit(&self) -> bool {
        Frame::decode(&self.frame).is_ok_and(|frame| frame.kind == FrameKind::Commit)
    }
}
