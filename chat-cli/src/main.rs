//! The program `waku-chat`: end-to-end encrypted group chat over Waku in a terminal.

mod args;
mod command;
mod config;
mod demo;
mod error;
mod files;
mod find;
mod global;
mod home;
mod input;
mod log;
mod out;
mod secrets;
mod session;
mod show;
mod signals;
mod transport;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Command, CommandLine};
use error::CliError;
use global::Global;
use out::Out;

fn main() -> ExitCode {
    // Ends the process with exit code 2 if the usage is wrong.
    let line = CommandLine::parse();
    let out = Out { json: line.global.json, quiet: line.global.quiet };
    // A node has options of its own for its log, which may also be in a file.
    if !matches!(line.command, Command::Node(_)) {
        log::start(&line.global);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(source) => {
            return fail(out, &CliError::System { what: "cannot start the runtime", source });
        }
    };
    let result = runtime.block_on(run_or_stop(&line.global, out, line.command));
    // A pending read of standard input cannot be cancelled; waiting for it would keep the process
    // alive.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(out, &error),
    }
}

/// Runs a command. One that ends by itself is given up at the first signal, and closed in order.
async fn run_or_stop(global: &Global, out: Out, command: Command) -> Result<(), CliError> {
    let ends_by_itself = matches!(
        command,
        Command::Contact(_)
            | Command::Requests(_)
            | Command::Group(_)
            | Command::Send(_)
            | Command::History(_)
    );
    let running = run(global, out, command);
    if !ends_by_itself {
        return running.await;
    }
    let stopped = tokio::select! {
        result = running => return result,
        stopped = signals::stop_requested() => stopped,
    };
    session::close_open().await;
    stopped?;
    Err(CliError::Stopped("the command was interrupted; what it has stored is sent the next time"))
}

async fn run(global: &Global, out: Out, command: Command) -> Result<(), CliError> {
    // A contradiction in the options is reported even if no node is needed.
    transport::requested_kind(global)?;
    match command {
        Command::Init(args) => command::init::run(global, out, args).await,
        Command::Recover(args) => command::recover::run(global, out, args).await,
        Command::Whoami => command::whoami::run(global, out).await,
        Command::Contact(command) => command::contact::run(global, out, command).await,
        Command::Requests(command) => command::requests::run(global, out, command).await,
        Command::Installations(command) => command::installations::run(global, out, command).await,
        Command::Group(command) => command::group::run(global, out, command).await,
        Command::Send(args) => command::send::run(global, out, args).await,
        Command::Listen(args) => command::listen::run(global, out, args).await,
        Command::History(args) => command::history::run(global, out, args).await,
        Command::Chat(args) => command::chat::run(global, out, args).await,
        Command::Node(args) => command::node::run(global, out, *args).await,
        Command::Rpc(args) => command::rpc::run(global, out, args).await,
        Command::Demo(args) => demo::run(global, out, args).await,
        Command::DemoRelay(args) => demo::run_relay(global, out, args).await,
    }
}

/// Reports an error, and what to do next.
fn fail(out: Out, error: &CliError) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    // If standard error cannot be written to, there is nowhere to report that.
    let _ = match error {
        CliError::OutputClosed => Ok(()),
        error if out.json => writeln!(stderr, "{}", error.to_json()),
        error => writeln!(stderr, "error: {}", show::text::block(&error.to_string())),
    };
    if let Some(hint) = error.hint().filter(|_| !out.json) {
        let _ = writeln!(stderr, "  {hint}");
    }
    error.exit_code()
}
