//! Hours of the week where people live: seasons follow local time, daylight saving included.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Timelike as _};
use chrono_tz::{TZ_VARIANTS, Tz};

/// Hours of a week.
pub(super) const WEEK_HOURS: u16 = 7 * 24;
/// An hour, ms.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// A time zone of the IANA database, by name (`Europe/Berlin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(Tz);

impl Default for TimeZone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        name.parse().map(Self).map_err(|_| {
            let near = crate::yaml::nearest(name, &TZ_VARIANTS.map(|zone| zone.name()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            format!("no time zone is named {name:?} (as the IANA database has them: \"Europe/Berlin\"){hint}")
        })
    }
}

impl TimeZone {
    /// Hour of the week in local time, 0 being midnight of Monday, and ms into it.
    pub(super) fn hour_of_week(self, ms: i64) -> (u16, i64) {
        let Some(utc) = DateTime::from_timestamp_millis(ms) else { return (0, 0) };
        let local = utc.with_timezone(&self.0);
        let hour = local.weekday().num_days_from_monday() * 24 + local.hour();
        let within = i64::from(local.minute() * 60 + local.second()) * 1_000
            + i64::from(local.timestamp_subsec_millis() % 1_000);
        (hour as u16, within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn nine_on_a_monday_is_nine_in_summer_and_in_winter() {
        let berlin: TimeZone = "Europe/Berlin".parse().unwrap();
        for text in ["2026-01-12T08:00:00Z", "2026-07-13T07:00:00Z"] {
            assert_eq!(berlin.hour_of_week(at(text)), (9, 0), "{text}");
        }
        // The night the clocks go forward has no hour from 2 to 3, the one they go back has two.
        let hours = |from: &str| -> Vec<u16> {
            (0..4).map(|h| berlin.hour_of_week(at(from) + h * HOUR_MS).0 % 24).collect()
        };
        assert_eq!(hours("2026-03-29T00:00:00Z"), [1, 3, 4, 5]);
        assert_eq!(hours("2026-10-25T00:00:00Z"), [2, 2, 3, 4]);
        assert_eq!(berlin.hour_of_week(at("2026-01-12T08:30:00.250Z")), (9, 1_800_250));
        assert_eq!(TimeZone::default().hour_of_week(i64::MAX), (0, 0));
    }

    #[test]
    fn a_zone_that_is_not_there_is_told_with_the_nearest() {
        let error = "Europe/Berlni".parse::<TimeZone>().unwrap_err();
        assert!(error.contains("\"Europe/Berlin\"?"), "{error}");
    }
}
