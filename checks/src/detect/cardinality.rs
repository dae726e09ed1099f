//! How many different values a window has, against its past.

use serde::{Deserialize, Serialize};

use super::rate::{Excess, two_sided};

/// Relative variance of two HyperLogLog estimates of 4,096 registers (standard error 1.63%).
const SKETCH: f64 = 2.0 * 0.0163 * 0.0163;
/// Fewer different values, before and now, are left to the shares of each.
const DISTINCT_MIN: f64 = 30.0;
/// A smaller ratio is never told: a half more, or a third fewer.
const RATIO_MIN: f64 = 1.5;

/// Logarithms of how many values and how many different ones windows had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cardinality {
    distinct: f64,
    values: f64,
    windows: f64,
    excess: Excess,
}

impl Cardinality {
    /// How much the different values are off, beyond what more or fewer values explain: with twice as
    /// many values there are as many different ones, or twice as many, or something between.
    fn off(&self, distinct: f64, values: f64) -> f64 {
        let more = values.ln() - self.values;
        let now = distinct.ln() - self.distinct;
        now - now.clamp(more.min(0.0), more.max(0.0))
    }

    /// Takes a window with so many values.
    pub(super) fn learn(&mut self, distinct: f64, values: f64, memory: f64) {
        if distinct < 1.0 || values < 1.0 {
            return;
        }
        if self.windows > 0.0 {
            let off = self.off(distinct, values);
            self.excess.learn(off * off, SKETCH, memory);
        }
        self.windows = (self.windows + 1.0).min(memory);
        self.distinct += (distinct.ln() - self.distinct) / self.windows;
        self.values += (values.ln() - self.values) / self.windows;
    }

    /// Different values before, p-value and effect.
    pub(super) fn compare(&self, distinct: f64, values: f64) -> Option<(f64, f64, f64)> {
        let before = self.distinct.exp();
        if self.windows < 1.0 || distinct < 1.0 || values < 1.0 || before.max(distinct) < DISTINCT_MIN {
            return None;
        }
        let off = self.off(distinct, values);
        let sampling = SKETCH + 1.0 / distinct + 1.0 / before;
        let p = two_sided(off / (sampling + self.excess.variance()).sqrt());
        Some((before, p, off.abs() / RATIO_MIN.ln()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_values_explain_more_different_ones() {
        let mut past = Cardinality::default();
        (0..50).for_each(|i| past.learn(500.0 + f64::from(i % 5), 1_000.0, 864.0));
        let effect = |distinct: f64, values: f64| past.compare(distinct, values).unwrap().2;
        assert!(effect(1_000.0, 2_000.0) < 0.1);
        assert!(effect(505.0, 2_000.0) < 0.1);
        let (before, p, effect) = past.compare(50.0, 1_000.0).unwrap();
        assert!(effect > 3.0 && p < 1e-9 && (before - 502.0).abs() < 1.0, "{before} {p} {effect}");
        assert_eq!(past.compare(0.0, 10.0), None);
    }
}
