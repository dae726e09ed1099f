//! What is summed up for ever: the counters of panes, without their profiles.
//!
//! Tallies form a group under [`Tally::add`] and [`Tally::subtract`] (counts wrap), so that a
//! running sum stays exact when a pane is amended: the old tally goes out, the new one comes in.

use std::collections::{BTreeMap, BTreeSet};

use checks::report::{Bin, Exemplar, Histogram, PaneSummary, ReasonCount};
use serde::{Deserialize, Serialize};

use crate::view::TopicTotals;

/// Reasons, formats and rule ids of a topic that are told apart; later ones count as `other`.
const NAMES_MAX: usize = 2_048;
/// Longest of them, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The name of what has none of its own.
const OTHER: &str = "other";

/// The names admitted to a topic's counters, first come, first served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    pub(crate) fn admit(&mut self, name: &str) -> String {
        if self.0.contains(name) {
            return name.to_owned();
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX || self.0.len() >= NAMES_MAX {
            return OTHER.to_owned();
        }
        self.0.insert(name.to_owned());
        name.to_owned()
    }
}

/// Counts of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleCount {
    pub(crate) checked: u64,
    pub(crate) failed: u64,
}

/// A [`Histogram`] whose buckets can be subtracted again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DelayTally {
    count: u64,
    sum_ns: u64,
    zeros: u64,
    native: BTreeMap<i32, u64>,
    classic: BTreeMap<u8, u64>,
    /// The latest offered; never taken back.
    exemplar: Option<Exemplar>,
}

/// The counters of a pane, or of any sum of panes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// `totals.skipped` holds only what was given up from partial overlaps; the ranges that agents
    /// skipped are a union of their own.
    pub(crate) totals: TopicTotals,
    pub(crate) delay: DelayTally,
    /// By rule id. `failed` of `duplicateValues` comes with the close of the pane.
    pub(crate) rules: BTreeMap<String, RuleCount>,
    /// Contributions that lost to an overlapping one.
    pub(crate) overlapping: u64,
}

type Combine = fn(u64, u64) -> u64;

impl Tally {
    /// The counters of one summary.
    pub(crate) fn of(summary: &PaneSummary, names: &mut Names) -> Self {
        let mut reasons = |list: &[ReasonCount]| {
            let mut map = BTreeMap::new();
            for r in list.iter().filter(|r| r.count > 0) {
                *map.entry(names.admit(&r.reason)).or_insert(0) += r.count;
            }
            map
        };
        let totals = TopicTotals {
            read: summary.read,
            read_bytes: summary.read_bytes,
            examined: summary.examined,
            unexamined: reasons(&summary.unexamined),
            skipped: BTreeMap::new(),
            decode_failures: reasons(&summary.decode_failures),
            not_decoded: reasons(&summary.not_decoded),
            tombstones: summary.tombstones,
            schema_checked: summary.schema_checked,
            schema_violations: summary.schema_violations,
            bad_timestamps: summary.bad_timestamps,
            catching_up: summary.catching_up,
            skewed: summary.skewed,
            duplicate_keys: summary.duplicate_keys,
            header_notes: reasons(&summary.header_notes),
            time_fallbacks: reasons(&summary.time_fallbacks),
        };
        let mut rules: BTreeMap<String, RuleCount> = BTreeMap::new();
        for tally in &summary.rules {
            let count = rules.entry(names.admit(&tally.rule)).or_default();
            count.checked += tally.checked;
            if tally.uniqueness.is_none() {
                count.failed += tally.failed;
            }
        }
        let delay = summary.delay.as_ref().map(DelayTally::of).unwrap_or_default();
        Self { totals, delay, rules, overlapping: 0 }
    }

    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add);
    }

    /// Takes away what was added before.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_sub);
    }

    /// Each counter becomes the larger of the two: a counter that was shown never goes back.
    pub(crate) fn raise_to(&mut self, other: &Self) {
        self.combine(other, u64::max);
    }

    /// Is any counter implausibly large? One above 2^48 could overflow the sums.
    pub(crate) fn implausible(summary: &PaneSummary) -> bool {
        const MOST: u64 = 1 << 48;
        let reasons = |list: &[ReasonCount]| list.iter().any(|r| r.count > MOST);
        let delay = summary.delay.as_ref().is_some_and(|d| {
            d.count > MOST
                || d.zeros > MOST
                || d.sum_ns > u64::MAX >> 8
                || d.native.iter().any(|b| b.count > MOST)
                || d.classic.iter().any(|c| *c > MOST)
        });
        delay
            || [
                summary.read,
                summary.read_bytes >> 8,
                summary.examined,
                summary.tombstones,
                summary.schema_checked,
                summary.schema_violations,
                summary.bad_timestamps,
                summary.catching_up,
                summary.skewed,
                summary.duplicate_keys,
            ]
            .iter()
            .any(|n| *n > MOST)
            || reasons(&summary.unexamined)
            || reasons(&summary.decode_failures)
            || reasons(&summary.not_decoded)
            || reasons(&summary.header_notes)
            || reasons(&summary.time_fallbacks)
            || summary.rules.iter().any(|r| r.checked > MOST || r.failed > MOST || r.errors > MOST)
    }

    fn combine(&mut self, other: &Self, f: Combine) {
        let (a, b) = (&mut self.totals, &other.totals);
        for (mine, theirs) in [
            (&mut a.read, b.read),
            (&mut a.read_bytes, b.read_bytes),
            (&mut a.examined, b.examined),
            (&mut a.tombstones, b.tombstones),
            (&mut a.schema_checked, b.schema_checked),
            (&mut a.schema_violations, b.schema_violations),
            (&mut a.bad_timestamps, b.bad_timestamps),
            (&mut a.catching_up, b.catching_up),
            (&mut a.skewed, b.skewed),
            (&mut a.duplicate_keys, b.duplicate_keys),
            (&mut self.overlapping, other.overlapping),
        ] {
            *mine = f(*mine, theirs);
        }
        combine_map(&mut a.unexamined, &b.unexamined, f);
        combine_map(&mut a.skipped, &b.skipped, f);
        combine_map(&mut a.decode_failures, &b.decode_failures, f);
        combine_map(&mut a.not_decoded, &b.not_decoded, f);
        combine_map(&mut a.header_notes, &b.header_notes, f);
        combine_map(&mut a.time_fallbacks, &b.time_fallbacks, f);
        for (id, theirs) in &other.rules {
            let mine = self.rules.entry(id.clone()).or_default();
            mine.checked = f(mine.checked, theirs.checked);
            mine.failed = f(mine.failed, theirs.failed);
            if *mine == RuleCount::default() {
                self.rules.remove(id);
            }
        }
        self.delay.combine(&other.delay, f);
    }
}

