//! The account and this installation: who speaks.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::contact::card::Card;
use crate::contact::link::CardSecret;
use crate::contact::schedule::card_topic;
use crate::database::Database;
use crate::identity::credential::{Credential, CredentialError};
use crate::identity::installation::InstallationKey;
use crate::identity::log::Log;
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::params::NetworkId;
use crate::time::Timestamp;

/// Where the identity is in the database.
const IDENTITY: &str = "identity";
/// Where the network's id is in the database: whether there is an account.
const NETWORK: &str = "network";

/// The identity of this installation, as stored.
#[derive(Serialize, Deserialize)]
pub(in crate::machine) struct Identity {
    account: AccountId,
    key: Zeroizing<[u8; 32]>,
    card_secret: Zeroizing<[u8; 32]>,
    #[serde(with = "serde_bytes")]
    log: Vec<u8>,
    /// The credential as it was while the installation was active; empty: the log gives it.
    #[serde(with = "serde_bytes")]
    credential: Vec<u8>,
    created_at: Timestamp,
}

impl Identity {
    pub(in crate::machine) fn new(
        key: &InstallationKey,
        card_secret: &CardSecret,
        log: &Log,
        created_at: Timestamp,
    ) -> Self {
        Self {
            account: log.account(),
            key: key.to_bytes(),
            card_secret: Zeroizing::new(*card_secret.as_bytes()),
            log: log.encode(),
            credential: Vec::new(),
            created_at,
        }
    }

    /// Writes it into a database that has no account yet.
    pub(in crate::machine) fn found(
        &self,
        db: &Database,
        network: &NetworkId,
    ) -> Result<(), StepError> {
        db.set_meta(IDENTITY, self)?;
        Ok(db.set_meta(NETWORK, network)?)
    }

    /// The network whose account a database has; none: it has no account.
    pub(in crate::machine) fn network(db: &Database) -> Result<Option<NetworkId>, StepError> {
        Ok(db.meta(NETWORK)?)
    }

    fn open(self, network: &NetworkId) -> Result<Me, StepError> {
        let bad = |what: &str| StepError::State(format!("the stored identity: {what}"));
        let key = InstallationKey::from_bytes(self.key);
        let log = Log::decode(&self.log, network).map_err(|error| bad(&error.to_string()))?;
        let credential = match Credential::for_installation(&log, &key.id()) {
            Ok(credential) => credential,
            // Revoked: what it was a member by is kept, to read what it still may.
            Err(CredentialError::NotActive) => {
                { Credential::decode(&self.credential, network).map(|member| member.credential()) }
                    .map_err(|error| bad(&error.to_string()))?
            }
            Err(error) => return Err(bad(&error.to_string())),
        };
        Ok(Me {
            account: self.account,
            key,
            credential,
            log,
            card_secret: CardSecret::from_bytes(self.card_secret),
            created_at: self.created_at,
        })
    }
}

/// The account and this installation, in memory.
pub(in crate::machine) struct Me {
    pub(in crate::machine) account: AccountId,
    pub(in crate::machine) key: InstallationKey,
    pub(in crate::machine) credential: Credential,
    pub(in crate::machine) card_secret: CardSecret,
    pub(in crate::machine) created_at: Timestamp,
    log: Log,
}

impl Me {
    pub(in crate::machine) fn load(db: &Database, network: &NetworkId) -> Result<Self, StepError> {
        db.meta::<Identity>(IDENTITY)?
            .ok_or_else(|| StepError::State("the stored identity is missing".into()))?
            .open(network)
    }

    /// This installation.
    pub(in crate::machine) fn id(&self) -> InstallationId {
        self.key.id()
    }

    /// The account's log, as far as it is known here.
    pub(in crate::machine) fn log(&self) -> &Log {
        &self.log
    }

    /// Whether this installation belongs to its account still.
    pub(in crate::machine) fn is_active(&self) -> bool {
        self.log.state().active.contains_key(&self.id())
    }

    /// Puts a longer log in the place of the account's log.
    pub(in crate::machine) fn set_log(&mut self, cx: &Cx, log: Log) -> Result<(), StepError> {
        if let Ok(credential) = Credential::for_installation(&log, &self.id()) {
            self.credential = credential;
        }
        self.log = log;
        let credential = self.credential.encode();
        let identity = Identity::new(&self.key, &self.card_secret, &self.log, self.created_at);
        Ok(cx.db.set_meta(IDENTITY, &Identity { credential, ..identity })?)
    }

    /// The topic of the account's own card in the period that a moment falls into.
    pub(in crate::machine) fn card_topic(&self, cx: &Cx, at: Timestamp) -> String {
        card_topic(&self.card_secret, Card::counter_at(at), &cx.network).to_string()
    }
}
