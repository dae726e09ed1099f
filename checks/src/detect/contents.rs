//! The contents of a topic: all its fields, tested together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Sign, Step, step};
use super::field::{Field, Test};
use super::observation::{Movement, Observation, What};
use super::rate::{Rate, share_effect};
use super::telling::{Many, told};
use super::{Kind, Settings};
use crate::merge::{object_of_member, objects_at_parent, total};
use crate::report::{FieldSummary, PaneSummary};

/// Fields watched; what comes later is not.
const FIELDS_MAX: usize = 1_000;
/// Windows that a field is learned from at least.
const WINDOWS_MIN: u32 = 8;
/// A window is proof enough by itself with such a p-value and twice the effect.
const SURE_P: f64 = 1e-12;
/// What was found stays found while it is this much of it.
pub(super) const STAYS: f64 = 0.5;
/// With a p-value at most this.
const STAYS_P: f64 = 0.01;
/// Times a new field is seen before it is told, and in what share of its parents.
const NEW_FIELD_MIN: u64 = 5;
const NEW_FIELD_SHARE_MIN: f64 = 0.01;
/// Fields of a window that moved and are told beside findings.
const MOVED_MAX: usize = 32;

/// The past of a topic's contents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) fields: BTreeMap<String, Field>,
    decode: Rate,
    decode_windows: u32,
    decode_alarm: Option<Alarm>,
    pub(super) many: Option<Many>,
    /// What moved without being found, until it is taken.
    #[serde(skip)]
    pub(super) moved: Vec<Movement>,
}

/// Windows gathered.
pub(super) struct Window<'a> {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) summary: &'a PaneSummary,
    /// Enough is known of the topic.
    pub(super) judged: bool,
}

/// A field in a window.
pub(super) struct Seen<'a> {
    pub(super) now: std::borrow::Cow<'a, FieldSummary>,
    pub(super) tests: Vec<Test>,
}

/// Of p-values the largest that is a discovery, with this share of false ones among them (Benjamini
/// and Hochberg, 1995); below zero when none is.
fn cut(mut p_values: Vec<f64>, false_share: f64) -> f64 {
    p_values.sort_unstable_by(f64::total_cmp);
    let m = p_values.len() as f64;
    let at = |i: usize| false_share * (i + 1) as f64 / m;
    p_values.iter().enumerate().rev().find(|(i, p)| **p <= at(*i)).map_or(-1.0, |(_, p)| *p)
}

