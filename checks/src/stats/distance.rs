//! How far two distributions are apart, and how far chance alone would bring them.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};

/// A population stability index below it is no drift, however certain (the usual rule of thumb).
pub const PSI_EFFECT_MIN: f64 = 0.1;

/// A Kolmogorov-Smirnov distance below it is no drift, however certain.
pub const KS_EFFECT_MIN: f64 = 0.1;

/// Groups that an ordered distribution is cut into for the population stability index.
const GROUPS: f64 = 10.0;

/// Two distributions over the same categories.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// Population stability index over groups of a tenth of the baseline each (fewer where a value
    /// is more than a tenth), or over the categories where they have no order.
    pub psi: f64,
    /// Groups it was computed over.
    pub groups: usize,
    /// Kolmogorov-Smirnov distance over all categories; 0 where they have no order.
    pub ks: f64,
}

/// Compares counts `(baseline, current)` by category. `ordered`: the categories lie on a line, in
/// this order. `None` when a side is empty or there is only one group.
pub fn distance(counts: &[(f64, f64)], ordered: bool) -> Option<Distance> {
    let (n, m) = counts.iter().fold((0.0, 0.0), |(n, m), (a, b)| (n + a, m + b));
    if n <= 0.0 || m <= 0.0 {
        return None;
    }
    let groups = if ordered { grouped(counts, n) } else { counts.to_vec() };
    let ks = if ordered { ks(counts, n, m) } else { 0.0 };
    (groups.len() > 1).then(|| Distance { psi: psi(&groups, n, m), groups: groups.len(), ks })
}

/// Population stability index, with half a count added everywhere so that an empty group does not
/// make it infinite.
fn psi(groups: &[(f64, f64)], n: f64, m: f64) -> f64 {
    let all = groups.len() as f64 / 2.0;
    let terms = groups.iter().map(|(a, b)| {
        let (p, q) = ((a + 0.5) / (n + all), (b + 0.5) / (m + all));
        (q - p) * (q / p).ln()
    });
    terms.sum()
}

fn ks(counts: &[(f64, f64)], n: f64, m: f64) -> f64 {
    let (mut a, mut b, mut most) = (0.0, 0.0, 0.0f64);
    for (x, y) in counts {
        a += x / n;
        b += y / m;
        most = most.max((a - b).abs());
    }
    most
}

/// Neighbours joined until each group holds a tenth of the baseline; what is left at the end joins
/// the last group if the baseline has less than half a tenth there.
fn grouped(counts: &[(f64, f64)], n: f64) -> Vec<(f64, f64)> {
    let share = n / GROUPS;
    let mut groups = Vec::new();
    let mut open = (0.0, 0.0);
    for (a, b) in counts {
        open = (open.0 + a, open.1 + b);
        if open.0 >= share {
            groups.push(std::mem::take(&mut open));
        }
    }
    match groups.last_mut() {
        // Values that the baseline hardly has are a group of their own if the window has them.
        Some(last) if open.0 < share / 2.0 && open.1 == 0.0 => *last = (last.0 + open.0, last.1),
        _ if open != (0.0, 0.0) => groups.push(open),
        _ => {}
    }
    groups
}

/// What the population stability index of two samples of one distribution exceeds once in a
/// hundred.
pub fn psi_significance(groups: usize, n: f64, m: f64) -> f64 {
    psi_critical(0.01, groups, n, m)
}

/// What it exceeds by this chance (0 to 1, exclusive): it is distributed as chi-squared times (1/n + 1/m)
/// (Yurdakul, 2018).
pub fn psi_critical(chance: f64, groups: usize, n: f64, m: f64) -> f64 {
    let freedom = groups.saturating_sub(1).max(1) as f64;
    // Never fails: the degrees of freedom are positive.
    ChiSquared::new(freedom)
        .map_or(f64::INFINITY, |chi2| chi2.inverse_cdf(1.0 - chance) * (1.0 / n + 1.0 / m))
}

