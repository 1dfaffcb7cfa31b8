//! The file of a node's key.

use std::path::Path;

use waku_node::NodeKey;
use zeroize::Zeroizing;

use super::error::OperatorError;
use crate::error::CliError;
use crate::home;

/// The key in a file, as 64 hexadecimal digits; a new one is made if there is no file.
pub(crate) fn key(path: &Path) -> Result<NodeKey, OperatorError> {
    use std::fmt::Write as _;
    let bad = |reason: String| OperatorError::Key { path: path.to_owned(), reason };
    let system = |error: CliError| {
        bad(match error {
            CliError::File { source, .. } => source.to_string(),
            other => other.to_string(),
        })
    };
    // A file that may not be looked at is there: its error comes from reading it.
    if path.try_exists().is_ok_and(|there| !there) {
        let key = NodeKey::generate();
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in key.expose() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        home::write_private(path, text.as_bytes()).map_err(system)?;
        return Ok(key);
    }
    let text = Zeroizing::new(home::read(path).map_err(system)?);
    parse_key(text.trim()).ok_or_else(|| bad("a key is 64 hexadecimal digits".to_owned()))
}

fn parse_key(text: &str) -> Option<NodeKey> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut secret = Zeroizing::new([0u8; 32]);
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).ok()?;
    }
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
