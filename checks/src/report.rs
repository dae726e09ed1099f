//! What an agent tells a collector: the versioned protobuf envelope and the summaries in it.
//!
//! Laws (property-tested beside each summary): merging is associative and commutative; the empty
//! summary is neutral; a report applied twice changes nothing, because a report is keyed by
//! (`agent`, `boot`, `sequence`) and a pane is a complete snapshot, never a delta.
//!
//! Everything here arrives from a peer: the collector validates it before use
//! ([`Report::decode_bounded`] in `report/codec.rs`).

mod codec;
mod keyed;
mod validate;
mod weigh;

#[cfg(test)]
mod tests;

use prost::Message;
use serde::{Deserialize, Serialize};

pub use codec::ReportError;
pub use keyed::{EVENTS_MAX, KeyEvent, KeySeen, Keyed, KeyedKind, NumberRange, RANGES_MAX};
pub use validate::Invalid;

/// Version of the envelope; a collector refuses another major version with a clear error.
pub const REPORT_VERSION: u32 = 1;

/// Version of the shared hash (seed and algorithm) behind distinct counts and uniqueness; summaries
/// of different versions never merge.
pub const HASH_VERSION: u32 = 1;

/// One report: everything that changed at the agent since the last one.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// [`HASH_VERSION`].
    #[prost(uint32, tag = "2")]
    pub hash_version: u32,
    /// The agent's name: unique among the agents of a cluster.
    #[prost(string, tag = "3")]
    pub agent: String,
    /// Drawn anew at each start of the agent.
    #[prost(uint64, tag = "4")]
    pub boot: u64,
    /// 1, 2, 3, …: within a boot, in the order of sending. A report with a sequence that is not
    /// above the last applied one is acknowledged and ignored.
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
    /// The cluster's name.
    #[prost(string, tag = "6")]
    pub cluster: String,
    /// Stream time: everything the agent has read up to this moment of its clock is in this and
    /// earlier reports. Deadlines are judged against it, so that a collector that was away
    /// judges as one that was not.
    #[prost(int64, tag = "7")]
    pub as_of_ms: i64,
    /// Hash of the agent's check files ([`crate::rules::CheckSet::hash`]).
    #[prost(uint64, tag = "8")]
    pub rules_hash: u64,
    /// Panes that changed since the last report, each a complete snapshot.
    #[prost(message, repeated, tag = "9")]
    pub panes: Vec<Pane>,
    /// Every topic the agent holds partitions of, with its watermark.
    #[prost(message, repeated, tag = "10")]
    pub topics: Vec<TopicProgress>,
    /// Offsets that were passed over without being read.
    #[prost(message, repeated, tag = "11")]
    pub skipped: Vec<SkippedRange>,
    /// Records seen of traced pipelines.
    #[prost(message, repeated, tag = "12")]
    pub sightings: Vec<Sighting>,
    /// The agent about itself.
    #[prost(message, optional, tag = "13")]
    pub agent_stats: Option<AgentStats>,
}

/// Where an agent is in a topic.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct TopicProgress {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// No record of an earlier time is expected any more, ms: panes that end at or before it are
    /// closed (as far as this agent goes). `i64::MIN` while nothing is known.
    #[prost(sint64, tag = "2")]
    pub watermark_ms: i64,
    /// Positions: per partition the next offset to read, all before it being reported.
    #[prost(message, repeated, tag = "3")]
    pub positions: Vec<Position>,
    /// The agent reads behind the end of some partition.
    #[prost(bool, tag = "4")]
    pub catching_up: bool,
    /// Latest record time seen, ms; 0 when none was.
    #[prost(int64, tag = "5")]
    pub last_record_ms: i64,
}

/// The next offset of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct Position {
    /// Partition number.
    #[prost(int32, tag = "1")]
    pub partition: i32,
    /// Next offset to read.
    #[prost(int64, tag = "2")]
    pub next: i64,
}

