//! What the unit tests of the machine's parts share: a context without a machine, and an account.

use super::account::me::{Identity, Me};
use super::api::done::{Done, Fail};
use super::api::error::CommandError;
use super::api::event::Event;
use super::api::io::Output;
use super::cx::Cx;
use super::effect::Effect;
use crate::database::Database;
use crate::identity::account::AccountKey;
use crate::identity::installation::InstallationKey;
use crate::identity::log::Log;
use crate::identity::phrase::RecoveryPhrase;
use crate::params::NetworkParams;
use crate::random::SharedRng;
use crate::time::Timestamp;

/// When tests begin: at the start of a slot.
pub(in crate::machine) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A context on a database in memory. The same seed gives the same randomness.
pub(in crate::machine) fn context(seed: u8) -> Cx {
    let db = Database::in_memory().unwrap();
    Cx::new(db, NetworkParams::fast(), SharedRng::new([seed; 32]), NOW)
}

/// Makes an account in a context's database, and its first installation.
pub(in crate::machine) fn found_account(cx: &Cx) -> (Me, AccountKey) {
    let phrase = RecoveryPhrase::generate(&mut *cx.rng.lock());
    let account = phrase.account_key();
    let key = InstallationKey::generate(&mut *cx.rng.lock());
    let mut log = Log::new(account.id(), cx.network);
    let entry = log.create(&account, &key, cx.now).unwrap();
    log.insert(entry).unwrap();
    let identity = Identity::new(&key, &phrase.card_secret(), &log, cx.now);
    identity.found(&cx.db, &cx.network).unwrap();
    (Me::load(&cx.db, &cx.network).unwrap(), account)
}

/// The events that wait to be told, taken out.
pub(in crate::machine) fn events(cx: &mut Cx) -> Vec<Event> {
    let event = |output| match output {
        Output::Event { event, .. } => Some(event),
        _ => None,
    };
    std::mem::take(&mut cx.out).into_iter().filter_map(event).collect()
}

/// What was asked of other parts, taken out.
pub(in crate::machine) fn effects(cx: &mut Cx) -> Vec<Effect> {
    std::iter::from_fn(|| cx.next_effect()).collect()
}

/// What was done.
#[track_caller]
pub(in crate::machine) fn done<T>(result: Done<T>) -> T {
    match result {
        Ok(value) => value,
        Err(Fail::Refused(error)) => panic!("refused: {error}"),
        Err(Fail::Step(error)) => panic!("failed: {error}"),
    }
}

/// Why something was refused.
#[track_caller]
pub(in crate::machine) fn refusal<T>(result: Done<T>) -> CommandError {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(Fail::Refused(error)) => error,
        Err(Fail::Step(error)) => panic!("failed: {error}"),
    }
}
