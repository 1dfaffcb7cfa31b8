//! What it takes to add others to a group: from contacts' cards, and from what this account's
//! installations said.

use openmls::key_packages::KeyPackage;

use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::package::read_package;
use crate::ids::{AccountId, InstallationId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::done::Done;
use crate::machine::api::error::CommandError;
use crate::machine::cx::Cx;
use crate::machine::group::directory::{Directory, Reachable};
use crate::machine::people::cards::Cards;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::{Who, is_revoked};

/// The directory of this installation.
pub(in crate::machine) struct Known<'a> {
    pub(in crate::machine) who: Who<'a>,
    pub(in crate::machine) cards: &'a Cards,
}

impl Directory for Known<'_> {
    fn contact(&self, cx: &Cx, account: &AccountId) -> Done<Reachable> {
        let contact = Contact::known(cx, self.who.me, account)?;
        let Some(card) = contact.card(&cx.network) else {
            return Err(self.cards.why_unusable(cx, account).into());
        };
        let mut packages = Vec::new();
        for package in card.key_packages_at(cx.now) {
            match read_package(&package.bytes, &cx.rng, &cx.network) {
                Ok((read, leaf))
                    if leaf.account == *account && leaf.installation == package.installation =>
                {
                    packages.push((read, leaf));
                }
                _ => tracing::warn!("a key package in a card is not usable"),
            }
        }
        let inbox = &card.content().inbox;
        if packages.is_empty() || inbox.usable_until <= cx.now {
            return Err(self.cards.why_unusable(cx, account).into());
        }
        Ok(Reachable { packages, inbox: inbox.key })
    }

    fn installation(&self, cx: &Cx, id: &InstallationId) -> Done<(KeyPackage, Leaf)> {
        let me = self.who.me;
        let bad = CommandError::BadKeyPackage { installation: *id };
        if !me.log().state().active.contains_key(id) {
            return Err(CommandError::UnknownInstallation { installation: *id }.into());
        }
        let record = OwnInstallation::of(cx, id)?;
        if record.usable_until.is_none_or(|until| until <= cx.now) {
            return Err(bad.into());
        }
        match read_package(&record.package, &cx.rng, &cx.network) {
            Ok((package, leaf)) if (leaf.account, leaf.installation) == (me.account, *id) => {
                Ok((package, leaf))
            }
            _ => Err(bad.into()),
        }
    }

    fn needs_readmission(&self, cx: &Cx, state: &EpochInfo, account: &AccountId) -> bool {
        let Some(log) = self.who.logs.get(account) else { return false };
        let mut leaves = state.leaves_of(account).peekable();
        if leaves.peek().is_none() || leaves.any(|leaf| !is_revoked(log, leaf)) {
            return false;
        }
        let contact = Contact::find(cx, account).ok().flatten();
        let card = contact.filter(|it| it.secret.is_some()).and_then(|it| it.card(&cx.network));
        card.is_some_and(|card| {
            let active = &log.state().active;
            card.content().inbox.usable_until > cx.now
                && card.key_packages_at(cx.now).any(|it| active.contains_key(&it.installation))
        })
    }
}
