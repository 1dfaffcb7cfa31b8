//! Effects between parts: what one asked for, another does.

use crate::ids::GroupId;
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::effect::Effect;

impl Machine {
    /// Carries out what parts have asked of one another, and what follows from it.
    pub(in crate::machine) fn run_effects(&mut self) -> Result<(), StepError> {
        while let Some(effect) = self.cx.next_effect() {
            self.run_effect(effect)?;
        }
        Ok(())
    }

    fn run_effect(&mut self, effect: Effect) -> Result<(), StepError> {
        match effect {
            Effect::Post(parcel, delay) => self.outbox.post(&self.cx, parcel, delay),
            Effect::Fetch { from } => {
                self.history.backfill(&self.cx, from);
                Ok(())
            }
            Effect::TopicsChanged(Some(group)) => {
                self.watch.clear_group(&group);
                Ok(())
            }
            Effect::TopicsChanged(None) => {
                self.watch.clear();
                Ok(())
            }
            Effect::Reconcile => {
                self.reconcile_due = true;
                Ok(())
            }
            Effect::Learn(log) => self.learn_log(&log).map(drop),
            Effect::TellOwn(items, delay) => self.sync_after(items, delay),
            Effect::ToldByOwn(author, body) => self.on_sync(&author, &body),
            Effect::Heard(installation) => OwnInstallation::heard(&self.cx, &installation),
            Effect::SelfWelcome(installations, invitation) => {
                self.keep_self_welcome(&installations, &invitation)
            }
            Effect::Introduce => self.introduce(),
            Effect::WantCard(account) => {
                self.cards.want(account);
                Ok(())
            }
            Effect::Prune(group) => self.prune(&group),
        }
    }

    /// Forgets what is beyond the horizon of a group.
    fn prune(&mut self, id: &GroupId) -> Result<(), StepError> {
        let proven = self.history.complete_to();
        let Self { cx, outbox, groups, .. } = self;
        match groups.get_mut(id) {
            Some(group) => group.prune(cx, proven, &|epoch| outbox.uses(epoch)),
            None => Ok(()),
        }
    }

    /// Forgets what is beyond the horizon of every group: time passes where nothing happens, too.
    pub(in crate::machine) fn prune_all(&mut self) -> Result<(), StepError> {
        let groups: Vec<_> = self.groups.keys().copied().collect();
        groups.iter().try_for_each(|group| self.prune(group))?;
        self.run_effects()
    }
}
