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
use super::windows::Desk;
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

/// What was said of windows that are judged again, by check: the end of each, and its status.
pub(crate) type Said = BTreeMap<String, Vec<(i64, Status)>>;

/// A verdict on a window.
pub(crate) struct Given<'a> {
    pub(crate) verdict: Verdict,
    /// When what the window adds to the one before began.
    pub(crate) began_ms: i64,
    /// What was said of these windows, if they are judged again.
    pub(crate) again: Option<&'a Said>,
    /// Another one follows at once.
    pub(crate) more: bool,
}

impl CheckState {
    /// The state after a verdict, which takes the place of those on this window and later ones.
    /// `keep` windows may be judged again.
    fn next(last: Option<Self>, verdict: Verdict, began_ms: i64, keep: usize) -> Self {
        let (mut before, mut standing) = match last {
            Some(last) => (last.before.clone(), Some(last.standing())),
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
        Self { verdict, since_ms, streak, before }
    }

    fn standing(&self) -> Standing {
        Standing { status: self.verdict.status, since_ms: self.since_ms, streak: self.streak }
    }

    /// What was said of the windows that may be judged again.
    pub(crate) fn said(&self) -> Vec<(i64, Status)> {
        let after = self.before.iter().skip(1).map(|window| window.standing.map(|s| s.status));
        let statuses = after.chain([Some(self.verdict.status)]);
        let windows = self.before.iter().zip(statuses);
        windows.filter_map(|(window, status)| Some((window.to_ms, status?))).collect()
    }
}

impl Topic {
    /// Notes a verdict, and raises or resolves its finding.
    pub(crate) fn record(&mut self, rule: &Rule, given: Given<'_>, keep: usize, desk: &mut Desk<'_>) {
        let Given { verdict, began_ms, again, more } = given;
        let state = CheckState::next(self.windows.checks.remove(&rule.id), verdict, began_ms, keep);
        let (findings, topic) = (&mut *desk.findings, desk.name);
        let source = FindingSource::Check(rule.id.clone());
        let verdict = &state.verdict;
        let told = match verdict.status {
            Status::Fail | Status::Error if state.streak.windows >= rule.for_windows.max(1) => {
                // What was found before, and has ended since, is not found a second time.
                let said = again.and_then(|said| said.get(&rule.id)).into_iter().flatten();
                let is_same = said.into_iter().any(|s| *s == (verdict.to_ms, verdict.status));
                let is_over = more && is_same && !is_open(findings, topic, &source);
                let draft = (!is_over).then(|| draft(topic, rule, source, &state));
                draft.and_then(|draft| findings.raise(state.streak.began_ms, draft))
            }
            // Too few in a row, now that one of them is judged otherwise.
            Status::Fail | Status::Error if again.is_some() => {
                findings.resolve(topic, &source, "", verdict.to_ms)
            }
            Status::Pass => findings.resolve(topic, &source, "", verdict.to_ms),
            // Unknown proves nothing.
            _ => None,
        };
        desk.told.extend(told);
        self.windows.checks.insert(rule.id.clone(), state);
    }
}

fn is_open(findings: &Findings, topic: &str, source: &FindingSource) -> bool {
    findings.is_open(&super::findings::key(topic, source, ""))
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
