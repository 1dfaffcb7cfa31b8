use super::*;
use crate::machine::testing::context;

const A: GroupId = GroupId([1; 32]);
const B: GroupId = GroupId([2; 32]);
const SLOT: Slot = Slot(1000);

/// A root that differs from slot to slot, as those do that ratchet.
fn root(secret: u8, slot: Slot) -> Root {
    let mut value = [secret; 32];
    value[..8].copy_from_slice(&slot.0.to_be_bytes());
    Root::new(slot, value)
}

/// Topics by the secrets behind them, counting how often a group's are asked for.
#[derive(Default)]
struct Source {
    others: Vec<(u8, Target)>,
    groups: BTreeMap<GroupId, u8>,
    asked: std::cell::RefCell<Vec<GroupId>>,
}

impl TopicSource for Source {
    fn others(&self, slot: Slot) -> Vec<(Root, Target)> {
        self.others.iter().map(|(secret, target)| (root(*secret, slot), *target)).collect()
    }

    fn groups(&self) -> Vec<GroupId> {
        self.groups.keys().copied().collect()
    }

    fn roots_of(&self, group: &GroupId, slot: Slot) -> Vec<Root> {
        self.asked.borrow_mut().push(*group);
        vec![root(self.groups[group], slot)]
    }
}

fn source() -> Source {
    Source {
        others: vec![(9, Target::Inbox)],
        groups: BTreeMap::from([(A, 1), (B, 2)]),
        ..Source::default()
    }
}

/// The topics of a secret in a slot.
fn topics(cx: &Cx, secret: u8, slot: Slot) -> Vec<String> {
    lanes(&root(secret, slot), &cx.network).map(|topic| topic.to_string()).to_vec()
}

fn cards(slot: Slot) -> [(Slot, String); 3] {
    [slot.previous(), slot, slot.next()].map(|slot| (slot, "own card".to_owned()))
}

#[test]
fn a_topic_belongs_to_whom_its_root_belongs_in_that_slot_alone() {
    let (cx, source, mut watch) = (context(1), source(), Watch::default());
    for (secret, target) in [(9, Target::Inbox), (1, Target::Group(A)), (2, Target::Group(B))] {
        for topic in topics(&cx, secret, SLOT) {
            assert_eq!(watch.target(&cx, &source, &topic, SLOT), Some(target));
            assert_eq!(watch.target(&cx, &source, &topic, SLOT.next()), None);
        }
    }
    assert_eq!(watch.target(&cx, &source, "another", SLOT), None);
}

#[test]
fn when_a_group_changes_only_its_topics_are_computed_again() {
    let (cx, mut source, mut watch) = (context(1), source(), Watch::default());
    let (old, new) = (&topics(&cx, 1, SLOT)[0], &topics(&cx, 3, SLOT)[0]);
    assert_eq!(watch.target(&cx, &source, old, SLOT), Some(Target::Group(A)));
    watch.target(&cx, &source, old, SLOT);
    assert_eq!(*source.asked.borrow(), [A, B], "asked once");
    source.groups.insert(A, 3);
    assert_eq!(watch.target(&cx, &source, new, SLOT), None);
    watch.clear_group(&A);
    assert_eq!(watch.target(&cx, &source, new, SLOT), Some(Target::Group(A)));
    assert_eq!(watch.target(&cx, &source, old, SLOT), None);
    assert_eq!(*source.asked.borrow(), [A, B, A]);
}

#[test]
fn a_group_that_came_is_found_without_being_told_and_one_that_went_after() {
    let (cx, mut source, mut watch) = (context(1), source(), Watch::default());
    watch.topics(&cx, &source, SLOT);
    let c = GroupId([3; 32]);
    source.groups.insert(c, 7);
    let topic = &topics(&cx, 7, SLOT)[0];
    assert_eq!(watch.target(&cx, &source, topic, SLOT), Some(Target::Group(c)));
    source.groups.remove(&c);
    watch.clear_group(&c);
    assert_eq!(watch.target(&cx, &source, topic, SLOT), None);
}

