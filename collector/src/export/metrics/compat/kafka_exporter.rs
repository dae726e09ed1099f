//! danielqsj/kafka_exporter: kafka_exporter.go and README.md of its repository.

use std::fmt;

use crate::cluster::snapshot::GroupSnapshot;

use super::labels::{
    Consumergroup, ConsumergroupPartition, ConsumergroupTopic, Topic, TopicPartition, Unlabelled,
};
use super::table::{Fold, Missing, Scope, peer_series};
use super::{Page, committed_sum};
use crate::export::metrics::family::Out;

peer_series! {
    BROKERS: Scope::Cluster => Unlabelled, "kafka_brokers"
        "Brokers in the last metadata"
        ours "tapline_brokers";
    PARTITIONS: Scope::Topic => Topic<'static>, "kafka_topic_partitions"
        "Partitions of the topic"
        ours "tapline_topic_partitions";
    CURRENT: Scope::TopicPartition(Fold::Sum) => TopicPartition<'static>, "kafka_topic_partition_current_offset"
        "High watermark"
        ours "tapline_partition_end_offset"
        differs "for a rate use `tapline_topic_records_total`, which does not fall when a topic is recreated";
    OLDEST: Scope::TopicPartition(Fold::Sum) => TopicPartition<'static>, "kafka_topic_partition_oldest_offset"
        "Log start offset"
        ours "tapline_partition_start_offset";
    LEADER: Scope::TopicPartition(Fold::Drop) => TopicPartition<'static>, "kafka_topic_partition_leader"
        "Broker id of the leader; absent while there is none"
        ours "tapline_topic_leaderless_partitions";
    REPLICAS: Scope::TopicPartition(Fold::Sum) => TopicPartition<'static>, "kafka_topic_partition_replicas"
        "Replicas assigned"
        ours "tapline_topic_under_replicated_partitions";
    IN_SYNC: Scope::TopicPartition(Fold::Sum) => TopicPartition<'static>, "kafka_topic_partition_in_sync_replica"
        "Replicas in sync"
        ours "tapline_topic_under_replicated_partitions";
    UNDER_REPLICATED: Scope::TopicPartition(Fold::Sum) => TopicPartition<'static>, "kafka_topic_partition_under_replicated_partition"
        "1 if fewer replicas are in sync than assigned, else 0"
        ours "tapline_topic_under_replicated_partitions";
    GROUP_OFFSET: Scope::GroupPartition(Fold::Sum) => ConsumergroupPartition<'static>, "kafka_consumergroup_current_offset"
        "The committed offset: the next one to read"
        ours "tapline_group_committed_offset"
        differs "kafka_exporter says -1 for a partition without a commit (28); here it is absent, and `tapline_group_unknown_partitions{reason=\"uncommitted\"}` counts it where a member is assigned";
    GROUP_OFFSET_SUM: Scope::GroupTopic => ConsumergroupTopic<'static>, "kafka_consumergroup_current_offset_sum"
        "Sum of the known commits of the topic's partitions"
        ours "sum by (cluster, group, topic) (tapline_group_committed_offset)"
        differs "kafka_exporter adds the -1 of every partition without a commit";
    GROUP_LAG: Scope::GroupPartition(Fold::Sum) => ConsumergroupPartition<'static>, "kafka_consumergroup_lag"
        "Records between the commit (or the log start, if that is later) and the high watermark; absent while unknown"
        ours "tapline_group_lag_records"
        differs "never negative: commits are read before ends, and one beyond the end is absent and counted in `tapline_group_unknown_partitions{reason=\"ahead_of_end\"}` (76, 169, 287, 437). Not -1 without a commit (28). Records that retention removed are `tapline_group_lost_records`, no lag. A trailing transaction marker is no lag";
    GROUP_LAG_SUM: Scope::GroupTopic => ConsumergroupTopic<'static>, "kafka_consumergroup_lag_sum"
        "Sum of the known lags of the topic's partitions; absent when none is known"
        ours "tapline_group_topic_lag_records"
        differs "as above";
    GROUP_MEMBERS: Scope::Group => Consumergroup<'static>, "kafka_consumergroup_members"
        "Members of the group; absent while it can't be described"
        ours "tapline_group_members"
        differs "groups of KIP-848 too, whatever `kafka.version` is set to (533)";
}

