//! The log, which goes to standard error.

use tracing_subscriber::EnvFilter;

use crate::global::Global;

/// Starts the log: as `RUST_LOG` says, otherwise as `-v` asks.
pub(crate) fn start(global: &Global) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(verbosity_filter(global)));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The filter that `-v` asks for.
pub(crate) fn verbosity_filter(global: &Global) -> &'static str {
    match global.verbose {
        0 => "error",
        1 => "warn,waku_chat=info,chat_core=info,waku_node=info,waku_transport=info",
        _ => "info,waku_chat=debug,chat_core=debug,waku_node=debug,waku_transport=debug",
    }
}
