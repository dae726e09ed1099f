//! The numbers of a field and their past: ranks by the bins of the sketch, and the mean, which still
//! tells where all values share a few bins (a large offset, a small spread).

use serde::{Deserialize, Serialize};

use super::rate::{Excess, two_sided};
use crate::report::NumericSummary;

/// Bins kept; beyond it two become one, everywhere.
const BINS_MAX: usize = 256;
/// Indices of the sketch lie within this of zero.
const INDEX_SPAN: i32 = 40_000;
/// A bin that weighs less is forgotten.
const WEIGHT_MIN: f64 = 1e-3;
/// Mean of the Kolmogorov-Smirnov distance squared of two samples of one distribution, times
/// n·m/(n+m): π²/12.
const KS_SQUARED_MEAN: f64 = 0.822_467_033_424_113_2;
/// A smaller distance of ranks is never told: 0.2 standard deviations of a normal distribution.
const KS_MIN: f64 = 0.08;
/// A smaller move of the mean, in standard deviations, is never told ("small": Cohen, 1988).
const MEAN_MIN: f64 = 0.2;

/// Bins and moments, the older the less they weigh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct NumbersPast {
    /// How often neighbouring bins were joined.
    level: u8,
    /// By place on the line of numbers, negative ones below zero.
    bins: Vec<(i32, f64)>,
    n: f64,
    mean: f64,
    variance: f64,
    ranks: Excess,
    means: Excess,
}

/// Numbers now, held against the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved {
    /// Kolmogorov-Smirnov distance.
    pub(super) ks: f64,
    /// Move of the mean, in standard deviations (the larger of both).
    pub(super) mean: f64,
    /// Two-sided, of the test that is surer among those large enough; else of the surer one.
    pub(super) p: f64,
    /// How many times over it is worth telling.
    pub(super) effect: f64,
}

fn place(sign: i32, index: i32, level: u8) -> i32 {
    sign * ((index.clamp(-INDEX_SPAN + 1, INDEX_SPAN) + INDEX_SPAN) >> level).max(1)
}

/// Counts of a summary along the line of numbers, in order.
fn line(numbers: &NumericSummary, level: u8) -> Vec<(i32, f64)> {
    let mut line: Vec<(i32, f64)> = Vec::with_capacity(numbers.negative.len() + numbers.positive.len() + 1);
    let negative = numbers.negative.iter().rev().map(|bin| (place(-1, bin.index, level), bin.count));
    let positive = numbers.positive.iter().map(|bin| (place(1, bin.index, level), bin.count));
    let zeros = (numbers.zeros > 0).then_some((0, numbers.zeros));
    for (at, count) in negative.chain(zeros).chain(positive) {
        match line.last_mut() {
            Some((last, sum)) if *last == at => *sum += count as f64,
            _ => line.push((at, count as f64)),
        }
    }
    line
}

/// Both lines as one: place, weight there, count here.
fn joint<'a>(past: &'a [(i32, f64)], now: &'a [(i32, f64)]) -> impl Iterator<Item = (i32, f64, f64)> + 'a {
    let (mut past, mut now) = (past.iter().peekable(), now.iter().peekable());
    std::iter::from_fn(move || match (past.peek(), now.peek()) {
        (None, None) => None,
        (Some((at, _)), Some((other, _))) if at == other => {
            let (weight, count) = (past.next()?.1, now.next()?.1);
            Some((*at, weight, count))
        }
        (Some((at, _)), other) if other.is_none_or(|(other, _)| at < other) => {
            past.next().map(|(at, weight)| (*at, *weight, 0.0))
        }
        _ => now.next().map(|(at, count)| (*at, 0.0, *count)),
    })
}

impl NumbersPast {
    /// Numbers that the past weighs.
    pub(super) fn n(&self) -> f64 {
        self.n
    }

