//! What a finding is about, and what lies next to that.

use std::collections::BTreeMap;

use super::Around;
use crate::view::{Finding, FindingSource, Place};

/// Neighbours looked at.
const TOPICS_MAX: usize = 16;

/// What moved. In order of what may be the cause of what, for what began at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Schema,
    Topic,
    Throughput,
    Decode,
    Violations,
    Field,
    Check,
    Slo,
    Delay,
    GroupMembers,
    GroupState,
    GroupLag,
    Other,
}

/// Topic, class and subject: what has one entry.
pub(super) type Key = (String, Class, String);

/// What a finding is about.
pub(super) struct About {
    pub(super) topics: Vec<String>,
    /// Its own figures: they are the finding, and no explanation of it.
    pub(super) figures: Vec<Key>,
}

/// A text among the evidence.
pub(super) fn evidence<'a>(finding: &'a Finding, name: &str) -> Option<&'a str> {
    finding.evidence.get(name).and_then(serde_json::Value::as_str)
}

impl About {
    pub(super) fn of(finding: &Finding, around: &Around<'_>) -> Self {
        let topic = finding.topic.clone();
        let key = |class, subject: &str| (topic.clone(), class, subject.to_owned());
        let field = evidence(finding, "field").map(|path| key(Class::Field, path));
        let (mut topics, mut figures) = (vec![topic.clone()], Vec::new());
        match &finding.source {
            FindingSource::Check(id) => {
                figures.push(key(Class::Check, id));
                figures.extend(field);
                figures.extend(match evidence(finding, "metric") {
                    Some("rowCount") => Some(key(Class::Throughput, "")),
                    Some("decodeFailures") => Some(key(Class::Decode, "")),
                    Some("schemaViolations") => Some(key(Class::Violations, "")),
                    _ => None,
                });
            }
            FindingSource::Slo(id) => figures.push(key(Class::Slo, id)),
            FindingSource::Detector(name) => match name.as_str() {
                "volume" => figures.push(key(Class::Throughput, "")),
                "decode_failures" => figures.push(key(Class::Decode, "")),
                "pipeline_latency" | "lost_traces" => {
                    let pipeline = around.pipelines.iter().find(|p| p.name == topic);
                    topics = pipeline.map(|p| p.stages.clone()).unwrap_or_default();
                    figures.push(key(Class::Other, name));
                }
                "group_lag" | "group_stuck" | "lost_records" | "commit_ahead_of_end" => {
                    topics = evidence(finding, "topic").map(str::to_owned).into_iter().collect();
                    let of = topics.first().cloned().unwrap_or_default();
                    let class = if name.starts_with("group_") { Class::GroupLag } else { Class::Other };
                    let subject = if class == Class::GroupLag { topic.clone() } else { name.clone() };
                    figures.push((of, class, subject));
                }
                _ => figures.push(field.unwrap_or_else(|| key(Class::Other, name))),
            },
        }
        topics.retain(|name| !name.is_empty());
        Self { topics, figures }
    }
}

/// The finding's topics and their neighbours, and where those are.
pub(super) fn places(own: &[String], around: &Around<'_>) -> Vec<(String, Place)> {
    let mut places: BTreeMap<String, Place> = own.iter().map(|t| (t.clone(), Place::Here)).collect();
    for pipeline in around.pipelines {
        let stages = || pipeline.stages.iter().enumerate();
        let of_own = || stages().filter(|(_, stage)| own.contains(stage)).map(|(at, _)| at);
        let (Some(first), Some(last)) = (of_own().min(), of_own().max()) else { continue };
        for (at, stage) in stages() {
            let place = if at < first {
                Place::Upstream
            } else if at > last {
                Place::Downstream
            } else {
                Place::Here
            };
            let known = places.entry(stage.clone()).or_insert(place);
            *known = (*known).min(place);
        }
    }
    let mut places: Vec<(String, Place)> = places.into_iter().collect();
    places.sort_by(|(a, x), (b, y)| x.cmp(y).then_with(|| a.cmp(b)));
    places.truncate(TOPICS_MAX);
    places
}
