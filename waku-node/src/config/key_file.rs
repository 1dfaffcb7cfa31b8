//! The file in which a node keeps its key between runs.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::key::NodeKey;

/// How much of a key file is read, in bytes: more than the 64 digits and a line break.
const MAX_FILE: u64 = 128;

/// Where a node keeps its key between runs, if it is not given one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyFile {
    /// In a file beside the archive's database, whose path it has with `.key` appended. A node without
    /// such a database has a new identity at each start.
    #[default]
    BesideStore,
    /// In this file.
    Path(PathBuf),
    /// Nowhere: the node has a new identity at each start.
    Nowhere,
}

/// The file of a node's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read, or not be written.
    #[error("key file {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file does not contain a key.
    #[error("key file {}: a key is 64 hexadecimal digits", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
    },
}

impl NodeKey {
    /// Reads the key in a file: 64 hexadecimal digits, white space around them allowed. If there is no
    /// file, generates a key and writes it to a new file that only its owner can read.
    ///
    /// # Errors
    /// See [`KeyFileError`]. A file that is there is never overwritten.
    pub fn read_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
        match File::open(path) {
            Ok(file) => drop(file.take(MAX_FILE).read_to_end(&mut text).map_err(io)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate();
                write_new(path, &key).map_err(io)?;
                return Ok(key);
            }
            Err(error) => return Err(io(error)),
        }
        let malformed = || KeyFileError::Malformed { path: path.to_owned() };
        let digits = text.trim_ascii();
        let bytes = HEXLOWER_PERMISSIVE.decode(digits).map_err(|_| malformed())?;
        let bytes = Zeroizing::new(bytes);
        Ok(Self::from_bytes(bytes.as_slice().try_into().map_err(|_| malformed())?))
    }
}

/// Writes a file that is either complete or not there, even after a crash.
fn write_new(path: &Path, key: &NodeKey) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    let text = Zeroizing::new(HEXLOWER.encode(key.expose()) + "\n");
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    // Without this a loss of power may undo the renaming.
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_gives_the_same_key_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.key");
        let first = NodeKey::read_or_create(&path).expect("created");
        let again = NodeKey::read_or_create(&path).expect("read");
        assert_eq!(first.expose(), again.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn what_is_not_a_key_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.key");
        for bad in ["", "zz", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &"7".repeat(1000)]
        {
            std::fs::write(&path, bad).expect("written");
            let refused = NodeKey::read_or_create(&path);
            assert!(matches!(refused, Err(KeyFileError::Malformed { .. })), "{bad}");
            assert_eq!(std::fs::read(&path).expect("still there"), bad.as_bytes());
        }
        let nowhere = NodeKey::read_or_create(&dir.path().join("no/such/directory"));
        assert!(matches!(nowhere, Err(KeyFileError::Io { .. })));
        assert!(matches!(NodeKey::read_or_create(dir.path()), Err(KeyFileError::Io { .. })));
    }
}