impl Contents {
    /// Kinds of the findings that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = Kind> {
        let fields = self.fields.values().filter_map(|field| field.alarm.as_ref());
        let alone = fields.chain(&self.decode_alarm).filter(|a| a.raised && !a.grouped).map(|a| a.kind);
        alone.chain(self.many.iter().map(|_| Kind::ManyFields))
    }

    /// A known event begins: what was found is over. Gives the findings there were, and of which field.
    pub(super) fn end(&mut self) -> Vec<(Alarm, Option<String>)> {
        let mut ended = Vec::new();
        if let Some(many) = self.many.take() {
            ended.push((many.alarm(), None));
        }
        ended.extend(self.decode_alarm.take().map(|alarm| (alarm, None)));
        for (path, field) in &mut self.fields {
            (field.shadow, field.renamed_to) = (None, None);
            let alone = field.alarm.take().filter(|alarm| !alarm.grouped);
            ended.extend(alone.map(|alarm| (alarm, Some(path.clone()))));
        }
        ended.retain(|(alarm, _)| alarm.raised);
        ended
    }

    /// Takes a window up.
    pub(super) fn window(&mut self, window: &Window<'_>, settings: &Settings) -> Vec<Observation> {
        let mut seen = self.look(window, settings);
        let decode = self.decode_test(window.summary).filter(|_| window.judged);
        let new = self.new_fields(window, &seen);
        let tests = seen.values().flat_map(|s| &s.tests).chain(&decode).chain(new.values());
        let cut = cut(tests.map(|test| test.p).collect(), settings.sensitivity.false_share());
        let scale = settings.sensitivity.scale();
        let mut told = Vec::new();
        told.extend(self.decode_window(window, decode.as_ref(), cut, settings));
        let mut steps = self.steps(window, &seen, cut, scale);
        steps.extend(self.admit(window, new, &mut seen, cut, scale));
        self.pair(&seen, &mut steps);
        self.take_up(window, &seen, &mut steps, settings);
        self.note(window, &seen, cut, scale);
        self.tell(window, &seen, steps, &mut told);
        told
    }

    /// Keeps what moved and is not found: as sure as a finding, and half as large.
    fn note(&mut self, window: &Window<'_>, seen: &BTreeMap<String, Seen<'_>>, cut: f64, scale: f64) {
        let is_found = |path: &str| {
            self.fields.get(path).and_then(|field| field.alarm.as_ref()).is_some_and(|alarm| alarm.raised)
        };
        let moved = seen.iter().filter(|(path, _)| !is_found(path)).filter_map(|(path, seen)| {
            let large = |test: &&Test| test.p <= cut && test.effect >= STAYS * scale;
            let test = seen.tests.iter().filter(large).min_by_key(|test| test.kind)?;
            Some(Movement {
                kind: test.kind,
                field: path.clone(),
                from_ms: window.from_ms,
                to_ms: window.to_ms,
                before: test.before,
                now: test.now,
                effect: test.effect,
                message: test.message(path),
            })
        });
        let moved: Vec<Movement> = moved.take(MOVED_MAX).collect();
        self.moved.extend(moved);
        self.moved.truncate(2 * MOVED_MAX);
    }

    /// All known fields, and those of the window, with what is asked of them.
    fn look<'a>(&self, window: &Window<'a>, settings: &Settings) -> BTreeMap<String, Seen<'a>> {
        use std::borrow::Cow;
        let fields = &window.summary.fields;
        let mut seen: BTreeMap<String, Seen<'a>> = BTreeMap::new();
        for now in fields {
            let seen_now = Seen { now: Cow::Borrowed(now), tests: Vec::new() };
            seen.insert(now.path.clone(), seen_now);
        }
        for (path, field) in &self.fields {
            let entry = seen.entry(path.clone()).or_insert_with(|| {
                let records = objects_at_parent(path, fields);
                let absent = FieldSummary { path: path.clone(), records, ..FieldSummary::default() };
                Seen { now: Cow::Owned(absent), tests: Vec::new() }
            });
            let old = window.from_ms.saturating_sub(field.since_ms) >= settings.learn_ms;
            if window.judged && old && field.windows >= WINDOWS_MIN {
                entry.tests = field.tests(&entry.now);
            }
        }
        seen
    }

    fn decode_test(&self, summary: &PaneSummary) -> Option<Test> {
        let (hits, n) = decoded(summary);
        let enough = self.decode_windows >= WINDOWS_MIN && n >= 50.0;
        let compared = self.decode.compare(hits, n).filter(|_| enough)?;
        let effect = share_effect(compared.before, compared.now);
        let test = Test::of(Kind::DecodeFailures, compared.p, effect, compared.before, compared.now);
        Some(Test { n, ..test })
    }

    fn decode_window(
        &mut self,
        window: &Window<'_>,
        test: Option<&Test>,
        cut: f64,
        settings: &Settings,
    ) -> Option<Observation> {
        let (hits, n) = decoded(window.summary);
        let step = match test {
            Some(test) => {
                let sign = sign_of(test, cut, settings.sensitivity.scale());
                step(&mut self.decode_alarm, sign, window.from_ms)
            }
            None => Step::None,
        };
        let began_ms = self.decode_alarm.as_ref().map_or(window.from_ms, |alarm| alarm.began_ms);
        let mut what =
            told(step).filter(|what| *what != What::Ongoing || test.is_some_and(|test| test.effect >= STAYS));
        let old = |a: &&Alarm| a.raised && window.to_ms - a.began_ms >= settings.adopt_ms;
        if test.is_some() && self.decode_alarm.as_ref().filter(old).is_some() {
            what = Some(What::Adopted);
            (self.decode, self.decode_windows) = (Rate::default(), 0);
        }
        if matches!(what, Some(What::Resolved | What::Adopted)) {
            self.decode_alarm = None;
        }
        if self.decode_alarm.is_none() {
            self.decode.learn(hits, n, settings.memory());
            self.decode_windows = self.decode_windows.saturating_add(1);
        }
        let times = [began_ms, window.from_ms, window.to_ms];
        Some(Observation::of_test(what?, Kind::DecodeFailures, None, test?, times))
    }

    /// Fields that were not there before, in enough of their parents to tell.
    fn new_fields(&self, window: &Window<'_>, seen: &BTreeMap<String, Seen<'_>>) -> BTreeMap<String, Test> {
        let mut new = BTreeMap::new();
        if !window.judged || self.fields.is_empty() {
            return new;
        }
        for (path, seen) in seen {
            let now = &seen.now;
            let of_itself = path.ends_with("[]") || path.ends_with(".*") || path == "$";
            if self.fields.contains_key(path) || of_itself || now.present < NEW_FIELD_MIN {
                continue;
            }
            // What is in a new object comes with it.
            let Some(parent) = object_of_member(path).and_then(|parent| self.fields.get(parent)) else {
                continue;
            };
            let (hits, n) = (now.present as f64, now.records as f64);
            let Some(compared) = Rate::of(0.0, parent.present(), Default::default()).compare(hits, n) else {
                continue;
            };
            let effect = (hits / NEW_FIELD_MIN as f64).min(compared.now / NEW_FIELD_SHARE_MIN);
            let test = Test::of(Kind::NewField, compared.p, effect, 0.0, compared.now);
            new.insert(path.clone(), Test { n, ..test });
        }
        new
    }

    /// What the tests say of each known field.
    fn steps(
        &mut self,
        window: &Window<'_>,
        seen: &BTreeMap<String, Seen<'_>>,
        cut: f64,
        scale: f64,
    ) -> BTreeMap<String, Taken> {
        let mut steps = BTreeMap::new();
        for (path, field) in &mut self.fields {
            let Some(seen) = seen.get(path) else { continue };
            let (sign, test) = match &field.alarm {
                Some(alarm) if alarm.kind == Kind::NewField => {
                    if seen.now.records == 0 {
                        continue;
                    }
                    let present = seen.now.present > 0;
                    let share = seen.now.present as f64 / seen.now.records as f64;
                    let test = Test::of(Kind::NewField, 0.0, share / NEW_FIELD_SHARE_MIN, 0.0, share);
                    let test = Test { n: seen.now.records as f64, ..test };
                    let there = Sign::Suspicious { kind: Kind::NewField, sure: false };
                    (if present { there } else { Sign::Quiet }, Some(test))
                }
                Some(alarm) if alarm.raised => {
                    let kind = alarm.kind;
                    let Some(test) = seen.tests.iter().find(|test| test.is_of(kind)) else { continue };
                    (sign_of(test, cut, scale), Some(test.clone()))
                }
                _ => {
                    let large = |test: &&Test| test.p <= cut && test.effect >= scale;
                    let first = seen.tests.iter().filter(large).min_by_key(|test| test.kind);
                    (first.map_or(Sign::Quiet, |test| sign_of(test, cut, scale)), first.cloned())
                }
            };
            // A renamed field is missing, too.
            let sign = match (sign, &field.renamed_to) {
                (Sign::Suspicious { kind: Kind::Missing, sure }, Some(_)) => {
                    Sign::Suspicious { kind: Kind::Renamed, sure }
                }
                (sign, _) => sign,
            };
            let was = field.alarm.as_ref().map(|alarm| (alarm.began_ms, alarm.kind));
            let step = step(&mut field.alarm, sign, window.from_ms);
            let now = field.alarm.as_ref().map(|alarm| (alarm.began_ms, alarm.kind)).or(was);
            if let (Some(test), Some((began_ms, kind))) = (test, now) {
                steps.insert(path.clone(), Taken { step, adopted: false, began_ms, kind, test });
            }
        }
        steps
    }

    /// Makes room for fields that were not there before.
    fn admit(
        &mut self,
        window: &Window<'_>,
        new: BTreeMap<String, Test>,
        seen: &mut BTreeMap<String, Seen<'_>>,
        cut: f64,
        scale: f64,
    ) -> BTreeMap<String, Taken> {
        let mut steps = BTreeMap::new();
        for (path, seen) in seen.iter() {
            if self.fields.contains_key(path) || seen.now.present == 0 || self.fields.len() >= FIELDS_MAX {
                continue;
            }
            let mut field = Field::since(window.from_ms);
            if let Some(test) = new.get(path) {
                let sign = match sign_of(test, cut, scale) {
                    Sign::Suspicious { kind, .. } => {
                        Sign::Suspicious { kind, sure: test.p <= SURE_P && test.now >= 0.2 }
                    }
                    other => other,
                };
                let step = step(&mut field.alarm, sign, window.from_ms);
                let (began_ms, kind) = (window.from_ms, Kind::NewField);
                steps
                    .insert(path.clone(), Taken { step, adopted: false, began_ms, kind, test: test.clone() });
            }
            self.fields.insert(path.clone(), field);
        }
        steps
    }

    /// A field that went and one like it that came, in the same object and as often, are one that was
    /// renamed.
    fn pair(&mut self, seen: &BTreeMap<String, Seen<'_>>, steps: &mut BTreeMap<String, Taken>) {
        let with = |kind: Kind| {
            let of_kind = move |field: &Field| field.alarm.as_ref().is_some_and(|alarm| alarm.kind == kind);
            self.fields.iter().filter(move |(_, field)| of_kind(field)).map(|(path, _)| path.clone())
        };
        let (gone, came): (Vec<String>, Vec<String>) =
            (with(Kind::Missing).collect(), with(Kind::NewField).collect());
        let mut free: BTreeSet<String> = came.into_iter().collect();
        for old in gone {
            let Some((field, old_now)) = self.fields.get(&old).zip(seen.get(&old)) else { continue };
            let missing = old_now.now.missing() as f64 / old_now.now.records.max(1) as f64;
            let fell = missing - field.missing_share();
            let fits = |new: &&String| {
                let Some(now) = seen.get(*new).map(|seen| &seen.now) else { return false };
                let share = now.present as f64 / now.records.max(1) as f64;
                object_of_member(new) == object_of_member(&old)
                    && (fell - share).abs() <= 0.2 * fell.max(share)
                    && field.is_like(now)
            };
            let Some(new) = free.iter().find(fits).cloned() else { continue };
            free.remove(&new);
            // What had been told of the new one already is over: it is told with the old one.
            let told_before = steps.get(&new).is_some_and(|taken| taken.step == Step::Ongoing);
            if told_before {
                steps.entry(new.clone()).and_modify(|taken| taken.step = Step::Resolved);
            } else {
                steps.remove(&new);
            }
            if let Some(field) = self.fields.get_mut(&new) {
                field.alarm = None;
            }
            if let Some(field) = self.fields.get_mut(&old) {
                let told_as_missing = steps.get(&old).is_some_and(|taken| taken.step == Step::Ongoing);
                if let Some(alarm) = field.alarm.as_mut().filter(|_| !told_as_missing) {
                    alarm.kind = Kind::Renamed;
                }
                field.renamed_to = Some(new.clone());
            }
            if let Some(taken) = steps.get_mut(&old) {
                if taken.step != Step::Ongoing {
                    taken.kind = Kind::Renamed;
                }
                taken.test.what.clone_from(&new);
            }
        }
    }

    /// Learns from the window, and adopts what has stayed.
    fn take_up(
        &mut self,
        window: &Window<'_>,
        seen: &BTreeMap<String, Seen<'_>>,
        steps: &mut BTreeMap<String, Taken>,
        settings: &Settings,
    ) {
        let memory = settings.memory();
        let mut forgotten = Vec::new();
        for (path, seen) in seen {
            let Some(field) = self.fields.get_mut(path) else { continue };
            let old = |a: &&Alarm| a.raised && window.to_ms - a.began_ms >= settings.adopt_ms;
            if let Some(alarm) = field.alarm.as_ref().filter(old)
                && !steps.contains_key(path)
            {
                // Nothing can be asked of it any more (its object is gone): it is over, not for ever open.
                let (began_ms, kind) = (alarm.began_ms, alarm.kind);
                let test = Test::of(kind, 1.0, 0.0, 0.0, 0.0);
                steps.insert(
                    path.clone(),
                    Taken { step: Step::Resolved, adopted: false, began_ms, kind, test },
                );
                (field.alarm, field.shadow, field.renamed_to) = (None, None, None);
                continue;
            }
            if seen.now.records == 0 && seen.now.present == 0 {
                continue;
            }
            let taken = steps.get_mut(path);
            if taken.as_ref().is_some_and(|taken| taken.step == Step::Resolved) {
                field.alarm = None;
                field.renamed_to = None;
            }
            if field.alarm.as_ref().filter(old).is_some() {
                let gone = seen.now.missing() as f64 >= 0.999 * seen.now.records as f64;
                if let Some(mut shadow) = field.shadow.take() {
                    shadow.learn(&seen.now, memory);
                    *field = *shadow;
                } else {
                    field.alarm = None;
                }
                if gone {
                    forgotten.push(path.clone());
                }
                if let Some(taken) = taken {
                    (taken.step, taken.adopted) = (Step::Resolved, true);
                }
                continue;
            }
            match &field.alarm {
                Some(alarm) if alarm.kind != Kind::NewField => {
                    let began_ms = alarm.began_ms;
                    let fresh = || Box::new(Field::since(began_ms));
                    field.shadow.get_or_insert_with(fresh).learn(&seen.now, memory);
                }
                _ => {
                    field.shadow = None;
                    field.learn(&seen.now, memory);
                }
            }
        }
        for path in forgotten {
            self.fields.remove(&path);
        }
    }
}

