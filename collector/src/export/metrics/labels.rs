//! The label sets of the series, one struct each: a label that is not in a struct can't be written.

use std::fmt::Write as _;

use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
};

/// A label set that knows its names, for docs/metrics.md and the tests of dashboards and rules.
pub trait Labels: EncodeLabelSet {
    /// In the order in which they are written.
    const NAMES: &'static [&'static str];
}

macro_rules! label_sets {
    ($( $(#[$doc:meta])* $name:ident { $($field:ident : $kind:ty),* $(,)? } )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs)]
        pub struct $name<'a> { $( pub $field: $kind ),* }

        impl Labels for $name<'_> {
            const NAMES: &'static [&'static str] = &[$( stringify!($field) ),*];
        }

        impl EncodeLabelSet for $name<'_> {
            fn encode(&self, encoder: &mut LabelSetEncoder) -> std::fmt::Result {
                $( (stringify!($field), self.$field).encode(encoder.encode_label())?; )*
                Ok(())
            }
        }
    )* };
}
pub(super) use label_sets;

label_sets! {
    /// The whole cluster.
    Cluster { cluster: &'a str }
    /// One topic.
    Topic { cluster: &'a str, topic: &'a str }
    /// One topic, by reason.
    TopicReason { cluster: &'a str, topic: &'a str, reason: &'a str }
    /// Where a topic's detectors are.
    TopicStatus { cluster: &'a str, topic: &'a str, status: &'a str }
    /// What a topic is configured to do.
    TopicInfo { cluster: &'a str, topic: &'a str, cleanup_policy: &'a str }
    /// One topic, by format of its values.
    TopicFormat { cluster: &'a str, topic: &'a str, format: &'a str }
    /// One partition.
    TopicPartition { cluster: &'a str, topic: &'a str, partition: Partition }
    /// One field of a topic.
    Field { cluster: &'a str, topic: &'a str, field: &'a str }
    /// One quantile of a field.
    FieldQuantile { cluster: &'a str, topic: &'a str, field: &'a str, quantile: &'a str }
    /// One group.
    Group { cluster: &'a str, group: &'a str }
    /// One topic of a group.
    GroupTopic { cluster: &'a str, group: &'a str, topic: &'a str }
    /// One topic of a group, by reason.
    GroupTopicReason { cluster: &'a str, group: &'a str, topic: &'a str, reason: &'a str }
    /// One member of the state set of what a group is doing about a topic.
    GroupTopicActivity { cluster: &'a str, group: &'a str, topic: &'a str, activity: &'a str }
    /// One partition of a group.
    GroupPartition { cluster: &'a str, group: &'a str, topic: &'a str, partition: Partition }
    /// One check.
    Check { cluster: &'a str, topic: &'a str, check: &'a str }
    /// One member of the state set of a check.
    CheckStatus {
        cluster: &'a str, topic: &'a str, check: &'a str, severity: &'a str, status: &'a str,
    }
    /// One service level.
    Slo { cluster: &'a str, topic: &'a str, slo: &'a str }
    /// The good or the bad events of a service level.
    SloResult { cluster: &'a str, topic: &'a str, slo: &'a str, result: &'a str }
    /// Findings by severity.
    Severity { cluster: &'a str, severity: &'a str }
    /// One pipeline.
    Pipeline { pipeline: &'a str }
    /// The good or the bad events of a pipeline.
    PipelineResult { pipeline: &'a str, result: &'a str }
    /// A stage of a pipeline.
    PipelineStage { pipeline: &'a str, stage: &'a str }
    /// From one stage of a pipeline to the next.
    Hop { pipeline: &'a str, from: &'a str, to: &'a str }
    /// One agent.
    Agent { cluster: &'a str, agent: &'a str }
    /// One agent, by reason.
    AgentReason { cluster: &'a str, agent: &'a str, reason: &'a str }
    /// What an agent is.
    AgentInfo { cluster: &'a str, agent: &'a str, version: &'a str }
    /// By result.
    Result { cluster: &'a str, result: &'a str }
    /// By reason.
    Reason { cluster: &'a str, reason: &'a str }
    /// By kind.
    Kind { cluster: &'a str, kind: &'a str }
    /// What runs.
    Build { version: &'a str, commit: &'a str }
}

/// What a group is. (Written out, since `type` can't name a field.)
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct GroupInfo<'a> {
    pub cluster: &'a str,
    pub group: &'a str,
    pub group_type: &'a str,
    pub state: &'a str,
    pub protocol: &'a str,
}

impl Labels for GroupInfo<'_> {
    const NAMES: &'static [&'static str] = &["cluster", "group", "type", "state", "protocol"];
}

impl EncodeLabelSet for GroupInfo<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> std::fmt::Result {
        let values = [self.cluster, self.group, self.group_type, self.state, self.protocol];
        for label in Self::NAMES.iter().copied().zip(values) {
            label.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// The label `partition`: a number, or `all` where a topic's partitions were folded into one
/// series to keep within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// One of them.
    One(i32),
    /// The sum of all of them.
    All,
}

impl EncodeLabelValue for Partition {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        match self {
            Self::One(number) => write!(encoder, "{number}"),
            Self::All => encoder.write_str("all"),
        }
    }
}
