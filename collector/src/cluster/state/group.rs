//! One group: what was read of it, and the figures made from that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::activity::{Now, Seen, Standing, TopicMemory};
use crate::cluster::ask::Commits;
use crate::cluster::config::Config;
use crate::cluster::snapshot::{GroupPartition, GroupType, Named, Places, Sorted, TopicProgress, Unknown};
use crate::cluster::topic::{Partition, Topic};

/// Of the time between two readings of a group at most so many intervals count as watched.
const CREDIT_INTERVALS: u32 = 3;

/// By topic; shared with the snapshots that show them.
type Figures = Named<Arc<Places>>;

/// A group, its commits, and the figures made from them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) group_type: GroupType,
    pub(crate) state: String,
    pub(super) protocol: String,
    pub(super) members: Option<u32>,
    pub(super) assigned: Named<BTreeSet<i32>>,
    /// `assigned` is all of it.
    pub(super) assignment_known: bool,
    /// Nobody ever joined it.
    pub(super) simple: bool,
    /// The broker knows no way to describe it.
    pub(super) undescribable: bool,
    pub(super) commits: Commits,
    /// Of the answer that they were read from.
    pub(super) digest: Option<u64>,
    /// Of these commits, those that were made in a former topic of the same name.
    former: Named<Sorted<i32, i64>>,
    /// Of a share group: where it has no start offset yet, and the broker's own lags.
    pub(super) unset: Named<BTreeSet<i32>>,
    pub(super) lags: Named<Sorted<i32, i64>>,
    /// When the commits were read; 0 before the first time.
    pub(super) read_at_ms: i64,
    /// The commits were read in this refresh.
    pub(super) fresh: bool,
    /// Something is new since its figures were made, or they were not made in the refresh before.
    pub(super) changed: bool,
    /// Some of its places were worth a look.
    pub(super) probing: bool,
    /// Listings in a row without it.
    pub(super) missed: u32,
    /// We may not read it.
    pub(crate) forbidden: bool,
    pub(super) figures: Figures,
    /// By topic of `figures`.
    pub(super) memory: Named<Box<TopicMemory>>,
    pub(super) progress: Named<Arc<TopicProgress>>,
}

impl Group {
    pub(super) fn new(group_type: GroupType) -> Self {
        Self {
            group_type,
            state: String::new(),
            protocol: String::new(),
            members: None,
            assigned: Named::default(),
            assignment_known: false,
            simple: false,
            undescribable: false,
            commits: Commits::default(),
            digest: None,
            former: Named::default(),
            unset: Named::default(),
            lags: Named::default(),
            read_at_ms: 0,
            fresh: false,
            changed: true,
            probing: false,
            missed: 0,
            forbidden: false,
            figures: Named::default(),
            memory: Named::default(),
            progress: Named::default(),
        }
    }

    /// Its name is used by another kind of group now: none of the old holds, save what was counted.
    /// A classic group that becomes a `consumer` group (KIP-848) keeps its commits; a share group's
    /// offsets are other ones.
    pub(super) fn become_a(&mut self, group_type: GroupType) {
        let mut memory = std::mem::take(&mut self.memory);
        if self.group_type == GroupType::Share || group_type == GroupType::Share {
            memory.values_mut().for_each(|memory| memory.forget_places());
        }
        *self = Self { memory, ..Self::new(group_type) };
    }

    /// Its commits, as they are, were read at this time.
    pub(super) fn stand(&mut self, at_ms: i64) {
        self.forbidden = false;
        self.read_at_ms = at_ms;
        self.fresh = true;
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
        let is_bound = |topic: &str, partition: i32, figure: GroupPartition| {
            let counted = self.lags.get(topic).is_some_and(|p| p.contains_key(&partition));
            !counted && figure.lag_records.is_some_and(|n| n > 0)
        };
        let mut topics = self.figures.iter();
        self.group_type == GroupType::Share
            && topics.any(|(topic, figures)| figures.iter().any(|(index, f)| is_bound(topic, index, f)))
    }

