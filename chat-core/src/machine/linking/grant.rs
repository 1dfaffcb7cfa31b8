//! A linking that this device grants, as stored.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::repeated::Repeated;
use crate::identity::linking::{LinkingCode, LinkingString, Transcript};
use crate::ids::{InstallationId, LinkingId};
use crate::machine::api::linking::LinkingState;
use crate::params::LINKING_KEEP;
use crate::time::Timestamp;

/// A linking that this device grants, as stored.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct GrantRecord {
    pub(in crate::machine) id: LinkingId,
    pub(in crate::machine) state: LinkingState,
    /// Until when the string is to be typed.
    pub(in crate::machine) code_until: Timestamp,
    /// Until when this waits; once it is over, until when it is listed.
    pub(in crate::machine) until: Timestamp,
    pub(in crate::machine) name: Option<String>,
    pub(in crate::machine) installation: Option<InstallationId>,
    pub(in crate::machine) added: bool,
    /// What is forgotten when it is over.
    pub(in crate::machine) open: Option<Open>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Open {
    pub(in crate::machine) code: LinkingCode,
    pub(in crate::machine) key: Zeroizing<[u8; 32]>,
    pub(in crate::machine) nonce: Zeroizing<[u8; 32]>,
    /// The transcript up to the own answer.
    pub(in crate::machine) answer: Transcript,
    /// The transcript so far.
    pub(in crate::machine) so_far: Transcript,
    pub(in crate::machine) string: Option<LinkingString>,
    pub(in crate::machine) possession: Option<Vec<u8>>,
    pub(in crate::machine) said: Repeated,
    /// The transcript up to the newcomer's arrival, once that was heard.
    pub(in crate::machine) arrived: Option<Transcript>,
    /// Hash of the invitation that it was sent.
    pub(in crate::machine) welcome: Option<[u8; 32]>,
    /// Hash of the last message of the newcomer's that was dealt with.
    pub(in crate::machine) heard: Option<[u8; 32]>,
    pub(in crate::machine) failures: u32,
}

impl std::fmt::Debug for GrantRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrantRecord({}, {:?})", self.id, self.state)
    }
}

impl GrantRecord {
    pub(in crate::machine) fn code(&self) -> Option<&LinkingCode> {
        self.open.as_ref().map(|open| &open.code)
    }

    pub(in crate::machine) fn said(&self) -> Option<&Repeated> {
        self.open.as_ref().map(|open| &open.said)
    }

    pub(in crate::machine) fn is_over(&self) -> bool {
        self.open.is_none()
    }

    /// Notes that it is over, and forgets its secrets.
    pub(in crate::machine) fn close(&mut self, state: LinkingState, now: Timestamp) {
        self.state = state;
        self.open = None;
        // At least for as long as the code could be answered again.
        self.until = self.code_until.max(now) + LINKING_KEEP;
    }
}
