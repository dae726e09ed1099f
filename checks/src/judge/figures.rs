//! Metrics that are figures of numbers, and the number of different values.
//!
//! `min`, `max`, `sum` and `mean` are exact but for the last rounding to a double, `stddev` to a few
//! units in the last place. A quantile and an estimated number of values lie in an interval; where some
//! values of it would pass and others fail, the verdict is `unknown`.

use super::ratio::{evaluated, is_part, nothing_checked};
use super::words::{number, too_few, with_unit};
use super::{Context, Found, allowed, by_threshold, wholly_beyond};
use crate::profile::RELATIVE_ERROR;
use crate::report::{NumberTally, NumericSummary, PaneSummary, RuleTally, Uniqueness};
use crate::rules::{Function, Metric, Rule, Threshold, Unit};
use crate::verdict::Status;

/// A value, and where it may lie if it is not exact.
struct Figure {
    value: f64,
    interval: Option<[f64; 2]>,
}

/// A figure of a rule's numbers.
pub(super) fn figure(rule: &Rule, function: Function, summary: &PaneSummary, ctx: &Context<'_>) -> Found {
    let empty = RuleTally::default();
    let tally = summary.rule(&rule.id).unwrap_or(&empty);
    if let Some(error) = evaluated(rule, tally) {
        return error;
    }
    if function == Function::Sum && is_part(summary, ctx) {
        return Found::unknown(part(summary, "a sum is only known"));
    }
    let none = NumberTally::default();
    let numbers = tally.numbers.as_ref().unwrap_or(&none);
    let Some(numeric) = numbers.numeric.as_ref().filter(|numeric| numeric.count > 0) else {
        let why = nothing_measured(rule, summary, numbers);
        return Found { checked: Some(0), ..Found::unknown(why) };
    };
    let unit = rule.unit;
    let field = rule.field().map_or("", |field| field.text.as_str());
    let of = match &rule.metric {
        Metric::Delay { .. } => format!("delay from {field} to the record's time"),
        Metric::Lateness { .. } => format!("lateness by {field}"),
        _ => field.to_owned(),
    };
    let what = match function {
        Function::Min => format!("the smallest {of}"),
        Function::Max => format!("the greatest {of}"),
        Function::Mean => format!("the mean of {of}"),
        Function::Stddev => format!("the standard deviation of {of}"),
        Function::Sum => format!("the sum of {of}"),
        Function::Quantile(share) => format!("the {share} quantile of {of}"),
    };
    let what = match (&rule.metric, function) {
        (Metric::Aggregate { .. }, Function::Min | Function::Max) => {
            what.replace("smallest", "smallest value of").replace("greatest", "greatest value of")
        }
        _ => what,
    };
    let Some(found) = read(function, numeric, numbers) else {
        let why = format!("{what} is beyond what a double, or the sketch of the numbers, can hold");
        return Found { checked: Some(numeric.count), ..Found::unknown(why) };
    };
    let mut notes = String::new();
    if numeric.not_finite > 0 {
        notes.push_str(&format!("; {} more are not finite", numeric.not_finite));
    }
    if numbers.skewed > 0 {
        notes.push_str(&format!("; {} more times lie in the future: clocks differ", numbers.skewed));
    }
    if tally.errors > 0 {
        notes.push_str(&format!("; {} more could not be read", tally.errors));
    }
    if summary.read > summary.examined && is_part(summary, ctx) {
        let share = summary.examined as f64 * 100.0 / summary.read as f64;
        notes.push_str(&format!("; a sample of {} of the records", with_unit(share, Unit::Percent)));
    }
    let noun = if unit == Unit::Seconds { "records" } else { "values" };
    let over = format!("over {} {noun}", numeric.count);
    decided(rule, found, &what, &over, &notes, numeric.count)
}

/// How many different values there are.
pub(super) fn distinct(rule: &Rule, summary: &PaneSummary, ctx: &Context<'_>) -> Found {
    if is_part(summary, ctx) {
        return Found::unknown(part(summary, "how many different values there are is only known"));
    }
    let tally = summary.rule(&rule.id);
    let known = tally.and_then(|tally| Some((tally, tally.uniqueness.as_ref()?)));
    let Some((tally, uniqueness)) = known.filter(|(tally, _)| tally.checked > 0) else {
        return Found { checked: Some(0), ..Found::unknown(nothing_checked(rule, summary)) };
    };
    let field = rule.field().map_or("", |field| field.text.as_str());
    let what = format!("the number of different values of {field}");
    let over = format!("over {} values", tally.checked);
    decided(rule, estimate(uniqueness, tally.checked), &what, &over, "", tally.checked)
}

