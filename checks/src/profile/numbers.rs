//! Numbers of one field: moments and a quantile sketch (DDSketch: Masson et al., VLDB 2019).

use std::collections::BTreeMap;

use crate::merge::BINS_MAX;
use crate::report::{Bin, NumericSummary};

/// Relative error of a quantile.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Ratio of one bin's bounds to the last one's.
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);

/// Bins as wide as a power of two.
const BINS_A_DOUBLING: f64 = 34.656_203_751_888_33;
/// Parts of a bin, which is what the index is found in.
const PARTS: i64 = 1 << 24;
const PARTS_A_DOUBLING: i64 = (BINS_A_DOUBLING * PARTS as f64 + 0.5) as i64;
/// How far the curves may lead astray, in parts: three times as far as they do.
const ASTRAY: i64 = PARTS / 2_000;

/// The logarithm within a sixteenth of 1 to 2, in parts of bins, one bin added.
#[derive(Clone, Copy)]
struct Curve {
    start: u32,
    /// By how much it would rise to the end if it did not bend.
    rise: u32,
    bend: u32,
}

const CURVES: [Curve; 16] = {
    let parts = BINS_A_DOUBLING / std::f64::consts::LN_2 * PARTS as f64;
    let mut curves = [Curve { start: 0, rise: 0, bend: 0 }; 16];
    let mut nth = 0;
    while nth < curves.len() {
        // From the middle, t from -1 to 1: ln(1 + z t) = z t - (z t)^2 / 2 + (z t)^3 / 3, and t^3 is nearly 3 t / 4.
        let middle = 1.0 + (nth as f64 + 0.5) / 16.0;
        let z = 1.0 / 32.0 / middle;
        let (slope, bend) = (z + z * z * z / 4.0, z * z / 2.0);
        // From the start, t = 2 s - 1.
        let start = (ln(middle) - slope - bend) * parts + PARTS as f64;
        let (rise, bend) = ((2.0 * slope + 4.0 * bend) * parts, 4.0 * bend * parts);
        curves[nth] = Curve { start: start as u32, rise: rise as u32, bend: bend as u32 };
        nth += 1;
    }
    curves
};

/// Natural logarithm of 1 to 2, by the series of the inverse hyperbolic tangent.
const fn ln(x: f64) -> f64 {
    let z = (x - 1.0) / (x + 1.0);
    let (mut sum, mut power, mut nth) = (0.0, 2.0 * z, 1.0);
    while nth < 40.0 {
        sum += power / nth;
        power *= z * z;
        nth += 2.0;
    }
    sum
}

/// Bin of a positive number that is not subnormal: index i holds (gamma^(i-1), gamma^i].
#[inline]
fn index_of(x: f64) -> i32 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1_023;
    let Curve { start, rise, bend } = CURVES[(bits >> 48) as usize % CURVES.len()];
    let along = u64::from((bits >> 16) as u32);
    let risen = (along * (u64::from(rise) - ((along * u64::from(bend)) >> 32))) >> 32;
    let parts = exponent * PARTS_A_DOUBLING + i64::from(start) + risen as i64;
    if (parts + ASTRAY) & (PARTS - 1) < 2 * ASTRAY {
        return exact_index_of(x);
    }
    (parts >> PARTS.trailing_zeros()) as i32
}

/// The same by the logarithm itself: what the index is.
#[cold]
fn exact_index_of(x: f64) -> i32 {
    (x.ln() / GAMMA.ln()).ceil() as i32
}

/// The number that stands for a bin, within [`RELATIVE_ERROR`] of all that it holds.
pub(super) fn value_of(index: i32) -> f64 {
    let exponent = f64::from(index) * GAMMA.ln() + (2.0 / (GAMMA + 1.0)).ln();
    exponent.exp().min(f64::MAX)
}

/// Moments and bins, growing.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Numbers {
    moments: Moments,
    min: f64,
    max: f64,
    positive: Bins,
    negative: Bins,
    zeros: u64,
    not_finite: u64,
}

