//! One topic: its panes, its running sums, and where it is.

use std::collections::BTreeMap;

use checks::report::{SkippedRange, TopicProgress};
use serde::{Deserialize, Serialize};

use super::intervals::Intervals;
use super::panes::{Change, Panes};
use super::tally::{Names, RuleCount, Tally};
use super::windows::Windows;

/// Partitions of a topic that positions and skipped ranges are kept for.
const PARTITIONS_MAX: usize = 20_000;
/// How far back service levels are kept minute by minute: the longest burn window, and some.
const MINUTES_MAX: i64 = 6 * 60 + 5;
/// One minute, ms.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Everything that is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) panes: Panes,
    pub(crate) names: Names,
    /// Sum over all panes ever, as it is now.
    pub(crate) total: Tally,
    /// What was published of it: the same, except while an overlap takes back what it had counted;
    /// then a counter stands still until the sum has caught up.
    pub(crate) shown: Tally,
    /// Offsets passed over, by partition: a range counts once, under the reason first told.
    skipped_ranges: BTreeMap<i32, Intervals>,
    skipped: BTreeMap<String, u64>,
    /// Per partition the next offset to read, all before it being reported, and as of when.
    pub(crate) positions: BTreeMap<i32, (i64, i64)>,
    /// The highest the watermark has been.
    pub(crate) watermark_ms: Option<i64>,
    pub(crate) last_record_ms: Option<i64>,
    pub(crate) windows: Windows,
    /// Stream time at which an agent last held it.
    pub(crate) held_ms: i64,
    /// The same by the collector's clock.
    pub(crate) told_ms: i64,
    /// Checked and failed by minute of record time and rule, for the rules of service levels.
    pub(crate) minutes: BTreeMap<i64, BTreeMap<String, RuleCount>>,
}

impl Topic {
    /// Takes up what an agent says of its progress.
    pub(crate) fn progress(&mut self, progress: &TopicProgress, as_of_ms: i64, now_ms: i64) {
        self.held_ms = self.held_ms.max(as_of_ms);
        self.told_ms = now_ms;
        for p in &progress.positions {
            if self.positions.len() >= PARTITIONS_MAX && !self.positions.contains_key(&p.partition) {
                continue;
            }
            let known = self.positions.entry(p.partition).or_insert((p.next, as_of_ms));
            *known = (*known).max((p.next, as_of_ms));
        }
        if progress.last_record_ms > 0 {
            self.saw_record(progress.last_record_ms);
        }
    }

    /// A record of this time was read.
    pub(crate) fn saw_record(&mut self, record_ms: i64) {
        self.last_record_ms = Some(self.last_record_ms.map_or(record_ms, |t| t.max(record_ms)));
    }

    /// Offsets that nobody will read; says whether some of them were not known yet.
    pub(crate) fn skip(&mut self, range: &SkippedRange) -> bool {
        let known = self.skipped_ranges.contains_key(&range.partition);
        if !known && self.skipped_ranges.len() >= PARTITIONS_MAX {
            return true;
        }
        let new = self.skipped_ranges.entry(range.partition).or_default().insert(range.from, range.to);
        if new > 0 {
            let reason = self.names.admit(&range.reason);
            *self.skipped.entry(reason).or_insert(0) += new;
        }
        new > 0
    }

    /// Offsets passed over, by reason.
    pub(crate) fn skipped(&self) -> BTreeMap<String, u64> {
        let mut skipped = self.skipped.clone();
        for (reason, count) in &self.shown.totals.skipped {
            *skipped.entry(reason.clone()).or_insert(0) += count;
        }
        skipped
    }

    /// Carries a change of a pane into the sums. `levels` are the rules that service levels go by.
    pub(crate) fn count(&mut self, start_ms: i64, change: &Change, levels: &[&str]) {
        self.total.subtract(&change.before);
        self.total.add(&change.after);
        self.shown.raise_to(&self.total);
        let minute = start_ms.div_euclid(MINUTE_MS);
        let oldest = self.watermark_ms.map_or(i64::MIN, |w| w.div_euclid(MINUTE_MS) - MINUTES_MAX);
        if minute < oldest {
            return;
        }
        for rule in levels {
            let before = change.before.rules.get(*rule).copied().unwrap_or_default();
            let after = change.after.rules.get(*rule).copied().unwrap_or_default();
            if before == after {
                continue;
            }
            let count = self.minutes.entry(minute).or_default().entry((*rule).to_owned()).or_default();
            count.checked = count.checked.wrapping_sub(before.checked).wrapping_add(after.checked);
            count.failed = count.failed.wrapping_sub(before.failed).wrapping_add(after.failed);
        }
        while self.minutes.len() > MINUTES_MAX as usize + 60 {
            self.minutes.pop_first();
        }
    }

    /// Forgets minutes that no burn window reaches any more.
    pub(crate) fn forget_minutes(&mut self) {
        let Some(watermark_ms) = self.watermark_ms else { return };
        let oldest = watermark_ms.div_euclid(MINUTE_MS) - MINUTES_MAX;
        self.minutes = self.minutes.split_off(&oldest);
    }
}
