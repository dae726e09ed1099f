//! What a summary says, with how wrong it may be.

use super::numbers::value_of;
use crate::merge::{BINS_MAX, DISTINCT_PRECISION};
use crate::report::{Bin, DistinctSummary, FieldSummary, NumericSummary, TopValue};

/// How many different values, at 95% confidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct DistinctEstimate {
    /// The estimate; exact where `lower` and `upper` equal it.
    pub estimate: f64,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound; never more than there are values.
    pub upper: f64,
}

impl FieldSummary {
    /// Parents without it.
    pub fn missing(&self) -> u64 {
        self.records.saturating_sub(self.present)
    }

    /// Scalars other than null.
    pub fn scalars(&self) -> u64 {
        [self.integer, self.number, self.string, self.boolean].iter().fold(0, |n, &m| n.saturating_add(m))
    }

    /// How many values of each type there were, null aside.
    pub fn types(&self) -> [(u64, &'static str); 6] {
        [
            (self.integer, "integer"),
            (self.number, "number"),
            (self.string, "string"),
            (self.boolean, "boolean"),
            (self.object, "object"),
            (self.array, "array"),
        ]
    }

    /// Does it only hold others (an object, an array)? Then it has no values of its own.
    pub fn is_container(&self) -> bool {
        self.scalars() == 0 && self.object.saturating_add(self.array) > 0
    }

    /// Quantile of the numbers: see [`NumericSummary::quantile`].
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.numeric.as_ref()?.quantile(q)
    }

    /// Standard deviation of the numbers: see [`NumericSummary::stddev`].
    pub fn stddev(&self) -> Option<f64> {
        self.numeric.as_ref()?.stddev()
    }

    /// Different scalars other than null.
    pub fn distinct_estimate(&self) -> DistinctEstimate {
        let most = self.scalars() as f64;
        self.distinct.as_ref().map_or(DistinctEstimate { estimate: 0.0, lower: 0.0, upper: 0.0 }, |d| {
            let all = d.estimate();
            DistinctEstimate {
                estimate: all.estimate.min(most),
                lower: all.lower.min(most),
                upper: all.upper.min(most),
            }
        })
    }

    /// The `n` most frequent values, by the count that is certain; ties by text.
    pub fn top(&self, n: usize) -> Vec<&TopValue> {
        let mut values: Vec<&TopValue> = self.top.iter().flat_map(|top| &top.values).collect();
        values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        values.truncate(n);
        values
    }
}

impl NumericSummary {
    /// The number that a share `q` (0 to 1) of the numbers do not exceed, within 1% of its value.
    /// `None` without numbers, for a `q` outside 0 to 1, and where the sketch no longer knows: the
    /// values lie more than a factor of 6e17 below the largest, in a collapsed bin.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        // The extremes are exact.
        if q == 0.0 || q == 1.0 {
            return Some(if q == 0.0 { self.min } else { self.max });
        }
        let rank = q * (self.count - 1) as f64;
        let mut seen = 0.0;
        let bins = self.negative.iter().rev().map(|b| (b, -1.0, collapsed(&self.negative)));
        for (bin, sign, collapsed) in bins {
            seen += bin.count as f64;
            if seen > rank {
                return self.read(bin, sign, collapsed);
            }
        }
        seen += self.zeros as f64;
        if seen > rank {
            return Some(0.0f64.clamp(self.min, self.max));
        }
        for bin in &self.positive {
            seen += bin.count as f64;
            if seen > rank {
                return self.read(bin, 1.0, collapsed(&self.positive));
            }
        }
        Some(self.max)
    }

    fn read(&self, bin: &Bin, sign: f64, collapsed: Option<i32>) -> Option<f64> {
        (collapsed != Some(bin.index)).then(|| (sign * value_of(bin.index)).clamp(self.min, self.max))
    }

    /// How many numbers lie in each of `cells` equal steps from the 1% to the 99% quantile; those
    /// beyond are left out. Each count is as exact as a bin is wide (1%). `None` where the ends are not
    /// known or are one.
    pub fn histogram(&self, cells: usize) -> Option<Vec<u64>> {
        let (low, high) = (self.quantile(0.01)?, self.quantile(0.99)?);
        let step = (high - low) / cells as f64;
        if step <= 0.0 || !step.is_finite() {
            return None;
        }
        let mut counts = vec![0u64; cells];
        let mut add = |value: f64, count: u64| {
            if (low..=high).contains(&value)
                && let Some(cell) = counts.get_mut((((value - low) / step) as usize).min(cells - 1))
            {
                *cell = cell.saturating_add(count);
            }
        };
        let zero = 0.0f64.clamp(self.min, self.max);
        self.negative.iter().for_each(|b| add((-value_of(b.index)).clamp(self.min, self.max), b.count));
        add(zero, self.zeros);
        self.positive.iter().for_each(|b| add(value_of(b.index).clamp(self.min, self.max), b.count));
        Some(counts)
    }

    /// Standard deviation (of the population); `None` without numbers or where the squares exceed
    /// what a double holds.
    pub fn stddev(&self) -> Option<f64> {
        (self.count > 0 && self.m2 < f64::MAX).then(|| (self.m2 / self.count as f64).sqrt())
    }
}

/// Index of the bin that may hold lower values than its own.
fn collapsed(bins: &[Bin]) -> Option<i32> {
    let lowest = bins.last()?.index.saturating_sub(BINS_MAX as i32 - 1);
    bins.first().map(|b| b.index).filter(|first| *first == lowest)
}

impl DistinctSummary {
    /// How many: exact while sparse, else Ertl's improved estimator ("New cardinality estimation
    /// algorithms for HyperLogLog sketches", 2017, algorithm 6) with two standard errors of 1.63%
    /// either side.
    pub fn estimate(&self) -> DistinctEstimate {
        if self.registers.is_empty() {
            let n = self.hashes.len() as f64;
            return DistinctEstimate { estimate: n, lower: n, upper: n };
        }
        let m = self.registers.len() as f64;
        const RANKS: usize = 64 - DISTINCT_PRECISION as usize;
        let mut counts = [0.0; RANKS + 2];
        for &register in &self.registers {
            counts[usize::from(register).min(RANKS + 1)] += 1.0;
        }
        let mut z = m * tau(1.0 - counts[RANKS + 1] / m);
        for count in counts[1..=RANKS].iter().rev() {
            z = 0.5 * (z + count);
        }
        z += m * sigma(counts[0] / m);
        let estimate = m * m / (2.0 * std::f64::consts::LN_2 * z);
        let error = 2.0 * 1.04 / m.sqrt();
        DistinctEstimate { estimate, lower: estimate / (1.0 + error), upper: estimate / (1.0 - error) }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
