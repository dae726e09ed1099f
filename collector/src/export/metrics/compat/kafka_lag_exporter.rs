//! seglo/kafka-lag-exporter: src/main/scala/com/lightbend/kafkalagexporter/Metrics.scala and README.md
//! of its repository.

use std::fmt;

use crate::cluster::snapshot::GroupSnapshot;

use super::Page;
use super::labels::{ClusterGroup, ClusterGroupTopic, ClusterName, ClusterPartition, MemberPartition};
use super::table::{Fold, Missing, Scope, peer_series};
use crate::export::metrics::family::Out;

peer_series! {
    LATEST: Scope::TopicPartition(Fold::Sum) => ClusterPartition<'static>, "kafka_partition_latest_offset"
        "High watermark"
        ours "tapline_partition_end_offset"
        differs "of all topics watched; kafka-lag-exporter has only those that a group reads";
    EARLIEST: Scope::TopicPartition(Fold::Sum) => ClusterPartition<'static>, "kafka_partition_earliest_offset"
        "Log start offset"
        ours "tapline_partition_start_offset"
        differs "the same";
    OFFSET: Scope::GroupPartition(Fold::Sum) => MemberPartition<'static>, "kafka_consumergroup_group_offset"
        "The committed offset: the next one to read"
        ours "tapline_group_committed_offset"
        differs "`member_host`, `consumer_id` and `client_id` are empty: ids of members are never labels. So a rebalance does not begin new series. Absent, not NaN, without a commit (265)";
    LAG: Scope::GroupPartition(Fold::Sum) => MemberPartition<'static>, "kafka_consumergroup_group_lag"
        "Records between the commit (or the log start, if that is later) and the high watermark; absent while unknown"
        ours "tapline_group_lag_records"
        differs "labels as above. Absent, not NaN, without a commit (265). A commit beyond the end, as a recreated topic leaves it (197), is absent and counted in `tapline_group_unknown_partitions{reason=\"ahead_of_end\"}`; kafka-lag-exporter says 0. Records that retention removed are `tapline_group_lost_records`, no lag. A trailing transaction marker is no lag";
    LAG_SECONDS: Scope::GroupPartition(Fold::Max) => MemberPartition<'static>, "kafka_consumergroup_group_lag_seconds"
        "Age of the oldest record that the group has not read, by append time; 0 only when caught up"
        ours "tapline_group_topic_lag_seconds"
        differs "labels as above. By append time and the history of ends, no extrapolation from two points (496), with the bound of its error in `tapline_group_topic_lag_error_seconds`; absent, not NaN, while unknown (265)";
    MAX_LAG: Scope::Group => ClusterGroup<'static>, "kafka_consumergroup_group_max_lag"
        "Greatest of the known lags of the group's partitions"
        ours "max by (cluster, group) (tapline_group_lag_records)"
        differs "the label `is_simple_consumer`, which stands in the peer's README, is in neither";
    MAX_LAG_SECONDS: Scope::Group => ClusterGroup<'static>, "kafka_consumergroup_group_max_lag_seconds"
        "Greatest of the known ages of the group's partitions"
        ours "max by (cluster, group) (tapline_group_topic_lag_seconds)"
        differs "as `kafka_consumergroup_group_lag_seconds`";
    SUM_LAG: Scope::Group => ClusterGroup<'static>, "kafka_consumergroup_group_sum_lag"
        "Sum of the known lags of the group's partitions"
        ours "sum by (cluster, group) (tapline_group_topic_lag_records)"
        differs "one partition without a commit does not make it NaN (265)";
    TOPIC_SUM_LAG: Scope::GroupTopic => ClusterGroupTopic<'static>, "kafka_consumergroup_group_topic_sum_lag"
        "Sum of the known lags of the topic's partitions"
        ours "tapline_group_topic_lag_records"
        differs "the same";
    POLL_TIME: Scope::Cluster => ClusterName<'static>, "kafka_consumergroup_poll_time_ms"
        "Wall time of the last refresh, in milliseconds"
        ours "tapline_watch_refresh_seconds";
}

/// Not served.
pub(super) const MISSING: &[Missing] = &[
    Missing { name: "jvm_*", why: "no JVM is at work", instead: "tapline_watch_*" },
    Missing { name: "process_*", why: "the same", instead: "tapline_watch_*" },
];

pub(super) fn write(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let cluster_name = page.cluster;
    let end = |topic, partition| ClusterPartition { cluster_name, topic, partition };
    page.topic_partitions(out, &LATEST, end, |p| p.end)?;
    page.topic_partitions(out, &EARLIEST, end, |p| p.start)?;
    let place = |group, topic, partition| MemberPartition {
        cluster_name,
        group,
        topic,
        partition,
        member_host: "",
        consumer_id: "",
        client_id: "",
    };
    page.group_partitions(out, &OFFSET, place, |p| p.committed)?;
    page.group_partitions(out, &LAG, place, |p| p.lag_records)?;
    page.group_partitions(out, &LAG_SECONDS, place, |p| p.lag_seconds)?;

    let group = |group| ClusterGroup { cluster_name, group };
    let lags = |g: &GroupSnapshot| -> Vec<i64> {
        g.topics.values().flat_map(|t| t.values()).filter_map(|p| p.lag_records).collect()
    };
    let greatest = page.groups().filter_map(|(name, g)| Some((group(name), lags(g).into_iter().max()?)));
    out.family(&MAX_LAG.desc, greatest)?;
    let oldest = page.groups().filter_map(|(name, g)| {
        let ages = g.topics.values().filter_map(|places| GroupSnapshot::topic_lag_seconds(places));
        Some((group(name), ages.map(|(age, _)| age).max_by(f64::total_cmp)?))
    });
    out.family(&MAX_LAG_SECONDS.desc, oldest)?;
    let sums = page
        .groups()
        .filter_map(|(name, g)| Some((group(name), lags(g).into_iter().reduce(i64::saturating_add)?)));
    out.family(&SUM_LAG.desc, sums)?;
    let topics = page.group_topics().filter_map(|t| {
        let labels = ClusterGroupTopic { cluster_name, group: t.group, topic: t.topic };
        Some((labels, GroupSnapshot::topic_lag_records(t.partitions)?))
    });
    out.family(&TOPIC_SUM_LAG.desc, topics)?;
    let poll = page.once_read(page.snapshot.stats.last_duration_seconds * 1000.0);
    out.family(&POLL_TIME.desc, poll.map(|ms| (ClusterName { cluster_name }, ms)))
}
