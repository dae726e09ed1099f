//! Latency histograms: exact counts and sum, native buckets of schema 3, classic buckets.

use std::cmp::Ordering;

use super::{count_bin, merge_bins, merge_option};
use crate::report::{CLASSIC_SECONDS, Exemplar, Histogram};

/// Native buckets a power of two: schema 3 is 2^3.
const BUCKETS_PER_DOUBLING: i32 = 8;

/// 2^(i/8 - 1), the upper bounds within [0.5, 1): as `client_golang` has them for schema 3.
#[allow(clippy::approx_constant)]
const BOUNDS: [f64; 8] = [
    0.5,
    0.5452538663326288,
    0.5946035575013605,
    0.6484197773255048,
    0.7071067811865475,
    0.7711054127039704,
    0.8408964152537144,
    0.9170040432046711,
];

/// Smallest and largest native index that nanoseconds in a `u64` can have.
pub(crate) const NATIVE_INDEX: std::ops::RangeInclusive<i32> = -240..=274;

/// [`CLASSIC_SECONDS`] in nanoseconds, so that a bound is compared exactly.
const CLASSIC_NS: [u64; CLASSIC_SECONDS.len()] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
    1_800_000_000_000,
];

impl Histogram {
    /// Takes one observation.
    pub fn observe_ns(&mut self, ns: u64) {
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(ns);
        if ns == 0 {
            self.zeros = self.zeros.saturating_add(1);
        } else {
            count_bin(&mut self.native, native_index(ns), 1);
        }
        self.classic.resize(CLASSIC_NS.len() + 1, 0);
        let bucket = CLASSIC_NS.partition_point(|&bound| bound < ns);
        self.classic[bucket] = self.classic[bucket].saturating_add(1);
    }

    /// Offers a trace as exemplar; the later one stays.
    pub fn offer_exemplar(&mut self, exemplar: Exemplar) {
        merge_option(&mut self.exemplar, Some(&exemplar), keep_later);
    }

    /// Adds the observations of another one.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.zeros = self.zeros.saturating_add(other.zeros);
        merge_bins(&mut self.native, &other.native);
        if self.classic.len() < other.classic.len() {
            self.classic.resize(other.classic.len(), 0);
        }
        for (mine, theirs) in self.classic.iter_mut().zip(&other.classic) {
            *mine = mine.saturating_add(*theirs);
        }
        merge_option(&mut self.exemplar, other.exemplar.as_ref(), keep_later);
    }

    /// Sum of the observations in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Mean in seconds; `None` without observations.
    pub fn mean_seconds(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_seconds() / self.count as f64)
    }

    /// The `q`-quantile (0 to 1) in seconds, from the native buckets with exponential
    /// interpolation, as PromQL's `histogram_quantile` has it: off by less than 9.1%, a bucket's
    /// width. `None` without observations or for a `q` outside 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * self.count as f64;
        let mut below = self.zeros as f64;
        if rank <= below && self.zeros > 0 {
            return Some(0.0);
        }
        for bin in &self.native {
            let count = bin.count as f64;
            if rank <= below + count {
                let within = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(upper_bound(f64::from(bin.index) - 1.0 + within));
            }
            below += count;
        }
        // Rounding of counts above 2^53, or zeros only.
        Some(self.native.last().map_or(0.0, |bin| upper_bound(f64::from(bin.index))))
    }
}

/// Upper bound in seconds of a native bucket; fractions lie between buckets.
fn upper_bound(index: f64) -> f64 {
    (index / f64::from(BUCKETS_PER_DOUBLING)).exp2()
}

/// Native bucket of a positive number of nanoseconds: index i holds (2^((i-1)/8), 2^(i/8)] seconds.
fn native_index(ns: u64) -> i32 {
    let seconds = ns as f64 / 1e9;
    // Taken apart as 0.5 <= fraction < 1 times a power of two; never subnormal here.
    const FRACTION_BITS: u64 = (1 << 52) - 1;
    let bits = seconds.to_bits();
    let exponent = (bits >> 52) as i32 - 1022;
    let fraction = f64::from_bits((bits & FRACTION_BITS) | (1022 << 52));
    let within = BOUNDS.partition_point(|&bound| bound < fraction) as i32;
    within + (exponent - 1) * BUCKETS_PER_DOUBLING
}

