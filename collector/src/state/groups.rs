//! What the cluster snapshot shows of consumer groups: records lost before they were read, commits
//! beyond the end, readers that fall too far behind or stand still.

use std::collections::{BTreeMap, BTreeSet};

use checks::rules::Severity;
use checks::verdict::Status;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::findings::{Draft, Findings, key};
use crate::cluster::snapshot::{
    ClusterSnapshot, GroupSnapshot, Places, StuckPartition, TopicProgress, Unknown,
};
use crate::view::{Finding, FindingSource};

const LOST_RECORDS: &str = "lost_records";
const AHEAD_OF_END: &str = "commit_ahead_of_end";
const GROUP_LAG: &str = "group_lag";
const GROUP_STUCK: &str = "group_stuck";
/// Partitions told of in the evidence of one finding.
const PARTITIONS_TOLD_MAX: usize = 50;

/// What is remembered from one snapshot to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Groups {
    taken_at_ms: i64,
    /// Records lost by group and topic, as of the last snapshot.
    lost: BTreeMap<(String, String), i64>,
}

impl Groups {
    /// Holds a new snapshot against the last one. Returns findings opened and resolved.
    pub(crate) fn look(
        &mut self,
        snapshot: &ClusterSnapshot,
        lag_seconds_max: Option<f64>,
        findings: &mut Findings,
    ) -> Vec<Finding> {
        if !snapshot.complete_once || snapshot.taken_at_ms <= self.taken_at_ms {
            return Vec::new();
        }
        let first = self.taken_at_ms == 0;
        self.taken_at_ms = snapshot.taken_at_ms;
        let mut told = Vec::new();
        let mut found = BTreeSet::new();
        let mut lost_now = BTreeMap::new();
        for (name, group) in &snapshot.groups {
            for (topic, partitions) in group.topics.iter() {
                let place = Place { group: name, snapshot: group, topic, at_ms: snapshot.taken_at_ms };
                let about = (name.clone(), topic.to_string());

                let lost: i64 = partitions.values().map(|p| p.lost_records.max(0)).sum();
                let before = self.lost.get(&about).copied();
                // What was lost before we looked can't be told from what nobody wants any more.
                let grew = !first && lost > before.unwrap_or(0);
                let still_open = lost > 0 && place.is_open(findings, LOST_RECORDS);
                if grew || still_open {
                    found.insert(place.key(LOST_RECORDS));
                    told.extend(findings.raise(place.at_ms, place.lost(lost, partitions)));
                }
                if lost > 0 {
                    lost_now.insert(about, lost);
                }

                let ahead: Vec<i32> = partitions
                    .iter()
                    .filter(|(_, p)| p.unknown == Some(Unknown::AheadOfEnd))
                    .map(|(id, _)| id)
                    .collect();
                if !ahead.is_empty() {
                    found.insert(place.key(AHEAD_OF_END));
                    told.extend(findings.raise(place.at_ms, place.ahead(&ahead, partitions)));
                }

                // Whether it is stuck, the watcher judges, who knows the group's own rhythm.
                if let Some(progress) = group.progress.get(topic).filter(|p| !p.stuck.is_empty()) {
                    found.insert(place.key(GROUP_STUCK));
                    told.extend(findings.raise(place.at_ms, place.stuck(progress, partitions)));
                }

                let lag = GroupSnapshot::topic_lag_seconds(partitions);
                if let (Some(max), Some((seconds, error))) = (lag_seconds_max, lag) {
                    // It opens when lag is beyond the bound even if the figure errs; it stays while
                    // the figure is.
                    let open = place.is_open(findings, GROUP_LAG);
                    if seconds - error > max || (open && seconds > max) {
                        found.insert(place.key(GROUP_LAG));
                        told.extend(
                            findings.raise(place.at_ms, place.behind(seconds, error, max, partitions)),
                        );
                    }
                } else if lag_seconds_max.is_some() && place.is_open(findings, GROUP_LAG) {
                    // Unknown is not "caught up".
                    found.insert(place.key(GROUP_LAG));
                }
            }
        }
        self.lost = lost_now;
        let over: Vec<_> = findings
            .open_keys()
            .filter(|(_, source, _)| {
                [LOST_RECORDS, AHEAD_OF_END, GROUP_LAG, GROUP_STUCK]
                    .iter()
                    .any(|d| source.strip_prefix("detector:") == Some(d))
            })
            .filter(|key| !found.contains(*key))
            .cloned()
            .collect();
        told.extend(over.iter().filter_map(|key| findings.resolve_key(key, snapshot.taken_at_ms)));
        told
    }
}

