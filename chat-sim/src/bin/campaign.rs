//! Storms by the seed: `cargo run --release -p chat-sim --bin campaign -- --seeds 1000`.

use std::process::ExitCode;
use std::time::Instant;

use chat_sim::campaign::storms;
use chat_sim::weather::{Kind, Weather};
use clap::Parser;

/// Runs storms: a group of four to six installations under bad weather, one storm for each seed. After
/// each storm all must have arrived where it belongs, once.
///
/// Prints each seed that fails, with what went wrong and the command that replays it. Exits with 1
/// where one did.
#[derive(Debug, Parser)]
#[command(name = "campaign")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// The kinds of weather, separated by commas; by default all that the protocol is expected to
    /// survive.
    #[arg(long, value_delimiter = ',')]
    weather: Vec<Kind>,
    /// Shows the kinds of weather and exits.
    #[arg(long)]
    list_weather: bool,
}

fn list() {
    for kind in Kind::ALL {
        let mark =
            if kind.is_survived() { "" } else { " [not survived yet; not in the default list]" };
        println!("{:<16}{}{mark}", kind.name(), kind.sentence());
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list_weather {
        list();
        return ExitCode::SUCCESS;
    }
    let weather = match args.weather.is_empty() {
        true => Weather::default(),
        false => args.weather.into_iter().collect(),
    };
    let seeds = args.first..args.first.saturating_add(args.seeds);
    println!("seeds {} to {}, weather {weather}", seeds.start, seeds.end.saturating_sub(1));
    let began = Instant::now();
    let failures = storms(&weather, seeds, |failure| println!("{failure}"));
    let took = began.elapsed().as_secs_f64();
    println!("{} of {} seeds failed, in {took:.1} s", failures.len(), args.seeds);
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