/// The later exemplar; ties go to the greater trace id, then to the longer observation.
fn keep_later(mine: &mut Exemplar, other: &Exemplar) {
    let order = mine
        .at_ms
        .cmp(&other.at_ms)
        .then_with(|| mine.trace_id.cmp(&other.trace_id))
        .then_with(|| mine.seconds.total_cmp(&other.seconds));
    if order == Ordering::Less {
        *mine = other.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(observations_ns: &[u64]) -> Histogram {
        let mut h = Histogram::default();
        observations_ns.iter().for_each(|&ns| h.observe_ns(ns));
        h
    }

    #[test]
    fn the_native_index_is_that_of_schema_3() {
        // Bounds of powers of two are exact: 1 s is the upper bound of bucket 0, 2 s of 8.
        assert_eq!(native_index(1_000_000_000), 0);
        assert_eq!(native_index(1_000_000_001), 1);
        assert_eq!(native_index(2_000_000_000), 8);
        assert_eq!(native_index(500_000_000), -8);
        assert_eq!(native_index(1_090_507_732), 1); // just under 2^(1/8) = 1.0905077326…
        assert_eq!(native_index(1_090_507_733), 2);
        for ns in [1, u64::MAX] {
            assert!(NATIVE_INDEX.contains(&native_index(ns)), "{ns}: {}", native_index(ns));
        }
    }

    #[test]
    fn every_value_lies_in_its_native_bucket() {
        let mut ns = 1u64;
        while ns < u64::MAX / 3 {
            let index = f64::from(native_index(ns));
            let seconds = ns as f64 / 1e9;
            let tolerance = seconds * 1e-12;
            assert!(upper_bound(index - 1.0) < seconds + tolerance, "{ns}");
            assert!(seconds <= upper_bound(index) + tolerance, "{ns}");
            ns = ns + ns / 7 + 1;
        }
    }

    #[test]
    fn classic_buckets_hold_their_upper_bound() {
        for (ns, seconds) in CLASSIC_NS.iter().zip(CLASSIC_SECONDS) {
            assert_eq!(*ns, (seconds * 1e9).round() as u64);
        }
        let h = of(&[1_000_000, 1_000_001, 1_800_000_000_001, 0]);
        assert_eq!(h.classic[0], 2);
        assert_eq!(h.classic[1], 1);
        assert_eq!(h.classic[17], 1);
        assert_eq!(h.classic.iter().sum::<u64>(), h.count);
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let h = of(&(1..=1_000).map(|ms| ms * 1_000_000).collect::<Vec<_>>());
        assert_eq!(h.quantile(1.1), None);
        for (q, truth) in [(0.01, 0.01), (0.5, 0.5), (0.95, 0.95), (0.99, 0.99), (1.0, 1.0)] {
            let got = h.quantile(q).unwrap();
            assert!((got / truth - 1.0).abs() < 0.091, "{q}: {got}");
        }
        assert_eq!(of(&[0, 0, 0]).quantile(0.99), Some(0.0));
        assert_eq!(of(&[0, 0, 0, 5]).quantile(0.5), Some(0.0));
        assert_eq!(h.mean_seconds(), Some(0.5005));
    }

    #[test]
    fn the_later_exemplar_stays() {
        let exemplar = |at_ms, id: u8| Exemplar { trace_id: vec![id; 16], seconds: 1.0, at_ms };
        let mut h = Histogram::default();
        h.offer_exemplar(exemplar(5, 1));
        h.offer_exemplar(exemplar(4, 9));
        assert_eq!(h.exemplar, Some(exemplar(5, 1)));
        h.offer_exemplar(exemplar(5, 2));
        assert_eq!(h.exemplar, Some(exemplar(5, 2)));
    }
}
