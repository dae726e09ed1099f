//! Between the state and the judge.

use checks::events::Events;
use checks::judge;
use checks::judge::past::History;
use checks::redact::Redaction;
use checks::report::PaneSummary;
use checks::rules::{Metric, Rule, Sample};
use checks::verdict::{Status, Verdict};

/// What a verdict depends on beside the window.
pub(crate) struct Moment<'a> {
    /// Stream time, ms.
    pub(crate) now_ms: i64,
    pub(crate) last_record_ms: Option<i64>,
    pub(crate) sample: Sample,
    /// What must not be shown.
    pub(crate) redact: &'a Redaction,
    pub(crate) past: &'a History,
    /// Windows that are no past.
    pub(crate) events: &'a Events,
    /// Windows are sessions.
    pub(crate) sessions: bool,
    /// What the patterns see before the window.
    pub(crate) lead: Option<&'a PaneSummary>,
}

/// The verdict of a rule on a window.
pub(crate) fn judge(
    rule: &Rule,
    summary: &PaneSummary,
    from_ms: i64,
    to_ms: i64,
    moment: &Moment<'_>,
) -> Verdict {
    let history = moment.past.of(rule, from_ms, moment.events);
    let window = judge::Window { from_ms, to_ms, summary };
    let context = judge::Context {
        now_ms: moment.now_ms,
        last_record_ms: moment.last_record_ms,
        history: &history,
        sample: moment.sample,
        lead: moment.lead,
        counterpart: None,
        redact: Some(moment.redact),
        sessions: moment.sessions,
    };
    judge::judge(rule, &window, &context)
}

/// Is it judged when a window ends? Others have times of their own.
pub(crate) fn goes_by_window(rule: &Rule) -> bool {
    !matches!(rule.metric, Metric::Freshness | Metric::Ratio { .. })
}

/// Does it go by tallies that an agent made with its own copy of the rule?
pub(crate) fn goes_by_tally(rule: &Rule) -> bool {
    !matches!(
        rule.metric,
        Metric::RowCount | Metric::Freshness | Metric::DecodeFailures | Metric::Ratio { .. }
    )
}

/// A verdict that nothing can be said.
pub(crate) fn unknown(message: &str, from_ms: i64, to_ms: i64) -> Verdict {
    Verdict { from_ms, to_ms, ..Verdict::without(Status::Unknown, message) }
}
