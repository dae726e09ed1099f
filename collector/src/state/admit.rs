//! Which reports are taken at all: everything in them is a peer's word.

use checks::report::{HASH_VERSION, REPORT_VERSION, Report};

use super::tally::Tally;

/// Longest name of an agent or topic, in bytes (Kafka's own bound on topics).
const NAME_BYTES_MAX: usize = 249;
/// Longest pane, ms.
const PANE_MS_MAX: i64 = 24 * 3_600_000;
/// Topics that one agent may hold.
const TOPICS_MAX: usize = 10_000;
/// How far ahead of ours an agent's clock may be, ms: a watermark never goes back, so one from the
/// far future would keep every window closed for ever.
const AHEAD_MS_MAX: i64 = 24 * 3_600_000;
/// Latest time that is taken for one, ms: the year 9999.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Why a report was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From a bounded set: the label of `refused_total`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

fn refusal(reason: &'static str, message: String) -> Result<(), Refusal> {
    Err(Refusal { reason, message })
}

/// Checks versions, names, times, offsets and counts.
pub(crate) fn check(report: &Report, cluster: &str, now_ms: i64) -> Result<(), Refusal> {
    if report.version != REPORT_VERSION {
        let message = format!(
            "report of agent {:?} has version {}, this collector reads version {REPORT_VERSION}: run the same version of Tapline on both sides",
            cut(&report.agent),
            report.version
        );
        return refusal("version", message);
    }
    if report.hash_version != HASH_VERSION {
        let message = format!(
            "report of agent {:?} has hash version {}, this collector reads {HASH_VERSION}: run the same version of Tapline on both sides",
            cut(&report.agent),
            report.hash_version
        );
        return refusal("version", message);
    }
    if report.agent.is_empty() || report.agent.len() > NAME_BYTES_MAX {
        return refusal(
            "agent",
            format!("an agent's name has 1 to {NAME_BYTES_MAX} bytes, this one has {}", report.agent.len()),
        );
    }
    if report.cluster != cluster {
        let message = format!(
            "agent {:?} reports on cluster {:?}, this collector is for {cluster:?}: set cluster.name alike on both sides",
            report.agent,
            cut(&report.cluster)
        );
        return refusal("cluster", message);
    }
    if report.sequence == 0 || !plausible_time(report.as_of_ms) {
        return refusal(
            "invalid",
            format!("agent {:?}: sequence {} as of {} ms", report.agent, report.sequence, report.as_of_ms),
        );
    }
    if report.as_of_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
        let message = format!(
            "the clock of agent {:?} is {} s ahead of the collector's: set the clocks right",
            report.agent,
            report.as_of_ms.saturating_sub(now_ms) / 1_000
        );
        return refusal("clock", message);
    }
    if report.topics.len() > TOPICS_MAX {
        let message =
            format!("agent {:?} holds {} topics, more than {TOPICS_MAX}", report.agent, report.topics.len());
        return refusal("invalid", message);
    }
    let names = report.panes.iter().map(|p| &p.topic).chain(report.topics.iter().map(|t| &t.topic));
    for topic in names.chain(report.skipped.iter().map(|s| &s.topic)) {
        if topic.is_empty() || topic.len() > NAME_BYTES_MAX {
            return refusal("invalid", format!("agent {:?}: topic {:?}", report.agent, cut(topic)));
        }
    }
    check_panes(report)?;
    for s in &report.skipped {
        if s.from < 0 || s.to < s.from || s.partition < 0 {
            let message = format!(
                "agent {:?}, topic {:?}, partition {}: skipped offsets {} to {}",
                report.agent, s.topic, s.partition, s.from, s.to
            );
            return refusal("invalid", message);
        }
    }
    for t in &report.topics {
        let bad = t.positions.iter().any(|p| p.next < 0 || p.partition < 0)
            || (t.watermark_ms != i64::MIN && !plausible_time(t.watermark_ms))
            || t.watermark_ms > report.as_of_ms.saturating_add(AHEAD_MS_MAX);
        if bad {
            return refusal(
                "invalid",
                format!("agent {:?}, topic {:?}: impossible watermark or position", report.agent, t.topic),
            );
        }
    }
    for s in &report.sightings {
        if s.trace_id.len() != 16 || !plausible_time(s.record_ms) || !plausible_time(s.arrival_ms) {
            return refusal(
                "invalid",
                format!("agent {:?}, topic {:?}: malformed sighting", report.agent, cut(&s.topic)),
            );
        }
    }
    Ok(())
}

fn check_panes(report: &Report) -> Result<(), Refusal> {
    for pane in &report.panes {
        let place = || {
            format!(
                "agent {:?}, topic {:?}, pane {} to {} ms",
                report.agent, pane.topic, pane.start_ms, pane.end_ms
            )
        };
        if !plausible_time(pane.start_ms)
            || pane.end_ms <= pane.start_ms
            || pane.end_ms - pane.start_ms > PANE_MS_MAX
        {
            return refusal("invalid", format!("{}: impossible times", place()));
        }
        if pane.ranges.iter().any(|r| r.first < 0 || r.next < r.first || r.partition < 0) {
            return refusal("invalid", format!("{}: impossible offsets", place()));
        }
        if pane.ranges.iter().any(|r| r.records > r.next.abs_diff(r.first)) {
            return refusal("invalid", format!("{}: more records than offsets", place()));
        }
        if pane.summary.as_ref().is_some_and(Tally::implausible) {
            return refusal("invalid", format!("{}: a count above 2^48", place()));
        }
    }
    Ok(())
}

fn plausible_time(ms: i64) -> bool {
    (-TIME_MS_MAX..=TIME_MS_MAX).contains(&ms)
}

/// The beginning of a name, for messages.
fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}
