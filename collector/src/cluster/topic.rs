//! One topic: its partitions, what was counted of them, and what it is configured to do.

use std::sync::Arc;

use super::ask::{MetadataTopic, TopicConfig};
use super::batch::Found;
pub(crate) use super::partition::{Ends, Partition, Probe};
use super::places::LastEnds;
use super::snapshot::{CleanupPolicy, Hottest, Sorted, TopicSnapshot, Unread};

/// Former ids that are remembered: a broker that is behind may still show one of them.
const FORMER_IDS_MAX: usize = 8;
/// After a refusal to let records be read, this long none are asked for.
const UNREADABLE_FOR_MS: i64 = 600_000;

/// A topic, with what its throughput is counted from.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(super) id: Option<u128>,
    /// Ids that topics of this name had before; an id never comes back.
    former: Vec<u128>,
    pub(crate) partitions: Sorted<i32, Partition>,
    /// The ends of all partitions, as figures are made of them in this refresh.
    pub(super) last_ends: Arc<[LastEnds]>,
    pub(super) records_total: u64,
    /// Transactions were seen here: it may end in markers at any time.
    pub(super) transactional: bool,
    /// Something is new that its partitions do not tell: some came or went, transactions were seen, records may be
    /// read (no more).
    touched: bool,
    /// Nothing is new of it in this refresh.
    settled: bool,
    was_readable: bool,
    /// Metadata in a row without it.
    pub(super) missed: u32,
    pub(super) config: Option<TopicConfig>,
    /// When its configuration may be asked for (again).
    pub(super) describe_after_ms: i64,
    /// We may not read records, as of the last try; until when that is believed.
    unreadable_until_ms: Option<i64>,
}

impl Topic {
    /// A topic that was there before, was gone, and is here again.
    pub(super) fn returned(records_total: u64, former: Option<u128>) -> Self {
        Self { records_total, former: former.into_iter().collect(), ..Self::default() }
    }

    /// Takes over what metadata says of it. `whole`: all its records came under our eyes. Gives
    /// whether it is another topic of the same name now.
    pub(super) fn apply_metadata(
        &mut self,
        seen: MetadataTopic,
        whole: bool,
        next_generation: &mut u64,
    ) -> bool {
        self.missed = 0;
        if seen.id.is_some_and(|id| self.former.contains(&id)) {
            // A broker that is behind shows the topic of before.
            return false;
        }
        let first_sight = self.partitions.is_empty() && !whole;
        let recreated = matches!((self.id, seen.id), (Some(was), Some(is)) if was != is);
        if recreated {
            self.former.extend(self.id);
            if self.former.len() > FORMER_IDS_MAX {
                self.former.remove(0);
            }
            self.partitions.clear();
            self.transactional = false;
            self.config = None;
            self.describe_after_ms = 0;
            self.unreadable_until_ms = None;
        }
        self.id = seen.id.or(self.id);
        if seen.code != 0 && seen.partitions.is_empty() {
            // Its partitions are not known just now: the last known ones stay.
            return recreated;
        }
        let known = self.partitions.len();
        self.partitions.retain(|index, _| seen.partitions.contains_key(index));
        self.touched |= recreated || known != self.partitions.len();
        if known == 0 {
            self.partitions.reserve_exact(seen.partitions.len());
        }
        for (index, place) in seen.partitions {
            let partition = self.partitions.get_or_insert_with(index, || {
                *next_generation += 1;
                // All of a partition that came into being under our eyes counts.
                Partition::new(*next_generation, (!first_sight).then_some(0))
            });
            partition.offsets.leader = place.leader;
            partition.offsets.replicas = place.replicas;
            partition.offsets.in_sync = place.in_sync;
        }
        recreated
    }

    /// Takes over the ends of one partition.
    pub(super) fn apply_ends(&mut self, index: i32, ends: Ends, next_generation: &mut u64) {
        let Some(partition) = self.partitions.get_mut(&index) else { return };
        if let Some(appended) = partition.apply_ends(ends, next_generation) {
            self.is_transactional(ends.stable < ends.high);
            self.records_total = self.records_total.saturating_add(appended);
        }
    }

    /// The ends of a partition could not be read.
    pub(super) fn apply_unread(&mut self, index: i32, why: Unread) {
        if let Some(partition) = self.partitions.get_mut(&index) {
            partition.offsets.unread = Some(why);
        }
    }

