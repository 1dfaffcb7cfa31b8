//! How MLS is set up: extension types, capabilities, wire formats, ratchets.

use openmls::extensions::{
    Extension, ExtensionType, Extensions, RequiredCapabilitiesExtension, UnknownExtension,
};
use openmls::group::{
    GroupContext, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls::key_packages::Lifetime;
use openmls::prelude::SenderRatchetConfiguration;
use openmls::prelude::{Capabilities, CredentialType, LeafNode, ProtocolVersion};

use super::crypto::CIPHERSUITE;
use super::error::GroupError;
use super::policy::POLICY_EXTENSION;
use crate::identity::credential::CREDENTIAL_TYPE;
use crate::params::{RATCHET_FORWARD, RATCHET_OUT_OF_ORDER};

/// GroupInfo extension with what a joiner needs beyond MLS; signed by the inviter's leaf.
pub(super) const JOIN_INFO_EXTENSION: u16 = 0xF002;
/// Leaf extension with the installation's inbox key, as long-lived as the leaf.
pub(super) const LEAF_INBOX_EXTENSION: u16 = 0xF003;

const EXTENSIONS: [ExtensionType; 4] = [
    ExtensionType::LastResort,
    ExtensionType::Unknown(POLICY_EXTENSION),
    ExtensionType::Unknown(JOIN_INFO_EXTENSION),
    ExtensionType::Unknown(LEAF_INBOX_EXTENSION),
];

/// What each leaf says that it understands; the same at every leaf of this version.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[CIPHERSUITE]),
        Some(&EXTENSIONS),
        Some(&[]),
        Some(&[CredentialType::Other(CREDENTIAL_TYPE)]),
    )
}

/// openmls checks lifetimes against the clock, with no switch, and would stop a member that catches
/// up late; so every lifetime is endless here, and the real window stands in the card.
pub(crate) fn endless() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// Whether a leaf has the extensions that every leaf has; its inbox key.
pub(crate) fn leaf_inbox(extensions: &Extensions<LeafNode>) -> Option<[u8; 32]> {
    if extensions.iter().count() != 1 {
        return None;
    }
    extensions.unknown(LEAF_INBOX_EXTENSION)?.0.as_slice().try_into().ok()
}

/// The extensions of an own leaf.
pub(crate) fn leaf_extensions(inbox: &[u8; 32]) -> Result<Extensions<LeafNode>, GroupError> {
    Extensions::single(Extension::Unknown(LEAF_INBOX_EXTENSION, UnknownExtension(inbox.to_vec())))
        .map_err(GroupError::mls)
}

/// The extensions of a group's context: the policy, and what members must understand.
pub(crate) fn context_extensions(policy: &[u8]) -> Result<Extensions<GroupContext>, GroupError> {
    let required = RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(POLICY_EXTENSION), ExtensionType::Unknown(LEAF_INBOX_EXTENSION)],
        &[],
        &[CredentialType::Other(CREDENTIAL_TYPE)],
    );
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::Unknown(POLICY_EXTENSION, UnknownExtension(policy.to_vec())),
    ])
    .map_err(GroupError::mls)
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(RATCHET_OUT_OF_ORDER, RATCHET_FORWARD)
}

/// For a group that is made here.
pub(crate) fn create_config(
    policy: &[u8],
    inbox: &[u8; 32],
) -> Result<MlsGroupCreateConfig, GroupError> {
    Ok(MlsGroupCreateConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .ciphersuite(CIPHERSUITE)
        .capabilities(capabilities())
        .lifetime(endless())
        .max_past_epochs(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchet())
        .with_group_context_extensions(context_extensions(policy)?)
        .with_leaf_node_extensions(leaf_extensions(inbox)?)
        .map_err(GroupError::mls)?
        .build())
}

/// For a group that is joined.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchet())
        .build()
}
