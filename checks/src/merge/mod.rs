//! The merge laws of everything an agent accumulates.
//!
//! For every `merge` here, and property-tested in `laws.rs`:
//! - **commutative**: `a+b` and `b+a` are bit-identical;
//! - **associative**: `(a+b)+c` and `a+(b+c)` are bit-identical, but for `mean` and `m2` of
//!   [`NumericSummary`](crate::report::NumericSummary), which agree to 1e-9 of the spread of the
//!   values, and for [`TopSummary`](crate::report::TopSummary) beyond [`TOP_VALUES_MAX`] values,
//!   whose bounds hold in any order though the values listed may differ, as they do for
//!   [`Keyed`](crate::report::Keyed) sequences of more than
//!   [`RANGES_MAX`](crate::report::RANGES_MAX) ranges;
//! - the empty summary is **neutral**;
//! - counts **saturate**: a hostile `u64::MAX` neither panics nor wraps;
//! - lists stay **sorted and bounded**, whatever is merged.
//!
//! Where a list is cut, what is kept depends on the union alone (the smallest names, the first
//! offsets, the lowest hashes), never on the order of merging.

mod distinct;
mod field;
mod histogram;
mod keyed;
mod numeric;
mod pane;
mod schemas;
mod segment;
pub(crate) mod sum;
mod top;
mod unique;

#[cfg(test)]
mod laws;

use std::cmp::Ordering;

pub(crate) use distinct::raise;
pub(crate) use field::{fold_fields, object_of_member, objects_at_parent};
pub(crate) use histogram::NATIVE_INDEX;
pub(crate) use keyed::between;
#[cfg(test)]
pub(crate) use numeric::collapse;
pub use schemas::{SCHEMAS_MAX, count_schema};
pub use segment::SEGMENTS_KEPT;
pub use sum::SUM_DIGITS_MAX;

use crate::report::{Bin, Example, ReasonCount};

/// Examples kept of one thing. `limits.examples` may ask for fewer.
pub const EXAMPLES_MAX: usize = 5;

/// Different reasons in one list; the alphabetically last beyond it count under [`OTHER`].
pub const REASONS_MAX: usize = 64;

/// The reason of what no longer fits a list of reasons.
pub const OTHER: &str = "other";

/// Fields of one summary; the alphabetically last beyond it are folded away and counted.
pub const FIELDS_MAX: usize = 10_000;

/// Rules of one summary: more than a check file of `limits.file_bytes` can hold.
pub const RULES_MAX: usize = 20_000;

/// Values of one [`TopSummary`](crate::report::TopSummary).
pub const TOP_VALUES_MAX: usize = 1_024;

/// Hashes of one merged [`Uniqueness`](crate::report::Uniqueness): a window holds several panes of
/// `limits.uniqueness_values` each, and should stay exact where they are.
pub const UNIQUENESS_MAX: usize = 524_288;

/// Bins of one sign of a [`NumericSummary`](crate::report::NumericSummary): at 1% they span a
/// factor of 6e17 below the largest value; what lies lower shares the lowest bin.
pub const BINS_MAX: usize = 2_048;

/// Hashes a [`DistinctSummary`](crate::report::DistinctSummary) counts exactly.
pub const DISTINCT_EXACT_MAX: usize = 256;

/// Registers of a [`DistinctSummary`](crate::report::DistinctSummary), as a power of two: standard
/// error 1.04/√4096 = 1.63%.
pub const DISTINCT_PRECISION: u32 = 12;

/// Merges sorted `other` into sorted `mine`; equal elements are combined.
fn union<T: Clone>(
    mine: &mut Vec<T>,
    other: &[T],
    order: impl Fn(&T, &T) -> Ordering,
    mut combine: impl FnMut(&mut T, &T),
) {
    if other.is_empty() {
        return;
    }
    if mine.is_empty() {
        mine.extend_from_slice(other);
        return;
    }
    let mut merged = Vec::with_capacity(mine.len().max(other.len()));
    let mut theirs = other.iter().peekable();
    for mut item in std::mem::take(mine) {
        while let Some(next) = theirs.next_if(|next| order(next, &item).is_lt()) {
            merged.push(next.clone());
        }
        if let Some(same) = theirs.next_if(|next| order(next, &item).is_eq()) {
            combine(&mut item, same);
        }
        merged.push(item);
    }
    merged.extend(theirs.cloned());
    *mine = merged;
}

