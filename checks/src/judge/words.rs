//! Numbers and bounds as a person reads them at night.

use std::fmt::Display;

use crate::report::ReasonCount;
use crate::rules::{Threshold, Unit};

/// A number with its unit, to three significant digits.
pub(super) fn with_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Rows | Unit::Score | Unit::Value => number(value),
        Unit::Percent => format!("{}%", number(value)),
        Unit::Seconds => duration(value),
    }
}

/// A message of too few: `3 of the 100 records that a verdict needs: …`.
pub(super) fn too_few(seen: u64, needed: impl Display, what: &str, message: &str) -> String {
    format!("{seen} of the {needed} {what} that a verdict needs: {message}")
}

/// A percentage in as many digits as it takes to tell it from the bound that it is held against: never
/// "1% are invalid; allowed: less than 1%" of 1.0033%.
pub(super) fn share(percent: f64, threshold: Option<Threshold>) -> String {
    threshold.map_or_else(
        || with_unit(percent, Unit::Percent),
        |threshold| format!("{}%", told_apart(percent, threshold)),
    )
}

/// A number in as many digits as it takes to tell it from a bound.
pub(super) fn told_apart(value: f64, threshold: Threshold) -> String {
    let [low, high] = threshold.bounds();
    let side = |value: f64| (value.total_cmp(&low), value.total_cmp(&high));
    let told = (3..=15)
        .map(|digits| digits_of(value, digits))
        .find(|text| text.parse().is_ok_and(|shown: f64| side(shown) == side(value)));
    told.unwrap_or_else(|| value.to_string())
}

/// Three significant digits below a thousand, whole above; no trailing zeros.
pub(crate) fn number(value: f64) -> String {
    digits_of(value, 3)
}

fn digits_of(value: f64, significant: i32) -> String {
    let magnitude = value.abs();
    if !magnitude.is_finite() || magnitude == 0.0 {
        return format!("{value}");
    }
    let decimals = (significant - 1 - magnitude.log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The same of milliseconds.
pub(super) fn duration_ms(ms: i64) -> String {
    duration(ms as f64 / 1_000.0)
}

/// `42.5 s`, `7 min 3 s`, `2 h 5 min`, `3 d 4 h`: seconds exactly below a minute.
fn duration(seconds: f64) -> String {
    let whole = seconds.abs().min(1e15) as u64;
    let sign = if seconds < 0.0 { "-" } else { "" };
    let two = |big: u64, unit, small: u64, smaller| match small {
        0 => format!("{sign}{big} {unit}"),
        _ => format!("{sign}{big} {unit} {small} {smaller}"),
    };
    match whole {
        0..60 => format!("{} s", number(seconds)),
        60..3_600 => two(whole / 60, "min", whole % 60, "s"),
        3_600..86_400 => two(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// `allowed: less than 0.1%`.
pub(super) fn allowed(threshold: Threshold, unit: Unit) -> String {
    let show = |value| match unit {
        // As written, not rounded: the value may differ in the fourth digit.
        Unit::Percent => format!("{value}%"),
        Unit::Rows | Unit::Score | Unit::Value => format!("{value}"),
        Unit::Seconds => duration(value),
    };
    let bound = match threshold {
        Threshold::MustBe(t) => format!("exactly {}", show(t)),
        Threshold::MustNotBe(t) => format!("anything but {}", show(t)),
        Threshold::MustBeGreaterThan(t) => format!("more than {}", show(t)),
        Threshold::MustBeGreaterOrEqualTo(t) => format!("at least {}", show(t)),
        Threshold::MustBeLessThan(t) => format!("less than {}", show(t)),
        Threshold::MustBeLessOrEqualTo(t) => format!("at most {}", show(t)),
        Threshold::MustBeBetween(a, b) => format!("{} to {}", show(a), show(b)),
        Threshold::MustNotBeBetween(a, b) => format!("outside of {} to {}", show(a), show(b)),
    };
    format!("allowed: {bound}")
}

/// `not_json: 3, too_deep: 1`: the three most frequent.
pub(super) fn reasons(list: &[ReasonCount]) -> String {
    let mut most: Vec<&ReasonCount> = list.iter().collect();
    most.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    let shown: Vec<String> = most.iter().take(3).map(|r| format!("{}: {}", r.reason, r.count)).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (3.333_333, "3.33"),
            (0.000_123_4, "0.000123"),
            (50.0, "50"),
            (12_345.6, "12346"),
            (99.95, "100"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(number(value), text);
        }
        for (seconds, text) in
            [(0.25, "0.25 s"), (59.0, "59 s"), (300.0, "5 min"), (423.0, "7 min 3 s"), (90_000.0, "1 d 1 h")]
        {
            assert_eq!(with_unit(seconds, Unit::Seconds), text);
        }
        for (percent, bound, text) in [
            (1.003_344, 1.0, "1.003%"),
            (1.0, 1.0, "1%"),
            (0.999_996, 1.0, "0.999996%"),
            (7.641_196, 1.0, "7.64%"),
        ] {
            assert_eq!(share(percent, Some(Threshold::MustBeLessThan(bound))), text);
        }
        assert_eq!(share(100.0 / 3.0, Some(Threshold::MustBeBetween(33.3, 50.0))), "33.33%");
        assert_eq!(allowed(Threshold::MustBeLessThan(0.1), Unit::Percent), "allowed: less than 0.1%");
        assert_eq!(allowed(Threshold::MustBeBetween(1.0, 2.0), Unit::Rows), "allowed: 1 to 2");
    }
}
