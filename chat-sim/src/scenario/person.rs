//! People, each with an account on one or more installations.

use chat_core::ids::AccountId;

use super::Installation;

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
