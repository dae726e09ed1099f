//! Windows of a topic: closed by its watermark, merged from its panes, judged rule by rule.
//!
//! A window ends at every step (`every`: each pane, unless the file says otherwise) and reaches back by
//! the window's size. It closes when the watermark has passed its end, records or no records. Late
//! snapshots of panes judge the windows that hold them again, in order, as long as records are allowed
//! to be late; the verdicts before stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::events::Events;
use checks::judge;
use checks::judge::past::History;
use checks::report::PaneSummary;
use checks::rules::{Metric, Rule, Session, TopicRules, Window, WindowTime};
use checks::verdict::{Status, Verdict};
use serde::{Deserialize, Serialize};

use super::duplicates;
use super::findings::Findings;
use super::judging::{self, Moment};
use super::panes::PaneKey;
use super::sessions::Sessions;
use super::topic::Topic;
use super::verdicts::{CheckState, Said};
use crate::view::Finding;

/// Windows judged after a jump of the watermark: the last of them.
pub(crate) const WINDOWS_MAX: i64 = 64;
/// Panes merged for one late snapshot: of long windows, fewer are judged again.
const MERGES_MAX: i64 = 2_048;

/// Where the verdicts of a topic are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Windows {
    /// Watched as a whole from here on: a window that begins earlier may lack records.
    begun_ms: Option<i64>,
    /// Panes that end at or before it are closed.
    pub(crate) judged_to_ms: Option<i64>,
    /// The last window that was judged.
    pub(crate) span: Option<Span>,
    /// Where windows are sessions.
    pub(crate) sessions: Sessions,
    /// By rule.
    pub(crate) checks: BTreeMap<String, CheckState>,
    /// Windows of the past.
    pub(crate) baseline: History,
    /// Panes of the last window were judged by other rules than ours.
    pub(crate) rules_differ: bool,
    /// The last closed window, merged: made again after a restart.
    #[serde(skip)]
    pub(crate) last: Option<Arc<PaneSummary>>,
}

/// A window, and the panes that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Start, ms, inclusive.
    pub(crate) from_ms: i64,
    /// End, exclusive.
    pub(crate) to_ms: i64,
    /// Start of its first pane.
    pub(crate) start_ms: i64,
    /// End of its last pane.
    pub(crate) end_ms: i64,
}

impl Span {
    fn fixed(from_ms: i64, to_ms: i64) -> Self {
        Self { from_ms, to_ms, start_ms: from_ms, end_ms: to_ms }
    }
}

impl Windows {
    /// Since when the topic is watched as a whole.
    pub(crate) fn begun_ms(&self) -> Option<i64> {
        self.begun_ms
    }
}

/// How many windows late records may judge again.
pub(crate) fn amendable(window: &Window) -> usize {
    if window.gap_ms.is_some() {
        return WINDOWS_MAX as usize;
    }
    let panes = (window.size_ms / window.pane_ms.max(1)).max(1);
    let late = (window.allowed_lateness_ms + window.pane_ms) / window.every_ms.max(1) + 1;
    let windows = late.clamp(1, (MERGES_MAX / panes).clamp(1, WINDOWS_MAX));
    usize::try_from(windows).unwrap_or(1)
}

/// How far before a window the patterns of these rules look, in whole panes, ms.
pub(crate) fn reach_ms(rules: &TopicRules) -> i64 {
    let pane_ms = rules.window.pane_ms.max(1);
    let reach_ms = judge::reach_ms(rules.rules.iter().map(Arc::as_ref));
    (reach_ms + pane_ms - 1).div_euclid(pane_ms) * pane_ms
}

/// Where verdicts make findings.
pub(crate) struct Desk<'a> {
    pub(crate) name: &'a str,
    pub(crate) rules: &'a TopicRules,
    /// Known events: no past of others.
    pub(crate) events: &'a Events,
    /// How long the past is kept, ms.
    pub(crate) keep_ms: i64,
    pub(crate) findings: &'a mut Findings,
    pub(crate) told: &'a mut Vec<Finding>,
}

