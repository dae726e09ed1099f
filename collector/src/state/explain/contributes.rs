//! Which segment or partition a finding's figure is made of.

use std::collections::{BTreeMap, VecDeque};

use checks::stats::median;
use checks::verdict::SegmentVerdict;
use serde::Deserialize;

use super::about::{About, Class};
use super::ring::Ring;
use super::{Around, words};
use crate::view::{Contribution, Finding, FindingSource};

/// Parts told of, and the least share of the figure worth it.
const PARTS_MAX: usize = 5;
const SHARE_MIN: f64 = 0.05;
/// Slots since a volume changed that say how it is now.
const NOW_SLOTS: usize = 10;

/// A part of the figure, and of all.
struct Part {
    name: String,
    of_figure: f64,
    of_all: f64,
}

pub(super) fn of(
    finding: &Finding,
    about: &About,
    rings: &BTreeMap<String, Ring>,
    around: &Around<'_>,
) -> Vec<Contribution> {
    let Some(topic) = about.topics.first() else { return Vec::new() };
    let evidence = |name: &str| finding.evidence.get(name).and_then(serde_json::Value::as_str);
    if let Some(told) = finding.evidence.get("segments") {
        let segments = Vec::<SegmentVerdict>::deserialize(told).unwrap_or_default();
        return parts("segment", "failures", of_verdicts(&segments));
    }
    if let FindingSource::Detector(name) = &finding.source {
        let metrics: &[&str] = match name.as_str() {
            "null_values" => &["nullValues"],
            "missing_values" | "renamed_field" => &["missingValues"],
            "types" | "new_value" | "value_shares" | "distribution" => &["invalidValues"],
            _ => &[],
        };
        if let Some(field) = evidence("field").filter(|_| !metrics.is_empty()) {
            let segments = (around.segments)(topic, field, metrics).unwrap_or_default();
            return parts("segment", "failures", of_verdicts(&segments));
        }
        if matches!(name.as_str(), "group_lag" | "group_stuck") {
            return lag(&finding.topic, topic, around);
        }
    }
    let is_volume = about.figures.iter().any(|(_, class, _)| *class == Class::Throughput);
    match rings.get(topic).filter(|_| is_volume) {
        Some(ring) => {
            let segments = ring.segments.iter().map(|(name, line)| (name.clone(), line));
            let partitions = ring.partitions.iter().map(|(id, line)| (id.to_string(), line));
            let mut told = parts("segment", "change", changed(ring, finding.at_ms, segments));
            told.extend(parts("partition", "change", changed(ring, finding.at_ms, partitions)));
            told
        }
        None => Vec::new(),
    }
}

fn of_verdicts(segments: &[SegmentVerdict]) -> Vec<Part> {
    let part = |s: &SegmentVerdict| Part {
        name: s.segment.clone(),
        of_figure: s.failed as f64,
        of_all: s.checked as f64,
    };
    segments.iter().map(part).collect()
}

/// What is missing, or came beyond the usual, part by part.
fn changed<'a>(
    ring: &Ring,
    at_ms: i64,
    lines: impl Iterator<Item = (String, &'a VecDeque<f32>)>,
) -> Vec<Part> {
    let at = ring.slot_of(at_ms);
    let mut parts: Vec<Part> = lines
        .filter_map(|(name, line)| {
            let points = ring.counts(line);
            let values = |from: usize, to: usize| -> Vec<f64> {
                let slots = points.iter().take(to).skip(from);
                slots.flatten().map(|point| point.value).collect()
            };
            let before = median(&mut values(0, at))?;
            let now = median(&mut values(at, at + NOW_SLOTS))?;
            Some(Part { name, of_figure: now - before, of_all: before })
        })
        .collect();
    // Those that went the way of the whole.
    let whole: f64 = parts.iter().map(|part| part.of_figure).sum();
    for part in &mut parts {
        part.of_figure = (part.of_figure * whole.signum()).max(0.0);
    }
    parts
}

fn lag(group: &str, topic: &str, around: &Around<'_>) -> Vec<Contribution> {
    let group = around.cluster.and_then(|cluster| cluster.groups.get(group));
    let Some(places) = group.and_then(|group| group.topics.get(topic)) else { return Vec::new() };
    let part = |(id, place): (i32, crate::cluster::snapshot::GroupPartition)| {
        let lag = place.lag_records?.max(0) as f64;
        Some(Part { name: id.to_string(), of_figure: lag, of_all: 0.0 })
    };
    parts("partition", "lag", places.iter().filter_map(part).collect())
}

/// The most first. One part alone says nothing.
fn parts(by: &str, of: &str, mut parts: Vec<Part>) -> Vec<Contribution> {
    let whole: f64 = parts.iter().map(|part| part.of_figure).sum();
    let all: f64 = parts.iter().map(|part| part.of_all).sum();
    if parts.len() < 2 || whole <= 0.0 {
        return Vec::new();
    }
    parts.sort_by(|a, b| b.of_figure.total_cmp(&a.of_figure).then_with(|| a.name.cmp(&b.name)));
    let told = parts.into_iter().filter(|part| part.of_figure / whole >= SHARE_MIN).take(PARTS_MAX);
    told.map(|part| {
        let share = words::rounded(part.of_figure / whole);
        let of_all = (all > 0.0).then(|| words::rounded(part.of_all / all));
        let name = words::cut(&part.name);
        Contribution {
            sentence: words::part(by, &name, share, of, of_all),
            by: by.to_owned(),
            name,
            share,
            of_all,
        }
    })
    .collect()
}