    /// Its mean.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// Takes a window.
    pub(super) fn learn(&mut self, now: &NumericSummary, memory: f64) {
        let n = now.count as f64;
        if now.count == 0 {
            return;
        }
        if self.n > 0.0 {
            let sampling = 1.0 / n + 1.0 / self.n;
            let ks = self.distance(now);
            self.ranks.learn(ks * ks / KS_SQUARED_MEAN, sampling, memory);
            let spread = self.spread(now);
            let off = finite(now.mean - self.mean);
            if spread > 0.0 {
                // In standard deviations, so that a field whose spread grows keeps its measure.
                let off = (off / spread).clamp(-1e6, 1e6);
                self.means.learn(off * off, sampling, memory);
            }
        }
        let keep = 1.0 - 1.0 / memory;
        let old = self.n * keep;
        let both = old + n;
        let delta = finite(now.mean - self.mean);
        let variance = finite(now.m2 / n);
        self.variance = finite(
            self.variance * (old / both) + variance * (n / both) + delta * delta * (old / both) * (n / both),
        );
        self.mean = finite(self.mean * (old / both) + now.mean * (n / both));
        self.n = both;
        let now = line(now, self.level);
        self.bins = joint(&self.bins, &now)
            .map(|(at, weight, count)| (at, weight * keep + count))
            .filter(|(_, weight)| *weight >= WEIGHT_MIN)
            .collect();
        while self.bins.len() > BINS_MAX {
            self.level += 1;
            let mut joined: Vec<(i32, f64)> = Vec::with_capacity(BINS_MAX);
            for (at, weight) in self.bins.drain(..) {
                let at = at.signum() * (at.abs() >> 1).max(i32::from(at != 0));
                match joined.last_mut() {
                    Some((last, sum)) if *last == at => *sum += weight,
                    _ => joined.push((at, weight)),
                }
            }
            self.bins = joined;
        }
    }

    /// The larger standard deviation of both: one wild value in a window widens its own measure.
    fn spread(&self, now: &NumericSummary) -> f64 {
        let variance = finite(now.m2 / now.count.max(1) as f64);
        self.variance.max(variance).max(0.0).sqrt()
    }

    fn distance(&self, now: &NumericSummary) -> f64 {
        let now = line(now, self.level);
        let sum = |line: &[(i32, f64)]| line.iter().map(|(_, weight)| weight).sum::<f64>();
        let (all, n) = (sum(&self.bins), sum(&now));
        if all <= 0.0 || n <= 0.0 {
            return 0.0;
        }
        let (mut before, mut after, mut most) = (0.0, 0.0, 0.0f64);
        for (_, weight, count) in joint(&self.bins, &now) {
            before += weight / all;
            after += count / n;
            most = most.max((before - after).abs());
        }
        most
    }

    /// Holds a window against it.
    pub(super) fn compare(&self, now: &NumericSummary) -> Option<Moved> {
        if now.count == 0 || self.n <= 0.0 {
            return None;
        }
        let sampling = 1.0 / now.count as f64 + 1.0 / self.n;
        let ks = self.distance(now);
        // Both sides of the Kolmogorov distribution's tail, of which this is the first term.
        let ks_p = (2.0 * (-2.0 * ks * ks / (sampling + self.ranks.variance())).exp()).min(1.0);
        let off = finite(now.mean - self.mean).abs();
        let spread = self.spread(now);
        let mean = if spread > 0.0 {
            off / spread
        } else if off > 1e-9 * self.mean.abs() {
            f64::from(u16::MAX)
        } else {
            0.0
        };
        let mean_p = two_sided(mean / (sampling + self.means.variance()).sqrt());
        let tests = [(ks / KS_MIN, ks_p), (mean / MEAN_MIN, mean_p)];
        let surer = |a: &(f64, f64), b: &(f64, f64)| a.1.total_cmp(&b.1);
        let large = tests.into_iter().filter(|(effect, _)| *effect >= 0.5).min_by(surer);
        let (effect, p) = large.or_else(|| tests.into_iter().min_by(surer))?;
        // Two tests of one field.
        Some(Moved { ks, mean, p: (2.0 * p).min(1.0), effect })
    }
}

