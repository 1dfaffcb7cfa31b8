//! Contacts, as stored and as shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::look::Look;
use crate::contact::card::Card;
use crate::database::Keyed;
use crate::ids::AccountId;
use crate::machine::account::me::Me;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::view::ContactView;
use crate::machine::cx::Cx;
use crate::params::NetworkId;
use crate::time::Timestamp;
use crate::wire::sync::{SyncContact, SyncItem};

/// Another account.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Contact {
    pub(in crate::machine) account: AccountId,
    /// None: known only as blocked, or as one that was removed.
    pub(in crate::machine) secret: Option<Zeroizing<[u8; 32]>>,
    pub(in crate::machine) card: Option<Vec<u8>>,
    pub(in crate::machine) name: Option<String>,
    pub(in crate::machine) blocked: bool,
    /// When this account's user changed it last, on any installation.
    pub(in crate::machine) changed_at: Timestamp,
    /// Where looking for its cards stands.
    pub(in crate::machine) look: Look,
}

impl Contact {
    /// An account of which nothing is known.
    pub(in crate::machine) fn unknown(account: AccountId) -> Self {
        Self {
            account,
            secret: None,
            card: None,
            name: None,
            blocked: false,
            changed_at: Timestamp(0),
            look: Look::default(),
        }
    }

    /// What is known of an account.
    pub(in crate::machine) fn find(
        cx: &Cx,
        account: &AccountId,
    ) -> Result<Option<Self>, StepError> {
        Ok(cx.db.keyed(Keyed::Contact, account.as_bytes())?)
    }

    /// A contact of this account.
    pub(in crate::machine) fn known(cx: &Cx, me: &Me, account: &AccountId) -> Done<Self> {
        if *account == me.account {
            return Err(CommandError::OwnAccount.into());
        }
        Self::find(cx, account)?
            .filter(|contact| contact.secret.is_some())
            .ok_or_else(|| CommandError::UnknownContact { account: *account }.into())
    }

    /// All accounts that something is known of.
    pub(in crate::machine) fn all(cx: &Cx) -> Result<Vec<Self>, StepError> {
        Ok(cx.db.all_keyed(Keyed::Contact)?)
    }

    /// Notes that the user changed it just now, and never before the last change: it would count for
    /// nothing on other installations.
    pub(in crate::machine) fn touch(&mut self, now: Timestamp) {
        self.changed_at = now.max(self.changed_at + Duration::from_millis(1));
    }

    /// Whether there is something to show: a contact, or a block.
    pub(in crate::machine) fn is_shown(&self) -> bool {
        self.secret.is_some() || self.blocked
    }

    pub(in crate::machine) fn card(&self, network: &NetworkId) -> Option<Card> {
        Card::decode_stored(self.card.as_deref()?, network).ok()
    }

    pub(in crate::machine) fn view(&self, network: &NetworkId) -> ContactView {
        let usable_until = self.card(network).and_then(|card| {
            card.content().key_packages.iter().map(|package| package.usable_until).max()
        });
        ContactView {
            account: self.account,
            name: self.name.clone(),
            usable_until,
            blocked: self.blocked,
            pending: self.secret.is_some() && self.card.is_none() && !self.blocked,
        }
    }

    /// What other installations are told of it.
    pub(in crate::machine) fn item(&self) -> SyncItem {
        SyncItem::Contact(SyncContact {
            account: Some(self.account),
            changed_at: self.changed_at,
            secret: self.secret.clone(),
            card: self.card.clone(),
            name: self.name.clone(),
            blocked: self.blocked,
        })
    }
}

#[cfg(test)]
#[path = "contacts_tests.rs"]
mod tests;
