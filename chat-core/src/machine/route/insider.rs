//! What a member can do with its own keys, rules aside: for tests of what others make of it. Only
//! with the feature `test-access`, which no program switches on.

use openmls::key_packages::KeyPackage;
use zeroize::Zeroizing;

use crate::database::Database;
use crate::group::commit::{BuiltCommit, CommitPlan};
use crate::group::epoch::EpochInfo;
use crate::group::mls::Mls;
use crate::identity::credential::Credential;
use crate::identity::installation::InstallationKey;
use crate::identity::log::EntrySigner;
use crate::ids::{AccountId, GroupId};
use crate::machine::account::me::Identity;
use crate::machine::api::done::Fail;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::cx::Cx;
use crate::machine::flows::directory::Known;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::directory::Directory as _;
use crate::machine::group::state_error;
use crate::machine::people::logs::Who;
use crate::random::SharedRng;
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
        let slot = Slot::at(now, self.cx.params.slot_secs);
        let epoch = group.current()?.epoch;
        group.roots(&epoch, slot, &self.cx.network).map_err(state_error)
    }

    /// A copy of the installation's key.
    pub fn insider_key(&self) -> InstallationKey {
        InstallationKey::from_bytes(self.me.key.to_bytes())
    }

    /// The group of the account's own installations.
    pub fn insider_self_group(&self) -> Option<GroupId> {
        self.cx.own_group
    }

    /// The account's log, as this installation knows it.
    pub fn insider_log(&self) -> Vec<u8> {
        self.me.log().encode()
    }

    /// The installation's credential.
    pub fn insider_credential(&self) -> Credential {
        self.me.credential.clone()
    }

    fn insider_group(&self, id: &GroupId) -> Result<&Conversation, StepError> {
        self.groups.get(id).ok_or_else(|| state_error("no such group"))
    }

    /// The link of the next item, which stays the next one.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn insider_link(&self, id: &GroupId) -> Result<ChainLink, StepError> {
        Ok(self.insider_group(id)?.insider_link())
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
        let Self { cx, me, groups, .. } = self;
        let group = groups.get_mut(id).ok_or_else(|| state_error("no such group"))?;
        cx.db.begin()?;
        let made = group.insider_message(cx, me, plaintext);
        match made.and_then(|bytes| cx.db.commit().map(|()| bytes).map_err(StepError::from)) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                cx.db.rollback();
                Err(error)
            }
        }
    }

    /// Makes any commit on the epoch that is followed, without following it.
    ///
    /// # Errors
    /// Those of openmls.
    pub fn insider_commit(
        &mut self,
        id: &GroupId,
        plan: CommitPlan,
    ) -> Result<BuiltCommit, StepError> {
        let Self { cx, me, groups, .. } = self;
        let group = groups.get_mut(id).ok_or_else(|| state_error("no such group"))?;
        group.insider_commit(cx, me, plan)
    }

    /// A copy of the openmls group of the epoch that is followed, in memory, on which everything can
    /// be done and nothing is written.
    ///
    /// # Errors
    /// Where there is no such group, and those of the database.
    pub fn insider_mls(&self, id: &GroupId) -> Result<Mls, StepError> {
        let epoch = self.insider_group(id)?.current()?.epoch;
        Mls::load(&self.cx.rng, id, self.cx.db.mls_rows(&epoch)?).map_err(state_error)
    }

    /// What is kept of a group: epochs; those with keys; roots; topics in the present slot.
    ///
    /// # Errors
    /// Where there is no such group, and those of the database.
    pub fn insider_kept(&self, id: &GroupId) -> Result<[usize; 4], StepError> {
        self.insider_group(id)?.insider_kept(&self.cx)
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
        self.insider_group(id)?;
        let known = Known { who: self.who(), cards: &self.cards };
        let reachable = known.contact(&self.cx, account).map_err(failed)?;
        let packages = reachable.packages.into_iter().map(|(package, _)| package).collect();
        Ok((packages, vec![reachable.inbox]))
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
        let group = self.insider_group(id)?;
        let header = CommitHeader { slot, ..CommitHeader::default() };
        let info = group.join_info(&self.cx, group.current()?, &header, &[]);
        Ok(info.map_err(failed)?.encode())
    }

    /// Another installation of this account, in an empty database, taken into the self group by this
    /// one: what linking comes to, without the network.
    ///
    /// # Errors
    /// Those of the database, or where the log or MLS refuse it.
    pub fn insider_installation(
        &mut self,
        store: Database,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Machine, StepError> {
        self.cx.now = now;
        let rng = SharedRng::new(seed);
        let key = InstallationKey::generate(&mut *rng.lock());
        let possession = key.prove_possession(&self.me.account, &self.cx.network);
        let signer = EntrySigner::Installation(&self.me.key);
        let mut log = self.me.log().clone();
        let entry = log.add(signer, key.id(), possession, now).map_err(state_error)?;
        log.insert(entry).map_err(state_error)?;
        store.begin()?;
        let identity = Identity::new(&key, &self.me.card_secret, &log, now);
        identity.found(&store, &self.cx.network)?;
        store.commit()?;
        let cx = Cx::new(store, self.cx.params.clone(), rng, now);
        let mut other = Machine::assemble(cx).map_err(state_error)?;
        other.cx.db.begin()?;
        let package = other.keys.current_package(&mut other.cx, &other.me)?;
        other.run_effects()?;
        other.cx.db.commit()?;

        self.cx.db.begin()?;
        self.learn_log(&log)?;
        self.admit_installation(key.id(), &package.bytes).map_err(failed)?;
        let Self { cx, me, logs, cards, groups, .. } = self;
        let who = Who { me, logs };
        let own_group = cx.own_group.and_then(|id| groups.get_mut(&id));
        let own_group = own_group.ok_or_else(|| state_error("no self group"))?;
        own_group.commit_due(cx, who, &Known { who, cards })?;
        self.run_effects()?;
        self.save_drafts()?;
        self.cx.db.commit()?;
        let welcome = self.self_welcome(&key.id())?.ok_or_else(|| state_error("no Welcome"))?;
        other.cx.db.begin()?;
        let entered = other.enter_self_group(&welcome)?;
        entered.map_err(|why| state_error(format!("{why:?}")))?;
        other.run_effects()?;
        other.save_drafts()?;
        other.cx.db.commit()?;
        Ok(other)
    }

    /// The topic of the account's card in the period that a moment falls into.
    pub fn insider_card_topic(&self, at: Timestamp) -> String {
        self.me.card_topic(&self.cx, at)
    }
}
