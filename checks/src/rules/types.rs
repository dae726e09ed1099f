//! Resolved rules: what the examiner and the judge work from.

use std::path::PathBuf;
use std::sync::Arc;

use super::{EventTime, Metric, Window};
use crate::redact::Redaction;

/// All check files of a run, resolved together.
#[derive(Clone, Debug, Default)]
pub struct CheckSet {
    /// In the order of loading (by file name).
    pub files: Vec<Arc<CheckFile>>,
    /// Stable hash of the files' contents: agents and collector compare it.
    pub hash: u64,
}

/// One resolved check file.
#[derive(Clone, Debug)]
pub struct CheckFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Which topics it is for.
    pub topics: TopicSelector,
    /// Who is asked when it fails; empty when not given.
    pub owner: String,
    /// How values are decoded.
    pub decode: Decode,
    /// Which time a record goes by.
    pub time: TimeSource,
    /// Window of the verdicts.
    pub window: Window,
    /// What is read and examined.
    pub sample: Sample,
    /// What is never shown.
    pub redact: Redaction,
    /// The checks, in the order of the file.
    pub rules: Vec<Arc<Rule>>,
    /// Service levels.
    pub slos: Vec<Arc<Slo>>,
    /// The file's own tests.
    pub tests: Vec<Fixture>,
    /// Read from a data contract, which says nothing of windows and samples: a check file does.
    pub is_contract: bool,
}

/// Everything that applies to one topic, merged from the files that select it. Rules of several
/// files add up; decode, time, window and sample come from the file that names the topic most
/// exactly (name, then list, then pattern; first file wins).
#[derive(Clone, Debug)]
pub struct TopicRules {
    /// Topic name.
    pub topic: String,
    /// How values are decoded.
    pub decode: Decode,
    /// Which time a record goes by.
    pub time: TimeSource,
    /// Window of the verdicts.
    pub window: Window,
    /// What is read and examined.
    pub sample: Sample,
    /// What is never shown, of all the files.
    pub redact: Redaction,
    /// All rules; ids are unique within a topic (a clash of files is an error at loading).
    pub rules: Vec<Arc<Rule>>,
    /// All service levels.
    pub slos: Vec<Arc<Slo>>,
    /// Stable hash of all of the above.
    pub hash: u64,
}

/// `topic:`, `topics:` or `pattern:`.
#[derive(Clone, Debug)]
pub enum TopicSelector {
    /// Exact names.
    Names(Vec<String>),
    /// A regular expression over the whole name, in linear time.
    Pattern(regex::Regex),
}

/// `decode:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decode {
    /// Format of the value.
    pub value: ValueFormat,
    /// Schema to hold values against.
    pub schema: SchemaSource,
}

/// `decode.value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueFormat {
    /// Recognised record by record.
    #[default]
    Auto,
    /// JSON; anything else is a decode failure.
    Json,
    /// Avro with registry framing (magic byte 0, schema id); anything else is a decode failure.
    Avro,
    /// UTF-8 text, not looked into.
    Text,
    /// Bytes, not looked into.
    Bytes,
}

impl ValueFormat {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

/// `decode.schema`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SchemaSource {
    /// None given: registry-framed values still find theirs when a registry is configured.
    #[default]
    None,
    /// The registry's, by the id in the framing.
    Registry,
    /// A file next to the check file, read and compiled at loading.
    File(SchemaFile),
}

/// A schema file as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Its text (JSON Schema for `.json`, Avro for `.avsc`).
    pub text: Arc<str>,
    /// Which kind.
    pub kind: SchemaKind,
}

/// Kinds of schema files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// JSON Schema.
    Json,
    /// Avro.
    Avro,
}

/// `time:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TimeSource {
    /// The record's own timestamp.
    #[default]
    Record,
    /// The payload carries its own too; windows go by it if [they say so](super::WindowTime::Event).
    Field(EventTime),
}

/// `sample:`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Share examined, 0 to 1, by hash of partition and offset. Rules that need whole keys
    /// (`duplicateValues`) sample by key hash instead.
    pub examine: f64,
    /// Most records examined a second and agent; `None` is no cap.
    pub at_most_per_second: Option<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { examine: 1.0, at_most_per_second: None }
    }
}

