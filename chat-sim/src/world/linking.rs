//! Installations that are linked to an account the whole way, over the network.

use std::time::Duration;

use chat_core::machine::{LinkingState, Newcomer, NewcomerState, NewcomerView};

use super::state::World;

/// Seconds that a user looks at both screens before something is wrong.
const PATIENCE: u32 = 120;

impl World {
    /// Lets a device whose linking is over show a new code.
    ///
    /// # Panics
    /// Where it has an account, its code is open, or its process is down.
    #[allow(clippy::expect_used)]
    pub fn begin_again(&mut self, device: usize, name: &str) {
        self.stop(device);
        let (seed, now) = (self.seed(), self.time_of(device));
        let it = &mut self.devices[device];
        let store = it.database.take().expect("a process that ended leaves its database");
        let newcomer = Newcomer::create(store, self.params.clone(), seed, now, name)
            .expect("a linking that is over makes room for another");
        it.newcomer = Some(newcomer);
        self.set_online(device, true);
    }

    /// Links a new device to the account of `of`, as users do. Gives its number.
    ///
    /// # Panics
    /// Where that does not succeed in two minutes.
    pub fn link(&mut self, of: usize, name: &str) -> usize {
        let new = self.add_newcomer(name);
        for _ in 0..PATIENCE {
            if self.attend(of, new) {
                return new;
            }
            self.run_for(Duration::from_secs(1));
        }
        panic!("not linked: {:?}, {:?}", self.devices[of], self.linking(new));
    }

    /// What a user does who sees the screens of the old and the new device now: types the code and
    /// the string where they are asked for. True: both say that they are done.
    pub fn attend(&mut self, old: usize, new: usize) -> bool {
        let (Some(machine), Some(theirs)) = (&self.devices[old].machine, self.linking(new)) else {
            return false;
        };
        let ours = machine.linking(&theirs.id).map(|link| link.state);
        // What is refused shows in the state.
        match (ours, self.code(new), theirs.string) {
            (None, Some(code), _) => drop(self.by(old).at_once().answer_linking(&code)),
            (Some(LinkingState::AwaitsString), _, Some(string)) => {
                drop(self.by(old).at_once().confirm_linking(theirs.id, &string));
            }
            (Some(LinkingState::Done), ..) => return theirs.state == NewcomerState::Done,
            _ => {}
        }
        false
    }

    /// The code that a new device shows, if it shows one.
    pub fn code(&self, new: usize) -> Option<String> {
        let code = self.devices[new].newcomer.as_ref()?.code()?;
        Some(code.as_str().to_owned())
    }

    /// What a new device shows of its linking; none while its process is down, or where it was never
    /// linked.
    pub fn linking(&self, new: usize) -> Option<NewcomerView> {
        let it = &self.devices[new];
        let newcomer = it.newcomer.as_ref().map(Newcomer::view);
        newcomer.or_else(|| it.machine.as_ref()?.arrival())
    }
}
