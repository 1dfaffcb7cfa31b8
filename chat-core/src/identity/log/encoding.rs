//! A whole log as bytes.

use prost::Message;

use super::entry::Entry;
use super::error::LogError;
use super::graph::Log;
use super::limits::MAX_LOG;
use crate::ids::AccountId;
use crate::params::{MAX_LOG_ENTRIES, NetworkId};

#[derive(Clone, PartialEq, Message)]
struct WireLog {
    #[prost(bytes = "vec", tag = "1")]
    account: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    entries: Vec<Vec<u8>>,
}

impl Log {
    /// The bytes to send or store. Entries that wait for others are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut all: Vec<&Entry> = self.entries.iter().chain(self.evidence.values()).collect();
        all.sort_unstable_by_key(|e| (e.depth(), e.hash()));
        WireLog {
            account: self.account.0.to_vec(),
            entries: all.iter().map(|e| e.encode()).collect(),
        }
        .encode_to_vec()
    }

    /// Reads a whole log and verifies every entry.
    ///
    /// # Errors
    /// [`LogError::Malformed`], [`LogError::Incomplete`], or what is wrong with an entry.
    pub fn decode(bytes: &[u8], network: &NetworkId) -> Result<Log, LogError> {
        if bytes.len() > MAX_LOG {
            return Err(LogError::Malformed);
        }
        let wire = WireLog::decode(bytes).map_err(|_| LogError::Malformed)?;
        if wire.entries.len() > 2 * MAX_LOG_ENTRIES {
            return Err(LogError::Full);
        }
        let account = AccountId::from_slice(&wire.account).map_err(|_| LogError::Malformed)?;
        let mut log = Log::new(account, *network);
        let mut entries = Vec::with_capacity(wire.entries.len());
        for bytes in &wire.entries {
            let entry = Entry::decode(bytes, &account, network)?;
            if entry.body().enrols() && !entry.has_possession() {
                return Err(LogError::NoPossession);
            }
            entry.verify()?;
            entries.push(entry);
        }
        // All of it has room: it is as large as a log may be, and who wrote it judged what came
        // when.
        let kept = entries.iter().map(Entry::hash).collect();
        let rejected = log.rebuild_keeping(entries, &kept);
        // Nothing is in a log that is not part of it.
        if let Some(error) = rejected.0.into_values().next() {
            return Err(error);
        }
        match log.pending.is_empty() {
            true => Ok(log),
            false => Err(LogError::Incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::InstallationKey;
    use crate::identity::log::EntrySigner;
    use crate::identity::testing::{NETWORK, OTHER_NETWORK, Person};
    use proptest::prelude::*;

    #[test]
    fn an_incomplete_log_is_refused() {
        let mut person = Person::new(1);
        let first = InstallationKey::from_bytes(person.device.to_bytes());
        person.link(EntrySigner::Installation(&first), 2);
        let entries = person.log.entries();
        let bytes =
            WireLog { account: person.account.id().0.to_vec(), entries: vec![entries[1].encode()] }
                .encode_to_vec();
        assert_eq!(Log::decode(&bytes, &NETWORK), Err(LogError::Incomplete));
        assert_eq!(Log::decode(&vec![0; MAX_LOG + 1], &NETWORK), Err(LogError::Malformed));
        assert!(Log::decode(&person.log.encode(), &OTHER_NETWORK).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Log::decode(&bytes, &NETWORK).is_err() || bytes.len() > 30);
        }
    }
}
