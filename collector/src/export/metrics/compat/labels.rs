//! The label sets of the peers' series, each as its peer spells it.

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

use crate::export::metrics::labels::{Labels, Partition, label_sets};

/// No labels at all.
#[derive(Clone, Copy, Debug)]
pub struct Unlabelled;

impl Labels for Unlabelled {
    const NAMES: &'static [&'static str] = &[];
}

impl EncodeLabelSet for Unlabelled {
    fn encode(&self, _: &mut LabelSetEncoder) -> std::fmt::Result {
        Ok(())
    }
}

label_sets! {
    /// kminion: what runs.
    Version { version: &'a str }
    /// kminion: the cluster.
    ClusterInfo { cluster_version: &'a str, broker_count: u32, controller_id: &'a str, cluster_id: &'a str }
    /// kminion: one topic.
    TopicName { topic_name: &'a str }
    /// kminion: what a topic is.
    TopicInfo { topic_name: &'a str, partition_count: u64, replication_factor: u32, cleanup_policy: &'a str }
    /// kminion: one partition.
    PartitionId { topic_name: &'a str, partition_id: Partition }
    /// kminion: one group.
    GroupId { group_id: &'a str }
    /// kminion: what a group is.
    GroupIdInfo {
        group_id: &'a str, protocol: &'a str, protocol_type: &'a str, state: &'a str, coordinator_id: &'a str,
    }
    /// kminion: one topic of a group.
    GroupIdTopic { group_id: &'a str, topic_name: &'a str }
    /// kminion: one partition of a group.
    GroupIdPartition { group_id: &'a str, topic_name: &'a str, partition_id: Partition }

    /// kafka_exporter: one topic.
    Topic { topic: &'a str }
    /// kafka_exporter: one partition.
    TopicPartition { topic: &'a str, partition: Partition }
    /// kafka_exporter: one group.
    Consumergroup { consumergroup: &'a str }
    /// kafka_exporter: one topic of a group.
    ConsumergroupTopic { consumergroup: &'a str, topic: &'a str }
    /// kafka_exporter: one partition of a group.
    ConsumergroupPartition { consumergroup: &'a str, topic: &'a str, partition: Partition }

    /// kafka-lag-exporter: the cluster.
    ClusterName { cluster_name: &'a str }
    /// kafka-lag-exporter: one partition.
    ClusterPartition { cluster_name: &'a str, topic: &'a str, partition: Partition }
    /// kafka-lag-exporter: one group.
    ClusterGroup { cluster_name: &'a str, group: &'a str }
    /// kafka-lag-exporter: one topic of a group.
    ClusterGroupTopic { cluster_name: &'a str, group: &'a str, topic: &'a str }
    /// kafka-lag-exporter: one partition of a group, with the member that it is assigned to.
    MemberPartition {
        cluster_name: &'a str, group: &'a str, topic: &'a str, partition: Partition,
        member_host: &'a str, consumer_id: &'a str, client_id: &'a str,
    }
}
