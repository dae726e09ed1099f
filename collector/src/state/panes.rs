//! The panes of one topic: what each boot of each agent saw of them, and what of it counts.
//!
//! A pane is keyed by its time. Each (agent, boot) contributes one snapshot, a later one replacing
//! the former. Snapshots whose offsets are disjoint add up (a restart, a rebalance); of those that
//! intersect in some partition the larger one counts (by records, then the smaller agent name and
//! boot), and what the others had beyond it is given up and counted as skipped, never twice.
//! So what counts depends on the snapshots alone, not on the order they came in.
//!
//! A pane passes three ages: *live* (with profiles, so that windows can be judged again), *settled*
//! (counters only, still amendable: a report that waited in a spool counts), and *folded* (gone,
//! its counters being in the topic's sums; what comes later is refused as too old).

use std::collections::BTreeMap;

use checks::report::{OffsetRange, PaneSummary, skip_reason};
use serde::{Deserialize, Serialize};

use super::intervals::Intervals;
use super::tally::Tally;

/// Panes of a topic that are kept amendable.
const PANES_MAX: usize = 4_096;
/// Panes of a topic that are kept with their profiles, however long the window.
const LIVE_MAX: usize = 1_024;
/// Contributions to one pane.
const CONTRIBUTIONS_MAX: usize = 64;
/// How long settled panes are kept, ms of record time.
const SETTLED_MS: i64 = 6 * 3_600_000;
/// A pane that was told of this lately, ms of stream time, keeps its profiles: a watermark may jump
/// years ahead while the rest of a split report is still on its way.
const FRESH_MS: i64 = 30_000;
/// The same for being amendable at all.
const AMENDABLE_MS: i64 = 600_000;

/// Start and end, ms.
pub(crate) type PaneKey = (i64, i64);

/// Agent and boot.
pub(crate) type Source = (String, u64);

/// What one boot of an agent saw of a pane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contribution {
    pub(crate) rules_hash: u64,
    pub(crate) ranges: Vec<OffsetRange>,
    pub(crate) tally: Tally,
    /// `None` once the pane is settled.
    pub(crate) summary: Option<Box<PaneSummary>>,
}

/// One pane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pane {
    contributions: BTreeMap<Source, Contribution>,
    /// Per `duplicateValues` rule the extra copies that this pane added to the window before it;
    /// known from its close on.
    pub(crate) duplicates: BTreeMap<String, u64>,
    pub(crate) settled: bool,
    /// Stream time at which it was last told of.
    told_ms: i64,
}

/// Counters of a pane before and after a change.
pub(crate) struct Change {
    pub(crate) before: Tally,
    pub(crate) after: Tally,
}

/// Why a pane was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It was folded long ago.
    TooOld,
    /// Too many boots contributed to it.
    TooMany,
}

/// All panes of a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Panes {
    by_time: BTreeMap<PaneKey, Pane>,
    /// Panes that end at or before it are folded.
    folded_to_ms: i64,
}

impl Default for Panes {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), folded_to_ms: i64::MIN }
    }
}

impl Pane {
    /// What counts, in canonical order, with the losers' count and what was given up with them.
    fn resolve(&self) -> (Vec<&Contribution>, u64, u64) {
        if self.contributions.len() == 1 {
            return (self.contributions.values().collect(), 0, 0);
        }
        let mut order: Vec<(&Source, &Contribution)> = self.contributions.iter().collect();
        let records = |c: &Contribution| c.ranges.iter().fold(0u64, |n, r| n.saturating_add(r.records));
        order.sort_by(|(a, x), (b, y)| records(y).cmp(&records(x)).then_with(|| a.cmp(b)));

        let mut taken: BTreeMap<i32, Intervals> = BTreeMap::new();
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for (source, contribution) in order {
            let intersects = contribution.ranges.iter().any(|r| {
                let length = r.next.abs_diff(r.first);
                taken.get(&r.partition).is_some_and(|t| t.missing(r.first, r.next) < length)
            });
            if intersects {
                losers.push(contribution);
                continue;
            }
            for r in &contribution.ranges {
                taken.entry(r.partition).or_default().insert(r.first, r.next);
            }
            winners.push((source, contribution));
        }
        let mut given_up = 0u64;
        for range in losers.iter().flat_map(|c| &c.ranges) {
            let beyond = taken.entry(range.partition).or_default().insert(range.first, range.next);
            given_up += beyond.min(range.records);
        }
        winners.sort_by(|a, b| a.0.cmp(b.0));
        (winners.into_iter().map(|(_, c)| c).collect(), losers.len() as u64, given_up)
    }

