//! The client: the machine in its thread, the driver beside it, and the calls that reach them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::ids::{AccountId, GroupId, ItemHash, RequestId};
use chat_core::machine::{
    Answer, Command, ContactView, Counters, GroupView, IdentityView, Machine, MemberView,
    MessageView, MissingView, RequestView, StepError,
};
use chat_core::params::NetworkParams;
use chat_core::store::{DatabaseKey, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;
use waku_transport::Transport;
use zeroize::Zeroizing;

use crate::driver::Driver;
use crate::error::Error;
use crate::worker::{self, Progress, Request, Worker};

/// Time that [`Client::shutdown`] gives the outbox, while there is a connection.
const FLUSH: Duration = Duration::from_secs(5);
/// Time that [`Client::wait_caught_up`] gives a Store to be found among the peers.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// What a client is opened with.
pub struct ClientConfig {
    /// The database file. Its directory exists; only one client has it open at a time.
    pub database: PathBuf,
    /// What opens the database.
    pub key: DatabaseKey,
    /// The network, the same as when the account was created here.
    pub network: NetworkParams,
    /// The way to the network. It stays the caller's: [`Client::shutdown`] leaves it open.
    pub transport: Arc<dyn Transport>,
}

impl ClientConfig {
    /// A configuration; see the fields.
    pub fn new(
        database: impl Into<PathBuf>,
        key: DatabaseKey,
        network: NetworkParams,
        transport: impl Transport,
    ) -> Self {
        Self { database: database.into(), key, network, transport: Arc::new(transport) }
    }
}

/// How the client is doing at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Whether there is a connection to the network, as the protocol was told.
    pub connected: bool,
    /// Peers that carry the network's shard.
    pub peers: usize,
    /// Whether one of them answers history queries.
    pub store_available: bool,
    /// Where others can dial this node, as multiaddresses; none if it takes no connections.
    pub listen_addresses: Vec<String>,
    /// The last local failure on something that came from the network, for people.
    pub failure: Option<String>,
}

/// An account on this device, in touch with its network. Cheap to clone; all clones are the same.
///
/// It runs on the tokio runtime that it was opened on until [`Client::shutdown`], or until the last
/// clone is dropped (a stream of events holds one); what was not published by then is published the
/// next time.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// The machine's thread, and the driver.
type Running = (JoinHandle<Option<Machine>>, TaskHandle<()>);

struct Inner {
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<Progress>,
    transport: Arc<dyn Transport>,
    stop: watch::Sender<bool>,
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client(…)")
    }
}

/// A new recovery phrase, from the operating system's randomness. It is the account: whoever has
/// it can take the account over, and without it a lost device cannot be replaced.
///
/// # Errors
/// [`Error::System`] if there is no randomness.
pub fn new_phrase() -> Result<RecoveryPhrase, Error> {
    use rand_core::SeedableRng as _;
    let mut rng = rand_chacha::ChaCha20Rng::from_seed(*random::<32>()?);
    Ok(RecoveryPhrase::generate(&mut rng))
}

pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Error::System { what: "randomness", reason: error.to_string() })?;
    Ok(bytes)
}

impl Client {
    /// Makes a new account from its phrase, with this device as its first installation.
    ///
    /// # Errors
    /// [`Error::AccountExists`] if the database holds one already, and those of the database.
    pub async fn create(config: ClientConfig, phrase: &RecoveryPhrase) -> Result<Self, Error> {
        let words = phrase.words();
        Self::start(config, move |store, network, seed| {
            let phrase = RecoveryPhrase::parse(&words)
                .map_err(|_| Error::Internal("a phrase does not read as it is written"))?;
            Ok(Machine::create(store, network, seed, worker::now(), &phrase)?)
        })
        .await
    }

