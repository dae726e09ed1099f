//! Windows of a topic: closed by its watermark, merged from its panes, judged rule by rule.
//!
//! A window ends with every pane and reaches back by the window's size. It closes when the watermark
//! has passed its end, records or no records. Late snapshots of the panes of the last closed window
//! judge it again; the verdicts before it stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::judge;
use checks::judge::past::History;
use checks::report::PaneSummary;
use checks::rules::{Metric, Rule, TopicRules};
use checks::verdict::{Status, Verdict};
use serde::{Deserialize, Serialize};

use super::duplicates;
use super::findings::{Draft, Findings};
use super::judging::{self, Moment};
use super::panes::PaneKey;
use super::topic::Topic;
use crate::view::{Finding, FindingSource};

/// Windows judged after a jump of the watermark: the last of them.
pub(crate) const WINDOWS_MAX: i64 = 64;

/// Where the verdicts of a topic are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Windows {
    /// Watched as a whole from here on: a window that begins earlier may lack records.
    begun_ms: Option<i64>,
    /// End of the last closed window.
    pub(crate) judged_to_ms: Option<i64>,
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

/// One check's verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckState {
    pub(crate) verdict: Verdict,
    /// Since when the status is what it is: the end of the first window that had it.
    pub(crate) since_ms: i64,
    streak: Streak,
    /// As it was before the last window, which may be judged again.
    before: Option<(Status, i64, Streak)>,
}

/// Failing windows in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    windows: u32,
    /// End of the first.
    first_to_ms: i64,
}

impl Windows {
    /// Since when the topic is watched as a whole.
    pub(crate) fn begun_ms(&self) -> Option<i64> {
        self.begun_ms
    }
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
            -(-begun).div_euclid(pane_ms) * pane_ms
        });
        let from_ms = self.windows.judged_to_ms.unwrap_or_else(|| {
            self.panes.first_start_ms().map_or(begun_ms, |start| start.min(begun_ms)).div_euclid(pane_ms)
                * pane_ms
        });
        if to_ms <= from_ms {
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
        let first = if desk.rules.rules.is_empty() { to_ms } else { to_ms - (WINDOWS_MAX - 1) * pane_ms };
        let mut end_ms = first.max(from_ms + pane_ms);
        while end_ms <= to_ms {
            self.judge_window(end_ms, desk);
            end_ms += pane_ms;
        }
    }

    /// Takes up late snapshots of closed panes.
    pub(crate) fn amend(&mut self, amended: &[PaneKey], desk: &mut Desk<'_>) {
        let Some(judged_to_ms) = self.windows.judged_to_ms else { return };
        let size_ms = desk.rules.window.size_ms;
        let closed: Vec<PaneKey> = amended.iter().copied().filter(|(_, end)| *end <= judged_to_ms).collect();
        let (Some(first), Some(last)) = (closed.iter().min(), closed.iter().map(|(_, end)| *end).max())
        else {
            return;
        };
        // What they hold changes what the panes up to a window later add.
        let touched_to_ms = last.saturating_add(size_ms).min(judged_to_ms);
        let affected: Vec<PaneKey> = self.panes.within(first.0, touched_to_ms).map(|(key, _)| key).collect();
        self.count_duplicates(&affected, desk.rules);
        if last > judged_to_ms.saturating_sub(size_ms + reach_ms(desk.rules)) {
            self.judge_window(judged_to_ms, desk);
        }
    }

    /// Merges the last window again, as after a restart.
    pub(crate) fn restore_window(&mut self, rules: &TopicRules) {
        if let Some(to_ms) = self.windows.judged_to_ms {
            self.windows.last =
                Some(Arc::new(self.merge(to_ms - rules.window.size_ms, to_ms, rules).summary));
        }
    }

    fn count_duplicates(&mut self, keys: &[PaneKey], rules: &TopicRules) {
        let ids = duplicates::rules_of(rules);
        if ids.is_empty() {
            return;
        }
        let levels: Vec<&str> = rules.slos.iter().map(|s| s.good.as_str()).collect();
        for key in keys {
            // A settled pane has no values any more; what it added stands.
            if self.panes.is_settled(*key) {
                continue;
            }
            let added = duplicates::added_by(&self.panes, *key, rules, &ids);
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

    fn judge_window(&mut self, to_ms: i64, desk: &mut Desk<'_>) {
        let rules = desk.rules;
        let from_ms = to_ms - rules.window.size_ms;
        let merged = self.merge(from_ms, to_ms, rules);
        self.windows.rules_differ = merged.rules_differ;
        let (lead, lead_cut) = self.lead(from_ms, rules);
        let mut failed = Vec::new();
        for rule in &rules.rules {
            if matches!(rule.metric, Metric::Freshness | Metric::Ratio { .. }) {
                continue;
            }
            let unknown = |message: &str| judging::unknown(message, from_ms, to_ms);
            let partial = self.windows.begun_ms.is_none_or(|begun| from_ms < begun);
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
                    lead: lead.as_ref(),
                };
                judging::judge(rule, &merged.summary, from_ms, to_ms, &moment)
            };
            if matches!(verdict.status, Status::Fail | Status::Error) {
                failed.push(rule.id.clone());
            }
            self.record(rule, verdict, rules.window.pane_ms, desk.findings, desk.told, desk.name);
        }
        let whole = self.windows.begun_ms.is_some_and(|begun| from_ms >= begun) && !merged.cut;
        let summary = Arc::new(merged.summary);
        if whole && to_ms.rem_euclid(rules.window.size_ms.max(1)) == 0 {
            self.windows.baseline.keep(rules, from_ms, to_ms, &summary, failed);
        }
        self.windows.last = Some(summary);
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
            // One look a pane counts as a window, however often agents report.
            let pane_ms = rules.window.pane_ms.max(1);
            let slot_ms = to_ms.div_euclid(pane_ms) * pane_ms;
            let verdict = Verdict { to_ms: slot_ms, from_ms: slot_ms - rules.window.size_ms, ..verdict };
            self.record(rule, verdict, pane_ms, desk.findings, desk.told, desk.name);
        }
    }

    /// Notes a verdict, and raises or resolves its finding.
    pub(crate) fn record(
        &mut self,
        rule: &Rule,
        verdict: Verdict,
        pane_ms: i64,
        findings: &mut Findings,
        told: &mut Vec<Finding>,
        topic: &str,
    ) {
        let source = FindingSource::Check(rule.id.clone());
        let state = CheckState::next(self.windows.checks.remove(&rule.id), verdict);
        let verdict = &state.verdict;
        match verdict.status {
            Status::Fail | Status::Error if state.streak.windows >= rule.for_windows.max(1) => {
                // It began with the pane that brought the first failing window.
                let began_ms = state.streak.first_to_ms - pane_ms;
                told.extend(findings.raise(began_ms, draft(topic, rule, source, &state)));
            }
            Status::Pass => told.extend(findings.resolve(topic, &source, "", verdict.to_ms)),
            // A window that is judged again may take back what it had found; unknown proves nothing.
            _ => {}
        }
        self.windows.checks.insert(rule.id.clone(), state);
    }
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

