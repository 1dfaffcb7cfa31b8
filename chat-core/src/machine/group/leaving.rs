//! Leaving: a signed wish, which any member turns into a Remove.

use std::collections::BTreeSet;
use std::time::Duration;

use super::conversation::Conversation;
use super::drafts::DraftBody;
use super::intent::Intent;
use super::state_error;
use crate::group::epoch::Leaf;
use crate::identity::leave::LeaveWish;
use crate::ids::{InstallationId, ItemHash};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::view::Membership;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;

impl Conversation {
    /// Leaves the group: from here on this device says nothing but what it has said already, and
    /// its wish.
    pub(in crate::machine) fn leave(&mut self, cx: &mut Cx) -> Result<(), StepError> {
        if self.current()?.leaves.len() == 1 {
            // Nobody is there to be told.
            self.set_membership(cx, Membership::Left)?;
            return cx.tell(Event::GroupLeft { group: self.record.id, removed: false });
        }
        self.draft(cx, DraftBody::LeaveWish, Duration::ZERO, Vec::new());
        self.set_membership(cx, Membership::Leaving)
    }

    /// Wishes to leave once more, if the wish was given up unsaid: the removal that forestalled it
    /// has lost.
    pub(super) fn wish_again(&mut self, cx: &mut Cx) {
        if !self.record.wish_said && !self.drafts.has_wish() {
            self.draft(cx, DraftBody::LeaveWish, Duration::ZERO, Vec::new());
        }
    }

    /// The signed wish of this installation, which is the last thing that it says.
    pub(super) fn leave_wish(&self, cx: &Cx, who: Who<'_>) -> Result<Vec<u8>, StepError> {
        let state = self.current()?;
        let own = who.me.id();
        let leaf =
            state.leaf_of(&own).ok_or_else(|| state_error("a member without a leaf leaves"))?;
        let wish = LeaveWish {
            group: self.record.id,
            installation: own,
            membership_start: leaf.since.unwrap_or(state.epoch),
            last_seq: self.record.next_seq,
            last_hash: self.record.last_hash,
        };
        Ok(wish.sign(&who.me.key, &cx.network))
    }

    /// The installations whose wish to leave is known.
    fn leaving(&self, cx: &Cx) -> BTreeSet<InstallationId> {
        let wish = |intent: &Intent| match intent {
            Intent::Leave { wish, .. } => LeaveWish::decode_and_verify(wish, &cx.network).ok(),
            _ => None,
        };
        let intents = self.intents.values().map(|record| &record.intent);
        intents.filter_map(wish).map(|wish| wish.installation).collect()
    }

    /// A device that is leaving, and has nobody left who stays, is gone: there is nobody to wait
    /// for.
    pub(super) fn leave_if_alone(&mut self, cx: &mut Cx, who: Who<'_>) -> Result<(), StepError> {
        // As long as its own wish waits, it has not said so.
        if self.record.membership != Membership::Leaving || !self.drafts.is_empty() {
            return Ok(());
        }
        let leaving = self.leaving(cx);
        let stays =
            |leaf: &Leaf| leaf.account != who.me.account && !leaving.contains(&leaf.installation);
        if self.current()?.leaves.iter().any(stays) {
            return Ok(());
        }
        self.set_membership(cx, Membership::Left)?;
        cx.tell(Event::GroupLeft { group: self.record.id, removed: false })
    }

    /// A member wishes to leave: any other turns that into a Remove, the first in rank first. False:
    /// the wish does not fit the member that sent it.
    pub(super) fn on_leave_wish(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        author: &Leaf,
        wish: &[u8],
        seq: u64,
        hash: ItemHash,
    ) -> Result<bool, StepError> {
        let verified = match LeaveWish::decode_and_verify(wish, &cx.network) {
            Ok(verified)
                if verified.group == self.record.id
                    && verified.installation == author.installation
                    && author.since == Some(verified.membership_start)
                    // The wish is the last thing that its author says; its number is the cut.
                    && verified.last_seq == seq =>
            {
                verified
            }
            _ => {
                tracing::warn!("a wish to leave does not fit the member that sent it");
                return Ok(false);
            }
        };
        let same = |intent: &Intent| {
            let Intent::Leave { wish, .. } = intent else { return false };
            LeaveWish::decode_and_verify(wish, &cx.network).is_ok_and(|known| {
                known.installation == verified.installation
                    && known.membership_start == verified.membership_start
            })
        };
        if self.intents.values().any(|record| same(&record.intent)) {
            // Said once more: it changes nothing, and must not fill the list.
            return Ok(true);
        }
        let others = self.current()?.leaves.iter().map(|leaf| leaf.installation);
        let others = others.filter(|installation| *installation != verified.installation);
        let rank = u64::from(Self::rank(others, &who.me.id()));
        let unit = cx.params.rank_delay_ms;
        let pause = unit.saturating_mul(rank + 1).saturating_add(cx.rng.below(unit / 4 + 1));
        let intent = Intent::Leave { wish: wish.to_vec(), hash };
        self.intend(cx, intent, Duration::from_millis(pause))?;
        self.leave_if_alone(cx, who)?;
        Ok(true)
    }
}