impl Topic {
    /// Closes the windows that the watermark has passed.
    pub(crate) fn close_windows(&mut self, desk: &mut Desk<'_>) {
        let Some(watermark_ms) = self.watermark_ms else { return };
        let pane_ms = desk.rules.window.pane_ms.max(1);
        let to_ms = watermark_ms.div_euclid(pane_ms) * pane_ms;
        let first_end = self.panes.first_start_ms().map(|start| start.saturating_add(pane_ms));
        let begun_ms = *self.windows.begun_ms.get_or_insert_with(|| {
            let begun = first_end.map_or(watermark_ms, |end| end.min(watermark_ms));
            // An event may have been read before reading began, by as much as events may be late.
            let disorder_ms = match desk.rules.window.by {
                WindowTime::Record => 0,
                WindowTime::Event => desk.rules.window.allowed_lateness_ms,
            };
            let begun = begun.saturating_add(disorder_ms);
            -(-begun).div_euclid(pane_ms) * pane_ms
        });
        let from_ms = self.windows.judged_to_ms.unwrap_or_else(|| {
            self.panes.first_start_ms().map_or(begun_ms, |start| start.min(begun_ms)).div_euclid(pane_ms)
                * pane_ms
        });
        if to_ms <= from_ms {
            // A session may be over although no pane is.
            self.close_sessions(&[], desk);
            return;
        }
        self.windows.judged_to_ms = Some(to_ms);
        self.windows.baseline.forget(to_ms.saturating_sub(desk.keep_ms));
        // A longest pane back: panes of another length may lie across.
        let closing: Vec<PaneKey> = self
            .panes
            .within(from_ms.saturating_sub(24 * 3_600_000), to_ms)
            .map(|(key, _)| key)
            .filter(|(_, end)| *end > from_ms)
            .collect();
        self.count_duplicates(&closing, desk.rules);
        let window = desk.rules.window;
        if window.gap_ms.is_some() {
            self.close_sessions(&[], desk);
            return;
        }
        self.windows.sessions = Sessions::after(to_ms);
        let last_ms = window.last_end_ms(to_ms);
        let most = if desk.rules.rules.is_empty() { 1 } else { WINDOWS_MAX };
        let first_ms = last_ms - (most - 1) * window.every_ms;
        self.judge_windows(first_ms.max(window.next_end_ms(from_ms)), last_ms, None, desk);
    }

    /// Judges the windows that end from `first_ms` to `last_ms`.
    fn judge_windows(&mut self, first_ms: i64, last_ms: i64, again: Option<&Said>, desk: &mut Desk<'_>) {
        let window = desk.rules.window;
        let mut to_ms = first_ms;
        while to_ms <= last_ms {
            let began_ms = to_ms - window.every_ms;
            let pace = Pace { began_ms, again, more: to_ms < last_ms };
            self.judge_window(Span::fixed(to_ms - window.size_ms, to_ms), pace, desk);
            to_ms += window.every_ms.max(1);
        }
    }

    /// Takes up late snapshots of closed panes.
    pub(crate) fn amend(&mut self, amended: &[PaneKey], desk: &mut Desk<'_>) {
        let (Some(closed_to_ms), Some(watermark_ms)) = (self.windows.judged_to_ms, self.watermark_ms) else {
            return;
        };
        let window = desk.rules.window;
        let closed: Vec<PaneKey> = amended.iter().copied().filter(|(_, end)| *end <= closed_to_ms).collect();
        let (Some((first_ms, _)), Some(last_ms)) =
            (closed.iter().min().copied(), closed.iter().map(|(_, end)| *end).max())
        else {
            return;
        };
        // What they hold changes what the panes up to a window later add.
        let touched_to_ms = last_ms.saturating_add(window.size_ms).min(closed_to_ms);
        let affected: Vec<PaneKey> = self.panes.within(first_ms, touched_to_ms).map(|(key, _)| key).collect();
        self.count_duplicates(&affected, desk.rules);
        if window.gap_ms.is_some() {
            self.close_sessions(&closed, desk);
            return;
        }
        let last_end_ms = window.last_end_ms(closed_to_ms);
        // Before it, panes may have let go of their profiles.
        let intact_ms = watermark_ms - window.allowed_lateness_ms - window.pane_ms;
        let oldest_ms = last_end_ms - (amendable(&window) as i64 - 1) * window.every_ms;
        let from_ms = window.next_end_ms(first_ms.max(intact_ms - 1)).max(oldest_ms);
        if last_ms > from_ms.saturating_sub(window.size_ms + reach_ms(desk.rules)) {
            let said = self.said(desk);
            self.judge_windows(from_ms, last_end_ms, Some(&said), desk);
        }
    }

