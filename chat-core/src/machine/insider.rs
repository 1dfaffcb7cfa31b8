//! What a member can do with its own keys, rules aside: for tests of what others make of it. Only
//! with the feature `test-access`, which no program switches on.

use openmls::key_packages::KeyPackage;
use zeroize::Zeroizing;

use super::error::StepError;
use super::group::state_error;
use super::outbound::Change;
use super::people::Identity;
use super::{Fail, Machine};
use crate::group::commit::{BuiltCommit, CommitPlan, build};
use crate::group::crypto::SharedRng;
use crate::group::epoch::EpochInfo;
use crate::identity::credential::Credential;
use crate::identity::installation::InstallationKey;
use crate::identity::log::EntrySigner;
use crate::ids::{AccountId, GroupId};
use crate::store::Store;
use crate::time::{Slot, Timestamp};
use crate::wire::chain::ChainLink;
use crate::wire::header::CommitHeader;
use crate::wire::roots::Roots;

fn failed(fail: Fail) -> StepError {
    match fail {
        Fail::Step(error) => error,
        Fail::Refused(error) => state_error(error),
    }
}

impl Machine {
    /// The state of a group that is followed.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn insider_state(&self, group: &GroupId) -> Result<EpochInfo, StepError> {
        let group = self.groups.get(group).ok_or_else(|| state_error("no such group"))?;
        Ok(group.current()?.clone())
    }

    /// The roots that a group is sealed with at a moment.
    ///
    /// # Errors
    /// Where there is no such group, or no such roots any more.
    pub fn insider_roots(&self, id: &GroupId, now: Timestamp) -> Result<Roots, StepError> {
        let group = self.groups.get(id).ok_or_else(|| state_error("no such group"))?;
        let slot = Slot::at(now, self.params.slot_secs);
        group.lines.roots(group.current()?, slot, &self.network).map_err(state_error)
    }

    /// A copy of the installation's key.
    pub fn insider_key(&self) -> InstallationKey {
        InstallationKey::from_bytes(self.me.key.to_bytes())
    }

    /// The group of the account's own installations.
    pub fn insider_self_group(&self) -> Option<GroupId> {
        self.self_group
    }

    /// The account's log, as this installation knows it.
    pub fn insider_log(&self) -> Vec<u8> {
        self.me.log.encode()
    }

    /// The installation's credential.
    pub fn insider_credential(&self) -> Credential {
        self.me.credential.clone()
    }

    /// The link of the next item, which stays the next one.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn insider_link(&self, id: &GroupId) -> Result<ChainLink, StepError> {
        let group = self.groups.get(id).ok_or_else(|| state_error("no such group"))?;
        Ok(ChainLink {
            seq: group.record.next_seq,
            previous: group.record.last_hash,
            prev_in_epoch: group.record.last_in_epoch.get(&group.record.tip).copied(),
            heads: Vec::new(),
        })
    }

    /// Encrypts any plaintext: an `MLSMessage`. It is neither numbered nor recorded.
    ///
    /// # Errors
    /// Those of openmls and the database.
    pub fn insider_message(
        &mut self,
        id: &GroupId,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, StepError> {
        let group = self.groups.get_mut(id).ok_or_else(|| state_error("no such group"))?;
        let epoch = group.current()?.epoch;
        let mut mls = group.take_mls(&self.store, &self.rng, &epoch)?;
        let bytes = mls.encrypt(&self.me.key, plaintext)?;
        group.put_mls(epoch, mls);
        self.store.begin()?;
        let saved = group.save_state(&self.store, &epoch);
        match saved.and_then(|()| Ok(self.store.commit()?)) {
            Ok(()) => Ok(bytes),
            Err(error) => {
                self.store.rollback();
                Err(error)
            }
        }
    }

    /// Makes any commit on the state that is followed, without following it.
    ///
    /// # Errors
    /// Those of openmls.
    pub fn insider_commit(
        &mut self,
        id: &GroupId,
        plan: CommitPlan,
    ) -> Result<BuiltCommit, StepError> {
        let group = self.groups.get_mut(id).ok_or_else(|| state_error("no such group"))?;
        let epoch = group.current()?.epoch;
        let mls = group.take_mls(&self.store, &self.rng, &epoch)?;
        let built = build(&mls, &self.rng, &self.me.key, &self.network, plan);
        group.put_mls(epoch, mls);
        Ok(built?)
    }

    /// A contact's key packages and inbox key, from its card.
    ///
    /// # Errors
    /// Where it is no contact, or its card has expired.
    pub fn insider_packages(
        &mut self,
        id: &GroupId,
        account: &AccountId,
    ) -> Result<(Vec<KeyPackage>, Vec<[u8; 32]>), StepError> {
        let epoch = self.insider_state(id)?.epoch;
        let mut change = Change::default();
        self.store.begin()?;
        let planned = self.plan_add(&mut change, id, &epoch, account).map_err(failed);
        self.store.rollback();
        planned?;
        Ok((change.adds.into_iter().map(|(package, _)| package).collect(), change.inboxes))
    }

    /// What a joiner needs beyond MLS, for an invitation into the state after the next commit.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn insider_join_info(
        &self,
        id: &GroupId,
        slot: Slot,
    ) -> Result<Zeroizing<Vec<u8>>, StepError> {
        let parent = self.insider_state(id)?;
        let header = CommitHeader { slot, ..CommitHeader::default() };
        Ok(self.join_info(id, &parent, &header, &[]).map_err(failed)?.encode())
    }

    /// Another installation of this account, in an empty database, taken into the self group by this
    /// one: what linking comes to, without the network.
    ///
    /// # Errors
    /// Those of the database, or where the log or MLS refuse it.
    pub fn insider_installation(
        &mut self,
        store: Store,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Machine, StepError> {
        self.now = now;
        let rng = SharedRng::new(seed);
        let key = InstallationKey::generate(&mut *rng.lock());
        let possession = key.prove_possession(&self.me.account, &self.network);
        let signer = EntrySigner::Installation(&self.me.key);
        let mut log = self.me.log.clone();
        let entry = log.add(signer, key.id(), possession, now).map_err(state_error)?;
        log.insert(entry).map_err(state_error)?;
        store.begin()?;
        store.set_meta("identity", &Identity::new(&key, &self.me.card_secret, &log, now))?;
        store.set_meta("network", &self.network)?;
        store.commit()?;
        let opened = Machine::assemble(store, self.params.clone(), rng, now);
        let mut other = opened.map_err(state_error)?;
        other.store.begin()?;
        let package = other.current_package()?;
        other.store.commit()?;

        self.store.begin()?;
        self.learn_log(&log)?;
        self.admit_installation(key.id(), &package.bytes).map_err(failed)?;
        self.store.commit()?;
        let welcome = self.self_welcome(&key.id())?.ok_or_else(|| state_error("no Welcome"))?;
        other.store.begin()?;
        let entered = other.enter_self_group(&welcome)?;
        entered.map_err(|why| state_error(format!("{why:?}")))?;
        other.store.commit()?;
        Ok(other)
    }

    /// The topic of the own card in the period that a moment falls into.
    pub fn insider_card_topic(&self, at: Timestamp) -> String {
        self.own_card_topic(at)
    }
}
