//! A device's database in a directory, and what a process that is killed leaves there.

use std::path::{Path, PathBuf};

use chat_core::database::{Database, DatabaseError, DatabaseKey};

/// A device's database in a directory, one copy for each process that was killed.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    key: [u8; 32],
    process: u32,
}

impl Home {
    /// Makes the directory, with a new database in it.
    #[allow(clippy::expect_used)]
    pub(crate) fn found(dir: &Path, key: [u8; 32], salt: [u8; 32]) -> (Self, Database) {
        let home = Self { dir: dir.to_path_buf(), key, process: 0 };
        std::fs::create_dir_all(home.current()).expect("a directory can be made");
        let store = home.open(salt).expect("a new database can be made");
        (home, store)
    }

    fn current(&self) -> PathBuf {
        self.dir.join(self.process.to_string())
    }

    /// Opens the database of the present process.
    pub(crate) fn open(&self, salt: [u8; 32]) -> Result<Database, DatabaseError> {
        let mut short = [0; 16];
        short.copy_from_slice(&salt[..16]);
        Database::open(&self.current().join("chat.db"), &DatabaseKey::raw(self.key), short)
    }

    /// Copies the files as they lie there, while the process that wrote them still has them open:
    /// no closing, no checkpoint of the WAL. That is what a process that is killed leaves.
    pub(crate) fn leave(&mut self) -> std::io::Result<()> {
        let from = self.current();
        self.process += 1;
        let to = self.current();
        std::fs::create_dir_all(&to)?;
        for file in std::fs::read_dir(from)? {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    }

    /// Goes back to the database that the process before this one left.
    pub(crate) fn roll_back(&mut self) {
        self.process = self.process.saturating_sub(1);
    }

    /// Bytes in the journal of the database.
    pub(crate) fn journal_bytes(&self) -> Option<u64> {
        std::fs::metadata(self.current().join("chat.db-wal")).ok().map(|file| file.len())
    }
}
