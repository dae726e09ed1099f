//! The shape of `tapline profile --json` and `/api/v1/topics/{topic}/profile`, version 1: additions
//! are allowed, changes are not.

use std::collections::BTreeMap;

use chrono::Datelike as _;
use serde::Serialize;

use super::{DistinctEstimate, RELATIVE_ERROR};
use crate::merge::total;
use crate::report::{FieldSummary, HASH_VERSION, NumericSummary, PaneSummary, ReasonCount, TimeSummary};

/// Top values shown a field.
const TOP_SHOWN: usize = 10;

/// A whole profile.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The shape is documented in DESIGN.md, by the same names.
pub struct ProfileJson<'a> {
    pub version: u32,
    pub source: &'a str,
    pub records: u64,
    /// Of the records, those that were decoded and profiled.
    pub documents: u64,
    pub decode_failures: BTreeMap<&'a str, u64>,
    /// Records of other formats, by format.
    pub not_decoded: BTreeMap<&'a str, u64>,
    /// Records without a value.
    pub tombstones: u64,
    /// Documents with a key that stands twice in one object.
    pub duplicate_keys: u64,
    pub fields: Vec<FieldJson<'a>>,
    /// Values beyond the limits on fields.
    pub folded_values: u64,
    /// The same of a part of the records each, by the value of a field; absent unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentJson<'a>>,
    /// What distributions are compared by; absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sketches: Option<SketchesJson<'a>>,
}

/// The records with one value of the field that divides them.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct SegmentJson<'a> {
    pub segment: &'a str,
    pub records: u64,
    pub documents: u64,
    pub fields: Vec<FieldJson<'a>>,
    pub folded_values: u64,
}

/// The summary itself. Its insides are no contract: only that `tapline diff` reads what the same
/// version of the hash wrote.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct SketchesJson<'a> {
    pub hash_version: u32,
    pub fields: &'a [FieldSummary],
}

/// One field of it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct FieldJson<'a> {
    pub path: &'a str,
    pub records: u64,
    pub missing: u64,
    pub null: u64,
    pub empty: u64,
    pub types: TypesJson,
    pub numeric: Option<NumericJson>,
    pub text: Option<TextJson>,
    /// Of the booleans.
    pub boolean: Option<BooleanJson>,
    /// Forms of the texts, where any was recognised.
    pub formats: Option<FormatsJson<'a>>,
    /// Where nearly all values are times.
    pub times: Option<TimesJson<'a>>,
    pub distinct: DistinctEstimate,
    pub top: Vec<TopJson<'a>>,
    /// The most that a value which was not kept may have occurred.
    pub top_floor: u64,
}

/// Values by type.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct TypesJson {
    pub integer: u64,
    pub number: u64,
    pub string: u64,
    pub boolean: u64,
    pub object: u64,
    pub array: u64,
}

/// Numbers.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct NumericJson {
    pub count: u64,
    /// NaN and infinities, in nothing else here.
    pub not_finite: u64,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub stddev: Option<f64>,
    pub quantiles: QuantilesJson,
    pub relative_error: f64,
}

/// Quantiles; null where the sketch cannot say.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct QuantilesJson {
    #[serde(rename = "0.01")]
    pub p01: Option<f64>,
    #[serde(rename = "0.05")]
    pub p05: Option<f64>,
    #[serde(rename = "0.25")]
    pub p25: Option<f64>,
    #[serde(rename = "0.5")]
    pub p50: Option<f64>,
    #[serde(rename = "0.75")]
    pub p75: Option<f64>,
    #[serde(rename = "0.95")]
    pub p95: Option<f64>,
    #[serde(rename = "0.99")]
    pub p99: Option<f64>,
}

/// Lengths of strings, in characters.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct TextJson {
    pub length_min: u64,
    pub length_max: u64,
    pub length_mean: f64,
}

/// Booleans.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct BooleanJson {
    pub r#true: u64,
    pub r#false: u64,
}

/// Texts by form.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct FormatsJson<'a> {
    /// Texts that were looked at: all of them while few differ.
    pub of: u64,
    pub counts: BTreeMap<&'a str, u64>,
}

/// Values that are times.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct TimesJson<'a> {
    pub count: u64,
    pub forms: BTreeMap<&'a str, u64>,
    /// RFC 3339, null where the year has more than four digits.
    pub first: Option<String>,
    pub last: Option<String>,
    /// Seconds before the record's own time; below zero: after it.
    pub age: Option<NumericJson>,
}

