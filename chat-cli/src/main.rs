//! The program `waku-chat`: end-to-end encrypted group chat over Waku in a terminal.

mod args;
mod command;
mod demo;
mod error;
mod home;
mod names;
mod nodes;
mod out;
mod passphrase;
mod session;
mod text;
mod time;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Command, CommandLine, Global};
use error::CliError;
use out::Out;

fn main() -> ExitCode {
    // Ends with 2 where the usage is wrong.
    let line = CommandLine::parse();
    let out = Out { json: line.global.json, quiet: line.global.quiet };
    // A node has options of its own for its log, and a file where they may stand.
    if !matches!(line.command, Command::Node(_)) {
        log(&line.global);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(source) => {
            return fail(out, &CliError::System { what: "cannot start the runtime", source });
        }
    };
    let result = runtime.block_on(run(&line.global, out, line.command));
    // A read of standard input cannot be given up; waiting for it would keep the process here.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(out, &error),
    }
}

async fn run(global: &Global, out: Out, command: Command) -> Result<(), CliError> {
    // A contradiction is told also where no node is needed.
    nodes::asked_for(global)?;
    match command {
        Command::Init { network, peers } => {
            command::account::init(global, out, &network, peers).await
        }
        Command::Recover(args) => command::recover::recover(global, out, args).await,
        Command::Whoami => command::account::whoami(global, out).await,
        Command::Contact(command) => command::people::contact(global, out, command).await,
        Command::Requests(command) => command::people::requests(global, out, command).await,
        Command::Installations(command) => {
            command::installations::installations(global, out, command).await
        }
        Command::Group(command) => command::group::group(global, out, command).await,
        Command::Send { group, text } => command::messages::send(global, out, &group, &text).await,
        Command::Listen { after, keep, count } => {
            command::messages::listen(global, out, after, keep, count).await
        }
        Command::History { group, limit, before, mark_read } => {
            command::messages::history(global, out, &group, before, limit, mark_read).await
        }
        Command::Chat { group } => command::chat::chat(global, out, &group).await,
        Command::Node(args) => {
            nodes::refuse_libwaku(global)?;
            command::node::node(global, out, *args).await
        }
        Command::Rpc { after } => command::rpc::rpc(global, out, after).await,
        Command::Demo { keep } => demo::demo(global, out, keep).await,
        Command::DemoRelay { store } => demo::relay(global, out, &store).await,
    }
}

/// The log goes to standard error: warnings, more with `-v`, or what `RUST_LOG` says.
fn log(global: &Global) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(log_filter(global)));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// What `-v` asks for.
pub(crate) fn log_filter(global: &Global) -> &'static str {
    match global.verbose {
        0 => "error",
        1 => "warn,waku_chat=info,chat_core=info,waku_node=info,waku_transport=info",
        _ => "info,waku_chat=debug,chat_core=debug,waku_node=debug,waku_transport=debug",
    }
}

/// Says what went wrong and what to do next.
fn fail(out: Out, error: &CliError) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    // Nobody can be told that telling does not work.
    let _ = match error {
        CliError::OutputClosed => Ok(()),
        error if out.json => writeln!(stderr, "{}", error.to_json()),
        error => writeln!(stderr, "error: {}", text::block(&error.to_string())),
    };
    if let Some(hint) = error.hint().filter(|_| !out.json) {
        let _ = writeln!(stderr, "  {hint}");
    }
    error.exit_code()
}

/// Waits until the user or the system ends the program.
pub(crate) async fn signal() -> Result<(), CliError> {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        result = tokio::signal::ctrl_c() => {
            result.map_err(|source| CliError::System { what: "cannot wait for Ctrl-C", source })
        }
        () = terminated => Ok(()),
    }
}
