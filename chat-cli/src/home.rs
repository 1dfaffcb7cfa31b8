//! The home directory of an account: its database, its settings, and the lock that one process holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{CliError, file};
use crate::files;
use crate::global::Global;

/// The name of the database file in the home directory.
const DATABASE: &str = "chat.db";

/// A home directory that this process has locked.
pub(crate) struct Home {
    path: PathBuf,
    /// Held for as long as the value lives; the system releases it when the process ends.
    _lock: File,
}

impl Home {
    /// Locks the home directory of an account that exists.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        // Checked first, so that a mistyped --home leaves nothing behind.
        if !path.join(DATABASE).exists() {
            return Err(CliError::NotInitialised(path.to_owned()));
        }
        Self::lock(path)
    }

    /// Creates and locks a home directory for a new account.
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        files::make_directory(path)?;
        let home = Self::lock(path)?;
        if is_unused(path) { Ok(home) } else { Err(CliError::AlreadyInitialised(path.to_owned())) }
    }

    fn lock(path: &Path) -> Result<Self, CliError> {
        let name = path.join("lock");
        let lock = files::private(OpenOptions::new().write(true).create(true))
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
        self.path.join(DATABASE)
    }

    fn config_file(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// Reads the settings.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        Config::read(&self.config_file())
    }

    /// Writes the settings and an empty database file, both private to the user.
    pub(crate) fn prepare(&self, config: &Config) -> Result<(), CliError> {
        config.write(&self.config_file())?;
        files::write_private(&self.database(), &[])
    }

    /// Takes back what [`Home::prepare`] wrote.
    pub(crate) fn discard(&self) {
        for path in [self.database(), self.config_file()] {
            // What cannot be removed is overwritten by the next attempt.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The home directory that the user asks for, or the platform's default.
pub(crate) fn path(global: &Global) -> Result<PathBuf, CliError> {
    global.home.clone().or_else(default).ok_or_else(|| {
        CliError::Usage("there is no data directory: name a home directory with --home".to_owned())
    })
}

/// Whether there is no account at this path, nor the beginning of one.
pub(crate) fn is_unused(path: &Path) -> bool {
    std::fs::metadata(path.join(DATABASE)).map_or(true, |meta| meta.len() == 0)
}

/// `waku-chat` in the platform's directory for data.
fn default() -> Option<PathBuf> {
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
