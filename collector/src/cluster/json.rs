//! The snapshot as JSON, version 1: what `tapline lag --json` prints and `/api/v1/lag` serves.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::snapshot::{ClusterSnapshot, GroupPartition, GroupSnapshot, Places, TopicProgress};

/// The lag of every group, as documented; additions are allowed, changes are not.
pub fn to_json(snapshot: &ClusterSnapshot) -> Value {
    let groups: Vec<Value> =
        snapshot.groups.iter().map(|(name, g)| group(name, g, snapshot.taken_at_ms)).collect();
    json!({
        "version": 1,
        "cluster": snapshot.cluster,
        "taken_at": DateTime::from_timestamp_millis(snapshot.taken_at_ms)
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        "groups": groups,
        "unreadable": {
            "groups": snapshot.stats.groups_unreadable,
            "topics": snapshot.stats.topics_unreadable,
        },
    })
}

fn group(name: &str, group: &GroupSnapshot, taken_at_ms: i64) -> Value {
    // A group whose commits were never read has no age to speak of.
    let stale_seconds =
        (group.read_at_ms > 0).then(|| taken_at_ms.saturating_sub(group.read_at_ms).max(0) as f64 / 1000.0);
    json!({
        "group": name,
        "type": group.group_type,
        "state": group.state,
        "protocol": group.protocol,
        "members": group.members,
        "stale_seconds": stale_seconds.map(whole_if_possible),
        "lag_is_bound": group.lag_is_bound,
        "topics": group.topics.iter().map(|(t, p)| topic(t, p, group.progress.get(t).map(|p| &**p))).collect::<Vec<_>>(),
    })
}

fn topic(name: &str, partitions: &Places, progress: Option<&TopicProgress>) -> Value {
    let seconds = GroupSnapshot::topic_lag_seconds(partitions);
    let unknown = TopicProgress::default();
    let progress = progress.unwrap_or(&unknown);
    json!({
        "topic": name,
        "lag_records": GroupSnapshot::topic_lag_records(partitions),
        "lag_seconds": seconds.map(|(age, _)| age),
        "lag_seconds_error": seconds.map_or(0.0, |(_, error)| error),
        "activity": progress.activity,
        "consumed_records_total": progress.consumed_records_total,
        "consumed_records_per_second": progress.consumed_records_per_second,
        "rewinds_total": progress.rewinds_total,
        "catch_up_seconds": progress.catch_up_seconds,
        "longest_pause_seconds": progress.longest_pause_seconds,
        "stuck_partitions": progress.stuck.iter().map(|p| p.partition).collect::<Vec<_>>(),
        "partitions": partitions.iter().map(|(id, p)| partition(id, &p)).collect::<Vec<_>>(),
    })
}

fn partition(id: i32, p: &GroupPartition) -> Value {
    json!({
        "partition": id,
        "committed": p.committed,
        "start": p.start,
        "end": p.end,
        "stable_end": p.stable_end,
        "lag_records": p.lag_records,
        "stable_lag_records": p.stable_lag_records,
        "lost_records": p.lost_records,
        "lag_seconds": p.lag_seconds,
        "lag_seconds_error": p.lag_seconds_error,
        "unknown": p.unknown,
        "assigned": p.assigned,
    })
}

/// 0 rather than 0.0: whole seconds are written as integers.
fn whole_if_possible(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { json!(seconds as i64) } else { json!(seconds) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::snapshot::{Activity, GroupType, StuckPartition, Unknown};

    #[test]
    fn the_shape_is_as_documented() {
        let known = GroupPartition {
            committed: Some(50),
            start: Some(0),
            end: Some(100),
            stable_end: Some(100),
            lag_records: Some(50),
            stable_lag_records: Some(50),
            lost_records: 0,
            lag_seconds: Some(1.5),
            lag_seconds_error: 0.25,
            unknown: None,
            assigned: true,
        };
        let uncommitted = GroupPartition {
            committed: None,
            lag_records: None,
            stable_lag_records: None,
            lag_seconds: None,
            lag_seconds_error: 0.0,
            unknown: Some(Unknown::Uncommitted),
            ..known
        };
        let progress = TopicProgress {
            activity: Activity::Stuck,
            consumed_records_total: 7,
            rewinds_total: 1,
            consumed_records_per_second: Some(0.5),
            catch_up_seconds: None,
            longest_pause_seconds: Some(30.0),
            stuck: vec![StuckPartition { partition: 0, since_ms: 1, silent_seconds: 400.0 }],
        };
        let group = GroupSnapshot {
            group_type: GroupType::Consumer,
            state: "Stable".to_owned(),
            protocol: "uniform".to_owned(),
            members: Some(1),
            read_at_ms: 1_000_000,
            topics: [("orders".to_owned(), Arc::new([(0, known), (1, uncommitted)].into()))].into(),
            progress: [("orders", Arc::new(progress))].into(),
            lag_is_bound: false,
        };
        let snapshot = ClusterSnapshot {
            cluster: "prod".to_owned(),
            taken_at_ms: 1_000_000,
            groups: [("billing".to_owned(), group)].into(),
            ..ClusterSnapshot::default()
        };
        let partitions = vec![
            json!({"partition": 0, "committed": 50, "start": 0, "end": 100,
                   "stable_end": 100, "lag_records": 50, "stable_lag_records": 50,
                   "lost_records": 0, "lag_seconds": 1.5, "lag_seconds_error": 0.25,
                   "unknown": null, "assigned": true}),
            json!({"partition": 1, "committed": null, "start": 0, "end": 100,
                   "stable_end": 100, "lag_records": null, "stable_lag_records": null,
                   "lost_records": 0, "lag_seconds": null, "lag_seconds_error": 0.0,
                   "unknown": "uncommitted", "assigned": true}),
        ];
        let mut topic = json!({
            "topic": "orders", "lag_records": 50, "lag_seconds": 1.5, "lag_seconds_error": 0.25,
            "activity": "stuck", "consumed_records_total": 7, "consumed_records_per_second": 0.5,
            "rewinds_total": 1, "catch_up_seconds": null, "longest_pause_seconds": 30.0,
            "stuck_partitions": [0],
        });
        topic["partitions"] = partitions.into();
        assert_eq!(
            to_json(&snapshot),
            json!({
                "version": 1, "cluster": "prod", "taken_at": "1970-01-01T00:16:40.000Z",
                "groups": [{
                    "group": "billing", "type": "consumer", "state": "Stable",
                    "protocol": "uniform", "members": 1, "stale_seconds": 0, "lag_is_bound": false,
                    "topics": [topic],
                }],
                "unreadable": {"groups": 0, "topics": 0},
            })
        );
    }
}
