//! Messages and numbers: an application message is opened by its state and recorded; each numbered
//! item goes into its author's chain, and what its heads claim is noted.

use serde::{Deserialize, Serialize};

use super::Machine;
use super::disposition::{Deferred, Disposition, Refused};
use super::error::StepError;
use super::event::Event;
use super::view::{MessageView, MissingView};
use crate::group::epoch::Leaf;
use crate::group::error::GroupError;
use crate::group::mls::read_message;
use crate::history::gaps::Claim;
use crate::history::{Chain, FIRST_SEQ, GapChange, GapState, Head, Observed, Received};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, ItemHash};
use crate::store::{Keyed, MessageRow};
use crate::time::Timestamp;
use crate::wire::chain::ChainLink;
use crate::wire::content::{Body, Content};
use crate::wire::item::{MessageView as MlsView, message_hash};

/// The generation mark of a state that must not be used to send any more.
const SPENT: u64 = i64::MAX as u64;

/// A message of the history, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) sender: AccountId,
    pub(super) installation: InstallationId,
    pub(super) seq: u64,
    pub(super) epoch: EpochId,
    pub(super) text: Option<String>,
    pub(super) sent_at: Timestamp,
    pub(super) received_at: Timestamp,
    /// The own installation that handed it over, where it did not come by itself.
    #[serde(default)]
    pub(super) handed_over_by: Option<InstallationId>,
}

impl Stored {
    pub(super) fn view(row: MessageRow<Stored>, group: GroupId, own: AccountId) -> MessageView {
        let data = row.data;
        MessageView {
            id: row.id,
            message: row.hash,
            group,
            sender: data.sender,
            installation: data.installation,
            seq: data.seq,
            epoch_id: data.epoch,
            text: data.text,
            sent_at: data.sent_at,
            received_at: data.received_at,
            own: data.sender == own,
            handed_over_by: data.handed_over_by,
            flagged: row.flagged,
        }
    }
}

impl Machine {
    /// An application message: the state that opens it is the one that it was sent in.
    pub(super) fn on_message(
        &mut self,
        group_id: GroupId,
        bytes: &[u8],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let Ok(hash) = message_hash(bytes) else {
            return refused(Refused::Mls);
        };
        if self.store.is_seen(&group_id, &hash)? {
            return Ok(Disposition::Duplicate);
        }
        let Ok(number) = MlsView::parse(bytes).map(|view| view.epoch) else {
            return refused(Refused::Mls);
        };
        if read_message(bytes, &group_id).is_err() {
            return refused(Refused::Mls);
        }
        let Some(group) = self.groups.get_mut(&group_id) else {
            return refused(Refused::Mls);
        };
        let candidates: Vec<EpochId> = group
            .ranked()
            .into_iter()
            .filter(|state| state.number == number)
            .map(|state| state.epoch)
            .collect();
        let oldest = group.states.values().map(|state| state.number).min().unwrap_or(0);
        if number < oldest {
            return Ok(Disposition::Stale);
        }
        let mut opened = None;
        for epoch in candidates {
            let mut mls = group.take_mls(&self.store, &self.rng, &epoch)?;
            let message = read_message(bytes, &group_id)?;
            match mls.decrypt(message) {
                Ok(message) => {
                    group.put_mls(epoch, mls);
                    opened = Some((epoch, message));
                    break;
                }
                Err(GroupError::OwnLeaf) => return self.on_own_leaf(group_id, epoch, hash),
                // A failed attempt may leave the group in memory ahead of its rows: it is dropped.
                Err(error) => tracing::debug!(%error, "a message does not open in this state"),
            }
        }
        // It may belong to a branch of which nothing was heard yet.
        let Some((epoch, message)) = opened else {
            return Ok(Disposition::Deferred(Deferred::UnknownEpoch));
        };
        group.save_rows(&self.store, &epoch)?;
        self.store.mark_seen(&group_id, &hash, self.now)?;
        let Some(leaf) = group.states.get(&epoch).and_then(|s| s.leaf(message.leaf)).cloned()
        else {
            return refused(Refused::Content);
        };
        let content = match Content::decode(&message.plaintext) {
            Ok(content) => content,
            Err(error) => {
                tracing::debug!(%error, "the content of a message cannot be read");
                return refused(Refused::Content);
            }
        };
        let Some(link) = &content.chain else {
            // Unnumbered: a heartbeat. What its heads claim is all that it says.
            return Ok(Disposition::Message(hash));
        };
        if !self.note_item(group_id, &leaf, epoch, link, hash)? {
            return refused(Refused::Content);
        }
        self.record(group_id, &leaf, epoch, link.seq, hash, &content)?;
        Ok(Disposition::Message(hash))
    }

    /// A message in the name of this device that was not sent from here, as far as is remembered.
    /// Either this database was restored from a backup, or somebody copied the device, or a member
    /// lies: the claim is not signed. In all cases the keys of that state are not used again.
    fn on_own_leaf(
        &mut self,
        group: GroupId,
        epoch: EpochId,
        hash: ItemHash,
    ) -> Result<Disposition, StepError> {
        self.store.mark_seen(&group, &hash, self.now)?;
        if self.store.next_generation(&epoch)? < SPENT {
            self.store.set_next_generation(&epoch, SPENT)?;
            self.tell(Event::CloneAlarm { group })?;
        }
        Ok(Disposition::Refused(Refused::Authentication))
    }

