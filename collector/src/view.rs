//! What the collector publishes of its state: immutable, shared by an `Arc`, read by /metrics,
//! the JSON API and the status page. Times are ms since the epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::pipeline::Pipeline;
use checks::report::{AgentStats, Example, Histogram, PaneSummary};
use checks::rules::{Rule, Severity, Slo};
use checks::verdict::{Status, Verdict};

use crate::state::Mark;

/// Everything, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The cluster's name.
    pub cluster: String,
    /// When it was made.
    pub taken_at_ms: i64,
    /// By topic name.
    pub topics: BTreeMap<String, TopicView>,
    /// In the order of the configuration.
    pub pipelines: Vec<PipelineView>,
    /// Open ones first, then the latest resolved ones (bounded).
    pub findings: Vec<Finding>,
    /// Known events, in the order they were told.
    pub marks: Vec<Mark>,
    /// What else moved, by the id of a finding; none of those that were not explained yet.
    pub explanations: BTreeMap<String, Arc<Explanation>>,
    /// By agent name.
    pub agents: BTreeMap<String, AgentView>,
    /// The collector about itself.
    pub ingest: IngestStats,
}

/// One topic. Totals never go backwards while the collector's history is kept.
#[derive(Clone, Debug, Default)]
pub struct TopicView {
    /// Counters since the history began.
    pub totals: TopicTotals,
    /// Observed delay since the history began.
    pub delay: Histogram,
    /// One entry a check, in the order of the files.
    pub checks: Vec<CheckView>,
    /// One entry a service level.
    pub slos: Vec<SloView>,
    /// The last closed window, merged: the profile shown.
    pub window: Option<WindowView>,
    /// Watermark: the least of the agents'.
    pub watermark_ms: Option<i64>,
    /// Latest record time seen.
    pub last_record_ms: Option<i64>,
    /// Agents that hold partitions of it use different rules than the collector.
    pub rules_differ: bool,
    /// What is found without check files; `None` where that is off.
    pub detectors: Option<DetectorsView>,
    /// Known events of it.
    pub marks: Vec<Mark>,
}

/// The detectors of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectorsView {
    /// Enough is learned.
    pub is_watching: bool,
    /// `learning, 3 of 24 h`.
    pub text: String,
    /// Learned so far, ms.
    pub known_ms: i64,
    /// Needed, ms.
    pub needed_ms: i64,
    /// Findings that are open, by detector.
    pub open: BTreeMap<&'static str, usize>,
}

/// Sums over all panes ever applied.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TopicTotals {
    /// Records read.
    pub read: u64,
    /// Bytes of keys and values read.
    pub read_bytes: u64,
    /// Records examined.
    pub examined: u64,
    /// Records read but not examined, by reason.
    pub unexamined: BTreeMap<String, u64>,
    /// Offsets passed over without being read, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Decode failures, by reason.
    pub decode_failures: BTreeMap<String, u64>,
    /// Recognised formats that are not decoded yet.
    pub not_decoded: BTreeMap<String, u64>,
    /// Tombstones.
    pub tombstones: u64,
    /// Documents held against a schema.
    pub schema_checked: u64,
    /// Those that do not fit.
    pub schema_violations: u64,
    /// Records without a usable time.
    pub bad_timestamps: u64,
    /// Records read while catching up.
    pub catching_up: u64,
    /// Records from the future.
    pub skewed: u64,
    /// Documents with duplicate keys.
    pub duplicate_keys: u64,
    /// Header findings, by reason.
    pub header_notes: BTreeMap<String, u64>,
    /// Where windows go by event time: records that go by their own all the same, by reason.
    pub time_fallbacks: BTreeMap<String, u64>,
}

/// The last closed window of a topic.
#[derive(Clone, Debug)]
pub struct WindowView {
    /// Start, inclusive.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// All its panes, merged.
    pub summary: Arc<PaneSummary>,
}

/// One check of a topic.
#[derive(Clone, Debug)]
pub struct CheckView {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The last verdict; before the first window closes, `Status::Unknown` with a message.
    pub verdict: Verdict,
    /// Since when the status is what it is.
    pub since_ms: i64,
    /// Checked since the history began.
    pub checked_total: u64,
    /// Failed since the history began.
    pub failed_total: u64,
}

/// One service level of a topic.
#[derive(Clone, Debug)]
pub struct SloView {
    /// As configured.
    pub slo: Arc<Slo>,
    /// Good events since the history began.
    pub good_total: u64,
    /// Bad events since the history began.
    pub bad_total: u64,
}

/// One pipeline.
#[derive(Clone, Debug)]
pub struct PipelineView {
    /// As configured.
    pub pipeline: Arc<Pipeline>,
    /// Between neighbouring stages, in order.
    pub hops: Vec<HopView>,
    /// From the first stage to the last.
    pub whole: HopView,
    /// Traces that reached the last stage.
    pub completed_total: u64,
    /// Of these, those over the latency objective (the bad events of its service level).
    pub breached_total: u64,
    /// Traces that never came out, by the stage where they were last seen.
    pub incomplete_total: BTreeMap<String, u64>,
    /// Traces in flight.
    pub open: u64,
    /// Traces given up because `limits.open_traces` was reached.
    pub dropped_total: u64,
    /// Traces that ended without a verdict on loss: first seen at a later stage (they entered before
    /// we began), or a stage was not read meanwhile.
    pub unjudged_total: u64,
}