    /// Takes over what was found at a position.
    pub(super) fn apply_found(&mut self, index: i32, generation: u64, offset: i64, found: Found) {
        if let Some(partition) = self.partitions.get_mut(&index).filter(|p| p.generation == generation) {
            let transactional = found.transactional;
            partition.apply_found(offset, found);
            self.is_transactional(transactional);
        }
    }

    fn is_transactional(&mut self, seen: bool) {
        self.touched |= seen && !self.transactional;
        self.transactional |= seen;
    }

    /// All has been read but for what goes aside.
    pub(super) fn look_around(&mut self, now_ms: i64) {
        let readable = self.readable(now_ms);
        self.touched |= readable != self.was_readable;
        self.was_readable = readable;
        self.settle();
    }

    /// Finds out whether anything is new.
    pub(super) fn settle(&mut self) {
        self.settled = !self.touched && self.partitions.values().all(Partition::is_settled);
    }

    /// Nothing is new of it in this refresh: neither its partitions nor what is known of them.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// All has been read: figures are made of what is known now.
    pub(super) fn show_ends(&mut self) {
        self.last_ends = self.partitions.iter().map(|(&index, p)| p.last_ends(index)).collect();
    }

    /// The figures have been made from it.
    pub(super) fn figured(&mut self) {
        self.touched = false;
    }

    /// Records of it may not be read.
    pub(super) fn apply_unreadable(&mut self, now_ms: i64) {
        self.unreadable_until_ms = Some(now_ms.saturating_add(UNREADABLE_FOR_MS));
    }

    /// Is it worth trying to read a record?
    pub(super) fn readable(&self, now_ms: i64) -> bool {
        self.unreadable_until_ms.is_none_or(|until_ms| now_ms >= until_ms)
    }

    /// A record of it could be read after all.
    pub(super) fn apply_readable(&mut self) {
        self.unreadable_until_ms = None;
    }

    pub(super) fn snapshot(&self, hangs_after_ms: i64) -> TopicSnapshot {
        let rates = self.partitions.values().map(|p| p.records_per_second.filter(|_| p.fresh));
        let sizes: Option<Vec<_>> = self.partitions.values().map(|p| p.size()).collect();
        let sizes = sizes.filter(|sizes| !sizes.is_empty());
        // Compaction and tiering remove bytes without a trace in the offsets.
        let grows_only = self.config.is_some_and(|config| {
            !config.tiered && matches!(config.cleanup, Some(CleanupPolicy::Delete | CleanupPolicy::Keep))
        });
        let growth =
            |sizes: &Vec<(u64, Option<f64>)>| sizes.iter().map(|(_, rate)| *rate).sum::<Option<f64>>();
        TopicSnapshot {
            id: self.id,
            partitions: self.partitions.iter().map(|(i, p)| (*i, p.offsets)).collect(),
            records_total: self.records_total,
            // Of a part of the partitions the sum would be too low, not approximate.
            records_per_second: if self.partitions.is_empty() { None } else { rates.sum() },
            cleanup_policy: self.config.and_then(|config| config.cleanup),
            in_sync_min: self.config.and_then(|config| config.in_sync_min),
            size_bytes: sizes
                .as_ref()
                .map(|sizes| sizes.iter().fold(0, |sum: u64, (bytes, _)| sum.saturating_add(*bytes))),
            bytes_per_second: sizes.as_ref().filter(|_| grows_only).and_then(growth),
            hottest: self.hottest(),
            open_transactions: self
                .partitions
                .iter()
                .filter_map(|(i, p)| Some((*i, p.open_transaction(hangs_after_ms)?)))
                .collect(),
            tail_unknown: self.unreadable_until_ms.is_some(),
        }
    }

    fn hottest(&self) -> Option<Hottest> {
        if self.partitions.len() < 2 {
            return None;
        }
        let (mut all, mut most) = (0i64, (0, 0));
        for (&index, partition) in self.partitions.iter() {
            let appended = partition.appended_recently().filter(|_| partition.fresh)?;
            all = all.checked_add(appended)?;
            if appended > most.1 {
                most = (index, appended);
            }
        }
        (all > 0).then(|| Hottest { partition: most.0, share: most.1 as f64 / all as f64 })
    }
}