/// A group and one of its topics.
struct Place<'a> {
    group: &'a str,
    snapshot: &'a GroupSnapshot,
    topic: &'a str,
    at_ms: i64,
}

impl Place<'_> {
    fn key(&self, detector: &str) -> super::findings::Key {
        key(self.group, &FindingSource::Detector(detector.to_owned()), self.topic)
    }

    fn is_open(&self, findings: &Findings, detector: &str) -> bool {
        findings.is_open(&self.key(detector))
    }

    fn lost(&self, lost: i64, partitions: &Places) -> Draft {
        let by_partition: BTreeMap<String, i64> = partitions
            .iter()
            .filter(|(_, p)| p.lost_records > 0)
            .map(|(id, p)| (id.to_string(), p.lost_records))
            .collect();
        let evidence = BTreeMap::from([
            ("topic".to_owned(), json!(self.topic)),
            ("lost_records".to_owned(), json!(lost)),
            ("by_partition".to_owned(), json!(by_partition)),
        ]);
        Draft {
            // Nobody is reading any more: worth knowing, nobody loses anything just now.
            severity: if self.snapshot.members == Some(0) { Severity::Warning } else { Severity::Error },
            value: Some(lost as f64),
            expected: "0 records lost".to_owned(),
            ..self.draft(
                LOST_RECORDS,
                format!(
                    "group {} lost {lost} records of {}: retention removed them before they were read",
                    self.group, self.topic
                ),
                evidence,
            )
        }
    }

    fn ahead(&self, ahead: &[i32], partitions: &Places) -> Draft {
        let offsets: BTreeMap<String, serde_json::Value> = ahead
            .iter()
            .filter_map(|id| Some((id, partitions.get(*id)?)))
            .map(|(id, p)| (id.to_string(), json!({"committed": p.committed, "end": p.end})))
            .collect();
        let evidence = BTreeMap::from([
            ("topic".to_owned(), json!(self.topic)),
            ("partitions".to_owned(), json!(offsets)),
        ]);
        Draft {
            severity: Severity::Error,
            value: Some(ahead.len() as f64),
            expected: "commits at or before the end".to_owned(),
            ..self.draft(
                AHEAD_OF_END,
                format!(
                    "group {} has commits beyond the end of {} in {} partitions: the topic was recreated or truncated, and what is written below the commits will not be read",
                    self.group,
                    self.topic,
                    ahead.len()
                ),
                evidence,
            )
        }
    }

    fn stuck(&self, progress: &TopicProgress, partitions: &Places) -> Draft {
        let since =
            |ms| DateTime::from_timestamp_millis(ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let where_it_stands = |stuck: &StuckPartition| {
            let place = partitions.get(stuck.partition);
            let figures = json!({
                "committed": place.and_then(|p| p.committed),
                "end": place.and_then(|p| p.end),
                "lag_records": place.and_then(|p| p.lag_records),
                "since": since(stuck.since_ms),
                "silent_seconds": stuck.silent_seconds.round(),
            });
            (stuck.partition.to_string(), figures)
        };
        let told: BTreeMap<_, _> =
            progress.stuck.iter().take(PARTITIONS_TOLD_MAX).map(where_it_stands).collect();
        let count = progress.stuck.len();
        let evidence = BTreeMap::from([
            ("topic".to_owned(), json!(self.topic)),
            ("stuck_partitions".to_owned(), json!(count)),
            ("partitions".to_owned(), json!(told)),
            ("longest_pause_seconds".to_owned(), json!(progress.longest_pause_seconds.map(tenths))),
            ("members".to_owned(), json!(self.snapshot.members)),
            ("state".to_owned(), json!(self.snapshot.state)),
        ]);
        let silent = progress.stuck.iter().map(|s| s.silent_seconds).fold(0.0, f64::max);
        let usual = match progress.longest_pause_seconds {
            Some(seconds) => format!("its longest pause of late was {seconds:.0} s"),
            None => "it was never seen to move".to_owned(),
        };
        Draft {
            severity: Severity::Error,
            value: Some(count as f64),
            expected: "commits that move while records wait".to_owned(),
            ..self.draft(
                GROUP_STUCK,
                format!(
                    "group {} is stuck on {} in {count} of {} partitions: its commit has not moved for {silent:.0} s while records waited; {usual}",
                    self.group,
                    self.topic,
                    partitions.len()
                ),
                evidence,
            )
        }
    }

    fn behind(&self, seconds: f64, error: f64, max: f64, partitions: &Places) -> Draft {
        let records = GroupSnapshot::topic_lag_records(partitions);
        let evidence = BTreeMap::from([
            ("topic".to_owned(), json!(self.topic)),
            ("lag_records".to_owned(), json!(records)),
            ("lag_seconds".to_owned(), json!(tenths(seconds))),
            ("lag_seconds_error".to_owned(), json!(tenths(error))),
            ("members".to_owned(), json!(self.snapshot.members)),
        ]);
        let count = records.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
        Draft {
            severity: Severity::Warning,
            value: Some(seconds),
            expected: format!("at most {max} s behind"),
            ..self.draft(
                GROUP_LAG,
                format!(
                    "group {} is {:.1} s behind on {} ({count} records), more than {max} s",
                    self.group, seconds, self.topic
                ),
                evidence,
            )
        }
    }

    fn draft(&self, detector: &str, message: String, evidence: BTreeMap<String, serde_json::Value>) -> Draft {
        Draft {
            topic: self.group.to_owned(),
            source: FindingSource::Detector(detector.to_owned()),
            about: self.topic.to_owned(),
            severity: Severity::Warning,
            status: Status::Fail,
            message,
            value: None,
            expected: String::new(),
            evidence,
            from_ms: self.at_ms,
            to_ms: self.at_ms,
            examples: Vec::new(),
        }
    }
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::cluster::snapshot::{GroupPartition, GroupType, Named};

    fn partition(lost: i64, seconds: f64, unknown: Option<Unknown>) -> GroupPartition {
        GroupPartition {
            committed: Some(10),
            start: Some(0),
            end: Some(20),
            stable_end: Some(20),
            lag_records: unknown.is_none().then_some(10),
            stable_lag_records: unknown.is_none().then_some(10),
            lost_records: lost,
            lag_seconds: unknown.is_none().then_some(seconds),
            lag_seconds_error: 1.0,
            unknown,
            assigned: true,
        }
    }

    fn snapshot(at_ms: i64, partition: GroupPartition) -> ClusterSnapshot {
        let group = GroupSnapshot {
            group_type: GroupType::Classic,
            state: "Stable".to_owned(),
            protocol: "range".to_owned(),
            members: Some(1),
            read_at_ms: at_ms,
            topics: Named::from([("orders", Arc::new(Places::from([(0, partition)])))]),
            progress: Named::default(),
            lag_is_bound: false,
        };
        ClusterSnapshot {
            taken_at_ms: at_ms,
            complete_once: true,
            groups: BTreeMap::from([("billing".to_owned(), group)]),
            ..ClusterSnapshot::default()
        }
    }

    fn sources(told: &[Finding]) -> Vec<(String, bool)> {
        told.iter()
            .map(|f| match &f.source {
                FindingSource::Detector(d) => (d.clone(), f.resolved_ms.is_some()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn lag_opens_beyond_its_error_and_resolves_when_caught_up() {
        let (mut groups, mut findings) = (Groups::default(), Findings::default());
        let mut look = |at, seconds, unknown| {
            sources(&groups.look(&snapshot(at, partition(0, seconds, unknown)), Some(30.0), &mut findings))
        };
        assert!(look(1, 30.5, None).is_empty(), "within the error");
        assert_eq!(look(2, 31.5, None), [("group_lag".to_owned(), false)]);
        assert!(look(2, 0.0, None).is_empty(), "the same snapshot again");
        assert!(look(3, 30.5, None).is_empty(), "still beyond");
        assert!(look(4, 0.0, Some(Unknown::Unreadable)).is_empty(), "unknown is not caught up");
        assert_eq!(look(5, 3.0, None), [("group_lag".to_owned(), true)]);
    }

    #[test]
    fn losses_are_found_when_they_grow_and_commits_ahead_at_once() {
        let (mut groups, mut findings) = (Groups::default(), Findings::default());
        let mut look = |at, lost, unknown| {
            sources(&groups.look(&snapshot(at, partition(lost, 0.0, unknown)), None, &mut findings))
        };
        assert!(look(1, 5, None).is_empty(), "lost before we looked");
        assert!(look(2, 5, None).is_empty());
        assert_eq!(look(3, 6, None), [("lost_records".to_owned(), false)]);
        assert!(look(4, 6, None).is_empty());
        assert_eq!(look(5, 0, None), [("lost_records".to_owned(), true)]);
        assert_eq!(look(6, 0, Some(Unknown::AheadOfEnd)), [("commit_ahead_of_end".to_owned(), false)]);
        assert_eq!(look(7, 0, None), [("commit_ahead_of_end".to_owned(), true)]);
    }

    #[test]
    fn a_stuck_partition_is_told_with_where_it_stands_until_it_moves() {
        let (mut groups, mut findings) = (Groups::default(), Findings::default());
        let mut look = |at, stuck: &[i32]| {
            let mut snapshot = snapshot(at, partition(0, 0.0, None));
            let stuck = stuck.iter().map(|&partition| StuckPartition {
                partition,
                since_ms: 1_000,
                silent_seconds: 400.0,
            });
            let progress = TopicProgress {
                stuck: stuck.collect(),
                longest_pause_seconds: Some(30.0),
                ..TopicProgress::default()
            };
            let group = snapshot.groups.get_mut("billing").expect("the group");
            group.progress.insert("orders", Arc::new(progress));
            groups.look(&snapshot, None, &mut findings)
        };
        assert!(look(1, &[]).is_empty());
        let told = look(2, &[0]);
        assert_eq!(sources(&told), [("group_stuck".to_owned(), false)]);
        assert!(told[0].message.contains("stuck on orders in 1 of 1 partitions"), "{}", told[0].message);
        let place = &told[0].evidence["partitions"]["0"];
        assert_eq!((&place["committed"], &place["end"]), (&json!(10), &json!(20)));
        assert_eq!(place["since"], "1970-01-01T00:00:01Z");
        assert_eq!(told[0].evidence["longest_pause_seconds"], 30.0);
        assert!(look(3, &[0]).is_empty(), "once");
        assert_eq!(sources(&look(4, &[])), [("group_stuck".to_owned(), true)]);
    }

    #[test]
    fn a_group_that_is_gone_takes_its_findings_along() {
        let (mut groups, mut findings) = (Groups::default(), Findings::default());
        groups.look(&snapshot(1, partition(0, 99.0, None)), Some(30.0), &mut findings);
        let gone = ClusterSnapshot { taken_at_ms: 2, complete_once: true, ..ClusterSnapshot::default() };
        assert_eq!(sources(&groups.look(&gone, Some(30.0), &mut findings)), [("group_lag".to_owned(), true)]);
    }
}
