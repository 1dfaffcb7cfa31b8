//! A look at the file before SQLite opens it.

use std::io::ErrorKind;
use std::path::Path;

use super::error::DatabaseError;

/// Bytes of a page, SQLCipher's default.
const PAGE_SIZE: u64 = 4096;

/// Looks at what is at `path` before SQLite does, whose errors would say less.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
    let file = |source| DatabaseError::File { path: path.to_path_buf(), source };
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) if !parent.is_dir() => Err(file(ErrorKind::NotADirectory.into())),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(file(error)),
    };
    if !found.is_file() {
        return Err(file(ErrorKind::IsADirectory.into()));
    }
    if found.permissions().readonly() {
        return Err(file(ErrorKind::PermissionDenied.into()));
    }
    // SQLite takes what is shorter than a page for a new file, and throws a journal away that lies
    // beside it. A crash before the first write leaves an empty file, and during it a rollback
    // journal; anything else had something in it.
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).is_ok_and(|file| file.len() > 0)
    };
    let lost = match found.len() {
        0 => beside("-wal"),
        length => length < PAGE_SIZE && !beside("-journal"),
    };
    if lost {
        return Err(DatabaseError::Corrupt);
    }
    Ok(())
}