/// How loud a failure is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look in working hours.
    Warning,
    /// Worth being woken.
    #[default]
    Error,
}

impl Severity {
    /// Its name in files, labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One check, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique in its topic; `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// What is measured.
    pub metric: Metric,
    /// What the value must be. Absent only for baselines.
    pub threshold: Option<Threshold>,
    /// Unit of the value and the threshold.
    pub unit: Unit,
    /// How loud a failure is.
    pub severity: Severity,
    /// Consecutive failing windows before it is a finding; at least 1.
    pub for_windows: u32,
    /// Fewer checked records than this: `unknown`.
    pub min_records: u64,
    /// With it, a ratio fails only when its whole Wilson interval (at this level, e.g. 0.95) is
    /// beyond the threshold.
    pub confidence: Option<f64>,
    /// Compared with the topic's own past instead of (or beside) a fixed threshold.
    pub baseline: Option<Baseline>,
    /// The field whose values are counted apart, for metrics that [have
    /// segments](Metric::has_segments).
    pub segment_by: Option<FieldPath>,
    /// From the file; empty when not given.
    pub description: String,
    /// From the file's head; empty when not given.
    pub owner: String,
    /// File and line, for messages.
    pub origin: Origin,
}

impl Rule {
    /// A rule with everything else as if a file left it out; it comes from no file.
    pub fn new(id: impl Into<String>, metric: Metric, threshold: Option<Threshold>) -> Self {
        Self {
            id: id.into(),
            metric,
            threshold,
            unit: Unit::Rows,
            severity: Severity::default(),
            for_windows: 1,
            min_records: 1,
            confidence: None,
            baseline: None,
            segment_by: None,
            description: String::new(),
            owner: String::new(),
            origin: Origin::default(),
        }
    }

    /// The field it is about, as written.
    pub fn field(&self) -> Option<&FieldPath> {
        match &self.metric {
            Metric::MissingValues { field, .. }
            | Metric::NullValues { field }
            | Metric::InvalidValues { field, .. }
            | Metric::DuplicateValues { field, .. }
            | Metric::Aggregate { field, .. }
            | Metric::DistinctCount { field }
            | Metric::SequenceGaps { field, .. }
            | Metric::NewValues { field }
            | Metric::Drift { field } => Some(field),
            Metric::Delay { time, .. } | Metric::Lateness { time, .. } | Metric::OutOfOrder { time } => {
                Some(&time.field)
            }
            Metric::RowCount
            | Metric::FailedRows { .. }
            | Metric::SchemaViolations
            | Metric::DecodeFailures
            | Metric::Freshness
            | Metric::Ratio { .. }
            | Metric::FieldsAdded
            | Metric::FieldsRemoved
            | Metric::TypeChanged
            | Metric::NotFollowedBy { .. }
            | Metric::TooMany { .. } => None,
        }
    }

    /// What the file says it must be: `mustBeLessThan 0.1`, or the baseline's name.
    pub fn must(&self) -> String {
        match (&self.threshold, self.baseline) {
            (Some(t), _) => t.to_string(),
            (None, Some(b)) => format!("baseline: {}", b.as_str()),
            (None, None) => String::new(),
        }
    }
}

/// Where something was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
}

/// A path to a field: `$.a.b`, `$.items[].price`, `$.labels.*`, `$['odd name']`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath {
    /// As written in profiles: canonical.
    pub text: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// Every element of an array.
    Elements,
    /// Every member of an object.
    AnyKey,
}

/// `baseline:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The same hour of the week (robust centre and spread).
    Seasonal,
    /// The windows before, without failed ones.
    Previous,
}

impl Baseline {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seasonal => "seasonal",
            Self::Previous => "previous",
        }
    }
}

/// Operators of the Open Data Contract Standard, with their bounds in the rule's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Threshold {
    MustBe(f64),
    MustNotBe(f64),
    MustBeGreaterThan(f64),
    MustBeGreaterOrEqualTo(f64),
    MustBeLessThan(f64),
    MustBeLessOrEqualTo(f64),
    /// Inclusive.
    MustBeBetween(f64, f64),
    /// Inclusive bounds are inside, hence not allowed.
    MustNotBeBetween(f64, f64),
}

