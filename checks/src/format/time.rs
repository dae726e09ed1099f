//! Dates and times (RFC 3339, 5.6 and 5.7).

/// `full-date`: 2026-02-28.
pub(super) fn is_date(text: &str) -> bool {
    date_ms(text).is_some()
}

/// The same as its beginning in UTC, ms since the epoch.
pub(super) fn date_ms(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let days = (bytes.len() == 10).then(|| date(bytes)).flatten()?;
    Some(days * DAY_MS)
}

const DAY_MS: i64 = 86_400_000;

/// `date-time`: 2026-02-28T23:59:60.5Z. `t` and `z` may be small; a space in place of the `T`, which
/// RFC 3339 leaves to applications, is not taken.
pub(super) fn is_date_time(text: &str) -> bool {
    date_time(text.as_bytes()).is_some()
}

/// The same in ms since the epoch; what is finer is cut off.
pub(super) fn date_time_ms(text: &str) -> Option<i64> {
    date_time(text.as_bytes())
}

/// Days since the epoch.
fn date(bytes: &[u8]) -> Option<i64> {
    let (year, month, day) = (number(bytes, 0..4)?, number(bytes, 5..7)?, number(bytes, 8..10)?);
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then(|| days_since_epoch(year, month, day))
}

/// Howard Hinnant's `days_from_civil` ("chrono-Compatible Low-Level Date Algorithms", 2014): years begin in March.
fn days_since_epoch(year: u32, month: u32, day: u32) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_time(bytes: &[u8]) -> Option<i64> {
    let days = date(bytes)?;
    if !matches!(bytes.get(10), Some(b'T' | b't'))
        || bytes.get(13) != Some(&b':')
        || bytes.get(16) != Some(&b':')
    {
        return None;
    }
    let (hour, minute, second) = (number(bytes, 11..13)?, number(bytes, 14..16)?, number(bytes, 17..19)?);
    let mut rest = bytes.get(19..)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let first = fraction[..digits].iter().chain(b"000").take(3);
        ms = first.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
        rest = &fraction[digits..];
    }
    let offset = offset_minutes(rest)?;
    // A leap second ends a day of UTC.
    let minutes = i64::from(hour) * 60 + i64::from(minute) - offset;
    let most = if minutes.rem_euclid(24 * 60) == 23 * 60 + 59 { 60 } else { 59 };
    let is_one = hour <= 23 && minute <= 59 && second <= most;
    is_one.then(|| days * DAY_MS + (minutes * 60 + i64::from(second)) * 1_000 + ms)
}

/// `Z`, or hours and minutes ahead of UTC.
fn offset_minutes(bytes: &[u8]) -> Option<i64> {
    if matches!(bytes, b"Z" | b"z") {
        return Some(0);
    }
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(bytes, 1..3)?, number(bytes, 4..6)?);
    let well_formed = bytes.len() == 6 && bytes[3] == b':' && hours <= 23 && minutes <= 59;
    well_formed.then_some(sign * (i64::from(hours) * 60 + i64::from(minutes)))
}

#[inline]
fn number(bytes: &[u8], at: std::ops::Range<usize>) -> Option<u32> {
    let (mut number, mut is_one) = (0, true);
    for byte in bytes.get(at)? {
        let digit = byte.wrapping_sub(b'0');
        is_one &= digit < 10;
        number = number * 10 + u32::from(digit);
    }
    is_one.then_some(number)
}
