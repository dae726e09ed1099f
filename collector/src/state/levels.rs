//! Service levels: how fast their error budgets burn.
//!
//! Two windows a speed, as the Site Reliability Workbook has them (chapter 5, "Multiwindow,
//! Multi-Burn-Rate Alerts"): the long one shows that it matters, the short one that it still goes
//! on. The long window burns too fast only if the whole 95% interval of its bad share says so: a
//! handful of events proves nothing.

use std::collections::BTreeMap;

use checks::rules::{Severity, Slo, TopicRules};
use checks::verdict::Status;
use serde_json::json;

use super::evidence::{BAD_MIN, rounded, share_at_least};
use super::findings::{Draft, Findings};
use super::tally::RuleCount;
use super::topic::{MINUTE_MS, Topic};
use crate::view::{Finding, FindingSource};

/// A speed of burning that is a finding.
struct Speed {
    name: &'static str,
    /// Times the speed that would use up the budget exactly.
    factor: f64,
    long_minutes: i64,
    short_minutes: i64,
    severity: Severity,
}

/// 2% of a 30-day budget in an hour; 5% in six.
const SPEEDS: [Speed; 2] = [
    Speed { name: "fast", factor: 14.4, long_minutes: 60, short_minutes: 5, severity: Severity::Error },
    Speed { name: "slow", factor: 6.0, long_minutes: 360, short_minutes: 30, severity: Severity::Warning },
];

/// Looks at the service levels of a topic, up to its watermark.
pub(crate) fn look(topic: &Topic, name: &str, rules: &TopicRules, findings: &mut Findings) -> Vec<Finding> {
    let Some(now_ms) = topic.watermark_ms else { return Vec::new() };
    let mut told = Vec::new();
    for slo in &rules.slos {
        let source = FindingSource::Slo(slo.id.clone());
        let budget = (1.0 - slo.objective).max(f64::EPSILON);
        let burning = SPEEDS.iter().find_map(|speed| {
            let long = events(topic, &slo.good, now_ms, speed.long_minutes);
            let short = events(topic, &slo.good, now_ms, speed.short_minutes);
            let proven =
                long.failed >= BAD_MIN && share_at_least(long.failed, long.checked) > speed.factor * budget;
            (proven && share(short) > speed.factor * budget).then_some((speed, long, short))
        });
        match burning {
            Some((speed, long, short)) => {
                told.extend(
                    findings.raise(now_ms, draft(name, slo, source, speed, budget, long, short, now_ms)),
                );
            }
            None => told.extend(findings.resolve(name, &source, "", now_ms)),
        }
    }
    told
}

fn events(topic: &Topic, rule: &str, now_ms: i64, minutes: i64) -> RuleCount {
    let last = now_ms.div_euclid(MINUTE_MS);
    let mut sum = RuleCount::default();
    for minute in topic.minutes.range(last - minutes + 1..=last).map(|(_, m)| m) {
        if let Some(count) = minute.get(rule) {
            sum.checked = sum.checked.saturating_add(count.checked);
            sum.failed = sum.failed.saturating_add(count.failed);
        }
    }
    sum
}

fn share(events: RuleCount) -> f64 {
    if events.checked == 0 { 0.0 } else { events.failed as f64 / events.checked as f64 }
}

#[allow(clippy::too_many_arguments)]
fn draft(
    topic: &str,
    slo: &Slo,
    source: FindingSource,
    speed: &Speed,
    budget: f64,
    long: RuleCount,
    short: RuleCount,
    now_ms: i64,
) -> Draft {
    let burn = share(long) / budget;
    let evidence = BTreeMap::from([
        ("burn_rate".to_owned(), json!(rounded(burn))),
        ("burn_rate_short".to_owned(), json!(rounded(share(short) / budget))),
        ("speed".to_owned(), json!(speed.name)),
        ("window_minutes".to_owned(), json!(speed.long_minutes)),
        ("bad".to_owned(), json!(long.failed)),
        ("total".to_owned(), json!(long.checked)),
        ("check".to_owned(), json!(slo.good)),
    ]);
    Draft {
        topic: topic.to_owned(),
        source,
        about: String::new(),
        severity: speed.severity,
        status: Status::Fail,
        message: format!(
            "service level {} of {topic} burns its error budget {burn:.1} times too fast: {} of {} events bad within {} minutes, objective {}%",
            slo.id,
            long.failed,
            long.checked,
            speed.long_minutes,
            slo.objective * 100.0
        ),
        value: Some(burn),
        expected: format!("burn rate at most {}", speed.factor),
        evidence,
        from_ms: now_ms - speed.long_minutes * MINUTE_MS,
        to_ms: now_ms,
        examples: Vec::new(),
    }
}