impl CheckState {
    /// The state after a verdict; one on the same window takes the place of the last.
    fn next(last: Option<Self>, verdict: Verdict) -> Self {
        let before = last.and_then(|last| {
            if last.verdict.to_ms == verdict.to_ms {
                last.before
            } else {
                Some((last.verdict.status, last.since_ms, last.streak))
            }
        });
        let (status, since_ms, streak) = before.unwrap_or((verdict.status, verdict.to_ms, Streak::default()));
        let since_ms = if status == verdict.status { since_ms } else { verdict.to_ms };
        let streak = match verdict.status {
            Status::Pass => Streak::default(),
            Status::Unknown => streak,
            Status::Fail | Status::Error if streak.windows == 0 => {
                Streak { windows: 1, first_to_ms: verdict.to_ms }
            }
            Status::Fail | Status::Error => Streak { windows: streak.windows.saturating_add(1), ..streak },
        };
        Self { verdict, since_ms, streak, before }
    }
}

fn draft(topic: &str, rule: &Rule, source: FindingSource, state: &CheckState) -> Draft {
    let verdict = &state.verdict;
    let mut evidence = BTreeMap::from([
        ("metric".to_owned(), rule.metric.name().into()),
        ("unit".to_owned(), rule.unit.as_str().into()),
        ("failing_windows".to_owned(), state.streak.windows.into()),
    ]);
    if let Some(field) = rule.field() {
        evidence.insert("field".to_owned(), field.text.clone().into());
    }
    for (name, count) in [("failed", verdict.failed), ("checked", verdict.checked)] {
        evidence.extend(count.map(|n| (name.to_owned(), n.into())));
    }
    if let Some([low, high]) = verdict.interval {
        let ends = [super::evidence::rounded(low), super::evidence::rounded(high)];
        evidence.insert("interval".to_owned(), serde_json::json!(ends));
    }
    if !verdict.segments.is_empty() {
        evidence.insert("segments".to_owned(), serde_json::json!(verdict.segments));
    }
    if !rule.owner.is_empty() {
        evidence.insert("owner".to_owned(), rule.owner.clone().into());
    }
    Draft {
        topic: topic.to_owned(),
        source,
        about: String::new(),
        severity: rule.severity,
        status: verdict.status,
        message: verdict.message.clone(),
        value: verdict.value,
        expected: rule.must(),
        evidence,
        from_ms: verdict.from_ms,
        to_ms: verdict.to_ms,
        examples: verdict.examples.clone(),
    }
}
