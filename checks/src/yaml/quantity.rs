//! Numbers with units: `30s`, `20%`, `8MiB`, `2000/s`.

/// What is wrong with a quantity, and how one is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QuantityError {
    /// What is wrong.
    pub message: String,
    /// How it is written.
    pub help: &'static str,
}

fn error(message: impl Into<String>, help: &'static str) -> QuantityError {
    QuantityError { message: message.into(), help }
}

/// Digits before anything else, with an optional fraction, and what follows them.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    Some((number.parse().ok()?, unit.trim()))
}

/// A duration in milliseconds: `500ms`, `30s`, `5m`, `1h`, `30d`, whole or with a fraction
/// (`1.5h`).
///
/// # Errors
/// No number, no unit or another one, not a whole number of milliseconds, over 100 years.
pub fn parse_duration_ms(text: &str) -> Result<i64, QuantityError> {
    const HELP: &str = "a duration is a number and a unit: `500ms`, `30s`, `5m`, `1h` or `30d`";
    const YEARS_100_MS: f64 = 100.0 * 365.25 * 86_400_000.0;
    let (number, unit) = split(text).ok_or_else(|| error("not a duration", HELP))?;
    let factor = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "" if number == 0.0 => 1.0,
        "" => return Err(error("a duration without a unit", HELP)),
        _ => return Err(error("a duration with an unknown unit", HELP)),
    };
    let ms = number * factor;
    if ms > YEARS_100_MS {
        return Err(error("a duration of more than 100 years", HELP));
    }
    if (ms - ms.round()).abs() > 1e-6 {
        return Err(error("a duration finer than a millisecond", HELP));
    }
    // Whole and below 2^53, as just checked.
    Ok(ms.round() as i64)
}

/// Milliseconds as a check file writes them: in the largest unit that is whole (`90s`, `5m`).
pub fn show_duration_ms(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    match units.into_iter().find(|(_, factor)| ms % factor == 0) {
        Some((unit, factor)) if ms != 0 => format!("{}{unit}", ms / factor),
        _ => "0s".to_owned(),
    }
}

/// A share, 0 to 1, from `0%` to `100%`.
///
/// # Errors
/// No number, no `%`, over 100.
pub fn parse_percent(text: &str) -> Result<f64, QuantityError> {
    const HELP: &str = "a share is written in percent: `20%`, from 0% to 100%";
    let (number, unit) = split(text).ok_or_else(|| error("not a share", HELP))?;
    match unit {
        // By the decimal point, not by dividing: 99.9% is 0.999 and nothing beside it.
        "%" if number <= 100.0 => {
            let digits = text.trim_end_matches('%').trim_end();
            format!("{digits}e-2").parse().map_err(|_| error("not a share", HELP))
        }
        "%" => Err(error("more than 100%", HELP)),
        _ => Err(error("a share without its `%`", HELP)),
    }
}

/// A number of bytes: `512B`, `64KiB`, `8MiB`, `1GiB` (powers of 1,024), `1kB`, `5MB` (powers of
/// 1,000), or a plain number.
///
/// # Errors
/// No number, another unit, not a whole number of bytes, 2^53 or more.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    const HELP: &str = "a size is a number and a unit: `512B`, `64KiB`, `8MiB`, `1GiB`";
    let (number, unit) = split(text).ok_or_else(|| error("not a size", HELP))?;
    let factor: f64 = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(error("a size with an unknown unit", HELP)),
    };
    let bytes = number * factor;
    if bytes >= 9_007_199_254_740_992.0 || bytes.fract() != 0.0 {
        return Err(error("not a whole number of bytes", HELP));
    }
    Ok(bytes as u64)
}

/// A rate, per second: `2000/s`.
///
/// # Errors
/// No number, no `/s`, not whole, 0, 2^53 or more.
pub fn parse_rate(text: &str) -> Result<u64, QuantityError> {
    const HELP: &str = "a rate is a whole number a second: `2000/s`";
    let (number, unit) = split(text).ok_or_else(|| error("not a rate", HELP))?;
    if unit != "/s" {
        return Err(error("a rate without its `/s`", HELP));
    }
    if number < 1.0 || number.fract() != 0.0 || number >= 9_007_199_254_740_992.0 {
        return Err(error("not a whole number from 1 a second", HELP));
    }
    Ok(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
            ("1.5h", 5_400_000),
            ("0.001s", 1),
            ("0", 0),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "5", "m", "-5s", "5 weeks", ".5s", "5.s", "0.5ms", "1e3s", "99999999d", "1.2.3s"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_sizes_and_rates() {
        assert_eq!(parse_percent("20%"), Ok(0.2));
        assert_eq!(parse_percent("100%"), Ok(1.0));
        assert_eq!(parse_percent("99.9 %"), Ok(0.999));
        assert!(parse_percent("101%").is_err());
        assert!(parse_percent("0.2").is_err());
        assert_eq!(parse_bytes("8MiB"), Ok(8 << 20));
        assert_eq!(parse_bytes("5MB"), Ok(5_000_000));
        assert_eq!(parse_bytes("17"), Ok(17));
        assert!(parse_bytes("0.3B").is_err());
        assert!(parse_bytes("9999999999GiB").is_err());
        assert_eq!(parse_rate("2000/s"), Ok(2000));
        assert!(parse_rate("0/s").is_err());
        assert!(parse_rate("2000").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = (parse_duration_ms(&text), parse_percent(&text), parse_bytes(&text), parse_rate(&text));
        }

        #[test]
        fn whole_units_are_exact(n in 0i64..30_000) {
            proptest::prop_assert_eq!(parse_duration_ms(&format!("{n}d")), Ok(n * 86_400_000));
            proptest::prop_assert_eq!(parse_duration_ms(&format!("{n}ms")), Ok(n));
            proptest::prop_assert_eq!(parse_duration_ms(&show_duration_ms(n)), Ok(n));
        }
    }
}
