//! Opening a client: its database, its transport, its account.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat_core::database::DatabaseError;
use chat_core::identity::phrase::RecoveryPhrase;
use waku_transport::libwaku::EventInlet;

use super::code::Failure;
use super::config::Config;
use super::transport::{self, HostNode, Opened};
use crate::client::{Client, ClientConfig};
use crate::error::Error;

/// How long one wait for the end of calls to a host's node lasts: a busy node takes a request late.
pub(super) const DETACHING: Duration = Duration::from_secs(10);

/// Opens a client on a transport of its own, or on a host's node.
pub(super) async fn open(
    config: Config,
    host: Option<HostNode>,
) -> Result<(Client, Opened), Failure> {
    let Config { database, key, network, create, transport } = config;
    let new_file = match &create {
        Some(_) => prepare(&database)?,
        // Opening would make an empty database.
        None if !database.exists() => return Err(Error::NoAccount.into()),
        None => false,
    };
    let opened = async {
        let (transport, inlet) = match host {
            Some(host) => transport::attach(transport, &network, host).await?,
            None => transport::open(transport, &network).await?,
        };
        let config = ClientConfig {
            database: database.clone(),
            key,
            network,
            transport: Arc::clone(&transport),
        };
        match start(config, create).await {
            Ok(client) => Ok((client, (transport, inlet))),
            Err(error) => {
                transport.shutdown().await;
                if let Some(inlet) = inlet {
                    let_go(inlet).await;
                }
                Err(error.into())
            }
        }
    };
    let opened = opened.await;
    if opened.is_err() && new_file {
        discard(&database);
    }
    opened
}

async fn start(config: ClientConfig, create: Option<RecoveryPhrase>) -> Result<Client, Error> {
    match create {
        Some(phrase) => Client::create(config, &phrase).await,
        None => Client::open(config).await,
    }
}

/// Waits until no call to a host's node is under way, however long that takes: the host has no handle
/// with which it could ask again.
async fn let_go(inlet: EventInlet) {
    let waited = tokio::task::spawn_blocking(move || while !inlet.wait_detached(DETACHING) {});
    if waited.await.is_err() {
        tracing::error!("waiting for a host's node panicked");
    }
}

/// Makes a file that only the user can read, unless it exists. Returns whether it was made.
fn prepare(database: &Path) -> Result<bool, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(database) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => {
            let path = database.to_owned();
            Err(Error::Database(DatabaseError::File { path, source }).into())
        }
    }
}

/// Removes the files of an account that could not be created.
fn discard(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        // A file that cannot be removed holds no account.
        let _ = std::fs::remove_file(name);
    }
}