/// Sums of a hostile peer's numbers stay numbers.
fn finite(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(-1e300, 1e300) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::random::Random;
    use crate::profile::Numbers;

    fn window(random: &mut Random, n: usize, draw: impl Fn(&mut Random) -> f64) -> NumericSummary {
        let mut numbers = Numbers::default();
        (0..n).for_each(|_| numbers.add(draw(random)));
        numbers.summary()
    }

    fn learned(random: &mut Random, draw: impl Fn(&mut Random) -> f64 + Copy) -> NumbersPast {
        let mut past = NumbersPast::default();
        for _ in 0..100 {
            past.learn(&window(random, 1_000, draw), 864.0);
        }
        past
    }

    #[test]
    fn bins_join_without_losing_anything_and_zero_stays_zero() {
        let mut random = Random::new(1);
        let past =
            learned(&mut random, |r| (r.normal() * 6.0).exp() * if r.uniform() < 0.3 { -1.0 } else { 1.0 });
        assert!(past.level > 0 && past.bins.len() <= BINS_MAX, "{}", past.level);
        assert!(past.bins.is_sorted_by(|a, b| a.0 < b.0));
        let weight: f64 = past.bins.iter().map(|(_, weight)| weight).sum();
        assert!((weight / past.n - 1.0).abs() < 1e-6);
        let zeros = NumericSummary { count: 5, zeros: 5, ..Default::default() };
        assert_eq!(line(&zeros, past.level), [(0, 5.0)]);
    }

    #[test]
    fn a_large_offset_with_a_small_spread_moves_by_the_mean() {
        let mut random = Random::new(2);
        let draw = |r: &mut Random| 1e9 + r.normal();
        let past = learned(&mut random, draw);
        let same = past.compare(&window(&mut random, 10_000, draw)).unwrap();
        assert!(same.effect < 1.0, "{same:?}");
        let moved = past.compare(&window(&mut random, 10_000, |r| 1e9 + 0.3 + r.normal())).unwrap();
        assert!(moved.effect > 1.2 && moved.p < 1e-9, "{moved:?}");
    }

    #[test]
    fn a_wild_value_is_not_a_move() {
        let mut random = Random::new(3);
        let past = learned(&mut random, Random::normal);
        let mut now = window(&mut random, 500, Random::normal);
        let wild = NumericSummary { count: 1, min: 1e12, max: 1e12, mean: 1e12, ..Default::default() };
        now.merge(&wild);
        let compared = past.compare(&now).unwrap();
        assert!(compared.effect < 1.0 || compared.p > 0.01, "{compared:?}");
    }

    #[test]
    fn a_counter_goes_on_without_surprise() {
        let mut past = NumbersPast::default();
        let at = |window: u64| {
            let mut numbers = Numbers::default();
            (window * 1_000..(window + 1) * 1_000).for_each(|n| numbers.add(n as f64));
            numbers.summary()
        };
        for window in 1..300 {
            if window > 100 {
                let compared = past.compare(&at(window)).unwrap();
                assert!(compared.p > 1e-3, "{window} {compared:?}");
            }
            past.learn(&at(window), 864.0);
        }
    }

    #[test]
    fn what_a_peer_makes_up_stays_finite() {
        let mut past = NumbersPast::default();
        let wild = NumericSummary {
            count: 2,
            min: f64::MIN,
            max: f64::MAX,
            mean: f64::MAX,
            m2: f64::MAX,
            ..Default::default()
        };
        (0..10).for_each(|_| past.learn(&wild, 100.0));
        assert!(past.mean.is_finite() && past.variance.is_finite() && past.n.is_finite());
        assert!(past.compare(&wild).unwrap().p.is_finite());
    }
}
