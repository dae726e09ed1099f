//! What makes sense alone and not beside the rest of its file: checks that contradict or repeat one
//! another, paths that cannot both be there, segments and counts that are never reached.

use std::collections::HashMap;

use super::bound::beside;
use super::file::metric_span;
use super::{FieldPath, Rule, Sample, Step, Threshold, Unit, Window};
use crate::yaml::{Map, quoted, show_duration_ms};

/// Checks of one measure that are held against each other; a file has 1,000 checks at most.
const ALIKE_MAX: usize = 20;

/// Says what of the rules makes no sense together.
pub(super) fn together(
    file: &Map<'_, '_, '_>,
    rules: &[std::sync::Arc<Rule>],
    segment_by: Option<&FieldPath>,
    sample: Sample,
    window: Window,
) {
    let reader = file.reader();
    if let (Some(field), Some(node)) = (segment_by, file.get("segment_by"))
        && !rules.is_empty()
        && !rules.iter().any(|rule| rule.metric.has_segments())
    {
        let message = format!("no check counts by the segments of {}", quoted(&field.text));
        let help = "`missingValues`, `nullValues`, `invalidValues`, `failedRows`, `schemaViolations` and `outOfOrder` do";
        reader.warning(node.span, message, help);
    }
    let mut alike: Vec<Vec<&Rule>> = Vec::new();
    for rule in rules {
        few_enough(file, rule, sample, window);
        let same = |group: &&mut Vec<&Rule>| group[0].metric == rule.metric && group[0].unit == rule.unit;
        match alike.iter_mut().find(same) {
            Some(group) => {
                group.iter().take(ALIKE_MAX).any(|earlier| clashes(file, earlier, rule));
                group.push(rule);
            }
            None => alike.push(vec![rule]),
        }
    }
    shapes(file, rules);
}

/// More records than are ever examined are waited for in vain.
fn few_enough(file: &Map<'_, '_, '_>, rule: &Rule, sample: Sample, window: Window) {
    let Some(rate) = sample.at_most_per_second else { return };
    let most = rate.saturating_mul(window.size_ms.unsigned_abs().div_ceil(1_000));
    if rule.min_records > most {
        let message = format!(
            "`min_records: {}` is more than `at_most: {rate}/s` lets an agent examine in {}",
            rule.min_records,
            show_duration_ms(window.size_ms)
        );
        let help = format!("write {most} or less, or a longer window: the check would always be unknown");
        file.reader().warning(metric_span(file, rule), message, help);
    }
}

/// Says how a check repeats or contradicts an earlier one of the same measure.
fn clashes(file: &Map<'_, '_, '_>, earlier: &Rule, rule: &Rule) -> bool {
    let (Some(first), Some(second)) = (earlier.threshold, rule.threshold) else { return false };
    let at = metric_span(file, rule);
    if first == second {
        let is_same = (earlier.severity, earlier.for_windows, earlier.min_records, earlier.baseline)
            == (rule.severity, rule.for_windows, rule.min_records, rule.baseline)
            && earlier.confidence == rule.confidence;
        if is_same {
            let message =
                format!("the check says the same as {} in line {}", quoted(&earlier.id), earlier.origin.line);
            file.reader().warning(at, message, "leave one of them out");
        }
        return is_same;
    }
    if passes_both(first, second, rule.unit) {
        return false;
    }
    let message = format!(
        "no value passes this check and {} in line {}: `{second}` and `{first}`",
        quoted(&earlier.id),
        earlier.origin.line
    );
    file.reader().warning(at, message, "mend one of them, or leave it out");
    true
}

/// Is there a value that satisfies both? Decided on both sides of each bound, between them and far
/// away, which is where the answers change.
fn passes_both(first: Threshold, second: Threshold, unit: Unit) -> bool {
    let bounds = || first.bounds().into_iter().chain(second.bounds());
    let between = bounds().flat_map(|a| bounds().map(move |b| f64::midpoint(a, b)));
    let between = between.filter(|value| unit != Unit::Rows || value.fract() == 0.0);
    let beside = bounds().flat_map(|t| beside(t, unit));
    let mut values = beside.chain(between).chain([f64::MIN, f64::MAX]);
    values.any(|value| first.holds(value) && second.holds(value))
}

/// A place that one path takes for an object and another for a list.
fn shapes(file: &Map<'_, '_, '_>, rules: &[std::sync::Arc<Rule>]) {
    let mut seen: HashMap<&[Step], (bool, &Rule)> = HashMap::new();
    for rule in rules {
        let Some(path) = rule.field() else { continue };
        for (at, step) in path.steps.iter().enumerate() {
            let is_list = matches!(step, Step::Elements);
            let (was_list, earlier) = *seen.entry(&path.steps[..at]).or_insert((is_list, rule));
            if was_list == is_list {
                continue;
            }
            let kind = |is_list| if is_list { "a list" } else { "an object" };
            let place = FieldPath::of(path.steps[..at].to_vec());
            let message = format!(
                "{} is {} here and {} in line {}",
                quoted(&place.text),
                kind(is_list),
                kind(was_list),
                earlier.origin.line
            );
            let help = "write `[]` after what is a list: `$.items[].price`";
            file.reader().warning(metric_span(file, rule), message, help);
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_that_exclude_each_other_are_known() {
        use Threshold::*;
        for (first, second, unit, both) in [
            (MustBe(0.0), MustBeGreaterThan(0.0), Unit::Rows, false),
            (MustBeLessThan(5.0), MustBeGreaterThan(3.0), Unit::Rows, true),
            (MustBeLessThan(5.0), MustBeGreaterThan(4.0), Unit::Rows, false),
            (MustBeLessThan(5.0), MustBeGreaterThan(4.0), Unit::Percent, true),
            (MustBeBetween(1.0, 2.0), MustBeBetween(3.0, 4.0), Unit::Value, false),
            (MustBeBetween(1.0, 3.0), MustBeBetween(3.0, 4.0), Unit::Value, true),
            (MustBeBetween(1.0, 9.0), MustNotBeBetween(0.0, 9.0), Unit::Value, false),
            (MustNotBe(0.0), MustBe(0.0), Unit::Seconds, false),
            (MustBeLessThan(1.0), MustBeLessThan(2.0), Unit::Seconds, true),
        ] {
            assert_eq!(passes_both(first, second, unit), both, "{first}, {second}");
            assert_eq!(passes_both(second, first, unit), both, "{second}, {first}");
        }
    }
}
