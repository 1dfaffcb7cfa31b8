//! The one source of randomness of a machine.
//!
//! A generator from one seed alone would let whoever reads it from memory compute all that was drawn
//! before and all that will be drawn after: keys that were deleted long ago, and those to come. So the
//! generator gets a new key twice in each step. At its beginning the new key comes from the old one
//! and from fresh bytes of the system's: what was read before does not tell what is drawn now. At its
//! end it comes from the old one alone, which is erased: what is read later does not tell what was
//! drawn until then. Both keys follow from what is handed in, so that a run can be replayed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chacha20::ChaCha20Rng;
use hkdf::Hkdf;
use openmls_traits::random::OpenMlsRand;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Bytes of a key of the generator, and of what it is made from: 256 bits, as many as the generator
/// takes.
const KEY: usize = 32;
/// Keeps the derivation of a generator's key apart from all others. It never leaves the device, so no
/// network is part of it.
const LABEL: &[u8] = b"waku-chat/1 generator";

/// Fresh random bytes of the operating system, for one step. They are erased when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Entropy([u8; KEY]);

impl Entropy {
    /// Takes bytes that nobody else knows. Only a simulation may use the same ones twice.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(…)")
    }
}

/// The one source of randomness of a machine, shared by all that draws from it.
#[derive(Clone)]
pub struct SharedRng(Arc<Mutex<ChaCha20Rng>>);

impl std::fmt::Debug for SharedRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedRng(…)")
    }
}

impl SharedRng {
    /// A generator from a seed, which must be fresh whenever a database is opened: a seed used
    /// twice repeats nonces.
    pub fn new(seed: [u8; KEY]) -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::from_seed(seed))))
    }

    /// The generator, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, ChaCha20Rng> {
        // A panic while drawing leaves a generator that is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.lock().fill_bytes(&mut out);
        out
    }

    /// A number below `bound` (0 if that is 0). The bias is below 2⁻³² for bounds under 2³².
    pub fn below(&self, bound: u64) -> u64 {
        let draw = u64::from_be_bytes(self.bytes());
        draw.checked_rem(bound).unwrap_or(0)
    }

    /// Does something with a generator that no copy from before can follow, and leaves one that tells nothing
    /// of what was drawn.
    pub(crate) fn renewed<T>(&self, fresh: &Entropy, act: impl FnOnce() -> T) -> T {
        self.refresh(fresh);
        let done = act();
        self.forget();
        done
    }

    /// Mixes fresh bytes in: a copy of the generator from before tells nothing of what it draws from
    /// now on.
    pub(crate) fn refresh(&self, fresh: &Entropy) {
        self.rekey(&fresh.0);
    }

    /// Goes on with a new key and erases the old one: a copy from now on tells nothing of what was
    /// drawn before.
    pub(crate) fn forget(&self) {
        self.rekey(&[]);
    }

    fn rekey(&self, fresh: &[u8]) {
        let mut rng = self.lock();
        let mut material = Zeroizing::new([0; 2 * KEY]);
        rng.fill_bytes(&mut material[..KEY]);
        let used = KEY + fresh.len().min(KEY);
        material[KEY..used].copy_from_slice(&fresh[..used - KEY]);
        let mut key = Zeroizing::new([0; KEY]);
        // HKDF-SHA-256 gives up to 8,160 bytes, so that 32 never fail.
        #[allow(clippy::expect_used)]
        Hkdf::<Sha256>::new(None, &material[..used])
            .expand(LABEL, key.as_mut_slice())
            .expect("the length is within HKDF's bound");
        // The old generator is erased as it is dropped.
        *rng = ChaCha20Rng::from_seed(*key);
    }
}

impl OpenMlsRand for SharedRng {
    type Error = std::convert::Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        Ok(self.bytes())
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        let mut out = vec![0; len];
        self.lock().fill_bytes(&mut out);
        Ok(out)
    }
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod tests;
