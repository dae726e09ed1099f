//! `--compat`: the names of the peers, so that dashboards and alerts written for them go on working.
//!
//! Names, label names and their meaning are the peer's; the values are ours, from the same snapshot
//! as every other series: unknown is absent, nothing is clamped, what retention removed is no lag. A
//! file a peer holds its table and how it is filled; the tables of docs/migrate.md are generated from
//! these. Compat series count against the series budget like all others: [`Cost`].

pub mod doc;
mod kafka_exporter;
mod kafka_lag_exporter;
mod kminion;
pub mod labels;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use crate::cluster::snapshot::{
    ClusterSnapshot, GroupPartition, GroupSnapshot, PartitionOffsets, TopicSnapshot,
};

use super::budget::Plan;
use super::cluster::Partitions;
use super::family::{Number, Out};
use super::labels::{Labels, Partition};
use table::{Fold, Missing, Row, Scope, Series};

/// An exporter whose names can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// redpanda-data/kminion, version 2.
    Kminion,
    /// danielqsj/kafka_exporter.
    KafkaExporter,
    /// seglo/kafka-lag-exporter.
    KafkaLagExporter,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kminion, Self::KafkaExporter, Self::KafkaLagExporter];

    /// Their names, in the same order.
    pub const NAMES: [&'static str; 3] = ["kminion", "kafka-exporter", "kafka-lag-exporter"];

    /// As in `--compat` and `export.compat`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kminion => "kminion",
            Self::KafkaExporter => "kafka-exporter",
            Self::KafkaLagExporter => "kafka-lag-exporter",
        }
    }

    /// The peer of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// The series that are served.
    pub fn rows(self) -> &'static [Row] {
        match self {
            Self::Kminion => kminion::ROWS,
            Self::KafkaExporter => kafka_exporter::ROWS,
            Self::KafkaLagExporter => kafka_lag_exporter::ROWS,
        }
    }

    /// Those that are not.
    pub fn missing(self) -> &'static [Missing] {
        match self {
            Self::Kminion => kminion::MISSING,
            Self::KafkaExporter => kafka_exporter::MISSING,
            Self::KafkaLagExporter => kafka_lag_exporter::MISSING,
        }
    }
}

/// How many series there are of each thing, beside our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of a group.
    pub group: usize,
    /// Of a topic of a group.
    pub group_topic: usize,
    /// Of a partition of a group.
    pub group_partition: usize,
    /// Of all of a group's partitions of a topic together, where they are folded.
    pub group_partitions_folded: usize,
    /// Of a topic.
    pub topic: usize,
    /// Of a partition.
    pub topic_partition: usize,
    /// Of all partitions of a topic together, where they are folded.
    pub topic_partitions_folded: usize,
}

impl Cost {
    /// What these peers' series cost.
    pub fn of(peers: &BTreeSet<Peer>) -> Self {
        let mut cost = Self::default();
        for row in peers.iter().flat_map(|peer| peer.rows()) {
            let kept = |fold: Fold| usize::from(fold != Fold::Drop);
            match row.scope {
                // A handful, whatever the cluster's size.
                Scope::Cluster => {}
                Scope::Group => cost.group += 1,
                Scope::GroupTopic => cost.group_topic += 1,
                Scope::GroupPartition(fold) => {
                    cost.group_partition += 1;
                    cost.group_partitions_folded += kept(fold);
                }
                Scope::Topic => cost.topic += 1,
                Scope::TopicPartition(fold) => {
                    cost.topic_partition += 1;
                    cost.topic_partitions_folded += kept(fold);
                }
            }
        }
        cost
    }
}

pub(super) fn write(out: &mut Out<'_>, peers: &BTreeSet<Peer>, page: &Page<'_>) -> fmt::Result {
    for peer in peers {
        match peer {
            Peer::Kminion => kminion::write(out, page)?,
            Peer::KafkaExporter => kafka_exporter::write(out, page)?,
            Peer::KafkaLagExporter => kafka_lag_exporter::write(out, page)?,
        }
    }
    Ok(())
}

/// What every peer's series are made from.
pub(super) struct Page<'a> {
    pub(super) cluster: &'a str,
    pub(super) snapshot: &'a ClusterSnapshot,
    pub(super) plan: &'a Plan,
    /// Version of what runs.
    pub(super) version: &'a str,
}

