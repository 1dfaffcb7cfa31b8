//! Numbers: each numbered item goes into its author's chain, and what its heads claim is noted.

use super::conversation::Conversation;
use crate::database::Keyed;
use crate::group::epoch::Leaf;
use crate::history::gaps::Claim;
use crate::history::{Chain, FIRST_SEQ, GapChange, GapState, Head, Observed, Received};
use crate::ids::{AccountId, EpochId, ItemHash};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::view::MissingView;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::people::logs::Who;
use crate::wire::chain::ChainLink;

/// Events for one change of the gaps; the rest is seen by asking what is missing.
const MAX_GAP_EVENTS: usize = 64;

impl Conversation {
    /// Puts a numbered item into its author's chain, and takes in its heads. False: its numbers
    /// contradict themselves.
    pub(super) fn note_item(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        leaf: &Leaf,
        epoch: EpochId,
        link: &ChainLink,
        hash: ItemHash,
    ) -> Result<bool, StepError> {
        if leaf.account == who.me.account && leaf.installation != who.me.id() {
            cx.ask(Effect::Heard(leaf.installation));
        }
        let gaps_before = self.gaps.clone();
        let own_first_epoch = self.record.first_epoch == epoch;
        // A member that was there when we came has a past that does not count here.
        let had_a_past = self.record.members_before.contains(&leaf.installation);
        let cut = self.cut_of(&leaf.installation);
        let chain = self.chains.entry(leaf.installation).or_insert_with(|| {
            let mut chain = if had_a_past {
                Chain::joined()
            } else if link.prev_in_epoch.is_none() && leaf.since == Some(epoch) {
                // Its first item in the epoch that it came in with: a former member that is back
                // goes on counting where it was.
                Chain::from_start(link.seq)
            } else {
                Chain::from_start(FIRST_SEQ)
            };
            chain.set_cut(cut);
            chain
        });
        let observed = chain.receive(Received {
            seq: link.seq,
            hash,
            previous: link.previous,
            prev_in_epoch: link.prev_in_epoch,
            epoch,
            own_first_epoch,
        });
        if observed == Observed::Malformed {
            return Ok(false);
        }
        let mut changes: Vec<(AccountId, GapChange)> = self
            .gaps
            .observe(leaf.installation, leaf.account, chain, cx.now)
            .into_iter()
            .map(|change| (leaf.account, change))
            .collect();
        cx.db.set_chain(&self.record.id, &leaf.installation, chain)?;

        changes.extend(self.take_heads(cx, who, leaf, epoch, link));
        if self.gaps != gaps_before {
            cx.db.set_keyed(Keyed::Gaps, self.record.id.as_bytes(), &self.gaps)?;
        }
        if let Observed::Equivocation { seq, .. } = observed {
            let (group, account) = (self.record.id, leaf.account);
            cx.tell(Event::Equivocation { group, account, seq })?;
        }
        let in_doubt = |change: &GapChange| {
            matches!(change.state, GapState::Missing { .. } | GapState::Claimed { .. })
        };
        if changes.iter().any(|(_, change)| in_doubt(change)) {
            cx.ask(Effect::Doubt(self.record.id));
        }
        for (sender, change) in changes {
            self.tell_gap(cx, sender, change)?;
        }
        Ok(true)
    }

    /// What the heads of an item say exists.
    fn take_heads(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        author: &Leaf,
        epoch: EpochId,
        link: &ChainLink,
    ) -> Vec<(AccountId, GapChange)> {
        let Some(state) = self.epochs.get(&epoch) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for head in &link.heads {
            let Some(subject) = state.leaf(head.leaf) else {
                continue;
            };
            if subject.installation == who.me.id() || subject.account == author.account {
                continue;
            }
            // The head names its epoch by prefix; only one that is held says that we were there.
            let named = match head.epoch {
                None => Some(epoch),
                Some(prefix) => self.epochs.keys().find(|known| known.prefix() == prefix).copied(),
            };
            let Some(named) = named else { continue };
            let unheard = Chain::joined();
            let chain = self.chains.get(&subject.installation).unwrap_or(&unheard);
            let mut full = [0; 32];
            full[..8].copy_from_slice(&head.hash);
            let claim = Claim {
                head: Head {
                    installation: subject.installation,
                    epoch: named,
                    seq: head.seq,
                    hash: ItemHash(full),
                },
                account: subject.account,
                ours: true,
                chain,
            };
            let account = subject.account;
            let claims = self.gaps.claims(author.account, &[claim], cx.now);
            changes.extend(claims.into_iter().map(|change| (account, change)));
        }
        changes
    }

    /// Tells the application of gaps: message by message, up to a number that a person can read.
    fn tell_gap(&self, cx: &mut Cx, sender: AccountId, change: GapChange) -> Result<(), StepError> {
        let (group, installation) = (self.record.id, change.span.from);
        for seq in change.span.seqs().take(MAX_GAP_EVENTS) {
            let missing = |since| MissingView { group, sender, installation, seq, since };
            match (change.state, change.missed_since) {
                (GapState::Missing { since }, _) => {
                    cx.tell(Event::MessageMissing { missing: missing(since) })?;
                }
                (GapState::Recovered, Some(since)) => {
                    cx.tell(Event::MessageRecovered { group, missing: missing(since) })?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
