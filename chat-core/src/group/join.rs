//! Joining a group from a Welcome.

use openmls::group::StagedWelcome;
use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, Welcome};
use tls_codec::DeserializeBytes as _;

use super::config::{JOIN_INFO_EXTENSION, join_config};
use super::crypto::{CIPHERSUITE, Provider};
use super::epoch::Leaf;
use super::error::GroupError;
use super::join_info::JoinInfo;
use super::mls::Mls;
use super::package::OwnPackage;
use super::policy::GroupPolicy;
use super::rows::Rows;
use crate::params::NetworkId;
use crate::random::SharedRng;

/// A group that was joined.
#[derive(Debug)]
pub struct Joined {
    /// The MLS state of the group.
    pub mls: Mls,
    /// What the inviter said beyond MLS, signed by its leaf.
    pub info: JoinInfo,
    /// The leaves, verified.
    pub leaves: Vec<Leaf>,
    /// The leaf that invited.
    pub inviter: u32,
    /// Who may do what in the group.
    pub policy: GroupPolicy,
    /// The reference of the key package that was used.
    pub reference: Vec<u8>,
}

/// Joins with whichever own key package the Welcome names.
///
/// # Errors
/// [`GroupError::Format`] where it names none of them, [`GroupError::Mls`] where it does not fit
/// the tree, [`GroupError::Leaf`] where a leaf in it is not valid.
pub fn join(
    rng: &SharedRng,
    network: &NetworkId,
    packages: &[OwnPackage],
    welcome: &[u8],
    tree: &[u8],
) -> Result<Joined, GroupError> {
    let welcome = read_welcome(welcome)?;
    let named = |package: &&OwnPackage| {
        welcome
            .secrets()
            .iter()
            .any(|secret| secret.new_member().as_slice() == package.reference.as_slice())
    };
    let package =
        packages.iter().find(named).ok_or(GroupError::Format("a Welcome for somebody else"))?;
    let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree)
        .map_err(|_| GroupError::Format("not a ratchet tree"))?;

    let rows = package.rows();
    let provider = Provider::new(rng, Rows::loaded(rows.clone()));
    let builder = StagedWelcome::build_from_welcome(&provider, &join_config(), welcome)
        .map_err(GroupError::mls)?;
    let info = builder
        .processed_welcome()
        .unverified_group_info()
        .extensions()
        .unknown(JOIN_INFO_EXTENSION)
        .map(|extension| extension.0.clone())
        .ok_or_else(|| GroupError::Content("no join info".into()))?;
    let staged = builder
        .with_ratchet_tree(tree)
        .skip_lifetime_validation()
        .build()
        .map_err(GroupError::mls)?;
    // From here on the GroupInfo's signature is verified, and the join info with it.
    let info = JoinInfo::decode(&info)?;
    let inviter = staged.welcome_sender_index().u32();
    let group = staged.into_group(&provider).map_err(GroupError::mls)?;
    // The private part of the key package stays where it is kept; it is not part of the state.
    provider.rows().forget(rows.keys());
    let mls = Mls { provider, group };
    let leaves = mls.verified_leaves(network)?;
    let policy = mls.policy()?;
    if policy.network != *network {
        return Err(GroupError::Content("a group of another network".into()));
    }
    Ok(Joined { info, leaves, inviter, policy, reference: package.reference.clone(), mls })
}

fn read_welcome(bytes: &[u8]) -> Result<Welcome, GroupError> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|_| GroupError::Format("not an MLS message"))?;
    match message.extract() {
        MlsMessageBodyIn::Welcome(welcome) if welcome.ciphersuite() == CIPHERSUITE => Ok(welcome),
        _ => Err(GroupError::Format("not a Welcome of our ciphersuite")),
    }
}
