//! The leaf credential: why a leaf belongs to an account, checkable by anyone offline.

use prost::Message;

use super::log::{Author, Entry, EntryBody, EntryError, Log};
use crate::ids::{AccountId, EntryHash, IdError, InstallationId};
use crate::params::{MAX_LOG_ENTRIES, NetworkId};

/// The MLS credential type of [`Credential`] (from RFC 9420's range for private use).
pub const CREDENTIAL_TYPE: u16 = 0xF000;

/// Bytes that an encoded credential may have.
pub const MAX_CREDENTIAL: usize = 8 * 1024;

/// Why a credential is refused, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// More bytes than a credential can have.
    #[error("a credential of {0} bytes is too large")]
    TooLarge(usize),
    /// Not the encoding of a credential.
    #[error("not a credential")]
    Malformed,
    /// An entry of the chain is malformed or its signature does not hold.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The chain does not lead from the account key, each link signed by the one before.
    #[error("the chain does not lead from the account to the installation")]
    Chain,
    /// The chain ends at another key than that of the leaf.
    #[error("the credential is that of another installation")]
    OtherInstallation,
    /// The log has no such active installation.
    #[error("the installation is not active")]
    NotActive,
}

/// A leaf's account, the chain of signatures that authorises the leaf, and the head of the log as
/// it was when the credential was made.
///
/// The first entry of the chain is signed by the account key, each other by the installation that
/// the one before enrolled. The entries go without the proof of possession that a log asks for: an
/// installation within the chain has proved itself by signing the next entry, under the account's
/// id; the last by signing what the credential is part of (an MLS leaf, a doorbell).
///
/// A credential says that the leaf was authorised. That it still is only a log can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account that the leaf belongs to.
    pub account: AccountId,
    /// Entries from the account key to the leaf.
    pub chain: Vec<Entry>,
    /// Head of the account's log.
    pub log_head: EntryHash,
}

/// What a verified credential says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account that the leaf belongs to.
    pub account: AccountId,
    /// The installation: the leaf's signature key.
    pub installation: InstallationId,
    /// Depth of its enrolment in the account's log; lower is more senior. It is claimed by the key
    /// that enrolled the installation, and always greater than that one's own, so no one can make a
    /// device that is more senior than the one that made it.
    pub seniority: u32,
    /// Entries from the account key to the leaf, without proofs of possession.
    pub chain: Vec<Entry>,
    /// Head of the account's log when the credential was made.
    pub log_head: EntryHash,
}

#[derive(Clone, PartialEq, Message)]
struct WireCredential {
    #[prost(bytes = "vec", tag = "1")]
    account: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    chain: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "3")]
    log_head: Vec<u8>,
}

impl Credential {
    /// The credential of an active installation.
    ///
    /// # Errors
    /// [`CredentialError::NotActive`]; [`CredentialError::TooLarge`] if the chain is longer than
    /// any credential.
    pub fn for_installation(log: &Log, id: &InstallationId) -> Result<Self, CredentialError> {
        let state = log.state();
        let info = state.active.get(id).ok_or(CredentialError::NotActive)?;
        let mut chain = Vec::new();
        let mut next = log.get(&info.entry);
        while let Some(entry) = next {
            chain.push(entry.without_possession());
            next = log.link_above(entry, state);
        }
        chain.reverse();
        let credential = Self { account: log.account(), chain, log_head: log.head() };
        match credential.encode().len() {
            size if size > MAX_CREDENTIAL => Err(CredentialError::TooLarge(size)),
            _ => Ok(credential),
        }
    }

    /// The bytes that go into the leaf.
    pub fn encode(&self) -> Vec<u8> {
        WireCredential {
            account: self.account.0.to_vec(),
            chain: self.chain.iter().map(|e| e.without_possession().encode()).collect(),
            log_head: self.log_head.0.to_vec(),
        }
        .encode_to_vec()
    }

