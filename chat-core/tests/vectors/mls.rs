//! Vectors of names: hashes of real MLS messages.

use chat_core::group::crypto::{CIPHERSUITE, Provider};
use chat_core::group::rows::Rows;
use chat_core::params::NetworkId;
use chat_core::random::SharedRng;
use chat_core::wire::item::{commit_id, epoch_id, item_hash, message_hash};
use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use serde_json::{Value, json};

use crate::inside::{sample_contents, sample_headers};
use crate::outside::counting;

pub(crate) struct Key(SigningKey);

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// A real group of one member, set up as groups are where it matters for sizes.
pub(crate) fn group(provider: &Provider, key: &Key) -> MlsGroup {
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"vector".to_vec()).into(),
        signature_key: key.0.verifying_key().to_bytes().to_vec().into(),
    };
    let id = openmls::group::GroupId::from_slice(&counting(0x70));
    MlsGroup::new_with_group_id(provider, key, &config, id, credential).expect("a group")
}

pub(crate) fn provider() -> (Provider, Key) {
    let rng = SharedRng::new([1; 32]);
    let key = Key(SigningKey::from_bytes(&counting(1)));
    (Provider::new(&rng, Rows::default()), key)
}

/// A commit and an application message of a real group.
pub(crate) fn mls_messages() -> (Vec<u8>, Vec<u8>) {
    let (provider, key) = provider();
    let mut group = group(&provider, &key);
    group.set_aad(sample_headers()[1].encode());
    let commit =
        group.self_update(&provider, &key, LeafNodeParameters::default()).expect("a commit");
    let commit = commit.commit().to_bytes().expect("bytes");
    group.merge_pending_commit(&provider).expect("merged");
    group.set_aad(vec![]);
    let message =
        group.create_message(&provider, &key, &sample_contents()[1].encode()).expect("a message");
    (commit, message.to_bytes().expect("bytes"))
}

pub(crate) fn items(network: &NetworkId, commit: &[u8], message: &[u8]) -> Value {
    let epochs = [0x00, 0x30].map(|first| {
        let id = epoch_id(&counting(first), network);
        json!({
            "authenticator": hex::encode(counting(first)),
            "id": hex::encode(id.0),
            "text": id.to_string(),
        })
    });
    json!({
        "network": hex::encode(network.0),
        "epochs": epochs,
        "commit": {
            "mls_message": hex::encode(commit),
            "signed_from": 4,
            "signed_to": commit.len() - 66,
            "id": hex::encode(commit_id(commit, network).expect("a commit").0),
        },
        "message": {
            "mls_message": hex::encode(message),
            "hash": hex::encode(message_hash(message).expect("a message").0),
        },
        "other": {"bytes": "00", "hash": hex::encode(item_hash(&[0]).0)},
    })
}
