//! The numbers of what this device sends.

use super::conversation::Conversation;
use crate::group::epoch::EpochInfo;
use crate::history::Head;
use crate::ids::{EpochId, ItemHash};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::wire::chain::{ChainLink, HeadRef};

impl Conversation {
    /// The number, chain and heads of this device's next item, sent in an epoch.
    pub(super) fn next_link(&self, who: Who<'_>, state: &EpochInfo) -> (ChainLink, Vec<Head>) {
        let mut tips = self.tips();
        // A head names a leaf: of those who are gone nothing can be said.
        tips.retain(|installation, _| state.leaf_of(installation).is_some());
        let heads = self.record.heads.select(&tips, &who.me.id());
        let head = |head: &Head| {
            Some(HeadRef {
                leaf: state.leaf_of(&head.installation)?.leaf,
                epoch: (head.epoch != state.epoch).then(|| head.epoch.prefix()),
                seq: head.seq,
                hash: head.hash.prefix(),
            })
        };
        let link = ChainLink {
            seq: self.record.next_seq,
            previous: self.record.last_hash,
            prev_in_epoch: self.record.last_in_epoch.get(&state.epoch).copied(),
            heads: heads.iter().filter_map(head).collect(),
        };
        (link, heads)
    }

    /// Notes that an item of this device has its number now.
    pub(super) fn numbered(
        &mut self,
        cx: &Cx,
        epoch: EpochId,
        seq: u64,
        hash: ItemHash,
        said: &[Head],
    ) -> Result<(), StepError> {
        self.record.heads.sent(said);
        self.record.next_seq = seq.saturating_add(1);
        self.record.last_hash = Some(hash);
        self.record.last_in_epoch.insert(epoch, seq);
        self.record.save_numbers(&cx.db, said)?;
        cx.db.mark_seen(&self.record.id, &hash, cx.now)?;
        Ok(())
    }
}
