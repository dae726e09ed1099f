//! The distribution of a field against earlier windows.

use std::collections::BTreeMap;

use super::baseline::{earlier, same_season};
use super::words::number;
use super::{Context, Found, HistoryWindow, Window, allowed};
use crate::report::{Bin, FieldSummary, NumericSummary, TopSummary};
use crate::rules::{Baseline, Rule, Unit};
use crate::stats::{KS_EFFECT_MIN, PSI_EFFECT_MIN, distance, ks_gate, psi_significance};
use crate::verdict::Status;

/// Windows that a baseline needs.
const WINDOWS_MIN: usize = 3;
/// Windows merged into a baseline: the latest.
const WINDOWS_MAX: usize = 24;
/// Values needed on both sides.
const VALUES_MIN: u64 = 200;
/// Values that are a smaller share on both sides count as one category: too rare to say anything.
const CATEGORY_SHARE_MIN: f64 = 0.01;

/// Fails when the population stability index is both large (the rule's threshold, else 0.1) and
/// significant, and for numbers the Kolmogorov-Smirnov distance too is large and significant: two
/// tests that must agree. The value is the index.
pub(super) fn drift(rule: &Rule, path: &str, window: &Window<'_>, ctx: &Context<'_>) -> Found {
    let windows = chosen(rule, window, ctx);
    if windows.len() < WINDOWS_MIN {
        return Found::unknown(format!("learning, {} of {WINDOWS_MIN} windows", windows.len()));
    }
    let mut baseline = FieldSummary::default();
    windows.iter().filter_map(|w| w.summary.field(path)).for_each(|field| baseline.merge(field));
    let none = FieldSummary::default();
    let current = window.summary.field(path).unwrap_or(&none);
    let numeric = numbers(&baseline).saturating_mul(2) > baseline.scalars();
    let (n, m) = if numeric {
        (numbers(&baseline), numbers(current))
    } else {
        (baseline.scalars(), current.scalars())
    };
    let few = |n: u64| n < VALUES_MIN.max(rule.min_records);
    if few(n) || few(m) {
        let least = VALUES_MIN.max(rule.min_records);
        let message = format!(
            "{m} values of {path} in this window, {n} in the windows before: {least} are needed in both"
        );
        return Found { checked: Some(m), ..Found::unknown(message) };
    }
    let counts = match (&baseline.numeric, &current.numeric, &baseline.top, &current.top) {
        (Some(a), Some(b), ..) if numeric => bins(a, b),
        (.., Some(a), Some(b)) if !numeric => categories((a, n as f64), (b, m as f64)),
        _ => Vec::new(),
    };
    let Some(distance) = distance(&counts, numeric) else {
        let message =
            format!("the values of {path} are all the same, or no value is frequent enough to compare");
        return Found { checked: Some(m), ..Found::unknown(message) };
    };
    let (n, m_values) = (n as f64, m as f64);
    let significant = distance.psi > psi_significance(distance.groups, n, m_values);
    let large = rule.threshold.map_or(distance.psi > PSI_EFFECT_MIN, |t| !t.holds(distance.psi));
    let agreed = !numeric || distance.ks > KS_EFFECT_MIN.max(ks_gate(n, m_values));
    let status = if significant && large && agreed { Status::Fail } else { Status::Pass };
    let verb = if status == Status::Fail { "has shifted" } else { "has not shifted" };
    let threshold = if rule.threshold.is_some() {
        allowed(rule, Unit::Score)
    } else {
        format!("; allowed: at most {PSI_EFFECT_MIN}")
    };
    let message = format!(
        "{path} {verb} against the {} windows before (stability index {}{}){}{threshold}",
        windows.len(),
        number(distance.psi),
        if significant { "" } else { ", within chance" },
        if numeric {
            medians(&baseline, current)
        } else {
            most_changed(&counts_by_value(&baseline, current))
        },
    );
    Found { checked: Some(m), ..Found::new(status, message).with_value(distance.psi) }
}

