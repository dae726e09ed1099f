//! A topic's own past: the windows that rules compare with.
//!
//! Windows do not overlap and are slim: counters, and what of fields and values a rule compares. A
//! window in which a rule failed is no baseline for that rule, but for those that ask what was there
//! before at all: a value is new once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::HistoryWindow;
use crate::events::Events;
use crate::report::{FieldSummary, PaneSummary, RuleTally};
use crate::rules::{Baseline as Kind, Metric, Rule, TopicRules};

/// Windows before the present that are kept.
const PREVIOUS_MAX: usize = 60;
/// Windows kept an hour of the week.
const SEASON_MAX: usize = 12;
/// Of each hour, about this many windows are kept apart, ms.
const SEASON_EVERY_MS: i64 = 5 * 60_000;
/// Of these, the latest that know every field, where a rule asks which fields there were.
const FIELD_WINDOWS: usize = 12;
const HOUR_MS: i64 = 3_600_000;
const WEEK_HOURS: i64 = 7 * 24;

/// A window of the past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    from_ms: i64,
    to_ms: i64,
    #[serde(with = "shared")]
    summary: Arc<PaneSummary>,
    /// Rules that failed in it.
    failed: Vec<String>,
}

/// The windows kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    previous: VecDeque<Past>,
    /// By hour of the week.
    seasons: BTreeMap<i64, VecDeque<Past>>,
    /// The gap that ended them, where they are sessions.
    gap_ms: Option<i64>,
}

impl History {
    /// Keeps a closed window, if a rule of the topic compares with the past.
    pub fn keep(
        &mut self,
        rules: &TopicRules,
        from_ms: i64,
        to_ms: i64,
        summary: &PaneSummary,
        failed: Vec<String>,
    ) {
        let of = |kind: Kind| rules.rules.iter().any(|r| compares_with(r) == Some(kind));
        let (previous, seasonal) = (of(Kind::Previous), of(Kind::Seasonal));
        // Sessions compare with sessions.
        let is_other_kind = self.gap_ms != rules.window.gap_ms;
        self.gap_ms = rules.window.gap_ms;
        if is_other_kind {
            self.take_back(i64::MIN);
        }
        if !previous && !seasonal {
            self.previous.clear();
            self.seasons.clear();
            return;
        }
        let past = Past { from_ms, to_ms, summary: Arc::new(slim(summary, rules)), failed };
        let is_its_turn = to_ms.rem_euclid(SEASON_EVERY_MS) < rules.window.size_ms;
        if seasonal && (is_its_turn || rules.window.gap_ms.is_some()) {
            let season = self.seasons.entry(hour_of_week(from_ms)).or_default();
            put(season, past.clone(), SEASON_MAX);
        }
        // A season falls back on the windows just before until it has enough of its own.
        if previous || seasonal {
            put(&mut self.previous, past, PREVIOUS_MAX);
            let compared = compared(rules);
            // Every field of many windows would be much: of the oldest, what drift compares is enough.
            if let Some(old) = self.previous.iter().rev().nth(FIELD_WINDOWS)
                && old.summary.fields.iter().any(|f| !compared.contains(&f.path.as_str()))
            {
                let mut trimmed = PaneSummary::clone(&old.summary);
                trimmed.fields.retain(|f| compared.contains(&f.path.as_str()));
                let at = self.previous.len() - 1 - FIELD_WINDOWS;
                self.previous[at].summary = Arc::new(trimmed);
            }
        }
    }

    /// The windows that a rule is held against, those before `before_ms` outside known events, the
    /// oldest first: for a seasonal one those of its hour of the week, and the latest of any hour.
    pub fn of(&self, rule: &Rule, before_ms: i64, events: &Events) -> Vec<HistoryWindow> {
        let season = match compares_with(rule) {
            None => return Vec::new(),
            Some(Kind::Previous) => None,
            Some(Kind::Seasonal) => self.seasons.get(&hour_of_week(before_ms)),
        };
        let learns = asks_what_was_there(rule);
        let good = |past: &&Past| {
            past.to_ms <= before_ms
                && (learns || !past.failed.contains(&rule.id))
                && events.over(past.from_ms, past.to_ms).is_none()
        };
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

    /// Forgets windows that end at this time or later: they are judged anew.
    pub fn take_back(&mut self, from_ms: i64) {
        self.previous.retain(|p| p.to_ms < from_ms);
        self.seasons.values_mut().for_each(|s| s.retain(|p| p.to_ms < from_ms));
    }

    /// Forgets windows that ended before.
    pub fn forget(&mut self, before_ms: i64) {
        self.previous.retain(|p| p.to_ms >= before_ms);
        self.seasons.values_mut().for_each(|s| s.retain(|p| p.to_ms >= before_ms));
    }
}

/// An `Arc` is kept as what it holds.
mod shared {
    use std::sync::Arc;

