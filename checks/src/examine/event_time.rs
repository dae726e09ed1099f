//! The payload's own time: how long before the record's it lies, and in which order it comes.
//!
//! The greatest event time is that of a partition since the agent began to read it: an agent reads a
//! partition in the order of its offsets, so that two that begin at one offset see the same. Times are
//! compared in microseconds; the record's own are in milliseconds.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::accumulator::Tally;
use crate::limits::Limits;
use crate::merge::add_example;
use crate::record::RecordView;
use crate::redact::Redaction;
use crate::rules::{EventTime, Metric, Step, TimeFormat, TopicRules};
use crate::schema::cut;
use crate::tape::{Data, Document, Value, redacted};

/// How far after its record's time an event time is believed, µs. One beyond it (a clock that is years
/// ahead, seconds read as milliseconds) would make every record after it late for ever.
const AHEAD_US_MAX: i64 = 3_600_000_000;

/// The rules that go by event time.
#[derive(Debug, Default)]
pub(super) struct EventTimes {
    rules: Vec<EventRule>,
    clocks: Vec<Clock>,
    redact: Redaction,
}

#[derive(Debug)]
struct EventRule {
    /// Index among the topic's rules.
    rule: usize,
    /// Index into `clocks`.
    clock: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Delay,
    Lateness,
    OutOfOrder,
}

#[derive(Debug)]
struct Clock {
    time: EventTime,
    /// Greatest event time seen, by partition, µs.
    greatest_us: BTreeMap<i32, i64>,
}

impl EventTimes {
    pub(super) fn new(topic: &TopicRules) -> Self {
        let rules = topic.rules.as_slice();
        let mut all = Self { redact: topic.redact.clone(), ..Self::default() };
        for (rule, with) in rules.iter().enumerate() {
            let (time, kind) = match &with.metric {
                Metric::Delay { time, .. } => (time, Kind::Delay),
                Metric::Lateness { time, .. } => (time, Kind::Lateness),
                Metric::OutOfOrder { time } => (time, Kind::OutOfOrder),
                _ => continue,
            };
            let clock = all.clocks.iter().position(|clock| clock.time == *time).unwrap_or_else(|| {
                all.clocks.push(Clock { time: time.clone(), greatest_us: BTreeMap::new() });
                all.clocks.len() - 1
            });
            all.rules.push(EventRule { rule, clock, kind });
        }
        all
    }

    /// Goes on from what was seen under the rules before.
    pub(super) fn inherit(&mut self, before: &Self) {
        for clock in &mut self.clocks {
            if let Some(known) = before.clocks.iter().find(|known| known.time == clock.time) {
                clock.greatest_us.clone_from(&known.greatest_us);
            }
        }
    }

    /// `record_ms` is the record's own time, if it has one.
    pub(super) fn examine(
        &mut self,
        record: &RecordView<'_>,
        record_ms: Option<i64>,
        document: Document<'_>,
        tallies: &mut [Tally],
        limits: &Limits,
    ) {
        for (at, clock) in self.clocks.iter_mut().enumerate() {
            let Some(value) = find(document, &clock.time) else { continue };
            let rules = || self.rules.iter().filter(move |rule| rule.clock == at);
            let Some(event_us) = read(value.data(), clock.time.format) else {
                for rule in rules() {
                    let Some(tally) = tallies.get_mut(rule.rule) else { continue };
                    tally.errors += 1;
                    add_example(
                        &mut tally.examples,
                        limits.examples,
                        record.partition,
                        record.offset,
                        || {
                            let shown = redacted(
                                value,
                                limits.string_bytes / 2,
                                &self.redact.at(&clock.time.field.steps),
                            );
                            let format = clock.time.format.as_str();
                            cut(&format!("error: {shown} is no time as {format} has it"), limits.string_bytes)
                        },
                    );
                }
                continue;
            };
            let delay_us = record_ms.map(|ms| ms.saturating_mul(1_000).saturating_sub(event_us));
            let is_believed = delay_us.is_none_or(|delay| delay >= -AHEAD_US_MAX);
            let before = clock.greatest_us.get(&record.partition).copied();
            let behind_us = before.map_or(0, |greatest| greatest.saturating_sub(event_us).max(0));
            for rule in rules() {
                let Some(tally) = tallies.get_mut(rule.rule) else { continue };
                let late_us = match rule.kind {
                    Kind::Delay => match delay_us {
                        Some(delay) => delay,
                        None => continue,
                    },
                    _ if !is_believed => -1,
                    Kind::Lateness | Kind::OutOfOrder => behind_us,
                };
                if rule.kind == Kind::OutOfOrder {
                    if !is_believed {
                        continue;
                    }
                    tally.checked += 1;
                    if behind_us > 0 {
                        tally.failed += 1;
                        let (partition, offset) = (record.partition, record.offset);
                        add_example(&mut tally.examples, limits.examples, partition, offset, || {
                            let shown = redacted(
                                value,
                                limits.string_bytes / 2,
                                &self.redact.at(&clock.time.field.steps),
                            );
                            let seconds = behind_us as f64 / 1e6;
                            cut(&format!("{shown} is {seconds} s behind"), limits.string_bytes)
                        });
                    }
                } else if let Some(numbers) = &mut tally.numbers {
                    if late_us < 0 {
                        numbers.skewed();
                    } else {
                        tally.checked += 1;
                        numbers.add(Data::F64(late_us as f64 / 1e6));
                    }
                }
            }
            if is_believed && before.is_none_or(|greatest| greatest < event_us) {
                clock.greatest_us.insert(record.partition, event_us);
            }
        }
    }
}

