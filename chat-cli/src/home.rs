//! The home directory: database, configuration, and the lock that one process holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use waku_chat::NetworkParams;
use waku_node::Multiaddr;

use crate::error::{CliError, file};
use crate::nodes::NodeKind;

/// Largest configuration or passphrase file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What `config.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The network's parameters, as they were when the account was made.
    pub(crate) network: NetworkParams,
    /// Peers to connect to, as multiaddresses.
    #[serde(default)]
    pub(crate) peers: Vec<Multiaddr>,
    /// The node to run on. Not written if it is the embedded one, as it was before there was another.
    #[serde(default, skip_serializing_if = "NodeKind::is_default")]
    pub(crate) node: NodeKind,
    /// The libwaku to load, an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) libwaku: Option<PathBuf>,
}

/// A home directory that this process has locked.
pub(crate) struct Home {
    path: PathBuf,
    /// Held for as long as the value lives; the system releases it when the process ends.
    _lock: File,
}

impl Home {
    /// Locks the home directory of an account that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        // Looked at first, so that a mistyped --home leaves nothing behind.
        if !path.join("chat.db").exists() {
            return Err(CliError::NotInitialised(path.to_owned()));
        }
        Self::lock(path)
    }

    /// Makes and locks a home directory for a new account.
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        make_directory(path)?;
        let home = Self::lock(path)?;
        match std::fs::metadata(home.database()) {
            Ok(meta) if meta.len() > 0 => Err(CliError::AlreadyInitialised(path.to_owned())),
            _ => Ok(home),
        }
    }

    fn lock(path: &Path) -> Result<Self, CliError> {
        let name = path.join("lock");
        let lock = private(OpenOptions::new().write(true).create(true))
            .open(&name)
            .map_err(file("cannot open", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CliError::HomeBusy(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(file("cannot lock", name)(source)),
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("chat.db")
    }

    fn config_file(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// Reads the configuration.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        let path = self.config_file();
        let text = read(&path)?;
        let config: Config = serde_json::from_str(&text)
            .map_err(|error| CliError::Config { path: path.clone(), reason: error.to_string() })?;
        if config.libwaku.as_ref().is_some_and(|library| !library.is_absolute()) {
            // It would be another file in each directory that the program is started in.
            let reason = "the path of libwaku is not absolute".to_owned();
            return Err(CliError::Config { path, reason });
        }
        checked(config.network, &path).map(|network| Config { network, ..config })
    }

    /// Writes configuration and an empty database file, both private to the user.
    pub(crate) fn prepare(&self, config: &Config) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(config).map_err(|error| CliError::Config {
            path: self.config_file(),
            reason: error.to_string(),
        })?;
        write_private(&self.config_file(), format!("{text}\n").as_bytes())?;
        write_private(&self.database(), &[])
    }

    /// Takes back what [`Home::prepare`] made.
    pub(crate) fn discard(&self) {
        for path in [self.database(), self.config_file()] {
            // What cannot be removed is overwritten by the next attempt.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Where accounts are kept unless somebody says otherwise: the platform's directory for data.
pub(crate) fn default_home() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("waku-chat"))
}

/// A network by name, or from a file of parameters.
pub(crate) fn network(name: &str) -> Result<NetworkParams, CliError> {
    match name {
        "public" => Ok(NetworkParams::public()),
        "fast" => Ok(NetworkParams::fast()),
        path => {
            let path = Path::new(path);
            if !path.exists() {
                return Err(CliError::Usage(format!(
                    "--network is public, fast, or a file of parameters; there is no file {}",
                    path.display()
                )));
            }
            let params: NetworkParams = serde_json::from_str(&read(path)?)
                .map_err(|e| CliError::Config { path: path.into(), reason: e.to_string() })?;
            checked(params, path)
        }
    }
}

fn checked(network: NetworkParams, path: &Path) -> Result<NetworkParams, CliError> {
    match network.validate() {
        Ok(()) => Ok(network),
        Err(error) => Err(CliError::Config { path: path.into(), reason: error.to_string() }),
    }
}

/// Reads a small text file.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let source = File::open(path).map_err(file("cannot open", path))?;
    source.take(MAX_FILE).read_to_string(&mut text).map_err(file("cannot read", path))?;
    Ok(text)
}

/// Makes a directory that only the user can look into.
pub(crate) fn make_directory(path: &Path) -> Result<(), CliError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(file("cannot make", path))
}

/// Writes a file that only the user can read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    private(options.write(true).create(true).truncate(true))
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(file("cannot write", path))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}
