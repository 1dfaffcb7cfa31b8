//! The self group: an ordinary MLS group of the account's own installations, which the application
//! does not see. It is made when the account gets its second installation.

use super::disposition::Refused;
use super::error::{CommandError, StepError};
use super::group::{Group, state_error};
use super::intents::{Intent, IntentRecord};
use super::joining::Origin;
use super::people::PackageRecord;
use super::{Done, Machine};
use crate::contact::invitation::Invitation;
use crate::group::error::GroupError;
use crate::group::join::{Joined, join};
use crate::group::package::{OwnPackage, read_package};
use crate::group::policy::GroupPolicy;
use crate::ids::{EpochId, GroupId, InstallationId};
use crate::params::KEY_PACKAGE_USE;
use crate::store::{Keyed, Timed};
use crate::wire::sync::SyncItem;
use zeroize::Zeroizing;

/// Where the self group's id is kept.
const SELF_GROUP: &str = "self_group";

/// A Welcome that an installation has yet to fetch, as stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct WelcomeRecord {
    #[serde(with = "serde_bytes")]
    invitation: Vec<u8>,
}

impl Machine {
    /// Reads the self group's id from the database.
    pub(super) fn load_self_group(&mut self) -> Result<(), StepError> {
        self.self_group = self.store.meta(SELF_GROUP)?;
        Ok(())
    }

    /// Whether a group is one that the application sees.
    pub(super) fn is_visible(&self, group: &GroupId) -> bool {
        self.self_group != Some(*group)
    }

    /// The self group, which is made if there is none.
    pub(super) fn ensure_self_group(&mut self) -> Result<GroupId, StepError> {
        if let Some(group) = self.self_group.filter(|id| self.groups.contains_key(id)) {
            return Ok(group);
        }
        let policy = GroupPolicy::new(self.me.account, String::new(), String::new(), self.network);
        let group = self.found_group(policy)?;
        self.set_self_group(group)?;
        Ok(group)
    }

    fn set_self_group(&mut self, group: GroupId) -> Result<(), StepError> {
        self.store.set_meta(SELF_GROUP, &group)?;
        self.self_group = Some(group);
        Ok(())
    }