/// The event time of a document, ms since the epoch; or why a record goes by its own.
pub(super) fn of_document(document: Document<'_>, time: &EventTime) -> Result<i64, &'static str> {
    let value = find(document, time).ok_or(fallback::MISSING)?;
    let us = read(value.data(), time.format).ok_or(fallback::INVALID)?;
    // Panes begin in 1970, as record times do.
    if us < 0 { Err(fallback::INVALID) } else { Ok(us / 1_000) }
}

/// Why a record goes by its own time although windows go by event time: names in
/// [`PaneSummary::time_fallbacks`](crate::report::PaneSummary::time_fallbacks).
pub mod fallback {
    /// There is no document: a tombstone, or a value that is not decoded.
    pub const NO_DOCUMENT: &str = "no_document";
    /// The field is not there, or null.
    pub const MISSING: &str = "missing";
    /// What is there is no time of the format, or one before 1970.
    pub const INVALID: &str = "invalid";
    /// It lies so far after the record's own time that it is not believed.
    pub const FUTURE: &str = "future";
    /// It was not looked at, for lack of memory.
    pub const UNEXAMINED: &str = "unexamined";
}

/// The value of a plain path; `None` where it is missing or null.
fn find<'a>(document: Document<'a>, time: &EventTime) -> Option<Value<'a>> {
    let mut value = document.root();
    for step in &time.field.steps {
        let Step::Key(key) = step else { return None };
        value = value.get(key)?;
    }
    (!value.is_null()).then_some(value)
}

/// Microseconds since the epoch, what is finer left out; `None` for what is no time of this format,
/// and for years beyond 9999.
fn read(data: Data<'_>, format: TimeFormat) -> Option<i64> {
    /// 9999-12-31T23:59:59.999999Z.
    const LAST_US: i64 = 253_402_300_799_999_999;
    let us = match (format, data) {
        (TimeFormat::Rfc3339, Data::Str(text)) => DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros(),
        (TimeFormat::Rfc3339, _) => return None,
        (TimeFormat::Epoch { per_second }, Data::I64(n)) => whole(n.into(), per_second)?,
        (TimeFormat::Epoch { per_second }, Data::U64(n)) => whole(n.into(), per_second)?,
        (TimeFormat::Epoch { per_second }, Data::F64(n)) => fraction(n, per_second)?,
        (TimeFormat::Epoch { per_second }, Data::Str(text)) => match text.parse::<i64>() {
            Ok(n) => whole(n.into(), per_second)?,
            Err(_) => fraction(text.parse().ok()?, per_second)?,
        },
        (TimeFormat::Epoch { .. }, _) => return None,
    };
    (-LAST_US..=LAST_US).contains(&us).then_some(us)
}

fn whole(n: i128, per_second: u64) -> Option<i64> {
    i64::try_from((n * 1_000_000).div_euclid(per_second.max(1).into())).ok()
}

fn fraction(n: f64, per_second: u64) -> Option<i64> {
    let us = (n * (1e6 / per_second as f64)).floor();
    // Beyond 2^63 the cast would clamp.
    (us.abs() < 9e18).then_some(us as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_their_format_has_them() {
        let epoch = |per_second| TimeFormat::Epoch { per_second };
        for (data, format, us) in [
            (Data::Str("2026-01-01T00:00:00Z"), TimeFormat::Rfc3339, Some(1_767_225_600_000_000)),
            (
                Data::Str("2026-01-01T01:00:00.0000019+01:00"),
                TimeFormat::Rfc3339,
                Some(1_767_225_600_000_001),
            ),
            (Data::Str("2026-01-01"), TimeFormat::Rfc3339, None),
            (Data::Str("2026-01-01T00:00:00"), TimeFormat::Rfc3339, None),
            (Data::I64(7), TimeFormat::Rfc3339, None),
            (Data::I64(7), epoch(1), Some(7_000_000)),
            (Data::F64(7.25), epoch(1), Some(7_250_000)),
            (Data::Str("7.25"), epoch(1), Some(7_250_000)),
            (Data::I64(7), epoch(1_000), Some(7_000)),
            (Data::Str("-7"), epoch(1_000_000), Some(-7)),
            (Data::I64(1_999), epoch(1_000_000_000), Some(1)),
            (Data::I64(-1), epoch(1_000_000_000), Some(-1)),
            (Data::U64(u64::MAX), epoch(1_000_000_000), Some(18_446_744_073_709_551)),
            (Data::I64(i64::MAX), epoch(1), None),
            (Data::F64(f64::NAN), epoch(1), None),
            (Data::F64(1e300), epoch(1), None),
            (Data::Bool(true), epoch(1), None),
            (Data::Str("soon"), epoch(1), None),
        ] {
            assert_eq!(read(data, format), us, "{data:?} {format:?}");
        }
    }
}
