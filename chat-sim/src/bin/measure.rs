//! What a group costs: Waku messages and bytes of its life as a relay sees them, and what a message
//! costs a database. A table for people on stderr, JSON on stdout.
//!
//! `cargo run --release -p chat-sim --bin measure [members …]`
//!
//! With `devices [installations groups]` instead: what it costs to link one more installation to an
//! account of ten in a hundred groups, and to revoke one, in virtual time on the public network.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::params::NetworkParams;
use chat_sim::fleet::{Cost, Fleet};
use chat_sim::observer::is_doorbell;
use chat_sim::world::World;

/// Sizes of the groups that are measured, if none are asked for.
const SIZES: [usize; 3] = [2, 10, 100];
/// Messages that are sent, by up to ten members in turn.
const MESSAGES: usize = 20;
/// Characters of each.
const CHARACTERS: usize = 100;

type Failure = Box<dyn std::error::Error>;

/// What one part of a group's life took at the relay.
struct Part {
    name: &'static str,
    doorbells: usize,
    others: usize,
    bytes: usize,
}

/// What one message costs databases.
struct Database {
    writes_sent: u64,
    writes_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

struct Life {
    members: usize,
    parts: Vec<Part>,
    database: Database,
}

fn part(name: &'static str, world: &mut World, from: usize) -> Part {
    // Some slots: everything that follows has happened.
    world.run_for(Duration::from_secs(15));
    let observed = world.no_cards_since(from);
    let doorbells = observed.iter().filter(|m| is_doorbell(m, &world.params)).count();
    Part {
        name,
        doorbells,
        others: observed.len() - doorbells,
        bytes: observed.iter().map(|message| message.payload.len()).sum(),
    }
}

/// How many writes a step takes, the commit not counted: with so many allowed it succeeds. Steps
/// that fail change nothing.
fn writes_of(world: &mut World, device: usize, step: impl Fn(&mut World)) -> Result<u64, Failure> {
    for writes in 0..10_000 {
        let failed = world.devices[device].failures.len();
        world.machine(device).database().inject_fault_after(Some(writes));
        step(world);
        world.machine(device).database().inject_fault_after(None);
        if world.devices[device].failures.len() == failed {
            return Ok(writes.saturating_sub(1));
        }
        world.devices[device].failures.clear();
    }
    Err("a step does not end".into())
}

fn database(world: &mut World, group: GroupId) -> Result<Database, Failure> {
    let journal = |world: &World, device| {
        world.journal_bytes(device).ok_or("the databases of these two are files")
    };
    let text = "x".repeat(CHARACTERS);
    let rounds = 5;
    // Opened anew, so that the journals begin with these messages.
    for device in [0, 1] {
        world.kill(device);
        world.start(device);
    }
    world.run_for(Duration::from_secs(15));
    let mut sent = 0;
    let mut received = 0;
    for _ in 0..rounds {
        let (mine, theirs) = (journal(world, 0)?, journal(world, 1)?);
        world.by(0).at_once().send(group, &text)?;
        sent += journal(world, 0)? - mine;
        world.run_for(Duration::from_millis(100));
        received += journal(world, 1)? - theirs;
    }
    // A command whose step fails is not answered; the failure is noted.
    let writes_sent = writes_of(world, 0, |world| drop(world.by(0).at_once().send(group, &text)))?;
    let message = world.network.observed.last().ok_or("something was sent")?.clone();
    let writes_received = writes_of(world, 1, |world| world.hand_over(1, &message))?;
    world.run_for(Duration::from_secs(15));
    Ok(Database {
        writes_sent,
        writes_received,
        bytes_sent: sent / rounds,
        bytes_received: received / rounds,
    })
}

fn live(members: usize, dir: &Path) -> Result<Life, Failure> {
    let mut world = World::new(NetworkParams::fast(), members as u64);
    for device in 0..members {
        match device {
            0 | 1 => world.add_device_in(&dir.join(format!("{members}-{device}"))),
            _ => world.add_device(),
        };
    }
    for device in 1..members {
        world.befriend(0, device);
    }
    let accounts: Vec<_> = (1..members).map(|device| world.account(device)).collect();
    let last = accounts.last().copied().ok_or("a group has two members or more")?;
    let mut parts = Vec::new();

    let group = world.by(0).create_group("hikers", accounts)?;
    parts.push(part("create", &mut world, 0));

    let from = world.network.observed.len();
    for message in 0..MESSAGES {
        let text = "x".repeat(CHARACTERS);
        world.by(message % members.min(10)).send(group, &text)?;
        world.run_for(Duration::from_secs(1));
    }
    parts.push(part("messages", &mut world, from));

    let from = world.network.observed.len();
    world.by(0).rename(group, "walkers")?;
    parts.push(part("rename", &mut world, from));

    let database = database(&mut world, group)?;

    let from = world.network.observed.len();
    world.by(0).remove_members(group, vec![last])?;
    parts.push(part("remove", &mut world, from));
    Ok(Life { members, parts, database })
}

fn json(lives: &[Life]) -> Result<String, Failure> {
    let mut out = String::from("[");
    for (at, life) in lives.iter().enumerate() {
        write!(out, "{}\n  {{\"members\": {}", if at > 0 { "," } else { "" }, life.members)?;
        for part in &life.parts {
            write!(
                out,
                ",\n   \"{}\": {{\"waku_messages\": {}, \"doorbells\": {}, \"bytes\": {}}}",
                part.name, part.others, part.doorbells, part.bytes
            )?;
        }
        let it = &life.database;
        write!(
            out,
            ",\n   \"database\": {{\"writes_sent\": {}, \"writes_received\": {}, \"bytes_sent\": {}, \"bytes_received\": {}}}}}",
            it.writes_sent, it.writes_received, it.bytes_sent, it.bytes_received
        )?;
    }
    out.push_str("\n]");
    Ok(out)
}

fn table(lives: &[Life]) -> Result<String, Failure> {
    let mut out = format!(
        "{MESSAGES} messages of {CHARACTERS} characters; Waku messages, with doorbells apart; bytes of payload\n\n"
    );
    write!(out, "{:>8}", "members")?;
    for name in ["create", "messages", "rename", "remove"] {
        write!(out, " | {name:>22}")?;
    }
    writeln!(out, " | database, per message sent / received")?;
    for life in lives {
        write!(out, "{:>8}", life.members)?;
        for part in &life.parts {
            let messages = match part.doorbells {
                0 => part.others.to_string(),
                bells => format!("{} + {bells}", part.others),
            };
            write!(out, " | {messages:>9} {:>10} B", part.bytes)?;
        }
        let it = &life.database;
        writeln!(
            out,
            " | {} / {} writes, {} / {} B of journal",
            it.writes_sent, it.writes_received, it.bytes_sent, it.bytes_received
        )?;
    }
    Ok(out)
}

/// A line of the table of devices.
fn line(said: usize, name: &str, cost: &Cost) -> String {
    let sizes: Vec<String> =
        cost.sizes.iter().map(|(size, count)| format!("{count} × {size}")).collect();
    format!(
        "{said:>5} | {name:<10} | {:>8} | {:>9} | {:>7} s | {:>7} | {:>8} | {}",
        cost.messages(),
        cost.bytes(),
        cost.took.as_secs(),
        cost.densest(cost.took),
        cost.together,
        sizes.join(", ")
    )
}

fn devices(installations: usize, groups: usize) -> Result<(), Failure> {
    println!("{installations} installations, {groups} groups with three other accounts each");
    println!(
        "{:>5} | {:<10} | {:>8} | {:>9} | {:>9} | {:>7} | {:>8} | sizes in bytes",
        "said", "", "messages", "bytes", "time", "densest", "together"
    );
    for said in [0, 200] {
        let mut fleet = Fleet::new(installations, groups, said)?;
        let (linking, enrolment) = fleet.link()?;
        println!("{}", line(said, "linking", &linking));
        println!("{}", line(said, "enrolment", &enrolment));
        println!("{}", line(said, "revocation", &fleet.revoke()?));
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["devices"] => return devices(10, 100),
        ["devices", installations, groups] => {
            return devices(installations.parse()?, groups.parse()?);
        }
        _ => {}
    }
    let asked: Vec<usize> =
        std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let dir = std::env::temp_dir().join(format!("waku-chat-measure-{}", std::process::id()));
    let lives: Result<Vec<Life>, Failure> = sizes.iter().map(|size| live(*size, &dir)).collect();
    std::fs::remove_dir_all(&dir)?;
    let lives = lives?;
    eprint!("{}", table(&lives)?);
    println!("{}", json(&lives)?);
    Ok(())
}