/// Offsets `[from, to)` that the agent did not read, and never will.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct SkippedRange {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// Partition number.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// First offset.
    #[prost(int64, tag = "3")]
    pub from: i64,
    /// The offset after the last.
    #[prost(int64, tag = "4")]
    pub to: i64,
    /// One of [`skip_reason`].
    #[prost(string, tag = "5")]
    pub reason: String,
}

/// The reasons of [`SkippedRange`], also label values of `tapline_records_skipped_total`.
pub mod skip_reason {
    /// Jumped to the end after being away longer than `catch_up`.
    pub const CATCH_UP: &str = "catch_up";
    /// Offsets without a record: control markers, compaction, aborted transactions.
    pub const GAP: &str = "gap";
    /// Removed by retention before being read.
    pub const LOST: &str = "lost";
    /// Read by two agents in part: what could not be told apart is given up, not counted twice.
    pub const OVERLAP: &str = "overlap";
    /// In a report that was dropped from a full spool.
    pub const SPOOL: &str = "spool";
}

/// A tumbling pane of one topic (and segment) as one agent boot has seen it.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Pane {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// Segment; empty for the topic as a whole.
    #[prost(string, tag = "2")]
    pub segment: String,
    /// Start of the pane by record time, ms, inclusive.
    #[prost(sint64, tag = "3")]
    pub start_ms: i64,
    /// End, exclusive.
    #[prost(sint64, tag = "4")]
    pub end_ms: i64,
    /// Hash of the rules it was begun with ([`crate::rules::TopicRules::hash`]).
    #[prost(uint64, tag = "5")]
    pub rules_hash: u64,
    /// Per partition the offsets of this pane's records: first, and last + 1. Records of other
    /// panes may lie between.
    #[prost(message, repeated, tag = "6")]
    pub ranges: Vec<OffsetRange>,
    /// What was seen.
    #[prost(message, optional, tag = "7")]
    pub summary: Option<PaneSummary>,
}

/// Offsets `[first, next)` of a partition, and how many records of them are meant.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct OffsetRange {
    /// Partition number.
    #[prost(int32, tag = "1")]
    pub partition: i32,
    /// First offset.
    #[prost(int64, tag = "2")]
    pub first: i64,
    /// One after the last.
    #[prost(int64, tag = "3")]
    pub next: i64,
    /// Records.
    #[prost(uint64, tag = "4")]
    pub records: u64,
}