    fn record(
        &mut self,
        group_id: GroupId,
        leaf: &Leaf,
        epoch: EpochId,
        seq: u64,
        hash: ItemHash,
        content: &Content,
    ) -> Result<(), StepError> {
        let text = match &content.body {
            Body::Text(text) => Some(text.clone()),
            Body::Unknown(_) => None,
            Body::LeaveWish(wish) => {
                return self.on_leave_wish(group_id, leaf, wish, seq, hash);
            }
            Body::Sync(items) => {
                let trusted = self
                    .groups
                    .get(&group_id)
                    .is_some_and(|group| !group.record.quarantine.contains_key(&leaf.installation));
                if !self.is_visible(&group_id) && trusted {
                    self.on_sync(leaf, items)?;
                }
                return Ok(());
            }
            Body::Heartbeat => return Ok(()),
        };
        let log = match leaf.account == self.me.account {
            true => Some(&self.me.log),
            false => self.logs.get(&leaf.account),
        };
        let flagged = self.groups.get(&group_id).is_some_and(|group| {
            let cut = leaf.since.is_some_and(|since| group.has_cut(&leaf.installation, &since));
            group.is_cut(leaf, seq)
                || (!cut && (group.is_quarantined(leaf, seq) || group.is_void(leaf, log)))
        });
        let stored = Stored {
            sender: leaf.account,
            installation: leaf.installation,
            seq,
            epoch,
            text,
            sent_at: content.sent_at,
            received_at: self.now,
            handed_over_by: None,
        };
        if let Some(message) = self.add_to_history(group_id, hash, stored, flagged)? {
            self.tell(Event::MessageReceived { message })?;
        }
        Ok(())
    }

    pub(super) fn add_to_history(
        &mut self,
        group: GroupId,
        hash: ItemHash,
        stored: Stored,
        flagged: bool,
    ) -> Result<Option<MessageView>, StepError> {
        let id = self.store.add_message(
            &group,
            &hash,
            stored.sent_at,
            &stored.installation,
            stored.seq,
            flagged,
            &stored,
        )?;
        Ok(id.map(|id| {
            let row = MessageRow { id, hash, flagged, data: stored };
            Stored::view(row, group, self.me.account)
        }))
    }

    /// Puts a numbered item into its author's chain, and takes in its heads. False: its numbers
    /// contradict themselves.
    pub(super) fn note_item(
        &mut self,
        group_id: GroupId,
        leaf: &Leaf,
        epoch: EpochId,
        link: &ChainLink,
        hash: ItemHash,
    ) -> Result<bool, StepError> {
        if leaf.account == self.me.account && leaf.installation != self.me.key.id() {
            self.saw_own(&leaf.installation)?;
        }
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(false);
        };
        let gaps_before = group.gaps.clone();
        let own_first_epoch = group.record.first_epoch == epoch;
        // Whoever was a member when we came has a past that does not count here.
        let had_a_past = group.record.members_before.contains(&leaf.installation);
        let cut = group.cut_of(&leaf.installation);
        let chain = group.chains.entry(leaf.installation).or_insert_with(|| {
            let mut chain = if had_a_past {
                Chain::joined()
            } else if link.prev_in_epoch.is_none() && leaf.since == Some(epoch) {
                // Its first item in the state that it came in with: a former member that is back
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
        let mut changes: Vec<(AccountId, GapChange)> = group
            .gaps
            .observe(leaf.installation, leaf.account, chain, self.now)
            .into_iter()
            .map(|change| (leaf.account, change))
            .collect();
        self.store.set_chain(&group_id, &leaf.installation, chain)?;

        changes.extend(self.take_heads(group_id, leaf, epoch, link));
        if let Some(group) = self.groups.get(&group_id).filter(|it| it.gaps != gaps_before) {
            self.store.set_keyed(Keyed::Gaps, group_id.as_bytes(), &group.gaps)?;
        }
        if let Observed::Equivocation { seq, .. } = observed {
            self.tell(Event::Equivocation { group: group_id, account: leaf.account, seq })?;
        }
        for (sender, change) in changes {
            self.tell_gap(group_id, sender, change)?;
        }
        Ok(true)
    }

    /// What the heads of an item say exists.
    fn take_heads(
        &mut self,
        group_id: GroupId,
        author: &Leaf,
        epoch: EpochId,
        link: &ChainLink,
    ) -> Vec<(AccountId, GapChange)> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Vec::new();
        };
        let Some(state) = group.states.get(&epoch) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for head in &link.heads {
            let Some(subject) = state.leaf(head.leaf) else {
                continue;
            };
            if subject.installation == self.me.key.id() || subject.account == author.account {
                continue;
            }
            // The head names its epoch by prefix; only a state that is held says that we were there.
            let named = match head.epoch {
                None => Some(epoch),
                Some(prefix) => group.states.keys().find(|known| known.prefix() == prefix).copied(),
            };
            let Some(named) = named else { continue };
            let unheard = Chain::joined();
            let chain = group.chains.get(&subject.installation).unwrap_or(&unheard);
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
            changes.extend(
                group
                    .gaps
                    .claims(author.account, &[claim], self.now)
                    .into_iter()
                    .map(|change| (account, change)),
            );
        }
        changes
    }

    /// Tells the application of gaps: message by message, up to a number that a person can read.
    fn tell_gap(
        &mut self,
        group: GroupId,
        sender: AccountId,
        change: GapChange,
    ) -> Result<(), StepError> {
        /// Events for one change; the rest is seen by asking what is missing.
        const MOST: usize = 64;
        for seq in change.span.seqs().take(MOST) {
            let missing =
                |since| MissingView { group, sender, installation: change.span.from, seq, since };
            match (change.state, change.missed_since) {
                (GapState::Missing { since }, _) => {
                    self.tell(Event::MessageMissing { missing: missing(since) })?;
                }
                (GapState::Recovered, Some(since)) => {
                    self.tell(Event::MessageRecovered { group, missing: missing(since) })?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
