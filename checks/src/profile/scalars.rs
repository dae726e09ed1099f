//! Scalars of one field: numbers, forms of texts, how many different ones, and which are frequent.

use crate::format::{self, FORMATS};
use crate::merge::{DISTINCT_EXACT_MAX, DISTINCT_PRECISION, count_reason, raise};
use crate::report::{DistinctSummary, NumericSummary, ReasonCount, TopSummary, TopValue};
use crate::tape::Data;

use super::values::Top;
use super::{Numbers, hash};

/// What is kept of them. As long as every different value is listed with how often it came, all of it follows from
/// that: numbers and forms are kept from when the first values are pushed out.
#[derive(Debug)]
pub(super) struct Scalars {
    top: Top,
    distinct: Distinct,
    /// Of all numbers, once `top` is no longer complete.
    numbers: Option<Box<Numbers>>,
    /// Of the texts of a sample, but for those that `top` lists whole while it is complete.
    forms: Option<Box<Forms>>,
}

/// A text and a number can be made to share a hash. They are listed apart by this bit, which nothing shows.
const IS_TEXT: u64 = 1 << 31;

impl Scalars {
    pub(super) fn new((top_values, string_bytes): (usize, usize)) -> Box<Self> {
        let top = Top::new(top_values, string_bytes);
        Box::new(Self { top, distinct: Distinct::default(), numbers: None, forms: None })
    }

    /// Takes a number of this hash; `data`, what it is, is made where it is asked for only. What is in `scratch` is of
    /// no account: it is there so that nothing is allocated.
    #[inline]
    pub(super) fn add_number<'a>(
        &mut self,
        hash: u64,
        number: f64,
        data: impl Fn() -> Data<'a>,
        scratch: &mut Vec<u64>,
    ) {
        if !self.top.is_complete() {
            self.numbers.get_or_insert_default().add(number);
        }
        self.list(hash, hash & !IS_TEXT, data, scratch);
    }

    #[inline]
    pub(super) fn add_text(&mut self, hash: u64, text: &str, scratch: &mut Vec<u64>) {
        let is_listed = self.top.is_complete() && self.top.keeps_whole(text);
        if !is_listed && Forms::samples(hash) {
            self.forms.get_or_insert_default().add(text, 1);
        }
        self.list(hash, hash | IS_TEXT, || Data::Str(text), scratch);
    }

    /// Counts a value among the frequent ones, and as different if it was not among them.
    #[inline(always)]
    fn list<'a>(&mut self, hash: u64, listed_by: u64, data: impl Fn() -> Data<'a>, scratch: &mut Vec<u64>) {
        match self.top.find(listed_by) {
            Ok(at) => self.top.count(at, data),
            Err(place) => {
                self.distinct.add(hash);
                if self.top.is_complete() || self.top.is_full() {
                    self.enter(listed_by, data(), scratch);
                } else {
                    self.top.note(listed_by, place);
                }
            }
        }
    }

    /// Lists a value where that takes more than a note.
    #[cold]
    fn enter(&mut self, listed_by: u64, data: Data<'_>, scratch: &mut Vec<u64>) {
        if self.top.is_full() {
            if self.top.is_complete() {
                self.spill(listed_by, data);
            }
            self.top.push_out(scratch);
        }
        self.top.enter(listed_by, data);
    }

    /// Takes what no longer follows from what is listed, and the value that comes next.
    fn spill(&mut self, hash: u64, data: Data<'_>) {
        for (hash, data, times) in self.top.listed_whole().chain([(hash, data, 1)]) {
            if let Some(number) = data.as_f64() {
                self.numbers.get_or_insert_default().add_many(number, times);
            }
            // What is not kept whole is in there.
            if let Data::Str(text) = data
                && self.top.keeps_whole(text)
                && Forms::samples(hash)
            {
                self.forms.get_or_insert_default().add(text, times);
            }
        }
    }

    pub(super) fn numbers(&self) -> NumericSummary {
        if !self.top.is_complete() {
            return self.numbers.as_ref().map(|numbers| numbers.summary()).unwrap_or_default();
        }
        let mut numbers = Numbers::default();
        for (_, data, times) in self.top.listed_whole() {
            if let Some(number) = data.as_f64() {
                numbers.add_many(number, times);
            }
        }
        numbers.summary()
    }

    /// Texts by form, and how many they are: all that are not cut while they are few, else a sample.
    pub(super) fn forms(&self) -> (Vec<ReasonCount>, u64) {
        if !self.top.is_complete() {
            return self.forms.as_ref().map(|forms| forms.summary()).unwrap_or_default();
        }
        let mut forms = Forms::default();
        for (_, data, times) in self.top.listed_whole() {
            if let Data::Str(text) = data {
                forms.add(text, times);
            }
        }
        forms.summary()
    }

    pub(super) fn distinct(&self) -> DistinctSummary {
        self.distinct.summary()
    }

    pub(super) fn top(&self) -> TopSummary {
        self.top.summary()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let numbers = self.numbers.as_ref().map_or(0, |n| size_of::<Numbers>() + n.heap_bytes());
        let forms = self.forms.as_ref().map_or(0, |_| size_of::<Forms>());
        self.distinct.heap_bytes() + self.top.heap_bytes() + numbers + forms
    }
}

