//! A topic's own past: the good windows that drift and seasonal rules compare with.
//!
//! Windows do not overlap and are slim: counters, and the profiles of the fields that a rule
//! compares. A window in which a rule failed is no baseline for that rule.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use checks::judge::HistoryWindow;
use checks::report::PaneSummary;
use checks::rules::{Baseline as Kind, Metric, Rule, TopicRules};
use serde::{Deserialize, Serialize};

/// Windows before the present that are kept.
const PREVIOUS_MAX: usize = 60;
/// Windows kept an hour of the week.
const SEASON_MAX: usize = 12;
/// Of each hour, about this many windows are kept apart, ms.
const SEASON_EVERY_MS: i64 = 5 * 60_000;
const HOUR_MS: i64 = 3_600_000;
const WEEK_HOURS: i64 = 7 * 24;

/// A window of the past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    from_ms: i64,
    to_ms: i64,
    #[serde(with = "shared")]
    summary: Arc<PaneSummary>,
    /// Rules that failed in it.
    failed: Vec<String>,
}

/// The windows kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    previous: VecDeque<Past>,
    /// By hour of the week.
    seasons: BTreeMap<i64, VecDeque<Past>>,
}

impl Baseline {
    /// Keeps a closed window, if a rule of the topic compares with the past.
    pub(crate) fn keep(
        &mut self,
        rules: &TopicRules,
        from_ms: i64,
        to_ms: i64,
        summary: &PaneSummary,
        failed: Vec<String>,
    ) {
        let of = |kind: Kind| rules.rules.iter().any(|r| compares_with(r) == Some(kind));
        let (previous, seasonal) = (of(Kind::Previous), of(Kind::Seasonal));
        if !previous && !seasonal {
            self.previous.clear();
            self.seasons.clear();
            return;
        }
        let past = Past { from_ms, to_ms, summary: Arc::new(slim(summary, rules)), failed };
        if seasonal && to_ms.rem_euclid(SEASON_EVERY_MS) < rules.window.size_ms {
            let season = self.seasons.entry(hour_of_week(from_ms)).or_default();
            put(season, past.clone(), SEASON_MAX);
        }
        // A season falls back on the windows just before until it has enough of its own.
        if previous || seasonal {
            put(&mut self.previous, past, PREVIOUS_MAX);
        }
    }

    /// The windows that a rule is held against, those before `before_ms`, the oldest first: for a
    /// seasonal one those of its hour of the week, and the latest of any hour.
    pub(crate) fn of(&self, rule: &Rule, before_ms: i64) -> Vec<HistoryWindow> {
        let season = match compares_with(rule) {
            None => return Vec::new(),
            Some(Kind::Previous) => None,
            Some(Kind::Seasonal) => self.seasons.get(&hour_of_week(before_ms)),
        };
        let good = |past: &&Past| past.to_ms <= before_ms && !past.failed.contains(&rule.id);
        let shown = |past: &Past| HistoryWindow {
            from_ms: past.from_ms,
            to_ms: past.to_ms,
            summary: Arc::clone(&past.summary),
        };
        // A recent window may be kept as both.
        let windows: BTreeMap<i64, &Past> = season
            .into_iter()
            .flatten()
            .chain(&self.previous)
            .filter(good)
            .map(|past| (past.to_ms, past))
            .collect();
        windows.into_values().map(shown).collect()
    }

    /// Forgets windows that ended before.
    pub(crate) fn forget(&mut self, before_ms: i64) {
        self.previous.retain(|p| p.to_ms >= before_ms);
        self.seasons.values_mut().for_each(|s| s.retain(|p| p.to_ms >= before_ms));
    }
}

/// An `Arc` is kept as what it holds.
mod shared {
    use std::sync::Arc;

    use checks::report::PaneSummary;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(summary: &Arc<PaneSummary>, to: S) -> Result<S::Ok, S::Error> {
        summary.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<PaneSummary>, D::Error> {
        PaneSummary::deserialize(from).map(Arc::new)
    }
}

/// Which past a rule looks at.
fn compares_with(rule: &Rule) -> Option<Kind> {
    rule.baseline.or(matches!(rule.metric, Metric::Drift { .. }).then_some(Kind::Previous))
}

/// A window that is judged again takes the place of the first.
fn put(windows: &mut VecDeque<Past>, past: Past, most: usize) {
    windows.retain(|p| p.to_ms != past.to_ms);
    windows.push_back(past);
    while windows.len() > most {
        windows.pop_front();
    }
}

fn hour_of_week(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS).rem_euclid(WEEK_HOURS)
}

/// The counters, and the fields whose distribution or presence is compared.
fn slim(summary: &PaneSummary, rules: &TopicRules) -> PaneSummary {
    let compared: Vec<&str> = rules
        .rules
        .iter()
        .filter(|r| compares_with(r).is_some())
        .filter_map(|r| r.field())
        .map(|f| f.text.as_str())
        .collect();
    let mut slim = PaneSummary {
        read: summary.read,
        read_bytes: summary.read_bytes,
        examined: summary.examined,
        unexamined: summary.unexamined.clone(),
        tombstones: summary.tombstones,
        not_decoded: summary.not_decoded.clone(),
        decode_failures: summary.decode_failures.clone(),
        schema_checked: summary.schema_checked,
        schema_violations: summary.schema_violations,
        first_record_ms: summary.first_record_ms,
        last_record_ms: summary.last_record_ms,
        rules: summary.rules.clone(),
        ..PaneSummary::default()
    };
    slim.fields.extend(summary.fields.iter().filter(|f| compared.contains(&f.path.as_str())).cloned());
    for tally in &mut slim.rules {
        // What a verdict of then shows, and hashes by the hundred thousand, compare with nothing.
        tally.examples.clear();
        tally.uniqueness = None;
    }
    slim
}

#[cfg(test)]
mod tests {
    use checks::rules::Threshold;

    use super::super::testing;
    use super::*;

    const MINUTE: i64 = 60_000;
    const WEEK: i64 = WEEK_HOURS * HOUR_MS;

    fn rule() -> Rule {
        let rule = testing::rule("volume", Metric::RowCount, Threshold::MustBeGreaterThan(0.0));
        Rule { threshold: None, baseline: Some(Kind::Seasonal), ..rule }
    }

    #[test]
    fn a_season_comes_with_the_windows_just_before_and_none_twice() {
        let rules = testing::checks(vec![rule()], Vec::new()).for_topic("orders");
        let mut past = Baseline::default();
        for week in 0..2 {
            for minute in 0..30 {
                let from_ms = week * WEEK + minute * MINUTE;
                let failed = if minute == 29 { vec!["volume".to_owned()] } else { Vec::new() };
                past.keep(&rules, from_ms, from_ms + MINUTE, &PaneSummary::default(), failed);
            }
        }
        let windows = past.of(&rule(), WEEK + 30 * MINUTE);
        assert!(windows.is_sorted_by(|a, b| a.to_ms <= b.from_ms), "{windows:?}");
        let of_last_week = windows.iter().filter(|w| w.to_ms <= WEEK).count();
        // Every fifth minute of both weeks, and the sixty latest of any hour, without the failed.
        assert_eq!((of_last_week, windows.len() - of_last_week), (29, 29));
    }
}