    /// The counters that count.
    pub(crate) fn effective(&self) -> Tally {
        let (winners, overlapping, given_up) = self.resolve();
        let mut sum = Tally { overlapping, ..Tally::default() };
        winners.iter().for_each(|c| sum.add(&c.tally));
        if given_up > 0 {
            sum.totals.skipped.insert(skip_reason::OVERLAP.to_owned(), given_up);
        }
        for (rule, copies) in &self.duplicates {
            let count = sum.rules.entry(rule.clone()).or_default();
            count.failed = count.failed.wrapping_add(*copies);
        }
        sum
    }

    /// The contributions that count, in canonical order.
    pub(crate) fn counted(&self) -> Vec<&Contribution> {
        self.resolve().0
    }
}

impl Panes {
    /// Takes a snapshot of a pane.
    pub(crate) fn put(
        &mut self,
        key: PaneKey,
        source: Source,
        mut contribution: Contribution,
        as_of_ms: i64,
    ) -> Result<Change, Rejected> {
        if key.1 <= self.folded_to_ms && !self.by_time.contains_key(&key) {
            return Err(Rejected::TooOld);
        }
        let pane = self.by_time.entry(key).or_default();
        if pane.contributions.len() >= CONTRIBUTIONS_MAX && !pane.contributions.contains_key(&source) {
            return Err(Rejected::TooMany);
        }
        let before = pane.effective();
        if pane.settled {
            contribution.summary = None;
        }
        pane.told_ms = pane.told_ms.max(as_of_ms);
        pane.contributions.insert(source, contribution);
        Ok(Change { before, after: pane.effective() })
    }

    /// Changes what a pane adds in duplicates.
    pub(crate) fn set_duplicates(
        &mut self,
        key: PaneKey,
        duplicates: BTreeMap<String, u64>,
    ) -> Option<Change> {
        let pane = self.by_time.get_mut(&key)?;
        if pane.duplicates == duplicates {
            return None;
        }
        let before = pane.effective();
        pane.duplicates = duplicates;
        Some(Change { before, after: pane.effective() })
    }

    /// Panes that lie within `[from, to)`, in order of time.
    pub(crate) fn within(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = (PaneKey, &Pane)> {
        self.by_time
            .range((from_ms, i64::MIN)..(to_ms.max(from_ms), i64::MIN))
            .filter(move |((_, end), _)| *end <= to_ms)
            .map(|(key, pane)| (*key, pane))
    }

    /// Does a pane begin before this time and end after it?
    pub(crate) fn has_across(&self, ms: i64) -> bool {
        // Panes do not overlap but for a reload that changed their length: the last few are enough.
        self.by_time.range(..(ms, i64::MIN)).rev().take(8).any(|((_, end), _)| *end > ms)
    }

    /// Are its profiles gone (or the pane itself)?
    pub(crate) fn is_settled(&self, key: PaneKey) -> bool {
        self.by_time.get(&key).is_none_or(|p| p.settled)
    }

    /// Start of the first pane.
    pub(crate) fn first_start_ms(&self) -> Option<i64> {
        self.by_time.keys().next().map(|(start, _)| *start)
    }

    /// Start of the first pane that has its profile.
    pub(crate) fn first_live_ms(&self) -> Option<i64> {
        self.by_time.iter().find(|(_, pane)| !pane.settled).map(|((start, _), _)| *start)
    }

    /// End of the last pane.
    pub(crate) fn last_end_ms(&self) -> Option<i64> {
        self.by_time.keys().next_back().map(|(_, end)| *end)
    }

    /// Lets go of profiles of panes that end at or before `settle_to_ms`, and of whole panes that
    /// are long settled or too many.
    pub(crate) fn age(&mut self, settle_to_ms: i64, as_of_ms: i64) {
        let live = self.by_time.values().filter(|p| !p.settled).count();
        let mut surplus = live.saturating_sub(LIVE_MAX);
        for ((_, end), pane) in &mut self.by_time {
            let due = *end <= settle_to_ms && as_of_ms.saturating_sub(pane.told_ms) >= FRESH_MS;
            if !pane.settled && (due || surplus > 0) {
                surplus = surplus.saturating_sub(1);
                pane.settled = true;
                pane.contributions.values_mut().for_each(|c| c.summary = None);
            }
        }
        let fold_to = settle_to_ms.saturating_sub(SETTLED_MS);
        while let Some(entry) = self.by_time.first_entry() {
            let ((_, end), pane) = (*entry.key(), entry.get());
            let told_long_ago = as_of_ms.saturating_sub(pane.told_ms) >= AMENDABLE_MS;
            let old = pane.settled && end <= fold_to && told_long_ago;
            if !old && self.by_time.len() <= PANES_MAX {
                break;
            }
            self.by_time.pop_first();
            self.folded_to_ms = self.folded_to_ms.max(end);
        }
    }

    /// The sum of all panes kept: what a test holds against the running sums.
    #[cfg(test)]
    pub(crate) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.by_time.values().for_each(|p| sum.add(&p.effective()));
        sum
    }
}
