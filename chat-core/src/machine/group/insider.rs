//! What a member can do to a group with its own keys, rules aside: for tests of what others make of
//! it. Only with the feature `test-access`, which no program switches on.

use super::conversation::Conversation;
use crate::group::commit::{BuiltCommit, CommitPlan, build};
use crate::machine::account::me::Me;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::wire::chain::ChainLink;

impl Conversation {
    /// The link of the next item, which stays the next one.
    pub(in crate::machine) fn insider_link(&self) -> ChainLink {
        ChainLink {
            seq: self.record.next_seq,
            previous: self.record.last_hash,
            prev_in_epoch: self.record.last_in_epoch.get(&self.record.tip).copied(),
            heads: Vec::new(),
        }
    }

    /// Encrypts any plaintext: an `MLSMessage`. It is neither numbered nor recorded.
    pub(in crate::machine) fn insider_message(
        &mut self,
        cx: &Cx,
        me: &Me,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, StepError> {
        let epoch = self.current()?.epoch;
        let mut mls = self.take_mls(cx, &epoch)?;
        let bytes = mls.encrypt(&me.key, plaintext)?;
        self.put_mls(epoch, mls);
        self.save_epoch(cx, &epoch)?;
        Ok(bytes)
    }

    /// Makes any commit on the epoch that is followed, without following it.
    pub(in crate::machine) fn insider_commit(
        &mut self,
        cx: &Cx,
        me: &Me,
        plan: CommitPlan,
    ) -> Result<BuiltCommit, StepError> {
        let epoch = self.current()?.epoch;
        let mls = self.take_mls(cx, &epoch)?;
        let built = build(&mls, &cx.rng, &me.key, &cx.network, plan);
        self.put_mls(epoch, mls);
        Ok(built?)
    }

    /// What is kept: epochs; those with keys; roots; topics in the present slot.
    pub(in crate::machine) fn insider_kept(&self, cx: &Cx) -> Result<[usize; 4], StepError> {
        let mut keys = 0;
        for epoch in self.epochs.keys() {
            keys += usize::from(!cx.db.mls_rows(epoch)?.is_empty());
        }
        let watched = self.topic_roots(cx.slot(), &cx.network).len();
        Ok([self.epochs.len(), keys, self.lines.iter().count(), watched])
    }
}