    /// Reads a credential and checks that it authorises `leaf_signature_key`.
    ///
    /// The caller has checked, or has MLS check, that this key signed what the credential came in:
    /// that is the proof of possession.
    ///
    /// # Errors
    /// [`CredentialError`] says what is wrong.
    pub fn decode_and_verify(
        bytes: &[u8],
        leaf_signature_key: &[u8],
        network: &NetworkId,
    ) -> Result<Member, CredentialError> {
        let member = Self::decode(bytes, network)?;
        if leaf_signature_key != member.installation.as_bytes() {
            return Err(CredentialError::OtherInstallation);
        }
        member.verify_chain()?;
        Ok(member)
    }

    /// Reads a credential and checks all but the signatures.
    pub(crate) fn decode(bytes: &[u8], network: &NetworkId) -> Result<Member, CredentialError> {
        if bytes.len() > MAX_CREDENTIAL {
            return Err(CredentialError::TooLarge(bytes.len()));
        }
        let wire = WireCredential::decode(bytes).map_err(|_| CredentialError::Malformed)?;
        if wire.chain.len() > MAX_LOG_ENTRIES {
            return Err(CredentialError::Chain);
        }
        let malformed = |_: IdError| CredentialError::Malformed;
        let account = AccountId::from_slice(&wire.account).map_err(malformed)?;
        let log_head = EntryHash::from_slice(&wire.log_head).map_err(malformed)?;
        let mut chain: Vec<Entry> = Vec::with_capacity(wire.chain.len());
        for bytes in &wire.chain {
            let entry = Entry::decode(bytes, &account, network)?;
            let linked = match (chain.last(), entry.body()) {
                (_, EntryBody::Revoke { .. }) => false,
                (None, _) => entry.author() == Author::Account,
                (Some(last), _) => {
                    entry.author() == Author::Installation(last.body().installation())
                        && entry.depth() > last.depth()
                }
            };
            if !linked || entry.has_possession() {
                return Err(CredentialError::Chain);
            }
            chain.push(entry);
        }
        let last = chain.last().ok_or(CredentialError::Chain)?;
        let (installation, seniority) = (last.body().installation(), last.depth());
        Ok(Member { account, installation, seniority, chain, log_head })
    }
}

impl Member {
    /// Checks the signatures of the chain.
    pub(crate) fn verify_chain(&self) -> Result<(), CredentialError> {
        Ok(self.chain.iter().try_for_each(Entry::verify)?)
    }

