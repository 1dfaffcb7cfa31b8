//! Key packages: what others need to add this device, and their private part.

use openmls::key_packages::KeyPackage;
use openmls::prelude::{KeyPackageIn, ProtocolVersion};
use openmls_traits::OpenMlsProvider as _;
use serde::{Deserialize, Serialize};
use tls_codec::{DeserializeBytes as _, Serialize as _};
use zeroize::Zeroizing;

use super::config::{capabilities, endless, leaf_extensions};
use super::crypto::{CIPHERSUITE, Provider};
use super::epoch::Leaf;
use super::error::GroupError;
use super::mls::{credential_with_key, verify_leaf};
use super::pages::RawRows;
use super::rows::Rows;
use crate::identity::installation::InstallationKey;
use crate::params::NetworkId;
use crate::random::SharedRng;
use crate::time::Timestamp;

/// An own last-resort key package with its private part.
#[derive(Serialize, Deserialize)]
pub struct OwnPackage {
    /// Its reference (RFC 9420 §5.2).
    pub reference: Vec<u8>,
    /// The key package as others receive it.
    pub public: Vec<u8>,
    /// When it was made.
    pub made_at: Timestamp,
    rows: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl std::fmt::Debug for OwnPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnPackage(made at {:?})", self.made_at)
    }
}

impl OwnPackage {
    /// Makes a key package with its private part.
    ///
    /// # Errors
    /// Any error of openmls.
    pub fn make(
        rng: &SharedRng,
        key: &InstallationKey,
        credential: &[u8],
        inbox: &[u8; 32],
        now: Timestamp,
    ) -> Result<Self, GroupError> {
        let provider = Provider::new(rng, Rows::default());
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(leaf_extensions(inbox)?)
            .key_package_lifetime(endless())
            .mark_as_last_resort()
            .build(CIPHERSUITE, &provider, key, credential_with_key(key, credential))
            .map_err(GroupError::mls)?;
        let package = bundle.key_package();
        let reference = package.hash_ref(provider.crypto()).map_err(GroupError::mls)?;
        Ok(Self {
            reference: reference.as_slice().to_vec(),
            public: package.tls_serialize_detached().map_err(GroupError::mls)?,
            made_at: now,
            rows: provider.into_rows().into_raw().into_iter().collect(),
        })
    }

    /// The rows that joining with it needs.
    pub fn rows(&self) -> RawRows {
        self.rows.iter().cloned().collect()
    }
}

/// Reads and checks a key package of another installation.
///
/// # Errors
/// [`GroupError::Format`] or [`GroupError::Leaf`].
pub fn read_package(
    bytes: &[u8],
    rng: &SharedRng,
    network: &NetworkId,
) -> Result<(KeyPackage, Leaf), GroupError> {
    let provider = Provider::new(rng, Rows::default());
    let package = KeyPackageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|_| GroupError::Format("not a key package"))?
        .validate(provider.crypto(), ProtocolVersion::Mls10)
        .map_err(GroupError::mls)?;
    if package.ciphersuite() != CIPHERSUITE || !package.last_resort() {
        return Err(GroupError::Format("key package"));
    }
    let leaf = verify_leaf(0, package.leaf_node(), network)?;
    Ok((package, leaf))
}

/// The reference of a key package of another installation.
///
/// # Errors
/// Any error of openmls.
pub fn reference(package: &KeyPackage, rng: &SharedRng) -> Result<Vec<u8>, GroupError> {
    let provider = Provider::new(rng, Rows::default());
    Ok(package.hash_ref(provider.crypto()).map_err(GroupError::mls)?.as_slice().to_vec())
}
