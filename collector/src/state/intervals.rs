//! Offsets of one partition as a set of disjoint intervals: a range counts once, however many
//! agents tell of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Intervals kept apart. Beyond it the lowest one is closed off: what lies below its end counts as
/// told already. Agents tell offsets in rising order, so only very old news is affected.
const SPANS_MAX: usize = 512;

/// A union of half-open intervals `[from, to)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intervals {
    /// Everything below is taken as covered.
    floor: i64,
    /// Disjoint and not touching: start to end.
    spans: BTreeMap<i64, i64>,
}

impl Intervals {
    /// Adds `[from, to)`; returns how many offsets of it are new.
    pub(crate) fn insert(&mut self, from: i64, to: i64) -> u64 {
        let from = from.max(self.floor);
        if from >= to {
            return 0;
        }
        let new = self.missing(from, to);
        let (mut start, mut end) = (from, to);
        // Those that overlap or touch: start <= to and end >= from.
        let joined: Vec<(i64, i64)> =
            self.spans.range(..=to).rev().take_while(|(_, e)| **e >= from).map(|(s, e)| (*s, *e)).collect();
        for (s, e) in joined {
            self.spans.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.spans.insert(start, end);
        while self.spans.len() > SPANS_MAX {
            if let Some((_, end)) = self.spans.pop_first() {
                self.floor = end;
            }
        }
        new
    }

    /// How many offsets of `[from, to)` are not in the set.
    pub(crate) fn missing(&self, from: i64, to: i64) -> u64 {
        let from = from.max(self.floor);
        if from >= to {
            return 0;
        }
        let covered: i64 = self
            .spans
            .range(..to)
            .rev()
            .take_while(|(_, e)| **e > from)
            .map(|(s, e)| (*e).min(to) - (*s).max(from))
            .sum();
        (to - from - covered).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_union_counts_each_offset_once_in_any_order(
            ranges in prop::collection::vec((0i64..200, 0i64..40), 0..40),
        ) {
            let mut truth = BTreeSet::new();
            let mut set = Intervals::default();
            let mut counted = 0;
            for (from, length) in &ranges {
                let new = (*from..from + length).filter(|o| truth.insert(*o)).count() as u64;
                prop_assert_eq!(set.insert(*from, from + length), new);
                counted += new;
            }
            prop_assert_eq!(counted, truth.len() as u64);
            let mut reversed = Intervals::default();
            for (from, length) in ranges.iter().rev() {
                reversed.insert(*from, from + length);
            }
            prop_assert_eq!(&set, &reversed);
            prop_assert_eq!(set.missing(0, 300), 300 - counted);
            let touching = set.spans.iter().zip(set.spans.iter().skip(1)).any(|(a, b)| a.1 >= b.0);
            prop_assert!(!touching, "{:?}", set);
        }
    }

    #[test]
    fn ten_thousand_holes_stay_bounded_and_count_once() {
        let mut set = Intervals::default();
        let first: u64 = (0..10_000).map(|i| set.insert(i * 10, i * 10 + 1)).sum();
        let second: u64 = (0..10_000).map(|i| set.insert(i * 10, i * 10 + 1)).sum();
        assert_eq!((first, second), (10_000, 0));
        assert!(set.spans.len() <= SPANS_MAX);
    }
}
