//! redpanda-data/kminion 2: prometheus/exporter.go and docs/metrics.md of its repository.

use std::fmt;

use crate::cluster::snapshot::{GroupSnapshot, GroupType, PartitionOffsets, TopicSnapshot};

use super::labels::{
    ClusterInfo, GroupId, GroupIdInfo, GroupIdPartition, GroupIdTopic, PartitionId, TopicInfo, TopicName,
    Version,
};
use super::table::{Fold, Missing, Scope, peer_series};
use super::{Page, committed_sum};
use crate::export::metrics::family::Out;

peer_series! {
    EXPORTER_UP: Scope::Cluster => Version<'static>, "kminion_exporter_up"
        "1 when the last refresh of groups and offsets did not fail wholly"
        ours "tapline_watch_up"
        differs "kminion says 0 when any request of the scrape failed; here only when the refresh failed wholly. What failed in part is in `tapline_watch_errors_total`. `version` is Tapline's";
    CLUSTER_INFO: Scope::Cluster => ClusterInfo<'static>, "kminion_kafka_cluster_info"
        "1, with the number of brokers as a label"
        ours "tapline_brokers"
        differs "`cluster_version`, `controller_id` and `cluster_id` are empty";
    TOPIC_INFO: Scope::Topic => TopicInfo<'static>, "kminion_kafka_topic_info"
        "1, with the topic's partitions and its first partition's replicas as labels"
        ours "tapline_topic_partitions"
        differs "`cleanup_policy` is empty, and labels of further `infoMetric.configKeys` are not there";
    LOW: Scope::TopicPartition(Fold::Sum) => PartitionId<'static>, "kminion_kafka_topic_partition_low_water_mark"
        "Log start offset"
        ours "tapline_partition_start_offset";
    LOW_SUM: Scope::Topic => TopicName<'static>, "kminion_kafka_topic_low_water_mark_sum"
        "Sum of the log start offsets of all the topic's partitions; absent while one is unknown"
        ours "sum by (cluster, topic) (tapline_partition_start_offset)";
    HIGH: Scope::TopicPartition(Fold::Sum) => PartitionId<'static>, "kminion_kafka_topic_partition_high_water_mark"
        "High watermark"
        ours "tapline_partition_end_offset";
    HIGH_SUM: Scope::Topic => TopicName<'static>, "kminion_kafka_topic_high_water_mark_sum"
        "Sum of the high watermarks of all the topic's partitions; absent while one is unknown"
        ours "sum by (cluster, topic) (tapline_partition_end_offset)"
        differs "for a rate use `tapline_topic_records_total`, which does not fall when a topic is recreated";
    GROUP_INFO: Scope::Group => GroupIdInfo<'static>, "kminion_kafka_consumer_group_info"
        "1 if the group is stable, else 0, with its state and protocol as labels"
        ours "tapline_group_info"
        differs "groups of KIP-848, share and streams groups are there too (kminion 294). `coordinator_id` is empty; `protocol_type` is empty for classic groups, else `consumer`, `share` or `streams`";
    GROUP_MEMBERS: Scope::Group => GroupId<'static>, "kminion_kafka_consumer_group_members"
        "Members of the group; absent while it can't be described"
        ours "tapline_group_members"
        differs "groups of KIP-848 too (kminion 294)";
    GROUP_TOPIC_ASSIGNED: Scope::GroupTopic => GroupIdTopic<'static>, "kminion_kafka_consumer_group_topic_assigned_partitions"
        "Partitions of the topic that a member is assigned to; absent while the group can't be described"
        ours "tapline_group_members"
        differs "0 where the group has commits and nobody is assigned; kminion then has no series";
    GROUP_TOPIC_OFFSETS: Scope::GroupTopic => GroupIdTopic<'static>, "kminion_kafka_consumer_group_topic_offset_sum"
        "Sum of the known commits of the topic's partitions"
        ours "sum by (cluster, group, topic) (tapline_group_committed_offset)";
    GROUP_LAG: Scope::GroupPartition(Fold::Sum) => GroupIdPartition<'static>, "kminion_kafka_consumer_group_topic_partition_lag"
        "Records between the commit (or the log start, if that is later) and the high watermark; absent while unknown"
        ours "tapline_group_lag_records"
        differs "a commit beyond the end is absent and counted in `tapline_group_unknown_partitions{reason=\"ahead_of_end\"}`; kminion says 0. Records that retention removed are `tapline_group_lost_records`, no lag. A trailing transaction marker is no lag";
    GROUP_TOPIC_LAG: Scope::GroupTopic => GroupIdTopic<'static>, "kminion_kafka_consumer_group_topic_lag"
        "Sum of the known lags of the topic's partitions; absent when none is known"
        ours "tapline_group_topic_lag_records"
        differs "as above; for a topic that was deleted kminion says 0, here it is absent";
}