/// What the Kolmogorov-Smirnov distance of two samples of one distribution exceeds once in twenty.
/// The bins of a DDSketch are fixed, so it has no sketch error.
pub fn ks_gate(n: f64, m: f64) -> f64 {
    1.36 * ((n + m) / (n * m)).sqrt()
}

/// What it exceeds by this chance (0 to 1, exclusive; Smirnov, 1948).
pub fn ks_critical(chance: f64, n: f64, m: f64) -> f64 {
    (-(chance / 2.0).ln() / 2.0).sqrt() * ((n + m) / (n * m)).sqrt()
}

#[cfg(test)]
mod tests {
    use rand_free::Uniform;

    use super::*;

    /// A small generator, so that the trials are the same everywhere (splitmix64).
    mod rand_free {
        pub(super) struct Uniform(pub u64);

        impl Uniform {
            pub(super) fn next(&mut self) -> f64 {
                self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.0;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
            }
        }
    }

    fn sample(random: &mut Uniform, n: usize, shift: f64) -> Vec<f64> {
        let mut bins = vec![0.0; 300];
        for _ in 0..n {
            // The sum of four uniform numbers: a hill over 200 bins.
            let x: f64 = (0..4).map(|_| random.next()).sum::<f64>() / 4.0 + shift;
            bins[(x * 200.0) as usize] += 1.0;
        }
        bins
    }

    fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
        a.iter().copied().zip(b.iter().copied()).collect()
    }

    #[test]
    fn known_values() {
        // By hand: (0.2-0.5)·ln(0.2/0.5) + (0.8-0.5)·ln(0.8/0.5) = 0.41589, counts large enough
        // that the half counts do not show.
        let d = distance(&[(5e6, 2e6), (5e6, 8e6)], false).unwrap();
        assert!((d.psi - 0.41589).abs() < 1e-4, "{d:?}");
        assert_eq!(distance(&[(5.0, 5.0), (5.0, 5.0)], true).unwrap().ks, 0.0);
        assert!((distance(&[(50.0, 20.0), (50.0, 80.0)], true).unwrap().ks - 0.3).abs() < 1e-12);
        assert_eq!(distance(&[(5.0, 5.0)], true), None);
        assert_eq!(distance(&[(5.0, 0.0), (3.0, 0.0)], true), None);
        // Chi-squared tables: 99% at 9 degrees of freedom is 21.666.
        assert!((psi_significance(10, 200.0, 200.0) - 0.21666).abs() < 1e-5);
        assert!((ks_gate(100.0, 100.0) - 0.19233).abs() < 1e-5);
    }

    #[test]
    fn a_value_that_the_baseline_never_had_is_seen() {
        let d = distance(&[(100.0, 50.0), (100.0, 50.0), (0.0, 100.0)], true).unwrap();
        assert_eq!(d.groups, 3);
        assert!(d.psi > 1.0, "{d:?}");
    }

    #[test]
    fn the_gates_rarely_cry_wolf_and_see_a_shift() {
        let mut random = Uniform(7);
        let (mut alarms, mut seen) = (0, 0);
        for _ in 0..500 {
            let base = sample(&mut random, 2_000, 0.0);
            let fails = |current: &[f64]| {
                let d = distance(&pairs(&base, current), true).unwrap();
                let psi = d.psi > PSI_EFFECT_MIN.max(psi_significance(d.groups, 2_000.0, 300.0));
                psi && d.ks > KS_EFFECT_MIN.max(ks_gate(2_000.0, 300.0))
            };
            alarms += u32::from(fails(&sample(&mut random, 300, 0.0)));
            seen += u32::from(fails(&sample(&mut random, 300, 0.1)));
        }
        assert!(alarms <= 10, "{alarms} of 500");
        assert!(seen >= 490, "{seen} of 500");
    }
}
