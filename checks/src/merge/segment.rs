//! Counts by segment.

use super::union;
use crate::profile::hash;
use crate::report::SegmentTally;

/// Segments of a rule that are told apart: those whose names have the lowest hashes, so that which they
/// are depends on the union alone and each is counted whole; the others are one, without a name.
pub const SEGMENTS_KEPT: usize = 256;

impl SegmentTally {
    /// Adds the counts of other records of the segment.
    pub fn merge(&mut self, other: &Self) {
        self.checked = self.checked.saturating_add(other.checked);
        self.failed = self.failed.saturating_add(other.failed);
        self.errors = self.errors.saturating_add(other.errors);
    }
}

/// Adds up sorted lists, within [`SEGMENTS_KEPT`] names and the rest.
pub(super) fn merge_segments(mine: &mut Vec<SegmentTally>, other: &[SegmentTally]) {
    union(mine, other, |a, b| a.segment.cmp(&b.segment), SegmentTally::merge);
    let named = mine.iter().filter(|s| !s.segment.is_empty()).count();
    if named <= SEGMENTS_KEPT {
        return;
    }
    let mut order: Vec<(u64, usize)> = mine
        .iter()
        .enumerate()
        .filter(|(_, s)| !s.segment.is_empty())
        .map(|(at, s)| (hash::text(&s.segment), at))
        .collect();
    order.sort_unstable();
    let mut rest = SegmentTally::default();
    let mut goes = vec![false; mine.len()];
    for (at, s) in mine.iter().enumerate().filter(|(_, s)| s.segment.is_empty()) {
        rest.merge(s);
        goes[at] = true;
    }
    for &(_, at) in order.get(SEGMENTS_KEPT..).unwrap_or_default() {
        rest.merge(&mine[at]);
        goes[at] = true;
    }
    let mut goes = goes.into_iter();
    mine.retain(|_| !goes.next().unwrap_or(false));
    mine.insert(0, rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(names: &[u16]) -> Vec<SegmentTally> {
        let mut all = Vec::new();
        for name in names {
            let one = SegmentTally { segment: format!("s{name}"), checked: 1, ..Default::default() };
            merge_segments(&mut all, &[one]);
        }
        all
    }

    proptest! {
        /// In any order and grouping the same, far beyond what is kept.
        #[test]
        fn splits_give_the_same(names in proptest::collection::vec(0u16..700, 0..900), split in 0usize..900) {
            let (left, right) = names.split_at(split.min(names.len()));
            let (mut a, mut b) = (of(left), of(right));
            merge_segments(&mut a, &of(right));
            merge_segments(&mut b, &of(left));
            let whole = of(&names);
            prop_assert_eq!(&a, &whole);
            prop_assert_eq!(&b, &whole);
            prop_assert!(whole.len() <= SEGMENTS_KEPT + 1);
            prop_assert_eq!(whole.iter().map(|s| s.checked).sum::<u64>(), names.len() as u64);
        }
    }
}
