//! Counting duplicates: exact up to a cap, then on a uniform sample of the values.

use std::collections::HashMap;

use crate::merge::UNIQUENESS_MAX;
use crate::report::Uniqueness;

/// Counts occurrences by hash. Up to the cap everything is counted; beyond it the values with the
/// lowest hashes are, each with all its occurrences (theta sketch: Dasgupta et al., 2016).
#[derive(Debug)]
pub struct UniquenessBuilder {
    cap: usize,
    threshold: u64,
    added: u64,
    /// Keyed by a hash that a producer can predict: the map hashes it again, by a secret.
    counts: HashMap<u64, u64, ahash::RandomState>,
}

impl UniquenessBuilder {
    /// Empty; counts up to `cap` different values (at most [`UNIQUENESS_MAX`]).
    pub fn new(cap: usize) -> Self {
        Self { cap: cap.clamp(1, UNIQUENESS_MAX), threshold: u64::MAX, added: 0, counts: HashMap::default() }
    }

    /// Takes the hash of a value ([`super::hash`]).
    pub fn add(&mut self, hash: u64) {
        self.added += 1;
        if hash >= self.threshold && self.threshold != u64::MAX {
            return;
        }
        *self.counts.entry(hash).or_default() += 1;
        // Some slack, so that not every new value costs a selection.
        if self.counts.len() > self.cap + self.cap / 4 {
            self.cut();
        }
    }

    /// Values taken, and how many of them are extra copies: exact, or (beyond the cap) estimated
    /// from the share of extra copies among the sampled ones.
    pub fn tally(&self) -> (u64, u64) {
        let (occurrences, extra) = self.summary().tally();
        if occurrences == self.added {
            return (self.added, extra);
        }
        let share = extra as f64 / occurrences.max(1) as f64;
        (self.added, (share * self.added as f64).round() as u64)
    }

    /// What is reported.
    pub fn summary(&self) -> Uniqueness {
        let mut values: Vec<(u64, u64)> = self.counts.iter().map(|(&hash, &count)| (hash, count)).collect();
        values.sort_unstable();
        let threshold = values.get(self.cap).map_or(self.threshold, |(hash, _)| *hash);
        values.truncate(self.cap);
        let (hashes, counts) = values.into_iter().unzip();
        Uniqueness { threshold, hashes, counts }
    }

    /// Memory held, in bytes.
    pub fn approximate_bytes(&self) -> usize {
        self.counts.capacity() * (size_of::<(u64, u64)>() + 1)
    }

    fn cut(&mut self) {
        let mut hashes: Vec<u64> = self.counts.keys().copied().collect();
        let (_, &mut threshold, _) = hashes.select_nth_unstable(self.cap);
        self.threshold = threshold;
        self.counts.retain(|hash, _| *hash < threshold);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hash;
    use super::*;

    #[test]
    fn copies_are_counted_exactly_while_they_fit() {
        let mut builder = UniquenessBuilder::new(100);
        (0..100).chain(0..7).for_each(|i| builder.add(hash::integer(i)));
        assert_eq!(builder.tally(), (107, 7));
        assert!(builder.summary().is_exact());
    }

    #[test]
    fn beyond_the_cap_copies_are_estimated() {
        let mut builder = UniquenessBuilder::new(1_000);
        // 40,000 values, a fifth of them twice.
        (0..40_000).chain(0..8_000).for_each(|i| builder.add(hash::integer(i)));
        let summary = builder.summary();
        assert_eq!(summary.hashes.len(), 1_000);
        assert!((summary.sampled_share() - 0.025).abs() < 0.004, "{}", summary.sampled_share());
        let (checked, extra) = builder.tally();
        assert_eq!(checked, 48_000);
        assert!((6_500..9_500).contains(&extra), "{extra}");
    }

    proptest! {
        /// One builder over all, or any split merged: the same sketch.
        #[test]
        fn splits_give_the_same(values in proptest::collection::vec(0i64..60, 0..150), cap in 1usize..40, split in 0usize..150) {
            let of = |values: &[i64]| {
                let mut builder = UniquenessBuilder::new(cap);
                values.iter().for_each(|&v| builder.add(hash::integer(v)));
                builder.summary()
            };
            let (left, right) = values.split_at(split.min(values.len()));
            let mut halves = of(left);
            halves.merge_within(&of(right), cap);
            prop_assert_eq!(halves, of(&values));
        }
    }
}