impl Numbers {
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.take(x, 1);
    }

    /// Takes a number that came so often.
    pub(super) fn add_many(&mut self, x: f64, times: u64) {
        self.take(x, times);
    }

    #[inline(always)]
    fn take(&mut self, x: f64, times: u64) {
        if !x.is_finite() {
            self.not_finite += times;
            return;
        }
        if self.moments.is_empty() {
            (self.min, self.max, self.moments.mean) = (x, x, x);
        }
        if x < self.min {
            self.min = x;
        }
        if x > self.max {
            self.max = x;
        }
        self.moments.add(x, times);
        let magnitude = x.abs();
        if magnitude < f64::MIN_POSITIVE {
            self.zeros += times;
        } else if x > 0.0 {
            self.positive.add(index_of(magnitude), times);
        } else {
            self.negative.add(index_of(magnitude), times);
        }
    }

    pub(crate) fn summary(&self) -> NumericSummary {
        let moments = self.moments.whole();
        NumericSummary {
            count: moments.count,
            not_finite: self.not_finite,
            min: self.min,
            max: self.max,
            mean: moments.mean.clamp(self.min, self.max),
            // Rounding may leave it a hair below zero.
            m2: moments.m2.max(0.0),
            zeros: self.zeros,
            positive: self.positive.summary(),
            negative: self.negative.summary(),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.positive.heap_bytes() + self.negative.heap_bytes()
    }
}

/// Count, mean and squared deviations. Numbers are added up in batches, less the mean of those before: one division for
/// all of them, and as exact as Welford's update. The deviation of the whole is at least about as large as what is
/// added up, as the mean is that of numbers that count too, so next to nothing cancels out.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Moments {
    /// Without the batch.
    count: u64,
    mean: f64,
    m2: f64,
    /// Of the batch: its numbers, the sum of what they are above the mean, and of its squares.
    batch: u64,
    above: f64,
    squares: f64,
}

/// Numbers of a batch.
const BATCH: u64 = 64;
/// A deviation whose square is larger is not added up in a batch: the sum might not be finite.
const SQUARE_MAX: f64 = 1e300;

impl Moments {
    fn is_empty(&self) -> bool {
        self.count + self.batch == 0
    }

    /// Takes a finite number that came so often; of the first one the mean is known.
    #[inline]
    fn add(&mut self, x: f64, times: u64) {
        let above = x - self.mean;
        let square = above * above;
        if square > SQUARE_MAX || times > 1 {
            return self.add_alone(x, times);
        }
        self.above += above;
        self.squares += square;
        self.batch += 1;
        if self.batch == BATCH {
            *self = self.whole();
        }
    }

    /// The same, the batch included.
    fn whole(mut self) -> Self {
        if self.batch == 0 {
            return self;
        }
        let count = self.count + self.batch;
        let mean_above = self.above / count as f64;
        self.m2 = (self.m2 + (self.squares - self.above * mean_above)).min(f64::MAX);
        Self { count, mean: self.mean + mean_above, m2: self.m2, ..Self::default() }
    }

    /// Welford's update, for a number that came so often.
    #[cold]
    fn add_alone(&mut self, x: f64, times: u64) {
        *self = self.whole();
        self.count += times;
        let times = times as f64;
        let share = times / self.count as f64;
        let delta = x - self.mean;
        if delta.is_finite() {
            self.mean += delta * share;
            self.m2 = (self.m2 + delta * (x - self.mean) * times).min(f64::MAX);
        } else {
            // Two numbers near both ends of the range: their difference has no double.
            self.mean = self.mean * (1.0 - share) + x * share;
            self.m2 = f64::MAX;
        }
    }
}

/// Counts of neighbouring bins. At most [`BINS_MAX`], which end at the largest index: lower ones
/// collapse into the lowest, as [`crate::merge`] has it.
#[derive(Debug, Default)]
struct Bins {
    counts: Vec<u32>,
    first: i32,
    /// What does not fit into the counts, by index: next to nothing ever does not.
    carried: BTreeMap<i32, u64>,
}

