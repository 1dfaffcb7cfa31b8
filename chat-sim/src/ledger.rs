//! What was said in a run, by whom and to whom, kept outside of the machines; and whether all of it
//! arrived where it belongs, once, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::ids::{EpochId, GroupId, InstallationId, MessageId};
use chat_core::machine::{CommandError, Event, GroupView, Membership, MessageView};

use crate::world::{Unanswered, World};

/// A text that a user gave to a machine.
#[derive(Debug, Clone)]
struct Said {
    by: usize,
    group: GroupId,
    /// What the user was answered; none: the process died before.
    acknowledged: Option<MessageId>,
}

/// Everything that was said; each text is there once.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<String, Said>);

/// The members of the epoch of a group that a device follows.
fn members(world: &World, device: usize, group: &GroupId) -> BTreeSet<InstallationId> {
    let members = world.machine(device).members(group).ok().flatten().unwrap_or_default();
    members.into_iter().flat_map(|member| member.installations).collect()
}

#[allow(clippy::expect_used)]
fn history(world: &World, device: usize, group: &GroupId) -> Vec<MessageView> {
    world.machine(device).history(group, None, u32::MAX).expect("history can be read")
}

impl Ledger {
    /// How many texts were said.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a text that is in the ledger only once, and lets no time pass. The refusal, if any.
    pub fn say(&mut self, world: &mut World, by: usize, group: GroupId) -> Option<CommandError> {
        let text = format!("text {} of device {by}", self.0.len());
        let acknowledged = match world.by(by).at_once().send(group, &text) {
            Ok(message) => Some(message),
            Err(Unanswered::Refused(why)) => return Some(why),
            Err(Unanswered::Died) => None,
        };
        self.0.insert(text, Said { by, group, acknowledged });
        None
    }

    /// Everything that is not as it should be, once all devices are up and have caught up.
    pub fn faults(&self, world: &World) -> Vec<String> {
        let mut faults = Vec::new();
        let groups: BTreeSet<GroupId> = self.0.values().map(|said| said.group).collect();
        for group in groups {
            for device in 0..world.devices.len() {
                self.faults_of(world, &group, device, &mut faults);
            }
        }
        for device in 0..world.devices.len() {
            faults.extend(told(world, device));
        }
        faults
    }

    fn faults_of(&self, world: &World, group: &GroupId, at: usize, faults: &mut Vec<String>) {
        #[allow(clippy::expect_used)]
        let own = world.machine(at).identity().expect("the identity can be read").installation;
        let mut here: BTreeMap<String, Vec<MessageId>> = BTreeMap::new();
        for message in history(world, at, group) {
            here.entry(message.text.unwrap_or_default()).or_default().push(message.message);
        }
        for (text, copies) in &here {
            if copies.len() > 1 {
                faults.push(format!("device {at} has {text:?} {} times", copies.len()));
            }
            if !self.0.contains_key(text) {
                faults.push(format!("device {at} has {text:?}, which nobody said"));
            }
        }
        for (text, said) in self.0.iter().filter(|(_, said)| said.group == *group) {
            let has = here.contains_key(text);
            let written = history(world, said.by, group);
            let written = written.iter().find(|message| message.text.as_ref() == Some(text));
            // A text is encrypted when it goes out, for the members of the epoch of that moment.
            let sent_in = written.and_then(|message| message.epoch_id);
            if said.by == at && said.acknowledged.is_some() {
                match written {
                    None => faults.push(format!("device {at} has lost {text:?}")),
                    Some(message) if sent_in.is_none() && !message.failed => {
                        faults.push(format!("{text:?} never went out"));
                    }
                    Some(_) => {}
                }
            }
            let readers = sent_in.and_then(|epoch| world.epochs.get(&epoch));
            // Its author has it in any case.
            let entitled = match said.by == at {
                true => written.is_some(),
                false => readers.is_some_and(|readers| readers.contains(&own)),
            };
            if has && !entitled {
                faults.push(format!("device {at} has {text:?} and was not in its epoch"));
            }
            if !has && entitled {
                faults.push(format!("device {at} misses {text:?}"));
            }
            if let (Some(hash), Some(copies)) = (said.acknowledged, here.get(text))
                && !copies.contains(&hash)
            {
                faults.push(format!("device {at} has another {text:?} than was sent"));
            }
        }
        // An installation that left while branches met may count as missing what was sent on a branch
        // on which it was out already: docs/THREAT-MODEL.md names it.
        let view = world.machine(at).group(group).ok().flatten();
        let member = view.is_some_and(|view| view.membership == Membership::Active);
        for (seq, missing) in world.machine(at).missing(group).into_iter().flatten().enumerate() {
            if seq == 0 && member {
                faults.push(format!("device {at} counts {missing:?} as missing"));
            }
        }
    }
}

/// Events that are not there though later ones are, and messages that were not told once.
fn told(world: &World, at: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let events = &world.devices[at].events;
    if !events.keys().copied().eq(1..=events.len() as u64) {
        faults.push(format!("device {at} was not told some of its events"));
    }
    let own = world.machine(at).identity().map(|own| own.installation).ok();
    let mut told: BTreeMap<MessageId, usize> = BTreeMap::new();
    for event in events.values() {
        if let Event::MessageReceived { message } = event {
            *told.entry(message.message).or_default() += 1;
        }
    }
    for group in world.machine(at).groups().into_iter().flatten() {
        for message in history(world, at, &group.id) {
            let times = told.get(&message.message).copied().unwrap_or(0);
            // What another device of the account sent is news here.
            if times != usize::from(Some(message.installation) != own) {
                faults.push(format!("device {at} was told {times} times of {:?}", message.text));
            }
        }
    }
    faults
}

/// Where the members of a group do not agree on its epoch, its name or who is in it; or where others
/// are members than `expected`.
pub fn disagreements(world: &World, group: &GroupId, expected: Option<&[usize]>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut states: BTreeMap<(EpochId, String, String), Vec<usize>> = BTreeMap::new();
    let mut active = Vec::new();
    let mut installations = BTreeSet::new();
    for at in 0..world.devices.len() {
        let view = world.machine(at).group(group).ok().flatten();
        let member = |view: &GroupView| view.membership == Membership::Active;
        if let Some(view) = view.filter(member) {
            states.entry((view.epoch_id, view.name, view.description)).or_default().push(at);
            active.push(at);
            installations.extend(world.machine(at).identity().map(|own| own.installation));
        }
    }
    if states.len() > 1 {
        faults.push(format!("the members do not agree: {states:?}"));
    }
    if let Some(one) = active.first() {
        let members = members(world, *one, group);
        if members != installations {
            faults.push(format!("members are {members:?}, and think so: {active:?}"));
        }
    }
    if expected.is_some_and(|expected| expected != active) {
        faults.push(format!("members are {active:?}, and should be {expected:?}"));
    }
    faults
}
