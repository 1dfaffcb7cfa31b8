//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use waku_node::Multiaddr;

pub(crate) use crate::command::node::Args as Node;
use crate::error::EXIT_CODES;
use crate::nodes::NodeKind;

const ABOUT: &str = "End-to-end encrypted group chat over Waku";

const LONG: &str = "\
End-to-end encrypted group chat over Waku.

Groups, contacts and requests can be named by their id, by their name where only one has it, or by \
the last characters of their id (four at least).";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "waku-chat", version, about = ABOUT, long_about = LONG, after_help = EXIT_CODES)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands take.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Directory of the account [default: waku-chat in the platform's data directory]
    #[arg(long, global = true, env = "WAKU_CHAT_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Read the passphrase from a file; otherwise from WAKU_CHAT_PASSPHRASE, otherwise it is asked for
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Write results, and errors, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Longest wait for each of: the connection, history, publishing
    #[arg(long, global = true, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The Waku node to run on: the program's own, or libwaku. `init` keeps it in config.json, other
    /// commands use it this once
    #[arg(long, global = true, value_enum, value_name = "KIND")]
    pub(crate) node: Option<NodeKind>,
    /// The libwaku to load, and so `--node libwaku`; otherwise it is looked for in LIBWAKU_PATH, in
    /// config.json, on the system's library path, and beside this program
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) libwaku: Option<PathBuf>,
    /// Use what is on this device and leave the network alone
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// No progress on standard error
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More of the log on standard error; twice for still more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new account on this device and show its recovery phrase, once
    Init {
        /// public, fast (short slots, for trying out), or a JSON file of parameters
        #[arg(long, default_value = "public", value_name = "public|fast|FILE")]
        network: String,
        /// Nodes to connect to, like /ip4/127.0.0.1/tcp/60000; kept in config.json
        #[arg(long = "peer", value_name = "MULTIADDR")]
        peers: Vec<Multiaddr>,
    },
    /// Bring an account back with its recovery phrase, when all its devices are lost
    Recover(Recover),
    /// Show the own account
    Whoami,
    /// Links to other people, and from them
    #[command(subcommand)]
    Contact(Contact),
    /// Invitations of others that wait for an answer
    #[command(subcommand)]
    Requests(Requests),
    /// Groups and who is in them
    #[command(subcommand)]
    Group(Group),
    /// The devices of the account: look at them, link new ones, revoke lost ones
    #[command(subcommand)]
    Installations(Installations),
    /// Send a message to a group
    Send {
        /// Group: id, name, or the end of the id
        group: String,
        /// The text; - reads it from standard input
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
    },
    /// Show what happens, as it happens
    Listen {
        /// Begin after this event instead of with the first that was not shown yet
        #[arg(long, value_name = "CURSOR")]
        after: Option<u64>,
        /// Keep the events, so that they are shown the next time again
        #[arg(long)]
        keep: bool,
        /// End after this many events
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Show the messages of a group
    History {
        /// Group: id, name, or the end of the id
        group: String,
        /// How many, the newest ones
        #[arg(long, short = 'n', default_value = "50", value_name = "N")]
        limit: u32,
        /// Only those before the message with this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// Note that the group was read, for the account's other devices
        #[arg(long)]
        mark_read: bool,
    },
    /// Talk in a group, line by line
    Chat {
        /// Group: id, name, or the end of the id
        group: String,
    },
    /// Run a Waku node: a relay, with a Store if asked for
    Node(Box<Node>),
    /// Serve requests of another program: JSON lines on standard input and output
    #[command(long_about = crate::command::rpc::help())]
    Rpc {
        /// Tell events after this cursor
        #[arg(long, value_name = "CURSOR", default_value = "0")]
        after: u64,
    },
    /// Show all of it at work: three members, a relay, and somebody who listens in
    Demo {
        /// Keep logs and databases in this directory
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// The relay of a demo on libwaku; it ends with its standard input
    #[command(hide = true)]
    DemoRelay {
        /// Where to keep messages
        #[arg(long, value_name = "FILE")]
        store: PathBuf,
    },
}

/// `recover`
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Read the phrase from a file, - for standard input; otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
    /// public, fast (short slots, for trying out), or a JSON file of parameters
    #[arg(long, default_value = "public", value_name = "public|fast|FILE")]
    pub(crate) network: String,
    /// Nodes to connect to, like /ip4/127.0.0.1/tcp/60000; kept in config.json
    #[arg(long = "peer", value_name = "MULTIADDR")]
    pub(crate) peers: Vec<Multiaddr>,
    /// Go on without the account's card, which no Store has: contacts need a new link then
    #[arg(long, conflicts_with_all = ["phrase_file", "network", "peers"])]
    pub(crate) give_up: bool,
}

