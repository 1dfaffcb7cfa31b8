//! The self group: an ordinary MLS group of the account's own installations, which the application
//! does not see. It is made when the account gets its second installation.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::contact::invitation::Invitation;
use crate::database::Keyed;
use crate::group::epoch::Leaf;
use crate::group::join::Joined;
use crate::group::package::read_package;
use crate::group::policy::GroupPolicy;
use crate::ids::{GroupId, InstallationId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::disposition::Refused;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::assembly::{Machine, SELF_GROUP};
use crate::machine::group::begin::Origin;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::intent::Intent;
use crate::params::KEY_PACKAGE_USE;

/// A Welcome that an installation has yet to fetch, as stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct WelcomeRecord {
    #[serde(with = "serde_bytes")]
    invitation: Vec<u8>,
}

impl Machine {
    /// The self group, if there is one.
    pub(in crate::machine) fn self_group(&self) -> Option<&Conversation> {
        self.groups.get(&self.cx.own_group?)
    }

    /// The self group, which is made if there is none.
    fn ensure_self_group(&mut self) -> Result<GroupId, StepError> {
        if let Some(group) = self.self_group() {
            return Ok(group.id());
        }
        let network = self.cx.network;
        let policy = GroupPolicy::new(self.me.account, String::new(), String::new(), network);
        let group = self.found_group(&policy)?;
        self.set_self_group(group)?;
        Ok(group)
    }

    fn set_self_group(&mut self, group: GroupId) -> Result<(), StepError> {
        self.cx.db.set_meta(SELF_GROUP, &group)?;
        self.cx.own_group = Some(group);
        Ok(())
    }

