//! The verdicts of one check, window by window: what stands, since when, and what it was before the
//! windows that may be judged again.
//!
//! A window that is judged again takes the place of what was said of it, and those after it follow:
//! how many failed in a row, since when a status stands, and what is found are as if its late records
//! had been there from the beginning.

use std::collections::{BTreeMap, VecDeque};

use checks::rules::Rule;
use checks::verdict::{Status, Verdict};
use serde::{Deserialize, Serialize};

use super::findings::{Draft, Findings};
use super::topic::Topic;
use super::windows::{Desk, Pace};
use crate::view::FindingSource;

/// One check's verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckState {
    /// On the last window.
    pub(crate) verdict: Verdict,
    /// Since when the status is what it is: the end of the first window that had it.
    pub(crate) since_ms: i64,
    streak: Streak,
    /// The windows that may be judged again, the last one at the end, and what stood before each.
    before: VecDeque<Before>,
    /// The last verdicts were taken back: what stood before them.
    taken_back: Option<Option<Standing>>,
}

/// Failing windows in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    windows: u32,
    /// When the first of them began to fail.
    began_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    status: Status,
    since_ms: i64,
    streak: Streak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// End of the window.
    to_ms: i64,
    standing: Option<Standing>,
}

/// What was said of windows that are judged again, by check.
pub(crate) type Said = BTreeMap<String, SaidOf>;

/// What was said of the windows of one check.
pub(crate) struct SaidOf {
    /// The end of each window, and its status.
    windows: Vec<(i64, Status)>,
    /// There was a finding that was not over.
    is_open: bool,
}

impl CheckState {
    /// The state after a verdict, which takes the place of those on this window and later ones.
    /// `keep` windows may be judged again.
    fn next(last: Option<Self>, verdict: Verdict, began_ms: i64, keep: usize) -> Self {
        let (mut before, mut standing) = match last {
            Some(last) => (last.before.clone(), last.standing()),
            None => (VecDeque::new(), None),
        };
        while let Some(later) = before.back().copied().filter(|window| window.to_ms >= verdict.to_ms) {
            standing = later.standing;
            before.pop_back();
        }
        before.push_back(Before { to_ms: verdict.to_ms, standing });
        while before.len() > keep.max(1) {
            before.pop_front();
        }
        let (status, since_ms, streak) = match standing {
            Some(standing) => (standing.status, standing.since_ms, standing.streak),
            None => (verdict.status, verdict.to_ms, Streak::default()),
        };
        let since_ms = if status == verdict.status { since_ms } else { verdict.to_ms };
        let streak = match verdict.status {
            Status::Pass => Streak::default(),
            Status::Unknown => streak,
            Status::Fail | Status::Error if streak.windows == 0 => Streak { windows: 1, began_ms },
            Status::Fail | Status::Error => Streak { windows: streak.windows.saturating_add(1), ..streak },
        };
        Self { verdict, since_ms, streak, before, taken_back: None }
    }

    /// Takes back what was said of windows that ended at this time or later; another verdict follows.
    pub(crate) fn take_back(&mut self, from_ms: i64) {
        while let Some(later) = self.before.back().copied().filter(|window| window.to_ms >= from_ms) {
            self.before.pop_back();
            self.taken_back = Some(later.standing);
        }
    }

    fn standing(&self) -> Option<Standing> {
        if let Some(standing) = self.taken_back {
            return standing;
        }
        Some(self.now())
    }

    fn now(&self) -> Standing {
        Standing { status: self.verdict.status, since_ms: self.since_ms, streak: self.streak }
    }

    /// What was said of the windows that may be judged again.
    fn said(&self) -> Vec<(i64, Status)> {
        let after = self.before.iter().skip(1).map(|window| window.standing.map(|s| s.status));
        let statuses = after.chain([Some(self.verdict.status)]);
        let windows = self.before.iter().zip(statuses);
        windows.filter_map(|(window, status)| Some((window.to_ms, status?))).collect()
    }
}

impl Topic {
    /// What was said of the windows that may be judged again.
    pub(crate) fn said(&self, desk: &Desk<'_>) -> Said {
        let of = |(id, state): (&String, &CheckState)| {
            let source = FindingSource::Check(id.clone());
            let is_open = opened_ms(desk.findings, desk.name, &source).is_some();
            (id.clone(), SaidOf { windows: state.said(), is_open })
        };
        self.windows.checks.iter().map(of).collect()
    }

    /// Notes a verdict, and raises or resolves its finding.
    pub(crate) fn record(
        &mut self,
        rule: &Rule,
        verdict: Verdict,
        pace: Pace<'_>,
        keep: usize,
        desk: &mut Desk<'_>,
    ) {
        let Pace { began_ms, again, more } = pace;
        let state = CheckState::next(self.windows.checks.remove(&rule.id), verdict, began_ms, keep);
        let (findings, topic) = (&mut *desk.findings, desk.name);
        let source = FindingSource::Check(rule.id.clone());
        let verdict = &state.verdict;
        let opened_ms = opened_ms(findings, topic, &source);
        // What began after a window does not end with what is now said of that one.
        let ends = again.is_none() || opened_ms.is_some_and(|opened_ms| opened_ms < verdict.to_ms);
        let told = match verdict.status {
            Status::Fail | Status::Error if state.streak.windows >= rule.for_windows.max(1) => {
                // What was found before, and has ended since, is not found a second time.
                let said = again.and_then(|said| said.get(&rule.id)).filter(|said| !said.is_open);
                let is_same =
                    said.is_some_and(|said| said.windows.contains(&(verdict.to_ms, verdict.status)));
                let is_over = more && is_same && opened_ms.is_none();
                let draft = (!is_over).then(|| draft(topic, rule, source, &state));
                draft.and_then(|draft| findings.raise(state.streak.began_ms, draft))
            }
            // Too few in a row, now that one of them is judged otherwise.
            Status::Fail | Status::Error if again.is_some() && ends => {
                findings.resolve(topic, &source, "", verdict.to_ms)
            }
            Status::Pass if ends => findings.resolve(topic, &source, "", verdict.to_ms),
            // Unknown proves nothing.
            _ => None,
        };
        desk.told.extend(told);
        self.windows.checks.insert(rule.id.clone(), state);
    }
}

/// When the finding began that is open.
fn opened_ms(findings: &Findings, topic: &str, source: &FindingSource) -> Option<i64> {
    findings.opened_ms(&super::findings::key(topic, source, ""))
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
