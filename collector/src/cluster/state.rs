//! What the watcher has learnt so far: the last known value of everything, and when it was read.
//!
//! Pure: answers go in, a snapshot comes out. What a refresh could not read stays as it was; a
//! group whose commits, or a partition whose ends, are from an earlier refresh keep the figures
//! of then, as mixing the two ages would make up a lag that never was.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::{Commits, Description, Listed, Metadata, Trouble, code};
use super::config::Config;
use super::snapshot::{GroupPartition, GroupSnapshot, GroupType, TopicSnapshot, Unknown, Unread};
use super::topic::{Ends, Partition, Topic};

mod aside;

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
    pub(crate) groups: BTreeMap<String, Group>,
    /// Topics that were here and have gone: their id, and what was counted of them.
    gone: BTreeMap<String, (Option<u128>, u64)>,
    /// Logs of partitions seen so far.
    generations: u64,
    hangs_after_ms: i64,
    /// Topics that are there but beyond the limit: their groups' partitions are not shown.
    over_limit: BTreeSet<String>,
    /// Topics that groups name and that we may not describe.
    pub(crate) forbidden_topics: BTreeSet<String>,
}

/// By topic and partition.
type Figures = BTreeMap<String, BTreeMap<i32, GroupPartition>>;

/// A group, its commits, and the figures made from them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) group_type: GroupType,
    pub(crate) state: String,
    protocol: String,
    members: Option<u32>,
    assigned: BTreeMap<String, BTreeSet<i32>>,
    commits: Commits,
    /// Of these commits, those that were made in a former topic of the same name.
    former: BTreeMap<String, BTreeMap<i32, i64>>,
    /// When the commits were read; 0 before the first time.
    read_at_ms: i64,
    /// The commits were read in this refresh.
    fresh: bool,
    /// Listings in a row without it.
    missed: u32,
    /// We may not read it.
    pub(crate) forbidden: bool,
    figures: Figures,
}

impl Group {
    fn new(group_type: GroupType) -> Self {
        Self {
            group_type,
            state: String::new(),
            protocol: String::new(),
            members: None,
            assigned: BTreeMap::new(),
            commits: Commits::new(),
            former: BTreeMap::new(),
            read_at_ms: 0,
            fresh: false,
            missed: 0,
            forbidden: false,
            figures: BTreeMap::new(),
        }
    }
}

impl Group {
    /// Another topic has this name now: what the group has committed was meant for the former.
    fn leave_former(&mut self, topic: &str) {
        self.figures.remove(topic);
        if let Some(commits) = self.commits.get(topic) {
            let known = commits.iter().filter_map(|(&index, commit)| Some((index, (*commit).ok()?)));
            self.former.insert(topic.to_owned(), known.collect());
        }
    }

    /// A commit that has changed, or gone, is not of the former topic any more. (One that is made
    /// anew at the very same offset can't be told from it: unknown rather than wrong.)
    fn forget_former(&mut self) {
        let commits = &self.commits;
        self.former.retain(|topic, of_topic| {
            of_topic.retain(|index, offset| {
                let now = commits.get(topic).and_then(|p| p.get(index));
                now.is_some_and(|commit| commit.is_err() || *commit == Ok(*offset))
            });
            !of_topic.is_empty()
        });
    }

    fn is_former(&self, topic: &str, partition: i32) -> bool {
        self.former.get(topic).is_some_and(|p| p.contains_key(&partition))
    }
}

impl State {
    /// A refresh begins: nothing is fresh.
    pub(crate) fn begin(&mut self) {
        for topic in self.topics.values_mut() {
            topic.partitions.values_mut().for_each(|p| p.fresh = false);
        }
        self.groups.values_mut().for_each(|g| g.fresh = false);
    }

