//! The names that a scenario is told with: people, installations and groups.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use chat_core::ids::{AccountId, GroupId, InstallationId};
use chat_core::machine::{Machine, Newcomer};

use crate::world::World;

/// The world, which all handles of a scenario share.
#[derive(Clone)]
pub(super) struct Shared(Rc<RefCell<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self(Rc::new(RefCell::new(world)))
    }

    pub(super) fn world(&self) -> Ref<'_, World> {
        self.0.borrow()
    }

    pub(super) fn world_mut(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }
}

/// An installation, by its name.
#[derive(Clone)]
pub struct Installation {
    pub(super) shared: Shared,
    number: usize,
    name: String,
}

impl std::fmt::Debug for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Who and what it is.
impl Installation {
    pub(super) fn new(shared: &Shared, number: usize, name: &str) -> Self {
        Self { shared: shared.clone(), number, name: name.to_owned() }
    }

    /// A further installation that is made from the world and this one's number.
    pub(super) fn beside(
        &self,
        name: &str,
        make: impl FnOnce(&mut World, usize) -> usize,
    ) -> Installation {
        let number = make(&mut self.shared.world_mut(), self.number);
        Self::new(&self.shared, number, name)
    }

    /// Its name, for people who read the scenario.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the world.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Looks at its machine, for what has no word here.
    ///
    /// # Panics
    /// Where its process is down, or it has no account.
    pub fn machine<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(self.shared.world().machine(self.number))
    }

    /// Looks at what it runs while it has no account.
    ///
    /// # Panics
    /// Where its process is down, or it has an account.
    #[allow(clippy::expect_used)]
    pub fn newcomer<T>(&self, look: impl FnOnce(&Newcomer) -> T) -> T {
        let world = self.shared.world();
        look(world.devices[self.number].newcomer.as_ref().expect("it waits to be linked"))
    }

    /// Its account's id.
    pub fn account_id(&self) -> AccountId {
        self.shared.world().account(self.number)
    }

    /// Its own id.
    #[allow(clippy::expect_used)]
    pub fn id(&self) -> InstallationId {
        self.machine(|machine| machine.identity()).expect("the identity can be read").installation
    }
}

/// A person with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name, for people who read the scenario.
    pub name: String,
    /// The first installation.
    pub phone: Installation,
}

/// A person, meaning the phone, or an installation.
pub trait Who {
    /// The installation that is meant.
    fn installation(&self) -> &Installation;

    /// The account that is meant.
    fn account(&self) -> AccountId {
        self.installation().account_id()
    }
}

impl Who for Person {
    fn installation(&self) -> &Installation {
        &self.phone
    }
}

impl Who for Installation {
    fn installation(&self) -> &Installation {
        self
    }
}

impl Person {
    pub(super) fn new(name: &str, phone: Installation) -> Self {
        Self { name: name.to_owned(), phone }
    }

    /// Takes a further installation into the account at once, without the network.
    pub fn add_installation(&self, name: &str) -> Installation {
        self.phone.beside(name, |world, phone| world.add_installation(phone))
    }

    /// Links a further installation over the network, by the phone, as a user does.
    ///
    /// # Panics
    /// Where that does not succeed in two minutes.
    pub fn link(&self, name: &str) -> Installation {
        self.phone.beside(name, |world, phone| world.link(phone, name))
    }
}

/// A group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupHandle(GroupId);

impl From<GroupId> for GroupHandle {
    fn from(id: GroupId) -> Self {
        Self(id)
    }
}

impl GroupHandle {
    /// The group's id.
    pub fn id(&self) -> GroupId {
        self.0
    }
}
