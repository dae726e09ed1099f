//! Metrics that count: failed of checked.

use std::borrow::Cow;

use super::segments;
use super::words::{duration_ms, number, reasons, share, too_few, with_unit};
use super::{Context, Found, Window, allowed, by_threshold, changes, every_record, patterns, wholly_beyond};
use crate::merge::total;
use crate::report::{Example, PaneSummary, RuleTally};
use crate::rules::{FieldPath, KeyBy, Metric, Rule, Step, Unit};
use crate::stats::wilson;
use crate::verdict::Status;

/// Level of the interval when the rule sets none.
const CONFIDENCE: f64 = 0.95;

/// What was counted.
pub(super) struct Counts<'a> {
    /// Found among the observed.
    pub(super) failed: u64,
    /// Observed. The shares are of these.
    pub(super) checked: u64,
    /// The observed ones stand for so many each: above 1 when sampled.
    pub(super) weight: f64,
    pub(super) errors: u64,
    /// Keys that had too many records at once to be followed.
    pub(super) overflown: u64,
    pub(super) examples: Cow<'a, [Example]>,
    /// Different values among the failed, of `newValues`.
    pub(super) different: usize,
}

impl Counts<'_> {
    /// Nothing observed.
    pub(super) fn none() -> Self {
        Self {
            failed: 0,
            checked: 0,
            weight: 1.0,
            errors: 0,
            overflown: 0,
            examples: Cow::Borrowed(&[]),
            different: 0,
        }
    }
}

pub(super) fn ratio(rule: &Rule, window: &Window<'_>, ctx: &Context<'_>) -> Found {
    let summary = window.summary;
    let counts = match &rule.metric {
        Metric::NewValues { .. } => changes::new_values(rule, window, ctx),
        metric if metric.pattern().is_some() => {
            every_record(rule, summary, ctx).and_then(|()| patterns::count(rule, window, ctx))
        }
        _ => count(rule, summary, ctx),
    };
    let counts = match counts {
        Ok(counts) => counts,
        Err(why) => return Found::unknown(why),
    };
    if counts.errors > 0
        && let Some(error) = summary.rule(&rule.id).and_then(|tally| evaluated(rule, tally))
    {
        return Found { failed: Some(counts.failed), ..error };
    }
    if counts.checked == 0 {
        return Found { failed: Some(0), checked: Some(0), ..Found::unknown(nothing_checked(rule, summary)) };
    }
    let found = verdict(rule, summary, &counts);
    let segments = segments::judge(rule, summary, counts.weight);
    let mut message = found.message;
    message.extend(segments::most(rule, &segments, counts.failed));
    Found { message, segments, ..found }
}

/// The verdict on what could not be evaluated on half of the records or more; `None` if it could.
pub(super) fn evaluated(rule: &Rule, tally: &RuleTally) -> Option<Found> {
    let RuleTally { checked, errors, .. } = *tally;
    if errors == 0 || errors < checked {
        return None;
    }
    let tried = checked.saturating_add(errors);
    let message = match (&rule.metric, rule.field()) {
        (Metric::FailedRows { expr }, _) => {
            format!("`{expr}` could not be evaluated on {errors} of {tried} records")
        }
        (_, Some(field)) => {
            format!("{} could not be read as a time in {errors} of {tried} records", field.text)
        }
        (metric, None) => format!("{} could not be evaluated on {errors} of {tried} records", metric.name()),
    };
    let examples = tally.examples.clone();
    Some(Found { checked: Some(checked), examples, ..Found::new(Status::Error, message) })
}

/// Is what was examined only a part of what was read, by its file's own wish?
pub(super) fn is_part(summary: &PaneSummary, ctx: &Context<'_>) -> bool {
    let sampled_out = summary.unexamined.iter().any(|r| matches!(r.reason.as_str(), "sample" | "rate"));
    ctx.sample.examine < 1.0 || sampled_out
}

