//! A rule against a window: pure, with the clock and the topic's past as arguments.
//!
//! - A count is of the window's own records; a share carries its Wilson interval (95% unless the
//!   rule sets `confidence`).
//! - `unknown` says that nothing can be said, and why: no record, fewer than `min_records`, no
//!   schema, a baseline still learning. It is never a guess.
//! - `error`: the CEL expression could not be evaluated on half of the records or more. With fewer,
//!   the verdict goes by the records it could be evaluated on, and the message counts the errors.
//! - With `confidence` a rule fails only when no value of the interval would satisfy it.

mod baseline;
mod changes;
mod drift;
mod figures;
pub mod past;
mod patterns;
mod ratio;
mod segments;
mod sequence;
mod words;

pub(crate) use drift::{bins, categories};
pub use segments::SEGMENTS_SHOWN;
pub(crate) use words::number;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::redact::Redaction;
use crate::report::{Example, PaneSummary};
use crate::rules::{Metric, Rule, Sample, Threshold, Unit};
use crate::verdict::{SegmentVerdict, Status, Verdict};

/// What is judged: the merged panes of a window.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Start, ms, inclusive.
    pub from_ms: i64,
    /// End, ms, exclusive.
    pub to_ms: i64,
    /// All panes of it, merged.
    pub summary: &'a PaneSummary,
}

/// What the verdict depends on beside the window.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time that freshness is measured at.
    pub now_ms: i64,
    /// Latest record time of the topic, ever; `None` if no record was ever seen.
    pub last_record_ms: Option<i64>,
    /// Earlier windows of the topic that did not fail; they do not overlap each other.
    pub history: &'a [HistoryWindow],
    /// What of the topic is examined.
    pub sample: Sample,
    /// What was seen just before the window, as far back as the patterns of the rules reach
    /// ([`reach_ms`]); `None` if nothing was read then.
    pub lead: Option<&'a PaneSummary>,
    /// Records of the other topic of a `ratio` in this window; `None` if they are not known.
    pub counterpart: Option<u64>,
    /// What must not be shown.
    pub redact: Option<&'a Redaction>,
    /// Windows are sessions: earlier ones of any length are compared with.
    pub sessions: bool,
}

impl Context<'_> {
    /// Nothing but a moment.
    pub fn at(now_ms: i64) -> Self {
        Self {
            now_ms,
            last_record_ms: None,
            history: &[],
            sample: Sample::default(),
            lead: None,
            counterpart: None,
            redact: None,
            sessions: false,
        }
    }
}

/// How far before a window the patterns of these rules look, ms; 0 if there are none.
pub fn reach_ms<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> i64 {
    rules.into_iter().filter_map(|rule| rule.metric.pattern()).map(|p| p.within_ms).max().unwrap_or(0)
}

/// An earlier window.
#[derive(Clone, Debug)]
pub struct HistoryWindow {
    /// Start, ms, inclusive.
    pub from_ms: i64,
    /// End, ms, exclusive.
    pub to_ms: i64,
    /// Its merged panes.
    pub summary: Arc<PaneSummary>,
}

/// The verdict of a rule on a window.
pub fn judge(rule: &Rule, window: &Window<'_>, ctx: &Context<'_>) -> Verdict {
    let found = match &rule.metric {
        Metric::RowCount => baseline::row_count(rule, window, ctx),
        Metric::Freshness => freshness(rule, ctx),
        Metric::Drift { field } => drift::drift(rule, &field.text, window, ctx),
        Metric::Aggregate { function, .. }
        | Metric::Delay { function, .. }
        | Metric::Lateness { function, .. } => figures::figure(rule, *function, window.summary, ctx),
        Metric::DistinctCount { .. } => figures::distinct(rule, window.summary, ctx),
        Metric::Ratio { of } => baseline::ratio_of_topics(rule, of, window, ctx),
        Metric::FieldsAdded | Metric::FieldsRemoved | Metric::TypeChanged => {
            changes::fields(rule, window, ctx)
        }
        Metric::SequenceGaps { field, by } => match every_record(rule, window.summary, ctx) {
            Ok(()) => {
                let is_hidden = ctx.redact.is_some_and(|redact| redact.hides(field));
                sequence::gaps(rule, (field, is_hidden), by, window.summary)
            }
            Err(why) => Found::unknown(why),
        },
        Metric::MissingValues { .. }
        | Metric::NullValues { .. }
        | Metric::InvalidValues { .. }
        | Metric::DuplicateValues { .. }
        | Metric::FailedRows { .. }
        | Metric::OutOfOrder { .. }
        | Metric::SchemaViolations
        | Metric::NewValues { .. }
        | Metric::NotFollowedBy { .. }
        | Metric::TooMany { .. }
        | Metric::DecodeFailures => ratio::ratio(rule, window, ctx),
    };
    Verdict {
        status: found.status,
        value: found.value,
        interval: found.interval,
        failed: found.failed,
        checked: found.checked,
        message: found.message,
        examples: found.examples,
        segments: found.segments,
        from_ms: window.from_ms,
        to_ms: window.to_ms,
    }
}

