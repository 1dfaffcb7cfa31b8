//! Effects between parts: what one asked for, another does. And what a group has judged is taken in,
//! which has effects, which may have it judge more.

use crate::ids::GroupId;
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::StepError;
use crate::machine::api::io::Output;
use crate::machine::assembly::Machine;
use crate::machine::effect::Effect;
use crate::machine::group::verdict::Verdict;
use crate::machine::group::{deferred, stored};
use crate::machine::people::logs::Who;

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
            Effect::Fetch { from, why } => {
                self.history.backfill(&self.cx, from, why);
                Ok(())
            }
            Effect::Doubt(group) => {
                self.doubts.note(&self.cx, group);
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
            Effect::Unsendable { group, message } => stored::fail(&self.cx, &group, &message),
            Effect::RetryDeferred(group) => self.retry_deferred(group),
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

    pub(in crate::machine) fn say_disposed(&mut self, disposition: Disposition) {
        self.counters.count(&disposition);
        self.cx.out.push(Output::Disposed(disposition));
    }

    /// Takes in what a group judged; what it says of logs first.
    pub(in crate::machine) fn apply(
        &mut self,
        id: GroupId,
        verdict: Verdict,
    ) -> Result<Disposition, StepError> {
        if let Some(header) = verdict.header().cloned() {
            self.learn_warrants(&header)?;
        }
        let Self { cx, me, logs, groups, .. } = self;
        let Some(group) = groups.get_mut(&id) else { return Ok(Disposition::NotForUs) };
        let disposition = group.apply(cx, Who { me, logs }, verdict)?;
        self.run_effects()?;
        Ok(disposition)
    }

    /// What waited for a slot that has come is looked at; what has waited too long is dropped.
    pub(in crate::machine) fn review_deferred(&mut self) -> Result<(), StepError> {
        deferred::due(&self.cx)?.into_iter().try_for_each(|group| self.retry_deferred(group))
    }

    /// Looks again at what a group keeps for later, until nothing more comes of it. Called when an
    /// epoch came.
    pub(in crate::machine) fn retry_deferred(&mut self, id: GroupId) -> Result<(), StepError> {
        loop {
            let mut progress = false;
            let Some(group) = self.groups.get(&id) else { return Ok(()) };
            for row in group.deferred(&self.cx)? {
                let Self { cx, me, logs, groups, .. } = self;
                let Some(group) = groups.get_mut(&id) else { return Ok(()) };
                let Some(verdict) = group.reopen(cx, Who { me, logs }, &row)? else { continue };
                let disposition = self.apply(id, verdict)?;
                progress |= matches!(disposition, Disposition::Commit(_));
                self.say_disposed(disposition);
            }
            if !progress {
                return Ok(());
            }
        }
    }
}
