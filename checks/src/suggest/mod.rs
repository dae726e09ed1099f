//! A check file suggested from what was seen: what `tapline init` prints.
//!
//! A suggestion must hold on the next sample of the same stream. So nothing is claimed that was seen
//! in a few records alone, every share has room for chance (the upper end of its interval), and what
//! is claimed of values (a range, a list, uniqueness) must have held in the later part of the data
//! after being learnt from the earlier one.

mod fixtures;
mod survey;
mod write;

use crate::report::{FieldSummary, PaneSummary};
use crate::rules::{FieldPath, Step};
use crate::stats::wilson;

pub use survey::Survey;
pub use write::check_file;

/// Records that any claim needs.
const RECORDS_MIN: u64 = 30;
/// Values that a claim about values needs, in the earlier and later part each.
const VALUES_MIN: u64 = 100;
/// Values of a list: more are no list.
const LIST_MAX: usize = 20;
/// How often each value of a list must have been seen: rarer ones have brothers not seen yet.
const LIST_COUNT_MIN: u64 = 10;
/// Values that uniqueness must have been seen in.
const UNIQUE_MIN: u64 = 500;
/// A field that lacks more than this has no usual presence.
const ABSENT_MAX: f64 = 0.25;
/// Fields that checks are suggested for: those nearest to the document first.
const FIELDS_MAX: usize = 40;
/// Level of the intervals that thresholds are the upper ends of.
const CERTAIN: f64 = 0.9999;

/// A check to write.
#[derive(Clone, Debug, PartialEq)]
struct Suggestion {
    id: String,
    /// What was seen, as a comment.
    seen: String,
    metric: &'static str,
    field: Option<FieldPath>,
    arguments: Option<Arguments>,
    /// Percent.
    less_than: f64,
}

/// Of `invalidValues`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Arguments {
    value_type: Option<&'static str>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    /// As JSON.
    values: Vec<String>,
    length: Option<(u64, u64)>,
}

/// The checks that the data bears out.
fn suggest(survey: &Survey) -> Vec<Suggestion> {
    let (early, late) = survey.halves();
    let mut all = early.clone();
    all.merge(&late);
    let mut out = Vec::new();
    let tried = decodes(&all);
    if tried.1 >= RECORDS_MIN {
        let seen = format!("{} of {} values did not decode", tried.0, tried.1);
        out.push(Suggestion {
            id: "decodes".to_owned(),
            seen,
            metric: "decodeFailures",
            field: None,
            arguments: None,
            less_than: room(tried.0, tried.1),
        });
    }
    let mut fields: Vec<(&FieldSummary, FieldPath)> = all
        .fields
        .iter()
        .filter(|field| field.path != "$" && field.records >= RECORDS_MIN)
        .filter_map(|field| Some((field, FieldPath::parse(&field.path).ok()?)))
        // Members of maps have names of their own making.
        .filter(|(_, path)| !path.steps.contains(&Step::AnyKey))
        .collect();
    fields.sort_by_key(|(_, path)| path.steps.len());
    fields.truncate(FIELDS_MAX);
    for (field, path) in fields {
        of_field(field, path, &early, &late, survey, &mut out);
    }
    unique_ids(&mut out);
    out
}

fn decodes(all: &PaneSummary) -> (u64, u64) {
    let failed = crate::merge::total(&all.decode_failures);
    let untried = all.tombstones.saturating_add(crate::merge::total(&all.not_decoded));
    (failed, all.examined.saturating_sub(untried))
}

fn of_field(
    field: &FieldSummary,
    path: FieldPath,
    early: &PaneSummary,
    late: &PaneSummary,
    survey: &Survey,
    out: &mut Vec<Suggestion>,
) {
    let name = id_of(&path);
    let of = |metric, suffix: &str, seen: String, arguments, less_than| Suggestion {
        id: format!("{name}-{suffix}"),
        seen,
        metric,
        field: Some(path.clone()),
        arguments,
        less_than,
    };
    let is_member = matches!(path.steps.last(), Some(Step::Key(_)));
    let share = |n: u64, of: u64| n as f64 / of.max(1) as f64;
    let missing = field.missing();
    // Within elements the denominator is theirs, and documents without any of them are none.
    if is_member && share(missing, field.records) <= ABSENT_MAX {
        let seen = format!("missing from {missing} of {}", field.records);
        out.push(of("missingValues", "present", seen, None, room(missing, field.records)));
    }
    if field.is_container() || field.present == 0 {
        return;
    }
    if is_member && share(field.null, field.records) <= ABSENT_MAX {
        let seen = format!("null in {} of {}", field.null, field.records);
        out.push(of("nullValues", "not-null", seen, None, room(field.null, field.records)));
    }
    let values = field.present.saturating_sub(field.null);
    let (Some(before), Some(after)) = (early.field(&field.path), late.field(&field.path)) else { return };
    if before.scalars() >= VALUES_MIN
        && after.scalars() >= VALUES_MIN
        && let Some((arguments, seen)) = usual(field, before, after)
    {
        out.push(of("invalidValues", "valid", seen, Some(arguments), room(0, values)));
    }
    if let Some(checked) = survey.unique(&field.path).filter(|checked| *checked >= UNIQUE_MIN)
        && missing == 0
        && field.null == 0
    {
        let seen = format!("no copies among {checked} values");
        out.push(of("duplicateValues", "unique", seen, None, room(0, checked)));
    }
}

