//! The numbers that a rule looks at: extremes, moments, quantiles and their exact sum.

use crate::merge::sum::SumBuilder;
use crate::profile::Numbers;
use crate::report::NumberTally;
use crate::tape::Data;

/// Numbers of one rule in one pane, growing.
#[derive(Debug, Default)]
pub(super) struct NumberBuilder {
    numbers: Numbers,
    sum: SumBuilder,
    skewed: u64,
}

impl NumberBuilder {
    /// Takes a value, if it is a number; says whether it counts as one (NaN and infinities do not, and
    /// are told apart).
    pub(super) fn add(&mut self, data: Data<'_>) -> bool {
        match data {
            Data::I64(n) => {
                self.numbers.add(n as f64);
                self.sum.add_integer(n.unsigned_abs(), n < 0);
            }
            Data::U64(n) => {
                self.numbers.add(n as f64);
                self.sum.add_integer(n, false);
            }
            Data::F64(n) => {
                self.numbers.add(n);
                self.sum.add(n);
                return n.is_finite();
            }
            Data::Null | Data::Bool(_) | Data::Str(_) | Data::Object { .. } | Data::Array { .. } => {
                return false;
            }
        }
        true
    }

    /// A difference of times below zero.
    pub(super) fn skewed(&mut self) {
        self.skewed += 1;
    }

    pub(super) fn summary(&self) -> NumberTally {
        NumberTally {
            numeric: Some(self.numbers.summary()),
            sum: Some(self.sum.summary()),
            skewed: self.skewed,
        }
    }

    pub(super) fn approximate_bytes(&self) -> usize {
        size_of::<Self>() + self.numbers.heap_bytes()
    }
}
