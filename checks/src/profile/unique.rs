//! Counting duplicates: exact up to a cap, then on a uniform sample of the values.

use crate::merge::UNIQUENESS_MAX;
use crate::report::Uniqueness;

/// So many values are gathered at least before they are counted.
const GATHERED_MIN: usize = 128;

/// Counts occurrences by hash. Up to the cap everything is counted; beyond it the values with the
/// lowest hashes are, each with all its occurrences (theta sketch: Dasgupta et al., 2016).
///
/// Values are gathered, and counted by sorting them once they are as many as those counted before: a fifth of what a
/// hash map costs, and a producer that predicts hashes gains nothing by it.
#[derive(Debug)]
pub struct UniquenessBuilder {
    cap: usize,
    threshold: u64,
    added: u64,
    /// Hashes and how often each came, sorted.
    counted: Vec<(u64, u64)>,
    /// Hashes of values that are not counted yet, as they came.
    gathered: Vec<u64>,
}

impl UniquenessBuilder {
    /// Empty; counts up to `cap` different values (at most [`UNIQUENESS_MAX`]).
    pub fn new(cap: usize) -> Self {
        let cap = cap.clamp(1, UNIQUENESS_MAX);
        Self { cap, threshold: u64::MAX, added: 0, counted: Vec::new(), gathered: Vec::new() }
    }

    /// Takes the hash of a value ([`super::hash`]).
    #[inline]
    pub fn add(&mut self, hash: u64) {
        self.added += 1;
        if hash >= self.threshold && self.threshold != u64::MAX {
            return;
        }
        self.gathered.push(hash);
        if self.gathered.len() >= GATHERED_MIN.max(self.counted.len()) {
            self.count();
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
        let mut values = counted(&self.counted, &mut self.gathered.clone());
        let threshold = values.get(self.cap).map_or(self.threshold, |(hash, _)| *hash);
        values.truncate(self.cap);
        let (hashes, counts) = values.into_iter().unzip();
        Uniqueness { threshold, hashes, counts }
    }

    /// Memory held, in bytes.
    pub fn approximate_bytes(&self) -> usize {
        self.counted.capacity() * size_of::<(u64, u64)>() + self.gathered.capacity() * size_of::<u64>()
    }

    #[cold]
    fn count(&mut self) {
        self.counted = counted(&self.counted, &mut self.gathered);
        self.gathered.clear();
        if let Some((hash, _)) = self.counted.get(self.cap) {
            self.threshold = *hash;
            self.counted.truncate(self.cap);
        }
        self.counted.shrink_to_fit();
    }
}

/// What was counted before, and what was gathered since, by hash.
fn counted(before: &[(u64, u64)], gathered: &mut [u64]) -> Vec<(u64, u64)> {
    gathered.sort_unstable();
    let mut all = Vec::with_capacity(before.len() + gathered.len());
    let mut before = before.iter().copied().peekable();
    for copies in gathered.chunk_by(|a, b| a == b) {
        let hash = copies[0];
        while let Some(lower) = before.next_if(|(other, _)| *other < hash) {
            all.push(lower);
        }
        let known = before.next_if(|(other, _)| *other == hash).map_or(0, |(_, count)| count);
        all.push((hash, known + copies.len() as u64));
    }
    all.extend(before);
    all
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
        fn splits_give_the_same(values in proptest::collection::vec(0i64..90, 0..700), cap in 1usize..60, split in 0usize..700) {
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