    /// Merges the last window again, as after a restart.
    pub(crate) fn restore_window(&mut self, rules: &TopicRules) {
        if let Some(span) = self.windows.span {
            self.windows.last = Some(Arc::new(self.merge(span.start_ms, span.end_ms, rules).summary));
        }
    }

    fn count_duplicates(&mut self, keys: &[PaneKey], rules: &TopicRules) {
        let ids = duplicates::rules_of(rules);
        if ids.is_empty() {
            return;
        }
        let levels: Vec<&str> = rules.slos.iter().map(|s| s.good.as_str()).collect();
        let sessions = self.open_sessions(rules);
        for key in keys {
            // A settled pane has no values any more; what it added stands.
            if self.panes.is_settled(*key) {
                continue;
            }
            let from_ms = match &sessions {
                None => duplicates::from_ms(*key, &rules.window),
                Some(sessions) => {
                    let within = |s: &&Session| s.start_ms <= key.0 && key.1 <= s.end_ms;
                    // Of a session that is final, what it added stands.
                    let Some(session) = sessions.iter().find(within) else { continue };
                    session.start_ms
                }
            };
            let added = duplicates::added_by(&self.panes, *key, from_ms, rules, &ids);
            if let Some(change) = self.panes.set_duplicates(*key, added) {
                self.count(key.0, &change, &levels);
            }
        }
    }

    fn merge(&self, from_ms: i64, to_ms: i64, rules: &TopicRules) -> Merged {
        let mut merged = Merged::default();
        for (_, pane) in self.panes.within(from_ms, to_ms) {
            for contribution in pane.counted() {
                let Some(summary) = &contribution.summary else {
                    merged.cut = true;
                    continue;
                };
                if contribution.rules_hash == rules.hash {
                    merged.summary.merge(summary);
                    continue;
                }
                // Begun under other rules: of its tallies only those count that measure the same.
                merged.rules_differ = true;
                let mut ours = PaneSummary::clone(summary);
                ours.rules.retain(|tally| rules.measures_as(tally));
                let lacks = |rule: &&Arc<Rule>| judging::goes_by_tally(rule) && ours.rule(&rule.id).is_none();
                merged.differing.extend(rules.rules.iter().filter(lacks).map(|rule| rule.id.clone()));
                merged.summary.merge(&ours);
            }
        }
        merged
    }

    /// What the patterns see in the panes before a window. Panes of other rules are left out, and so
    /// are the first records of what they hold: those are never said to be unanswered.
    fn lead(&self, from_ms: i64, rules: &TopicRules) -> (Option<PaneSummary>, bool) {
        let reach_ms = reach_ms(rules);
        if reach_ms == 0 {
            return (None, false);
        }
        let ids: Vec<&str> =
            rules.rules.iter().filter(|r| r.metric.pattern().is_some()).map(|r| r.id.as_str()).collect();
        let (mut lead, mut cut) = (PaneSummary::default(), false);
        for (_, pane) in self.panes.within(from_ms - reach_ms, from_ms) {
            for contribution in pane.counted() {
                let same = contribution.rules_hash == rules.hash;
                let Some(summary) = &contribution.summary else {
                    cut = true;
                    continue;
                };
                let ours =
                    |id: &&str| summary.rule(id).filter(|tally| same || rules.measures_as(tally)).cloned();
                let tallies = ids.iter().filter_map(ours);
                let mut part = PaneSummary { rules: tallies.collect(), ..PaneSummary::default() };
                part.rules.sort_by(|a, b| a.rule.cmp(&b.rule));
                lead.merge(&part);
            }
        }
        (Some(lead), cut)
    }

