//! One topic: its partitions' ends, their history, and what follows for a group that stands there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ask::MetadataTopic;
use super::batch::Found;
use super::history::History;
use super::lag::{self, Places};
use super::snapshot::{GroupPartition, PartitionOffsets, TopicSnapshot, Unknown};

/// Only a lag this small can be nothing but transaction markers; more of them in a row are
/// looked for no further.
const MARKERS_MAX: i64 = 16;
/// Below this, an uncertainty of when a record was appended is not worth a look at the record.
const WINDOW_FINE_MS: i64 = 30_000;

/// A topic, with what its throughput is counted from.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    id: Option<u128>,
    pub(crate) partitions: BTreeMap<i32, Partition>,
    records_total: u64,
    /// Transactions were seen here: it may end in markers at any time.
    pub(super) transactional: bool,
}

/// A partition's ends and their history.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) offsets: PartitionOffsets,
    /// Its ends were read in this refresh.
    pub(crate) fresh: bool,
    /// Records are counted from here; `None` until the first reading.
    counted_to: Option<i64>,
    records_per_second: Option<f64>,
    history: History,
    /// What lies at the positions of groups, as far as it was looked at.
    found: HashMap<i64, Found>,
}

/// Ends of one partition, read together: start, last stable, high watermark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) start: i64,
    pub(crate) stable: i64,
    pub(crate) high: i64,
    pub(crate) at_ms: i64,
}

/// A position whose record is worth a look, on the leader of its partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Probe {
    pub(crate) leader: i32,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The record's time is wanted, however large its batch; otherwise only markers are looked
    /// for, which are small.
    pub(crate) for_time: bool,
}

impl Topic {
    pub(super) fn from_metadata(known: Option<Self>, seen: MetadataTopic) -> Self {
        let mut topic = known.unwrap_or_default();
        let first_sight = topic.partitions.is_empty();
        let recreated = matches!((topic.id, seen.id), (Some(was), Some(is)) if was != is);
        if recreated {
            topic.partitions.clear();
            topic.transactional = false;
        }
        topic.id = seen.id.or(topic.id);
        if seen.code != 0 && seen.partitions.is_empty() {
            // Its partitions are not known just now: the last known ones stay.
            return topic;
        }
        topic.partitions.retain(|index, _| seen.partitions.contains_key(index));
        for (index, place) in seen.partitions {
            let partition = topic.partitions.entry(index).or_insert_with(|| Partition {
                // All of a partition that came into being under our eyes counts.
                counted_to: (!first_sight).then_some(0),
                ..Partition::default()
            });
            partition.offsets.leader = place.leader;
            partition.offsets.replicas = place.replicas;
            partition.offsets.in_sync = place.in_sync;
        }
        topic
    }

    /// Takes over the ends of one partition.
    pub(super) fn apply_ends(&mut self, index: i32, ends: Ends) {
        let Some(partition) = self.partitions.get_mut(&index) else { return };
        self.transactional |= ends.stable < ends.high;
        self.records_total = self.records_total.saturating_add(partition.count(ends));
        let offsets = &mut partition.offsets;
        offsets.start = Some(ends.start);
        offsets.end = Some(ends.high);
        offsets.stable_end = Some(ends.stable.min(ends.high));
        offsets.read_at_ms = ends.at_ms;
        partition.fresh = true;
        partition.history.record(ends.at_ms, ends.high);
    }

    /// Takes over what was found at a position.
    pub(super) fn apply_found(&mut self, index: i32, offset: i64, found: Found) {
        self.transactional |= found.transactional;
        if let Some(partition) = self.partitions.get_mut(&index) {
            partition.found.insert(offset, found);
        }
    }

    /// Forgets what was found where no group stands any more.
    pub(super) fn forget_all_but(&mut self, used: &BTreeSet<(i32, i64)>) {
        for (&index, partition) in &mut self.partitions {
            partition.found.retain(|&offset, _| used.contains(&(index, offset)));
        }
    }

    pub(super) fn snapshot(&self) -> TopicSnapshot {
        let rates = self.partitions.values().map(|p| p.records_per_second.filter(|_| p.fresh));
        TopicSnapshot {
            id: self.id,
            partitions: self.partitions.iter().map(|(i, p)| (*i, p.offsets)).collect(),
            records_total: self.records_total,
            // Of a part of the partitions the sum would be too low, not approximate.
            records_per_second: if self.partitions.is_empty() { None } else { rates.sum() },
        }
    }
}

