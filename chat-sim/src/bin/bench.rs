//! What a message costs a machine: sending it, the result of its publishing, and receiving it, one
//! by one and in batches; beside what openmls alone takes in memory for the same text, in the same
//! group and the same run.
//!
//! `cargo run --release -p chat-sim --bin bench -- [--dir DIRECTORY] [members …]`
//!
//! A plain program, so that nothing more has to be built for it. The figures are medians, in
//! microseconds for each message; those in brackets say how many times the work of openmls that is.
//! Ratios of one run can be compared between computers; microseconds cannot. `disk` is a database as
//! clients have it: an encrypted file, each transaction of which is on disk before the next step.
//! `memory` leaves encryption of the file and disk out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chat_core::database::{Database, DatabaseKey};
use chat_core::group::mls::{Mls, read_message};
use chat_core::ids::GroupId;
use chat_core::machine::{Command, CommandId, Inbound, Input, Machine, OutboxId, Output};
use chat_core::params::NetworkParams;
use chat_core::random::Entropy;
use chat_core::time::Timestamp;
use chat_sim::world::{ByHand, World};
use clap::Parser;

/// Characters of each text.
const CHARACTERS: usize = 100;
/// Single steps, and batches of each size, that are measured.
const ROUNDS: usize = 40;
/// Envelopes that are taken in one step; 64 is the most that a client hands over at once.
const BATCHES: [usize; 3] = [1, 16, 64];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures what a message costs a machine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Sizes of the groups.
    #[arg(default_values_t = [3, 10, 100])]
    members: Vec<usize>,
    /// Where the databases are made, in a directory of their own; by default where the system has
    /// its temporary files. It should be a disk, not memory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Times for one message each.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// Measures something that deals with so many messages.
    fn measure<T>(&mut self, messages: usize, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.0.push(began.elapsed() / u32::try_from(messages).unwrap_or(u32::MAX));
        result
    }

    /// The median, in microseconds.
    fn median(mut self) -> f64 {
        self.0.sort_unstable();
        self.0.get(self.0.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

/// A member who writes and a member who reads, and no network between them.
struct Pair {
    writer: Machine,
    reader: Machine,
    group: GroupId,
    now: Timestamp,
    commands: u64,
}

/// Medians in microseconds.
struct Costs {
    encrypt: f64,
    decrypt: f64,
    send: f64,
    result: f64,
    receive: [f64; BATCHES.len()],
}

/// A machine with a connection, which finds that no Store can be reached and so may send.
fn connected(world: &mut World, device: usize) -> ByHand {
    let mut it = ByHand::from_world(world, device);
    it.connect(true);
    while let Some(query) = it.asked() {
        it.fail_query(query.id, "no Store", true);
    }
    for (outbox, _) in std::mem::take(&mut it.told.published) {
        it.published(outbox, None);
    }
    it
}

impl Pair {
    /// Two members of a group of a size, with their databases in files below a directory, or in
    /// memory.
    fn new(members: usize, dir: Option<&Path>) -> Result<Self, Failure> {
        if members < 2 {
            return Err("a group has two members or more".into());
        }
        // Slots so long that nothing happens only because one is over.
        let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
        let mut world = World::new(params, members as u64);
        for device in 0..2u8 {
            let database = match dir {
                Some(dir) => {
                    let path = dir.join(format!("{members}-{device}.db"));
                    Database::open(&path, &DatabaseKey::raw([7; 32]), [device; 16])?
                }
                None => Database::in_memory()?,
            };
            world.add_device_on(database);
        }
        world.befriend(0, 1);
        let mut accounts = vec![world.account(1)];
        for _ in 2..members {
            let device = world.add_device();
            world.befriend(0, device);
            accounts.push(world.account(device));
            // Their leaves are all that matters of them.
            world.set_online(device, false);
        }
        let group = world.by(0).create_group("hikers", accounts)?;
        world.run_for(Duration::from_secs(60));
        let view = world.machine(1).group(&group)?.ok_or("the reader is not in the group")?;
        if view.accounts != members {
            return Err(format!("the group has {} members", view.accounts).into());
        }
        let (writer, reader) = (connected(&mut world, 0), connected(&mut world, 1));
        let now = writer.now.max(reader.now);
        Ok(Self { writer: writer.machine, reader: reader.machine, group, now, commands: 0 })
    }

    /// Randomness for a step, the same in each run.
    fn entropy(&self) -> Entropy {
        Entropy::new([self.commands as u8; 32])
    }

    /// The next moment.
    fn moment(&mut self) -> Timestamp {
        self.now = self.now + Duration::from_millis(1);
        self.now
    }

    /// Writes a text. What is to be published.
    fn send(&mut self, times: &mut Times) -> Result<(OutboxId, Inbound), Failure> {
        let now = self.moment();
        self.commands += 1;
        let command = Command::Send { group: self.group, text: "x".repeat(CHARACTERS) };
        let input = Input::Command(CommandId(self.commands), command);
        let entropy = self.entropy();
        let outputs = times.measure(1, || self.writer.step(now, entropy, input))?;
        let published = outputs.into_iter().find_map(|output| match output {
            Output::Publish { outbox, topic, payload, timestamp } => {
                let timestamp_ns = i64::try_from(timestamp.0).ok()? * 1_000_000;
                Some((outbox, Inbound { topic, payload, timestamp_ns }))
            }
            _ => None,
        });
        published.ok_or_else(|| "a text is not published".into())
    }

    fn published(&mut self, outbox: OutboxId, times: &mut Times) -> Result<(), Failure> {
        let now = self.moment();
        let input = Input::Published { outbox, failure: None };
        let entropy = self.entropy();
        times.measure(1, || self.writer.step(now, entropy, input))?;
        Ok(())
    }

    fn receive(&mut self, batch: Vec<Inbound>, times: &mut Times) -> Result<(), Failure> {
        let now = self.moment();
        let inputs: Vec<Input> = batch.into_iter().map(Input::Envelope).collect();
        let entropy = self.entropy();
        times.measure(inputs.len(), || self.reader.step_all(now, entropy, inputs))?;
        Ok(())
    }

    /// What openmls takes for the same text: on copies, in memory.
    fn openmls(&self) -> Result<(f64, f64), Failure> {
        let key = self.writer.insider_key();
        let mut writer: Mls = self.writer.insider_mls(&self.group)?;
        let mut reader: Mls = self.reader.insider_mls(&self.group)?;
        let text = "x".repeat(CHARACTERS);
        let (mut encrypt, mut decrypt) = (Times::default(), Times::default());
        for _ in 0..ROUNDS {
            let bytes = encrypt.measure(1, || writer.encrypt(&key, text.as_bytes()))?;
            let opened = decrypt.measure(1, || {
                read_message(&bytes, &self.group).and_then(|message| reader.decrypt(message))
            })?;
            if *opened.plaintext != *text.as_bytes() {
                return Err("openmls opens something else".into());
            }
        }
        Ok((encrypt.median(), decrypt.median()))
    }

    fn costs(mut self) -> Result<Costs, Failure> {
        let (encrypt, decrypt) = self.openmls()?;
        let (mut send, mut result) = (Times::default(), Times::default());
        let mut receive = BATCHES.map(|_| Times::default());
        let mut said = 0;
        for (batch, times) in BATCHES.into_iter().zip(&mut receive) {
            for _ in 0..ROUNDS {
                let mut messages = Vec::with_capacity(batch);
                for _ in 0..batch {
                    let (outbox, message) = self.send(&mut send)?;
                    self.published(outbox, &mut result)?;
                    messages.push(message);
                }
                said += batch;
                self.receive(messages, times)?;
            }
        }
        let received = self.reader.history(&self.group, None, u32::MAX)?.len();
        if received != said {
            return Err(format!("{received} of {said} messages are in the history").into());
        }
        let receive = receive.map(Times::median);
        Ok(Costs { encrypt, decrypt, send: send.median(), result: result.median(), receive })
    }
}

/// What it takes to bring a page of a file to the disk, in microseconds: most of what a transaction
/// costs there.
fn fsync(dir: &Path) -> Result<f64, Failure> {
    let mut file = std::fs::File::create(dir.join("fsync"))?;
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        times.measure(1, || file.write_all(&[7; 4096]).and_then(|()| file.sync_data()))?;
    }
    Ok(times.median())
}

fn heading() -> String {
    let mut line = format!(
        "{:>7} | {:<6} | {:>8} | {:>8} | {:>16} | {:>8}",
        "members", "", "encrypt", "decrypt", "send", "result"
    );
    for batch in BATCHES {
        line += &format!(" | {:>16}", format!("receive by {batch}"));
    }
    line
}

fn line(members: usize, place: &str, costs: &Costs) -> String {
    let beside = |cost: f64, openmls: f64| format!("{cost:.0} ({:.1})", cost / openmls);
    let mut line = format!(
        "{members:>7} | {place:<6} | {:>8.0} | {:>8.0} | {:>16} | {:>8.0}",
        costs.encrypt,
        costs.decrypt,
        beside(costs.send, costs.encrypt),
        costs.result
    );
    for cost in costs.receive {
        line += &format!(" | {:>16}", beside(cost, costs.decrypt));
    }
    line
}

fn run(sizes: &[usize], dir: &Path) -> Result<(), Failure> {
    println!("texts of {CHARACTERS} characters; medians in µs for each message");
    println!("(in brackets: times the work of openmls alone, in memory); an fsync of a page takes");
    println!("{:.0} µs in {}\n\n{}", fsync(dir)?, dir.display(), heading());
    for members in sizes {
        for (place, dir) in [("disk", Some(dir)), ("memory", None)] {
            let pair = Pair::new(*members, dir)?;
            // In a thread of its own, where nobody watches which keys are used.
            let costs = std::thread::spawn(move || pair.costs());
            let costs = costs.join().map_err(|_| "the benchmark panicked")??;
            println!("{}", line(*members, place, &costs));
        }
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let parent = args.dir.unwrap_or_else(std::env::temp_dir);
    let dir = parent.join(format!("waku-chat-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let done = run(&args.members, &dir);
    std::fs::remove_dir_all(&dir)?;
    done
}
