//! When to do what was not typed just now. An observer sees many groups' topics and does not know which
//! of them belong to one account; what happens in several of them at one instant would say so. So
//! whatever an account has to do in all its groups, by the clock or because a connection came, is done
//! in each at a time of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{EpochId, GroupId};
use crate::machine::cx::Cx;
use crate::params::COMMIT_PACE;
use crate::time::Timestamp;

/// The groups whose queues wait for their time, and what the user did last.
#[derive(Debug, Default)]
pub(in crate::machine) struct Scheduler {
    held: BTreeMap<GroupId, Timestamp>,
    /// Whether the queues of the present connection were looked at.
    looked: bool,
    typed: Option<(GroupId, Timestamp)>,
}

impl Scheduler {
    /// The connection came or went: once this device may send, its queues are looked at again.
    pub(in crate::machine) fn on_connection(&mut self) {
        self.held.clear();
        self.looked = false;
    }

    /// Whether the queues have yet to be looked at.
    pub(in crate::machine) fn is_new(&self) -> bool {
        !self.looked
    }

    /// This device may send: the queues of these groups go out each at a time of its own. The one group
    /// in which the user has just done something does not wait, if there is one: one group alone tells
    /// nothing.
    pub(in crate::machine) fn hold(&mut self, cx: &Cx, groups: impl Iterator<Item = GroupId>) {
        self.looked = true;
        let most = cx.params.quiet_delay();
        let just_now = self.typed.filter(|(_, at)| cx.now.since(*at) < most);
        for group in groups.filter(|group| just_now.is_none_or(|(typed, _)| typed != *group)) {
            self.held.insert(group, cx.now + cx.within(most));
        }
    }

    /// The user does something in a group: what waits there goes with it, or it would be overtaken.
    /// True: something may have waited.
    pub(in crate::machine) fn typed(&mut self, cx: &Cx, group: GroupId) -> bool {
        self.typed = Some((group, cx.now));
        self.release(&group)
    }

    /// What waits in a group goes now.
    pub(in crate::machine) fn release(&mut self, group: &GroupId) -> bool {
        self.held.remove(group).is_some()
    }

    /// Until when the queue of a group waits; none: it does not. No wait is longer than the longest: one
    /// that is comes from a clock that was ahead then.
    pub(in crate::machine) fn held_until(&self, cx: &Cx, group: &GroupId) -> Option<Timestamp> {
        let latest = cx.now + cx.params.quiet_delay();
        self.held.get(group).copied().filter(|until| *until > cx.now && *until <= latest)
    }
}

/// Over how long the commits to many groups are spread: at least `share` of a slot, given in
/// thousandths, and as long as the pace asks for.
pub(in crate::machine) fn spread(cx: &Cx, share: u64, groups: usize) -> Duration {
    let slot = cx.params.part_of_slot(1);
    let part = |thousandths: u64| slot.saturating_mul(thousandths as u32) / 1000;
    part(share).max(part(COMMIT_PACE).saturating_mul(groups as u32))
}

/// The place of a group within a spread. All its members find the same one, so that their order stays,
/// and nobody else does: the epoch's id never shows.
pub(in crate::machine) fn place(epoch: &EpochId, spread: Duration) -> Duration {
    let mut drawn = [0; 8];
    drawn.copy_from_slice(&epoch.0[..8]);
    let most = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(u64::from_be_bytes(drawn).checked_rem(most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::{NOW, context};
    use crate::params::NetworkParams;

    fn group(number: u8) -> GroupId {
        GroupId([number; 32])
    }

    #[test]
    fn queues_go_out_apart_and_within_what_a_user_waits() {
        let mut cx = context(1);
        cx.params = NetworkParams::public();
        let mut scheduler = Scheduler::default();
        assert!(scheduler.is_new());
        scheduler.hold(&cx, (0..100).map(group));
        assert!(!scheduler.is_new());
        let until = |at: u8| scheduler.held_until(&cx, &group(at)).map_or(NOW, |until| until);
        let mut times: Vec<Timestamp> = (0..100).map(until).collect();
        times.sort();
        assert!(times[99] <= NOW + Duration::from_secs(60), "{times:?}");
        assert!(times[99].since(times[0]) > Duration::from_secs(40), "{times:?}");
        // Each at a time of its own: no second has more than chance puts there.
        assert!(times.windows(12).all(|few| few[11].since(few[0]) > Duration::from_secs(1)));
        scheduler.on_connection();
        assert!(scheduler.is_new() && scheduler.held_until(&cx, &group(1)).is_none());
    }

    #[test]
    fn only_the_group_that_was_typed_in_last_does_not_wait() {
        let mut cx = context(1);
        cx.params = NetworkParams::public();
        let mut scheduler = Scheduler::default();
        scheduler.typed(&cx, group(1));
        scheduler.typed(&cx, group(2));
        scheduler.hold(&cx, (0..4).map(group));
        let held = |cx: &Cx, it: &Scheduler, at: u8| it.held_until(cx, &group(at)).is_some();
        assert!(held(&cx, &scheduler, 1) && !held(&cx, &scheduler, 2) && held(&cx, &scheduler, 3));
        assert!(scheduler.typed(&cx, group(3)) && !held(&cx, &scheduler, 3));
        // What was typed long ago waits like all the rest.
        scheduler.on_connection();
        cx.now = NOW + Duration::from_secs(61);
        scheduler.hold(&cx, [group(3)].into_iter());
        assert!(scheduler.held_until(&cx, &group(3)).is_some());
        // Nor does a clock that was set back make it wait for longer.
        cx.now = NOW - Duration::from_secs(3600);
        assert!(scheduler.held_until(&cx, &group(3)).is_none());
    }

    #[test]
    fn a_fast_network_holds_nothing() {
        let cx = context(1);
        let mut scheduler = Scheduler::default();
        scheduler.hold(&cx, (0..10).map(group));
        assert!((0..10).all(|at| scheduler.held_until(&cx, &group(at)).is_none()));
    }

    #[test]
    fn groups_have_places_of_their_own() {
        let hour = Duration::from_secs(3600);
        let epoch = |number: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            EpochId(id)
        };
        let places: Vec<Duration> = (1..20).map(|at| place(&epoch(at), hour)).collect();
        assert!(places.iter().all(|it| *it < hour));
        let apart = |a: &Duration, b: &Duration| a.abs_diff(*b) > Duration::from_secs(1);
        assert!(places.windows(2).all(|two| apart(&two[0], &two[1])), "{places:?}");
        assert_eq!(place(&epoch(3), Duration::ZERO), Duration::ZERO);
    }
}
