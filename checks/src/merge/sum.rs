//! Sums of doubles without rounding: a fixed-point number wide enough for every finite double, as in
//! Neal, "Fast exact summation using small and large superaccumulators" (2015). Adding is exact, so
//! that every grouping and order gives the same digits; only [`ExactSum::value`] rounds, once.

use crate::report::ExactSum;

/// Binary exponent of the lowest digit: the smallest double is 2^-1074.
const LOWEST_EXPONENT: i32 = -1_074;
/// Bits of a digit.
const DIGIT_BITS: u32 = 32;
/// Digits that any sum takes: 2,098 bits of a double, 64 for as many of them as a count can hold, and
/// some to spare. What a hostile peer makes of it wraps, and neither panics nor grows.
pub const SUM_DIGITS_MAX: usize = 70;

/// A sum that grows: 32-bit digits in two's complement, with room for carries put off.
#[derive(Clone, Debug)]
pub(crate) struct SumBuilder {
    digits: [i64; SUM_DIGITS_MAX],
    /// Additions since the carries were last taken on.
    pending: u32,
}

impl Default for SumBuilder {
    fn default() -> Self {
        Self { digits: [0; SUM_DIGITS_MAX], pending: 0 }
    }
}

impl SumBuilder {
    /// Adds a finite number; others are not numbers to add.
    pub(crate) fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        if exponent == 0x7ff {
            return;
        }
        // Subnormal numbers have the exponent of the smallest normal ones, without its leading bit.
        let (mantissa, shift) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        self.shifted(mantissa, shift, bits >> 63 == 1);
    }

    /// Adds an integer with all its digits.
    pub(crate) fn add_integer(&mut self, magnitude: u64, negative: bool) {
        self.shifted(magnitude, LOWEST_EXPONENT.unsigned_abs(), negative);
    }

    fn shifted(&mut self, magnitude: u64, shift: u32, negative: bool) {
        let wide = u128::from(magnitude) << (shift % DIGIT_BITS);
        let at = (shift / DIGIT_BITS) as usize;
        for (part, digit) in self.digits.iter_mut().skip(at).take(3).enumerate() {
            let part = (wide >> (DIGIT_BITS * part as u32)) as u32;
            *digit += if negative { -i64::from(part) } else { i64::from(part) };
        }
        self.pending += 1;
        // A digit has room for 2^31 additions of less than 2^32.
        if self.pending == 1 << 30 {
            self.carry();
        }
    }

    /// Brings all digits but the last into their range.
    fn carry(&mut self) {
        let mut carry = 0i64;
        for digit in &mut self.digits {
            let whole = digit.wrapping_add(carry);
            carry = whole >> DIGIT_BITS;
            *digit = whole & 0xffff_ffff;
        }
        // What is carried out of the last digit is its sign, which goes on for ever: put back.
        if let Some(last) = self.digits.last_mut() {
            *last = i64::from(*last as u32 as i32);
        }
        self.pending = 0;
    }

    fn of(sum: &ExactSum) -> Self {
        let mut digits = [0i64; SUM_DIGITS_MAX];
        let at = (sum.low as usize).min(SUM_DIGITS_MAX);
        for (digit, &given) in digits.iter_mut().skip(at).zip(&sum.digits) {
            *digit = if sum.negative { -i64::from(given) } else { i64::from(given) };
        }
        let mut all = Self { digits, pending: 0 };
        all.carry();
        all
    }

    /// The one way to write this sum: sign, and magnitude without zeros at either end.
    pub(crate) fn summary(&self) -> ExactSum {
        let mut all = self.clone();
        all.carry();
        let negative = all.digits.last().is_some_and(|digit| *digit < 0);
        if negative {
            all.digits.iter_mut().for_each(|digit| *digit = -*digit);
            all.carry();
        }
        let Some(low) = all.digits.iter().position(|digit| *digit != 0) else { return ExactSum::default() };
        let high = all.digits.iter().rposition(|digit| *digit != 0).unwrap_or(low);
        let digits = all.digits[low..=high].iter().map(|digit| *digit as u32).collect();
        ExactSum { negative, low: low as u32, digits }
    }
}