/// What was seen in a pane. Merges by [`PaneSummary::merge`].
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct PaneSummary {
    /// Records read.
    #[prost(uint64, tag = "1")]
    pub read: u64,
    /// Bytes of keys and values read.
    #[prost(uint64, tag = "2")]
    pub read_bytes: u64,
    /// Records examined: decoded (or tried) and checked. `read - examined` is the sum of
    /// `unexamined`.
    #[prost(uint64, tag = "3")]
    pub examined: u64,
    /// Records read but not examined, by reason: `sample`, `rate`, `late`, `memory`.
    #[prost(message, repeated, tag = "4")]
    pub unexamined: Vec<ReasonCount>,
    /// Records examined that have no value.
    #[prost(uint64, tag = "5")]
    pub tombstones: u64,
    /// Records examined in a format that is recognised but not decoded yet, by format
    /// (`protobuf`, `text`, `bytes`, …): no failures.
    #[prost(message, repeated, tag = "6")]
    pub not_decoded: Vec<ReasonCount>,
    /// Decode failures, by reason.
    #[prost(message, repeated, tag = "7")]
    pub decode_failures: Vec<ReasonCount>,
    /// The first few of them.
    #[prost(message, repeated, tag = "8")]
    pub decode_examples: Vec<Example>,
    /// Documents held against a schema.
    #[prost(uint64, tag = "9")]
    pub schema_checked: u64,
    /// Documents that do not fit it.
    #[prost(uint64, tag = "10")]
    pub schema_violations: u64,
    /// The first few of them.
    #[prost(message, repeated, tag = "11")]
    pub schema_examples: Vec<Example>,
    /// Earliest time that a record went by (its own, or that of the event), ms; 0 when there was no record.
    #[prost(int64, tag = "12")]
    pub first_record_ms: i64,
    /// Latest of these times, ms; 0 when there was no record.
    #[prost(int64, tag = "13")]
    pub last_record_ms: i64,
    /// Records whose time was missing, negative or far in the future: they went by arrival time.
    #[prost(uint64, tag = "14")]
    pub bad_timestamps: u64,
    /// Profile, sorted by path.
    #[prost(message, repeated, tag = "15")]
    pub fields: Vec<FieldSummary>,
    /// Leaves beyond the limits on fields, folded away.
    #[prost(uint64, tag = "16")]
    pub folded_values: u64,
    /// Tallies of record rules, sorted by rule id.
    #[prost(message, repeated, tag = "17")]
    pub rules: Vec<RuleTally>,
    /// Observed delay: arrival minus record time, in seconds, of records read while caught up.
    #[prost(message, optional, tag = "18")]
    pub delay: Option<Histogram>,
    /// Append delay is not known from one record; records read while catching up, whose delay is
    /// not an observed one.
    #[prost(uint64, tag = "19")]
    pub catching_up: u64,
    /// Records whose time lies after their arrival (clock skew).
    #[prost(uint64, tag = "20")]
    pub skewed: u64,
    /// Header findings, by reason: `traceparent_malformed`, `traceparent_duplicate`,
    /// `traceparent_missing`.
    #[prost(message, repeated, tag = "21")]
    pub header_notes: Vec<ReasonCount>,
    /// Documents with a key that stands twice in one object (the last one counts).
    #[prost(uint64, tag = "22")]
    pub duplicate_keys: u64,
    /// Where windows go by event time: records that go by their own all the same, by
    /// [reason](crate::examine::fallback).
    #[prost(message, repeated, tag = "23")]
    pub time_fallbacks: Vec<ReasonCount>,
    /// Schemas of a registry that documents were decoded by, sorted by id; of many the latest ids.
    #[prost(message, repeated, tag = "24")]
    pub schemas: Vec<SchemaSeen>,
}

/// A schema of a registry, and the documents it decoded.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct SchemaSeen {
    /// The registry's id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Documents.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// The earliest time that one of them went by, ms; 0 when none has a time.
    #[prost(sint64, tag = "3")]
    pub first_ms: i64,
}

/// A count under a name from a bounded set. Lists of these are sorted by reason.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The name; never a value from a payload.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// How many.
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

/// A record that shows what a count means. Ordered by (partition, offset); merging keeps the first
/// few, so that every order of merging keeps the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message, Serialize, Deserialize)]
pub struct Example {
    /// Partition number.
    #[prost(int32, tag = "1")]
    pub partition: i32,
    /// Offset.
    #[prost(int64, tag = "2")]
    pub offset: i64,
    /// What is wrong, with a cut and redacted excerpt.
    #[prost(string, tag = "3")]
    pub value: String,
}

/// Tally of one rule over the records of a pane.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct RuleTally {
    /// Id of the rule in its check file.
    #[prost(string, tag = "1")]
    pub rule: String,
    /// What was checked: records, or elements for `[]` paths.
    #[prost(uint64, tag = "2")]
    pub checked: u64,
    /// Of these, what failed. For `duplicateValues` within this pane; the window counts across
    /// panes by `uniqueness`.
    #[prost(uint64, tag = "3")]
    pub failed: u64,
    /// Evaluations that ended in an error (CEL): beside `checked`, not among them.
    #[prost(uint64, tag = "4")]
    pub errors: u64,
    /// The first few failures.
    #[prost(message, repeated, tag = "5")]
    pub examples: Vec<Example>,
    /// For `duplicateValues` and `distinctCount`.
    #[prost(message, optional, tag = "6")]
    pub uniqueness: Option<Uniqueness>,
    /// For metrics of numbers: `aggregate`, `delay`, `lateness`.
    #[prost(message, optional, tag = "7")]
    pub numbers: Option<NumberTally>,
    /// With `segment_by`: the counts by segment, sorted by name; without a name, all others.
    #[prost(message, repeated, tag = "8")]
    pub segments: Vec<SegmentTally>,
    /// For metrics that look at values or keys one by one: `newValues`, `sequenceGaps`,
    /// `notFollowedBy`, `tooMany`.
    #[prost(message, optional, tag = "20")]
    pub keyed: Option<Keyed>,
    /// Hash of what was measured ([`crate::rules::TopicRules::definition`]): tallies of one id that
    /// measure different things are never added.
    #[prost(fixed64, tag = "21")]
    pub definition: u64,
}