/// Distinct values: sorted hashes, then registers.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    summary: DistinctSummary,
}

impl Distinct {
    #[inline]
    pub(super) fn add(&mut self, hash: u64) {
        if self.summary.registers.is_empty() {
            self.add_exact(hash);
        } else {
            raise(&mut self.summary.registers, hash);
        }
    }

    fn add_exact(&mut self, hash: u64) {
        if let Err(at) = self.summary.hashes.binary_search(&hash) {
            self.summary.hashes.insert(at, hash);
            if self.summary.hashes.len() > DISTINCT_EXACT_MAX {
                self.summary.make_dense();
            }
        }
    }

    pub(super) fn summary(&self) -> DistinctSummary {
        DistinctSummary { precision: DISTINCT_PRECISION, ..self.summary.clone() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.summary.registers.capacity() + self.summary.hashes.capacity() * size_of::<u64>()
    }
}

/// Of so many different texts one is looked at for its form, where they are too many to keep: which ones depends on
/// their hashes alone, never on the order in which they come.
const FORM_SAMPLE: u64 = 32;
/// A longer text is taken for none of the known forms.
const FORM_BYTES_MAX: usize = 2_048;

/// Texts by form.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    seen: u64,
    counts: [u64; FORMATS.len()],
}

impl Forms {
    /// Is the text of this hash one of the sample?
    #[inline]
    pub(super) fn samples(hash: u64) -> bool {
        hash.is_multiple_of(FORM_SAMPLE)
    }

    /// A text that came so often.
    pub(super) fn add(&mut self, text: &str, count: u64) {
        self.seen += count;
        if text.len() <= FORM_BYTES_MAX
            && let Some(form) = format::recognise(text)
            && let Some(counted) =
                FORMATS.iter().position(|(_, f)| *f == form).and_then(|at| self.counts.get_mut(at))
        {
            *counted += count;
        }
    }

    /// Counts by form, and of how many texts.
    pub(super) fn summary(&self) -> (Vec<ReasonCount>, u64) {
        let mut counts = Vec::new();
        for ((name, _), count) in FORMATS.iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            count_reason(&mut counts, name, count);
        }
        (counts, self.seen)
    }
}

