//! Checks that hold one topic's count against another's (`ratio`).
//!
//! A window is judged once both topics have closed it: by the lesser of their watermarks. While
//! nobody reads the other topic the verdict is unknown. Late panes of either judge the windows that hold
//! them again.

use checks::judge;
use checks::report::PaneSummary;
use checks::rules::{Metric, Rule, TopicRules};
use checks::verdict::Verdict;

use super::State;
use super::judging;
use super::topic::Topic;
use super::windows::{Pace, WINDOWS_MAX, amendable};

/// Records of a window, if every pane of it lies within and it was read from its beginning.
fn records(topic: &Topic, from_ms: i64, to_ms: i64) -> Option<u64> {
    let whole = topic.windows.begun_ms().is_some_and(|begun| begun <= from_ms);
    if !whole || topic.panes.has_across(from_ms) || topic.panes.has_across(to_ms) {
        return None;
    }
    let counted = topic.panes.within(from_ms, to_ms).flat_map(|(_, pane)| pane.counted());
    Some(counted.fold(0, |sum, contribution| sum.saturating_add(contribution.tally.totals.read)))
}

fn of(rule: &Rule) -> Option<&str> {
    match &rule.metric {
        Metric::Ratio { of } => Some(of),
        _ => None,
    }
}

/// Names that these rules count against.
pub(crate) fn counterparts(rules: &TopicRules) -> Vec<String> {
    rules.rules.iter().filter_map(|rule| of(rule)).map(str::to_owned).collect()
}

impl State {
    /// Judges the windows that a topic and its counterparts have closed by now; those again that end
    /// after `again_ms`, of which records came late.
    pub(super) fn judge_ratios(&mut self, moved: &str, again_ms: Option<i64>) {
        let mut topics: Vec<String> = Vec::new();
        if !counterparts(&self.rules(moved)).is_empty() {
            topics.push(moved.to_owned());
        }
        topics.extend(self.counted_against.get(moved).into_iter().flatten().cloned());
        for name in topics {
            let rules = self.rules(&name);
            for rule in &rules.rules {
                if let Some(of) = of(rule) {
                    self.judge_ratio(&name, &rules, rule, of, again_ms);
                }
            }
        }
    }

    fn judge_ratio(&mut self, name: &str, rules: &TopicRules, rule: &Rule, of: &str, again_ms: Option<i64>) {
        let window = rules.window;
        let other_to_ms = self.core.agents.progress(of).watermark_ms;
        let Some(topic) = self.core.topics.get(name) else { return };
        let Some(closed_to_ms) = topic.windows.judged_to_ms else { return };
        let last_ms = window.last_end_ms(other_to_ms.map_or(closed_to_ms, |ms| ms.min(closed_to_ms)));
        let state = topic.windows.checks.get(&rule.id);
        let most = |windows: i64| last_ms - (windows - 1) * window.every_ms;
        let keep = amendable(&window);
        let judged_ms = state.map(|state| state.verdict.to_ms);
        let first_ms = match (judged_ms, again_ms) {
            (None, _) => last_ms,
            (Some(judged_ms), None) => window.next_end_ms(judged_ms).max(most(WINDOWS_MAX)),
            (Some(judged_ms), Some(late_ms)) => {
                window.next_end_ms(late_ms.min(judged_ms)).max(most(keep as i64))
            }
        };
        let mut said = None;
        if again_ms.is_some() && judged_ms.is_some() {
            self.with_desk(name, |topic, desk| said = Some(topic.said(desk)));
        }
        let mut end_ms = first_ms;
        while end_ms <= last_ms {
            let verdict = self.ratio(name, rules, rule, of, end_ms);
            let pace =
                Pace { began_ms: end_ms - window.every_ms, again: said.as_ref(), more: end_ms < last_ms };
            self.with_desk(name, |topic, desk| topic.record(rule, verdict, pace, keep, desk));
            end_ms += window.every_ms.max(1);
        }
    }

    fn ratio(&self, name: &str, rules: &TopicRules, rule: &Rule, of: &str, to_ms: i64) -> Verdict {
        let from_ms = to_ms - rules.window.size_ms;
        let of_topic = |name: &str| self.core.topics.get(name).and_then(|t| records(t, from_ms, to_ms));
        let is_read = self.core.agents.progress(of).as_of_ms.is_some();
        match (of_topic(name), of_topic(of).filter(|_| is_read)) {
            (None, _) => judging::unknown("reading began within this window", from_ms, to_ms),
            (Some(read), counterpart) => {
                let summary = PaneSummary { read, ..PaneSummary::default() };
                let window = judge::Window { from_ms, to_ms, summary: &summary };
                judge::judge(rule, &window, &judge::Context { counterpart, ..judge::Context::at(to_ms) })
            }
        }
    }
}
