//! An outsider who listens to the relay: it sees topics, payloads, sizes and times, and looks for
//! anything that tells one message from another, or ties it to an account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chat_core::params::{DOORBELL_SIZE, ENVELOPE_MAX, ENVELOPE_MIN, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::roots::inbox_roots;
use chat_core::wire::topic::lanes;
use data_encoding::{BASE32_NOPAD, HEXLOWER};

use crate::world::{Observed, StoreQuery, World};

/// Bytes that two payloads never have in common by chance: in a run of a megabyte the odds are one
/// in some 10^8.
const RUN: usize = 8;
/// Secrets that are shorter would be found by chance.
const SHORTEST: usize = 5;

/// The outside observer, with what must not show.
#[derive(Debug, Default)]
pub struct Observer {
    secrets: BTreeMap<Vec<u8>, &'static str>,
}

/// Whether a message rings at the inbox that all accounts of a network share: the one kind that an
/// outsider can name.
pub fn is_doorbell(message: &Observed, params: &NetworkParams) -> bool {
    let network = params.id();
    let slot = slot_of(message, params);
    lanes(&inbox_roots(&network, slot).topic, &network)
        .iter()
        .any(|topic| topic.to_string() == message.topic)
}

fn slot_of(message: &Observed, params: &NetworkParams) -> Slot {
    let ms = u64::try_from(message.timestamp_ns).unwrap_or(0) / 1_000_000;
    Slot::at(Timestamp(ms), params.slot_secs)
}

impl Observer {
    /// Adds something that must not show.
    pub fn add_secret(&mut self, what: &'static str, secret: &[u8]) {
        if secret.len() >= SHORTEST {
            self.secrets.insert(secret.to_vec(), what);
        }
    }

    /// Adds all that the machines know now. To be called often: they forget.
    pub fn add_secrets_of(&mut self, world: &World) {
        for machine in world.devices.iter().filter_map(|device| device.machine.as_ref()) {
            for (what, secrets) in machine.fingerprints() {
                for secret in secrets {
                    self.add_secret(what, &secret);
                }
            }
        }
    }

    /// The kinds of secrets that are looked for.
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.secrets.values().copied().collect()
    }

    /// Everything that should not be there.
    pub fn findings(&self, observed: &[Observed], params: &NetworkParams) -> Vec<String> {
        let mut findings = Vec::new();
        let mut payloads: BTreeSet<&[u8]> = BTreeSet::new();
        let mut topics: BTreeMap<&str, Slot> = BTreeMap::new();
        for (at, message) in observed.iter().enumerate() {
            payloads.insert(&message.payload);
            findings.extend(form(message, params).map(|what| format!("message {at}: {what}")));
            let slot = slot_of(message, params);
            if *topics.entry(&message.topic).or_insert(slot) != slot {
                findings.push(format!("message {at}: its topic was used in another slot"));
            }
        }
        let mut runs: HashMap<[u8; RUN], usize> = HashMap::new();
        for (at, payload) in payloads.iter().enumerate() {
            for window in payload.windows(RUN) {
                let mut run = [0; RUN];
                run.copy_from_slice(window);
                if *runs.entry(run).or_insert(at) != at {
                    findings.push(format!("two payloads have {run:?} in common"));
                }
            }
        }
        for (secret, what) in &self.secrets {
            // Already a part of an id ties messages together.
            let shown = match secret.len() >= RUN {
                true => secret.windows(RUN).any(|part| runs.contains_key(part)),
                false => payloads
                    .iter()
                    .any(|payload| payload.windows(secret.len()).any(|part| part == secret)),
            };
            let text = String::from_utf8_lossy(secret);
            let spelled = [HEXLOWER.encode(secret), BASE32_NOPAD.encode(secret).to_lowercase()];
            let named = topics.keys().any(|topic| {
                topic.contains(&*text) || spelled.iter().any(|s| topic.contains(s.as_str()))
            });
            if shown || named {
                findings.push(format!("a secret shows: {what}"));
            }
        }
        findings
    }
}

/// What is wrong with the outside of one message.
fn form(message: &Observed, params: &NetworkParams) -> Option<&'static str> {
    let size = message.payload.len();
    if message.timestamp_ns <= 0 || message.timestamp_ns % 1_000_000_000 != 0 {
        return Some("its timestamp is not whole seconds");
    }
    if !(ENVELOPE_MIN..=ENVELOPE_MAX).contains(&size) || !size.is_power_of_two() {
        return Some("its size is of no class");
    }
    if is_doorbell(message, params) && size != DOORBELL_SIZE {
        return Some("a doorbell of another size");
    }
    let parts: Vec<&str> = message.topic.split('/').collect();
    let ["", "waku-chat", "1", name, "proto"] = parts[..] else {
        return Some("its topic is not like others");
    };
    let plain = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
    (name.len() != 26 || !name.chars().all(plain)).then_some("its topic is not like others")
}

/// The queries that a Store can put down to one of these moments: they begin less than `within` after
/// it. A Store that relays sees the moments too.
pub fn reflexes(queries: &[StoreQuery], causes: &[Timestamp], within: Duration) -> Vec<StoreQuery> {
    let follows = |query: &&StoreQuery| {
        let after = |cause: &Timestamp| query.at >= *cause && query.at.since(*cause) < within;
        !query.goes_on && causes.iter().any(after)
    };
    queries.iter().filter(follows).cloned().collect()
}

/// How many pairs of messages on different topics were seen less than `apart` from each other: whoever
/// does something in several groups at one instant makes many.
pub fn together(observed: &[&Observed], apart: Duration) -> usize {
    let pairs = observed
        .iter()
        .enumerate()
        .flat_map(|(at, one)| observed[at + 1..].iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one.topic != other.topic)
        .filter(|(one, other)| one.seen_at.distance(other.seen_at) < apart)
        .count()
}