/// What [`Distinct`] and [`Top`] would tell of booleans that came so often.
pub(super) fn of_booleans(truthy: u64, falsy: u64) -> (DistinctSummary, TopSummary) {
    let (mut distinct, mut values) = (Distinct::default(), Vec::new());
    for (value, count) in [(false, falsy), (true, truthy)].into_iter().filter(|(_, count)| *count > 0) {
        distinct.add(hash::boolean(value));
        values.push(TopValue { value: value.to_string(), count, error: 0 });
    }
    (distinct.summary(), TopSummary { values, floor: 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Scalar {
        I64(i64),
        U64(u64),
        F64(f64),
        Text(String),
    }

    fn number() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            6 => (-9i64..9).prop_map(Scalar::I64),
            6 => (-9i32..9).prop_map(|n| Scalar::F64(f64::from(n) / 2.0)),
            2 => (-300i32..300).prop_map(|n| Scalar::F64(1.5 * 10f64.powi(n))),
            1 => Just(Scalar::I64((1 << 53) + 1)),
            1 => (0u64..3).prop_map(|n| Scalar::U64(u64::MAX - n)),
            1 => prop_oneof![
                Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(5e-324), Just(f64::MIN),
            ]
            .prop_map(Scalar::F64),
        ]
    }

    fn text() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            "[0-9]{0,1}",
            (0u32..200).prop_map(|n| format!("550e8400-e29b-41d4-a716-{n:012}")),
            (0u32..200).prop_map(|n| format!("https://example.org/{}/{n}", "long".repeat(9))),
        ]
        .prop_map(Scalar::Text)
    }

    /// What all numbers and texts come to when each is taken as it comes.
    #[derive(Default)]
    struct Eager {
        numbers: Numbers,
        whole: Forms,
        sampled: Forms,
    }

    const STRING_BYTES: usize = 48;

    fn take(values: &[Scalar], most: usize) -> (Scalars, Eager) {
        let (mut scalars, mut eager, mut scratch) =
            (*Scalars::new((most, STRING_BYTES)), Eager::default(), Vec::new());
        for value in values {
            match value {
                Scalar::I64(n) => {
                    scalars.add_number(hash::integer(*n), *n as f64, || Data::I64(*n), &mut scratch);
                    eager.numbers.add(*n as f64);
                }
                Scalar::U64(n) => {
                    scalars.add_number(hash::unsigned(*n), *n as f64, || Data::U64(*n), &mut scratch);
                    eager.numbers.add(*n as f64);
                }
                Scalar::F64(n) => {
                    scalars.add_number(hash::float(*n), *n, || Data::F64(*n), &mut scratch);
                    eager.numbers.add(*n);
                }
                Scalar::Text(text) => {
                    scalars.add_text(hash::text(text), text, &mut scratch);
                    if Forms::samples(hash::text(text)) {
                        eager.sampled.add(text, 1);
                    }
                    if text.len() <= STRING_BYTES {
                        eager.whole.add(text, 1);
                    }
                }
            }
        }
        (scalars, eager)
    }

    proptest! {
        /// What follows from the listed values, and what is kept once some are pushed out, is what taking every value as
        /// it comes gives, but for the last bits of the moments.
        #[test]
        fn numbers_and_forms_are_those_of_every_value(
            values in proptest::collection::vec(prop_oneof![number(), text()], 0..300), most in 1usize..80,
        ) {
            let (scalars, eager) = take(&values, most);
            let (mut got, mut want) = (scalars.numbers(), eager.numbers.summary());
            let scale = want.max.abs().max(want.min.abs());
            prop_assert!((got.mean - want.mean).abs() <= 1e-12 * scale, "{} {}", got.mean, want.mean);
            let count = want.count as f64;
            let (got_deviation, deviation) = ((got.m2 / count).sqrt(), (want.m2 / count).sqrt());
            prop_assert!(
                got.m2 == want.m2 || (got_deviation - deviation).abs() <= 1e-9 * scale,
                "{} {}", got.m2, want.m2,
            );
            for summary in [&mut got, &mut want] {
                (summary.mean, summary.m2) = (0.0, 0.0);
            }
            prop_assert_eq!(got, want);
            let forms = if scalars.top().floor == 0 { eager.whole } else { eager.sampled };
            prop_assert_eq!(scalars.forms(), forms.summary());
        }
    }

    /// What is made to share a hash is listed apart: the numbers are as many as came, in a report that holds.
    #[test]
    fn a_text_and_a_number_of_one_hash_are_two_values() {
        let (mut scalars, mut scratch) = (*Scalars::new((4, STRING_BYTES)), Vec::new());
        let hash = hash::integer(7);
        scalars.add_text(hash, "as if", &mut scratch);
        scalars.add_number(hash, 7.0, || Data::I64(7), &mut scratch);
        scalars.add_text(hash, "as if", &mut scratch);
        assert_eq!(scalars.numbers().count, 1);
        assert_eq!(scalars.forms().1, 2);
        assert_eq!(scalars.top().values.len(), 2);
    }
}
