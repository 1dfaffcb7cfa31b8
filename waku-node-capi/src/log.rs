//! The library's log: it goes to standard error, unless the host is a Rust program that collects it
//! itself.

use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

static STARTED: Once = Once::new();

/// Begins to log. The first node of a process decides the level.
pub(crate) fn start(level: &str) {
    STARTED.call_once(|| {
        let level = match level.to_ascii_uppercase().as_str() {
            "NONE" => LevelFilter::OFF,
            "TRACE" => LevelFilter::TRACE,
            "DEBUG" => LevelFilter::DEBUG,
            "WARN" => LevelFilter::WARN,
            "ERROR" | "FATAL" => LevelFilter::ERROR,
            _ => LevelFilter::INFO,
        };
        // An error means that the host has a collector of its own.
        let _ = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(level)
            .with_ansi(false)
            .try_init();
    });
}