    /// Takes over brokers' view of the topics. Gives how many topics were left out for the limit.
    pub(crate) fn apply_metadata(&mut self, metadata: Metadata, config: &Config) -> usize {
        self.hangs_after_ms = i64::try_from(config.transaction_hangs_after.as_millis()).unwrap_or(i64::MAX);
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
            let group = self.groups.entry(one.group.clone()).or_insert_with(|| Group::new(one.group_type));
            if group.group_type != one.group_type && one.group_type != GroupType::Unknown {
                // Its name is used by another kind of group now: none of the old holds.
                *group = Group::new(one.group_type);
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
        self.groups.entry(name.to_owned()).or_insert_with(|| Group::new(GroupType::Unknown));
    }

    /// Takes over a group's description.
    pub(crate) fn apply_description(&mut self, name: &str, result: Result<Description, Trouble>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        match result {
            Ok(description) => {
                group.forbidden = false;
                group.state = description.state;
                group.protocol = description.protocol;
                group.members = Some(description.members);
                group.assigned = description.assigned;
            }
            Err(Trouble::Code(code::GROUP_ID_NOT_FOUND)) => {
                if group.missed >= MISSED_LISTINGS_MAX {
                    self.groups.remove(name);
                }
            }
            Err(trouble) => group.forbidden |= trouble.is_forbidden(),
        }
    }

    /// Takes over a group's commits.
    pub(crate) fn apply_commits(&mut self, name: &str, result: Result<Commits, Trouble>, at_ms: i64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        match result {
            Ok(commits) => {
                group.forbidden = false;
                group.commits = commits;
                group.forget_former();
                group.read_at_ms = at_ms;
                group.fresh = true;
            }
            Err(trouble) => group.forbidden |= trouble.is_forbidden(),
        }
    }

    /// Share groups have no commits: reading their listing and members is all there is to read.
    pub(crate) fn touch(&mut self, name: &str, at_ms: i64) {
        if let Some(group) = self.groups.get_mut(name) {
            group.read_at_ms = at_ms;
            group.fresh = true;
        }
    }

    /// Topics that groups name and that brokers do not list: gone, or not for us to see.
    pub(crate) fn unlisted_topics(&self, config: &Config) -> BTreeSet<String> {
        let named = self.groups.values().flat_map(|group| group.commits.keys().chain(group.assigned.keys()));
        let unlisted = named.filter(|name| {
            !self.topics.contains_key(*name)
                && !self.over_limit.contains(*name)
                && config.topics.matches(name)
        });
        unlisted.cloned().collect()
    }

    /// All has been read: makes the figures of whatever is fresh.
    pub(crate) fn finish(&mut self, config: &Config) {
        let mut used: BTreeMap<&str, BTreeSet<(i32, i64)>> = BTreeMap::new();
        for group in self.groups.values_mut() {
            if group.fresh {
                group.figures =
                    figures(group, &self.topics, &self.over_limit, &self.forbidden_topics, config);
            } else {
                // A topic that went while the coordinator was away has gone all the same.
                group.figures.retain(|name, _| self.topics.contains_key(name));
            }
            for (name, partitions) in &group.figures {
                let places = partitions
                    .iter()
                    .filter_map(|(&index, figure)| Some((index, figure.committed?.max(figure.start?))));
                used.entry(name).or_default().extend(places);
            }
        }
        let nowhere = BTreeSet::new();
        for (name, topic) in &mut self.topics {
            topic.forget_all_but(used.get(name.as_str()).unwrap_or(&nowhere));
        }
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
            };
            (name.clone(), snapshot)
        });
        groups.collect()
    }

    /// Groups that were named or known and are nowhere: neither listed, described nor with
    /// commits. They are not published.
    pub(crate) fn drop_phantoms(&mut self) {
        self.groups.retain(|_, group| {
            // Nobody describes these, so that they go by their listings and commits alone.
            let undescribed = group.group_type == GroupType::Streams;
            let gone = group.missed >= 2 * MISSED_LISTINGS_MAX && group.commits.is_empty();
            if undescribed && gone && group.fresh {
                return false;
            }
            group.members.is_some() || !group.state.is_empty() || !group.commits.is_empty() || group.forbidden
        });
    }
}

/// A commit, if there is one, and whether a member is assigned.
type Place = (Option<Result<i64, i16>>, bool);

fn figures(
    group: &Group,
    topics: &BTreeMap<String, Topic>,
    over_limit: &BTreeSet<String>,
    forbidden: &BTreeSet<String>,
    config: &Config,
) -> Figures {
    let mut places: BTreeMap<&str, BTreeMap<i32, Place>> = BTreeMap::new();
    for (topic, commits) in &group.commits {
        let of_topic = places.entry(topic).or_default();
        of_topic.extend(commits.iter().map(|(&index, &commit)| (index, (Some(commit), false))));
    }
    for (topic, assigned) in &group.assigned {
        let of_topic = places.entry(topic).or_default();
        for &index in assigned {
            of_topic.entry(index).or_insert((None, true)).1 = true;
        }
    }
    places.retain(|topic, _| config.topics.matches(topic) && !over_limit.contains(*topic));

    let mut figures = BTreeMap::new();
    for (name, indexes) in places {
        let topic = topics.get(name);
        let mut of_topic = BTreeMap::new();
        for (index, (commit, assigned)) in indexes {
            let partition = topic.and_then(|t| t.partitions.get(&index));
            let before = group.figures.get(name).and_then(|p| p.get(&index));
            let figure = match (partition, before) {
                (Some(partition), _) if group.is_former(name, index) => {
                    let figure = partition.figure(commit, assigned);
                    GroupPartition {
                        lag_records: None,
                        stable_lag_records: None,
                        lost_records: 0,
                        lag_seconds: None,
                        lag_seconds_error: 0.0,
                        // Beyond the new end it is worse than unknown.
                        unknown: figure.unknown.or(Some(Unknown::Recreated)),
                        ..figure
                    }
                }
                // The ends are of an earlier refresh than the commit: the figures stay those of then.
                (Some(partition), Some(before)) if !partition.fresh => {
                    GroupPartition { assigned, ..before.clone() }
                }
                (Some(partition), None) if !partition.fresh => GroupPartition {
                    lag_records: None,
                    stable_lag_records: None,
                    lost_records: 0,
                    lag_seconds: None,
                    lag_seconds_error: 0.0,
                    unknown: Some(Unknown::Unreadable),
                    ..partition.figure(commit, assigned)
                },
                (Some(partition), _) => partition.figure(commit, assigned),
                (None, _) => {
                    let nowhere = Partition::default().figure(commit, assigned);
                    let why = if forbidden.contains(name) { Unknown::Unreadable } else { Unknown::TopicGone };
                    GroupPartition { unknown: Some(why), ..nowhere }
                }
            };
            of_topic.insert(index, figure);
        }
        if !of_topic.is_empty() {
            figures.insert(name.to_owned(), of_topic);
        }
    }
    figures
}

#[cfg(test)]
mod tests;