impl ExactSum {
    /// Adds another one, exactly.
    pub fn merge(&mut self, other: &Self) {
        let mut all = SumBuilder::of(self);
        let others = SumBuilder::of(other);
        for (mine, theirs) in all.digits.iter_mut().zip(others.digits) {
            *mine = mine.wrapping_add(theirs);
        }
        *self = all.summary();
    }

    /// The double nearest to it (ties to even); infinite beyond the doubles.
    pub fn value(&self) -> f64 {
        let digit = |at: usize| at.checked_sub(self.low as usize).and_then(|at| self.digits.get(at)).copied();
        let Some((top, leading)) = self.digits.iter().enumerate().rev().find(|(_, digit)| **digit != 0)
        else {
            return 0.0;
        };
        let highest = (self.low as usize + top) as u32 * DIGIT_BITS + leading.ilog2();
        let bit = |at: u32| {
            digit((at / DIGIT_BITS) as usize).is_some_and(|digit| digit >> (at % DIGIT_BITS) & 1 == 1)
        };
        let gather = |from: u32| (from..=highest).rev().fold(0u64, |bits, at| bits << 1 | u64::from(bit(at)));
        let magnitude = if highest < 53 {
            // Exact: the bits of a small double count its multiples of 2^-1074.
            f64::from_bits(gather(0))
        } else {
            let from = highest - 52;
            let half = bit(from - 1);
            let beyond = (0..from - 1).any(bit);
            let mantissa = gather(from);
            let up = half && (beyond || mantissa & 1 == 1);
            // A carry out of the mantissa goes on into the exponent, where it belongs.
            let bits = (u64::from(from + 1) << 52) + (mantissa - (1 << 52)) + u64::from(up);
            if bits >= f64::INFINITY.to_bits() { f64::INFINITY } else { f64::from_bits(bits) }
        };
        if self.negative { -magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut all = SumBuilder::default();
        values.iter().for_each(|&x| all.add(x));
        all.summary()
    }

    #[test]
    fn what_rounding_would_lose_is_kept() {
        for (values, expected) in [
            (&[1e100, 1.0, -1e100][..], 1.0),
            (&[0.1; 10], 1.0),
            (&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX),
            (&[5e-324, 5e-324], 1e-323),
            (&[f64::MIN_POSITIVE, -5e-324], 2.225_073_858_507_201e-308),
            (&[-0.0], 0.0),
            (&[9_007_199_254_740_992.0, 1.0], 9_007_199_254_740_992.0),
            (&[9_007_199_254_740_992.0, 1.0, 1.0], 9_007_199_254_740_994.0),
            (&[-3.5, 1.25], -2.25),
            (&[f64::MAX, f64::MAX], f64::INFINITY),
            (&[f64::MIN, f64::MIN], f64::NEG_INFINITY),
        ] {
            assert_eq!(sum(values).value(), expected, "{values:?}");
        }
        let mut all = SumBuilder::default();
        all.add_integer(u64::MAX, false);
        all.add_integer(u64::MAX - 3, true);
        assert_eq!(all.summary().value(), 3.0);
        assert_eq!(sum(&[1.5, -1.5]), ExactSum::default(), "there is one zero");
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite())
    }

    proptest! {
        #[test]
        fn one_number_is_itself(x in finite()) {
            prop_assert_eq!(sum(&[x]).value(), x);
        }

        #[test]
        fn whole_numbers_add_up(values in proptest::collection::vec(any::<i64>(), 0..40)) {
            let mut all = SumBuilder::default();
            values.iter().for_each(|n| all.add_integer(n.unsigned_abs(), *n < 0));
            let truth: i128 = values.iter().map(|n| i128::from(*n)).sum();
            prop_assert_eq!(all.summary().value(), truth as f64);
        }

        /// In any order and grouping: the same digits.
        #[test]
        fn splits_give_the_same(values in proptest::collection::vec(finite(), 0..30), split in 0usize..30) {
            let (left, right) = values.split_at(split.min(values.len()));
            let (mut a, mut b) = (sum(left), sum(right));
            a.merge(&sum(right));
            b.merge(&sum(left));
            prop_assert_eq!(&a, &sum(&values));
            prop_assert_eq!(&b, &a);
        }
    }
}
