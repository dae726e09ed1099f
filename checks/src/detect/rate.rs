//! A share and its past: quasi-binomial, so that a share which varies from window to window by more
//! than counting makes it is held against how much it varies.

use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;

/// A deviation counts into the spread up to this many times the variance known so far: one wild
/// window does not make all others look tame.
const CLIP: f64 = 16.0;

/// Two-sided p-value of a standard normal deviate.
pub(super) fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2).clamp(0.0, 1.0)
}

/// How much more than sampling a statistic varies between windows: a variance, learned by moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Excess {
    variance: f64,
    windows: f64,
}

impl Excess {
    /// Takes a squared deviation whose sampling variance was `expected`.
    pub(super) fn learn(&mut self, squared: f64, expected: f64, memory: f64) {
        self.windows = (self.windows + 1.0).min(memory);
        let most = CLIP * (expected + self.variance.max(0.0));
        self.variance += (squared.min(most) - expected - self.variance) / self.windows;
        if !self.variance.is_finite() {
            self.variance = 0.0;
        }
    }

    /// The variance, on the safe side while few windows are known.
    pub(super) fn variance(&self) -> f64 {
        self.variance.max(0.0) * (1.0 + 6.0 / self.windows.max(1.0))
    }
}

/// Hits among trials, the older the less they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rate {
    hits: f64,
    n: f64,
    excess: Excess,
}

/// A share now, held against the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compared {
    /// Share before.
    pub(super) before: f64,
    /// Share now.
    pub(super) now: f64,
    /// Two-sided.
    pub(super) p: f64,
}

impl Rate {
    /// From its parts.
    pub(super) fn of(hits: f64, n: f64, excess: Excess) -> Self {
        Self { hits, n, excess }
    }

    /// Hits and how they vary.
    pub(super) fn parts(&self) -> (f64, Excess) {
        (self.hits, self.excess)
    }

    /// Trials that the past weighs.
    pub(super) fn n(&self) -> f64 {
        self.n
    }

    /// The past's share; 0 without trials.
    pub(super) fn share(&self) -> f64 {
        if self.n > 0.0 { self.hits / self.n } else { 0.0 }
    }

    /// Takes a window.
    pub(super) fn learn(&mut self, hits: f64, n: f64, memory: f64) {
        if n <= 0.0 {
            return;
        }
        if self.n > 0.0 {
            let off = hits / n - self.share();
            self.excess.learn(off * off, self.sampling(hits, n), memory);
        }
        let keep = 1.0 - 1.0 / memory;
        self.hits = self.hits * keep + hits;
        self.n = self.n * keep + n;
    }

    /// Variance of the difference of both shares, were they one.
    fn sampling(&self, hits: f64, n: f64) -> f64 {
        let pooled = (self.hits + hits) / (self.n + n);
        pooled * (1.0 - pooled) * (1.0 / n + 1.0 / self.n)
    }

    /// Likelihood-ratio test of both shares being one: its tails are right where a normal
    /// approximation's are not (few hits), divided by how much more than a binomial the share varies.
    pub(super) fn compare(&self, hits: f64, n: f64) -> Option<Compared> {
        if n <= 0.0 || self.n <= 0.0 {
            return None;
        }
        let pooled = (self.hits + hits) / (self.n + n);
        let term = |seen: f64, expected: f64| {
            if seen > 0.0 && expected > 0.0 { seen * (seen / expected).ln() } else { 0.0 }
        };
        let deviance = 2.0
            * (term(hits, n * pooled)
                + term(n - hits, n * (1.0 - pooled))
                + term(self.hits, self.n * pooled)
                + term(self.n - self.hits, self.n * (1.0 - pooled)));
        let sampling = self.sampling(hits, n);
        let inflation = if sampling > 0.0 { 1.0 + self.excess.variance() / sampling } else { 1.0 };
        let p = two_sided((deviance.max(0.0) / inflation).sqrt());
        Some(Compared { before: self.share(), now: hits / n, p })
    }
}

/// How many times over the difference of two shares is worth telling, at least one being so: half a point
/// and more than half as much again, or ten points.
pub fn share_effect(before: f64, now: f64) -> f64 {
    let off = (now - before).abs();
    let ratio = (before.max(now) / before.min(now).max(1e-12)).min(1e6);
    let as_ratio = (off / SHARE_MIN).min((ratio - 1.0) / (RATIO_MIN - 1.0));
    as_ratio.max(off / LARGE)
}

/// A smaller difference of shares is never told.
const SHARE_MIN: f64 = 0.005;
/// A smaller relative one only when it is [`LARGE`].
const RATIO_MIN: f64 = 1.6;
/// Told whatever the ratio.
const LARGE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn past(hits: f64, n: f64) -> Rate {
        Rate { hits, n, ..Rate::default() }
    }

    #[test]
    fn two_shares_of_a_textbook() {
        // G test of [[30, 70], [15, 85]]: 2·Σ O·ln(O/E) = 6.5316; chi-squared (1) gives p = 0.01059.
        let compared = past(15.0, 100.0).compare(30.0, 100.0).unwrap();
        assert!((compared.p - 0.0106).abs() < 2e-4, "{compared:?}");
        assert_eq!((compared.before, compared.now), (0.15, 0.3));
        assert_eq!(past(0.0, 0.0).compare(1.0, 10.0), None);
        assert_eq!(past(0.0, 50.0).compare(0.0, 10.0).unwrap().p, 1.0);
    }

    /// Three of 200 where one in a thousand is usual: a normal approximation calls it one in ten
    /// thousand million; it is one in a thousand.
    #[test]
    fn a_few_hits_of_something_rare_are_no_miracle() {
        let compared = past(100.0, 100_000.0).compare(3.0, 200.0).unwrap();
        assert!((1e-4..1e-2).contains(&compared.p), "{compared:?}");
    }

    #[test]
    fn a_share_that_always_varies_needs_more_to_surprise() {
        let (mut steady, mut restless) = (Rate::default(), Rate::default());
        for window in 0..200 {
            steady.learn(100.0, 1_000.0, 864.0);
            restless.learn(if window % 2 == 0 { 60.0 } else { 140.0 }, 1_000.0, 864.0);
        }
        assert!(steady.compare(170.0, 1_000.0).unwrap().p < 1e-9);
        assert!(restless.compare(170.0, 1_000.0).unwrap().p > 0.01);
        assert!(restless.compare(400.0, 1_000.0).unwrap().p < 1e-6);
    }

    #[test]
    fn what_is_worth_telling() {
        assert!(share_effect(0.005, 0.05) > 4.0);
        assert!(share_effect(0.05, 0.10) > 1.5);
        assert!(share_effect(0.01, 0.02) > 1.6);
        assert!(share_effect(0.40, 0.55) > 1.0);
        assert!(share_effect(0.40, 0.48) < 1.0);
        assert!(share_effect(0.001, 0.005) < 1.0);
    }
}
