//! The file with a node's key.

use std::path::Path;

use waku_node::NodeKey;
use zeroize::Zeroizing;

use crate::error::{CliError, OperatorError};
use crate::files;

/// Reads the key in a file of 64 hexadecimal digits. Without a file, makes a new key and its file.
pub(crate) fn key(path: &Path) -> Result<NodeKey, OperatorError> {
    let bad = |reason: String| OperatorError::Key { path: path.to_owned(), reason };
    let system = |error: CliError| {
        bad(match error {
            CliError::File { source, .. } => source.to_string(),
            other => other.to_string(),
        })
    };
    // A file that may not be looked at does exist: reading it reports why.
    if path.try_exists().is_ok_and(|there| !there) {
        let key = NodeKey::generate();
        let text = Zeroizing::new(hex::encode(key.expose()));
        files::write_private(path, text.as_bytes()).map_err(system)?;
        return Ok(key);
    }
    let text = Zeroizing::new(files::read(path).map_err(system)?);
    parse_key(text.trim()).ok_or_else(|| bad("a key is 64 hexadecimal digits".to_owned()))
}

fn parse_key(text: &str) -> Option<NodeKey> {
    let mut secret = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text, &mut *secret).ok()?;
    Some(NodeKey::from_bytes(*secret))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_gives_the_same_key_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let first = key(&path).unwrap();
        assert_eq!(key(&path).unwrap().expose(), first.expose());
        std::fs::write(&path, "zz").unwrap();
        assert!(key(&path).is_err());
        assert!(parse_key(&"é".repeat(32)).is_none());
    }
}