pub(super) fn verdict(rule: &Rule, summary: &PaneSummary, counts: &Counts<'_>) -> Found {
    let confidence = rule.confidence.unwrap_or(CONFIDENCE);
    let shares = wilson(counts.failed, counts.checked, confidence);
    let population = counts.checked as f64 * counts.weight;
    let (value, interval) = match rule.unit {
        Unit::Percent => {
            (counts.failed as f64 * 100.0 / counts.checked as f64, Some(shares.map(|share| share * 100.0)))
        }
        // All were seen: the count is what it is.
        _ if counts.weight <= 1.0 => (counts.failed as f64, None),
        _ => (counts.failed as f64 * counts.weight, Some(shares.map(|share| share * population))),
    };
    let mut status = by_threshold(rule, value);
    let mut message = evidence(rule, summary, counts);
    message.push_str(&allowed(rule, rule.unit));
    if let (Status::Fail, Some(_), Some(threshold), Some(interval)) =
        (status, rule.confidence, rule.threshold, interval)
        && !wholly_beyond(threshold, interval)
    {
        status = Status::Pass;
        message.push_str(&format!(
            "; not certain at {}%: {} to {}",
            number(confidence * 100.0),
            with_unit(interval[0], rule.unit),
            with_unit(interval[1], rule.unit),
        ));
    }
    // What came too late to be examined may be what did not follow.
    let unexamined = total(&summary.unexamined);
    if status == Status::Fail && unexamined > 0 && matches!(rule.metric, Metric::NotFollowedBy { .. }) {
        let least = counts.failed.saturating_sub(unexamined) as f64 * value / counts.failed.max(1) as f64;
        if by_threshold(rule, least) == Status::Pass {
            status = Status::Unknown;
            message.push_str(&format!("; {unexamined} records that were not examined may have followed"));
        }
    }
    if counts.checked < rule.min_records {
        status = Status::Unknown;
        message = too_few(counts.checked, rule.min_records, "records", &message);
    }
    Found {
        status,
        value: Some(value),
        interval,
        failed: Some(counts.failed),
        checked: Some(counts.checked),
        message,
        examples: counts.examples.to_vec(),
        segments: Vec::new(),
    }
}

/// What the metric counts, or why it can't.
fn count<'a>(rule: &Rule, summary: &'a PaneSummary, ctx: &Context<'_>) -> Result<Counts<'a>, String> {
    let weight =
        if summary.examined == 0 { 1.0 } else { summary.read.max(1) as f64 / summary.examined as f64 };
    let of = |failed, checked, examples: &'a [Example]| Counts {
        failed,
        checked,
        weight,
        examples: Cow::Borrowed(examples),
        ..Counts::none()
    };
    Ok(match rule.metric {
        Metric::SchemaViolations => {
            of(summary.schema_violations, summary.schema_checked, &summary.schema_examples)
        }
        Metric::DecodeFailures => {
            let untried = summary.tombstones.saturating_add(total(&summary.not_decoded));
            let tried = summary.examined.saturating_sub(untried);
            of(total(&summary.decode_failures), tried, &summary.decode_examples)
        }
        Metric::DuplicateValues { .. } => return duplicates(rule, summary, ctx),
        _ => match summary.rule(&rule.id) {
            // Errors stand beside the checked: neither pass nor fail.
            Some(tally) => Counts {
                failed: tally.failed,
                checked: tally.checked,
                weight,
                errors: tally.errors,
                examples: Cow::Borrowed(&tally.examples),
                ..Counts::none()
            },
            None => Counts::none(),
        },
    })
}

/// Extra copies across the whole window: exact, or from a uniform sample of the values.
fn duplicates<'a>(rule: &Rule, summary: &'a PaneSummary, ctx: &Context<'_>) -> Result<Counts<'a>, String> {
    every_record(rule, summary, ctx)?;
    let Some((tally, uniqueness)) = summary.rule(&rule.id).and_then(|t| Some((t, t.uniqueness.as_ref()?)))
    else {
        return Ok(Counts::none());
    };
    let (occurrences, copies) = uniqueness.tally();
    let weight = if uniqueness.is_exact() || occurrences == 0 {
        1.0
    } else {
        (tally.checked as f64 / occurrences as f64).max(1.0)
    };
    Ok(Counts {
        failed: copies,
        checked: occurrences,
        weight,
        examples: Cow::Borrowed(&tally.examples),
        ..Counts::none()
    })
}