/// `installations …`
#[derive(Debug, Subcommand)]
pub(crate) enum Installations {
    /// List them: names, who added them and when, last seen, in how many groups, revoked or not
    List,
    /// Show for each group which of them are in it, yet to come, or yet to go
    Status,
    /// On a new device, with a home of its own: show a code, and wait to be linked to an account
    Link {
        /// What the account's devices will call this one [default: the machine's name]
        #[arg(long)]
        name: Option<String>,
        /// public, fast (short slots, for trying out), or a JSON file of parameters [default: public]
        #[arg(long, value_name = "public|fast|FILE")]
        network: Option<String>,
        /// Nodes to connect to, like /ip4/127.0.0.1/tcp/60000; kept in config.json
        #[arg(long = "peer", value_name = "MULTIADDR")]
        peers: Vec<Multiaddr>,
    },
    /// On a device that has the account: link a new one, by the code that it shows
    Add {
        /// The code
        code: String,
        /// The string that the new device shows; otherwise it is asked for, or read from standard input
        #[arg(long, value_name = "DIGITS")]
        string: Option<String>,
        /// Hand over the messages of so many days
        #[arg(long, value_name = "DAYS", default_value = "30")]
        history: u32,
        /// Hand over no messages
        #[arg(long, conflicts_with = "history")]
        no_history: bool,
        /// Add it to all groups at once, so that whoever watches the network can tell that they have
        /// a member in common; otherwise over some minutes
        #[arg(long)]
        now: bool,
        /// Do not wait until it is in all groups: that goes on whenever the program runs
        #[arg(long)]
        no_wait: bool,
    },
    /// Take devices out of the account for good
    Revoke {
        /// Which: id, name, or the end of the id
        #[arg(required = true, value_name = "INSTALLATION")]
        installations: Vec<String>,
        /// Revoke by the recovery phrase in a file: any device, and senior ones too
        #[arg(long, value_name = "FILE", conflicts_with = "phrase_prompt")]
        phrase_file: Option<PathBuf>,
        /// Revoke by the recovery phrase, which is asked for at the terminal
        #[arg(long)]
        phrase_prompt: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Remove it from all groups at once; see `add --help`
        #[arg(long)]
        now: bool,
        /// Do not wait until it is out of all groups: that goes on whenever the program runs
        #[arg(long)]
        no_wait: bool,
    },
    /// Give one a name that only this account's devices see
    Name {
        /// Which: id, name, or the end of the id
        installation: String,
        /// The name
        name: String,
    },
    /// Hand messages over to one that was not there when they came
    HandOver {
        /// To which: id, name, or the end of the id
        installation: String,
        /// Those of so many days
        #[arg(long, default_value = "30")]
        days: u32,
    },
}

/// `contact …`
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// Make a link to give to somebody, who can then invite this account
    Link {
        /// Make it short: whoever takes it finds the rest on the network
        #[arg(long)]
        no_card: bool,
    },
    /// Add or refresh a contact from its link
    Add {
        /// The link; - reads it from standard input
        link: String,
        /// A name that only this account sees
        #[arg(long)]
        name: Option<String>,
    },
    /// List all contacts
    List,
    /// Forget a contact
    Remove {
        /// Contact: id, name, or the end of the id
        contact: String,
    },
}

/// `requests …`
#[derive(Debug, Subcommand)]
pub(crate) enum Requests {
    /// List invitations that wait
    List,
    /// Accept one and join its group
    Accept {
        /// Request: id, its end, the inviter's name, or the group's
        request: String,
    },
    /// Decline one; the inviter is not told
    Decline {
        /// Request: id, its end, the inviter's name, or the group's
        request: String,
    },
    /// Decline one, and ignore that account from now on
    Block {
        /// Request: id, its end, the inviter's name, or the group's
        request: String,
    },
}

/// `group …`
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Create a group and invite contacts into it
    Create {
        /// Its name
        name: String,
        /// Contacts to invite
        #[arg(value_name = "CONTACT")]
        members: Vec<String>,
        /// What it is about
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Invite contacts into a group
    Add {
        /// Group: id, name, or the end of the id
        group: String,
        /// Whom
        #[arg(required = true, value_name = "CONTACT")]
        members: Vec<String>,
    },
    /// Remove members from a group; for admins
    Remove {
        /// Group: id, name, or the end of the id
        group: String,
        /// Whom
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Leave a group
    Leave {
        /// Group: id, name, or the end of the id
        group: String,
    },
    /// Give a group another name, for everybody
    Rename {
        /// Group: id, name, or the end of the id
        group: String,
        /// The new name
        name: String,
    },
    /// Set what a group is about, for everybody
    Describe {
        /// Group: id, name, or the end of the id
        group: String,
        /// The new description
        description: String,
    },
    /// Make a member an admin; for admins
    Promote {
        /// Group: id, name, or the end of the id
        group: String,
        /// Whom
        member: String,
    },
    /// Make an admin an ordinary member again; for admins
    Demote {
        /// Group: id, name, or the end of the id
        group: String,
        /// Whom
        member: String,
    },
    /// Note that a group was read up to its newest message, for the account's other devices
    Read {
        /// Group: id, name, or the end of the id
        group: String,
    },
    /// List all groups
    List,
    /// List a group's members
    Members {
        /// Group: id, name, or the end of the id
        group: String,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("a number of seconds, at most a day's".to_owned()),
    }
}

/// A time like `12h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and a unit, like 90s, 30m, 12h or 2d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(factor) {
        Some(seconds @ 1..=3_153_600_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for bad in ["", "s", "0s", "5", "-1h", "1w", "1é", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "0", "-1", "NaN", "inf", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
