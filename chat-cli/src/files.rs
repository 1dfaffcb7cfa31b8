//! Small files, and files and directories that only the user can look into.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::{CliError, file};

/// The largest configuration or passphrase file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a small text file.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let source = File::open(path).map_err(file("cannot open", path))?;
    source.take(MAX_FILE).read_to_string(&mut text).map_err(file("cannot read", path))?;
    Ok(text)
}

/// Creates a directory that only the user can look into.
pub(crate) fn make_directory(path: &Path) -> Result<(), CliError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(file("cannot create", path))
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

/// Lets files that are created with these options be read by the user only.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}