/// `4 of 120 values of $.amount (3.33%) are invalid`.
fn evidence(rule: &Rule, summary: &PaneSummary, counts: &Counts<'_>) -> String {
    let Counts { failed, checked, errors, .. } = *counts;
    let threshold = rule.threshold.filter(|_| rule.unit == Unit::Percent);
    let share = share(failed as f64 * 100.0 / checked as f64, threshold);
    let of = format!("{failed} of {checked}");
    let mut text = match &rule.metric {
        Metric::OutOfOrder { time } => {
            format!("{of} records ({share}) come after one of a later {} in their partition", time.field.text)
        }
        Metric::MissingValues { field, .. } => {
            format!("{} is missing from {of} {} ({share})", field.text, holders(field))
        }
        Metric::NullValues { field } => {
            format!("{} is null in {of} {} ({share})", field.text, holders(field))
        }
        Metric::InvalidValues { field, .. } => format!("{of} values of {} ({share}) are invalid", field.text),
        Metric::DuplicateValues { field, with } => {
            let mut fields = field.text.clone();
            with.iter().for_each(|field| fields.push_str(&format!(", {}", field.text)));
            format!("{of} values of {fields} ({share}) are copies of another in the window")
        }
        Metric::FailedRows { .. } => format!("{of} records ({share}) do not satisfy {}", metric_source(rule)),
        Metric::SchemaViolations => format!("{of} documents ({share}) do not fit the schema"),
        Metric::DecodeFailures if failed > 0 => {
            format!("{of} values ({share}) could not be decoded ({})", reasons(&summary.decode_failures))
        }
        Metric::DecodeFailures => format!("{of} values ({share}) could not be decoded"),
        Metric::NewValues { field } => changes::evidence(field, &of, &share, counts.different),
        Metric::NotFollowedBy { pattern, .. } => {
            let within = duration_ms(pattern.within_ms);
            format!("{of} records ({share}) were not followed within {within}")
        }
        Metric::TooMany { pattern, most } => {
            let (within, by) = (duration_ms(pattern.within_ms), whose(&pattern.by));
            format!("{of} records ({share}) are beyond {most} of {by} within {within}")
        }
        Metric::RowCount
        | Metric::Freshness
        | Metric::Drift { .. }
        | Metric::SequenceGaps { .. }
        | Metric::Ratio { .. }
        | Metric::FieldsAdded
        | Metric::FieldsRemoved
        | Metric::TypeChanged
        | Metric::Aggregate { .. }
        | Metric::DistinctCount { .. }
        | Metric::Delay { .. }
        | Metric::Lateness { .. } => of,
    };
    if errors > 0 {
        text.push_str(&format!("; on {errors} more it could not be evaluated"));
    }
    if counts.weight > 1.0 {
        let share = with_unit(100.0 / counts.weight, Unit::Percent);
        let what = match rule.metric {
            Metric::DuplicateValues { .. } | Metric::NewValues { .. } => "values",
            Metric::NotFollowedBy { .. } | Metric::TooMany { .. } => "keys",
            _ => "records",
        };
        text.push_str(&format!("; a sample of {share} of the {what}"));
    }
    if counts.overflown > 0 {
        text.push_str(&format!("; {} keys had too many records at once to be followed", counts.overflown));
    }
    text
}

/// What belongs together.
fn whose(by: &KeyBy) -> String {
    match by {
        KeyBy::Key => "one key".to_owned(),
        KeyBy::Partition => "one partition".to_owned(),
        KeyBy::Field(field) => format!("one {field}"),
    }
}

/// What a member can be missing from.
fn holders(field: &FieldPath) -> &'static str {
    let within = field.steps.iter().any(|step| matches!(step, Step::Elements | Step::AnyKey));
    if within { "elements" } else { "records" }
}

fn metric_source(rule: &Rule) -> String {
    match &rule.metric {
        Metric::FailedRows { expr } => format!("`{expr}`"),
        Metric::NotFollowedBy { pattern, then } => format!("`{}` or `{then}`", pattern.when),
        Metric::TooMany { pattern, .. } => format!("`{}`", pattern.when),
        metric => metric.name().to_owned(),
    }
}

/// Why there is nothing to judge, from the outside in.
pub(super) fn nothing_checked(rule: &Rule, summary: &PaneSummary) -> String {
    let (read, examined) = (summary.read, summary.examined);
    if read == 0 {
        return "no record in this window".to_owned();
    }
    if examined == 0 {
        return format!("none of {read} records was examined ({})", reasons(&summary.unexamined));
    }
    let tried = examined.saturating_sub(summary.tombstones);
    if tried == 0 {
        return format!("all of {examined} records examined are tombstones");
    }
    if tried == total(&summary.not_decoded) {
        return format!(
            "no value of {tried} is in a format that is decoded yet ({})",
            reasons(&summary.not_decoded)
        );
    }
    if tried == total(&summary.decode_failures).saturating_add(total(&summary.not_decoded)) {
        return format!("none of {tried} values could be decoded ({})", reasons(&summary.decode_failures));
    }
    match (&rule.metric, rule.field()) {
        (Metric::NotFollowedBy { pattern, .. }, _) => {
            format!("no record of `{}` was due to be followed in this window", pattern.when)
        }
        (Metric::TooMany { pattern, .. }, _) => format!("no record of `{}` in this window", pattern.when),
        (Metric::SchemaViolations, _) => format!("no schema to hold {tried} values against"),
        (_, Some(field)) => format!("no value of {} among {tried} values", field.text),
        _ => format!("nothing checked among {tried} values"),
    }
}
