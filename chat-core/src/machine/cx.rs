//! What a step lends to a part: the environment, the time, the database, and where outputs go.
//!
//! A part holds its own state and gets everything else from here. What it wants of another part, it
//! asks for as an [effect](super::effect).

use std::collections::VecDeque;
use std::time::Duration;

use super::api::error::StepError;
use super::api::event::Event;
use super::api::io::Output;
use super::effect::Effect;
use crate::database::Database;
use crate::ids::GroupId;
use crate::params::{NetworkId, NetworkParams, QUIET_SHORTEST};
use crate::random::SharedRng;
use crate::time::{Slot, Timestamp};

/// The context of a step. The machine owns one and lends it to the part whose turn it is.
pub(in crate::machine) struct Cx {
    /// The parameters of the network.
    pub(in crate::machine) params: NetworkParams,
    /// Their hash, which every label contains.
    pub(in crate::machine) network: NetworkId,
    /// Randomness, seeded by the driver.
    pub(in crate::machine) rng: SharedRng,
    /// The database. The machine has begun a transaction and commits or rolls it back.
    pub(in crate::machine) db: Database,
    /// The time of this step.
    pub(in crate::machine) now: Timestamp,
    /// When the envelope that is being taken in was sent.
    pub(in crate::machine) sent_at: Timestamp,
    /// Up to when the topics that are watched were heard, or fetched, as that envelope comes in.
    pub(in crate::machine) heard_to: Timestamp,
    /// The group of the account's own installations, whose events the application does not see.
    pub(in crate::machine) own_group: Option<GroupId>,
    /// What is to happen outside once the transaction is committed.
    pub(in crate::machine) out: Vec<Output>,
    /// What parts have asked of one another and is not carried out yet.
    effects: VecDeque<Effect>,
}

impl Cx {
    pub(in crate::machine) fn new(
        db: Database,
        params: NetworkParams,
        rng: SharedRng,
        now: Timestamp,
    ) -> Self {
        Self {
            network: params.id(),
            params,
            rng,
            db,
            now,
            sent_at: now,
            heard_to: now,
            own_group: None,
            out: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    /// The slot of now.
    pub(in crate::machine) fn slot(&self) -> Slot {
        Slot::at(self.now, self.params.slot_secs)
    }

    /// Whether the application sees a group.
    pub(in crate::machine) fn is_visible(&self, group: &GroupId) -> bool {
        self.own_group != Some(*group)
    }

    /// Tells the application, which gets each event at least once. Events of the account's own group
    /// are not for it.
    pub(in crate::machine) fn tell(&mut self, event: Event) -> Result<(), StepError> {
        if event.group().is_some_and(|group| !self.is_visible(&group)) {
            tracing::debug!(?event, "in the self group");
            return Ok(());
        }
        let cursor = self.db.add_event(&event)?;
        self.out.push(Output::Event { cursor, event });
        Ok(())
    }

    /// Asks another part for something.
    pub(in crate::machine) fn ask(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// The oldest effect that is not carried out yet.
    pub(in crate::machine) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Forgets what was asked for: the step that asked for it was taken back.
    pub(in crate::machine) fn forget_effects(&mut self) {
        self.effects.clear();
    }

    /// A random time of at most `most`.
    pub(in crate::machine) fn within(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.rng.below(most.max(1)))
    }

    /// A random delay of something that nobody has just asked for: it is not to be seen together with
    /// its cause.
    pub(in crate::machine) fn quiet(&self) -> Duration {
        let most = self.params.quiet_delay();
        let least = most / QUIET_SHORTEST;
        least + self.within(most - least)
    }
}