    use crate::report::PaneSummary;
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
    let always = matches!(rule.metric, Metric::Drift { .. }) || asks_what_was_there(rule);
    rule.baseline.or(always.then_some(Kind::Previous))
}

/// Does it ask what there was before, rather than what was usual?
fn asks_what_was_there(rule: &Rule) -> bool {
    matches!(rule.metric, Metric::NewValues { .. }) || asks_for_fields(rule)
}

fn asks_for_fields(rule: &Rule) -> bool {
    matches!(rule.metric, Metric::FieldsAdded | Metric::FieldsRemoved | Metric::TypeChanged)
}

/// Is a rule judged by the profile of fields?
pub(crate) fn needs_profile(rules: &TopicRules) -> bool {
    rules.rules.iter().any(|rule| compares_with(rule).is_some())
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

/// Paths whose distribution or presence is compared.
fn compared(rules: &TopicRules) -> Vec<&str> {
    let fields = rules.rules.iter().filter(|r| compares_with(r).is_some()).filter_map(|r| r.field());
    fields.map(|f| f.text.as_str()).collect()
}

/// The counters, and what of fields and values is compared.
fn slim(summary: &PaneSummary, rules: &TopicRules) -> PaneSummary {
    let compared = compared(rules);
    let every_field = rules.rules.iter().any(|r| asks_for_fields(r));
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
        folded_values: summary.folded_values,
        ..PaneSummary::default()
    };
    for field in &summary.fields {
        if compared.contains(&field.path.as_str()) {
            slim.fields.push(field.clone());
        } else if every_field {
            // How often, and of which types: no distributions.
            slim.fields.push(FieldSummary {
                numeric: None,
                text: None,
                distinct: None,
                top: None,
                ..field.clone()
            });
        }
    }
    for tally in &summary.rules {
        // What a verdict of then shows, and hashes by the hundred thousand, compare with nothing.
        let values = rules.rules.iter().any(|r| r.id == tally.rule && asks_what_was_there(r));
        let mut keyed = tally.keyed.clone().filter(|_| values);
        keyed.iter_mut().flat_map(|keyed| &mut keyed.keys).for_each(|key| key.example = None);
        slim.rules.push(RuleTally {
            rule: tally.rule.clone(),
            checked: tally.checked,
            failed: tally.failed,
            errors: tally.errors,
            definition: tally.definition,
            keyed,
            ..RuleTally::default()
        });
    }
    slim
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;
    use crate::rules::{CheckFile, Loader};

    const MINUTE: i64 = 60_000;
    const WEEK: i64 = WEEK_HOURS * HOUR_MS;

    /// The rules of a file with these checks.
    fn rules(checks: &str) -> Arc<TopicRules> {
        let text = format!("version: 1\ntopic: orders\nchecks: [{checks}]\n");
        let limits = crate::limits::Limits::default();
        let file = CheckFile::parse(std::path::Path::new("a.yaml"), &text, &Loader::files(&limits));
        file.unwrap_or_else(|found| panic!("{found}")).for_topic("orders")
    }

    #[test]
    fn a_season_comes_with_the_windows_just_before_and_none_twice() {
        let rules = rules("{ id: volume, metric: rowCount, baseline: seasonal }");
        let mut past = History::default();
        for week in 0..2 {
            for minute in 0..30 {
                let from_ms = week * WEEK + minute * MINUTE;
                let failed = if minute == 29 { vec!["volume".to_owned()] } else { Vec::new() };
                past.keep(&rules, from_ms, from_ms + MINUTE, &PaneSummary::default(), failed);
            }
        }
        let windows = past.of(&rules.rules[0], WEEK + 30 * MINUTE, Events::NONE);
        assert!(windows.is_sorted_by(|a, b| a.to_ms <= b.from_ms), "{windows:?}");
        let of_last_week = windows.iter().filter(|w| w.to_ms <= WEEK).count();
        // Every fifth minute of both weeks, and the sixty latest of any hour, without the failed.
        assert_eq!((of_last_week, windows.len() - of_last_week), (29, 29));
    }

    #[test]
    fn every_field_is_known_of_the_latest_windows_alone() {
        let rules = rules(
            "{ id: a, metric: fieldsAdded, mustBe: 0 }, { id: b, metric: drift, field: $.x, baseline: previous }",
        );
        let field = |path: &str| FieldSummary { path: path.to_owned(), present: 1, ..Default::default() };
        let summary =
            PaneSummary { read: 1, fields: vec![field("$.w"), field("$.x")], ..PaneSummary::default() };
        let mut past = History::default();
        for minute in 0..40 {
            past.keep(&rules, minute * MINUTE, (minute + 1) * MINUTE, &summary, vec!["a".to_owned()]);
        }
        let known: Vec<usize> = past
            .of(&rules.rules[0], 40 * MINUTE, Events::NONE)
            .iter()
            .map(|w| w.summary.fields.len())
            .collect();
        assert_eq!(known.len(), 40, "a window in which a field was new is past like any other");
        assert_eq!(known.iter().filter(|fields| **fields == 2).count(), FIELD_WINDOWS);
        assert!(known.iter().all(|fields| *fields >= 1));
    }

    #[test]
    fn known_events_are_no_past() {
        let rules = rules("{ id: volume, metric: rowCount, baseline: seasonal }");
        let mut past = History::default();
        for minute in 0..30 {
            past.keep(&rules, minute * MINUTE, (minute + 1) * MINUTE, &PaneSummary::default(), Vec::new());
        }
        let event = Event { from_ms: 10 * MINUTE + 1, to_ms: 20 * MINUTE, note: String::new() };
        let known = past.of(&rules.rules[0], 30 * MINUTE, &Events::new(vec![event]));
        let from: Vec<i64> = known.iter().map(|window| window.from_ms / MINUTE).collect();
        assert_eq!(from, (0..10).chain(20..30).collect::<Vec<i64>>());
        assert_eq!(
            past.of(&rules.rules[0], 30 * MINUTE, Events::NONE).len(),
            30,
            "once it is no event any more"
        );
    }
}
