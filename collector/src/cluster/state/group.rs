//! One group: what was read of it, and the figures made from that.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::activity::{Now, Seen, Standing, TopicMemory};
use crate::cluster::ask::Commits;
use crate::cluster::config::Config;
use crate::cluster::snapshot::{GroupPartition, GroupType, TopicProgress, Unknown};
use crate::cluster::topic::{Partition, Topic};

/// Of the time between two readings of a group at most so many intervals count as watched.
const CREDIT_INTERVALS: u32 = 3;

/// By topic and partition.
type Figures = BTreeMap<String, BTreeMap<i32, GroupPartition>>;

/// A group, its commits, and the figures made from them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) group_type: GroupType,
    pub(crate) state: String,
    pub(super) protocol: String,
    pub(super) members: Option<u32>,
    pub(super) assigned: BTreeMap<String, BTreeSet<i32>>,
    /// `assigned` is all of it.
    pub(super) assignment_known: bool,
    /// Nobody ever joined it.
    pub(super) simple: bool,
    /// The broker knows no way to describe it.
    pub(super) undescribable: bool,
    pub(super) commits: Commits,
    /// Of these commits, those that were made in a former topic of the same name.
    former: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Of a share group: where it has no start offset yet, and the broker's own lags.
    pub(super) unset: BTreeMap<String, BTreeSet<i32>>,
    pub(super) lags: BTreeMap<String, BTreeMap<i32, i64>>,
    /// When the commits were read; 0 before the first time.
    pub(super) read_at_ms: i64,
    /// The commits were read in this refresh.
    pub(super) fresh: bool,
    /// Listings in a row without it.
    pub(super) missed: u32,
    /// We may not read it.
    pub(crate) forbidden: bool,
    pub(super) figures: Figures,
    /// By topic of `figures`.
    pub(super) memory: BTreeMap<String, TopicMemory>,
    pub(super) progress: BTreeMap<String, TopicProgress>,
}

impl Group {
    pub(super) fn new(group_type: GroupType) -> Self {
        Self {
            group_type,
            state: String::new(),
            protocol: String::new(),
            members: None,
            assigned: BTreeMap::new(),
            assignment_known: false,
            simple: false,
            undescribable: false,
            commits: Commits::new(),
            former: BTreeMap::new(),
            unset: BTreeMap::new(),
            lags: BTreeMap::new(),
            read_at_ms: 0,
            fresh: false,
            missed: 0,
            forbidden: false,
            figures: BTreeMap::new(),
            memory: BTreeMap::new(),
            progress: BTreeMap::new(),
        }
    }

    /// Its name is used by another kind of group now: none of the old holds, save what was counted.
    /// A classic group that becomes a `consumer` group (KIP-848) keeps its commits; a share group's
    /// offsets are other ones.
    pub(super) fn become_a(&mut self, group_type: GroupType) {
        let mut memory = std::mem::take(&mut self.memory);
        if self.group_type == GroupType::Share || group_type == GroupType::Share {
            memory.values_mut().for_each(TopicMemory::forget_places);
        }
        *self = Self { memory, ..Self::new(group_type) };
    }

    /// What is different of a share group's figure.
    fn share(&self, topic: &str, partition: i32, figure: &mut GroupPartition) {
        if figure.unknown == Some(Unknown::Uncommitted) {
            figure.unknown = Some(Unknown::Uninitialized);
        }
        let broker = self.lags.get(topic).and_then(|p| p.get(&partition)).copied();
        // The log start may have passed the start offset since: what went then is no lag.
        let (Some(broker), Some(bound)) = (broker, figure.lag_records) else { return };
        let lag = bound.min(broker);
        figure.lag_records = Some(lag);
        figure.stable_lag_records = figure.stable_lag_records.map(|stable| stable.min(lag));
        if lag == 0 {
            (figure.lag_seconds, figure.lag_seconds_error) = (Some(0.0), 0.0);
        }
    }