impl DelayTally {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count,
            sum_ns: histogram.sum_ns,
            zeros: histogram.zeros,
            native: histogram.native.iter().map(|b| (b.index, b.count)).collect(),
            classic: (0..).zip(histogram.classic.iter().copied()).filter(|(_, c)| *c > 0).collect(),
            exemplar: histogram.exemplar.clone(),
        }
    }

    /// As it is published.
    pub(crate) fn histogram(&self) -> Histogram {
        let mut classic = Vec::new();
        if self.count > 0 {
            classic.resize(checks::report::CLASSIC_SECONDS.len() + 1, 0);
            for (index, count) in &self.classic {
                if let Some(bucket) = classic.get_mut(usize::from(*index)) {
                    *bucket = *count;
                }
            }
        }
        Histogram {
            count: self.count,
            sum_ns: self.sum_ns,
            zeros: self.zeros,
            native: self
                .native
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(index, count)| Bin { index: *index, count: *count })
                .collect(),
            classic,
            exemplar: self.exemplar.clone(),
        }
    }

    fn combine(&mut self, other: &Self, f: Combine) {
        self.count = f(self.count, other.count);
        self.sum_ns = f(self.sum_ns, other.sum_ns);
        self.zeros = f(self.zeros, other.zeros);
        combine_map(&mut self.native, &other.native, f);
        combine_map(&mut self.classic, &other.classic, f);
        if let Some(theirs) = &other.exemplar {
            let newer = self
                .exemplar
                .as_ref()
                .is_none_or(|mine| (mine.at_ms, &mine.trace_id) < (theirs.at_ms, &theirs.trace_id));
            if newer {
                self.exemplar = Some(theirs.clone());
            }
        }
    }
}

/// Combines key by key; what becomes zero goes.
fn combine_map<K: Ord + Clone>(mine: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>, f: Combine) {
    for (key, theirs) in theirs {
        let value = f(mine.get(key).copied().unwrap_or(0), *theirs);
        if value == 0 {
            mine.remove(key);
        } else {
            mine.insert(key.clone(), value);
        }
    }
}