/// A frequent value.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct TopJson<'a> {
    pub value: &'a str,
    pub count: u64,
    pub error: u64,
}

/// The profile of a source (a topic, a file) from its merged panes. The document itself, `$`, is
/// only listed when some documents are no objects.
pub fn profile<'a>(source: &'a str, summary: &'a PaneSummary) -> ProfileJson<'a> {
    let undecoded = [summary.tombstones, total(&summary.not_decoded), total(&summary.decode_failures)];
    let listed = summary.fields.iter().filter(|f| f.path != "$" || f.object != f.present);
    ProfileJson {
        version: 1,
        source,
        records: summary.read,
        documents: undecoded.iter().fold(summary.examined, |n, &m| n.saturating_sub(m)),
        decode_failures: counts(&summary.decode_failures),
        not_decoded: counts(&summary.not_decoded),
        tombstones: summary.tombstones,
        duplicate_keys: summary.duplicate_keys,
        fields: listed.map(field).collect(),
        folded_values: summary.folded_values,
        segments: Vec::new(),
        sketches: None,
    }
}

/// A part of it.
pub fn segment<'a>(segment: &'a str, summary: &'a PaneSummary) -> SegmentJson<'a> {
    let ProfileJson { records, documents, fields, folded_values, .. } = profile(segment, summary);
    SegmentJson { segment, records, documents, fields, folded_values }
}

/// The same with the sketches.
pub fn with_sketches<'a>(profile: ProfileJson<'a>, summary: &'a PaneSummary) -> ProfileJson<'a> {
    ProfileJson {
        sketches: Some(SketchesJson { hash_version: HASH_VERSION, fields: &summary.fields }),
        ..profile
    }
}

fn counts(list: &[ReasonCount]) -> BTreeMap<&str, u64> {
    list.iter().map(|r| (r.reason.as_str(), r.count)).collect()
}

/// One field.
pub fn field(f: &FieldSummary) -> FieldJson<'_> {
    FieldJson {
        path: &f.path,
        records: f.records,
        missing: f.missing(),
        null: f.null,
        empty: f.empty,
        types: TypesJson {
            integer: f.integer,
            number: f.number,
            string: f.string,
            boolean: f.boolean,
            object: f.object,
            array: f.array,
        },
        numeric: f.numeric.as_ref().map(numeric),
        text: f.text.filter(|t| t.count > 0).map(|t| TextJson {
            length_min: t.length_min,
            length_max: t.length_max,
            length_mean: t.length_sum as f64 / t.count as f64,
        }),
        boolean: (f.boolean > 0)
            .then(|| BooleanJson { r#true: f.truthy, r#false: f.boolean.saturating_sub(f.truthy) }),
        formats: (!f.formats.is_empty())
            .then(|| FormatsJson { of: f.texts_seen, counts: counts(&f.formats) }),
        times: f.times().map(times),
        distinct: f.distinct_estimate(),
        top: f
            .top(TOP_SHOWN)
            .into_iter()
            .map(|v| TopJson { value: &v.value, count: v.count, error: v.error })
            .collect(),
        top_floor: f.top.as_ref().map_or(0, |top| top.floor),
    }
}

fn numeric(n: &NumericSummary) -> NumericJson {
    let known = |x: f64| (n.count > 0).then_some(x);
    NumericJson {
        count: n.count,
        not_finite: n.not_finite,
        min: known(n.min),
        max: known(n.max),
        mean: known(n.mean),
        stddev: n.stddev(),
        quantiles: QuantilesJson {
            p01: n.quantile(0.01),
            p05: n.quantile(0.05),
            p25: n.quantile(0.25),
            p50: n.quantile(0.5),
            p75: n.quantile(0.75),
            p95: n.quantile(0.95),
            p99: n.quantile(0.99),
        },
        relative_error: RELATIVE_ERROR,
    }
}

fn times(t: &TimeSummary) -> TimesJson<'_> {
    TimesJson {
        count: t.count,
        forms: counts(&t.forms),
        first: rfc3339(t.first_ms),
        last: rfc3339(t.last_ms),
        age: t.age.as_ref().map(numeric),
    }
}

/// `None` for years that RFC 3339 cannot write.
fn rfc3339(ms: i64) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_millis(ms).filter(|at| (0..=9_999).contains(&at.year()))?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
