//! The shape of `tapline check --json`, version 1: additions are allowed, changes are not.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::{Judged, overall};
use crate::report::{Example, PaneSummary};
use crate::verdict::{SegmentVerdict, Status};

/// All of it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The shape is documented in docs/checks.md, by the same names.
pub struct CheckJson<'a> {
    pub version: u32,
    pub verdict: Status,
    pub source: &'a str,
    pub topic: &'a str,
    pub window: WindowJson,
    pub records: u64,
    pub decode_failures: BTreeMap<&'a str, u64>,
    /// The data ends in the middle of a record.
    pub truncated: bool,
    pub checks: Vec<VerdictJson<'a>>,
}

/// From the first record's time to just after the last one's; null without times.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct WindowJson {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// One check.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct VerdictJson<'a> {
    pub id: &'a str,
    pub topic: &'a str,
    pub field: Option<&'a str>,
    pub metric: &'a str,
    pub severity: &'a str,
    pub status: Status,
    pub value: Option<f64>,
    pub unit: &'a str,
    pub interval: Option<[f64; 2]>,
    pub must: String,
    pub failed: Option<u64>,
    pub checked: Option<u64>,
    pub message: &'a str,
    pub examples: Vec<ExampleJson<'a>>,
    /// With `segment_by`, for metrics that count by segment.
    #[serde(skip_serializing_if = "<[SegmentVerdict]>::is_empty")]
    pub segments: &'a [SegmentVerdict],
}

/// A record that shows it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct ExampleJson<'a> {
    pub partition: i32,
    pub offset: i64,
    pub value: &'a str,
}

impl<'a> From<&'a Example> for ExampleJson<'a> {
    fn from(example: &'a Example) -> Self {
        Self { partition: example.partition, offset: example.offset, value: &example.value }
    }
}

/// The verdicts on a piece. `source` says where it was read.
pub fn check<'a>(
    source: &'a str,
    topic: &'a str,
    summary: &'a PaneSummary,
    judged: &'a Judged,
    truncated: bool,
) -> CheckJson<'a> {
    let time = |ms: i64| {
        let time = DateTime::from_timestamp_millis(ms).filter(|_| judged.to_ms > 0)?;
        Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
    };
    let checks = judged.checks.iter().map(|(rule, verdict)| VerdictJson {
        id: &rule.id,
        topic,
        field: rule.field().map(|field| field.text.as_str()),
        metric: rule.metric.name(),
        severity: rule.severity.as_str(),
        status: verdict.status,
        value: verdict.value,
        unit: rule.unit.as_str(),
        interval: verdict.interval,
        must: rule.must(),
        failed: verdict.failed,
        checked: verdict.checked,
        message: &verdict.message,
        examples: verdict.examples.iter().map(ExampleJson::from).collect(),
        segments: &verdict.segments,
    });
    CheckJson {
        version: 1,
        verdict: overall(judged.checks.iter().map(|(_, verdict)| verdict)),
        source,
        topic,
        window: WindowJson { from: time(judged.from_ms), to: time(judged.to_ms) },
        records: summary.read,
        decode_failures: summary.decode_failures.iter().map(|r| (r.reason.as_str(), r.count)).collect(),
        truncated,
        checks: checks.collect(),
    }
}