    /// The credential that says this.
    pub fn credential(&self) -> Credential {
        Credential { account: self.account, chain: self.chain.clone(), log_head: self.log_head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::InstallationKey;
    use crate::identity::log::EntrySigner;
    use crate::identity::log::{Draft, Ground};
    use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, flip, revoke};
    use proptest::prelude::*;

    /// A third device, added by the second, added by the first.
    fn sample() -> (Person, InstallationKey, InstallationKey, Credential) {
        let mut person = Person::new(1);
        let first = InstallationKey::from_bytes(person.device.to_bytes());
        let second = person.link(EntrySigner::Installation(&first), 2);
        let third = person.link(EntrySigner::Installation(&second), 3);
        let credential = Credential::for_installation(&person.log, &third.id()).unwrap();
        (person, second, third, credential)
    }

    fn check(credential: &Credential, key: &InstallationKey) -> Result<Member, CredentialError> {
        Credential::decode_and_verify(&credential.encode(), &key.id().0, &NETWORK)
    }

    #[test]
    fn a_member_is_read() {
        let (person, _, third, credential) = sample();
        let member = check(&credential, &third).unwrap();
        assert_eq!((member.account, member.installation), (person.account.id(), third.id()));
        assert_eq!((member.seniority, member.chain.len()), (2, 3));
        assert_eq!(member.log_head, person.log.head());
        assert_eq!(member.credential(), credential);
        let first = Credential::for_installation(&person.log, &person.device.id()).unwrap();
        assert_eq!(check(&first, &person.device).unwrap().seniority, 0);
        assert!(first.encode().len() < 210, "{}", first.encode().len());
    }

    #[test]
    fn the_chain_outlives_who_made_it() {
        let (mut person, second, third, _) = sample();
        let first = InstallationKey::from_bytes(person.device.to_bytes());
        let entry = revoke(&person.log, EntrySigner::Installation(&first), second.id());
        person.log.insert(entry).unwrap();
        let credential = Credential::for_installation(&person.log, &third.id()).unwrap();
        assert_eq!(check(&credential, &third).unwrap().chain.len(), 3);
        assert_eq!(
            Credential::for_installation(&person.log, &second.id()),
            Err(CredentialError::NotActive)
        );
    }

    #[test]
    fn forgeries_are_refused() {
        let (person, second, third, good) = sample();
        assert_eq!(check(&good, &second), Err(CredentialError::OtherInstallation));
        let bytes = good.encode();
        assert!(matches!(
            Credential::decode_and_verify(&bytes, &third.id().0, &OTHER_NETWORK),
            Err(CredentialError::Entry(EntryError::Author(_)))
        ));
        let stolen = Credential { account: Person::new(5).account.id(), ..good.clone() };
        assert!(matches!(check(&stolen, &third), Err(CredentialError::Entry(_))));
        let chains = [
            vec![],
            good.chain[1..].to_vec(),
            vec![good.chain[0].clone(), good.chain[2].clone()],
            vec![good.chain[1].clone(), good.chain[0].clone()],
        ];
        for chain in chains {
            let bad = Credential { chain, ..good.clone() };
            assert_eq!(check(&bad, &third), Err(CredentialError::Chain));
        }
        let mut log = person.log.clone();
        let account = EntrySigner::Account(&person.account);
        let entry = revoke(&log, account, third.id());
        log.insert(entry.clone()).unwrap();
        let bad = Credential { chain: vec![entry], ..good };
        assert_eq!(check(&bad, &third), Err(CredentialError::Chain));
        let huge = vec![0; MAX_CREDENTIAL + 1];
        assert_eq!(
            Credential::decode_and_verify(&huge, &[], &NETWORK),
            Err(CredentialError::TooLarge(MAX_CREDENTIAL + 1))
        );
    }

    #[test]
    fn nobody_makes_a_device_more_senior_than_itself() {
        let (person, second, third, good) = sample();
        let forged = Draft {
            account: person.account.id(),
            network: NETWORK,
            parents: vec![good.chain[1].hash()],
            depth: good.chain[1].depth(),
            body: EntryBody::Add { installation: third.id() },
            issued_at: NOW,
            possession: None,
            ground: Ground::default(),
        }
        .sign(EntrySigner::Installation(&second));
        let chain = vec![good.chain[0].clone(), good.chain[1].clone(), forged];
        assert_eq!(check(&Credential { chain, ..good }, &third), Err(CredentialError::Chain));
    }

    #[test]
    fn there_is_one_encoding_of_a_chain() {
        let (person, _, _, _) = sample();
        let entry = person.log.entries()[0];
        assert!(entry.has_possession());
        let wire = WireCredential {
            account: person.account.id().0.to_vec(),
            chain: vec![entry.encode()],
            log_head: person.log.head().0.to_vec(),
        };
        let answer =
            Credential::decode_and_verify(&wire.encode_to_vec(), &person.device.id().0, &NETWORK);
        assert_eq!(answer, Err(CredentialError::Chain));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Credential::decode_and_verify(&bytes, &[1; 32], &NETWORK).is_err());
        }

        #[test]
        fn changed_or_cut_gives_no_other_member(at: usize, bit in 0u8..8, cut in 1usize..400) {
            let (_, _, third, good) = sample();
            let bytes = good.encode();
            // The head is covered by the leaf's signature, not by the chain's.
            let member = Credential::decode_and_verify(&flip(&bytes, at, bit), &third.id().0, &NETWORK);
            if let Ok(member) = member {
                prop_assert_eq!(member.chain, good.chain);
            }
            let cut = Credential::decode_and_verify(&bytes[..bytes.len() - cut], &third.id().0, &NETWORK);
            prop_assert!(cut.is_err());
        }
    }
}
