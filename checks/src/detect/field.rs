//! One field: what it was like, and what of it is different now.

use serde::{Deserialize, Serialize};

use super::Kind;
use super::alarm::Alarm;
use super::cardinality::Cardinality;
use super::categories::CategoriesPast;
use super::numbers::NumbersPast;
use super::rate::{Rate, share_effect};
use crate::judge::number;
use crate::report::FieldSummary;

/// Trials that a share is judged by, in a window and in the past.
const TRIALS_MIN: f64 = 50.0;
/// Numbers that a distribution is judged by.
const NUMBERS_MIN: f64 = 100.0;
/// The types whose shares are watched: whole and other numbers mix as producers write them.
const TYPES: [&str; 5] = ["number", "string", "boolean", "object", "array"];

/// The past of a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Field {
    /// Known since, ms.
    pub(super) since_ms: i64,
    /// Windows taken up.
    pub(super) windows: u32,
    missing: Rate,
    null: Rate,
    empty: Rate,
    types: [Rate; 5],
    numbers: Option<Box<NumbersPast>>,
    categories: Option<Box<CategoriesPast>>,
    cardinality: Cardinality,
    /// Mean length of strings.
    length: f64,
    pub(super) alarm: Option<Alarm>,
    /// What it would be like from now on, learned while it is not as before.
    pub(super) shadow: Option<Box<Field>>,
    /// The field that took its place.
    pub(super) renamed_to: Option<String>,
}

/// One question asked of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) kind: Kind,
    pub(super) p: f64,
    /// How many times over it is worth telling.
    pub(super) effect: f64,
    /// The share, mean or count before, and now.
    pub(super) before: f64,
    pub(super) now: f64,
    /// How many values it goes by.
    pub(super) n: f64,
    /// What of the field, where its kind does not say it: a type, a value.
    pub(super) what: String,
    /// Kolmogorov-Smirnov distance, of a distribution.
    pub(super) distance: Option<f64>,
}

fn types(now: &FieldSummary) -> [f64; 5] {
    let number = now.integer.saturating_add(now.number);
    [number, now.string, now.boolean, now.object, now.array].map(|n| n as f64)
}

impl Field {
    /// Known since then, ms.
    pub(super) fn since(since_ms: i64) -> Self {
        Self { since_ms, ..Self::default() }
    }

    /// Values that the past weighs, null included.
    pub(super) fn present(&self) -> f64 {
        self.null.n()
    }

    /// The share of parents without it.
    pub(super) fn missing_share(&self) -> f64 {
        self.missing.share()
    }

    /// Takes a window up.
    pub(super) fn learn(&mut self, now: &FieldSummary, memory: f64) {
        self.windows = self.windows.saturating_add(1);
        let (present, values) = (now.present as f64, now.present.saturating_sub(now.null) as f64);
        self.missing.learn(now.missing() as f64, now.records as f64, memory);
        self.null.learn(now.null as f64, present, memory);
        self.empty.learn(now.empty as f64, present, memory);
        for (rate, count) in self.types.iter_mut().zip(types(now)) {
            rate.learn(count, values, memory);
        }
        if let Some(numbers) = now.numeric.as_ref().filter(|numbers| numbers.count > 0) {
            self.numbers.get_or_insert_default().learn(numbers, memory);
        }
        let scalars = now.scalars() as f64;
        if let Some(top) = now.top.as_ref().filter(|_| scalars > 0.0) {
            self.categories.get_or_insert_default().learn(top, scalars, memory);
        }
        self.cardinality.learn(now.distinct_estimate().estimate, scalars, memory);
        if let Some(text) = now.text.filter(|text| text.count > 0) {
            let mean = text.length_sum as f64 / text.count as f64;
            self.length += (mean - self.length) / f64::from(self.windows).min(memory);
        }
    }

    /// Asks everything that can be asked of a window.
    pub(super) fn tests(&self, now: &FieldSummary) -> Vec<Test> {
        let mut tests = Vec::new();
        let (records, present) = (now.records as f64, now.present as f64);
        let values = now.present.saturating_sub(now.null) as f64;
        let mut share = |kind, rate: &Rate, hits: u64, n: f64| {
            if n < TRIALS_MIN || rate.n() < TRIALS_MIN {
                return;
            }
            if let Some(c) = rate.compare(hits as f64, n) {
                let effect = share_effect(c.before, c.now);
                tests.push(Test { n, ..Test::of(kind, c.p, effect, c.before, c.now) });
            }
        };
        share(Kind::Missing, &self.missing, now.missing(), records);
        share(Kind::Nulls, &self.null, now.null, present);
        share(Kind::Empty, &self.empty, now.empty, present);
        if values >= TRIALS_MIN && self.types[0].n() >= TRIALS_MIN {
            let retyped = self.types.iter().zip(types(now)).zip(TYPES);
            let retyped = retyped.filter_map(|((rate, hits), name)| {
                let c = rate.compare(hits, values)?;
                let effect = share_effect(c.before, c.now);
                let test = Test::of(Kind::Types, c.p, effect, c.before, c.now);
                Some(Test { n: values, what: name.to_owned(), ..test })
            });
            // A value that is no string any more is something else: what rose tells both.
            let rank = |test: &Test| (test.effect >= 0.5, -test.p, test.now - test.before);
            tests.extend(retyped.max_by(|a, b| {
                let ((x, p, r), (y, q, s)) = (rank(a), rank(b));
                x.cmp(&y).then(p.total_cmp(&q)).then(r.total_cmp(&s))
            }));
        }
        let scalars = now.scalars() as f64;
        self.distributions(now, scalars, &mut tests);
        if scalars >= NUMBERS_MIN {
            let distinct = now.distinct_estimate().estimate;
            if let Some((before, p, effect)) = self.cardinality.compare(distinct, scalars) {
                tests.push(Test { n: scalars, ..Test::of(Kind::Cardinality, p, effect, before, distinct) });
            }
        }
        tests
    }

