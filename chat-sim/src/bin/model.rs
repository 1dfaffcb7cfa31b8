//! The fork choice on all small trees: `cargo run --release -p chat-sim --bin model -- --commits 3`.

use std::process::ExitCode;

use chat_sim::model::{Property, Scope, search};
use clap::Parser;

/// Tries what the fork choice promises on all trees of a few commits, by three accounts with two
/// installations each.
///
/// Prints for each promise how often it was tried and broken, with the shortest example. Exits with 1
/// where one was broken.
#[derive(Debug, Parser)]
#[command(name = "model")]
struct Args {
    /// The most commits of a tree. With 2 it takes seconds, with 3 a quarter of an hour or more.
    #[arg(long, default_value_t = 2)]
    commits: usize,
    /// The most further commits by those who might gain by them.
    #[arg(long, default_value_t = 2)]
    more: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let findings = search(&Scope { commits: args.commits, more: args.more });
    let mut all_hold = true;
    for property in Property::ALL {
        let found = findings.of(property);
        println!(
            "{:<10} {:>8} of {:>8} broken",
            format!("{property:?}"),
            found.broken,
            found.tried
        );
        if let Some(example) = found.example {
            println!("           {example}");
            all_hold = false;
        }
    }
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
