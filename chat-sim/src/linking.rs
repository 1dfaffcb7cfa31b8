//! Devices that are linked to an account the whole way, over the network.

use std::time::Duration;

use chat_core::machine::{Command, LinkState, Newcomer, NewcomerState, NewcomerView};
use chat_core::store::Store;

use crate::world::World;

/// Seconds that a user looks at both screens before something is wrong.
const PATIENCE: u32 = 120;

impl World {
    /// A new device that waits to be linked, with its database in memory, online. Its number.
    ///
    /// # Panics
    /// Where it cannot be made: a simulation has nothing to go on with then.
    pub fn add_newcomer(&mut self, name: &str) -> usize {
        #[allow(clippy::expect_used)]
        let store = Store::in_memory().expect("a database in memory can be opened");
        self.add_newcomer_on(name, store)
    }

    /// A new device that waits to be linked, with this database. Its number.
    ///
    /// # Panics
    /// As [`World::add_newcomer`].
    pub fn add_newcomer_on(&mut self, name: &str, store: Store) -> usize {
        let seed = self.seed();
        #[allow(clippy::expect_used)]
        let newcomer = Newcomer::create(store, self.params.clone(), seed, self.now, name)
            .expect("an empty database takes a linking");
        self.put(None, Some(newcomer))
    }

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

    /// Links a new device to the account of `of`, as users do. Its number.
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
        let command = match ours {
            None => self.code(new).map(|code| Command::AnswerLink { code: code.as_str().into() }),
            Some(LinkState::AwaitsString) => {
                theirs.string.map(|string| Command::ConfirmLink { id: theirs.id, string })
            }
            Some(LinkState::Done) => return theirs.state == NewcomerState::Done,
            Some(_) => None,
        };
        if let Some(command) = command {
            // What is refused shows in the state.
            let _ = self.ask(old, command);
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

    /// A new device that was given its account runs the machine of it from now on.
    pub(crate) fn grow_up(&mut self, device: usize) {
        let it = &mut self.devices[device];
        let Some(newcomer) = it.newcomer.take_if(|newcomer| newcomer.is_linked()) else { return };
        #[allow(clippy::expect_used)]
        let machine = newcomer.into_machine().expect("who was linked has an account");
        it.machine = Some(machine);
        // What the newcomer asked for is nothing to the machine.
        it.life += 1;
        let online = it.online;
        self.set_online(device, online);
    }
}