/// The latest comparable windows; of this hour of the week where the rule wants it and there are
/// enough.
fn chosen<'a>(rule: &Rule, window: &Window<'_>, ctx: &Context<'a>) -> Vec<&'a HistoryWindow> {
    let mut windows = earlier(window, ctx);
    if rule.baseline == Some(Baseline::Seasonal) {
        let season: Vec<_> = windows.iter().copied().filter(|w| same_season(w, window)).collect();
        if season.len() >= WINDOWS_MIN {
            windows = season;
        }
    }
    windows.sort_by_key(|w| std::cmp::Reverse(w.from_ms));
    windows.truncate(WINDOWS_MAX);
    windows
}

fn numbers(field: &FieldSummary) -> u64 {
    field.numeric.as_ref().map_or(0, |n| n.count)
}

/// Counts of both over the sketch's fixed bins, from the smallest value to the largest.
pub(crate) fn bins(a: &NumericSummary, b: &NumericSummary) -> Vec<(f64, f64)> {
    let mut line = BTreeMap::<(i8, i64), (f64, f64)>::new();
    let mut add = |sign: i8, bins: &[Bin], current: bool| {
        for bin in bins {
            let at = line.entry((sign, i64::from(sign) * i64::from(bin.index))).or_default();
            let side = if current { &mut at.1 } else { &mut at.0 };
            *side += bin.count as f64;
        }
    };
    for (side, current) in [(a, false), (b, true)] {
        add(-1, &side.negative, current);
        add(0, &[Bin { index: 0, count: side.zeros }], current);
        add(1, &side.positive, current);
    }
    line.into_values().collect()
}

/// Counts of both by frequent value, and all others as one. Where a count is only known within
/// bounds, the two sides are taken as near to each other as the bounds allow.
pub(crate) fn categories((a, n): (&TopSummary, f64), (b, m): (&TopSummary, f64)) -> Vec<(f64, f64)> {
    let mut bounds = BTreeMap::<&str, [(f64, f64); 2]>::new();
    let floors = [(0.0, a.floor as f64), (0.0, b.floor as f64)];
    for (side, top) in [a, b].into_iter().enumerate() {
        for value in &top.values {
            let count = value.count as f64;
            bounds.entry(&value.value).or_insert(floors)[side] = (count, count + value.error as f64);
        }
    }
    let mut rest = (n, m);
    let mut counts = Vec::new();
    for [(a_low, a_high), (b_low, b_high)] in bounds.into_values() {
        if a_low < CATEGORY_SHARE_MIN * n && b_low < CATEGORY_SHARE_MIN * m {
            continue;
        }
        let share = (b_low / m).min(a_high / n).max(a_low / n);
        let near = share.min(b_high / m).max(b_low / m);
        counts.push((share * n, near * m));
        rest = (rest.0 - share * n, rest.1 - near * m);
    }
    if !counts.is_empty() {
        counts.push((rest.0.max(0.0), rest.1.max(0.0)));
    }
    counts
}

fn medians(baseline: &FieldSummary, current: &FieldSummary) -> String {
    match (baseline.quantile(0.5), current.quantile(0.5)) {
        (Some(before), Some(now)) => format!("; median {} before, {} now", number(before), number(now)),
        _ => String::new(),
    }
}

/// Shares by value: before and now.
fn counts_by_value<'a>(baseline: &'a FieldSummary, current: &'a FieldSummary) -> BTreeMap<&'a str, [f64; 2]> {
    let mut shares = BTreeMap::<&str, [f64; 2]>::new();
    for (side, field) in [baseline, current].into_iter().enumerate() {
        let all = field.scalars().max(1) as f64;
        for value in field.top.iter().flat_map(|top| &top.values) {
            shares.entry(&value.value).or_default()[side] = value.count as f64 / all;
        }
    }
    shares
}

/// The share that changed most. Values stay out of messages: they come from payloads.
fn most_changed(shares: &BTreeMap<&str, [f64; 2]>) -> String {
    let change = |[before, now]: &[f64; 2]| (now - before).abs();
    let most = shares.values().max_by(|a, b| change(a).total_cmp(&change(b)));
    most.map_or_else(String::new, |[before, now]| {
        format!("; one value went from {}% to {}%", number(before * 100.0), number(now * 100.0))
    })
}
