//! Somebody takes a copy of a machine's memory between two steps: it tells nothing that the generator
//! drew before, and nothing that it draws after.

use rand_core::Rng as _;

use crate::database::Database;
use crate::identity::phrase::RecoveryPhrase;
use crate::ids::GroupId;
use crate::machine::{Answer, Command, CommandId, Input, Machine, Output};
use crate::params::NetworkParams;
use crate::random::{Entropy, SharedRng};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// How much of a generator's output is searched: a step draws a few kilobytes.
const SEARCHED: usize = 256 * 1024;

fn machine() -> Machine {
    let db = Database::in_memory().unwrap();
    let phrase = RecoveryPhrase::generate(&mut *SharedRng::new([1; 32]).lock());
    Machine::create(db, NetworkParams::fast(), [2; 32], NOW, &phrase).unwrap()
}

/// Makes a group: its id is what the generator drew in that step.
fn draw(machine: &mut Machine, second: u64, entropy: [u8; 32]) -> GroupId {
    let (name, description) = ("hikers".to_owned(), String::new());
    let command = Command::CreateGroup { name, description, members: Vec::new() };
    let now = Timestamp(NOW.0 + 1000 * second);
    let input = Input::Command(CommandId(second), command);
    let outputs = machine.step(now, Entropy::new(entropy), input).unwrap();
    let answer = outputs.into_iter().find_map(|output| match output {
        Output::Answer(_, answer) => Some(answer.unwrap()),
        _ => None,
    });
    match answer {
        Some(Answer::Group(view)) => view.id,
        other => panic!("{other:?}"),
    }
}

/// The key that is in memory now.
fn copy(machine: &Machine) -> [u8; 32] {
    copied(&machine.cx.rng)
}

fn copied(rng: &SharedRng) -> [u8; 32] {
    rng.lock().get_seed()
}

/// Whether a generator with a key gives this at any time.
fn gives(key: [u8; 32], drawn: &GroupId) -> bool {
    let mut stream = vec![0; SEARCHED];
    SharedRng::new(key).lock().fill_bytes(&mut stream);
    stream.windows(drawn.0.len()).any(|part| part == drawn.0)
}

/// The keys that follow from a copied one, as far as whoever has it knows what is mixed in.
fn followed(key: [u8; 32], entropy: &[u8]) -> [u8; 32] {
    let rng = SharedRng::new(key);
    match entropy.try_into() {
        Ok(known) => rng.refresh(&Entropy::new(known)),
        Err(_) => rng.forget(),
    }
    copied(&rng)
}

#[test]
fn a_copy_tells_nothing_of_later_draws() {
    let mut machine = machine();
    let taken = copy(&machine);
    let secret = [7; 32];
    let later = draw(&mut machine, 1, secret);
    assert!(!gives(taken, &later), "the copied key itself");
    assert!(!gives(followed(taken, &[]), &later), "the key that follows from it alone");
    assert!(!gives(followed(taken, &[0; 32]), &later), "a guess at what was mixed in");
    // Who knows what the system gave would find it: so the search is a good one.
    assert!(gives(followed(taken, &secret), &later));
}

#[test]
fn a_copy_tells_nothing_of_earlier_draws() {
    let mut machine = machine();
    let entropy = [7; 32];
    let used = followed(copy(&machine), &entropy);
    let earlier = draw(&mut machine, 1, entropy);
    let taken = copy(&machine);
    assert!(gives(used, &earlier), "the key that the step began with gives it");
    assert!(!gives(taken, &earlier), "it is not in memory any more");
    assert!(!gives(taken, &draw(&mut machine, 2, [8; 32])));
}