impl Bins {
    #[inline]
    fn add(&mut self, index: i32, times: u64) {
        // Below the first one it is far above the last one.
        if let Some(count) = self.counts.get_mut(index.wrapping_sub(self.first) as u32 as usize)
            && let Ok(sum) = (u64::from(*count) + times).try_into()
        {
            *count = sum;
        } else {
            let at = self.make_room(index);
            self.count(at, times);
        }
    }

    fn count(&mut self, at: usize, times: u64) {
        let sum = u64::from(self.counts[at]) + times;
        self.counts[at] = sum.try_into().unwrap_or(1);
        let carried = sum - u64::from(self.counts[at]);
        if carried > 0 {
            *self.carried.entry(self.first + at as i32).or_default() += carried;
        }
    }

    /// Where an index is counted.
    #[cold]
    fn make_room(&mut self, index: i32) -> usize {
        const MOST: i32 = BINS_MAX as i32;
        if self.counts.is_empty() {
            self.first = index;
            self.counts.push(0);
        }
        let last = self.first + self.counts.len() as i32 - 1;
        let lowest = index.max(last) - MOST + 1;
        let index = index.max(lowest);
        if index < self.first {
            let missing = (self.first - index) as usize;
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        if lowest > self.first {
            let beyond = ((lowest - self.first) as usize).min(self.counts.len());
            let collapsed: u64 = self.counts.drain(..beyond).map(u64::from).sum();
            self.first = lowest;
            if self.counts.is_empty() {
                self.counts.push(0);
            }
            self.count(0, collapsed);
        }
        let at = (index - self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        at
    }

    fn summary(&self) -> Vec<Bin> {
        let bins = (self.first..).zip(&self.counts).filter(|(_, count)| **count > 0);
        let mut bins: Vec<Bin> = bins.map(|(index, &count)| Bin { index, count: count.into() }).collect();
        for (&index, count) in &self.carried {
            // As the counts, what lies below the lowest bin is in it.
            let at = bins.partition_point(|bin| bin.index < index);
            match bins.get_mut(at) {
                Some(bin) => bin.count += count,
                None => bins.push(Bin { index, count: *count }),
            }
        }
        bins
    }

    fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u32>() + self.carried.len() * size_of::<(i32, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merge::collapse;

    #[test]
    fn a_bin_holds_its_upper_bound() {
        assert_eq!(index_of(1.0), 0);
        assert_eq!(index_of(1.0 + 1e-9), 1);
        assert_eq!(index_of(GAMMA * 1.0001), 2);
        for x in [f64::MIN_POSITIVE, 1e-9, 0.3, 1.0, 42.0, 1e18, f64::MAX] {
            let value = value_of(index_of(x));
            assert!((value / x - 1.0).abs() <= RELATIVE_ERROR + 1e-9, "{x} {value}");
        }
    }

    #[test]
    fn nan_and_infinity_are_counted_apart() {
        let mut numbers = Numbers::default();
        [f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -0.0].iter().for_each(|&x| numbers.add(x));
        let s = numbers.summary();
        assert_eq!((s.count, s.not_finite, s.zeros), (3, 3, 2));
        assert_eq!((s.min, s.max), (0.0, 1.0));
    }

    proptest! {
        /// As two passes find them, whatever comes first: far values, a large offset with a small spread, many batches.
        #[test]
        fn moments_are_those_of_all_numbers(
            first in prop_oneof![Just(0.0), Just(-1.0), -1e12..1e12f64, Just(1e200)],
            offset in prop_oneof![Just(0.0), Just(1e9), Just(-3e12)],
            spread in prop_oneof![Just(1e-3), Just(1.0), Just(1e6)],
            rest in proptest::collection::vec(-1.0..1.0f64, 0..400),
        ) {
            let all: Vec<f64> = std::iter::once(first).chain(rest.iter().map(|x| offset + x * spread)).collect();
            let mut numbers = Numbers::default();
            all.iter().for_each(|&x| numbers.add(x));
            let got = numbers.summary();
            let n = all.len() as f64;
            let mean = all[0] + all.iter().map(|x| x - all[0]).sum::<f64>() / n;
            let m2: f64 = all.iter().map(|x| (x - mean) * (x - mean)).sum();
            prop_assert_eq!(got.count, all.len() as u64);
            let scale = all.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            prop_assert!((got.mean - mean).abs() <= 1e-12 * scale, "mean {} {mean}", got.mean);
            if m2.is_finite() {
                // What a mean of this size can be known to counts in every number.
                let known = n * (1e-15 * scale) * (1e-15 * scale);
                prop_assert!((got.m2 - m2).abs() <= 1e-9 * m2 + known, "m2 {} {m2}", got.m2);
            } else {
                prop_assert_eq!(got.m2, f64::MAX);
            }
        }
    }

    #[test]
    fn opposite_ends_of_the_range_stay_finite() {
        let mut numbers = Numbers::default();
        [f64::MAX, f64::MIN, f64::MAX, 1.0].iter().for_each(|&x| numbers.add(x));
        let s = numbers.summary();
        assert!(s.mean.is_finite());
        assert_eq!(s.m2, f64::MAX);
    }

    #[test]
    fn counts_beyond_32_bits_are_carried() {
        let mut bins = Bins::default();
        bins.add(5, 1);
        bins.counts[0] = u32::MAX - 1;
        (0..3).for_each(|_| bins.add(5, 1));
        assert_eq!(bins.summary(), [Bin { index: 5, count: u64::from(u32::MAX) + 2 }]);
        // What collapses into the lowest bin takes along what was carried.
        bins.add(5_000, 1);
        let lowest = 5_001 - BINS_MAX as i32;
        let expected =
            [Bin { index: lowest, count: u64::from(u32::MAX) + 2 }, Bin { index: 5_000, count: 1 }];
        assert_eq!(bins.summary(), expected);
    }

    #[test]
    fn every_exponent_has_its_bins_by_the_logarithm() {
        assert!((BINS_A_DOUBLING - 2f64.ln() / GAMMA.ln()).abs() < 1e-12, "{}", 2f64.ln() / GAMMA.ln());
        for exponent in -1_022..=1_023 {
            for part in 0..40 {
                let x = 2f64.powi(exponent) * (1.0 + f64::from(part) / 40.0);
                assert_eq!(index_of(x), exact_index_of(x), "{x:e}");
            }
        }
        for index in -3_000..3_000 {
            let bound = (f64::from(index) * GAMMA.ln()).exp();
            for x in [bound, bound.next_up(), bound.next_down(), bound * (1.0 + 1e-9), bound * (1.0 - 1e-9)] {
                assert_eq!(index_of(x), exact_index_of(x), "{x:e}");
            }
            // Around where the curves are taken at their word.
            for tenth in 1..20 {
                let off = f64::from(tenth) * 1e-4 * GAMMA.ln();
                for x in [bound * (1.0 + off), bound * (1.0 - off)] {
                    assert_eq!(index_of(x), exact_index_of(x), "{x:e}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_series_gives_the_bin_of_the_logarithm(bits in any::<u64>()) {
            let x = f64::from_bits(bits & !(1 << 63));
            prop_assume!(x.is_normal());
            prop_assert_eq!(index_of(x), exact_index_of(x));
        }

        /// What the growing store keeps is what collapsing everything at once would.
        #[test]
        fn bins_collapse_as_merging_does(indices in proptest::collection::vec(-6_000i32..6_000, 1..60)) {
            let mut store = Bins::default();
            let mut all: Vec<Bin> = Vec::new();
            for &index in &indices {
                store.add(index, 1);
                match all.binary_search_by_key(&index, |b| b.index) {
                    Ok(i) => all[i].count += 1,
                    Err(i) => all.insert(i, Bin { index, count: 1 }),
                }
            }
            collapse(&mut all);
            prop_assert_eq!(store.summary(), all);
        }

        #[test]
        fn moments_are_those_of_two_passes(values in proptest::collection::vec(-1e6f64..1e6, 1..200)) {
            let mut numbers = Numbers::default();
            values.iter().for_each(|&x| numbers.add(x));
            let s = numbers.summary();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let m2: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
            prop_assert!((s.mean - mean).abs() < 1e-6);
            prop_assert!((s.m2 - m2).abs() <= 1e-9 * m2.max(1.0));
        }
    }
}