/// A verdict without its window.
struct Found {
    status: Status,
    value: Option<f64>,
    interval: Option<[f64; 2]>,
    failed: Option<u64>,
    checked: Option<u64>,
    message: String,
    examples: Vec<Example>,
    segments: Vec<SegmentVerdict>,
}

impl Found {
    fn new(status: Status, message: String) -> Self {
        Self {
            status,
            value: None,
            interval: None,
            failed: None,
            checked: None,
            message,
            examples: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self::new(Status::Unknown, message.into())
    }

    fn with_value(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }
}

/// Pass or fail by the rule's threshold; pass without one (a rule of a baseline alone).
fn by_threshold(rule: &Rule, value: f64) -> Status {
    match rule.threshold {
        Some(threshold) if !threshold.holds(value) => Status::Fail,
        _ => Status::Pass,
    }
}

/// `; allowed: …`, or nothing without a threshold.
fn allowed(rule: &Rule, unit: Unit) -> String {
    rule.threshold.map(|t| format!("; {}", words::allowed(t, unit))).unwrap_or_default()
}

/// Is no value of the interval allowed?
fn wholly_beyond(threshold: Threshold, [low, high]: [f64; 2]) -> bool {
    match threshold {
        Threshold::MustBe(t) => t < low || high < t,
        // Every other value would be allowed: only certainty fails.
        Threshold::MustNotBe(t) => low == t && high == t,
        Threshold::MustBeGreaterThan(t) => high <= t,
        Threshold::MustBeGreaterOrEqualTo(t) => high < t,
        Threshold::MustBeLessThan(t) => low >= t,
        Threshold::MustBeLessOrEqualTo(t) => low > t,
        Threshold::MustBeBetween(a, b) => high < a || b < low,
        Threshold::MustNotBeBetween(a, b) => a <= low && high <= b,
    }
}

/// Pass or fail where the value is only known to lie within bounds: `unknown` if both could be.
fn by_bounds(rule: &Rule, bounds: [f64; 2]) -> Status {
    let Some(threshold) = rule.threshold else { return Status::Pass };
    if wholly_beyond(threshold, bounds) {
        return Status::Fail;
    }
    let [low, high] = bounds;
    let within = match threshold {
        Threshold::MustNotBe(t) => t < low || high < t,
        Threshold::MustNotBeBetween(a, b) => high < a || b < low,
        // Everything between two values that are allowed is.
        _ => threshold.holds(low) && threshold.holds(high),
    };
    if within { Status::Pass } else { Status::Unknown }
}

/// Why a metric that needs every record can say nothing, if some were not examined by design.
fn every_record(rule: &Rule, summary: &PaneSummary, ctx: &Context<'_>) -> Result<(), String> {
    if !ratio::is_part(summary, ctx) {
        return Ok(());
    }
    let what = match rule.metric {
        Metric::DuplicateValues { .. } => "copies of a value are only found",
        Metric::SequenceGaps { .. } => "missing numbers are only told from unseen ones",
        _ => "what belongs together is only found",
    };
    Err(format!(
        "{what} when every record is examined; {} of {} were: set sample.examine to 100% and remove sample.at_most",
        summary.examined, summary.read,
    ))
}

fn freshness(rule: &Rule, ctx: &Context<'_>) -> Found {
    let Some(last_ms) = ctx.last_record_ms else {
        return Found::unknown("no record was ever seen in this topic");
    };
    let age_seconds = ctx.now_ms.saturating_sub(last_ms) as f64 / 1_000.0;
    let message = if age_seconds < 0.0 {
        let ahead = words::with_unit(-age_seconds, Unit::Seconds);
        format!("the latest record's time is {ahead} in the future{}", allowed(rule, Unit::Seconds))
    } else {
        let age = words::with_unit(age_seconds, Unit::Seconds);
        format!("the latest record is {age} old{}", allowed(rule, Unit::Seconds))
    };
    Found::new(by_threshold(rule, age_seconds), message).with_value(age_seconds)
}
