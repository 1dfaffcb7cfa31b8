//! Who may do what in a group: the policy extension, and ([`check`]) the rules that every receiver
//! applies.
//!
//! # Encoding
//! The extension is `version:u32 ‖ network:32 ‖ name ‖ description ‖ next_admin:u32 ‖ count:u16 ‖
//! count × (account:32 ‖ number:u32)`, integers big-endian, texts as `length:u16 ‖ UTF-8`, admins
//! by ascending account. A policy has one encoding, and nothing follows it.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::AccountId;
use crate::params::{MAX_ADMINS, MAX_DESCRIPTION, MAX_NAME, NetworkId, PROTOCOL_VERSION};

mod rules;

pub use rules::{
    AddedView, CommitFacts, Effect, LeaveFact, MemberView, ParentView, Refusal, RevokeFact,
    admins_after, check,
};

/// Type of the GroupContext extension that holds a [`GroupPolicy`] (RFC 9420 §17.3, private use).
pub const POLICY_EXTENSION: u16 = 0xF001;

/// Why bytes are not a valid policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The bytes end too early.
    #[error("the group policy is cut short")]
    Truncated,
    /// Something follows the policy.
    #[error("{0} bytes follow the group policy")]
    Trailing(usize),
    /// It is of another version of the protocol.
    #[error("a group policy of version {0} is not understood")]
    Version(u32),
    /// The name has more than [`MAX_NAME`] bytes.
    #[error("a group's name has at most {MAX_NAME} bytes, not {0}")]
    NameTooLong(usize),
    /// The description has more than [`MAX_DESCRIPTION`] bytes.
    #[error("a group's description has at most {MAX_DESCRIPTION} bytes, not {0}")]
    DescriptionTooLong(usize),
    /// A text is not UTF-8.
    #[error("a text of the group policy is not UTF-8")]
    NotText,
    /// There is no admin, or more than [`MAX_ADMINS`].
    #[error("a group has 1 to {MAX_ADMINS} admins, not {0}")]
    AdminCount(usize),
    /// The admins are not in ascending order, or one is there twice.
    #[error("the admins are not in order")]
    AdminOrder,
    /// Two admins have one number, or one has a number that was not given out yet.
    #[error("an admin's number is taken or was not given out")]
    AdminNumber,
}

/// The group's settings: the content of the extension [`POLICY_EXTENSION`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPolicy {
    /// Name, at most [`MAX_NAME`] bytes of UTF-8; may be empty.
    pub name: String,
    /// Description, at most [`MAX_DESCRIPTION`] bytes of UTF-8; may be empty.
    pub description: String,
    /// The admins with their numbers, 1 to [`MAX_ADMINS`]. The creator is 0; a lower number has
    /// more authority; no number is ever given out twice.
    pub admins: BTreeMap<AccountId, u32>,
    /// The number that the next admin gets.
    pub next_admin: u32,
    /// The network that the group belongs to.
    pub network: NetworkId,
    /// Version of the protocol that the group speaks.
    pub version: u32,
}

impl GroupPolicy {
    /// The policy of a new group.
    pub fn new(creator: AccountId, name: String, description: String, network: NetworkId) -> Self {
        Self {
            name,
            description,
            admins: BTreeMap::from([(creator, 0)]),
            next_admin: 1,
            network,
            version: PROTOCOL_VERSION,
        }
    }

    /// Whether an account is an admin.
    pub fn is_admin(&self, account: &AccountId) -> bool {
        self.admins.contains_key(account)
    }

    /// Checks the limits and the admins' numbers.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.version != PROTOCOL_VERSION {
            return Err(PolicyError::Version(self.version));
        }
        if self.name.len() > MAX_NAME {
            return Err(PolicyError::NameTooLong(self.name.len()));
        }
        if self.description.len() > MAX_DESCRIPTION {
            return Err(PolicyError::DescriptionTooLong(self.description.len()));
        }
        if self.admins.is_empty() || self.admins.len() > MAX_ADMINS {
            return Err(PolicyError::AdminCount(self.admins.len()));
        }
        let numbers: BTreeSet<u32> = self.admins.values().copied().collect();
        let given_out = numbers.last().is_some_and(|n| *n < self.next_admin);
        if numbers.len() != self.admins.len() || !given_out {
            return Err(PolicyError::AdminNumber);
        }
        Ok(())
    }

    /// The extension's bytes.
    ///
    /// # Errors
    /// [`PolicyError`] for a policy that [`GroupPolicy::validate`] refuses.
    pub fn encode(&self) -> Result<Vec<u8>, PolicyError> {
        self.validate()?;
        let mut out = Vec::with_capacity(
            46 + self.name.len() + self.description.len() + 36 * self.admins.len(),
        );
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(self.network.as_bytes());
        for text in [&self.name, &self.description] {
            // The limits, checked above, are far below what a u16 holds; so for the admins below.
            out.extend_from_slice(&(text.len() as u16).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.next_admin.to_be_bytes());
        out.extend_from_slice(&(self.admins.len() as u16).to_be_bytes());
        for (account, number) in &self.admins {
            out.extend_from_slice(account.as_bytes());
            out.extend_from_slice(&number.to_be_bytes());
        }
        Ok(out)
    }

    /// Reads the extension's bytes; accepts exactly what [`GroupPolicy::encode`] gives.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PolicyError> {
        let mut rest = bytes;
        let version = u32::from_be_bytes(take(&mut rest)?);
        if version != PROTOCOL_VERSION {
            return Err(PolicyError::Version(version));
        }
        let network = NetworkId(take(&mut rest)?);
        let name = take_text(&mut rest, MAX_NAME, PolicyError::NameTooLong)?;
        let description = take_text(&mut rest, MAX_DESCRIPTION, PolicyError::DescriptionTooLong)?;
        let next_admin = u32::from_be_bytes(take(&mut rest)?);
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if count > MAX_ADMINS {
            return Err(PolicyError::AdminCount(count));
        }
        let mut admins = BTreeMap::new();
        for _ in 0..count {
            let account = AccountId(take(&mut rest)?);
            if admins.last_key_value().is_some_and(|(last, _)| *last >= account) {
                return Err(PolicyError::AdminOrder);
            }
            admins.insert(account, u32::from_be_bytes(take(&mut rest)?));
        }
        if !rest.is_empty() {
            return Err(PolicyError::Trailing(rest.len()));
        }
        let policy = Self { name, description, admins, next_admin, network, version };
        policy.validate()?;
        Ok(policy)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], PolicyError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(PolicyError::Truncated)?;
    *rest = tail;
    Ok(*head)
}

fn take_text(
    rest: &mut &[u8],
    limit: usize,
    too_long: impl Fn(usize) -> PolicyError,
) -> Result<String, PolicyError> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    if length > limit {
        return Err(too_long(length));
    }
    let (text, tail) = rest.split_at_checked(length).ok_or(PolicyError::Truncated)?;
    *rest = tail;
    String::from_utf8(text.to_vec()).map_err(|_| PolicyError::NotText)
}

#[cfg(test)]
#[path = "policy/encoding_tests.rs"]
mod tests;
