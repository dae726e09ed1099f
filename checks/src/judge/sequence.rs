//! Numbers missing from sequences that go up by one.
//!
//! What was seen of a key is a set of ranges, joined over all panes of the window; what lies between
//! them is missing. A key's first number in the window is where its sequence begins: a gap counts
//! where both its neighbours are in one window. Records that were read but not examined (late ones)
//! may be the missing ones, and a key with very many gaps is known within bounds: a verdict that this
//! would change is `unknown`.

use super::words::{number, share, too_few, with_unit};
use super::{Found, allowed, by_bounds};
use crate::merge::{EXAMPLES_MAX, add_example, between, total};
use crate::redact::{self, HIDDEN};
use crate::report::{Example, KeySeen, Keyed, PaneSummary};
use crate::rules::{FieldPath, KeyBy, Rule, Unit};
use crate::stats::wilson;
use crate::verdict::Status;

/// Level of the interval of a sample.
const CONFIDENCE: f64 = 0.95;

/// The numbers of a field that is hidden are counted and not named.
pub(super) fn gaps(
    rule: &Rule,
    (field, is_hidden): (&FieldPath, bool),
    by: &KeyBy,
    summary: &PaneSummary,
) -> Found {
    let Some((tally, keyed)) = summary.rule(&rule.id).and_then(|t| Some((t, t.keyed.as_ref()?))) else {
        return nothing(format!("no number of {field} in this window"));
    };
    if tally.errors > 0 && tally.errors >= tally.checked {
        let tried = tally.checked.saturating_add(tally.errors);
        let message = format!("{} of {tried} values of {field} are no integers", tally.errors);
        return Found { examples: tally.examples.clone(), ..Found::new(Status::Error, message) };
    }
    if keyed.keys.is_empty() {
        let whose = match by {
            KeyBy::Partition => String::new(),
            by => format!(" with a {}", named(by, 1)),
        };
        return nothing(format!("no number of {field}{whose} among {} records examined", summary.examined));
    }
    let sum = |of: fn(&KeySeen) -> u64| keyed.keys.iter().map(of).fold(0, u64::saturating_add);
    let (certain, hidden, span) = (sum(KeySeen::missing), sum(|key| key.hidden), sum(KeySeen::span));
    // Late records and those there was no memory for.
    let unexamined = total(&summary.unexamined);
    let missing = certain.saturating_add(hidden);
    let bounds = [certain.saturating_sub(unexamined), missing];
    // The followed keys stand for all of them.
    let weight = 1.0 / keyed.share().max(f64::MIN_POSITIVE);
    let in_unit = |count: f64| match rule.unit {
        Unit::Percent => count * 100.0 / span as f64,
        _ => count * weight,
    };
    let value = in_unit(missing as f64);
    let bounds = bounds.map(|count| in_unit(count as f64));
    let mut found = Found::new(by_bounds(rule, bounds), String::new()).with_value(value);
    found.interval = (bounds[0] < bounds[1]).then_some(bounds);
    if weight > 1.0 {
        let shares = wilson(missing, span, rule.confidence.unwrap_or(CONFIDENCE));
        let [low, high] = shares.map(|share| in_unit(share * span as f64));
        found.interval = Some([low.min(bounds[0]), high.max(bounds[1])]);
    }
    (found.failed, found.checked) = (Some(missing), Some(span));
    found.examples = examples(field, is_hidden, keyed);
    let percent =
        share(missing as f64 * 100.0 / span as f64, rule.threshold.filter(|_| rule.unit == Unit::Percent));
    let gappy = keyed.keys.iter().filter(|key| key.missing() + key.hidden > 0).count();
    let (keys, which) = (keyed.keys.len(), named(by, keyed.keys.len()));
    let mut message = format!("{missing} of {span} numbers of {field} ({percent}) are missing");
    if missing > 0 {
        message.push_str(&format!(", in {gappy} of {keys} {which}"));
    }
    message.push_str(&allowed(rule, rule.unit));
    if hidden > 0 {
        message.push_str(&format!("; at least {certain}: very many gaps are not known one by one"));
    }
    if unexamined > 0 && missing > 0 {
        message.push_str(&format!("; {unexamined} records that were not examined may have some of them"));
    }
    if weight > 1.0 {
        let part = with_unit(100.0 / weight, Unit::Percent);
        message.push_str(&format!("; a sample of {part} of the {}", named(by, 2)));
    }
    if tally.errors > 0 {
        message.push_str(&format!("; {} values are no integers", tally.errors));
    }
    if tally.checked < rule.min_records {
        found.status = Status::Unknown;
        message = too_few(tally.checked, number(rule.min_records as f64), "records", &message);
    }
    Found { message, ..found }
}

fn nothing(message: String) -> Found {
    Found { failed: Some(0), checked: Some(0), ..Found::unknown(message) }
}

fn named(by: &KeyBy, count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    match by {
        KeyBy::Key => format!("key{plural}"),
        KeyBy::Partition => format!("partition{plural}"),
        KeyBy::Field(field) => format!("value{plural} of {field}"),
    }
}

/// The first gaps, each at the record after it.
fn examples(field: &FieldPath, is_hidden: bool, keyed: &Keyed) -> Vec<Example> {
    let mut list = Vec::new();
    for pair in keyed.keys.iter().flat_map(|key| key.ranges.windows(2)) {
        let (lower, upper) = (pair[0], pair[1]);
        add_example(&mut list, EXAMPLES_MAX, upper.partition, upper.offset, || {
            let (first, last) = (i128::from(lower.last) + 1, i128::from(upper.first) - 1);
            // The neighbour of a card's number tells it.
            let mut ends = [lower.last, upper.first].into_iter();
            let is_hidden = is_hidden || ends.any(|end| redact::is_sensitive(&end.to_string()));
            match between(&lower, &upper) {
                1 if is_hidden => format!("{field}: 1 number is missing before {HIDDEN}"),
                many if is_hidden => format!("{field}: {many} numbers are missing before {HIDDEN}"),
                1 => format!("{field}: {first} is missing before {}", upper.first),
                _ => format!("{field}: {first} to {last} are missing before {}", upper.first),
            }
        });
    }
    list
}