    fn distributions(&self, now: &FieldSummary, scalars: f64, tests: &mut Vec<Test>) {
        if let (Some(past), Some(numbers)) = (&self.numbers, &now.numeric)
            && numbers.count as f64 >= NUMBERS_MIN.max(scalars / 2.0)
            && past.n() >= NUMBERS_MIN
            && let Some(moved) = past.compare(numbers)
        {
            let test = Test::of(Kind::Distribution, moved.p, moved.effect, past.mean(), numbers.mean);
            tests.push(Test { n: numbers.count as f64, distance: Some(moved.ks), ..test });
        }
        if let (Some(past), Some(top)) = (&self.categories, &now.top)
            && scalars >= NUMBERS_MIN
            && let Some(shifted) = past.compare(top, scalars)
        {
            let kind = if shifted.is_new { Kind::NewValue } else { Kind::Categories };
            let test = Test::of(kind, shifted.p, shifted.effect, shifted.before, shifted.now);
            tests.push(Test { n: scalars, what: shifted.value, ..test });
        }
    }

    /// Could the values of a new field be this one's?
    pub(super) fn is_like(&self, now: &FieldSummary) -> bool {
        let values = now.present.saturating_sub(now.null) as f64;
        if values < 1.0 {
            return false;
        }
        let retyped =
            self.types.iter().zip(types(now)).any(|(rate, n)| (rate.share() - n / values).abs() > 0.1);
        let nulls = (self.null.share() - now.null as f64 / now.present.max(1) as f64).abs();
        if retyped || nulls > 0.1 {
            return false;
        }
        let scalars = now.scalars() as f64;
        if let (Some(past), Some(numbers)) = (&self.numbers, &now.numeric)
            && numbers.count as f64 > scalars / 2.0
        {
            return past.compare(numbers).is_some_and(|moved| moved.ks < 0.2 && moved.mean < 0.4);
        }
        if let (Some(past), Some(top)) = (&self.categories, &now.top)
            && let Some(apart) = past.apart(top, scalars)
        {
            return apart < 0.3;
        }
        let alike = |a: f64, b: f64, ratio: f64| a.max(b) <= a.min(b).max(1.0) * ratio;
        let length = now.text.map_or(0.0, |text| text.length_sum as f64 / text.count.max(1) as f64);
        let distinct = self.cardinality.compare(now.distinct_estimate().estimate, scalars);
        alike(self.length, length, 1.25) && distinct.is_none_or(|(_, _, effect)| effect < 2.0)
    }
}

impl Test {
    pub(super) fn of(kind: Kind, p: f64, effect: f64, before: f64, now: f64) -> Self {
        Self { kind, p, effect, before, now, n: 0.0, what: String::new(), distance: None }
    }

    /// One sentence about a field.
    pub(super) fn message(&self, path: &str) -> String {
        let percent = |share: f64| format!("{}%", number(share * 100.0));
        let (before, now) = (percent(self.before), percent(self.now));
        let what = &self.what;
        match self.kind {
            Kind::Missing if self.now >= 1.0 => {
                format!("{path} is not there any more: it was missing in {before} of its parents before")
            }
            Kind::Missing => format!("{path} is missing in {now}; usual: {before}"),
            Kind::Nulls => format!("{path} is null in {now}; usual: {before}"),
            Kind::Empty => format!("{path} is empty in {now}; usual: {before}"),
            Kind::Types => format!("{path} is a {what} in {now}; usual: {before}"),
            Kind::NewValue => format!("{path} has a new value, {what:?}, in {now}"),
            Kind::Categories if self.now == 0.0 => {
                format!("{path} is never {what:?} any more; usual: {before}")
            }
            Kind::Categories => format!("{path} is {what:?} in {now}; usual: {before}"),
            Kind::Cardinality => {
                format!("{path} has {} different values; usual: {}", number(self.now), number(self.before))
            }
            Kind::Distribution => {
                format!(
                    "the values of {path} have shifted: mean {}; usual: {}",
                    number(self.now),
                    number(self.before)
                )
            }
            Kind::NewField => format!("{path} is new: in {now}"),
            Kind::Renamed => format!("{path} is named {what} now"),
            Kind::Volume | Kind::DecodeFailures | Kind::ManyFields => String::new(),
        }
    }
}
