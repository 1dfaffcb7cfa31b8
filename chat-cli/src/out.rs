//! What the program writes: results to standard output, everything else to standard error.

use std::io::Write as _;

use serde::Serialize;

use crate::error::CliError;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Results as JSON, one document a line.
    pub(crate) json: bool,
    /// No progress.
    pub(crate) quiet: bool,
}

impl Out {
    /// A result: `value` for programs, `text` for people (nothing, if that is empty).
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

    /// A line on standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Err(CliError::OutputClosed)
            }
            Err(source) => {
                Err(CliError::System { what: "cannot write to standard output", source })
            }
        }
    }

    /// How far long work has come, for people.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet && !self.json {
            // Nobody can be told that telling does not work.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Something that is not as it should be and does not stop the work.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }
}