    pub(crate) fn judge_window(&mut self, span: Span, pace: Pace<'_>, desk: &mut Desk<'_>) {
        let rules = desk.rules;
        let Span { from_ms, to_ms, start_ms, end_ms } = span;
        let merged = self.merge(start_ms, end_ms, rules);
        self.windows.rules_differ = merged.rules_differ;
        let (lead, lead_cut) = self.lead(start_ms, rules);
        let mut failed = Vec::new();
        let keep = amendable(&rules.window);
        // A session may have begun as long before its first record as records may be apart.
        let heard_from_ms = from_ms - rules.window.gap_ms.unwrap_or(0);
        for rule in &rules.rules {
            if !judging::goes_by_window(rule) {
                continue;
            }
            let unknown = |message: &str| judging::unknown(message, from_ms, to_ms);
            let partial = self.windows.begun_ms.is_none_or(|begun| heard_from_ms < begun);
            let verdict = if merged.cut {
                unknown("the window is longer than the profiles that are kept: choose a smaller window")
            } else if merged.differing.contains(&rule.id) {
                unknown(
                    "an agent checks by other rules than this collector: give both the same check files, or wait for a window after the reload",
                )
            } else if lead_cut && rule.metric.pattern().is_some() {
                unknown(
                    "the pattern reaches further back than the profiles that are kept: choose a larger window",
                )
            } else if partial && matches!(rule.metric, Metric::RowCount) {
                unknown("reading began within this window")
            } else {
                let moment = Moment {
                    now_ms: to_ms,
                    last_record_ms: self.last_record_ms,
                    sample: rules.sample,
                    redact: &rules.redact,
                    past: &self.windows.baseline,
                    events: desk.events,
                    sessions: rules.window.gap_ms.is_some(),
                    lead: lead.as_ref(),
                };
                judging::judge(rule, &merged.summary, from_ms, to_ms, &moment)
            };
            if matches!(verdict.status, Status::Fail | Status::Error) {
                failed.push(rule.id.clone());
            }
            self.record(rule, verdict, pace, keep, desk);
        }
        let whole = self.windows.begun_ms.is_some_and(|begun| heard_from_ms >= begun) && !merged.cut;
        let summary = Arc::new(merged.summary);
        let is_apart = rules.window.gap_ms.is_some() || to_ms.rem_euclid(rules.window.size_ms.max(1)) == 0;
        if whole && is_apart && desk.events.over(from_ms, to_ms).is_none() {
            self.windows.baseline.keep(rules, from_ms, to_ms, &summary, failed);
        }
        self.windows.last = Some(summary);
        self.windows.span = Some(span);
    }

    /// Judges how long ago the latest record was, as of stream time `as_of_ms`; `None` if nobody
    /// reads the topic.
    pub(crate) fn judge_freshness(&mut self, as_of_ms: Option<i64>, catching_up: bool, desk: &mut Desk<'_>) {
        let rules = desk.rules;
        for rule in rules.rules.iter().filter(|r| matches!(r.metric, Metric::Freshness)) {
            let to_ms = as_of_ms.or(self.watermark_ms).unwrap_or(0);
            let from_ms = to_ms - rules.window.size_ms;
            let unknown = |message: &str| judging::unknown(message, from_ms, to_ms);
            let verdict = match as_of_ms {
                None => unknown("no agent reads this topic just now"),
                Some(_) if catching_up => unknown("the agent is still catching up with the end of the topic"),
                Some(now_ms) => {
                    let moment = Moment {
                        now_ms,
                        last_record_ms: self.last_record_ms,
                        sample: rules.sample,
                        redact: &rules.redact,
                        past: &self.windows.baseline,
                        events: desk.events,
                        sessions: false,
                        lead: None,
                    };
                    let empty = PaneSummary::default();
                    judging::judge(
                        rule,
                        self.windows.last.as_deref().unwrap_or(&empty),
                        from_ms,
                        to_ms,
                        &moment,
                    )
                }
            };
            // However often agents report, the looks of one step are one window.
            let slot_ms = rules.window.last_end_ms(to_ms);
            let verdict = Verdict { to_ms: slot_ms, from_ms: slot_ms - rules.window.size_ms, ..verdict };
            let pace = Pace { began_ms: slot_ms - rules.window.every_ms, again: None, more: false };
            self.record(rule, verdict, pace, 1, desk);
        }
    }
}

/// How a window is judged among others.
#[derive(Clone, Copy)]
pub(crate) struct Pace<'a> {
    /// When what it adds to the window before it began.
    pub(crate) began_ms: i64,
    /// What was said of the windows that are judged again.
    pub(crate) again: Option<&'a Said>,
    /// Another one follows at once.
    pub(crate) more: bool,
}

/// The panes of a window, merged.
#[derive(Default)]
struct Merged {
    summary: PaneSummary,
    rules_differ: bool,
    /// Rules that some pane was not examined by.
    differing: BTreeSet<String>,
    /// A pane of it is settled: its profile is gone.
    cut: bool,
}
