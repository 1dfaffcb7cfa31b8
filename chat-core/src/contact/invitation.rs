//! The body of an Invitation frame: what a joiner needs to enter a group.

use prost::Message;

use crate::params::ENVELOPE_MAX;

/// Bytes that an encoded invitation may have: what fits into one envelope.
pub const MAX_INVITATION: usize = ENVELOPE_MAX;

/// Why bytes are not an invitation, or one cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// More bytes than an invitation can have.
    #[error("an invitation of {0} bytes is too large: it has at most {MAX_INVITATION}")]
    TooLarge(usize),
    /// Not the encoding of an invitation.
    #[error("not an invitation")]
    Malformed,
}

/// A Welcome and the tree that belongs to it, as opaque MLS bytes.
///
/// Nothing here is signed: the GroupInfo inside the Welcome is signed by the inviter's leaf and
/// holds the hash of the tree, the topic roots and the heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The MLS Welcome message.
    pub welcome: Vec<u8>,
    /// The ratchet tree, unless the Welcome carries it.
    pub tree: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct WireInvitation {
    #[prost(bytes = "vec", tag = "1")]
    welcome: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    tree: Option<Vec<u8>>,
}

impl Invitation {
    /// The bytes to send.
    ///
    /// # Errors
    /// [`InvitationError::TooLarge`]; [`InvitationError::Malformed`] for an empty Welcome.
    pub fn encode(&self) -> Result<Vec<u8>, InvitationError> {
        let bytes = WireInvitation { welcome: self.welcome.clone(), tree: self.tree.clone() }
            .encode_to_vec();
        match bytes.len() {
            _ if self.welcome.is_empty() => Err(InvitationError::Malformed),
            size if size > MAX_INVITATION => Err(InvitationError::TooLarge(size)),
            _ => Ok(bytes),
        }
    }

    /// Decodes an invitation.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvitationError> {
        if bytes.len() > MAX_INVITATION {
            return Err(InvitationError::TooLarge(bytes.len()));
        }
        let wire = WireInvitation::decode(bytes).map_err(|_| InvitationError::Malformed)?;
        if wire.welcome.is_empty() {
            return Err(InvitationError::Malformed);
        }
        Ok(Self { welcome: wire.welcome, tree: wire.tree })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_hold() {
        let invitation = Invitation { welcome: vec![1; MAX_INVITATION], tree: None };
        assert!(matches!(invitation.encode(), Err(InvitationError::TooLarge(_))));
        let huge = vec![0; MAX_INVITATION + 1];
        assert_eq!(Invitation::decode(&huge), Err(InvitationError::TooLarge(MAX_INVITATION + 1)));
        let empty = Invitation { welcome: vec![], tree: Some(vec![1]) };
        assert_eq!(empty.encode(), Err(InvitationError::Malformed));
        assert_eq!(Invitation::decode(&[]), Err(InvitationError::Malformed));
    }

    proptest! {
        #[test]
        fn round_trip(
            welcome in prop::collection::vec(any::<u8>(), 1..200),
            tree in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        ) {
            let invitation = Invitation { welcome, tree };
            let bytes = invitation.encode().unwrap();
            prop_assert_eq!(Invitation::decode(&bytes), Ok(invitation));
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(invitation) = Invitation::decode(&bytes) {
                prop_assert!(invitation.welcome.len() < bytes.len());
            }
        }
    }
}
