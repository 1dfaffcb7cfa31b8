//! What the tests of identity and contact share.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::installation::InstallationKey;
use super::log::{EntrySigner, Log};
use super::phrase::RecoveryPhrase;
use super::{AccountKey, Entry};
use crate::ids::InstallationId;
use crate::params::NetworkId;
use crate::time::Timestamp;

pub(crate) const NETWORK: NetworkId = NetworkId([0x4e; 32]);
pub(crate) const OTHER_NETWORK: NetworkId = NetworkId([0x4f; 32]);
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// An account with a first installation.
pub(crate) struct Person {
    pub(crate) account: AccountKey,
    pub(crate) device: InstallationKey,
    pub(crate) log: Log,
}

impl Person {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let account = RecoveryPhrase::generate(&mut rng).account_key();
        let device = InstallationKey::generate(&mut rng);
        let mut log = Log::new(account.id(), NETWORK);
        let create = log.create(&account, &device, NOW).unwrap();
        log.insert(create).unwrap();
        Self { account, device, log }
    }

    /// Adds a new installation to the log, on behalf of `by`.
    pub(crate) fn link(&mut self, by: EntrySigner<'_>, seed: u64) -> InstallationKey {
        let (key, entry) = add(&self.log, by, seed);
        self.log.insert(entry).unwrap();
        key
    }
}

pub(crate) fn add(log: &Log, by: EntrySigner<'_>, seed: u64) -> (InstallationKey, Entry) {
    let key = InstallationKey::generate(&mut rng(seed));
    let possession = key.prove_possession(&log.account(), log.network());
    let entry = log.add(by, key.id(), possession, NOW).unwrap();
    (key, entry)
}

pub(crate) fn revoke(log: &Log, by: EntrySigner<'_>, target: InstallationId) -> Entry {
    log.revoke(by, target, log.last_entry_of(&target), NOW).unwrap()
}

/// `bytes` with one bit changed.
pub(crate) fn flip(bytes: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let at = at % out.len();
    out[at] ^= 1 << (bit % 8);
    out
}
