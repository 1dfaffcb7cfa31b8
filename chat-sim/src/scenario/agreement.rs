//! What the members of a group agree on, and what they can read.

use std::collections::BTreeSet;

use chat_core::ids::{EpochId, InstallationId};
use chat_core::machine::Membership;

use super::handle::{GroupHandle, Who};

/// What members of a group have to agree on. The epoch id is a hash of the epoch authenticator.
#[derive(Debug, PartialEq, Eq)]
struct Agreed {
    epoch: EpochId,
    name: String,
    description: String,
    members: BTreeSet<InstallationId>,
}

impl GroupHandle {
    fn agreed(&self, who: &dyn Who) -> Option<Agreed> {
        let installation = who.installation();
        let view = installation.group(self).filter(|it| it.membership == Membership::Active)?;
        let (epoch, name, description) = (view.epoch_id, view.name, view.description);
        Some(Agreed { epoch, name, description, members: installation.members(self) })
    }

    /// Whether all these installations are members and in the same epoch, with the same members and
    /// the same name, and whether each of them is among the members.
    pub fn is_agreed(&self, by: &[&dyn Who]) -> bool {
        self.disagreement(by).is_none()
    }

    /// Asserts the same.
    ///
    /// # Panics
    /// Where it is not so.
    #[track_caller]
    pub fn assert_agreed(&self, by: &[&dyn Who]) {
        if let Some(found) = self.disagreement(by) {
            panic!("{found}");
        }
    }

    fn disagreement(&self, by: &[&dyn Who]) -> Option<String> {
        let mut first: Option<(&str, Agreed)> = None;
        for who in by {
            let installation = who.installation();
            let Some(here) = self.agreed(*who) else {
                return Some(format!("{} is not a member", installation.name()));
            };
            if !here.members.contains(&installation.id()) {
                return Some(format!("{} is not among its own members", installation.name()));
            }
            match &first {
                None => first = Some((installation.name(), here)),
                Some((_, agreed)) if *agreed == here => {}
                Some((name, agreed)) => {
                    return Some(format!(
                        "{name} has {agreed:?}, and {} has {here:?}",
                        installation.name()
                    ));
                }
            }
        }
        None
    }

    /// Whether each of these installations has exactly these texts, each once, in whatever order.
    pub fn is_read(&self, by: &[&dyn Who], texts: &[&str]) -> bool {
        by.iter().all(|who| sorted(who.installation().history(self)) == sorted_texts(texts))
    }

    /// Asserts the same.
    ///
    /// # Panics
    /// Where it is not so.
    #[track_caller]
    pub fn assert_read(&self, by: &[&dyn Who], texts: &[&str]) {
        for who in by {
            let installation = who.installation();
            let found = sorted(installation.history(self));
            assert_eq!(found, sorted_texts(texts), "at {}", installation.name());
        }
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn sorted_texts(texts: &[&str]) -> Vec<String> {
    sorted(texts.iter().map(|text| (*text).to_owned()).collect())
}
