//! The contracts of the report's fields, held against what a peer sent.

use super::*;
use crate::merge::{
    BINS_MAX, DISTINCT_EXACT_MAX, DISTINCT_PRECISION, EXAMPLES_MAX, FIELDS_MAX, NATIVE_INDEX, REASONS_MAX,
    RULES_MAX, SCHEMAS_MAX, SEGMENTS_KEPT, SUM_DIGITS_MAX, TOP_VALUES_MAX, UNIQUENESS_MAX,
};

/// Kafka's longest topic name.
const TOPIC_BYTES: usize = 249;
/// Names of agents, clusters, segments, reasons, versions.
const NAME_BYTES: usize = 256;
/// Paths, examples and top values: agents cut them well below, by limits of their own.
const TEXT_BYTES: usize = 65_536;
/// The end of the year 9999: times beyond it would overflow the arithmetic of windows.
const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// 1% bins of every finite double, with room.
const BIN_INDEX: std::ops::RangeInclusive<i32> = -40_000..=40_000;
/// Occurrences of one key: more would overflow the sums.
const COUNT_MAX: u64 = 1 << 48;
/// Ranks of 52 bits.
const RANK_MAX: u8 = (64 - DISTINCT_PRECISION + 1) as u8;

/// A field that breaks its contract, and how.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{at}: {problem}")]
pub struct Invalid {
    /// Which field, from the outside in.
    pub at: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

type Checked = Result<(), Invalid>;

fn fail(at: impl Into<String>, problem: &'static str) -> Checked {
    Err(Invalid { at: at.into(), problem })
}

fn ensure(holds: bool, at: &str, problem: &'static str) -> Checked {
    if holds { Ok(()) } else { fail(at, problem) }
}

/// Puts the name of what is being checked in front.
fn within(outer: impl FnOnce() -> String, checked: Checked) -> Checked {
    checked.map_err(|inner| Invalid { at: format!("{}: {}", outer(), inner.at), problem: inner.problem })
}

fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

fn name(at: &str, text: &str, most: usize) -> Checked {
    ensure(!text.is_empty(), at, "must not be empty")?;
    ensure(text.len() <= most, at, "too long")
}

fn time(at: &str, ms: i64) -> Checked {
    ensure((-TIME_MS_MAX..=TIME_MS_MAX).contains(&ms), at, "no time before the year 10000")
}

fn ascending<T>(at: &str, list: &[T], most: usize, before: impl Fn(&T, &T) -> bool) -> Checked {
    ensure(list.len() <= most, at, "too many entries")?;
    ensure(list.is_sorted_by(before), at, "not sorted, or with an entry twice")
}

/// Checks everything: bounded, sorted, finite, and consistent where that is cheap to see.
pub(super) fn report(report: &Report) -> Checked {
    name("agent", &report.agent, NAME_BYTES)?;
    ensure(report.cluster.len() <= NAME_BYTES, "cluster", "too long")?;
    ensure(report.sequence > 0, "sequence", "counts from 1")?;
    time("as_of_ms", report.as_of_ms)?;
    for pane in &report.panes {
        within(|| format!("pane of topic {} at {}", shown(&pane.topic), pane.start_ms), self::pane(pane))?;
    }
    for topic in &report.topics {
        within(|| format!("progress of topic {}", shown(&topic.topic)), progress(topic))?;
    }
    for skipped in &report.skipped {
        name("skipped topic", &skipped.topic, TOPIC_BYTES)?;
        name("skipped reason", &skipped.reason, NAME_BYTES)?;
        ensure(skipped.partition >= 0, "skipped partition", "negative")?;
        ensure(0 <= skipped.from && skipped.from <= skipped.to, "skipped offsets", "not a range")?;
    }
    for sighting in &report.sightings {
        within(|| format!("sighting in topic {}", shown(&sighting.topic)), self::sighting(sighting))?;
    }
    report.agent_stats.as_ref().map_or(Ok(()), |stats| {
        ensure(stats.version.len() <= NAME_BYTES, "agent version", "too long")?;
        ensure(stats.cpu_seconds.is_finite() && stats.cpu_seconds >= 0.0, "cpu_seconds", "not a duration")?;
        reasons("agent errors", &stats.errors)
    })
}

fn progress(topic: &TopicProgress) -> Checked {
    name("name", &topic.topic, TOPIC_BYTES)?;
    if topic.watermark_ms != i64::MIN {
        time("watermark_ms", topic.watermark_ms)?;
    }
    time("last_record_ms", topic.last_record_ms)?;
    ascending("positions", &topic.positions, usize::MAX, |a, b| a.partition < b.partition)?;
    let sound = topic.positions.iter().all(|p| p.partition >= 0 && p.next >= 0);
    ensure(sound, "positions", "negative")
}

fn sighting(sighting: &Sighting) -> Checked {
    name("topic", &sighting.topic, TOPIC_BYTES)?;
    let traced = sighting.trace_id.len() == 16 && sighting.trace_id.iter().any(|b| *b != 0);
    ensure(traced, "trace_id", "not 16 bytes, or all zero")?;
    ensure(sighting.span_id.len() == 8, "span_id", "not 8 bytes")?;
    ensure(sighting.flags <= 0xff, "flags", "more than a byte")?;
    ensure(sighting.partition >= 0 && sighting.offset >= 0, "offset", "negative")?;
    time("record_ms", sighting.record_ms)?;
    time("arrival_ms", sighting.arrival_ms)
}

fn pane(pane: &Pane) -> Checked {
    name("topic", &pane.topic, TOPIC_BYTES)?;
    ensure(pane.segment.len() <= NAME_BYTES, "segment", "too long")?;
    time("start_ms", pane.start_ms)?;
    time("end_ms", pane.end_ms)?;
    ensure(pane.start_ms < pane.end_ms, "end_ms", "not after start_ms")?;
    ascending("ranges", &pane.ranges, usize::MAX, |a, b| (a.partition, a.first) < (b.partition, b.first))?;
    for range in &pane.ranges {
        ensure(range.partition >= 0, "ranges", "negative partition")?;
        ensure(0 <= range.first && range.first < range.next, "ranges", "not a range of offsets")?;
    }
    pane.summary.as_ref().map_or(Ok(()), summary)
}

fn summary(s: &PaneSummary) -> Checked {
    ensure(s.examined <= s.read, "examined", "more than were read")?;
    ensure(s.tombstones <= s.examined, "tombstones", "more than were examined")?;
    ensure(s.schema_violations <= s.schema_checked, "schema_violations", "more than were checked")?;
    time("first_record_ms", s.first_record_ms)?;
    time("last_record_ms", s.last_record_ms)?;
    ensure(s.first_record_ms <= s.last_record_ms, "last_record_ms", "before first_record_ms")?;
    reasons("unexamined", &s.unexamined)?;
    reasons("not_decoded", &s.not_decoded)?;
    reasons("decode_failures", &s.decode_failures)?;
    reasons("header_notes", &s.header_notes)?;
    reasons("time_fallbacks", &s.time_fallbacks)?;
    ascending("schemas", &s.schemas, SCHEMAS_MAX, |a, b| a.id < b.id)?;
    s.schemas.iter().try_for_each(|schema| time("schemas", schema.first_ms))?;
    examples("decode_examples", &s.decode_examples)?;
    examples("schema_examples", &s.schema_examples)?;
    ascending("fields", &s.fields, FIELDS_MAX, |a, b| a.path < b.path)?;
    for field in &s.fields {
        within(|| format!("field {}", shown(&field.path)), self::field(field))?;
    }
    ascending("rules", &s.rules, RULES_MAX, |a, b| a.rule < b.rule)?;
    for tally in &s.rules {
        within(|| format!("rule {}", shown(&tally.rule)), rule(tally))?;
    }
    s.delay.as_ref().map_or(Ok(()), |delay| within(|| "delay".to_owned(), histogram(delay)))
}

fn reasons(at: &str, list: &[ReasonCount]) -> Checked {
    ascending(at, list, REASONS_MAX, |a, b| a.reason < b.reason)?;
    list.iter().try_for_each(|r| name(at, &r.reason, NAME_BYTES))
}

fn examples(at: &str, list: &[Example]) -> Checked {
    ascending(at, list, EXAMPLES_MAX, |a, b| a < b)?;
    list.iter().try_for_each(|e| ensure(e.value.len() <= TEXT_BYTES, at, "too long"))
}

fn rule(tally: &RuleTally) -> Checked {
    let id = tally.rule.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    ensure(id && (1..=64).contains(&tally.rule.len()), "id", "not [a-z0-9_-]{1,64}")?;
    ensure(tally.failed <= tally.checked, "failed", "more than were checked")?;
    examples("examples", &tally.examples)?;
    if let Some(keyed) = &tally.keyed {
        within(|| "keyed".to_owned(), self::keyed(keyed))?;
    }
    ascending("segments", &tally.segments, SEGMENTS_KEPT + 1, |a, b| a.segment < b.segment)?;
    for s in &tally.segments {
        ensure(s.segment.len() <= NAME_BYTES, "segments", "a name too long")?;
        ensure(s.failed <= s.checked, "segments", "more failed than were checked")?;
    }
    if let Some(u) = &tally.uniqueness {
        uniqueness(u)?;
    }
    tally.numbers.as_ref().map_or(Ok(()), |n| within(|| "numbers".to_owned(), numbers(n)))
}

fn uniqueness(u: &Uniqueness) -> Checked {
    ensure(u.hashes.len() == u.counts.len(), "uniqueness", "as many counts as hashes are due")?;
    ascending("uniqueness", &u.hashes, UNIQUENESS_MAX, |a, b| a < b)?;
    let kept = u.threshold == u64::MAX || u.hashes.last().is_none_or(|last| *last < u.threshold);
    ensure(kept, "uniqueness", "a hash at or above the threshold")?;
    ensure(!u.counts.contains(&0), "uniqueness", "a value that never occurred")
}

fn numbers(n: &NumberTally) -> Checked {
    n.numeric.as_ref().map_or(Ok(()), numeric)?;
    let Some(sum) = &n.sum else { return Ok(()) };
    let fits = (sum.low as usize).saturating_add(sum.digits.len()) <= SUM_DIGITS_MAX;
    ensure(fits, "sum", "more digits than a sum has")?;
    let is_written_once = sum.digits.first() != Some(&0) && sum.digits.last() != Some(&0);
    ensure(is_written_once, "sum", "zeros at an end")
}

fn keyed(keyed: &Keyed) -> Checked {
    let kind = KeyedKind::try_from(keyed.kind);
    ensure(kind.is_ok(), "kind", "none that is known")?;
    let kind = keyed.kind();
    ascending("keys", &keyed.keys, usize::MAX, |a, b| a.hash < b.hash)?;
    let kept = keyed.threshold == u64::MAX || keyed.keys.last().is_none_or(|k| k.hash < keyed.threshold);
    ensure(kept, "keys", "a hash at or above the threshold")?;
    let cost = keyed.keys.iter().fold(0u64, |sum, key| sum.saturating_add(kind.cost(key.count)));
    ensure(cost <= kind.budget(), "keys", "more than are kept")?;
    for key in &keyed.keys {
        ensure(0 < key.count && key.count <= COUNT_MAX, "count", "0, or above 2^48")?;
        let fits = match kind {
            KeyedKind::Values => key.example.is_some() && key.ranges.is_empty() && key.events.is_empty(),
            KeyedKind::Sequence => key.example.is_none() && !key.ranges.is_empty() && key.events.is_empty(),
            KeyedKind::Events => key.example.is_none() && key.ranges.is_empty(),
        };
        ensure(fits, "keys", "something that does not go with the kind")?;
        let texts = key.example.as_ref().is_none_or(|example| example.value.len() <= TEXT_BYTES);
        ensure(texts, "example", "too long")?;
        ensure(key.ranges.iter().all(|r| r.first <= r.last), "ranges", "first above last")?;
        ascending("ranges", &key.ranges, RANGES_MAX, |a, b| a.last < b.first.saturating_sub(1))?;
        ascending("events", &key.events, EVENTS_MAX, |a, b| a < b)?;
        let all = key.events.len() as u64 == key.count || key.events.is_empty();
        ensure(kind != KeyedKind::Events || all, "events", "not as many as were counted")?;
        key.events.iter().try_for_each(|event| {
            ensure(matches!(event.which, 1..=3), "events", "of no expression")?;
            time("events", event.at_ms)
        })?;
    }
    Ok(())
}

fn field(f: &FieldSummary) -> Checked {
    ensure(f.path.starts_with('$') && f.path.len() <= TEXT_BYTES, "path", "no path, or too long")?;
    let kinds = [f.null, f.integer, f.number, f.string, f.boolean, f.object, f.array];
    let values: u128 = kinds.iter().map(|&n| u128::from(n)).sum();
    ensure(values == u128::from(f.present), "present", "not the sum of the types")?;
    ensure(f.truthy <= f.boolean, "truthy", "more than there are booleans")?;
    let may_be_empty = u128::from(f.string) + u128::from(f.array) + u128::from(f.object);
    ensure(u128::from(f.empty) <= may_be_empty, "empty", "more than can be empty")?;
    if let Some(n) = &f.numeric {
        within(|| "numeric".to_owned(), numeric(n))?;
        let all = u128::from(n.count) + u128::from(n.not_finite);
        ensure(all == u128::from(f.integer) + u128::from(f.number), "numeric", "not as many as the numbers")?;
    }
    if let Some(t) = &f.text {
        ensure(t.count == f.string, "text", "not as many as the strings")?;
        ensure(t.count == 0 || t.length_min <= t.length_max, "text", "longest is shorter than shortest")?;
    }
    if let Some(d) = &f.distinct {
        distinct(d)?;
    }
    reasons("formats", &f.formats)?;
    let formats: u128 = f.formats.iter().map(|r| u128::from(r.count)).sum();
    ensure(
        formats <= u128::from(f.texts_seen) && f.texts_seen <= f.string,
        "formats",
        "more than there are texts",
    )?;
    if let Some(t) = &f.times {
        within(|| "times".to_owned(), times(t))?;
        ensure(u128::from(t.count) <= values, "times", "more than there are values")?;
    }
    f.top.as_ref().map_or(Ok(()), |top| {
        ascending("top", &top.values, TOP_VALUES_MAX, |a, b| a.value < b.value)?;
        top.values.iter().try_for_each(|v| {
            ensure(v.value.len() <= TEXT_BYTES, "top", "too long")?;
            ensure(v.count <= f.present, "top", "more often than there are values")
        })
    })
}

fn times(t: &TimeSummary) -> Checked {
    ensure(t.first_ms <= t.last_ms, "last", "before the first")?;
    reasons("forms", &t.forms)?;
    let all: u128 = t.forms.iter().map(|r| u128::from(r.count)).sum();
    ensure(all == u128::from(t.count), "forms", "do not add up to the count")?;
    let Some(age) = &t.age else { return Ok(()) };
    ensure(age.count <= t.count && age.not_finite == 0, "age", "of more than there are times")?;
    within(|| "age".to_owned(), numeric(age))
}

fn numeric(n: &NumericSummary) -> Checked {
    let finite = [n.min, n.max, n.mean, n.m2].iter().all(|x| x.is_finite());
    ensure(finite, "moments", "not finite")?;
    ensure(n.count == 0 || (n.min <= n.mean && n.mean <= n.max), "mean", "outside the extremes")?;
    ensure(n.m2 >= 0.0, "m2", "negative")?;
    let mut total = u128::from(n.zeros);
    for bins in [&n.positive, &n.negative] {
        total += self::bins("bins", bins, BINS_MAX, BIN_INDEX)?;
    }
    ensure(total == u128::from(n.count), "bins", "do not add up to the count")
}

/// Their sum.
fn bins(at: &str, bins: &[Bin], most: usize, range: std::ops::RangeInclusive<i32>) -> Result<u128, Invalid> {
    ascending(at, bins, most, |a, b| a.index < b.index)?;
    let sound = bins.iter().all(|b| range.contains(&b.index) && b.count > 0);
    ensure(sound, at, "an index out of range, or an empty bin")?;
    Ok(bins.iter().map(|b| u128::from(b.count)).sum())
}

fn distinct(d: &DistinctSummary) -> Checked {
    if d.is_empty() {
        return Ok(());
    }
    ensure(d.precision == DISTINCT_PRECISION, "distinct", "of another precision")?;
    ensure(d.registers.is_empty() || d.hashes.is_empty(), "distinct", "sparse and dense at once")?;
    let registers = d.registers.is_empty() || d.registers.len() == 1 << DISTINCT_PRECISION;
    ensure(registers && d.registers.iter().all(|r| *r <= RANK_MAX), "distinct", "registers out of range")?;
    ascending("distinct", &d.hashes, DISTINCT_EXACT_MAX, |a, b| a < b)
}

fn histogram(h: &Histogram) -> Checked {
    let native = u128::from(h.zeros) + bins("native", &h.native, usize::MAX, NATIVE_INDEX)?;
    ensure(native == u128::from(h.count), "native", "buckets do not add up to the count")?;
    let classic: u128 = h.classic.iter().map(|&n| u128::from(n)).sum();
    let buckets = h.classic.len() == CLASSIC_SECONDS.len() + 1 || (h.count == 0 && h.classic.is_empty());
    ensure(buckets && classic == u128::from(h.count), "classic", "buckets do not add up to the count")?;
    h.exemplar.as_ref().map_or(Ok(()), |e| {
        ensure(e.trace_id.len() == 16, "exemplar", "trace id is not 16 bytes")?;
        ensure(e.seconds.is_finite() && e.seconds >= 0.0, "exemplar", "not a duration")?;
        time("exemplar", e.at_ms)
    })
}