/// Exact, or from the values sampled by hash: their number over the share sampled, two standard errors
/// of a binomial either side.
fn estimate(uniqueness: &Uniqueness, values: u64) -> Figure {
    let kept = uniqueness.hashes.len() as f64;
    if uniqueness.is_exact() {
        return Figure { value: kept, interval: None };
    }
    let share = uniqueness.sampled_share();
    if kept == 0.0 || share <= 0.0 {
        return Figure { value: kept, interval: Some([kept, values as f64]) };
    }
    let most = (values as f64).max(kept);
    let error = 2.0 * ((1.0 - share) / kept).sqrt();
    let value = (kept / share).round().clamp(kept, most);
    let interval = [(value * (1.0 - error)).max(kept), (value * (1.0 + error)).min(most)];
    Figure { value, interval: Some(interval) }
}

fn read(function: Function, numeric: &NumericSummary, numbers: &NumberTally) -> Option<Figure> {
    let exact = |value: f64| value.is_finite().then_some(Figure { value, interval: None });
    let sum = || numbers.sum.as_ref().map_or(0.0, |sum| sum.value());
    match function {
        Function::Min => exact(numeric.min),
        Function::Max => exact(numeric.max),
        Function::Sum => exact(sum()),
        Function::Mean => exact(sum() / numeric.count as f64),
        Function::Stddev => numeric.stddev().and_then(exact),
        Function::Quantile(share) => {
            let value = numeric.quantile(share)?;
            // What may lie in the bin that the value stands for, and a hair for its edges.
            let error = RELATIVE_ERROR * (1.0 + 1e-9);
            let ends = [value / (1.0 + error), value / (1.0 - error)];
            let [low, high] = if value < 0.0 { [ends[1], ends[0]] } else { ends };
            let interval = [low.max(numeric.min), high.min(numeric.max)];
            Some(Figure { value, interval: (interval[0] < interval[1]).then_some(interval) })
        }
    }
}

fn decided(rule: &Rule, figure: Figure, what: &str, over: &str, notes: &str, checked: u64) -> Found {
    let Figure { value, interval } = figure;
    let unit = rule.unit;
    let mut status = by_threshold(rule, value);
    let shown = match rule.threshold {
        // Never "100 fails what must be at most 100" of 100.004.
        Some(threshold) if unit == Unit::Value => super::words::told_apart(value, threshold),
        _ => with_unit(value, unit),
    };
    let mut message = format!("{what} is {shown}");
    if let Some([low, high]) = interval {
        message.push_str(&format!(" ({} to {})", with_unit(low, unit), with_unit(high, unit)));
    }
    message.push_str(&format!(" {over}{notes}{}", allowed(rule, unit)));
    if let (Some(threshold), Some(interval)) = (rule.threshold, interval)
        && !wholly_within(threshold, interval)
        && !wholly_beyond(threshold, interval)
    {
        status = Status::Unknown;
        message.push_str("; it may lie on either side");
    }
    if checked < rule.min_records {
        status = Status::Unknown;
        message = too_few(checked, rule.min_records, "records", &message);
    }
    Found { interval, checked: Some(checked), ..Found::new(status, message) }.with_value(value)
}

/// Is every value of the interval allowed?
fn wholly_within(threshold: Threshold, [low, high]: [f64; 2]) -> bool {
    match threshold {
        Threshold::MustBe(t) => low == t && high == t,
        Threshold::MustNotBe(t) => t < low || high < t,
        Threshold::MustBeGreaterThan(t) => low > t,
        Threshold::MustBeGreaterOrEqualTo(t) => low >= t,
        Threshold::MustBeLessThan(t) => high < t,
        Threshold::MustBeLessOrEqualTo(t) => high <= t,
        Threshold::MustBeBetween(a, b) => a <= low && high <= b,
        Threshold::MustNotBeBetween(a, b) => high < a || b < low,
    }
}

fn part(summary: &PaneSummary, what: &str) -> String {
    format!(
        "{what} when every record is examined; {} of {} were: set sample.examine to 100% and remove sample.at_most",
        summary.examined, summary.read,
    )
}

fn nothing_measured(rule: &Rule, summary: &PaneSummary, numbers: &NumberTally) -> String {
    if numbers.skewed > 0 {
        return format!(
            "all of {} times lie after their record's: clocks differ",
            number(numbers.skewed as f64)
        );
    }
    if matches!(rule.metric, Metric::Delay { .. }) && summary.read > 0 && summary.last_record_ms == 0 {
        return "the data has no record times to measure a delay to".to_owned();
    }
    nothing_checked(rule, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_says_how_wrong_it_may_be() {
        let sampled =
            Uniqueness { threshold: u64::MAX / 4, hashes: (0..10_000).collect(), counts: vec![1; 10_000] };
        let found = estimate(&sampled, 1_000_000);
        assert_eq!(found.value, 40_000.0);
        let [low, high] = found.interval.unwrap();
        assert!((39_000.0..39_500.0).contains(&low) && (40_500.0..41_000.0).contains(&high), "{low} {high}");
        let exact = Uniqueness { threshold: u64::MAX, hashes: vec![1, 2], counts: vec![1, 9] };
        let found = estimate(&exact, 10);
        assert_eq!((found.value, found.interval), (2.0, None));
    }
}
