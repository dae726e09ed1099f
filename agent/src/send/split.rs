//! Reports that are too large for one body become several. Pure.

use checks::report::{Pane, Report, SegmentTally, Uniqueness};
use prost::Message;

/// Splits a report so that each part is at most `bytes_max` when encoded. What the positions cover
/// must have arrived before them: they stand in the last part alone, as do the skipped ranges and
/// the agent's figures; the parts before it carry the time of the report before (`as_of_before`).
pub(crate) fn split(mut report: Report, bytes_max: usize, as_of_before: i64) -> Vec<Report> {
    if report.encoded_len() <= bytes_max {
        return vec![report];
    }
    let panes = std::mem::take(&mut report.panes);
    let sightings = std::mem::take(&mut report.sightings);
    let skipped = std::mem::take(&mut report.skipped);
    let empty = Report { as_of_ms: as_of_before, topics: Vec::new(), agent_stats: None, ..report.clone() };
    // What positions take stays together; it is small (some 20 bytes a partition).
    let room = bytes_max.saturating_sub(empty.encoded_len() + 128).max(1);
    let mut parts = Vec::new();
    let mut part = empty.clone();
    let mut used = 0;
    let mut fit = |part: &mut Report, used: &mut usize, bytes: usize| {
        if *used > 0 && *used + bytes > room {
            parts.push(std::mem::replace(part, empty.clone()));
            *used = 0;
        }
        *used += bytes;
    };
    for pane in panes {
        let pane = trim(pane, room);
        fit(&mut part, &mut used, pane.encoded_len() + 8);
        part.panes.push(pane);
    }
    for sighting in sightings {
        fit(&mut part, &mut used, sighting.encoded_len() + 8);
        part.sightings.push(sighting);
    }
    for range in skipped {
        fit(&mut part, &mut used, range.encoded_len() + 8);
        part.skipped.push(range);
    }
    if used > 0 {
        parts.push(part);
    }
    parts.push(report);
    parts
}

/// Folds fields away, the last by path first, until the pane fits: a topic of very many fields is
/// profiled in part, never lost. What is folded is counted. Then samples of values shrink, and segments
/// are told together, the widest rule's first.
fn trim(mut pane: Pane, bytes_max: usize) -> Pane {
    // The count of what is folded takes some bytes itself.
    let mut bytes = pane.encoded_len() + 24;
    if let Some(summary) = &mut pane.summary {
        while bytes > bytes_max
            && let Some(field) = summary.fields.pop()
        {
            bytes = bytes.saturating_sub(field.encoded_len() + 2);
            summary.folded_values += field.present;
        }
        while bytes > bytes_max
            && let Some(largest) = summary
                .rules
                .iter_mut()
                .filter_map(|tally| tally.uniqueness.as_mut())
                .max_by_key(|u| u.hashes.len())
            && largest.hashes.len() > 1
        {
            let before = largest.encoded_len();
            thin(largest);
            bytes = bytes.saturating_sub(before - largest.encoded_len());
        }
        while bytes > bytes_max
            && let Some(largest) = summary
                .rules
                .iter_mut()
                .filter_map(|tally| tally.keyed.as_mut())
                .max_by_key(|keyed| keyed.encoded_len())
            && largest.keys.len() > 1
        {
            let before = largest.encoded_len();
            largest.thin();
            bytes = bytes.saturating_sub(before.saturating_sub(largest.encoded_len()));
        }
        while bytes > bytes_max
            && let Some(widest) =
                summary.rules.iter_mut().filter(|t| t.segments.len() > 1).max_by_key(|t| t.segments.len())
        {
            let before = widest.encoded_len();
            let mut rest = SegmentTally::default();
            std::mem::take(&mut widest.segments).iter().for_each(|segment| rest.merge(segment));
            widest.segments.push(rest);
            bytes = bytes.saturating_sub(before.saturating_sub(widest.encoded_len()));
        }
    }
    pane
}

/// Halves a sample of values the way it shrinks by itself: only the lower hashes stay, with their
/// exact counts, below a lower threshold.
fn thin(uniqueness: &mut Uniqueness) {
    let half = uniqueness.hashes.len() / 2;
    if let Some(threshold) = uniqueness.hashes.get(half) {
        uniqueness.threshold = uniqueness.threshold.min(*threshold);
    }
    uniqueness.hashes.truncate(half);
    uniqueness.counts.truncate(half);
}

