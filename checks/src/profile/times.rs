//! Values that are times, and how old they are when their record is written.
//!
//! What is a time is told value by value, so that it does not depend on the order of the records: a text as RFC 3339
//! has `date-time` or `full-date`, a number of the size that an epoch of the years 2001 to 2099 has. One number alone
//! says little (a counter may be as large); a field whose numbers all are of that size says more
//! ([`FieldSummary::times`]).

use crate::format;
use crate::report::{FieldSummary, ReasonCount, TimeSummary};

use super::Numbers;

/// How times are written, by name, sorted.
const FORMS: [&str; 6] =
    ["date", "date-time", "epoch_microseconds", "epoch_milliseconds", "epoch_nanoseconds", "epoch_seconds"];

const MICROSECONDS: usize = 2;
const MILLISECONDS: usize = 3;
const NANOSECONDS: usize = 4;
const SECONDS: usize = 5;

/// 2001-09-09 and 2099-12-03 in seconds since the epoch.
const EPOCH_SECONDS: std::ops::Range<i64> = 1_000_000_000..4_100_000_000;

/// Of a field's values at least so many in 100 must be times for it to be one of times.
const SHARE: u64 = 95;

/// Times of one field, growing.
#[derive(Debug, Default)]
pub(super) struct Times {
    forms: [u64; FORMS.len()],
    first_ms: i64,
    last_ms: i64,
    age: Numbers,
}

/// A time: how it is written, and when it is, ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    form: usize,
    at_ms: i64,
}

impl Moment {
    /// The time that an integer is, if it is one: most values are none.
    #[inline]
    pub(super) fn of_integer(n: i64) -> Option<Self> {
        if n < EPOCH_SECONDS.start { None } else { Self::of_large(n) }
    }

    fn of_large(n: i64) -> Option<Self> {
        [(1, SECONDS), (1_000, MILLISECONDS), (1_000_000, MICROSECONDS), (1_000_000_000, NANOSECONDS)]
            .into_iter()
            .find(|(a_second, _)| EPOCH_SECONDS.contains(&(n / a_second)))
            .map(|(a_second, form)| Self {
                form,
                at_ms: if a_second == 1 { n * 1_000 } else { n / (a_second / 1_000) },
            })
    }

    /// The same of another number.
    #[inline]
    pub(super) fn of_float(n: f64) -> Option<Self> {
        let is_one = (EPOCH_SECONDS.start as f64..EPOCH_SECONDS.end as f64).contains(&n);
        is_one.then_some(Self { form: SECONDS, at_ms: (n * 1_000.0) as i64 })
    }

    /// The same of a text.
    #[inline]
    pub(super) fn of_text(text: &str) -> Option<Self> {
        if !format::may_be_moment(text.as_bytes()) {
            return None;
        }
        let (format, at_ms) = format::moment(text)?;
        Some(Self { form: usize::from(format == format::Format::DateTime), at_ms })
    }
}

impl Times {
    /// Takes a time of a record that was written at `record_ms`.
    pub(super) fn add(&mut self, moment: Moment, record_ms: Option<i64>) {
        let Moment { form, at_ms } = moment;
        if self.count() == 0 {
            (self.first_ms, self.last_ms) = (at_ms, at_ms);
        }
        self.forms[form] += 1;
        self.first_ms = self.first_ms.min(at_ms);
        self.last_ms = self.last_ms.max(at_ms);
        if let Some(record_ms) = record_ms {
            self.age.add(record_ms.saturating_sub(at_ms) as f64 / 1_000.0);
        }
    }

    fn count(&self) -> u64 {
        self.forms.iter().sum()
    }

    pub(super) fn summary(&self) -> TimeSummary {
        let forms = FORMS.iter().zip(self.forms).filter(|(_, count)| *count > 0);
        let age = self.age.summary();
        TimeSummary {
            count: self.count(),
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            forms: forms.map(|(form, count)| ReasonCount { reason: (*form).to_owned(), count }).collect(),
            age: (age.count > 0).then_some(age),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.age.heap_bytes()
    }
}

impl FieldSummary {
    /// Its times, where nearly all of its values are.
    pub fn times(&self) -> Option<&TimeSummary> {
        let scalars = u128::from(self.scalars());
        let is_one = |times: &&TimeSummary| {
            times.count > 0 && u128::from(times.count) * 100 >= scalars * u128::from(SHARE)
        };
        self.times.as_ref().filter(is_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Data;

    fn at(data: Data<'_>) -> Option<(&'static str, i64)> {
        let moment = match data {
            Data::I64(n) => Moment::of_integer(n),
            Data::F64(n) => Moment::of_float(n),
            Data::Str(text) => Moment::of_text(text),
            _ => None,
        };
        moment.map(|moment| (FORMS[moment.form], moment.at_ms))
    }

    #[test]
    fn times_are_told_by_how_they_are_written() {
        let ms = 1_764_324_000_123;
        assert_eq!(at(Data::I64(1_764_324_000)), Some(("epoch_seconds", 1_764_324_000_000)));
        assert_eq!(at(Data::F64(1_764_324_000.123)), Some(("epoch_seconds", ms)));
        assert_eq!(at(Data::I64(ms)), Some(("epoch_milliseconds", ms)));
        assert_eq!(at(Data::I64(ms * 1_000 + 7)), Some(("epoch_microseconds", ms)));
        assert_eq!(at(Data::I64(ms * 1_000_000 + 7)), Some(("epoch_nanoseconds", ms)));
        assert_eq!(at(Data::Str("2025-11-28T10:00:00.123Z")), Some(("date-time", ms)));
        assert_eq!(at(Data::Str("2025-11-28T11:30:00.1239+01:30")), Some(("date-time", ms)));
        assert_eq!(at(Data::Str("2025-11-28")), Some(("date", 1_764_288_000_000)));
        for none in [
            Data::I64(7),
            Data::I64(-1_764_324_000),
            Data::I64(5_000_000_000),
            Data::I64(i64::MAX),
            Data::F64(f64::NAN),
            Data::F64(f64::INFINITY),
            Data::Str("2025-13-28"),
            Data::Str("2025-11-28 10:00:00"),
            Data::Str("550e8400-e29b-41d4-a716-446655440000"),
            Data::Str("äöüß-ö-ü"),
            Data::Bool(true),
            Data::Null,
        ] {
            assert_eq!(at(none), None, "{none:?}");
        }
    }

    #[test]
    fn ages_go_by_the_time_of_the_record() {
        let mut times = Times::default();
        let moment = |ms| Moment::of_integer(ms).expect("a time");
        times.add(moment(1_764_324_000_000), Some(1_764_324_005_000));
        times.add(moment(1_764_324_002_000), Some(1_764_324_001_000));
        times.add(moment(1_764_324_001_000), None);
        let summary = times.summary();
        assert_eq!(
            (summary.count, summary.first_ms, summary.last_ms),
            (3, 1_764_324_000_000, 1_764_324_002_000)
        );
        let age = summary.age.expect("of two");
        assert_eq!((age.count, age.min, age.max, age.mean), (2, -1.0, 5.0, 2.0));
    }
}
