//! What the watcher saw of groups and topics lately: lag slot by slot, and what happened to them.
//!
//! Of the topics that are followed alone; fed with each snapshot once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::line::Point;
use super::ring::SLOTS;
use crate::cluster::snapshot::{ClusterSnapshot, GroupSnapshot, TopicSnapshot};

/// Pairs of group and topic.
const PAIRS_MAX: usize = 2_000;
/// Events kept of a group or a topic.
const EVENTS_MAX: usize = 32;
/// As many of one kind before a finding are how a group is.
pub(super) const USUAL_FROM: usize = 3;

/// Something that happened at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// When it was seen, and for how long it may have been so, ms.
    pub(super) at_ms: i64,
    pub(super) within_ms: i64,
    pub(super) what: Happened,
    pub(super) from: String,
    pub(super) to: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Happened {
    Recreated,
    Partitions,
    Leaderless,
    UnderReplicated,
    Members,
    State,
}

/// How far a group is behind in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Behind {
    slot: i64,
    /// At most.
    seconds: Option<f32>,
    records: Option<f32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    members: Option<u32>,
    state: String,
    pub(super) events: VecDeque<Event>,
    topics: BTreeMap<String, VecDeque<Behind>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    id: Option<u128>,
    partitions: usize,
    leaderless: usize,
    under_replicated: usize,
    pub(super) events: VecDeque<Event>,
}

/// Groups and topics of the cluster, lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watched {
    taken_at_ms: i64,
    slot_ms: i64,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) topics: BTreeMap<String, Seen>,
}

fn happen(events: &mut VecDeque<Event>, event: Event) {
    events.push_back(event);
    while events.len() > EVENTS_MAX {
        events.pop_front();
    }
}

impl Watched {
    /// Is it later than those that were taken?
    pub(super) fn is_new(&self, snapshot: &ClusterSnapshot) -> bool {
        snapshot.complete_once && snapshot.taken_at_ms > self.taken_at_ms
    }

    /// Takes a snapshot. `followed` are the topics whose groups are told of, but for the agents' `own`.
    pub(super) fn look(
        &mut self,
        snapshot: &ClusterSnapshot,
        followed: &BTreeSet<&str>,
        own: &str,
        slot_ms: i64,
    ) {
        let at_ms = snapshot.taken_at_ms;
        if !self.is_new(snapshot) {
            return;
        }
        if self.slot_ms != slot_ms {
            *self = Self { slot_ms, ..Self::default() };
        }
        let within_ms = if self.taken_at_ms > 0 { at_ms - self.taken_at_ms } else { 0 };
        self.taken_at_ms = at_ms;
        let slot = at_ms.div_euclid(slot_ms.max(1));
        self.topics.retain(|name, _| followed.contains(name.as_str()) && snapshot.topics.contains_key(name));
        for (name, topic) in snapshot.topics.iter().filter(|(name, _)| followed.contains(name.as_str())) {
            match self.topics.get_mut(name) {
                Some(seen) => seen.look(topic, at_ms, within_ms),
                None => {
                    self.topics.insert(name.clone(), Seen::of(topic));
                }
            }
        }
        self.groups.retain(|name, _| snapshot.groups.contains_key(name));
        let mut pairs: usize = self.groups.values().map(|group| group.topics.len()).sum();
        for (name, group) in &snapshot.groups {
            let read = || group.topics.iter().filter(|(topic, _)| followed.contains(&***topic));
            if name == own || read().next().is_none() {
                self.groups.remove(name);
                continue;
            }
            if pairs >= PAIRS_MAX && !self.groups.contains_key(name) {
                continue;
            }
            let is_new = !self.groups.contains_key(name);
            let known = self.groups.entry(name.clone()).or_default();
            known.happened(group, is_new, at_ms, within_ms);
            known.topics.retain(|topic, _| group.topics.contains_key(topic.as_str()));
            for (topic, places) in read() {
                if !known.topics.contains_key(&**topic) {
                    if pairs >= PAIRS_MAX {
                        continue;
                    }
                    pairs += 1;
                }
                let line = known.topics.entry(topic.to_string()).or_default();
                let seconds = GroupSnapshot::topic_lag_seconds(places).map(|(seconds, _)| seconds as f32);
                let records = GroupSnapshot::topic_lag_records(places).map(|records| records as f32);
                match line.back_mut().filter(|last| last.slot == slot) {
                    Some(last) => {
                        last.seconds = larger(last.seconds, seconds);
                        last.records = larger(last.records, records);
                    }
                    None => line.push_back(Behind { slot, seconds, records }),
                }
                while line.front().is_some_and(|first| first.slot + SLOTS as i64 <= slot) {
                    line.pop_front();
                }
            }
        }
    }

