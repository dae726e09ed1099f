//! What the watcher has learnt so far: the last known value of everything, and when it was read.
//!
//! Pure: answers go in, a snapshot comes out. What a refresh could not read stays as it was; a
//! group whose commits, or a partition whose ends, are from an earlier refresh keep the figures
//! of then, as mixing the two ages would make up a lag that never was.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::activity::Rules;
use super::ask::{Answered, Commits, Description, Listed, Metadata, ShareProgress, Trouble, code};
use super::config::Config;
use super::snapshot::{GroupSnapshot, GroupType, TopicSnapshot, Unread};
use super::topic::{Ends, Partition, Topic};
use group::{Group, World};

mod aside;
mod group;

/// Listings in a row that a group must be missing from before it is taken for deleted: while a
/// coordinator moves, brokers list without its groups and report no error.
const MISSED_LISTINGS_MAX: u32 = 3;
/// Metadata in a row that a topic must be missing from: a broker that has just come back may not
/// have heard of everything yet.
const MISSED_METADATA_MAX: u32 = 2;
/// Topics that are gone and remembered, should they come again.
const GONE_MAX: usize = 10_000;

/// Everything known of one cluster.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) cluster_id: Option<String>,
    pub(crate) topics: BTreeMap<String, Topic>,
    /// Boxed, since most of a map's nodes are half empty.
    pub(crate) groups: BTreeMap<String, Box<Group>>,
    /// Topics that were here and have gone: their id, and what was counted of them.
    gone: BTreeMap<String, (Option<u128>, u64)>,
    /// Logs of partitions seen so far.
    generations: u64,
    hangs_after_ms: i64,
    activity: Rules,
    /// Topics that are there but beyond the limit: their groups' partitions are not shown.
    over_limit: BTreeSet<String>,
    /// Topics that groups name and that we may not describe.
    pub(crate) forbidden_topics: BTreeSet<String>,
    /// Both, as they were when figures were made.
    unseen: (BTreeSet<String>, BTreeSet<String>),
    /// Of what brokers say; its key is our own, so that nobody can make two answers look alike.
    hasher: RandomState,
    /// Topics that groups name, one text for all of them.
    names: HashSet<Arc<str>>,
}

impl State {
    /// A refresh begins: nothing is fresh.
    pub(crate) fn begin(&mut self) {
        for topic in self.topics.values_mut() {
            topic.partitions.values_mut().for_each(Partition::begin);
        }
        self.groups.values_mut().for_each(|g| g.fresh = false);
    }

    /// Takes over brokers' view of the topics. Gives how many topics were left out for the limit.
    pub(crate) fn apply_metadata(&mut self, metadata: Metadata, config: &Config) -> usize {
        self.hangs_after_ms = i64::try_from(config.transaction_hangs_after.as_millis()).unwrap_or(i64::MAX);
        self.activity = config.activity;
        self.cluster_id = metadata.cluster_id.or(self.cluster_id.take());
        self.over_limit.clear();
        let mut before = std::mem::take(&mut self.topics);
        let mut partitions = 0;
        for (name, seen) in metadata.topics {
            const UNKNOWN_TOPIC: i16 = 3;
            if !config.topics.matches(&name) || seen.code == UNKNOWN_TOPIC {
                continue;
            }
            let known = before.remove(&name);
            partitions += seen.partitions.len();
            if partitions > config.limits.partitions {
                partitions -= seen.partitions.len();
                self.over_limit.insert(name);
                continue;
            }
            let gone = if known.is_none() { self.gone.remove(&name) } else { None };
            let back = gone.is_some();
            let (id, records_total) = gone.unwrap_or_default();
            let mut topic = known.unwrap_or_else(|| Topic::returned(records_total, id));
            if topic.apply_metadata(seen, back, &mut self.generations) || back {
                self.groups.values_mut().for_each(|group| group.leave_former(&name));
            }
            self.topics.insert(name, topic);
        }
        for (name, mut topic) in before {
            topic.missed += 1;
            if topic.missed < MISSED_METADATA_MAX {
                self.topics.insert(name, topic);
                continue;
            }
            if self.gone.len() >= GONE_MAX {
                self.gone.pop_first();
            }
            self.gone.insert(name, (topic.id, topic.records_total));
        }
        self.over_limit.len()
    }

    /// All partitions watched, by topic.
    pub(crate) fn partitions(&self) -> BTreeMap<String, Vec<i32>> {
        let topics = self.topics.iter();
        topics.map(|(name, t)| (name.clone(), t.partitions.keys().copied().collect())).collect()
    }

