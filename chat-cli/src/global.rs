//! The options that all commands have.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::config::NodeKind;

/// The options that all commands have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Directory of the account [default: waku-chat in the platform's data directory]
    #[arg(long, global = true, env = "WAKU_CHAT_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Read the passphrase from this file. Without it, the program takes it from
    /// WAKU_CHAT_PASSPHRASE, or asks for it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Write results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Longest wait for each of these: connecting, fetching history, publishing
    #[arg(long, global = true, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The Waku node to run on: the program's own, or libwaku's. `init` saves the choice in
    /// config.json; other commands use it for this run only
    #[arg(long, global = true, value_enum, value_name = "KIND")]
    pub(crate) node: Option<NodeKind>,
    /// Load libwaku from this file; implies `--node libwaku`. Without it, the program looks in
    /// LIBWAKU_PATH, in config.json, on the system's library path, and beside itself
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) libwaku: Option<PathBuf>,
    /// DNS server that libwaku asks; may be repeated. Without it libwaku asks 127.0.0.1 alone. `init`
    /// saves it in config.json; other commands use it for this run only
    #[arg(long = "dns-server", global = true, value_name = "IP")]
    pub(crate) dns_servers: Vec<IpAddr>,
    /// Do not connect; use only what is stored here
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Do not show progress on standard error
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more to standard error; repeat for still more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The value of `--timeout`.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("expected a number of seconds, at most 86400 (a day)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "0", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
