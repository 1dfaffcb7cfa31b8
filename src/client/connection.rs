//! The connection: how it is, and waiting for it.

use std::time::Duration;

use chat_core::machine::IdentityView;
use schemars::JsonSchema;
use serde::Serialize;

use super::lifecycle::Client;
use crate::error::Error;

/// Time that [`Client::wait_caught_up`] gives a Store to appear among the peers.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// The state of a client's connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientStatus {
    /// Whether there is a connection to the network.
    pub connected: bool,
    /// The number of peers that carry the network's shard.
    pub peers: usize,
    /// Whether one of them answers history queries.
    pub store_available: bool,
    /// The multiaddresses at which others can dial this node; none if it accepts no connections.
    pub listen_addresses: Vec<String>,
    /// The last local failure to process something that came from the network, for people.
    pub failure: Option<String>,
}

impl Client {
    /// The state of the connection at this moment.
    pub async fn status(&self) -> ClientStatus {
        let transport = self.transport().status().await;
        let progress = self.progress();
        let progress = progress.borrow();
        ClientStatus {
            connected: progress.connected_at.is_some(),
            peers: transport.connected_peers,
            store_available: transport.store_available,
            listen_addresses: transport.listen_addresses,
            failure: progress.failure.clone(),
        }
    }

    /// Waits for a connection to the network.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub async fn wait_connected(&self, patience: Duration) -> Result<(), Error> {
        within(patience, "connecting to the network", async {
            let mut progress = self.progress();
            let connected = progress.wait_for(|p| p.connected_at.is_some()).await;
            connected.map(drop).map_err(|_| Error::Closed)
        })
        .await
    }

    /// Waits until all history up to the beginning of the present connection was fetched. Without a
    /// connection it first waits for one.
    ///
    /// # Errors
    /// [`Error::NoStore`] if no peer keeps history, and [`Error::Timeout`].
    pub async fn wait_caught_up(&self, patience: Duration) -> Result<(), Error> {
        within(patience, "catching up on history", async {
            let mut progress = self.progress();
            loop {
                let state = progress.borrow_and_update().clone();
                if let Some(since) = state.connected_at
                    && self.identity().await?.caught_up_to.is_some_and(|until| until >= since)
                {
                    return Ok(());
                }
                let lookout = if state.no_store { STORE_PATIENCE } else { patience };
                match tokio::time::timeout(lookout, progress.changed()).await {
                    Ok(changed) => changed.map_err(|_| Error::Closed)?,
                    Err(_) if !state.no_store => {}
                    Err(_) if self.transport().status().await.store_available => {}
                    Err(_) => return Err(Error::NoStore),
                }
            }
        })
        .await
    }

    /// Waits until everything in the outbox was sent: a peer was given it.
    ///
    /// # Errors
    /// [`Error::Timeout`]: what is left is sent later.
    pub async fn wait_sent(&self, patience: Duration) -> Result<(), Error> {
        self.wait_outbox(patience, "sending", |identity| identity.outbox == identity.unconfirmed)
            .await
    }

    /// Waits until everything in the outbox was published: a Store has it. Where there is no Store, a peer that
    /// relays was given it, and answered afterwards. How long that takes depends on the network
    /// ([`confirmation`](crate::confirmation)).
    ///
    /// # Errors
    /// [`Error::Timeout`]: what is left is published later.
    pub async fn wait_published(&self, patience: Duration) -> Result<(), Error> {
        self.wait_outbox(patience, "publishing", |identity| identity.outbox == 0).await
    }

    async fn wait_outbox(
        &self,
        patience: Duration,
        what: &'static str,
        done: impl Fn(&IdentityView) -> bool,
    ) -> Result<(), Error> {
        within(patience, what, async {
            let mut progress = self.progress();
            loop {
                progress.borrow_and_update();
                if done(&self.identity().await?) {
                    return Ok(());
                }
                progress.changed().await.map_err(|_| Error::Closed)?;
            }
        })
        .await
    }
}

async fn within<T>(
    patience: Duration,
    what: &'static str,
    wait: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, wait)
        .await
        .unwrap_or(Err(Error::Timeout { what, after: patience }))
}