    /// Brings an account back with its phrase alone, with this device as its only installation: what
    /// is left of it is told by [`Event::Recovered`](chat_core::machine::Event::Recovered), once a
    /// Store with the account's card was reached.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn recover(config: ClientConfig, phrase: &RecoveryPhrase) -> Result<Self, Error> {
        let words = phrase.words();
        Self::start(config, move |store, network, seed| {
            let phrase = RecoveryPhrase::parse(&words)
                .map_err(|_| Error::Internal("a phrase does not read as it is written"))?;
            Ok(Machine::recover(store, network, seed, worker::now(), &phrase)?)
        })
        .await
    }

    /// Goes on without the account's card, which no Store has. Contacts who know the lost
    /// installations refuse this account's card then, until they are given a new link.
    ///
    /// # Errors
    /// Nothing is being recovered.
    pub async fn end_recovery(&self) -> Result<(), Error> {
        self.command(Command::EndRecovery).await.map(drop)
    }

    /// Opens the account that the database holds.
    ///
    /// # Errors
    /// [`Error::NoAccount`], [`Error::OtherNetwork`], and those of the database, a wrong key
    /// among them.
    pub async fn open(config: ClientConfig) -> Result<Self, Error> {
        Self::start(config, |store, network, seed| {
            Ok(Machine::open(store, network, seed, worker::now())?)
        })
        .await
    }

    async fn start(
        config: ClientConfig,
        open: impl FnOnce(Store, NetworkParams, [u8; 32]) -> Result<Machine, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let ClientConfig { database, key, network, transport } = config;
        let seed = random::<32>()?;
        let salt = random::<16>()?;
        let open = move || {
            let store = Store::open(&database, &key, *salt)?;
            drop(key);
            open(store, network, *seed)
        };
        Self::launch(transport, open).await
    }

    /// Starts what a client consists of, around a machine.
    pub(crate) async fn launch(
        transport: Arc<dyn Transport>,
        open: impl FnOnce() -> Result<Machine, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let Worker { requests, outputs, progress, thread } = worker::start(open).await?;
        let (stop, stopped) = watch::channel(false);
        let driver =
            Driver::new(Arc::clone(&transport), requests.clone(), outputs, progress.clone());
        let task = tokio::spawn(driver.run(stopped));
        Ok(Self {
            inner: Arc::new(Inner {
                requests,
                progress,
                transport,
                stop,
                running: Mutex::new(Some((thread, task))),
            }),
        })
    }

    /// Ends the client for all its clones: gives the outbox up to five seconds while there is a
    /// connection, then closes the database. When it returns, the database can be opened again.
    /// Calling it again does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if something is left in the outbox: it is published the next time.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let flushed = if self.inner.progress.borrow().connected_at.is_some() {
            match self.wait_published(FLUSH).await {
                Err(Error::Closed) => Ok(()),
                other => other,
            }
        } else {
            Ok(())
        };
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((thread, task)) = running else {
            return Ok(());
        };
        // First the driver, so that the thread does not wait for a transport that hangs. What was on
        // its way then counts as not published, and is published again the next time.
        self.inner.stop.send_replace(true);
        let driven = task.await;
        // An error means that the thread has ended already.
        let _ = self.inner.requests.send(Request::Close).await;
        let joined = tokio::task::spawn_blocking(move || thread.join().map(drop)).await;
        if !matches!(joined, Ok(Ok(()))) || driven.is_err() {
            return Err(Error::Internal("a part of the client panicked"));
        }
        flushed
    }

    // Commands.

    pub(crate) async fn command(&self, command: Command) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .requests
            .send(Request::Command(command, reply))
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// A contact link of the own account, to be given to somebody out of band.
    ///
    /// # Errors
    /// Those of the database, as for all commands below; further ones are named there.
    pub async fn contact_link(&self) -> Result<String, Error> {
        match self.command(Command::MakeContactLink).await? {
            Answer::ContactLink(link) => Ok(link),
            _ => Err(UNEXPECTED),
        }
    }

    /// A contact link without a card: short enough for a QR code, and good as long as the account is.
    /// Whoever takes it finds the card in a Store.
    ///
    /// # Errors
    /// See [`Client::contact_link`].
    pub async fn short_contact_link(&self) -> Result<String, Error> {
        match self.command(Command::MakeShortContactLink).await? {
            Answer::ContactLink(link) => Ok(link),
            _ => Err(UNEXPECTED),
        }
    }

    /// Adds or refreshes a contact from its link; `name` is seen by this account only.
    ///
    /// # Errors
    /// [`CommandError::BadLink`](chat_core::machine::CommandError::BadLink), or it is the own one.
    pub async fn add_contact(
        &self,
        link: impl Into<String>,
        name: Option<String>,
    ) -> Result<ContactView, Error> {
        match self.command(Command::AddContact { link: link.into(), name }).await? {
            Answer::Contact(contact) => Ok(contact),
            _ => Err(UNEXPECTED),
        }
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// There is no such contact.
    pub async fn remove_contact(&self, account: AccountId) -> Result<(), Error> {
        self.command(Command::RemoveContact { account }).await.map(drop)
    }

    /// Creates a group and invites contacts into it.
    ///
    /// # Errors
    /// Somebody is no contact or its link has expired; a text is too long.
    pub async fn create_group(
        &self,
        name: impl Into<String>,
        description: impl Into<String>,
        members: &[AccountId],
    ) -> Result<GroupView, Error> {
        let command = Command::CreateGroup {
            name: name.into(),
            description: description.into(),
            members: members.to_vec(),
        };
        match self.command(command).await? {
            Answer::Group(group) => Ok(group),
            _ => Err(UNEXPECTED),
        }
    }

    /// Adds contacts to a group.
    ///
    /// # Errors
    /// As for [`Client::create_group`]; somebody is a member already; no permission.
    pub async fn add_members(&self, group: GroupId, accounts: &[AccountId]) -> Result<(), Error> {
        let accounts = accounts.to_vec();
        self.command(Command::AddMembers { group, accounts }).await.map(drop)
    }

    /// Removes accounts from a group.
    ///
    /// # Errors
    /// Somebody is no member; no permission.
    pub async fn remove_members(
        &self,
        group: GroupId,
        accounts: &[AccountId],
    ) -> Result<(), Error> {
        let accounts = accounts.to_vec();
        self.command(Command::RemoveMembers { group, accounts }).await.map(drop)
    }

    /// Asks to leave a group; some other member's commit completes it.
    ///
    /// # Errors
    /// No member of it.
    pub async fn leave_group(&self, group: GroupId) -> Result<(), Error> {
        self.command(Command::LeaveGroup { group }).await.map(drop)
    }

    /// Sets a group's name, its description, or both, for everybody.
    ///
    /// # Errors
    /// A text is too long or empty, or nothing would change.
    pub async fn describe_group(
        &self,
        group: GroupId,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<(), Error> {
        self.command(Command::DescribeGroup { group, name, description }).await.map(drop)
    }

    /// Makes an account an admin of a group, or takes that back.
    ///
    /// # Errors
    /// No permission; the last admin.
    pub async fn set_admin(
        &self,
        group: GroupId,
        account: AccountId,
        admin: bool,
    ) -> Result<(), Error> {
        self.command(Command::SetAdmin { group, account, admin }).await.map(drop)
    }

    /// Sends a text to a group. It is safe on disk when this returns, and published as soon as
    /// there is a connection; the hash names it in events and history.
    ///
    /// # Errors
    /// No member; too long; the outbox is full.
    pub async fn send(&self, group: GroupId, text: impl Into<String>) -> Result<ItemHash, Error> {
        match self.command(Command::Send { group, text: text.into() }).await? {
            Answer::Sent { message, .. } => Ok(message),
            _ => Err(UNEXPECTED),
        }
    }

    /// Accepts a request; its invitation is then fetched and the group joined.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn accept_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::AcceptRequest { request }).await.map(drop)
    }

    /// Declines a request. The inviter is not told.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn decline_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::DeclineRequest { request }).await.map(drop)
    }

    /// Declines a request and ignores further ones of that account.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn block_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::BlockRequest { request }).await.map(drop)
    }

    /// Forgets events up to a cursor: the application has dealt with them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn acknowledge(&self, cursor: u64) -> Result<(), Error> {
        self.command(Command::AcknowledgeEvents { cursor }).await.map(drop)
    }

    // Queries.

    /// Runs a query on the machine, in its thread.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Machine) -> Result<T, StepError> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |machine: &Machine| {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(query(machine));
        });
        self.inner.requests.send(Request::Query(query)).await.map_err(|_| Error::Closed)?;
        Ok(answer.await.map_err(|_| Error::Closed)??)
    }

    /// The own account and this installation.
    ///
    /// # Errors
    /// Those of the database, as for all queries below.
    pub async fn identity(&self) -> Result<IdentityView, Error> {
        self.query(|machine| machine.identity()).await
    }

    /// All groups, those left behind too.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn groups(&self) -> Result<Vec<GroupView>, Error> {
        self.query(|machine| machine.groups()).await
    }

    /// A group; none if it is not known here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn group(&self, group: GroupId) -> Result<Option<GroupView>, Error> {
        self.query(move |machine| machine.group(&group)).await
    }

    /// A group's members; none if the group is not known here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn members(&self, group: GroupId) -> Result<Option<Vec<MemberView>>, Error> {
        self.query(move |machine| machine.members(&group)).await
    }

    /// All contacts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn contacts(&self) -> Result<Vec<ContactView>, Error> {
        self.query(|machine| machine.contacts()).await
    }

    /// Requests that wait for an answer, or for their invitation.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn requests(&self) -> Result<Vec<RequestView>, Error> {
        self.query(|machine| machine.requests()).await
    }

    /// The newest `limit` messages of a group that came before the one with the id `before` (none:
    /// the newest of all), oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn history(
        &self,
        group: GroupId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MessageView>, Error> {
        self.query(move |machine| machine.history(&group, before, limit)).await
    }

    /// Messages of a group that are known to be missing, and from whom.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn missing(&self, group: GroupId) -> Result<Vec<MissingView>, Error> {
        self.query(move |machine| machine.missing(&group)).await
    }

    /// What became of envelopes from the network since the client was opened.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn counters(&self) -> Result<Counters, Error> {
        self.query(|machine| Ok(machine.counters())).await
    }

    /// How the client is doing at this moment.
    pub async fn status(&self) -> ClientStatus {
        let transport = self.inner.transport.status().await;
        let progress = self.inner.progress.borrow();
        ClientStatus {
            connected: progress.connected_at.is_some(),
            peers: transport.connected_peers,
            store_available: transport.store_available,
            listen_addresses: transport.listen_addresses,
            failure: progress.failure.clone(),
        }
    }

    // Waits.

    /// Waits for a connection to the network.
    ///
    /// # Errors
    /// [`Error::Timeout`].
    pub async fn wait_connected(&self, patience: Duration) -> Result<(), Error> {
        within(patience, "connecting to the network", async {
            let mut progress = self.inner.progress.clone();
            let connected = progress.wait_for(|p| p.connected_at.is_some()).await;
            connected.map(drop).map_err(|_| Error::Closed)
        })
        .await
    }

    /// Waits until all history up to the beginning of the present connection was fetched; first for
    /// a connection, if there is none.
    ///
    /// # Errors
    /// [`Error::NoStore`] if no peer keeps history, and [`Error::Timeout`].
    pub async fn wait_caught_up(&self, patience: Duration) -> Result<(), Error> {
        within(patience, "catching up on history", async {
            let mut progress = self.inner.progress.clone();
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
                    Err(_) if self.inner.transport.status().await.store_available => {}
                    Err(_) => return Err(Error::NoStore),
                }
            }
        })
        .await
    }

    /// Waits until everything in the outbox was published.
    ///
    /// # Errors
    /// [`Error::Timeout`]: what is left is published later.
    pub async fn wait_published(&self, patience: Duration) -> Result<(), Error> {
        within(patience, "publishing", async {
            let mut progress = self.inner.progress.clone();
            loop {
                progress.borrow_and_update();
                if self.identity().await?.outbox == 0 {
                    return Ok(());
                }
                progress.changed().await.map_err(|_| Error::Closed)?;
            }
        })
        .await
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.progress.clone()
    }
}

/// A command's answer is of the kind that the command has, or there is a fault in the core.
pub(crate) const UNEXPECTED: Error = Error::Internal("a command was answered with something else");

async fn within<T>(
    patience: Duration,
    what: &'static str,
    wait: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, wait)
        .await
        .unwrap_or(Err(Error::Timeout { what, after: patience }))
}
