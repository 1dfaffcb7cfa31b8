//! The key of the database: from a passphrase or handed in by the host.

use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::error::DatabaseError;

/// Argon2id memory in KiB: 64 MiB, the second recommendation of RFC 9106 §4.
const ARGON_MEMORY_KIB: u32 = 64 * 1024;
/// Argon2id passes (RFC 9106 §4).
const ARGON_PASSES: u32 = 3;
/// Argon2id lanes: one, since a phone opens its database on one core.
const ARGON_LANES: u32 = 1;
/// Bytes of salt that SQLCipher keeps in clear at the file's beginning.
const SALT_LEN: usize = 16;

/// What opens the database.
pub enum DatabaseKey {
    /// A passphrase, stretched with Argon2id.
    Passphrase(Zeroizing<String>),
    /// 32 random bytes that the host keeps, in a platform's key store for example.
    Raw(Zeroizing<[u8; 32]>),
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DatabaseKey::Passphrase(_) => "Passphrase(…)",
            DatabaseKey::Raw(_) => "Raw(…)",
        })
    }
}

impl DatabaseKey {
    /// The key that a passphrase gives.
    pub fn passphrase(text: impl Into<String>) -> Self {
        Self::Passphrase(Zeroizing::new(text.into()))
    }

    /// The key with these 32 bytes.
    pub fn raw(bytes: [u8; 32]) -> Self {
        Self::Raw(Zeroizing::new(bytes))
    }

    /// The `PRAGMA key` literal. With a passphrase the salt of the stretching is SQLCipher's own,
    /// which stands in clear in the file's first bytes; `fresh_salt` is for a file that is new.
    pub(super) fn literal(
        &self,
        path: Option<&Path>,
        fresh_salt: [u8; SALT_LEN],
    ) -> Result<Zeroizing<String>, DatabaseError> {
        match self {
            DatabaseKey::Raw(key) => Ok(quote(&[key.as_slice()])),
            DatabaseKey::Passphrase(text) => {
                let salt = match path {
                    Some(path) => read_salt(path)?.unwrap_or(fresh_salt),
                    None => fresh_salt,
                };
                let params = Params::new(ARGON_MEMORY_KIB, ARGON_PASSES, ARGON_LANES, Some(32))
                    .map_err(|_| DatabaseError::Stretch)?;
                let mut key = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(text.as_bytes(), &salt, key.as_mut_slice())
                    .map_err(|_| DatabaseError::Stretch)?;
                Ok(quote(&[key.as_slice(), &salt]))
            }
        }
    }
}

fn quote(parts: &[&[u8]]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(128));
    out.push_str("x'");
    for byte in parts.iter().flat_map(|part| part.iter()) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.push('\'');
    out
}

fn read_salt(path: &Path) -> Result<Option<[u8; SALT_LEN]>, DatabaseError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(DatabaseError::File { path: path.to_path_buf(), source });
        }
    };
    let mut salt = [0; SALT_LEN];
    match file.read_exact(&mut salt) {
        Ok(()) => Ok(Some(salt)),
        // An empty file is what a crash before the first write leaves.
        Err(_) if file.metadata().map(|m| m.len()).unwrap_or(1) == 0 => Ok(None),
        Err(_) => Err(DatabaseError::Corrupt),
    }
}