/// A topic of a group.
struct GroupTopic<'a> {
    group: &'a str,
    topic: &'a str,
    partitions: &'a Partitions,
    /// Members of the group; `None` while it can't be described.
    members: Option<u32>,
}

impl<'a> Page<'a> {
    /// The figure once there was a refresh.
    fn once_read<T>(&self, figure: T) -> Option<T> {
        (self.snapshot.taken_at_ms > 0).then_some(figure)
    }

    fn groups(&self) -> impl Iterator<Item = (&'a str, &'a GroupSnapshot)> {
        let plan = self.plan;
        let groups = self.snapshot.groups.iter().map(|(name, group)| (name.as_str(), group));
        groups.filter(move |(name, _)| !plan.groups_left_out.contains(*name))
    }

    fn group_topics(&self) -> impl Iterator<Item = GroupTopic<'a>> {
        self.groups().flat_map(|(group, g)| {
            let members = g.members;
            g.topics.iter().map(move |(topic, partitions)| GroupTopic { group, topic, partitions, members })
        })
    }

    fn topics(&self) -> impl Iterator<Item = (&'a str, &'a TopicSnapshot)> {
        let plan = self.plan;
        let topics = self.snapshot.topics.iter().map(|(name, topic)| (name.as_str(), topic));
        topics.filter(move |(name, _)| !plan.topics_left_out.contains(*name))
    }

    /// Writes a figure of the groups' partitions.
    fn group_partitions<L: Labels, N: Into<Number>>(
        &self,
        out: &mut Out<'_>,
        series: &Series<L>,
        labels: impl Fn(&'a str, &'a str, Partition) -> L,
        figure: impl Fn(&GroupPartition) -> Option<N>,
    ) -> fmt::Result {
        let samples = self.group_topics().flat_map(|GroupTopic { group, topic, partitions, .. }| {
            let is_folded = self.plan.group_topics_folded.contains(&(group.to_owned(), topic.to_owned()));
            let figures = partitions.iter().map(|(id, p)| (id, figure(&p)));
            let known = known(figures, is_folded.then(|| series.fold()));
            let labels = &labels;
            known.into_iter().map(move |(partition, n)| (labels(group, topic, partition), n))
        });
        out.family(&series.desc, samples)
    }

    /// Writes a figure of the partitions.
    fn topic_partitions<L: Labels, N: Into<Number>>(
        &self,
        out: &mut Out<'_>,
        series: &Series<L>,
        labels: impl Fn(&'a str, Partition) -> L,
        figure: impl Fn(&PartitionOffsets) -> Option<N>,
    ) -> fmt::Result {
        let samples = self.topics().flat_map(|(topic, t)| {
            let is_folded = self.plan.topics_folded.contains(topic);
            let figures = t.partitions.iter().map(|(id, p)| (*id, figure(p)));
            let known = known(figures, is_folded.then(|| series.fold()));
            let labels = &labels;
            known.into_iter().map(move |(partition, n)| (labels(topic, partition), n))
        });
        out.family(&series.desc, samples)
    }
}

/// The known figures, one by one or folded.
fn known<N: Into<Number>>(
    figures: impl Iterator<Item = (i32, Option<N>)>,
    fold: Option<Fold>,
) -> Vec<(Partition, Number)> {
    let known = figures.filter_map(|(id, n)| Some((id, n?.into())));
    let join = match fold {
        None => return known.map(|(id, n)| (Partition::One(id), n)).collect(),
        Some(Fold::Drop) => return Vec::new(),
        Some(Fold::Sum) => plus,
        Some(Fold::Max) => greater,
    };
    known.map(|(_, n)| n).reduce(join).map(|n| (Partition::All, n)).into_iter().collect()
}

fn plus(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Number::Int(a.saturating_add(b)),
        (a, b) => Number::Float(a.as_f64() + b.as_f64()),
    }
}

fn greater(a: Number, b: Number) -> Number {
    if a.as_f64() >= b.as_f64() { a } else { b }
}

/// Sum of the known commits of a topic's partitions; `None` when none is known.
fn committed_sum(partitions: &Partitions) -> Option<i64> {
    partitions.values().filter_map(|p| p.committed).reduce(i64::saturating_add)
}
