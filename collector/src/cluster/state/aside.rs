//! What is asked beside the refresh, and what has come of it.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use crate::cluster::ask::{Coordinated, Producer, Sizes, TopicConfig};
use crate::cluster::batch::Found;
use crate::cluster::topic::Probe;

/// Configurations change rarely: they are asked for again after this.
const CONFIG_KEEP_MS: i64 = 600_000;
/// What did not come is asked for again after this.
const AGAIN_MS: i64 = 60_000;

impl State {
    /// The positions worth a look: where only markers may be left, where the history of ends does
    /// not say how old the waiting record is, and where a reader that stands still may have no
    /// record before it.
    ///
    /// Of these brokers only, and at most so many: the others wait for the next refresh.
    pub(crate) fn probes(&mut self, now_ms: i64, leaders: &BTreeSet<i32>, max: usize) -> Vec<Probe> {
        let mut probes = BTreeMap::new();
        self.topics.values_mut().for_each(|topic| topic.look_around(now_ms));
        for group in self.groups.values_mut().filter(|g| g.fresh) {
            // A place that has just come to rest is looked at once more.
            let was_probing = std::mem::replace(&mut group.probing, group.changed);
            for (name, commits) in group.commits.iter() {
                let Some(topic) = self.topics.get(&**name) else { continue };
                let may_be_worth_it = group.changed || was_probing || !topic.is_settled();
                let readable = topic.readable(now_ms);
                let figures = group.figures.get(name);
                for (&index, commit) in commits.iter().filter(|_| may_be_worth_it) {
                    let (Ok(committed), Some(partition)) = (commit.get(), topic.partitions.get(&index))
                    else {
                        continue;
                    };
                    if group.is_former(name, index) {
                        continue;
                    }
                    let before = figures.and_then(|p| p.get(index));
                    let rests = before.is_none_or(|f| f.committed == Some(committed));
                    // Its figure may be of an earlier commit still, where the partition could not be read.
                    group.probing |= !rests;
                    let may_be_marker = rests || topic.transactional;
                    if let Some(probe) = partition.probe(committed, may_be_marker, readable, (&**name, index))
                    {
                        group.probing = true;
                        if !leaders.contains(&probe.leader) {
                            continue;
                        }
                        let at: &mut Probe =
                            probes.entry((name, index, probe.offset)).or_insert_with(|| probe.clone());
                        at.for_time |= probe.for_time;
                        if probes.len() > max {
                            probes.pop_last();
                        }
                    }
                }
                let Some(memory) = group.memory.get(name).filter(|_| readable) else { continue };
                for index in memory.suspects(&self.activity) {
                    let (Some(Ok(committed)), Some(partition)) =
                        (commits.get(&index).map(|c| c.get()), topic.partitions.get(&index))
                    else {
                        continue;
                    };
                    let probe = partition.look_at(committed, (&**name, index));
                    if let Some(probe) = probe.filter(|p| leaders.contains(&p.leader)) {
                        probes.entry((name, index, probe.offset)).or_insert(probe);
                        if probes.len() > max {
                            probes.pop_last();
                        }
                    }
                }
            }
        }
        probes.into_values().collect()
    }

    /// Takes over what was found at a position.
    pub(crate) fn apply_found(&mut self, probe: &Probe, found: Found) {
        if let Some(topic) = self.topics.get_mut(&probe.topic) {
            topic.apply_found(probe.partition, probe.generation, probe.offset, found);
        }
    }

    /// Takes over of which topics records may be read, and of which not.
    pub(crate) fn apply_access(&mut self, read: &BTreeSet<String>, refused: &BTreeSet<String>, now_ms: i64) {
        for name in refused {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.apply_unreadable(now_ms);
            }
        }
        for name in read.difference(refused) {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.apply_readable();
            }
        }
    }

    /// Partitions whose leader should be asked who keeps a transaction open, by leader; at most
    /// so many of each. They are not due again for a while.
    pub(crate) fn hanging(&mut self, now_ms: i64, max: usize) -> BTreeMap<i32, Vec<(String, i32)>> {
        let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
        for (name, topic) in &mut self.topics {
            for (&index, partition) in topic.partitions.iter_mut() {
                let Some(leader) = partition.offsets.leader else { continue };
                let of_leader = by_leader.entry(leader).or_default();
                if of_leader.len() < max
                    && partition.ask_for_producer(now_ms, self.hangs_after_ms, now_ms + AGAIN_MS)
                {
                    of_leader.push((name.clone(), index));
                }
            }
        }
        by_leader.retain(|_, partitions| !partitions.is_empty());
        by_leader
    }

    /// Takes over who keeps a transaction open in a partition.
    pub(crate) fn apply_producers(&mut self, topic: &str, partition: i32, producers: &[Producer]) {
        if let Some(partition) = self.topics.get_mut(topic).and_then(|t| t.partitions.get_mut(&partition)) {
            partition.apply_producers(producers);
        }
    }

    /// Producers whose transaction hangs and whose coordinator has not been heard of it.
    pub(crate) fn producers_without_coordinator(&self, max: usize) -> BTreeSet<i64> {
        let partitions = self.topics.values().flat_map(|t| t.partitions.values());
        partitions.filter_map(|p| p.producer_without_coordinator()).take(max).collect()
    }

    /// Takes over what a broker knows of the transactions that it coordinates.
    pub(crate) fn apply_coordinated(&mut self, broker: i32, coordinated: &BTreeMap<i64, Coordinated>) {
        for (&producer, known) in coordinated {
            for partition in self.topics.values_mut().flat_map(|t| t.partitions.values_mut()) {
                partition.apply_coordinated(producer, broker, known);
            }
        }
    }

    /// Topics whose configuration should be asked for; not due again for a while.
    pub(crate) fn undescribed(&mut self, now_ms: i64) -> Vec<String> {
        let mut due = Vec::new();
        for (name, topic) in self.topics.iter_mut().filter(|(_, t)| now_ms >= t.describe_after_ms) {
            topic.describe_after_ms = now_ms + AGAIN_MS;
            due.push(name.clone());
        }
        due
    }

    /// Takes over a topic's configuration; not being allowed to see it leaves it unknown.
    pub(crate) fn apply_config(&mut self, topic: &str, config: Option<TopicConfig>, now_ms: i64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.config = config;
            topic.describe_after_ms = now_ms + CONFIG_KEEP_MS;
        }
    }

    /// Takes over the sizes of the logs on a broker.
    pub(crate) fn apply_sizes(&mut self, broker: i32, sizes: &Sizes, at_ms: i64) {
        for (name, of_topic) in sizes {
            let Some(topic) = self.topics.get_mut(name) else { continue };
            for (index, bytes) in of_topic {
                if let Some(partition) = topic.partitions.get_mut(index) {
                    partition.apply_size(broker, *bytes, at_ms);
                }
            }
        }
    }
}