#[test]
fn a_request_that_came_is_watched_once_all_is_computed_anew() {
    let (cx, mut source, mut watch) = (context(1), source(), Watch::default());
    watch.topics(&cx, &source, SLOT);
    let target = Target::Invitation(RequestId([4; 16]));
    source.others.push((8, target));
    watch.clear();
    let topic = &topics(&cx, 8, SLOT)[0];
    assert_eq!(watch.target(&cx, &source, topic, SLOT), Some(target));
}

#[test]
fn the_driver_is_told_what_is_new_and_what_is_not_wanted_any_more() {
    let (cx, mut source, mut watch) = (context(1), source(), Watch::default());
    watch.clear();
    let told = watch.refresh(&cx, &source, cards(SLOT));
    watch.commit();
    let [Output::Watch(all)] = &told[..] else { panic!("{told:?}") };
    let mut expected = BTreeSet::from(["own card".to_owned()]);
    for slot in [SLOT.previous(), SLOT, SLOT.next()] {
        for secret in [9, 1, 2] {
            expected.extend(topics(&cx, secret, slot));
        }
    }
    assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(watch.refresh(&cx, &source, cards(SLOT)), [], "nothing changed");

    source.groups.insert(A, 3);
    watch.clear_group(&A);
    let told = watch.refresh(&cx, &source, cards(SLOT));
    watch.commit();
    let [Output::Watch(fresh), Output::Unwatch(stale)] = &told[..] else { panic!("{told:?}") };
    assert!(topics(&cx, 3, SLOT).iter().all(|topic| fresh.contains(topic)));
    assert!(topics(&cx, 1, SLOT).iter().all(|topic| stale.contains(topic)));
    let lanes = topics(&cx, 1, SLOT).len();
    assert_eq!((fresh.len(), stale.len()), (3 * lanes, 3 * lanes));
}

#[test]
fn a_slot_that_begins_moves_what_is_watched_by_one() {
    let (cx, source, mut watch) = (context(1), source(), Watch::default());
    assert!(watch.enters(SLOT));
    assert!(!watch.enters(SLOT));
    watch.refresh(&cx, &source, cards(SLOT));
    watch.commit();
    assert!(watch.enters(SLOT.next()));
    let told = watch.refresh(&cx, &source, cards(SLOT.next()));
    let [Output::Watch(fresh), Output::Unwatch(stale)] = &told[..] else { panic!("{told:?}") };
    assert!(topics(&cx, 1, SLOT.next().next()).iter().all(|topic| fresh.contains(topic)));
    assert!(topics(&cx, 1, SLOT.previous()).iter().all(|topic| stale.contains(topic)));
}

#[test]
fn what_a_step_that_failed_would_have_told_is_told_again() {
    let (cx, source, mut watch) = (context(1), source(), Watch::default());
    watch.clear();
    let told = watch.refresh(&cx, &source, cards(SLOT));
    watch.take_back();
    watch.commit();
    assert_eq!(watch.refresh(&cx, &source, cards(SLOT)), told);
    watch.commit();
    // After the connection came again, the driver watches nothing.
    watch.reset();
    assert_eq!(watch.refresh(&cx, &source, cards(SLOT)), told);
}

#[test]
fn only_so_many_slots_are_kept_computed() {
    let (cx, source, mut watch) = (context(1), source(), Watch::default());
    for n in 0..100 {
        watch.topics(&cx, &source, Slot(SLOT.0 + n));
    }
    assert_eq!(watch.index.len(), INDEXED_SLOTS);
}

#[test]
fn a_slot_that_a_failed_step_entered_is_entered_again() {
    let mut watch = Watch::default();
    assert!(watch.enters(Slot(7)));
    watch.take_back();
    assert!(watch.enters(Slot(7)));
    assert!(!watch.enters(Slot(7)));
}