    /// Another topic has this name now: what the group has committed was meant for the former.
    pub(super) fn leave_former(&mut self, topic: &str) {
        self.changed = true;
        self.figures.retain(|name, _| **name != *topic);
        if let Some(commits) = self.commits.get(topic) {
            let known = commits.iter().filter_map(|(&index, commit)| Some((index, commit.get().ok()?)));
            self.former.insert(topic, known.collect());
        }
    }

    /// A commit that has changed, or gone, is not of the former topic any more. (One that is made
    /// anew at the very same offset can't be told from it: unknown rather than wrong.)
    pub(super) fn forget_former(&mut self) {
        let commits = &self.commits;
        self.former.retain(|topic, of_topic| {
            of_topic.retain(|index, offset| {
                let now = commits.get(topic).and_then(|p| p.get(index));
                now.is_some_and(|commit| commit.get().is_err() || commit.get() == Ok(*offset))
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

/// What the world is, for the figures of a group.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) topics: &'a BTreeMap<String, Topic>,
    /// Topics that are there but beyond the limit.
    pub(super) over_limit: &'a BTreeSet<String>,
    /// Topics that we may not describe.
    pub(super) forbidden: &'a BTreeSet<String>,
    pub(super) config: &'a Config,
}

/// Makes the figures of a group that is fresh, and lets its memory look at them.
pub(super) fn renew(group: &mut Group, world: World<'_>) {
    let before = std::mem::take(&mut group.figures);
    let progress_before = std::mem::take(&mut group.progress);
    let mut figures = Figures::default();
    // Most groups stand where they stood.
    let names = if group.changed { group.topic_names() } else { before.keys().cloned().collect() };
    for name in names {
        let topic = world.topics.get(&*name);
        if world.over_limit.contains(&*name) || (topic.is_none() && !world.config.topics.matches(&name)) {
            continue;
        }
        let stood = if group.changed { None } else { stood(before.get(&name), topic) };
        let places =
            stood.unwrap_or_else(|| Arc::new(group.figures_of(&name, topic, before.get(&name), world)));
        if places.is_empty() {
            continue;
        }
        let progress = group.look(&name, topic, &places, world.config);
        // Where it goes on as it did, both snapshots show the same.
        let same = progress_before.get(&*name).filter(|before| ***before == progress);
        let progress = same.map_or_else(|| Arc::new(progress), Arc::clone);
        group.progress.insert(Arc::clone(&name), progress);
        figures.insert(name, places);
    }
    group.memory.retain(|name, _| figures.contains_key(name));
    group.figures = figures;
}

/// The figures of a group that has not changed in a topic that has not either: those of before, grown older.
fn stood(before: Option<&Arc<Places>>, topic: Option<&Topic>) -> Option<Arc<Places>> {
    let topic = topic.filter(|topic| topic.is_settled())?;
    before?.later(&topic.last_ends).map(Arc::new)
}

/// A commit, if there is one, and whether a member is assigned.
type Standpoint = (Option<Result<i64, i16>>, bool);

impl Group {
    /// The topics it has to do with, in order.
    fn topic_names(&self) -> BTreeSet<Arc<str>> {
        let names = self.commits.keys().chain(self.assigned.keys()).chain(self.unset.keys());
        names.cloned().collect()
    }

    /// Where it stands in a topic: what is committed, what else is assigned, and of a share group
    /// what has no start yet.
    fn standpoints(&self, name: &str) -> Sorted<i32, Standpoint> {
        let committed = self.commits.get(name);
        let (assigned, unset) = (self.assigned.get(name), self.unset.get(name));
        let is_committed = |index: &i32| committed.is_some_and(|c| c.contains_key(index));
        let is_assigned = |index: &i32| assigned.is_some_and(|a| a.contains(index));
        let of_commits = committed.into_iter().flat_map(|c| c.iter());
        let of_assigned = assigned.into_iter().flatten().filter(|index| !is_committed(index));
        let of_unset =
            unset.into_iter().flatten().filter(|index| !is_committed(index) && !is_assigned(index));
        of_commits
            .map(|(&index, &commit)| (index, (Some(commit.get()), is_assigned(&index))))
            .chain(of_assigned.map(|&index| (index, (None, true))))
            .chain(of_unset.map(|&index| (index, (None, false))))
            .collect()
    }

    fn figures_of(
        &self,
        name: &str,
        topic: Option<&Topic>,
        before: Option<&Arc<Places>>,
        world: World<'_>,
    ) -> Places {
        let former = self.former.get(name);
        let figures = self.standpoints(name).into_iter().map(|(index, (commit, assigned))| {
            let partition = topic.and_then(|t| t.partitions.get(&index));
            let fresh = partition.is_some_and(|p| p.fresh);
            let mut figure = match partition {
                Some(partition) if former.is_some_and(|f| f.contains_key(&index)) => {
                    let figure = partition.figure(commit, assigned);
                    // Beyond the new end it is worse than unknown.
                    GroupPartition {
                        unknown: figure.unknown.or(Some(Unknown::Recreated)),
                        ..without_lag(figure)
                    }
                }
                Some(partition) if !partition.fresh => match before.and_then(|b| b.get(index)) {
                    // The ends are of an earlier refresh than the commit: the figures stay those of then.
                    Some(before) => GroupPartition { assigned, ..before },
                    None => {
                        let figure = partition.figure(commit, assigned);
                        GroupPartition { unknown: Some(Unknown::Unreadable), ..without_lag(figure) }
                    }
                },
                Some(partition) => partition.figure(commit, assigned),
                None => {
                    let nowhere = Partition::default().figure(commit, assigned);
                    let gone = !world.forbidden.contains(name);
                    let why = if gone { Unknown::TopicGone } else { Unknown::Unreadable };
                    GroupPartition { unknown: Some(why), ..nowhere }
                }
            };
            if self.group_type == GroupType::Share && (fresh || partition.is_none()) {
                self.share(name, index, &mut figure);
            }
            (index, figure)
        });
        Places::new(topic.map_or_else(Arc::default, |topic| Arc::clone(&topic.last_ends)), figures)
    }

    /// Lets the memory of a topic look at its new figures.
    fn look(
        &mut self,
        name: &Arc<str>,
        topic: Option<&Topic>,
        places: &Places,
        config: &Config,
    ) -> TopicProgress {
        let credit = config.interval.saturating_mul(CREDIT_INTERVALS).as_millis();
        let now = Now {
            at_ms: self.read_at_ms,
            credit_ms_max: i64::try_from(credit).unwrap_or(i64::MAX),
            standing: self.standing(),
            topic_id: topic.and_then(|t| t.id),
        };
        let certain = topic.is_some_and(|t| !t.transactional);
        let seen = places.iter().map(|(index, figure)| {
            let partition = topic.and_then(|t| t.partitions.get(&index)).filter(|p| p.fresh);
            let looked_at = || partition.zip(figure.committed).is_some_and(|(p, c)| p.shows_a_record(c));
            Seen {
                partition: index,
                figure,
                fresh: partition.is_some(),
                record_there: certain && looked_at(),
            }
        });
        self.memory.get_or_insert_with(Arc::clone(name), Box::default).look(&now, &config.activity, seen)
    }
}

/// The same with no lag, as that is not known.
fn without_lag(figure: GroupPartition) -> GroupPartition {
    GroupPartition {
        lag_records: None,
        stable_lag_records: None,
        lost_records: 0,
        lag_seconds: None,
        lag_seconds_error: 0.0,
        ..figure
    }
}

#[cfg(test)]
mod tests;
