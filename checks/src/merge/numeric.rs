//! Numbers and lengths of strings.

use super::{BINS_MAX, merge_bins};
use crate::report::{Bin, NumericSummary, TextSummary};

impl NumericSummary {
    /// Adds the numbers of another one. `mean` and `m2` are Chan et al.'s, written so that they are
    /// symmetric to the last bit; the mean stays within the extremes, `m2` saturates at `f64::MAX`.
    pub fn merge(&mut self, other: &Self) {
        self.not_finite = self.not_finite.saturating_add(other.not_finite);
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            let not_finite = self.not_finite;
            *self = Self { not_finite, ..other.clone() };
            return;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let both = mine + theirs;
        let delta = self.mean - other.mean;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.mean = (self.mean * (mine / both) + other.mean * (theirs / both)).clamp(self.min, self.max);
        self.m2 = ((self.m2 + other.m2) + delta * delta * (mine * theirs / both)).min(f64::MAX);
        self.count = self.count.saturating_add(other.count);
        self.zeros = self.zeros.saturating_add(other.zeros);
        merge_bins(&mut self.positive, &other.positive);
        merge_bins(&mut self.negative, &other.negative);
        collapse(&mut self.positive);
        collapse(&mut self.negative);
    }
}

/// Brings bins within [`BINS_MAX`] by collapsing the lowest. The range that is kept depends on the
/// largest index alone, so that every order of merging collapses to the same bins.
pub(crate) fn collapse(bins: &mut Vec<Bin>) {
    let Some(largest) = bins.last().map(|b| b.index) else { return };
    let lowest = largest.saturating_sub(BINS_MAX as i32 - 1);
    let beyond = bins.partition_point(|b| b.index < lowest);
    if beyond == 0 {
        return;
    }
    let count = bins[..beyond].iter().fold(0u64, |sum, b| sum.saturating_add(b.count));
    bins.drain(..beyond);
    super::count_bin(bins, lowest, count);
}

impl TextSummary {
    /// Adds the strings of another one.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.length_min = self.length_min.min(other.length_min);
        self.length_max = self.length_max.max(other.length_max);
        self.length_sum = self.length_sum.saturating_add(other.length_sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapsing_depends_on_the_largest_index_alone() {
        let wide: Vec<Bin> = (0..5_000).map(|index| Bin { index, count: 1 }).collect();
        let mut collapsed = wide.clone();
        collapse(&mut collapsed);
        assert_eq!(collapsed.len(), BINS_MAX);
        assert_eq!(collapsed[0], Bin { index: 5_000 - BINS_MAX as i32, count: 5_001 - BINS_MAX as u64 });
        // A lone large value pushes everything else into the lowest bin.
        let mut bins = vec![Bin { index: -30_000, count: 3 }, Bin { index: 30_000, count: 1 }];
        collapse(&mut bins);
        assert_eq!(bins[0], Bin { index: 30_000 - 2_047, count: 3 });
    }

    #[test]
    fn moments_of_parts_are_those_of_the_whole() {
        let values = [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0, 1e9 + 10.0];
        let one = |v: f64| NumericSummary { count: 1, min: v, max: v, mean: v, ..Default::default() };
        let mut all = NumericSummary::default();
        values.iter().for_each(|&v| all.merge(&one(v)));
        assert_eq!(all.mean, 1e9 + 3.2);
        assert!((all.m2 - 62.8).abs() < 1e-6, "{}", all.m2);
    }

    #[test]
    fn huge_values_saturate_without_nan() {
        let one = |v: f64| NumericSummary { count: 1, min: v, max: v, mean: v, ..Default::default() };
        let mut all = one(f64::MAX);
        all.merge(&one(f64::MIN));
        all.merge(&one(f64::MAX));
        assert_eq!(all.m2, f64::MAX);
        assert!(all.mean.is_finite());
    }
}
