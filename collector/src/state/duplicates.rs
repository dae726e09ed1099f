//! What `duplicateValues` counts for ever.
//!
//! A verdict looks at one window; a total must be a sum. So each pane counts, once it is closed, the
//! extra copies that it adds to the window before it (where windows tumble or are sessions: to what its
//! own had before it): for every value of the pane, its occurrences there, less one if no pane of the window before has
//! it. Over panes this adds up to the records
//! that repeat a value seen within a window's length before them, whatever the order in which the
//! panes were told. Where a sketch keeps only a sample of the values (by hash), the copies among the
//! sampled ones are divided by the share sampled.

use std::collections::BTreeMap;

use checks::report::Uniqueness;
use checks::rules::{Metric, TopicRules, Window};

use super::panes::{PaneKey, Panes};

/// Ids of the rules that need it.
pub(crate) fn rules_of(rules: &TopicRules) -> Vec<&str> {
    let of = rules.rules.iter().filter(|r| matches!(r.metric, Metric::DuplicateValues { .. }));
    of.map(|r| r.id.as_str()).collect()
}

/// Where the window begins that ends with a pane, or that it is in where windows tumble.
pub(crate) fn from_ms(key: PaneKey, window: &Window) -> i64 {
    if window.tumbles() { window.last_end_ms(key.0) } else { key.1.saturating_sub(window.size_ms) }
}

/// The extra copies that a pane adds to its window, which begins at `from_ms`.
pub(crate) fn added_by(
    panes: &Panes,
    key: PaneKey,
    from_ms: i64,
    rules: &TopicRules,
    ids: &[&str],
) -> BTreeMap<String, u64> {
    let mut added = BTreeMap::new();
    for id in ids {
        let (mut own, mut before) = (Vec::new(), Vec::new());
        for (other, pane) in panes.within(from_ms, key.1) {
            let of = pane.counted().into_iter().filter_map(|c| {
                let tally = c.summary.as_ref()?.rule(id)?;
                let ours = c.rules_hash == rules.hash || rules.measures_as(tally);
                tally.uniqueness.as_ref().filter(|_| ours)
            });
            if other == key { own.extend(of) } else { before.extend(of) }
        }
        let copies = extra_copies(&own, &before);
        if copies > 0 {
            added.insert((*id).to_owned(), copies);
        }
    }
    added
}

fn extra_copies(own: &[&Uniqueness], before: &[&Uniqueness]) -> u64 {
    // The pane's own values, of all its contributions together.
    let mut merged = Uniqueness::empty();
    own.iter().for_each(|u| merged.merge(u));
    let threshold = before.iter().map(|u| u.threshold).fold(merged.threshold, u64::min);
    let mut copies = 0u64;
    for (hash, count) in merged.hashes.iter().zip(&merged.counts) {
        if *hash >= threshold && threshold != u64::MAX {
            break;
        }
        let known = before.iter().any(|u| u.hashes.binary_search(hash).is_ok());
        copies = copies.saturating_add(if known { *count } else { count.saturating_sub(1) });
    }
    if threshold == u64::MAX {
        return copies;
    }
    let share = threshold as f64 / u64::MAX as f64;
    if share > 0.0 { (copies as f64 / share).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(u64, u64)]) -> Uniqueness {
        let (hashes, counts) = values.iter().copied().unzip();
        Uniqueness { threshold: u64::MAX, hashes, counts }
    }

    #[test]
    fn copies_count_where_they_repeat() {
        let (first, second) = (of(&[(1, 1), (2, 3)]), of(&[(2, 1), (9, 2)]));
        assert_eq!(extra_copies(&[&first], &[]), 2);
        assert_eq!(extra_copies(&[&second], &[&first]), 2);
        assert_eq!(extra_copies(&[&first, &second], &[]), 4, "as one pane they are the same");
        assert_eq!(extra_copies(&[], &[&first]), 0);
    }

    #[test]
    fn a_sample_is_scaled_up() {
        let half = Uniqueness { threshold: u64::MAX / 2, hashes: vec![5], counts: vec![4] };
        assert_eq!(extra_copies(&[&half], &[]), 6);
        assert_eq!(extra_copies(&[&of(&[(7, 2), (u64::MAX - 1, 9)])], &[&half]), 2);
    }
}
