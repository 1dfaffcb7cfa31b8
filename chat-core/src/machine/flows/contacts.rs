//! What the user does with contacts.

use zeroize::Zeroizing;

use crate::contact::link::{ContactLink, LinkError};
use crate::ids::AccountId;
use crate::machine::api::command::Answer;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError, check_length};
use crate::machine::assembly::Machine;
use crate::machine::people::cards::take_card;
use crate::machine::people::contacts::Contact;
use crate::machine::people::look::Look;
use crate::params::MAX_NAME;

impl Machine {
    pub(in crate::machine) fn add_contact(
        &mut self,
        link: &str,
        name: Option<String>,
    ) -> Done<Answer> {
        let bad = |error: LinkError| CommandError::BadLink { reason: error.to_string() };
        let link = ContactLink::parse(link, &self.cx.network, self.cx.now).map_err(bad)?;
        if link.account == self.me.account {
            return Err(CommandError::OwnAccount.into());
        }
        if let Some(name) = &name {
            check_length("the name", name, MAX_NAME)?;
        }
        let known = Contact::find(&self.cx, &link.account)?;
        let mut contact = known.unwrap_or_else(|| Contact::unknown(link.account));
        contact.secret = Some(Zeroizing::new(*link.secret.as_bytes()));
        contact.name = name.or(contact.name);
        contact.blocked = false;
        if let Some(card) = link.card {
            let Self { cx, me, logs, .. } = self;
            take_card(cx, crate::machine::people::logs::Who { me, logs }, &mut contact, &card)
                .map_err(|error| CommandError::BadLink { reason: error.to_string() })?;
        } else {
            // A contact that gives a link again may have published since it was looked for.
            contact.look.look_again(self.cx.now);
        }
        self.change_contact(&mut contact)?;
        Ok(Answer::Contact(contact.view(&self.cx.network)))
    }

    pub(in crate::machine) fn remove_contact(&mut self, account: &AccountId) -> Done<Answer> {
        let contact = Contact::known(&self.cx, &self.me, account)?;
        // A block outlives the contact; and that it was removed is told to other installations.
        let look = Look::default();
        let mut rest = Contact { secret: None, card: None, name: None, look, ..contact };
        self.change_contact(&mut rest)?;
        Ok(Answer::Done)
    }

    /// Writes a contact that the user changed, and tells the other installations.
    pub(in crate::machine) fn change_contact(
        &mut self,
        contact: &mut Contact,
    ) -> Result<(), StepError> {
        contact.touch(self.cx.now);
        self.cards.save(&self.cx, contact)?;
        self.sync(vec![contact.item()])
    }
}
