//! Where a group looks up what it takes to add others. The machine answers from contacts' cards and
//! from what its own installations said.

use openmls::key_packages::KeyPackage;

use crate::group::epoch::{EpochInfo, Leaf};
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::done::Done;
use crate::machine::cx::Cx;

/// A contact that can be added now.
pub(in crate::machine) struct Reachable {
    /// The key package and leaf of each of its installations.
    pub(in crate::machine) packages: Vec<(KeyPackage, Leaf)>,
    /// The inbox key that its doorbell goes to.
    pub(in crate::machine) inbox: [u8; 32],
}

/// What it takes to add others. It changes nothing.
pub(in crate::machine) trait Directory {
    /// How a contact is added.
    ///
    /// # Errors
    /// [`CommandError::ContactPending`](crate::machine::CommandError::ContactPending) and others
    /// where it has no usable card.
    fn contact(&self, cx: &Cx, account: &AccountId) -> Done<Reachable>;

    /// The key package of another installation of this account.
    ///
    /// # Errors
    /// [`CommandError::BadKeyPackage`](crate::machine::CommandError::BadKeyPackage) where none is
    /// usable.
    fn installation(&self, cx: &Cx, id: &InstallationId) -> Done<(KeyPackage, Leaf)>;

    /// Whether an account is in an epoch with revoked installations only, and can be added with
    /// others.
    fn needs_readmission(&self, cx: &Cx, state: &EpochInfo, account: &AccountId) -> bool;
}