/// What a rule counts in one segment.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct SegmentTally {
    /// The value of the field that divides the documents, cut and printable; empty for the rest.
    #[prost(string, tag = "1")]
    pub segment: String,
    /// As of [`RuleTally`].
    #[prost(uint64, tag = "2")]
    pub checked: u64,
    /// As of [`RuleTally`].
    #[prost(uint64, tag = "3")]
    pub failed: u64,
    /// As of [`RuleTally`].
    #[prost(uint64, tag = "4")]
    pub errors: u64,
}

/// The numbers that a rule looks at.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct NumberTally {
    /// Extremes, moments and quantiles.
    #[prost(message, optional, tag = "1")]
    pub numeric: Option<NumericSummary>,
    /// Their sum, to the last digit.
    #[prost(message, optional, tag = "2")]
    pub sum: Option<ExactSum>,
    /// Differences of times below zero: clocks that differ, in nothing else here.
    #[prost(uint64, tag = "3")]
    pub skewed: u64,
}

/// A sum of doubles without rounding: the number `±digits * 2^(32 * low - 1074)`, lowest digit first,
/// without zeros at either end. Adding is exact ([`crate::merge::sum`]).
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct ExactSum {
    /// Below zero.
    #[prost(bool, tag = "1")]
    pub negative: bool,
    /// Digits of 32 bits below the first one.
    #[prost(uint32, tag = "2")]
    pub low: u32,
    /// Its digits.
    #[prost(uint32, repeated, tag = "3")]
    pub digits: Vec<u32>,
}

/// How often each value occurred, by hash: exact until there are more distinct values than
/// `limits.uniqueness_values`; then only hashes below `threshold` are kept (with exact counts), a
/// uniform sample of the values (theta sketch: Dasgupta et al., 2016). The threshold only ever
/// falls and merging takes the lower one, so merging is associative and commutative.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Uniqueness {
    /// Hashes at or above it are not kept; `u64::MAX` while all are.
    #[prost(uint64, tag = "1")]
    pub threshold: u64,
    /// Sorted hashes.
    #[prost(fixed64, repeated, tag = "2")]
    pub hashes: Vec<u64>,
    /// Occurrences of each.
    #[prost(uint64, repeated, tag = "3")]
    pub counts: Vec<u64>,
}

