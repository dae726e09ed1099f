//! What a value must be: the operator, its bound in the rule's unit, and whether it makes sense.

use super::{Threshold, Unit};
use crate::yaml::{Map, Node, Reader, parse_duration_ms, quoted};

/// The operators, by the Open Data Contract Standard.
pub(crate) const OPERATORS: [&str; 8] = [
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
];

/// The threshold of a check; `None` when there is none, or a wrong one (which has been said).
///
/// `floor` is the lowest value there is, if there is one; `has_most`: a share is one of 100 percent at
/// most.
pub(super) fn read(
    map: &Map<'_, '_, '_>,
    unit: Unit,
    unit_given: bool,
    floor: Option<f64>,
    has_most: bool,
) -> Option<Threshold> {
    let reader = map.reader();
    let mut written = map.entries().iter().filter(|e| OPERATORS.contains(&e.key.text.as_str()));
    let entry = written.next()?;
    if let Some(second) = written.next() {
        let message = format!("more than one operator: `{}` and `{}`", entry.key.text, second.key.text);
        reader.error_help(
            second.key.span,
            message,
            "a check has one; write a range as `mustBeBetween: [a, b]`",
        );
        return None;
    }
    let number = |node| read_bound(reader, node, unit, unit_given, floor, has_most);
    let pair = || -> Option<(f64, f64)> {
        let [low, high] = reader.list(&entry.value)? else {
            reader.expected("two bounds (`[low, high]`)", &entry.value);
            return None;
        };
        let (a, b) = (number(low)?, number(high)?);
        if a > b {
            let message = format!("the bounds are reversed: {a} is above {b}");
            reader.error_help(entry.value.span, message, format!("write `[{b}, {a}]`"));
            return None;
        }
        Some((a, b))
    };
    let threshold = match entry.key.text.as_str() {
        "mustBe" => Threshold::MustBe(number(&entry.value)?),
        "mustNotBe" => Threshold::MustNotBe(number(&entry.value)?),
        "mustBeGreaterThan" => Threshold::MustBeGreaterThan(number(&entry.value)?),
        "mustBeGreaterOrEqualTo" => Threshold::MustBeGreaterOrEqualTo(number(&entry.value)?),
        "mustBeLessThan" => Threshold::MustBeLessThan(number(&entry.value)?),
        "mustBeLessOrEqualTo" => Threshold::MustBeLessOrEqualTo(number(&entry.value)?),
        "mustBeBetween" => pair().map(|(a, b)| Threshold::MustBeBetween(a, b))?,
        _ => pair().map(|(a, b)| Threshold::MustNotBeBetween(a, b))?,
    };
    let senseless = |what: &str| {
        let message = format!("`{threshold}` can never {what}");
        reader.error_help(entry.value.span, message, domain(unit));
    };
    match outcomes(threshold, unit, floor, has_most) {
        (false, _) => senseless("pass"),
        (_, false) => senseless("fail"),
        (true, true) => return Some(threshold),
    }
    None
}

/// What values of the unit there are, for messages.
fn domain(unit: Unit) -> &'static str {
    match unit {
        Unit::Rows => "a number of rows is 0 or more",
        Unit::Percent => "a share is from 0 to 100 percent",
        Unit::Seconds => "an age is 0 or more",
        Unit::Score => "a score is 0 or more",
        Unit::Value => "a number of values, or a spread of them, is 0 or more",
    }
}

fn read_bound(
    reader: &Reader<'_>,
    node: &Node,
    unit: Unit,
    unit_given: bool,
    floor: Option<f64>,
    has_most: bool,
) -> Option<f64> {
    let text = reader.str(node)?;
    let number = match unit {
        Unit::Seconds => match parse_duration_ms(&text) {
            Ok(ms) => ms as f64 / 1_000.0,
            Err(_) if unit_given && text.parse::<f64>().is_ok() => reader.number(node)?,
            Err(_) => return reader.duration_ms(node).map(|ms| ms as f64 / 1_000.0),
        },
        Unit::Percent => {
            match text.strip_suffix('%').and_then(|share| share.trim_end().parse::<f64>().ok()) {
                Some(share) if share.is_finite() => share,
                _ => reader.number(node)?,
            }
        }
        Unit::Rows if text.ends_with('%') => {
            let message = format!("{} is a share, and the unit is rows", quoted(&text));
            reader.error_help(node.span, message, "write `unit: percent` with it");
            return None;
        }
        Unit::Rows | Unit::Score | Unit::Value => reader.number(node)?,
    };
    if unit == Unit::Rows && number.fract() != 0.0 {
        let message = format!("{number} is not a whole number of rows");
        reader.error_help(node.span, message, "for a share write `unit: percent` with it");
        return None;
    }
    if unit == Unit::Percent && has_most && number > 100.0 {
        reader.error_help(node.span, format!("{number} is more than 100 percent"), domain(unit));
        return None;
    }
    if floor.is_some_and(|floor| number < floor) {
        reader.error_help(node.span, format!("{number} is below 0"), domain(unit));
        return None;
    }
    Some(number)
}

/// A bound, and what lies on both sides of it.
pub(super) fn beside(bound: f64, unit: Unit) -> [f64; 3] {
    let step = if unit == Unit::Rows { 1.0 } else { bound.abs().max(1.0) * 1e-9 };
    [bound - step, bound, bound + step]
}

/// Can any value there is pass, and can any fail? Decided at the ends of the unit's values and on
/// both sides of each bound, which is where the answer changes.
pub(super) fn outcomes(threshold: Threshold, unit: Unit, floor: Option<f64>, has_most: bool) -> (bool, bool) {
    let low = floor.unwrap_or(f64::MIN);
    let high = if unit == Unit::Percent && has_most { 100.0 } else { f64::MAX };
    let values = threshold.bounds().into_iter().flat_map(|t| beside(t, unit)).chain([low, high]);
    values.filter(|value| (low..=high).contains(value)).fold((false, false), |(pass, fail), value| {
        let holds = threshold.holds(value);
        (pass || holds, fail || !holds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_can_never_pass_or_fail() {
        use Threshold::*;
        for (threshold, unit, expected) in [
            (MustBe(0.0), Unit::Rows, (true, true)),
            (MustBeGreaterOrEqualTo(0.0), Unit::Rows, (true, false)),
            (MustBeGreaterThan(0.0), Unit::Rows, (true, true)),
            (MustBeLessThan(0.0), Unit::Rows, (false, true)),
            (MustBeLessOrEqualTo(0.0), Unit::Percent, (true, true)),
            (MustBeLessOrEqualTo(100.0), Unit::Percent, (true, false)),
            (MustBeLessThan(100.0), Unit::Percent, (true, true)),
            (MustBeGreaterThan(100.0), Unit::Percent, (false, true)),
            (MustBeGreaterOrEqualTo(100.0), Unit::Percent, (true, true)),
            (MustBeBetween(0.0, 100.0), Unit::Percent, (true, false)),
            (MustNotBeBetween(0.0, 100.0), Unit::Percent, (false, true)),
            (MustBeBetween(0.0, 100.0), Unit::Rows, (true, true)),
            (MustBeLessThan(300.0), Unit::Seconds, (true, true)),
        ] {
            assert_eq!(outcomes(threshold, unit, Some(0.0), true), expected, "{threshold} {unit:?}");
        }
        assert_eq!(outcomes(MustBeLessThan(0.0), Unit::Value, None, true), (true, true));
        assert_eq!(outcomes(MustBeLessThan(0.0), Unit::Value, Some(0.0), true), (false, true));
    }
}