/// Adds `count` under `reason` to a sorted list, within [`REASONS_MAX`].
pub fn count_reason(list: &mut Vec<ReasonCount>, reason: &str, count: u64) {
    match list.binary_search_by(|r| r.reason.as_str().cmp(reason)) {
        Ok(i) => list[i].count = list[i].count.saturating_add(count),
        Err(i) => {
            list.insert(i, ReasonCount { reason: reason.to_owned(), count });
            fold_reasons(list);
        }
    }
}

/// The sum of a list of reasons.
pub fn total(list: &[ReasonCount]) -> u64 {
    list.iter().fold(0, |sum, r| sum.saturating_add(r.count))
}

/// Adds up sorted lists of reasons.
pub fn merge_reasons(mine: &mut Vec<ReasonCount>, other: &[ReasonCount]) {
    union(mine, other, |a, b| a.reason.cmp(&b.reason), |a, b| a.count = a.count.saturating_add(b.count));
    fold_reasons(mine);
}

/// Keeps the smallest names and counts the rest as [`OTHER`]. Which names stay depends on the union
/// alone: a name with enough smaller ones beside it in a part has them in the whole too.
fn fold_reasons(list: &mut Vec<ReasonCount>) {
    if list.len() <= REASONS_MAX {
        return;
    }
    let mut other = 0u64;
    let mut kept = 0usize;
    list.retain(|r| {
        if r.reason != OTHER && kept < REASONS_MAX - 1 {
            kept += 1;
            return true;
        }
        other = other.saturating_add(r.count);
        false
    });
    let at = list.partition_point(|r| r.reason.as_str() < OTHER);
    list.insert(at, ReasonCount { reason: OTHER.to_owned(), count: other });
}

/// Keeps the first few of both by (partition, offset).
pub fn merge_examples(mine: &mut Vec<Example>, other: &[Example]) {
    union(mine, other, Ord::cmp, |_, _| {});
    mine.truncate(EXAMPLES_MAX);
}

/// Keeps an example if it is among the first `most` (at most [`EXAMPLES_MAX`]). The text is only
/// made when it is.
pub fn add_example(
    list: &mut Vec<Example>,
    most: usize,
    partition: i32,
    offset: i64,
    text: impl FnOnce() -> String,
) {
    let most = most.min(EXAMPLES_MAX);
    if list.len() >= most
        && list.last().is_none_or(|last| (last.partition, last.offset) <= (partition, offset))
    {
        return;
    }
    let example = Example { partition, offset, value: text() };
    if let Err(at) = list.binary_search(&example) {
        list.insert(at, example);
        list.truncate(most);
    }
}

/// Adds up sorted lists of bins.
fn merge_bins(mine: &mut Vec<Bin>, other: &[Bin]) {
    union(mine, other, |a, b| a.index.cmp(&b.index), |a, b| a.count = a.count.saturating_add(b.count));
}

/// Adds `count` to the bin of this index.
fn count_bin(bins: &mut Vec<Bin>, index: i32, count: u64) {
    match bins.binary_search_by_key(&index, |b| b.index) {
        Ok(i) => bins[i].count = bins[i].count.saturating_add(count),
        Err(i) => bins.insert(i, Bin { index, count }),
    }
}

/// Merges an optional part: an absent one is empty.
fn merge_option<T: Clone>(mine: &mut Option<T>, other: Option<&T>, merge: impl FnOnce(&mut T, &T)) {
    match (mine, other) {
        (_, None) => {}
        (Some(mine), Some(other)) => merge(mine, other),
        (mine @ None, Some(other)) => *mine = Some(other.clone()),
    }
}