/// Profile of one leaf path.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct FieldSummary {
    /// `$.a.b`, `$.items[].price`, `$.map.*`.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Parents seen: the denominator (documents for top-level fields; elements for array items).
    #[prost(uint64, tag = "2")]
    pub records: u64,
    /// Values seen (null included): `records - present` are missing.
    #[prost(uint64, tag = "3")]
    pub present: u64,
    /// Nulls.
    #[prost(uint64, tag = "4")]
    pub null: u64,
    /// Empty strings, arrays, objects.
    #[prost(uint64, tag = "5")]
    pub empty: u64,
    /// Integers.
    #[prost(uint64, tag = "6")]
    pub integer: u64,
    /// Other numbers.
    #[prost(uint64, tag = "7")]
    pub number: u64,
    /// Strings.
    #[prost(uint64, tag = "8")]
    pub string: u64,
    /// Booleans.
    #[prost(uint64, tag = "9")]
    pub boolean: u64,
    /// Objects.
    #[prost(uint64, tag = "10")]
    pub object: u64,
    /// Arrays.
    #[prost(uint64, tag = "11")]
    pub array: u64,
    /// True among the booleans.
    #[prost(uint64, tag = "12")]
    pub truthy: u64,
    /// Of the numbers, integers and finite others alike.
    #[prost(message, optional, tag = "13")]
    pub numeric: Option<NumericSummary>,
    /// Of the strings.
    #[prost(message, optional, tag = "14")]
    pub text: Option<TextSummary>,
    /// Distinct scalar values (null excluded): HyperLogLog registers over the shared hash.
    #[prost(message, optional, tag = "15")]
    pub distinct: Option<DistinctSummary>,
    /// Most frequent scalar values.
    #[prost(message, optional, tag = "16")]
    pub top: Option<TopSummary>,
    /// Of the values that can be read as times: numbers of the size of epochs, texts as RFC 3339 has them.
    #[prost(message, optional, tag = "17")]
    #[serde(default)]
    pub times: Option<TimeSummary>,
    /// Texts by their form ([`crate::format::FORMATS`]), of `texts_seen`.
    #[prost(message, repeated, tag = "18")]
    #[serde(default)]
    pub formats: Vec<ReasonCount>,
    /// Texts whose form was looked at: all of them while few differ, else those of a sample of one in 32 by hash.
    #[prost(uint64, tag = "19")]
    #[serde(default)]
    pub texts_seen: u64,
}

/// Values of one field that are times.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct TimeSummary {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Earliest, ms since the epoch.
    #[prost(int64, tag = "2")]
    pub first_ms: i64,
    /// Latest, ms since the epoch.
    #[prost(int64, tag = "3")]
    pub last_ms: i64,
    /// How they are written: `epoch_seconds`, `epoch_milliseconds`, `epoch_microseconds`, `epoch_nanoseconds`, `date`,
    /// `date-time`.
    #[prost(message, repeated, tag = "4")]
    pub forms: Vec<ReasonCount>,
    /// How long before the record's own time they lie, in seconds; below zero: after it. Of records that have one.
    #[prost(message, optional, tag = "5")]
    pub age: Option<NumericSummary>,
}

/// Moments and a relative-error quantile sketch (DDSketch: Masson et al., VLDB 2019) of one field.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct NumericSummary {
    /// Finite numbers seen.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// NaN and infinities, kept out of everything else here.
    #[prost(uint64, tag = "2")]
    pub not_finite: u64,
    /// Smallest.
    #[prost(double, tag = "3")]
    pub min: f64,
    /// Largest.
    #[prost(double, tag = "4")]
    pub max: f64,
    /// Arithmetic mean (Chan et al., 1979, for merging: equal to within a few ulps in any grouping).
    #[prost(double, tag = "5")]
    pub mean: f64,
    /// Sum of squared differences from the mean.
    #[prost(double, tag = "6")]
    pub m2: f64,
    /// Zeros, and what is too small for a bin.
    #[prost(uint64, tag = "7")]
    pub zeros: u64,
    /// Bins of the positive values: index i holds (gamma^(i-1), gamma^i], sorted by index.
    #[prost(message, repeated, tag = "8")]
    pub positive: Vec<Bin>,
    /// Bins of the absolute values of the negative ones.
    #[prost(message, repeated, tag = "9")]
    pub negative: Vec<Bin>,
}

/// One bin of a sketch or histogram.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct Bin {
    /// Index on the logarithmic grid.
    #[prost(sint32, tag = "1")]
    pub index: i32,
    /// Values in it.
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

/// Lengths of strings, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct TextSummary {
    /// Strings.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Shortest.
    #[prost(uint64, tag = "2")]
    pub length_min: u64,
    /// Longest.
    #[prost(uint64, tag = "3")]
    pub length_max: u64,
    /// Sum of the lengths.
    #[prost(uint64, tag = "4")]
    pub length_sum: u64,
}

