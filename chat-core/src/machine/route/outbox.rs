//! What the outbox is sealed under: the roots that an address comes to now.

use std::collections::BTreeMap;

use crate::contact::card::Card;
use crate::ids::GroupId;
use crate::machine::account::me::Me;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::cx::Cx;
use crate::machine::group::conversation::Conversation;
use crate::machine::linking::rendezvous;
use crate::machine::net::outbox::Sealing;
use crate::machine::parcel::Address;
use crate::wire::roots::{card_roots, inbox_roots, invitation_roots};

impl Machine {
    /// Seals and hands out what is due. Waits for catching up: a device does not send before.
    pub(in crate::machine) fn flush_outbox(&mut self) -> Result<(), StepError> {
        self.outbox.expire(&self.cx)?;
        if !self.history.may_send() {
            return Ok(());
        }
        let Self { cx, outbox, groups, me, scheduler, .. } = self;
        outbox.flush(cx, |cx, address| {
            let held_until = match address {
                Address::Group { group, .. } => scheduler.held_until(cx, group),
                _ => None,
            };
            held_until.map_or_else(|| sealing(cx, address, me, groups), Sealing::From)
        })
    }
}

/// What an address comes to now.
fn sealing(
    cx: &Cx,
    address: &Address,
    me: &Me,
    groups: &BTreeMap<GroupId, Conversation>,
) -> Sealing {
    let (slot, network, secs) = (cx.slot(), &cx.network, cx.params.slot_secs);
    let roots = match address {
        Address::Inbox => Ok(inbox_roots(network, slot)),
        Address::Linking { secret, slot: begins, .. } => {
            return rendezvous::sealing(cx, secret, *begins);
        }
        Address::Invitation { slot: begins, .. } if *begins > slot => {
            return Sealing::From(begins.start(secs));
        }
        Address::Invitation { secret, slot: begins } => {
            let roots = invitation_roots(secret, *begins, network).at(slot, network);
            roots.map_err(|error| error.to_string())
        }
        Address::Group { group, epoch } => match groups.get(group) {
            None => Err("the group is not there".into()),
            Some(group) => match group.topics_begin(epoch, slot) {
                begins if begins > slot => return Sealing::From(begins.start(secs)),
                _ => group.roots(epoch, slot, network),
            },
        },
        Address::Card { period } if Card::counter_at(cx.now) != *period => {
            Err("the period of the card is over".into())
        }
        Address::Card { period } => {
            Ok(card_roots(me.card_secret.as_bytes(), *period, slot, network))
        }
    };
    roots.map_or_else(Sealing::Never, Sealing::Now)
}
