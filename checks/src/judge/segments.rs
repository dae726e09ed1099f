//! The verdict on each segment, and the one that contributes most.

use super::ratio::{Counts, verdict};
use crate::report::{PaneSummary, SegmentTally};
use crate::rules::Rule;
use crate::verdict::{SegmentVerdict, Status};

/// Segments that a verdict tells apart; the rest is one.
pub const SEGMENTS_SHOWN: usize = 20;
/// What the rest is called.
const OTHER: &str = "other";

/// Those with the most records first (ties by name), the rest last.
pub(super) fn judge(rule: &Rule, summary: &PaneSummary, weight: f64) -> Vec<SegmentVerdict> {
    let Some(tally) = summary.rule(&rule.id).filter(|_| rule.segment_by.is_some()) else { return Vec::new() };
    let size = |s: &SegmentTally| s.checked.saturating_add(s.errors);
    let mut named: Vec<&SegmentTally> = tally.segments.iter().filter(|s| !s.segment.is_empty()).collect();
    named.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.segment.cmp(&b.segment)));
    let beyond = named.split_off(named.len().min(SEGMENTS_SHOWN));
    let mut rest = SegmentTally { segment: OTHER.to_owned(), ..SegmentTally::default() };
    tally.segments.iter().filter(|s| s.segment.is_empty()).chain(beyond).for_each(|s| rest.merge(s));
    let rest = (size(&rest) > 0).then_some(&rest);
    named.into_iter().chain(rest).map(|s| one(rule, summary, s, weight)).collect()
}

fn one(rule: &Rule, summary: &PaneSummary, segment: &SegmentTally, weight: f64) -> SegmentVerdict {
    let SegmentTally { checked, failed, errors, .. } = *segment;
    let of =
        |status, value| SegmentVerdict { segment: segment.segment.clone(), status, value, failed, checked };
    if errors > 0 && errors >= checked {
        return of(Status::Error, None);
    }
    if checked == 0 {
        return of(Status::Unknown, None);
    }
    let found = verdict(rule, summary, &Counts { failed, checked, weight, errors, ..Counts::none() });
    of(found.status, found.value)
}

/// `; most of them where $.country is de: 40 of 52`: of two segments or more, the one with most failures.
pub(super) fn most(rule: &Rule, segments: &[SegmentVerdict], failed: u64) -> Option<String> {
    let by = rule.segment_by.as_ref()?;
    let worst =
        segments.iter().filter(|s| s.failed > 0).reduce(|a, b| if b.failed > a.failed { b } else { a })?;
    if segments.len() < 2 {
        return None;
    }
    let where_ = match worst.segment.as_str() {
        OTHER => format!("in other values of {}", by.text),
        "missing" => format!("where {} is missing", by.text),
        name => format!("where {} is {name}", by.text),
    };
    Some(format!("; {} of {failed} {where_}", worst.failed))
}