    /// Lag of a group on a topic: the number of the first slot, and seconds by slot; records where
    /// seconds are not known. The slot that is open is left out.
    pub(super) fn lag(&self, group: &str, topic: &str) -> Option<Lag> {
        let line = self.groups.get(group)?.topics.get(topic)?;
        let first = line.front()?.slot;
        let open = self.taken_at_ms.div_euclid(self.slot_ms.max(1));
        let is_seconds = line.iter().any(|behind| behind.seconds.is_some());
        let len = usize::try_from(open - first).unwrap_or(0).min(SLOTS);
        let mut points = vec![None; len];
        for behind in line {
            let value = if is_seconds { behind.seconds } else { behind.records };
            let at = usize::try_from(behind.slot - first).ok();
            if let (Some(point), Some(value)) = (at.and_then(|at| points.get_mut(at)), value) {
                *point = Some(Point { value: f64::from(value), basis: 0.0 });
            }
        }
        Some(Lag { first, slot_ms: self.slot_ms, is_seconds, points })
    }

    /// Groups that read a topic.
    pub(super) fn readers<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (&'a str, &'a Group)> {
        let reads = move |(_, group): &(&String, &Group)| group.topics.contains_key(topic);
        self.groups.iter().filter(reads).map(|(name, group)| (name.as_str(), group))
    }
}

/// How far a group was behind, slot by slot.
pub(super) struct Lag {
    first: i64,
    slot_ms: i64,
    pub(super) is_seconds: bool,
    pub(super) points: Vec<Option<Point>>,
}

impl Lag {
    pub(super) fn at_ms(&self, slot: usize) -> i64 {
        (self.first + slot as i64) * self.slot_ms
    }

    pub(super) fn slot_ms(&self) -> i64 {
        self.slot_ms
    }
}

fn larger(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

impl Group {
    fn happened(&mut self, group: &GroupSnapshot, is_new: bool, at_ms: i64, within_ms: i64) {
        // What can't be described says nothing.
        if let (Some(before), Some(now)) = (self.members, group.members)
            && before != now
        {
            let (from, to) = (before.to_string(), now.to_string());
            happen(&mut self.events, Event { at_ms, within_ms, what: Happened::Members, from, to });
        }
        if !is_new && !self.state.is_empty() && !group.state.is_empty() && self.state != group.state {
            let (from, to) = (self.state.clone(), group.state.clone());
            happen(&mut self.events, Event { at_ms, within_ms, what: Happened::State, from, to });
        }
        self.members = group.members.or(self.members);
        if !group.state.is_empty() {
            self.state.clone_from(&group.state);
        }
    }
}

impl Seen {
    fn of(topic: &TopicSnapshot) -> Self {
        let partitions = topic.partitions.values();
        Self {
            id: topic.id,
            partitions: topic.partitions.len(),
            leaderless: partitions.clone().filter(|p| p.leader.is_none()).count(),
            under_replicated: partitions.filter(|p| p.in_sync < p.replicas).count(),
            events: VecDeque::new(),
        }
    }

    fn look(&mut self, topic: &TopicSnapshot, at_ms: i64, within_ms: i64) {
        let mut now = Self::of(topic);
        now.events = std::mem::take(&mut self.events);
        let mut tell = |what, from: String, to: String| {
            happen(&mut now.events, Event { at_ms, within_ms, what, from, to });
        };
        if let (Some(before), Some(id)) = (self.id, topic.id)
            && before != id
        {
            tell(Happened::Recreated, format!("{before:032x}"), format!("{id:032x}"));
        }
        for (what, before, count) in [
            (Happened::Partitions, self.partitions, now.partitions),
            (Happened::Leaderless, self.leaderless, now.leaderless),
            (Happened::UnderReplicated, self.under_replicated, now.under_replicated),
        ] {
            if before != count {
                tell(what, before.to_string(), count.to_string());
            }
        }
        now.id = now.id.or(self.id);
        *self = now;
    }
}