/// Not served.
pub(super) const MISSING: &[Missing] = &[
    Missing {
        name: "kafka_broker_info",
        why: "the snapshot has the number of brokers, not their addresses",
        instead: "kafka_brokers in the stead of count(kafka_broker_info)",
    },
    Missing {
        name: "kafka_topic_partition_leader_is_preferred",
        why: "the order of the replicas is not kept",
        instead: "the controller's own metric (`PreferredReplicaImbalanceCount`)",
    },
    Missing {
        name: "kafka_consumergroupzookeeper_lag_zookeeper",
        why: "Kafka 4 has no ZooKeeper",
        instead: "kafka_consumergroup_lag",
    },
    Missing {
        name: "kafka_exporter_build_info",
        why: "it is not kafka_exporter that runs",
        instead: "tapline_build_info",
    },
    Missing {
        name: "kafka_consumer_lag_*",
        why: "only the fork in Grafana Agent and Alloy has them: an estimate of time from a rate",
        instead: "tapline_group_topic_lag_seconds * 1000, by append time and with its error beside it (16)",
    },
    Missing {
        name: "kafka_consumergroup_uncommitted_offsets*",
        why: "only the fork in Grafana Agent and Alloy has them",
        instead: "kafka_consumergroup_lag, kafka_consumergroup_lag_sum",
    },
    Missing { name: "go_*", why: "no Go runtime is at work", instead: "tapline_watch_*" },
];

pub(super) fn write(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    out.family(&BROKERS.desc, page.once_read((Unlabelled, page.snapshot.brokers)))?;
    topics(out, page)?;
    groups(out, page)
}

fn topics(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let partitions = page.topics().map(|(topic, t)| (Topic { topic }, t.partitions.len()));
    out.family(&PARTITIONS.desc, partitions)?;
    let labels = |topic, partition| TopicPartition { topic, partition };
    page.topic_partitions(out, &CURRENT, labels, |p| p.end)?;
    page.topic_partitions(out, &OLDEST, labels, |p| p.start)?;
    page.topic_partitions(out, &LEADER, labels, |p| p.leader.map(i64::from))?;
    // No partition has no replicas: not known yet.
    page.topic_partitions(out, &REPLICAS, labels, |p| (p.replicas > 0).then_some(i64::from(p.replicas)))?;
    page.topic_partitions(out, &IN_SYNC, labels, |p| (p.replicas > 0).then_some(i64::from(p.in_sync)))?;
    page.topic_partitions(out, &UNDER_REPLICATED, labels, |p| {
        (p.replicas > 0).then_some(i64::from(p.in_sync < p.replicas))
    })
}

fn groups(out: &mut Out<'_>, page: &Page<'_>) -> fmt::Result {
    let partition =
        |consumergroup, topic, partition| ConsumergroupPartition { consumergroup, topic, partition };
    let topic = |consumergroup, topic| ConsumergroupTopic { consumergroup, topic };
    page.group_partitions(out, &GROUP_OFFSET, partition, |p| p.committed)?;
    let offsets =
        page.group_topics().filter_map(|t| Some((topic(t.group, t.topic), committed_sum(t.partitions)?)));
    out.family(&GROUP_OFFSET_SUM.desc, offsets)?;
    page.group_partitions(out, &GROUP_LAG, partition, |p| p.lag_records)?;
    let lags = page
        .group_topics()
        .filter_map(|t| Some((topic(t.group, t.topic), GroupSnapshot::topic_lag_records(t.partitions)?)));
    out.family(&GROUP_LAG_SUM.desc, lags)?;
    let members =
        page.groups().filter_map(|(consumergroup, g)| Some((Consumergroup { consumergroup }, g.members?)));
    out.family(&GROUP_MEMBERS.desc, members)
}