impl Threshold {
    /// Its lower and upper bound; the same number twice where there is one.
    pub fn bounds(&self) -> [f64; 2] {
        match *self {
            Self::MustBe(t)
            | Self::MustNotBe(t)
            | Self::MustBeGreaterThan(t)
            | Self::MustBeGreaterOrEqualTo(t)
            | Self::MustBeLessThan(t)
            | Self::MustBeLessOrEqualTo(t) => [t, t],
            Self::MustBeBetween(low, high) | Self::MustNotBeBetween(low, high) => [low, high],
        }
    }

    /// Does the value satisfy it?
    pub fn holds(&self, value: f64) -> bool {
        match *self {
            Self::MustBe(t) => value == t,
            Self::MustNotBe(t) => value != t,
            Self::MustBeGreaterThan(t) => value > t,
            Self::MustBeGreaterOrEqualTo(t) => value >= t,
            Self::MustBeLessThan(t) => value < t,
            Self::MustBeLessOrEqualTo(t) => value <= t,
            Self::MustBeBetween(a, b) => a <= value && value <= b,
            Self::MustNotBeBetween(a, b) => !(a <= value && value <= b),
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MustBe(t) => write!(f, "mustBe {t}"),
            Self::MustNotBe(t) => write!(f, "mustNotBe {t}"),
            Self::MustBeGreaterThan(t) => write!(f, "mustBeGreaterThan {t}"),
            Self::MustBeGreaterOrEqualTo(t) => write!(f, "mustBeGreaterOrEqualTo {t}"),
            Self::MustBeLessThan(t) => write!(f, "mustBeLessThan {t}"),
            Self::MustBeLessOrEqualTo(t) => write!(f, "mustBeLessOrEqualTo {t}"),
            Self::MustBeBetween(a, b) => write!(f, "mustBeBetween [{a}, {b}]"),
            Self::MustNotBeBetween(a, b) => write!(f, "mustNotBeBetween [{a}, {b}]"),
        }
    }
}

/// Unit of a rule's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Records (elements, for `[]` paths): the default of counting metrics.
    Rows,
    /// Share of the checked, 0 to 100.
    Percent,
    /// Seconds: the unit of durations.
    Seconds,
    /// A statistic without a unit (drift's effect size).
    Score,
    /// What the field itself is in, or a number of different values.
    Value,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rows, Self::Percent, Self::Seconds, Self::Score, Self::Value];

    /// Its name in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Percent => "percent",
            Self::Seconds => "seconds",
            Self::Score => "score",
            Self::Value => "value",
        }
    }
}

/// `slos:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// Unique in its topic; same alphabet as rule ids.
    pub id: String,
    /// The rule whose checked records are the total events, and whose failed ones are the bad.
    pub good: String,
    /// Share of good events promised, 0 to 1.
    pub objective: f64,
    /// Over which period, ms.
    pub over_ms: i64,
    /// File and line, for messages.
    pub origin: Origin,
}

/// `tests:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixture {
    /// Its name.
    pub name: String,
    /// The windows before this one, the oldest first.
    pub before: Vec<FixtureWindow>,
    /// The records.
    pub given: Vec<FixtureRecord>,
    /// Rule id and the status expected.
    pub expect: Vec<(String, crate::verdict::Status)>,
    /// File and line, for messages.
    pub origin: Origin,
}

/// A window before that of a fixture.
#[derive(Clone, Debug, PartialEq)]
pub struct FixtureWindow {
    /// Its records.
    pub given: Vec<FixtureRecord>,
    /// How many windows in a row are like it; at least 1.
    pub repeat: u64,
}

/// A record of a fixture.
#[derive(Clone, Debug, PartialEq)]
pub struct FixtureRecord {
    /// Another topic that it is of; `None` for the file's own.
    pub topic: Option<String>,
    /// Key, if any.
    pub key: Option<String>,
    /// The value as JSON text; `None` is a tombstone. `raw` text that is not JSON is allowed.
    pub value: Option<String>,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// Milliseconds after the start of the window.
    pub at_ms: i64,
    /// How many times it is given; at least 1.
    pub repeat: u64,
}
