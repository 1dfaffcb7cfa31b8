//! What a client is opened with.

use std::path::PathBuf;
use std::sync::Arc;

use chat_core::database::DatabaseKey;
use chat_core::params::NetworkParams;
use waku_transport::Transport;

/// What a client is opened with.
pub struct ClientConfig {
    /// The database file. Its directory must exist. Only one client can have it open at a time.
    pub database: PathBuf,
    /// The key or passphrase of the database.
    pub key: DatabaseKey,
    /// The network: the same as when the account was created here.
    pub network: NetworkParams,
    /// The connection to the network. It belongs to the caller: `Client::shutdown` does not close it.
    pub transport: Arc<dyn Transport>,
}

impl ClientConfig {
    /// A configuration; the fields say what the arguments are.
    pub fn new(
        database: impl Into<PathBuf>,
        key: DatabaseKey,
        network: NetworkParams,
        transport: impl Transport,
    ) -> Self {
        Self { database: database.into(), key, network, transport: Arc::new(transport) }
    }
}
