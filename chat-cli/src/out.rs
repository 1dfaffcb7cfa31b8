//! The program's output: results go to standard output, everything else to standard error.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;

use crate::error::CliError;

/// The file that results go to, once [`keep_for_results`] was called.
static RESULTS: OnceLock<File> = OnceLock::new();

/// Reserves standard output for results: whatever else in this process writes to it goes to standard
/// error from now on. libwaku writes its log there.
#[cfg(unix)]
pub(crate) fn keep_for_results() -> Result<(), CliError> {
    use std::os::fd::AsFd as _;
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let failed =
        |source| CliError::System { what: "cannot keep standard output for results", source };
    if RESULTS.get().is_none() {
        let results = std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        rustix::stdio::dup2_stdout(std::io::stderr()).map_err(|error| failed(error.into()))?;
        // It was empty, and nothing else fills it.
        let _ = RESULTS.set(results.into());
    }
    Ok(())
}

/// On other systems the rest of the process goes on sharing standard output.
#[cfg(not(unix))]
pub(crate) fn keep_for_results() -> Result<(), CliError> {
    Ok(())
}

/// Writes a line of results.
fn write(text: &str) -> std::io::Result<()> {
    match RESULTS.get() {
        // In one piece, so that the lines of several tasks do not mix.
        Some(mut results) => results.write_all(format!("{text}\n").as_bytes()),
        None => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{text}").and_then(|()| out.flush())
        }
    }
}

/// The form that output takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Write results as JSON, one document per line.
    pub(crate) json: bool,
    /// Do not show progress.
    pub(crate) quiet: bool,
}

impl Out {
    /// Writes a result: `value` for programs, `text` for people. An empty text writes nothing.
    pub(crate) fn result(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let text = if self.json {
            serde_json::to_string(value).map_err(|error| CliError::System {
                what: "cannot write JSON",
                source: error.into(),
            })?
        } else {
            text()
        };
        if text.is_empty() { Ok(()) } else { self.line(&text) }
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        match write(text) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Err(CliError::OutputClosed)
            }
            Err(source) => {
                Err(CliError::System { what: "cannot write to standard output", source })
            }
        }
    }

    /// Writes the progress of a long command: a line of JSON for programs, a text for people.
    pub(crate) fn step(&self, value: &serde_json::Value, text: &str) -> Result<(), CliError> {
        if self.json {
            self.line(&value.to_string())
        } else {
            self.progress(text);
            Ok(())
        }
    }

    /// Shows progress, to people only.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet && !self.json {
            // If standard error cannot be written to, there is nowhere to report that.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Warns of something that does not stop the command.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that the test starts.
    const INNER: &str = "WAKU_CHAT_TEST_OUT";

    #[test]
    fn what_others_write_to_standard_output_is_not_among_results() {
        if std::env::var_os(INNER).is_some() {
            // Ends a line that the test runner may have begun.
            println!();
            for _ in 0..2 {
                keep_for_results().unwrap();
                // As a library in C would write it.
                rustix::io::write(std::io::stdout(), b"noise\n").unwrap();
                Out { json: true, quiet: true }.line("{}").unwrap();
            }
            return;
        }
        let name = std::thread::current().name().unwrap().to_owned();
        let mut inner = Command::new(std::env::current_exe().unwrap());
        let inner = inner.args([&*name, "--exact", "--nocapture"]).env(INNER, "1");
        let inner = inner.output().unwrap();
        assert!(inner.status.success());
        let (out, err) =
            (String::from_utf8_lossy(&inner.stdout), String::from_utf8_lossy(&inner.stderr));
        let count = |text: &str, line: &str| text.lines().filter(|l| *l == line).count();
        assert_eq!((count(&out, "{}"), count(&out, "noise")), (2, 0), "{out}");
        assert_eq!((count(&err, "{}"), count(&err, "noise")), (0, 2), "{err}");
    }
}
