//! What parts ask of one another.
//!
//! A part never reaches into another. It pushes an effect, and the machine carries out all that are
//! waiting before it goes on (`route::effects`), in the order in which they were asked for.

use std::time::Duration;

use super::parcel::Parcel;
use crate::group::epoch::Leaf;
use crate::identity::log::Log;
use crate::ids::{AccountId, GroupId, InstallationId, MessageId};
use crate::time::Timestamp;
use crate::wire::sync::SyncItem;

/// Why history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Why {
    /// The user has just asked for what needs it, or connected.
    Asked,
    /// Something came from others.
    Caused,
}

/// Something that one part asks of another.
pub(in crate::machine) enum Effect {
    /// The outbox takes this, to go out after a delay.
    Post(Parcel, Duration),
    /// History is wanted from this moment on.
    Fetch { from: Timestamp, why: Why },
    /// Something of a group is missing.
    Doubt(GroupId),
    /// The topics of a group changed; none: those of a request or linking.
    TopicsChanged(Option<GroupId>),
    /// Installations may have to be added to groups or removed from them.
    Reconcile,
    /// The log of an account was seen.
    Learn(Box<Log>),
    /// The account's other installations are to know this, after a delay.
    TellOwn(Vec<SyncItem>, Duration),
    /// Another installation of the account says this, in the self group.
    ToldByOwn(Box<Leaf>, Vec<u8>),
    /// Something of another installation of the account came.
    Heard(InstallationId),
    /// An invitation into the self group is ready for these installations.
    SelfWelcome(Vec<InstallationId>, Vec<u8>),
    /// A contact's card is wanted, so that it can be added to a group.
    WantCard(AccountId),
    /// What a group keeps for later is to be tried again: an epoch came.
    RetryDeferred(GroupId),
    /// What is beyond the horizon of a group is to be forgotten.
    Prune(GroupId),
    /// A message that was encrypted can never be published.
    Unsendable { group: GroupId, message: MessageId },
    /// Installations were added to the self group: they are told what they have to know.
    Introduce,
}
