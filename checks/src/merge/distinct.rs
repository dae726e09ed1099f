//! Distinct values: exact hashes while they are few, HyperLogLog registers beyond.

use super::{DISTINCT_EXACT_MAX, DISTINCT_PRECISION, union};
use crate::report::DistinctSummary;

impl DistinctSummary {
    /// Adds the values of another one: a union, so that adding twice changes nothing. Both are of
    /// [`DISTINCT_PRECISION`] (the codec refuses others).
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.precision = DISTINCT_PRECISION;
        if self.registers.is_empty() && other.registers.is_empty() {
            union(&mut self.hashes, &other.hashes, u64::cmp, |_, _| {});
            if self.hashes.len() > DISTINCT_EXACT_MAX {
                self.make_dense();
            }
            return;
        }
        self.make_dense();
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *mine = (*mine).max(*theirs);
        }
        other.hashes.iter().for_each(|&hash| raise(&mut self.registers, hash));
    }

    /// Nothing seen.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty() && self.hashes.is_empty()
    }

    /// From hashes to registers.
    pub(crate) fn make_dense(&mut self) {
        self.registers.resize(1 << DISTINCT_PRECISION, 0);
        for hash in std::mem::take(&mut self.hashes) {
            raise(&mut self.registers, hash);
        }
    }
}

/// Counts a hash: its top bits choose the register, the zeros that lead the rest raise it.
#[inline]
pub(crate) fn raise(registers: &mut [u8], hash: u64) {
    // Where all of the rest are zeros, the bit behind it ends them.
    let rest = hash << DISTINCT_PRECISION | 1 << (DISTINCT_PRECISION - 1);
    let rank = (rest.leading_zeros() + 1) as u8;
    if let Some(register) = registers.get_mut((hash >> (64 - DISTINCT_PRECISION)) as usize) {
        // Written in any case: which is the larger one cannot be guessed.
        *register = rank.max(*register);
    }
}
