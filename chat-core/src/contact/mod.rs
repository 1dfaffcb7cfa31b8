//! Finding each other: contact links, cards, doorbells and invitations.
//!
//! Formats are written down in `docs/protocol/identity.md`.

pub mod card;
pub mod doorbell;
pub mod inbox;
pub mod invitation;
pub mod link;
pub mod schedule;

pub use card::{Card, CardContent, CardError, CardKeyPackage, InboxPublic};
pub use doorbell::{
    DOORBELL_BODY_LEN, Doorbell, DoorbellContent, DoorbellError, InvitationOffer, Purpose, answer,
    ring,
};
pub use inbox::InboxKey;
pub use invitation::{Invitation, InvitationError};
pub use link::{CardSecret, ContactLink, LinkError};