#[cfg(test)]
mod tests {
    use super::*;
    use checks::report::{FieldSummary, PaneSummary, Sighting, SkippedRange, TopicProgress};

    fn report(panes: usize, fields: usize) -> Report {
        let field = |i: usize| FieldSummary {
            path: format!("$.field_{i:06}"),
            present: 3,
            ..FieldSummary::default()
        };
        let pane = |i: usize| Pane {
            topic: "orders".into(),
            start_ms: i as i64,
            summary: Some(PaneSummary { fields: (0..fields).map(field).collect(), ..PaneSummary::default() }),
            ..Pane::default()
        };
        Report {
            as_of_ms: 200,
            panes: (0..panes).map(pane).collect(),
            sightings: vec![Sighting { trace_id: vec![1; 16], ..Sighting::default() }; 50],
            skipped: vec![SkippedRange { topic: "orders".into(), to: 7, ..SkippedRange::default() }; 50],
            topics: vec![TopicProgress { topic: "orders".into(), ..TopicProgress::default() }],
            ..Report::default()
        }
    }

    #[test]
    fn positions_come_last_and_nothing_is_lost() {
        let whole = report(40, 20);
        let parts = split(whole.clone(), 4_096, 100);
        assert!(parts.len() > 2);
        let (last, before) = parts.split_last().expect("parts");
        assert_eq!((last.topics.len(), last.as_of_ms), (1, 200));
        for part in before {
            assert!(part.encoded_len() <= 4_096, "{}", part.encoded_len());
            assert_eq!((part.topics.len(), part.as_of_ms), (0, 100));
        }
        let panes: Vec<_> = parts.iter().flat_map(|p| p.panes.clone()).collect();
        assert_eq!(panes, whole.panes);
        assert_eq!(parts.iter().map(|p| p.sightings.len()).sum::<usize>(), 50);
        assert_eq!(parts.iter().map(|p| p.skipped.len()).sum::<usize>(), 50);
    }

    #[test]
    fn values_too_many_for_a_report_become_a_smaller_sample() {
        let mut whole = report(1, 0);
        let uniqueness = Uniqueness {
            threshold: u64::MAX,
            hashes: (0..1_000).map(|i| i << 32).collect(),
            counts: vec![2; 1_000],
        };
        let tally = checks::report::RuleTally { uniqueness: Some(uniqueness), ..Default::default() };
        whole.panes[0].summary.as_mut().expect("a summary").rules.push(tally);
        let parts = split(whole, 4_096, 0);
        let kept =
            parts[0].panes[0].summary.as_ref().and_then(|s| s.rules[0].uniqueness.as_ref()).expect("kept");
        assert!(parts[0].encoded_len() <= 4_096);
        assert_eq!((kept.threshold, kept.hashes.len(), kept.counts.len()), (250 << 32, 250, 250));
    }

    #[test]
    fn segments_too_many_for_a_report_are_told_together() {
        let mut whole = report(1, 0);
        let one = |i: u64| SegmentTally { segment: format!("s{i:04}"), checked: i, ..Default::default() };
        let tally = checks::report::RuleTally { segments: (0..250).map(one).collect(), ..Default::default() };
        let rules = &mut whole.panes[0].summary.as_mut().expect("a summary").rules;
        rules.extend([tally.clone(), tally]);
        let parts = split(whole, 4_096, 0);
        assert!(parts[0].encoded_len() <= 4_096);
        let rules = &parts[0].panes[0].summary.as_ref().expect("a summary").rules;
        let checked = |at: usize| rules[at].segments.iter().map(|s| s.checked).sum::<u64>();
        assert_eq!((checked(0), checked(1)), (31_125, 31_125));
    }

    #[test]
    fn a_small_report_stays_whole() {
        let whole = report(1, 1);
        assert_eq!(split(whole.clone(), 1 << 20, 0), [whole]);
    }

    #[test]
    fn a_pane_too_large_by_itself_folds_its_last_fields() {
        let parts = split(report(1, 1_000), 4_096, 0);
        let summary = parts[0].panes[0].summary.as_ref().expect("a summary");
        assert!(parts[0].encoded_len() <= 4_096);
        assert!(summary.fields.len() > 50);
        assert_eq!(summary.folded_values, 3 * (1_000 - summary.fields.len() as u64));
        assert_eq!(summary.fields[0].path, "$.field_000000");
    }
}