/// Which values are usual, if the later part agrees with the earlier one.
fn usual(field: &FieldSummary, before: &FieldSummary, after: &FieldSummary) -> Option<(Arguments, String)> {
    let numbers = field.integer.saturating_add(field.number);
    let values = field.present.saturating_sub(field.null);
    let value_type = if numbers == values && field.number > 0 {
        "number"
    } else {
        field.types().into_iter().find(|(n, _)| *n == values).map(|(_, kind)| kind)?
    };
    let typed = Arguments { value_type: Some(value_type), ..Arguments::default() };
    if let Some(list) = list(field, before, after) {
        let seen = format!("{} different values, none of them new in the later part", list.len());
        return Some((Arguments { values: list, ..Arguments::default() }, seen));
    }
    match value_type {
        "integer" | "number" => {
            let (Some(a), Some(b), Some(all)) = (&before.numeric, &after.numeric, &field.numeric) else {
                return None;
            };
            let spread = a.max - a.min;
            let stays = a.not_finite == 0
                && b.not_finite == 0
                && b.min >= a.min - 0.25 * spread
                && b.max <= a.max + 0.25 * spread
                // A counter fills its own range and moves on.
                && !is_moving(before, after);
            let seen = format!("from {} to {}", shown(all.min), shown(all.max));
            let room = (0.5 * (all.max - all.min)).max(all.max.abs() * 0.5).max(1.0);
            let low = if all.min >= 0.0 { 0.0 } else { outward(all.min - room) };
            let at_most = stays.then(|| outward(all.max + room));
            // Nothing below zero is a claim that needs no steady range.
            let at_least = Some(low).filter(|low| stays || *low == 0.0);
            let seen = if stays { seen } else { format!("{seen}, no steady range") };
            Some((Arguments { at_least, at_most, ..typed }, seen))
        }
        "string" => {
            let text = field.text.filter(|text| text.count > 0)?;
            let seen = format!("{} to {} characters", text.length_min, text.length_max);
            let most = outward(text.length_max as f64 * 2.0 + 8.0) as u64;
            let length = Some((u64::from(text.length_min > 0), most));
            Some((Arguments { length, ..typed }, seen))
        }
        _ => Some((typed, format!("always {value_type}"))),
    }
}

/// All values, if they are few, each seen often, and the later part brought no new one.
fn list(field: &FieldSummary, before: &FieldSummary, after: &FieldSummary) -> Option<Vec<String>> {
    if field.number > 0 || field.scalars() != field.present.saturating_sub(field.null) || field.boolean > 0 {
        return None;
    }
    let (all, a, b) = (field.top.as_ref()?, before.top.as_ref()?, after.top.as_ref()?);
    let exact = |top: &crate::report::TopSummary| top.floor == 0 && top.values.iter().all(|v| v.error == 0);
    let known = |value: &str| a.values.iter().any(|v| v.value == value);
    let is_list = exact(all)
        && exact(a)
        && exact(b)
        && (2..=LIST_MAX).contains(&all.values.len())
        && all.values.iter().all(|v| v.count >= LIST_COUNT_MIN && !v.value.contains('…'))
        && b.values.iter().all(|v| known(&v.value));
    // Numbers are a list only where they are codes: few, and far fewer than their range.
    let codes = field.integer == 0 || all.values.len() <= 5;
    (is_list && codes).then(|| all.values.iter().map(|v| as_json(&v.value, field.integer > 0)).collect())
}

/// Top values read as text; numbers and quoted ones are JSON already.
fn as_json(value: &str, is_number: bool) -> String {
    if is_number || (value.starts_with('"') && value.ends_with('"') && value.len() > 1) {
        return value.to_owned();
    }
    serde_json::Value::from(value).to_string()
}

/// Does the later part lie elsewhere than the earlier one?
fn is_moving(before: &FieldSummary, after: &FieldSummary) -> bool {
    let quartiles = |field: &FieldSummary| Some((field.quantile(0.25)?, field.quantile(0.75)?));
    match (quartiles(before), quartiles(after)) {
        (Some((low_a, high_a)), Some((low_b, high_b))) => low_b > high_a || high_b < low_a,
        _ => true,
    }
}

/// The bound, in percent, that a share seen as `hits` of `n` stays below, with room for chance.
fn room(hits: u64, n: u64) -> f64 {
    let [_, high] = wilson(hits, n, CERTAIN);
    rounded_up(high * 100.0 * 1.25).clamp(0.1, 99.0)
}

/// Up to the next of 1, 2, 3, 5 and their powers of ten.
fn rounded_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 3.0, 5.0, 10.0].map(|step| step * power);
    let up = steps.into_iter().find(|step| *step >= value).unwrap_or(value);
    // 3 * 0.1 is not 0.3.
    format!("{up:.6}").parse().unwrap_or(up)
}

/// A round number that is farther from zero.
fn outward(value: f64) -> f64 {
    rounded_up(value.abs()) * value.signum()
}

fn shown(value: f64) -> String {
    format!("{value}")
}

/// An id from a path: `$.customer.email` is `customer-email`.
fn id_of(path: &FieldPath) -> String {
    let mut id = String::new();
    for step in &path.steps {
        let Step::Key(key) = step else { continue };
        if !id.is_empty() {
            id.push('-');
        }
        id.extend(key.chars().map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' => c,
            _ => '-',
        }));
    }
    id.truncate(48);
    if id.is_empty() { "value".to_owned() } else { id }
}

/// Paths that read alike get numbers.
fn unique_ids(suggestions: &mut [Suggestion]) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for suggestion in suggestions {
        let count = seen.entry(suggestion.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            suggestion.id = format!("{}-{count}", suggestion.id);
        }
    }
}

#[cfg(test)]
mod tests;