    /// Takes over the ends of one partition.
    pub(crate) fn apply_ends(&mut self, topic: &str, partition: i32, ends: Ends) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.apply_ends(partition, ends, &mut self.generations);
        }
    }

    /// The ends of one partition could not be read: they stay as they were.
    pub(crate) fn apply_unread(&mut self, topic: &str, partition: i32, why: Unread) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.apply_unread(partition, why);
        }
    }

    /// Takes over what the brokers list. `complete`: every broker has answered, so what is not
    /// listed is missing. Gives how many groups were left out for the limit.
    pub(crate) fn apply_listing(&mut self, listed: &[Listed], complete: bool, config: &Config) -> usize {
        let mut left_out = 0;
        if complete {
            self.groups.values_mut().for_each(|g| g.missed = g.missed.saturating_add(1));
        }
        for one in listed.iter().filter(|l| config.groups.matches(&l.group)) {
            if !self.groups.contains_key(&one.group) && self.groups.len() >= config.limits.groups {
                left_out += 1;
                continue;
            }
            let group =
                self.groups.entry(one.group.clone()).or_insert_with(|| Box::new(Group::new(one.group_type)));
            if group.group_type != one.group_type && one.group_type != GroupType::Unknown {
                group.become_a(one.group_type);
            }
            group.missed = 0;
            if !one.state.is_empty() {
                group.state.clone_from(&one.state);
            }
        }
        left_out
    }

    /// Makes room for a group that is named in the configuration and not listed.
    pub(crate) fn add_named(&mut self, name: &str) {
        self.groups.entry(name.to_owned()).or_insert_with(|| Box::new(Group::new(GroupType::Unknown)));
    }

    /// Takes over a group's description.
    pub(crate) fn apply_description(&mut self, name: &str, result: Result<Description, Trouble>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.undescribable = matches!(&result, Err(trouble) if trouble.is_unsupported());
        match result {
            Ok(mut description) => {
                if group.group_type == GroupType::Streams {
                    // A task may be of more partitions than one of its topics has.
                    for (name, assigned) in description.assigned.iter_mut() {
                        let Some(topic) = self.topics.get(&**name) else { continue };
                        assigned.retain(|index| topic.partitions.contains_key(index));
                    }
                }
                group.forbidden = false;
                group.state = description.state;
                group.protocol = description.protocol;
                group.members = Some(description.members);
                group.changed |= group.assigned != description.assigned;
                group.assigned = description.assigned;
                group.assignment_known = description.assignment_known;
                group.simple = description.simple;
            }
            Err(Trouble::Code(code::GROUP_ID_NOT_FOUND)) => {
                if group.missed >= MISSED_LISTINGS_MAX {
                    self.groups.remove(name);
                }
            }
            Err(trouble) => group.forbidden |= trouble.is_forbidden(),
        }
    }

    /// Takes over a group's commits as they come.
    pub(crate) fn apply_answer(&mut self, name: &str, answer: Result<Answered, Trouble>, at_ms: i64) {
        let told = match answer {
            Ok(Answered::Told(told)) => told,
            Ok(Answered::Read(commits)) => return self.apply_commits(name, Ok(commits), at_ms),
            Err(trouble) => return self.apply_commits(name, Err(trouble), at_ms),
        };
        let Some(group) = self.groups.get_mut(name) else { return };
        let digest = Some(self.hasher.hash_one(told.bytes()));
        if group.digest == digest {
            group.stand(at_ms);
            return;
        }
        group.digest = digest;
        // The walk along the answer's shape has made sure that it can be read.
        let commits = told.read(&mut self.names).map_err(|_| Trouble::Code(code::UNKNOWN_SERVER_ERROR));
        self.apply_commits(name, commits, at_ms);
    }

    /// Takes over a group's commits.
    pub(crate) fn apply_commits(&mut self, name: &str, result: Result<Commits, Trouble>, at_ms: i64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        match result {
            Ok(commits) => {
                if group.commits != commits {
                    group.changed = true;
                    group.commits = commits;
                }
                group.forget_former();
                group.stand(at_ms);
            }
            Err(trouble) => group.forbidden |= trouble.is_forbidden(),
        }
    }

    /// Takes over a share group's progress.
    pub(crate) fn apply_share(&mut self, name: &str, result: Result<ShareProgress, Trouble>, at_ms: i64) {
        let progress = result.map(|progress| {
            if let Some(group) = self.groups.get_mut(name) {
                group.changed |= group.unset != progress.unset || group.lags != progress.lags;
                (group.unset, group.lags) = (progress.unset, progress.lags);
            }
            progress.starts
        });
        self.apply_commits(name, progress, at_ms);
    }

    /// A broker that knows no progress of share groups: their listing and members are all there is
    /// to read.
    pub(crate) fn touch(&mut self, name: &str, at_ms: i64) {
        if let Some(group) = self.groups.get_mut(name) {
            group.read_at_ms = at_ms;
            group.fresh = true;
        }
    }

    /// Topics that groups name and that brokers do not list: gone, or not for us to see.
    pub(crate) fn unlisted_topics(&self, config: &Config) -> BTreeSet<String> {
        let named = self
            .groups
            .values()
            .flat_map(|group| group.commits.keys().chain(group.assigned.keys()))
            .map(|name| &**name);
        let unlisted = named.filter(|name| {
            !self.topics.contains_key(*name)
                && !self.over_limit.contains(*name)
                && config.topics.matches(name)
        });
        unlisted.map(str::to_owned).collect()
    }

    /// All has been read: makes the figures of whatever is fresh.
    pub(crate) fn finish(&mut self, config: &Config) {
        let Self { topics, groups, over_limit, forbidden_topics, unseen, .. } = self;
        let other_sight = unseen.0 != *over_limit || unseen.1 != *forbidden_topics;
        if other_sight {
            *unseen = (over_limit.clone(), forbidden_topics.clone());
        }
        for topic in topics.values_mut() {
            topic.settle();
            topic.show_ends();
        }
        let world = World { topics, over_limit, forbidden: forbidden_topics, config };
        let mut moved = other_sight || topics.values().any(|topic| !topic.is_settled());
        for group in groups.values_mut() {
            group.changed |= other_sight;
            moved |= group.changed;
            if group.fresh {
                group::renew(group, world);
                group.changed = false;
            } else {
                group.changed = true;
                // A topic that went while the coordinator was away has gone all the same.
                group.figures.retain(|name, _| world.topics.contains_key(&**name));
                group.memory.retain(|name, _| group.figures.contains_key(name));
                let unread = group.memory.iter().map(|(name, m)| (Arc::clone(name), Arc::new(m.unread())));
                group.progress = unread.collect();
            }
        }
        if moved {
            self.forget_found();
            self.names.retain(|name| Arc::strong_count(name) > 1);
        }
        self.topics.values_mut().for_each(Topic::figured);
    }

    /// What lies at a position is remembered for as long as a group stands there.
    fn forget_found(&mut self) {
        let Self { topics, groups, .. } = self;
        for (name, places) in groups.values().flat_map(|group| group.figures.iter()) {
            let Some(topic) = topics.get_mut(&**name) else { continue };
            for (index, figure) in places.iter() {
                let (Some(committed), Some(start)) = (figure.committed, figure.start) else { continue };
                if let Some(partition) = topic.partitions.get_mut(&index) {
                    partition.use_found(committed.max(start));
                }
            }
        }
        let partitions = topics.values_mut().flat_map(|topic| topic.partitions.values_mut());
        partitions.for_each(Partition::forget_unused);
    }

    /// The topics as they are published.
    pub(crate) fn topics_snapshot(&self) -> BTreeMap<String, TopicSnapshot> {
        self.topics.iter().map(|(name, topic)| (name.clone(), topic.snapshot(self.hangs_after_ms))).collect()
    }

    /// The groups as they are published.
    pub(crate) fn groups_snapshot(&self) -> BTreeMap<String, GroupSnapshot> {
        let groups = self.groups.iter().map(|(name, group)| {
            let snapshot = GroupSnapshot {
                group_type: group.group_type,
                state: group.state.clone(),
                protocol: group.protocol.clone(),
                members: group.members,
                read_at_ms: group.read_at_ms,
                topics: group.figures.clone(),
                progress: group.progress.clone(),
                lag_is_bound: group.lag_is_bound(),
            };
            (name.clone(), snapshot)
        });
        groups.collect()
    }

    /// Groups that were named or known and are nowhere: neither listed, described nor with
    /// commits. They are not published.
    pub(crate) fn drop_phantoms(&mut self) {
        self.groups.retain(|_, group| {
            let gone = group.missed >= 2 * MISSED_LISTINGS_MAX && group.commits.is_empty();
            // Nobody describes it, so that it goes by its listings and commits alone.
            if group.undescribable && gone && group.fresh {
                return false;
            }
            group.members.is_some() || !group.state.is_empty() || !group.commits.is_empty() || group.forbidden
        });
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
