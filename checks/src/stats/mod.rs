//! Statistics that do not cry wolf: an interval with every ratio, an effect with every test.

mod distance;

use statrs::distribution::{ContinuousCDF as _, Normal};

pub use distance::{
    Distance, KS_EFFECT_MIN, PSI_EFFECT_MIN, distance, ks_critical, ks_gate, psi_critical, psi_significance,
};

/// Scales the median absolute deviation to a normal distribution's standard deviation.
pub const MAD_TO_SIGMA: f64 = 1.4826;

/// Quantile of the standard normal distribution for a two-sided level: 1.96 for 0.95.
fn two_sided_z(confidence: f64) -> f64 {
    let level = confidence.clamp(0.5, 0.999_999);
    Normal::standard().inverse_cdf(0.5 + level / 2.0)
}

/// Wilson's score interval (1927) of the share that `hits` of `n` show, at a two-sided `confidence`
/// (0.5 to 0.999999): shares, 0 to 1. With `n` = 0 nothing is known: `[0, 1]`.
pub fn wilson(hits: u64, n: u64, confidence: f64) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let z = two_sided_z(confidence);
    let (share, n) = (hits.min(n) as f64 / n as f64, n as f64);
    let z2n = z * z / n;
    let centre = (share + z2n / 2.0) / (1.0 + z2n);
    let half = z / (1.0 + z2n) * (share * (1.0 - share) / n + z2n / n / 4.0).sqrt();
    // Exact at the ends, where rounding would leave 1e-18.
    let low = if share == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if share == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// z of the difference between two shares (`a` of `n`, `b` of `m`), pooled; `None` where there is
/// nothing to compare.
pub fn two_proportion_z(a: u64, n: u64, b: u64, m: u64) -> Option<f64> {
    let (a, n, b, m) = (a as f64, n as f64, b as f64, m as f64);
    let pooled = (a + b) / (n + m);
    let spread = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    (n > 0.0 && m > 0.0 && spread > 0.0).then(|| (a / n - b / m) / spread)
}

/// The median; `None` of nothing. Sorts in place.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[half - 1], upper) })
}

/// Median and median absolute deviation (not scaled: see [`MAD_TO_SIGMA`]); `None` of nothing.
pub fn median_mad(values: &mut [f64]) -> Option<(f64, f64)> {
    let centre = median(values)?;
    let mut deviations: Vec<f64> = values.iter().map(|x| (x - centre).abs()).collect();
    Some((centre, median(&mut deviations)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    /// Newcombe (1998), table I, method 3.
    #[test]
    fn wilson_is_newcombes() {
        for (hits, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let [l, h] = wilson(hits, n, 0.95);
            close(l, low, 5e-5);
            close(h, high, 5e-5);
        }
        assert_eq!(wilson(0, 0, 0.95), [0.0, 1.0]);
        assert_eq!(wilson(0, 10, 0.95)[0], 0.0);
        assert_eq!(wilson(10, 10, 0.95)[1], 1.0);
    }

    #[test]
    fn two_shares_compared() {
        // 15 of 100 against 30 of 100: pooled 0.225, z = -0.15 / 0.05906.
        close(two_proportion_z(15, 100, 30, 100).unwrap(), -2.5400, 1e-3);
        assert_eq!(two_proportion_z(0, 100, 0, 50), None);
        assert_eq!(two_proportion_z(0, 0, 1, 50), None);
    }

    #[test]
    fn centre_and_spread_shrug_off_an_outlier() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [4.0, 1.0]), Some(2.5));
        assert_eq!(median_mad(&mut [1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some((2.0, 1.0)));
        assert_eq!(median_mad(&mut [1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9e9]), Some((2.0, 1.0)));
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_share_and_narrows(hits in 0u64..1_000, more in 0u64..1_000, confidence in 0.5f64..0.999) {
            let n = hits + more + 1;
            let [low, high] = wilson(hits, n, confidence);
            let share = hits as f64 / n as f64;
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
            let [l, h] = wilson(hits * 100, n * 100, confidence);
            prop_assert!(h - l < high - low);
        }
    }
}
