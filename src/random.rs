//! Randomness from the operating system.

use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::random::SharedRng;
use zeroize::Zeroizing;

use crate::error::Error;

/// A new recovery phrase. It is the account: who has it can take the account over, and without it a
/// lost device cannot be replaced.
///
/// # Errors
/// [`Error::System`] if the operating system gives no randomness.
pub fn new_phrase() -> Result<RecoveryPhrase, Error> {
    let rng = SharedRng::new(*random::<32>()?);
    let phrase = RecoveryPhrase::generate(&mut *rng.lock());
    Ok(phrase)
}

/// Random bytes, erased when dropped.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Error::System { what: "randomness", reason: error.to_string() })?;
    Ok(bytes)
}