/// Latency between two stages.
#[derive(Clone, Debug)]
pub struct HopView {
    /// Topic it starts from.
    pub from: String,
    /// Topic it goes to.
    pub to: String,
    /// Seconds.
    pub latency: Histogram,
    /// Pairs with a negative difference: counted, never averaged in.
    pub skewed_total: u64,
}

/// Something that is wrong, from its beginning to its end: one finding, however many windows.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// Stable: hash of topic, check and beginning.
    pub id: String,
    /// When it began.
    pub at_ms: i64,
    /// When it was resolved.
    pub resolved_ms: Option<i64>,
    /// Topic name; a pipeline's name for `latency` and `lost_traces`; a group's for lag.
    pub topic: String,
    /// What found it.
    pub source: FindingSource,
    /// How loud.
    pub severity: Severity,
    /// The verdict's status while open; `Status::Pass` once resolved.
    pub status: Status,
    /// One sentence.
    pub message: String,
    /// In the rule's unit.
    pub value: Option<f64>,
    /// What it must be.
    pub expected: String,
    /// Counts and intervals.
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// The window.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
    /// Records that show it.
    pub examples: Vec<Example>,
}

/// `what` of the entry that is the finding itself.
pub const THIS_FINDING: &str = "this_finding";

/// What else moved around the beginning of a finding, in order of onset.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Explanation {
    /// Goes by what was known then.
    pub as_of_ms: i64,
    /// Nothing will be added any more: the finding is over, or long under way.
    pub is_final: bool,
    /// When the finding's own figure began to move: closer than its `at_ms` where the figure is
    /// followed slot by slot.
    pub began_ms: i64,
    /// A sentence or two.
    pub summary: String,
    /// Why little can be said, if so.
    pub unknown: Option<String>,
    /// In order of onset, the finding itself among them.
    pub timeline: Vec<Moved>,
    /// Others that moved, beyond the limit.
    pub left_out: u64,
    /// What the finding's figure is made of, the most first.
    pub contributes: Vec<Contribution>,
    /// The finding's figure over time.
    pub figure: Option<Figure>,
}

/// Something that moved, or happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Moved {
    /// When it began.
    pub at_ms: i64,
    /// How wrong that may be, ms.
    pub within_ms: i64,
    /// When it was as before again, where it was.
    pub until_ms: Option<i64>,
    /// Topic name.
    pub topic: String,
    /// Where that is, seen from the finding.
    pub place: Place,
    /// `this_finding`, `schema`, `topic`, `throughput`, `decode_failures`, `schema_violations`, `check`,
    /// `slo`, `delay`, `group_lag`, `group_members`, `group_state`, or what a detector is called.
    pub what: String,
    /// Field, check, group or schema id; empty for the topic itself.
    pub subject: String,
    /// Before.
    pub from: Amount,
    /// Since.
    pub to: Amount,
    /// Of both: `share`, `records/min`, `seconds`, `records`, `members`, or nothing.
    pub unit: String,
    /// One sentence.
    pub sentence: String,
    /// It began before the finding did.
    pub is_before: bool,
    /// The finding that there is of it.
    pub finding: Option<String>,
}

/// A figure, or a name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Amount {
    /// Not known.
    #[default]
    Unknown,
    /// In the unit of the entry.
    Number(f64),
    /// A state, an id.
    Name(String),
}

/// Where a topic lies in the pipelines, seen from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// The finding's own topic.
    Here,
    /// An earlier stage of a pipeline.
    Upstream,
    /// A later one.
    Downstream,
}

impl Place {
    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }
}

/// A part of what a finding's figure is made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Contribution {
    /// `segment` or `partition`.
    pub by: String,
    /// Its name.
    pub name: String,
    /// Its share of the figure: of what failed, of what is missing, of the lag.
    pub share: f64,
    /// Its share of all records, where that is known.
    pub of_all: Option<f64>,
    /// One sentence.
    pub sentence: String,
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Figure {
    /// What it is of.
    pub name: String,
    /// As in [`Moved`].
    pub unit: String,
    /// Beginning of the first value's slot, ms.
    pub from_ms: i64,
    /// Length of a slot, ms.
    pub step_ms: i64,
    /// Slot by slot.
    pub values: Vec<Option<f32>>,
}

/// What found a finding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSource {
    /// A check, by id.
    Check(String),
    /// A service level, by id.
    Slo(String),
    /// A built-in detector: `pipeline_latency`, `lost_traces`, `lost_records`, `group_lag`,
    /// `commit_ahead_of_end`, `transaction_hanging`, `rules_differ`, or one of
    /// [`checks::detect::Kind`].
    Detector(String),
}

/// One agent.
#[derive(Clone, Debug, Default)]
pub struct AgentView {
    /// When its last report was applied.
    pub last_report_ms: i64,
    /// Stream time of it.
    pub as_of_ms: i64,
    /// Heard from lately.
    pub alive: bool,
    /// Reads behind the end somewhere.
    pub catching_up: bool,
    /// As it says of itself.
    pub stats: AgentStats,
}

/// The collector about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngestStats {
    /// Reports applied.
    pub applied_total: u64,
    /// Reports that had been applied before: acknowledged, ignored.
    pub duplicate_total: u64,
    /// Reports refused, by reason.
    pub refused_total: BTreeMap<String, u64>,
    /// Panes not counted because another agent's report covers the same offsets.
    pub overlapping_panes_total: u64,
    /// Traces that found no place in the queue of the OTLP exporter.
    pub traces_dropped_total: u64,
    /// Why the history can't be written, if so: nothing is acknowledged meanwhile.
    pub history_error: Option<String>,
    /// A broken check file or configuration: the old one is in force.
    pub reload_error: Option<String>,
}