    /// Is some of its lag an upper bound, for want of the broker's own count?
    pub(super) fn lag_is_bound(&self) -> bool {
        let is_bound = |topic: &str, partition: &i32, figure: &GroupPartition| {
            let counted = self.lags.get(topic).is_some_and(|p| p.contains_key(partition));
            !counted && figure.lag_records.is_some_and(|n| n > 0)
        };
        let mut topics = self.figures.iter();
        self.group_type == GroupType::Share
            && topics.any(|(topic, figures)| figures.iter().any(|(index, f)| is_bound(topic, index, f)))
    }

    /// Another topic has this name now: what the group has committed was meant for the former.
    pub(super) fn leave_former(&mut self, topic: &str) {
        self.figures.remove(topic);
        if let Some(commits) = self.commits.get(topic) {
            let known = commits.iter().filter_map(|(&index, commit)| Some((index, (*commit).ok()?)));
            self.former.insert(topic.to_owned(), known.collect());
        }
    }

    /// A commit that has changed, or gone, is not of the former topic any more. (One that is made
    /// anew at the very same offset can't be told from it: unknown rather than wrong.)
    pub(super) fn forget_former(&mut self) {
        let commits = &self.commits;
        self.former.retain(|topic, of_topic| {
            of_topic.retain(|index, offset| {
                let now = commits.get(topic).and_then(|p| p.get(index));
                now.is_some_and(|commit| commit.is_err() || *commit == Ok(*offset))
            });
            !of_topic.is_empty()
        });
    }

    pub(super) fn is_former(&self, topic: &str, partition: i32) -> bool {
        self.former.get(topic).is_some_and(|p| p.contains_key(&partition))
    }

    fn standing(&self) -> Standing {
        Standing {
            members: self.members,
            rebalancing: is_rebalancing(&self.state),
            simple: self.simple,
            assignment_known: self.assignment_known,
        }
    }
}

/// While a group settles who reads what: classic, KIP-848 and KIP-1071 names.
fn is_rebalancing(state: &str) -> bool {
    ["PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"]
        .iter()
        .any(|name| state.eq_ignore_ascii_case(name))
}

/// Lets the memory of a group look at its new figures.
pub(super) fn progress(group: &mut Group, topics: &BTreeMap<String, Topic>, config: &Config) {
    let credit = config.interval.saturating_mul(CREDIT_INTERVALS).as_millis();
    let standing = group.standing();
    group.memory.retain(|name, _| group.figures.contains_key(name));
    group.progress.clear();
    for (name, figures) in &group.figures {
        let topic = topics.get(name);
        let now = Now {
            at_ms: group.read_at_ms,
            credit_ms_max: i64::try_from(credit).unwrap_or(i64::MAX),
            standing,
            topic_id: topic.and_then(|t| t.id),
        };
        let seen = figures.iter().map(|(&index, figure)| {
            let partition = topic.and_then(|t| t.partitions.get(&index));
            let position = figure.committed.max(figure.start);
            let looked_at = partition.zip(position).is_some_and(|(p, at)| p.looked_at(at));
            Seen {
                partition: index,
                figure,
                fresh: partition.is_some_and(|p| p.fresh),
                record_there: looked_at && topic.is_some_and(|t| !t.transactional),
            }
        });
        let memory = group.memory.entry(name.clone()).or_default();
        group.progress.insert(name.clone(), memory.look(&now, &config.activity, seen));
    }
}

/// A commit, if there is one, and whether a member is assigned.
type Place = (Option<Result<i64, i16>>, bool);

pub(super) fn figures(
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
    for (topic, unset) in &group.unset {
        let of_topic = places.entry(topic).or_default();
        for &index in unset {
            of_topic.entry(index).or_insert((None, false));
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
            let mut figure = match (partition, before) {
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
            if group.group_type == GroupType::Share && partition.is_none_or(|p| p.fresh) {
                group.share(name, index, &mut figure);
            }
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
