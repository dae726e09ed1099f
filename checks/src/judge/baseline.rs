//! Volume against a threshold, and against the topic's own past.

use super::words::{number, share, too_few, with_unit};
use super::{Context, Found, HistoryWindow, Window, allowed, by_threshold};
use crate::rules::{Baseline, Rule, Unit};
use crate::stats::{MAD_TO_SIGMA, median_mad};
use crate::verdict::Status;

/// Windows of the same hour of the week that make a season.
const SEASONAL_MIN: usize = 5;
/// Windows of any hour that make a baseline.
const PREVIOUS_MIN: usize = 12;
const HOUR_MS: i64 = 3_600_000;
const WEEK_HOURS: i64 = 168;

/// Rows are counted from what was read, never from what was examined: 0 is a value like any other.
pub(super) fn row_count(rule: &Rule, window: &Window<'_>, ctx: &Context<'_>) -> Found {
    let rows = window.summary.read;
    let value = rows as f64;
    let status = by_threshold(rule, value);
    let mut found =
        Found::new(status, format!("{rows} records{}", allowed(rule, Unit::Rows))).with_value(value);
    found.checked = Some(rows);
    let Some(baseline) = rule.baseline else { return found };
    let compared = against_the_past(value, baseline, window, ctx);
    // The worse of both; learning is only unknown when the threshold has nothing to say.
    found.status = match (status, compared.status) {
        (Status::Fail, _) | (_, Status::Fail) => Status::Fail,
        (_, Status::Unknown) if rule.threshold.is_some() => status,
        (_, other) => other,
    };
    found.message = format!("{}; {}", found.message, compared.message);
    found
}

/// Records read, of those of another topic in the same window.
pub(super) fn ratio_of_topics(rule: &Rule, of: &str, window: &Window<'_>, ctx: &Context<'_>) -> Found {
    let rows = window.summary.read;
    let Some(others) = ctx.counterpart else {
        return Found::unknown(format!("`{of}` is not read here, or not all of it in this window"));
    };
    if others == 0 {
        return Found::unknown(format!("{rows} records, and no record of `{of}` in this window"));
    }
    let value = rows as f64 * 100.0 / others as f64;
    let said = share(value, rule.threshold);
    let message =
        format!("{rows} records are {said} of the {others} of `{of}`{}", allowed(rule, Unit::Percent));
    let mut found = Found::new(by_threshold(rule, value), message).with_value(value);
    found.checked = Some(others);
    if others < rule.min_records {
        found.status = Status::Unknown;
        found.message = too_few(others, rule.min_records, &format!("records of `{of}`"), &found.message);
    }
    found
}

struct Compared {
    status: Status,
    message: String,
}

fn against_the_past(rows: f64, baseline: Baseline, window: &Window<'_>, ctx: &Context<'_>) -> Compared {
    let earlier = earlier(window, ctx);
    let season: Vec<&HistoryWindow> = match baseline {
        Baseline::Seasonal => earlier.iter().copied().filter(|w| same_season(w, window)).collect(),
        Baseline::Previous => Vec::new(),
    };
    let (chosen, what) = if season.len() >= SEASONAL_MIN {
        (season, "of this hour of the week")
    } else if earlier.len() >= PREVIOUS_MIN {
        (earlier, "before")
    } else {
        let message = format!("learning, {} of {PREVIOUS_MIN} windows", earlier.len());
        return Compared { status: Status::Unknown, message };
    };
    let mut counts: Vec<f64> = chosen.iter().map(|w| w.summary.read as f64).collect();
    let Some((centre, mad)) = median_mad(&mut counts) else {
        return Compared { status: Status::Unknown, message: "nothing to compare with".to_owned() };
    };
    let band = tolerance(centre, mad);
    let (low, high) = ((centre - band).max(0.0), centre + band);
    let status = if low <= rows && rows <= high { Status::Pass } else { Status::Fail };
    let message = format!(
        "usual in {} windows {what}: {}, from {} to {}",
        chosen.len(),
        with_unit(centre, Unit::Rows),
        number(low),
        number(high),
    );
    Compared { status, message }
}

/// Six robust deviations, but never less than a fifth of the centre (small changes of a very steady
/// stream are no news) nor than three times what counting alone makes it vary (Poisson).
fn tolerance(centre: f64, mad: f64) -> f64 {
    (6.0 * MAD_TO_SIGMA * mad).max(0.2 * centre).max(3.0 * centre.sqrt())
}

/// Windows of the same length (sessions: of any) that ended before this one began.
pub(super) fn earlier<'a>(window: &Window<'_>, ctx: &Context<'a>) -> Vec<&'a HistoryWindow> {
    let length = |from: i64, to: i64| to.saturating_sub(from);
    let comparable = |w: &&HistoryWindow| {
        w.to_ms <= window.from_ms
            && (ctx.sessions || length(w.from_ms, w.to_ms) == length(window.from_ms, window.to_ms))
    };
    ctx.history.iter().filter(comparable).collect()
}

/// Of the same hour of the week (in UTC), in an earlier week: the windows just before this one share
/// its hour, but know nothing of its season.
pub(super) fn same_season(earlier: &HistoryWindow, window: &Window<'_>) -> bool {
    let hour = |ms: i64| ms.div_euclid(HOUR_MS);
    let apart = hour(window.from_ms) - hour(earlier.from_ms);
    apart != 0 && apart % WEEK_HOURS == 0
}
