//! Series of fields: the profile of each topic's last window, as far as the budget goes.

use std::fmt;

use checks::report::FieldSummary;

use super::budget::Plan;
use super::family::Out;
use super::labels::{Field, FieldQuantile};
use super::table as t;
use crate::view::View;

/// A longer path has no series (cut short it might be another's).
const PATH_BYTES_MAX: usize = 256;

/// The quantiles written, as label and number.
const QUANTILES: [(&str, f64); 3] = [("0.05", 0.05), ("0.5", 0.5), ("0.95", 0.95)];

/// Writes them; returns how many fields were left out.
pub(super) fn write(out: &mut Out<'_>, cluster: &str, view: &View, plan: &Plan) -> Result<usize, fmt::Error> {
    let mut shown: Vec<(Field<'_>, &FieldSummary)> = Vec::new();
    let mut left_out = 0;
    for (topic, v) in &view.topics {
        let Some(window) = &v.window else { continue };
        let all = &window.summary.fields;
        let mut fields: Vec<&FieldSummary> = all.iter().filter(|f| is_shown(f)).collect();
        fields.sort_by_key(|f| (depth(&f.path), f.path.as_str()));
        fields.dedup_by_key(|f| f.path.as_str());
        fields.truncate(plan.fields_a_topic);
        left_out += all.iter().filter(|f| !is_the_document(f)).count() - fields.len();
        shown.extend(fields.into_iter().map(|f| (Field { cluster, topic, field: &f.path }, f)));
    }
    let each = || shown.iter().copied();
    let ratio = |count: u64, f: &FieldSummary| count as f64 / f.records as f64;
    out.family(&t::FIELD_RECORDS, each().map(|(l, f)| (l, f.records)))?;
    out.family(&t::FIELD_MISSING_RATIO, each().map(|(l, f)| (l, ratio(f.missing(), f))))?;
    out.family(&t::FIELD_NULL_RATIO, each().map(|(l, f)| (l, ratio(f.null, f))))?;
    out.family(&t::FIELD_EMPTY_RATIO, each().map(|(l, f)| (l, ratio(f.empty, f))))?;
    let numbers = || each().filter_map(|(l, f)| Some((l, f.numeric.as_ref().filter(|n| n.count > 0)?)));
    out.family(&t::FIELD_MIN, numbers().map(|(l, n)| (l, n.min)))?;
    out.family(&t::FIELD_MAX, numbers().map(|(l, n)| (l, n.max)))?;
    out.family(&t::FIELD_MEAN, numbers().map(|(l, n)| (l, n.mean)))?;
    out.family(&t::FIELD_STDDEV, numbers().filter_map(|(l, n)| Some((l, n.stddev()?))))?;
    let quantiles = numbers().flat_map(|(Field { cluster, topic, field }, n)| {
        QUANTILES.into_iter().filter_map(move |(quantile, q)| {
            Some((FieldQuantile { cluster, topic, field, quantile }, n.quantile(q)?))
        })
    });
    out.family(&t::FIELD_QUANTILE, quantiles)?;
    let scalars = each().filter(|(_, f)| !f.is_container());
    out.family(&t::FIELD_DISTINCT, scalars.map(|(l, f)| (l, f.distinct_estimate().estimate)))?;
    Ok(left_out)
}

/// The document itself is no field.
fn is_the_document(f: &FieldSummary) -> bool {
    f.path == "$"
}

fn is_shown(f: &FieldSummary) -> bool {
    !is_the_document(f) && f.path.len() <= PATH_BYTES_MAX && f.records > 0
}

/// Steps below the root, near enough: what lies near it is shown first.
fn depth(path: &str) -> usize {
    path.bytes().filter(|b| matches!(b, b'.' | b'[')).count()
}