    /// With a new day comes a new key package, which the others have to know.
    pub(in crate::machine) fn renew_package(&mut self) -> Result<(), StepError> {
        let id = self.me.id();
        let alone = self.self_group().is_none_or(|group| {
            let others = |leaf: &Leaf| leaf.installation != id;
            !group.is_member() || group.current().is_ok_and(|it| !it.leaves.iter().any(others))
        });
        if !alone {
            self.keys.current_package(&mut self.cx, &self.me)?;
        }
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
    pub(in crate::machine) fn admit_installation(
        &mut self,
        installation: InstallationId,
        package: &[u8],
    ) -> Done<()> {
        if !self.me.log().state().active.contains_key(&installation) {
            return Err(CommandError::UnknownInstallation { installation }.into());
        }
        let bad = CommandError::BadKeyPackage { installation };
        let (_, leaf) =
            read_package(package, &self.cx.rng, &self.cx.network).map_err(|_| bad.clone())?;
        if (leaf.account, leaf.installation) != (self.me.account, installation) {
            return Err(bad.into());
        }
        let usable_until = self.cx.now + KEY_PACKAGE_USE;
        OwnInstallation::keep_package(&mut self.cx, installation, package, usable_until)?;
        let id = self.ensure_self_group()?;
        let planned =
            |intent: &Intent| matches!(intent, Intent::Enrol(it) if it.contains(&installation));
        if let Some(group) = self.groups.get_mut(&id)
            && !group.has(&installation)
            && !group.open_intents().any(planned)
        {
            group.intend(&self.cx, Intent::Enrol(vec![installation]), Duration::ZERO)?;
        }
        Ok(())
    }

    /// The Welcome with which an installation enters the self group.
    pub(in crate::machine) fn self_welcome(
        &self,
        installation: &InstallationId,
    ) -> Result<Option<Vec<u8>>, StepError> {
        let record: Option<WelcomeRecord> =
            self.cx.db.keyed(Keyed::SelfWelcome, installation.as_bytes())?;
        Ok(record.map(|record| record.invitation))
    }

    /// Keeps a Welcome until its installation was heard in the self group.
    pub(in crate::machine) fn keep_self_welcome(
        &mut self,
        installations: &[InstallationId],
        invitation: &[u8],
    ) -> Result<(), StepError> {
        let record = WelcomeRecord { invitation: invitation.to_vec() };
        for installation in installations {
            self.cx.db.set_keyed(Keyed::SelfWelcome, installation.as_bytes(), &record)?;
        }
        Ok(())
    }

    /// An installation was heard in the self group: it is there.
    pub(in crate::machine) fn drop_self_welcome(
        &mut self,
        id: &InstallationId,
    ) -> Result<(), StepError> {
        if self.self_welcome(id)?.is_some() {
            self.cx.db.delete_keyed(Keyed::SelfWelcome, id.as_bytes())?;
        }
        Ok(())
    }

    /// Enters the self group with the invitation that the linking brought.
    ///
    /// # Errors
    /// Those of the database. What is wrong with the invitation is in the inner result.
    pub(in crate::machine) fn enter_self_group(
        &mut self,
        invitation: &[u8],
    ) -> Result<Result<GroupId, Refused>, StepError> {
        let (joined, inbox) = match self.open_own_welcome(invitation)? {
            Ok(opened) => opened,
            Err(why) => return Ok(Err(why)),
        };
        let id = joined.mls.id()?;
        let foreign = joined.leaves.iter().any(|leaf| leaf.account != self.me.account);
        if foreign || self.cx.own_group.is_some_and(|known| known != id) {
            return Ok(Err(Refused::Policy));
        }
        // Before it is joined: what is told of it is not for the application.
        let known = self.cx.own_group.replace(id);
        match self.enter_own(joined, inbox, false)? {
            Ok(id) => {
                self.set_self_group(id)?;
                self.cx.db.reserve_history()?;
                self.announce()?;
                Ok(Ok(id))
            }
            Err(why) => {
                self.cx.own_group = known;
                Ok(Err(why))
            }
        }
    }

    /// An invitation that another installation of this account made for this one. `back`: this one
    /// may be on a branch that lost.
    pub(in crate::machine) fn on_own_welcome(
        &mut self,
        invitation: &[u8],
        back: bool,
    ) -> Result<(), StepError> {
        let verdict = match self.open_own_welcome(invitation)? {
            Ok((joined, inbox)) => self.enter_own(joined, inbox, back)?,
            Err(why) => Err(why),
        };
        if let Err(why) = verdict {
            // One for another installation comes here too.
            tracing::debug!(?why, "a Welcome of another installation is not taken");
        }
        Ok(())
    }

    #[allow(clippy::type_complexity)]
    fn open_own_welcome(
        &self,
        invitation: &[u8],
    ) -> Result<Result<(Joined, Zeroizing<[u8; 32]>), Refused>, StepError> {
        let Ok(Invitation { welcome, tree: Some(tree) }) = Invitation::decode(invitation) else {
            return Ok(Err(Refused::Content));
        };
        Ok(self.open_welcome(&welcome, &tree)?.map_err(|error| {
            tracing::debug!(%error, "an invitation of another installation cannot be joined");
            Refused::Mls
        }))
    }

    /// Whether another installation may put this one on another branch: one that is not junior to it,
    /// where it was let in by one of its account, as long as the way in is within the horizon. Else a
    /// stolen device could take the others out of their groups.
    fn may_be_moved(&self, group: &Conversation, by: Option<InstallationId>) -> bool {
        let active = &self.me.log().state().active;
        let entry = |id: &InstallationId| active.get(id).map(|info| info.entry);
        let junior = match (entry(&self.me.id()), by.and_then(|by| entry(&by))) {
            (Some(own), Some(by)) => self.me.log().is_senior(&own, &by),
            _ => true,
        };
        group.let_in_by() == Some(self.me.account) && !junior && group.holds_first_epoch()
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
        if joined.info.slot > self.cx.slot().next() {
            return Ok(Err(Refused::Content));
        }
        if let Some(group) = self.groups.get(&id) {
            // In already, one way or another. Two that let us in at one time make two branches, and
            // of the one that we are not on we know nothing: but a deeper one counts more, and of
            // two that are equally deep an installation that knows both says which.
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
