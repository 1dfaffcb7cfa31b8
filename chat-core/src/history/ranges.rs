//! A set of numbers as ranges: millions of numbers without a gap take the room of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A set of numbers, kept as ranges that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Ranges(BTreeMap<u64, u64>);

impl From<Vec<(u64, u64)>> for Ranges {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl From<Ranges> for Vec<(u64, u64)> {
    fn from(ranges: Ranges) -> Self {
        ranges.iter().collect()
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<T: IntoIterator<Item = (u64, u64)>>(pairs: T) -> Self {
        let mut out = Self::default();
        for (first, last) in pairs {
            out.insert(first, last);
        }
        out
    }
}

impl Ranges {
    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ranges the set takes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many numbers are in the set; saturates.
    pub fn count(&self) -> u64 {
        self.iter()
            .fold(0u64, |sum, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// The ranges, ascending, both ends included.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// The lowest number, if there is one.
    pub fn first(&self) -> Option<u64> {
        self.0.first_key_value().map(|(first, _)| *first)
    }

    /// The highest number, if there is one.
    pub fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, last)| *last)
    }

    /// The range that a number is in.
    pub fn range_of(&self, n: u64) -> Option<(u64, u64)> {
        let (first, last) = self.0.range(..=n).next_back()?;
        (n <= *last).then_some((*first, *last))
    }

    /// Whether a number is in the set.
    pub fn contains(&self, n: u64) -> bool {
        self.range_of(n).is_some()
    }

    /// Adds all numbers from `first` to `last`, both included; nothing if they are out of order.
    pub fn insert(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        // What overlaps or touches melts into the new range.
        while let Some((f, l)) = self.0.range(..=last.saturating_add(1)).next_back() {
            let (f, l) = (*f, *l);
            if l.saturating_add(1) < first {
                break;
            }
            self.0.remove(&f);
            first = first.min(f);
            last = last.max(l);
        }
        self.0.insert(first, last);
    }

    /// Takes out all numbers from `first` to `last`, both included.
    pub fn remove(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        while let Some((f, l)) = self.0.range(..=last).next_back() {
            let (f, l) = (*f, *l);
            if l < first {
                break;
            }
            self.0.remove(&f);
            if l > last {
                self.0.insert(last + 1, l);
            }
            if f < first {
                self.0.insert(f, first - 1);
            }
        }
    }

    /// Adds all numbers of another set.
    pub fn add(&mut self, other: &Ranges) {
        for (first, last) in other.iter() {
            self.insert(first, last);
        }
    }

    /// Takes out all numbers of another set. Looks only at what the two have in common, so that a
    /// small set is cheap to compare with a large one.
    pub fn subtract(&mut self, other: &Ranges) {
        let common: Vec<(u64, u64)> =
            self.iter().flat_map(|(first, last)| other.touching(first, last)).collect();
        for (first, last) in common {
            self.remove(first, last);
        }
    }

    /// The ranges that have a number from `first` to `last`.
    fn touching(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let inside = self.0.range(first..=last).map(|(f, l)| (*f, *l));
        // The one that began before `first` and reaches it; not one that begins there.
        let before = first.checked_sub(1).and_then(|n| self.0.range(..=n).next_back());
        before.map(|(f, l)| (*f, *l)).filter(|(_, l)| *l >= first).into_iter().chain(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_ends_of_numbers_do_not_overflow() {
        let mut set = Ranges::default();
        set.insert(u64::MAX, u64::MAX);
        set.insert(0, u64::MAX - 1);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u64::MAX)]);
        assert_eq!(set.count(), u64::MAX);
        set.remove(0, 0);
        set.remove(u64::MAX, u64::MAX);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(1, u64::MAX - 1)]);
        set.insert(5, 4);
        set.remove(5, 4);
        assert_eq!(set.len(), 1);
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_sets(
            one in prop::collection::vec((0u64..60, 0u64..9), 0..12),
            two in prop::collection::vec((0u64..60, 0u64..9), 0..12),
        ) {
            let ranges = |list: &[(u64, u64)]| -> Ranges {
                list.iter().map(|(first, more)| (*first, first + more)).collect()
            };
            let numbers = |set: &Ranges| -> BTreeSet<u64> {
                set.iter().flat_map(|(first, last)| first..=last).collect()
            };
            let (a, b) = (ranges(&one), ranges(&two));
            let mut less = a.clone();
            less.subtract(&b);
            prop_assert_eq!(numbers(&less), &numbers(&a) - &numbers(&b));
            let mut more = a.clone();
            more.add(&b);
            prop_assert_eq!(numbers(&more), &numbers(&a) | &numbers(&b));
        }

        #[test]
        fn equal_to_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..60)
        ) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for (add, first, more) in steps {
                let last = first + more;
                if add {
                    ranges.insert(first, last);
                    model.extend(first..=last);
                } else {
                    ranges.remove(first, last);
                    model.retain(|n| *n < first || *n > last);
                }
                let flat: Vec<u64> = ranges.iter().flat_map(|(f, l)| f..=l).collect();
                prop_assert_eq!(flat, model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(ranges.count(), model.len() as u64);
                prop_assert_eq!(ranges.first(), model.first().copied());
                prop_assert_eq!(ranges.last(), model.last().copied());
                let pairs: Vec<_> = ranges.iter().collect();
                prop_assert!(pairs.windows(2).all(|w| w[0].1 + 1 < w[1].0));
                for n in 0..75 {
                    prop_assert_eq!(ranges.contains(n), model.contains(&n));
                }
            }
            let bytes = rmp_serde::to_vec(&ranges).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<Ranges>(&bytes).unwrap(), ranges);
        }
    }
}