impl Partition {
    /// Counts what was appended since the last reading, and how fast.
    fn count(&mut self, ends: Ends) -> u64 {
        let before = self.offsets.end.map(|end| (self.offsets.read_at_ms, end));
        self.records_per_second = before.and_then(|(at_ms, end)| {
            let seconds = ends.at_ms.saturating_sub(at_ms) as f64 / 1000.0;
            let appended = ends.high.checked_sub(end)?;
            (seconds > 0.0 && appended >= 0).then(|| appended as f64 / seconds)
        });
        if before.is_some_and(|(_, end)| ends.high < end) {
            // Truncated, or recreated where brokers give no topic ids: other offsets now.
            self.history.clear();
            self.found.clear();
        }
        let appended = self.counted_to.and_then(|to| ends.high.checked_sub(to)).unwrap_or(0);
        self.counted_to = Some(ends.high);
        u64::try_from(appended).unwrap_or(0)
    }

    pub(super) fn probe(
        &self,
        committed: i64,
        may_be_marker: bool,
        topic: &str,
        index: i32,
    ) -> Option<Probe> {
        let offsets = &self.offsets;
        let (start, end, leader) = (offsets.start?, offsets.end?, offsets.leader?);
        let position = committed.max(start);
        let lag = end.checked_sub(position)?;
        if !self.fresh || lag <= 0 {
            return None;
        }
        let found = self.found.get(&position);
        if found.is_some_and(|f| f.record.is_some()) {
            return None;
        }
        let known_empty = found.and_then(|f| f.empty_until).is_some_and(|until| until >= end);
        if known_empty {
            return None;
        }
        let for_marker = lag <= MARKERS_MAX && may_be_marker;
        let window = self.history.window(position);
        let fine = match (window.width_ms(), window.by) {
            (Some(width), Some((by_ms, _))) => width <= WINDOW_FINE_MS.max((offsets.read_at_ms - by_ms) / 10),
            _ => false,
        };
        (for_marker || !fine).then(|| Probe {
            leader,
            topic: topic.to_owned(),
            partition: index,
            offset: position,
            for_time: !fine,
        })
    }

    /// The figures of a commit, or of none.
    pub(super) fn figure(&self, commit: Option<Result<i64, i16>>, assigned: bool) -> GroupPartition {
        let offsets = &self.offsets;
        let mut figure = GroupPartition {
            committed: commit.and_then(Result::ok),
            start: offsets.start,
            end: offsets.end,
            stable_end: offsets.stable_end,
            lag_records: None,
            stable_lag_records: None,
            lost_records: 0,
            lag_seconds: None,
            lag_seconds_error: 0.0,
            unknown: None,
            assigned,
        };
        let committed = match commit {
            None => {
                figure.unknown = Some(Unknown::Uncommitted);
                return figure;
            }
            Some(Err(_)) => {
                figure.unknown = Some(Unknown::Unreadable);
                return figure;
            }
            Some(Ok(committed)) => committed,
        };
        let (Some(start), Some(end)) = (offsets.start, offsets.end) else {
            figure.unknown = Some(Unknown::Unreadable);
            return figure;
        };
        let mut places = Places { committed, start, end, stable_end: offsets.stable_end, empty_until: None };
        let position = places.position();
        let found = self.found.get(&position);
        places.empty_until = found.and_then(|f| f.empty_until);
        let lag = places.lag();
        let window = self.history.window(position);
        let oldest = found
            .and_then(|f| f.record.flatten())
            .and_then(|record| window.confine(record))
            .or_else(|| window.estimate(position));
        let seconds = lag::seconds(lag.records, offsets.read_at_ms, oldest);
        figure.lag_records = lag.records;
        figure.stable_lag_records = lag.stable_records;
        figure.lost_records = lag.lost_records;
        figure.unknown = lag.unknown;
        figure.lag_seconds = seconds.map(|(age, _)| age);
        figure.lag_seconds_error = seconds.map_or(0.0, |(_, error)| error);
        figure
    }
}