/// Not served.
pub(super) const MISSING: &[Missing] = &[
    Missing {
        name: "kminion_exporter_offset_consumer_records_consumed_total",
        why: "`__consumer_offsets` is not consumed: groups are asked of their coordinators",
        instead: "tapline_watch_refreshes_total",
    },
    Missing {
        name: "kminion_kafka_consumer_group_offset_commits_total",
        why: "the same: commits are seen at the interval, not counted one by one",
        instead: "changes(tapline_group_committed_offset[5m]), or the rate of kminion_kafka_consumer_group_topic_offset_sum",
    },
    Missing {
        name: "kminion_kafka_broker_info",
        why: "the snapshot has the number of brokers, not their addresses and racks",
        instead: "tapline_brokers",
    },
    Missing {
        name: "kminion_kafka_broker_log_dir_size_total_bytes",
        why: "sizes on disk are not served by this name",
        instead: "the broker's own metrics (`kafka.log:type=Log,name=Size`)",
    },
    Missing {
        name: "kminion_kafka_topic_log_dir_size_total_bytes",
        why: "sizes on disk are not served by this name",
        instead: "the broker's own metrics (`kafka.log:type=Log,name=Size`)",
    },
    Missing {
        name: "kminion_kafka_consumer_group_empty_members",
        why: "members are counted by group, not by what they are assigned",
        instead: "tapline_group_members, kminion_kafka_consumer_group_topic_assigned_partitions",
    },
    Missing {
        name: "kminion_kafka_consumer_group_topic_members",
        why: "the same",
        instead: "tapline_group_members, kminion_kafka_consumer_group_topic_assigned_partitions",
    },
    Missing {
        name: "kminion_end_to_end_*",
        why: "Tapline writes into no topic, so it has no probe",
        instead: "tapline_observed_delay_seconds, tapline_hop_latency_seconds, tapline_pipeline_latency_seconds: of the real records",
    },
    Missing {
        name: "kafka_minion_*",
        why: "names of kminion's first version",
        instead: "the names of version 2 in the table above",
    },
];

pub(super) fn write(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let snapshot = page.snapshot;
    let up = page.once_read(snapshot.last_error.is_none()).unwrap_or(false);
    out.family(&EXPORTER_UP.desc, [(Version { version: page.version }, up)])?;
    let info = ClusterInfo {
        cluster_version: "",
        broker_count: snapshot.brokers,
        controller_id: "",
        cluster_id: "",
    };
    out.family(&CLUSTER_INFO.desc, page.once_read((info, true)))?;
    topics(out, page)?;
    groups(out, page)
}

fn topics(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let infos = page.topics().filter_map(|(topic_name, topic)| {
        let replicas = topic.partitions.values().next()?.replicas;
        let labels = TopicInfo {
            topic_name,
            partition_count: topic.partitions.len() as u64,
            replication_factor: replicas,
            cleanup_policy: "",
        };
        // No partition has none: not known yet.
        (replicas > 0).then_some((labels, true))
    });
    out.family(&TOPIC_INFO.desc, infos)?;
    let partition = |topic_name, partition_id| PartitionId { topic_name, partition_id };
    page.topic_partitions(out, &LOW, partition, |p| p.start)?;
    page.topic_partitions(out, &HIGH, partition, |p| p.end)?;
    type Mark = fn(&PartitionOffsets) -> Option<i64>;
    let marks: [(_, Mark); 2] = [(&LOW_SUM, |p| p.start), (&HIGH_SUM, |p| p.end)];
    for (series, mark) in marks {
        let sums =
            page.topics().filter_map(|(topic_name, t)| Some((TopicName { topic_name }, whole_sum(t, mark)?)));
        out.family(&series.desc, sums)?;
    }
    Ok(())
}

/// The sum over all partitions: a part of them would be another figure.
fn whole_sum(topic: &TopicSnapshot, mark: fn(&PartitionOffsets) -> Option<i64>) -> Option<i64> {
    if topic.partitions.is_empty() {
        return None;
    }
    topic.partitions.values().map(mark).try_fold(0i64, |sum, offset| Some(sum.saturating_add(offset?)))
}

fn groups(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let infos = page.groups().filter(|(_, g)| !g.state.is_empty()).map(|(group_id, g)| {
        let labels = GroupIdInfo {
            group_id,
            protocol: &g.protocol,
            protocol_type: protocol_type(g),
            state: &g.state,
            coordinator_id: "",
        };
        (labels, g.state == "Stable")
    });
    out.family(&GROUP_INFO.desc, infos)?;
    let members = page.groups().filter_map(|(group_id, g)| Some((GroupId { group_id }, g.members?)));
    out.family(&GROUP_MEMBERS.desc, members)?;

    let topic = |group_id, topic_name| GroupIdTopic { group_id, topic_name };
    let assigned = page.group_topics().filter(|t| t.members.is_some());
    let assigned =
        assigned.map(|t| (topic(t.group, t.topic), t.partitions.values().filter(|p| p.assigned).count()));
    out.family(&GROUP_TOPIC_ASSIGNED.desc, assigned)?;
    let offsets =
        page.group_topics().filter_map(|t| Some((topic(t.group, t.topic), committed_sum(t.partitions)?)));
    out.family(&GROUP_TOPIC_OFFSETS.desc, offsets)?;
    let partition =
        |group_id, topic_name, partition_id| GroupIdPartition { group_id, topic_name, partition_id };
    page.group_partitions(out, &GROUP_LAG, partition, |p| p.lag_records)?;
    let lags = page
        .group_topics()
        .filter_map(|t| Some((topic(t.group, t.topic), GroupSnapshot::topic_lag_records(t.partitions)?)));
    out.family(&GROUP_TOPIC_LAG.desc, lags)
}

/// What brokers call it; of classic groups only they know.
fn protocol_type(group: &GroupSnapshot) -> &'static str {
    match group.group_type {
        GroupType::Consumer => "consumer",
        GroupType::Share => "share",
        GroupType::Streams => "streams",
        GroupType::Classic | GroupType::Unknown => "",
    }
}