    /// Takes an installation that is in the log into the self group, with its key package. From
    /// there it comes into all other groups. Doing it again changes nothing.
    ///
    /// Its Welcome is then to be had from [`Machine::self_welcome`]; if the commit loses to another
    /// one, a new Welcome takes its place.
    ///
    /// # Errors
    /// [`CommandError::UnknownInstallation`] where the log does not have it;
    /// [`CommandError::BadKeyPackage`].
    pub(super) fn admit_installation(
        &mut self,
        installation: InstallationId,
        package: &[u8],
    ) -> Done<()> {
        if !self.me.log.state().active.contains_key(&installation) {
            return Err(CommandError::UnknownInstallation { installation }.into());
        }
        let bad = CommandError::BadKeyPackage { installation };
        let (_, leaf) = read_package(package, &self.rng, &self.network).map_err(|_| bad.clone())?;
        if (leaf.account, leaf.installation) != (self.me.account, installation) {
            return Err(bad.into());
        }
        self.keep_package(installation, package, self.now + KEY_PACKAGE_USE)?;
        let group = self.ensure_self_group()?;
        match self.intend(group, Intent::Enrol(vec![installation])) {
            Ok(_) | Err(super::Fail::Refused(CommandError::NothingToDo)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The Welcome with which an installation enters the self group.
    pub(super) fn self_welcome(
        &self,
        installation: &InstallationId,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let record: Option<WelcomeRecord> =
            self.store.keyed(Keyed::SelfWelcome, installation.as_bytes())?;
        Ok(record.map(|record| record.invitation))
    }

    /// Keeps a Welcome until its installation was heard in the self group.
    pub(super) fn keep_self_welcome(
        &mut self,
        installations: &[InstallationId],
        invitation: &[u8],
    ) -> Result<(), StepError> {
        let record = WelcomeRecord { invitation: invitation.to_vec() };
        for installation in installations {
            self.store.set_keyed(Keyed::SelfWelcome, installation.as_bytes(), &record)?;
        }
        Ok(())
    }

    /// An installation was heard in the self group: it is there.
    pub(super) fn drop_self_welcome(&mut self, id: &InstallationId) -> Result<(), StepError> {
        if self.self_welcome(id)?.is_some() {
            self.store.delete_keyed(Keyed::SelfWelcome, id.as_bytes())?;
        }
        Ok(())
    }

    /// Enters the self group with the invitation that the linking brought.
    ///
    /// # Errors
    /// Those of the database. What is wrong with the invitation is in the inner result.
    pub(super) fn enter_self_group(
        &mut self,
        invitation: &[u8],
    ) -> Result<Result<GroupId, Refused>, StepError> {
        let (joined, inbox) = match self.open_invitation(invitation)? {
            Ok(opened) => opened,
            Err(why) => return Ok(Err(why)),
        };
        let id = joined.mls.id()?;
        let foreign = joined.leaves.iter().any(|leaf| leaf.account != self.me.account);
        if foreign || self.self_group.is_some_and(|known| known != id) {
            return Ok(Err(Refused::Policy));
        }
        // Before it is joined: what is told of it is not for the application.
        let known = self.self_group.replace(id);
        match self.enter_own(joined, inbox, false)? {
            Ok(id) => {
                self.set_self_group(id)?;
                self.store.reserve_history()?;
                self.announce()?;
                Ok(Ok(id))
            }
            Err(why) => {
                self.self_group = known;
                Ok(Err(why))
            }
        }
    }

    /// An invitation that another installation of this account made for this one.
    pub(super) fn on_own_welcome(
        &mut self,
        invitation: &[u8],
        back: bool,
    ) -> Result<(), StepError> {
        let verdict = match self.open_invitation(invitation)? {
            Ok((joined, inbox)) => self.enter_own(joined, inbox, back)?,
            Err(why) => Err(why),
        };
        if let Err(why) = verdict {
            // One for another installation comes here too.
            tracing::debug!(?why, "a Welcome of another installation is not taken");
        }
        Ok(())
    }

    /// Where a state lost in which installations of this account are that another commit, which
    /// counts, let in too: they may follow the one that lost, and cannot see the other.
    pub(super) fn call_back(&mut self, id: GroupId, lost: &EpochId) -> Result<(), StepError> {
        let Some(group) = self.groups.get(&id).filter(|group| group.is_member()) else {
            return Ok(());
        };
        let (tree, tip) = (&group.tree, &group.record.tip);
        let Some(state) = group.states.get(lost).filter(|_| !tree.is_ancestor(lost, tip)) else {
            return Ok(());
        };
        let astray = |record: &IntentRecord| {
            let (Intent::Enrol(whom), Some((_, epoch))) = (&record.intent, &record.done_by) else {
                return None;
            };
            let both = record.group == id
                && tree.is_ancestor(epoch, tip)
                && !tree.is_ancestor(epoch, lost)
                && whom.iter().any(|installation| state.leaf_of(installation).is_some());
            record.welcome.as_ref().filter(|_| both).map(|welcome| welcome.0.clone())
        };
        let items: Vec<SyncItem> =
            self.intents.values().filter_map(astray).map(SyncItem::WelcomeBack).collect();
        let delay = self.invitation_delay();
        self.sync_after(items, delay)
    }

    /// Opens an invitation with whichever own key package it is for.
    #[allow(clippy::type_complexity)]
    fn open_invitation(
        &mut self,
        invitation: &[u8],
    ) -> Result<Result<(Joined, Zeroizing<[u8; 32]>), Refused>, StepError> {
        let Ok(Invitation { welcome, tree: Some(tree) }) = Invitation::decode(invitation) else {
            return Ok(Err(Refused::Content));
        };
        let records = self.store.all_timed::<PackageRecord>(Timed::KeyPackage)?;
        let (packages, inboxes): (Vec<OwnPackage>, Vec<_>) =
            records.into_iter().map(|record| (record.package, record.inbox)).unzip();
        let joined = match join(&self.rng, &self.network, &packages, &welcome, &tree) {
            Ok(joined) => joined,
            Err(GroupError::Format(_)) => return Ok(Err(Refused::Mls)),
            Err(error) => {
                tracing::warn!(%error, "an invitation of another installation cannot be joined");
                return Ok(Err(Refused::Mls));
            }
        };
        let inbox = packages
            .iter()
            .position(|package| package.reference == joined.reference)
            .and_then(|at| inboxes.get(at).cloned())
            .ok_or_else(|| state_error("the inbox key of a key package is not there"))?;
        Ok(Ok((joined, inbox)))
    }

    /// Whether another installation may put this one on another branch: one that is not junior to it,
    /// where it was let in by one of its account, as long as the way in is within the horizon. Else a
    /// stolen device could take the others out of their groups.
    fn may_be_moved(&self, group: &Group, by: Option<InstallationId>) -> bool {
        let record = &group.record;
        // Whoever made the group found nobody there.
        let let_in = record.invited_by == self.me.account && !record.members_before.is_empty();
        let active = &self.me.log.state().active;
        let entry = |id: &InstallationId| active.get(id).map(|info| info.entry);
        let junior = match (entry(&self.me.key.id()), by.and_then(|by| entry(&by))) {
            (Some(own), Some(by)) => self.me.log.is_senior(&own, &by),
            _ => true,
        };
        let_in && !junior && group.states.contains_key(&record.first_epoch)
    }

    fn enter_own(
        &mut self,
        joined: Joined,
        inbox: Zeroizing<[u8; 32]>,
        back: bool,
    ) -> Result<Result<GroupId, Refused>, StepError> {
        let id = joined.mls.id()?;
        let inviter = joined.leaves.iter().find(|leaf| leaf.leaf == joined.inviter);
        if inviter.map(|leaf| leaf.account) != Some(self.me.account) {
            return Ok(Err(Refused::Authentication));
        }
        if joined.info.slot > self.slot().next() {
            return Ok(Err(Refused::Content));
        }
        if let Some(group) = self.groups.get(&id) {
            // In already, by whichever way. Two that let us in at one time make two branches, and of
            // the one that we are not on we know nothing: but a deeper one counts more, and of two
            // that are equally deep an installation that knows both says which.
            let (here, there) = (group.current()?.number, joined.mls.epoch());
            let counts_more = there > here || (back && there == here);
            let by = inviter.map(|leaf| leaf.installation);
            if group.is_member() && !(counts_more && self.may_be_moved(group, by)) {
                return Ok(Err(Refused::Replay));
            }
        }
        let own = self.me.account;
        match self.begin_membership(joined, own, inbox, Origin::OwnInstallation)? {
            Some(id) => Ok(Ok(id)),
            None => Ok(Err(Refused::Replay)),
        }
    }
}