/// HyperLogLog (Flajolet et al., 2007) registers; sparse until dense is smaller.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct DistinctSummary {
    /// log2 of the number of registers.
    #[prost(uint32, tag = "1")]
    pub precision: u32,
    /// One byte a register; empty while sparse.
    #[prost(bytes = "vec", tag = "2")]
    pub registers: Vec<u8>,
    /// Sorted distinct hashes while there are few: then the count is exact.
    #[prost(fixed64, repeated, tag = "3")]
    pub hashes: Vec<u64>,
}

/// Most frequent values, each with the most by which its count may be too low.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct TopSummary {
    /// Sorted by value.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<TopValue>,
    /// The most that a value which is not listed may have occurred.
    #[prost(uint64, tag = "2")]
    pub floor: u64,
}

/// One frequent value.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct TopValue {
    /// As text, cut to `limits.string_bytes`.
    #[prost(string, tag = "1")]
    pub value: String,
    /// Occurrences counted: the truth lies in `[count, count + error]`.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// See `count`.
    #[prost(uint64, tag = "3")]
    pub error: u64,
}

/// A histogram of non-negative seconds: exact count and sum, Prometheus' native buckets of schema 3
/// (index i holds (2^((i-1)/8), 2^(i/8)]), and the classic ones of [`CLASSIC_SECONDS`].
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Histogram {
    /// Observations.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Sum of the observations in nanoseconds, so that it is the same in every order.
    #[prost(uint64, tag = "2")]
    pub sum_ns: u64,
    /// Observations of exactly zero.
    #[prost(uint64, tag = "3")]
    pub zeros: u64,
    /// Native buckets, sorted by index.
    #[prost(message, repeated, tag = "4")]
    pub native: Vec<Bin>,
    /// Counts (not cumulative) of the classic buckets, the last one being +Inf; empty when
    /// `count` is 0.
    #[prost(uint64, repeated, tag = "5")]
    pub classic: Vec<u64>,
    /// Recent exemplar, if one was offered: trace id and seconds.
    #[prost(message, optional, tag = "6")]
    pub exemplar: Option<Exemplar>,
}

/// Upper bounds, in seconds, of the classic buckets of [`Histogram`].
pub const CLASSIC_SECONDS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// A trace that shows what a bucket means. Merging keeps the later one (ties: the greater id).
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Exemplar {
    /// Trace id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// The observation, in seconds.
    #[prost(double, tag = "2")]
    pub seconds: f64,
    /// When, ms since the epoch.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
}

/// A record of a traced pipeline, seen at one topic.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Sighting {
    /// W3C trace id, 16 bytes; never all zero.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// W3C parent id (the producer's span), 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// W3C trace flags.
    #[prost(uint32, tag = "3")]
    pub flags: u32,
    /// Topic name.
    #[prost(string, tag = "4")]
    pub topic: String,
    /// Partition number.
    #[prost(int32, tag = "5")]
    pub partition: i32,
    /// Offset.
    #[prost(int64, tag = "6")]
    pub offset: i64,
    /// Record time, ms since the epoch.
    #[prost(int64, tag = "7")]
    pub record_ms: i64,
    /// When the agent got it.
    #[prost(int64, tag = "8")]
    pub arrival_ms: i64,
}

/// The agent about itself: gauges as they are, and counters since its start.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct AgentStats {
    /// Tapline's version.
    #[prost(string, tag = "1")]
    pub version: String,
    /// Resident memory in bytes, 0 when not known.
    #[prost(uint64, tag = "2")]
    pub memory_bytes: u64,
    /// CPU seconds used since the start.
    #[prost(double, tag = "3")]
    pub cpu_seconds: f64,
    /// Reports dropped from a full spool.
    #[prost(uint64, tag = "4")]
    pub reports_dropped: u64,
    /// Sightings dropped over the limit a second.
    #[prost(uint64, tag = "5")]
    pub sightings_dropped: u64,
    /// Errors by source (`kafka`, `registry`, `send`, …), since the start.
    #[prost(message, repeated, tag = "6")]
    pub errors: Vec<ReasonCount>,
    /// Rules could not be reloaded: the old ones are in force.
    #[prost(bool, tag = "7")]
    pub rules_stale: bool,
}
