//! What other programs and people write to standard input.

use std::io::BufRead as _;

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use crate::error::CliError;

/// Typed lines that wait to be handled.
const MAX_TYPED: usize = 16;

/// Reads all of standard input as text, up to `limit` bytes.
pub(crate) async fn read_all(limit: u64) -> Result<String, CliError> {
    let mut text = String::new();
    tokio::io::stdin()
        .take(limit)
        .read_to_string(&mut text)
        .await
        .map_err(|source| CliError::System { what: "cannot read standard input", source })?;
    Ok(text)
}

/// The lines of standard input. They are read in a thread of its own, which ends with the process.
pub(crate) fn lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(MAX_TYPED);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}

/// Waits for the end of standard input, and ignores what comes before it.
pub(crate) async fn closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 256];
    while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