/// What a window did to a field.
pub(super) struct Taken {
    pub(super) step: Step,
    pub(super) adopted: bool,
    pub(super) began_ms: i64,
    pub(super) kind: Kind,
    pub(super) test: Test,
}

impl Test {
    /// Does it tell whether a finding of this kind goes on?
    fn is_of(&self, kind: Kind) -> bool {
        match kind {
            Kind::Renamed => self.kind == Kind::Missing,
            Kind::NewValue | Kind::Categories => matches!(self.kind, Kind::NewValue | Kind::Categories),
            kind => self.kind == kind,
        }
    }
}

fn sign_of(test: &Test, cut: f64, scale: f64) -> Sign {
    if test.p <= cut && test.effect >= scale {
        let sure = test.p <= SURE_P && test.effect >= 2.0 * scale;
        return Sign::Suspicious { kind: test.kind, sure };
    }
    if test.p <= STAYS_P && test.effect >= STAYS * scale { Sign::Between } else { Sign::Quiet }
}

/// Values that did not decode, of those tried.
fn decoded(summary: &PaneSummary) -> (f64, f64) {
    let untried = summary.tombstones.saturating_add(total(&summary.not_decoded));
    let n = summary.examined.saturating_sub(untried);
    (total(&summary.decode_failures).min(n) as f64, n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discoveries_are_cut_as_benjamini_and_hochberg_do() {
        // Their example: of 15 p-values four are discoveries at 5%.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0,
        ];
        assert_eq!(cut(p.to_vec(), 0.05), 0.0095);
        assert!(cut(vec![0.5, 0.9], 0.05) < 0.0);
        assert!(cut(Vec::new(), 0.05) < 0.0);
    }
}
