//! The command line. Each command defines its own arguments; they are put together here.

use clap::{Parser, Subcommand};

use crate::command::chat::Chat;
use crate::command::contact::Contact;
use crate::command::group::Group;
use crate::command::history::History;
use crate::command::init::Init;
use crate::command::installations::Installations;
use crate::command::listen::Listen;
use crate::command::node::NodeArgs;
use crate::command::recover::Recover;
use crate::command::requests::Requests;
use crate::command::rpc::Rpc;
use crate::command::send::Send;
use crate::demo::{Demo, DemoRelay};
use crate::error::EXIT_CODES;
use crate::global::Global;

const ABOUT: &str = "End-to-end encrypted group chat over Waku";

const LONG: &str = "\
End-to-end encrypted group chat over Waku.

Groups, contacts, members, requests and installations can be given by id, by name if only one has \
that name, or by the last characters of the id (at least four).";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "waku-chat", version, about = ABOUT, long_about = LONG, after_help = EXIT_CODES)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a new account, and show its recovery phrase once
    Init(Init),
    /// Recover an account with its recovery phrase, when all its installations are lost
    Recover(Recover),
    /// Show this account and this installation
    Whoami,
    /// Make contact links, and manage contacts
    #[command(subcommand)]
    Contact(Contact),
    /// List and answer requests, which are invitations from others
    #[command(subcommand)]
    Requests(Requests),
    /// Create groups, and manage them and their members
    #[command(subcommand)]
    Group(Group),
    /// Manage the installations of this account: list them, link new ones, revoke lost ones
    #[command(subcommand)]
    Installations(Installations),
    /// Send a message to a group
    Send(Send),
    /// Show events as they happen
    Listen(Listen),
    /// Show the messages of a group
    History(History),
    /// Chat in a group, line by line
    Chat(Chat),
    /// Run a Waku node: a relay, and a Store if asked for
    Node(Box<NodeArgs>),
    /// Serve another program: JSON lines on standard input and output
    #[command(long_about = crate::command::rpc::help())]
    Rpc(Rpc),
    /// Watch the program work: three members, a relay, and an outsider who listens in
    Demo(Demo),
    /// Run the relay of a demo on libwaku, until standard input ends
    #[command(hide = true)]
    DemoRelay(DemoRelay),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
