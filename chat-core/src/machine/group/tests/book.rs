//! The directory of a test's member: the cards that it has.

use std::collections::BTreeMap;

use openmls::key_packages::KeyPackage;

use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::package::read_package;
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::done::Done;
use crate::machine::api::error::CommandError;
use crate::machine::cx::Cx;
use crate::machine::group::directory::{Directory, Reachable};

/// What an installation gives to others, so that they can add it.
#[derive(Clone)]
pub(super) struct Card {
    pub(super) account: AccountId,
    pub(super) installation: InstallationId,
    pub(super) package: Vec<u8>,
    pub(super) inbox: [u8; 32],
}

impl Card {
    fn read(&self, cx: &Cx) -> (KeyPackage, Leaf) {
        read_package(&self.package, &cx.rng, &cx.network).unwrap()
    }
}

/// The cards that a member has.
#[derive(Default)]
pub(super) struct Book(BTreeMap<InstallationId, Card>);

impl Book {
    pub(super) fn add(&mut self, card: Card) {
        self.0.insert(card.installation, card);
    }
}

impl Directory for Book {
    fn contact(&self, cx: &Cx, account: &AccountId) -> Done<Reachable> {
        let cards: Vec<&Card> = self.0.values().filter(|card| card.account == *account).collect();
        let first = cards.first().ok_or(CommandError::ContactPending { account: *account })?;
        let packages = cards.iter().map(|card| card.read(cx)).collect();
        Ok(Reachable { packages, inbox: first.inbox })
    }

    fn installation(&self, cx: &Cx, id: &InstallationId) -> Done<(KeyPackage, Leaf)> {
        let card = self.0.get(id).ok_or(CommandError::BadKeyPackage { installation: *id })?;
        Ok(card.read(cx))
    }

    fn needs_readmission(&self, _: &Cx, _: &EpochInfo, _: &AccountId) -> bool {
        false
    }
}
