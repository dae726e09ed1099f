//! Windowing: which pane a record belongs to, and when a pane is done. Pure: the clock is an
//! argument.
//!
//! Panes tumble by the time that records go by: their own, or that of the event in their payload where
//! the rules say so. A pane is open until the watermark (the time before which no more
//! records are expected) has passed its end by the allowed lateness; its records are in exactly one
//! pane, whatever the order in which partitions were read. A record whose pane is gone is *late*:
//! it is counted in the oldest open pane, or in the pane of the present when none is open, so that
//! every offset is accounted for.
//!
//! The watermark is the minimum, over the partitions that are not idle, of the latest time seen there,
//! but never ahead of the clock, nor an event's ahead of its record's: a producer whose clock runs ahead
//! must not make everybody else's records late. A partition is idle when it was read to its end and has been
//! silent for a while; when all are, the watermark follows the clock at that distance, so that
//! panes close without further records. Events come later than they happen: by event time it follows
//! the clock at that distance and the allowed lateness. It never goes back.

use std::collections::BTreeMap;

use checks::record::Timestamp;
use checks::report::OffsetRange;
use checks::rules::{Window, WindowTime};

/// The time a record goes by, and whether its own was no good (missing, negative or far in the
/// future: [`Window::ahead_ms`]) so that it goes by its arrival.
pub fn effective_time(
    time: Timestamp,
    arrival_ms: i64,
    window: &Window,
    open_panes_max: usize,
) -> (i64, bool) {
    let latest = arrival_ms.saturating_add(window.ahead_ms(open_panes_max));
    match time.ms() {
        Some(ms) if (0..=latest).contains(&ms) => (ms, false),
        _ => (arrival_ms, true),
    }
}

/// The panes of one topic at one agent. `T` is what is accumulated in each.
#[derive(Debug)]
pub struct Panes<T> {
    window: Window,
    open_max: usize,
    idle_ms: i64,
    /// By start; they never overlap.
    open: BTreeMap<i64, OpenPane<T>>,
    /// Closed, waiting for their last snapshot.
    done: Vec<OpenPane<T>>,
    partitions: BTreeMap<i32, PartitionClock>,
    watermark_ms: i64,
    /// Every pane that ended at or before it is gone.
    floor_ms: i64,
    evicted: u64,
}

/// A pane that still takes records, or that was closed and has not been reported yet.
#[derive(Debug)]
pub struct OpenPane<T> {
    /// Start, ms, inclusive.
    pub start_ms: i64,
    /// End, ms, exclusive.
    pub end_ms: i64,
    /// What was accumulated.
    pub data: T,
    /// Changed since its last snapshot.
    dirty: bool,
    ranges: BTreeMap<i32, OffsetRange>,
}

impl<T> OpenPane<T> {
    fn new(start_ms: i64, end_ms: i64, data: T) -> Self {
        Self { start_ms, end_ms, data, dirty: false, ranges: BTreeMap::new() }
    }

    /// Counts a record as one of this pane's.
    fn cover(&mut self, partition: i32, offset: i64) {
        self.dirty = true;
        let range = self.ranges.entry(partition).or_insert(OffsetRange {
            partition,
            first: offset,
            next: offset.saturating_add(1),
            records: 0,
        });
        range.first = range.first.min(offset);
        range.next = range.next.max(offset.saturating_add(1));
        range.records += 1;
    }

    /// The offsets of its records, by partition.
    pub fn ranges(&self) -> Vec<OffsetRange> {
        self.ranges.values().copied().collect()
    }
}

/// What the watermark needs to know of a partition.
#[derive(Clone, Copy, Debug)]
struct PartitionClock {
    max_record_ms: Option<i64>,
    last_arrival_ms: i64,
    caught_up: bool,
}

/// Where a record was put.
#[derive(Debug)]
pub struct Placed<'a, T> {
    /// The pane.
    pub pane: &'a mut OpenPane<T>,
    /// Its own pane is gone: it is counted here, but not examined.
    pub late: bool,
}

impl<T> Panes<T> {
    /// No panes and no partitions yet. At most `open_max` panes are open; a partition without
    /// records for `idle_ms` does not hold back the watermark.
    pub fn new(window: Window, open_max: usize, idle_ms: i64) -> Self {
        Self {
            window,
            open_max: open_max.max(1),
            idle_ms,
            open: BTreeMap::new(),
            done: Vec::new(),
            partitions: BTreeMap::new(),
            watermark_ms: i64::MIN,
            floor_ms: i64::MIN,
            evicted: 0,
        }
    }

    /// Panes that ended at or before this time were reported by someone before: none is begun
    /// there again.
    pub fn above(mut self, floor_ms: i64) -> Self {
        self.floor_ms = self.floor_ms.max(floor_ms);
        self
    }

    /// The end of the last pane begun.
    pub fn floor_ms(&self) -> i64 {
        self.open.values().next_back().map_or(self.floor_ms, |last| last.end_ms.max(self.floor_ms))
    }

    /// The window of panes begun from now on; those in flight keep theirs.
    pub fn set_window(&mut self, window: Window) {
        self.window = window;
    }

    /// The window of panes begun from now on.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// A partition is read from now on.
    pub fn assign(&mut self, partition: i32, now_ms: i64) {
        self.partitions.entry(partition).or_insert(PartitionClock {
            max_record_ms: None,
            last_arrival_ms: now_ms,
            caught_up: false,
        });
    }

    /// A partition is not read any more.
    pub fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Is the partition read to its end?
    pub fn set_caught_up(&mut self, partition: i32, caught_up: bool) {
        if let Some(clock) = self.partitions.get_mut(&partition) {
            clock.caught_up = caught_up;
        }
    }

    /// No record of an earlier time is expected; `i64::MIN` while nothing is known.
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// Panes closed before their time because too many were open.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Puts a record that goes by this time into its pane, its own (effective) time being `own_ms`;
    /// `begin` makes what a new pane accumulates into.
    pub fn place(
        &mut self,
        (partition, offset): (i32, i64),
        record_ms: i64,
        own_ms: i64,
        arrival_ms: i64,
        begin: impl FnOnce() -> T,
    ) -> Placed<'_, T> {
        let clock = self.partitions.entry(partition).or_insert(PartitionClock {
            max_record_ms: None,
            last_arrival_ms: arrival_ms,
            caught_up: false,
        });
        clock.last_arrival_ms = clock.last_arrival_ms.max(arrival_ms);
        let passed_ms = record_ms.min(own_ms);
        clock.max_record_ms = Some(clock.max_record_ms.map_or(passed_ms, |max| max.max(passed_ms)));

        let (start, late) = match self.covering(record_ms) {
            Some(start) => (start, false),
            None => self.elsewhere(record_ms, arrival_ms, begin),
        };
        let pane = self
            .open
            .get_mut(&start)
            .unwrap_or_else(|| unreachable!("the pane at {start} was just found or begun"));
        pane.cover(partition, offset);
        Placed { pane, late }
    }

    /// The start of the pane for a record that no open one covers, and whether it is late there.
    fn elsewhere(&mut self, record_ms: i64, arrival_ms: i64, begin: impl FnOnce() -> T) -> (i64, bool) {
        let oldest = self.open.keys().next().copied();
        match oldest {
            Some(oldest) if self.is_gone(record_ms) => (oldest, true),
            None if self.is_gone(record_ms) => (self.begin_pane(arrival_ms.max(self.floor_ms), begin), true),
            // No room, and its own would be the first to go.
            Some(oldest) if self.open.len() >= self.open_max && record_ms < oldest => {
                self.floor_ms = self.floor_ms.max(oldest);
                (oldest, true)
            }
            _ => (self.begin_pane(record_ms, begin), false),
        }
    }

    /// Moves the watermark to where the records and the clock allow, and closes the panes behind
    /// it. Without partitions the clock alone closes.
    pub fn advance(&mut self, now_ms: i64) {
        let silent_since = now_ms.saturating_sub(self.idle_ms);
        let active = self
            .partitions
            .values()
            .filter(|p| !(p.caught_up && p.last_arrival_ms <= silent_since))
            .map(|p| p.max_record_ms.unwrap_or(i64::MIN))
            .min();
        let silent_watermark = match self.window.by {
            WindowTime::Record => silent_since,
            WindowTime::Event => silent_since.saturating_sub(self.window.allowed_lateness_ms),
        };
        let watermark = active.unwrap_or(silent_watermark).min(now_ms);
        self.watermark_ms = self.watermark_ms.max(watermark);
        let closed_before = self.watermark_ms.saturating_sub(self.window.allowed_lateness_ms);
        while let Some(oldest) = self.open.first_entry().filter(|pane| pane.get().end_ms <= closed_before) {
            let pane = oldest.remove();
            self.floor_ms = self.floor_ms.max(pane.end_ms);
            self.done.push(pane);
        }
    }

    /// Closes everything that is open: the topic is not read any more.
    pub fn close_all(&mut self) {
        while let Some((_, pane)) = self.open.pop_first() {
            self.floor_ms = self.floor_ms.max(pane.end_ms);
            self.done.push(pane);
        }
    }

    /// Hands out every pane that changed since the last call, each as a whole, in the order of
    /// time; closed panes are gone afterwards.
    pub fn snapshot(&mut self, mut take: impl FnMut(&OpenPane<T>)) {
        for pane in self.done.drain(..).filter(|pane| pane.dirty) {
            take(&pane);
        }
        for pane in self.open.values_mut().filter(|pane| pane.dirty) {
            take(pane);
            pane.dirty = false;
        }
    }

    /// So many closed panes wait for their last snapshot that it should not wait for its turn.
    pub fn is_pressing(&self) -> bool {
        self.done.len() >= self.open_max
    }

    /// Panes in memory, closed ones first.
    pub fn in_memory(&self) -> impl Iterator<Item = &OpenPane<T>> {
        self.done.iter().chain(self.open.values())
    }

    fn covering(&self, record_ms: i64) -> Option<i64> {
        // Nearly always the newest one does.
        let (start, pane) = match self.open.last_key_value()? {
            newest if *newest.0 <= record_ms => newest,
            _ => self.open.range(..=record_ms).next_back()?,
        };
        (record_ms < pane.end_ms).then_some(*start)
    }

    fn is_gone(&self, record_ms: i64) -> bool {
        let end = self.aligned(record_ms).saturating_add(self.window.pane_ms);
        record_ms < self.floor_ms || end <= self.watermark_ms.saturating_sub(self.window.allowed_lateness_ms)
    }

    fn aligned(&self, ms: i64) -> i64 {
        let pane_ms = self.window.pane_ms.max(1);
        ms.div_euclid(pane_ms).saturating_mul(pane_ms)
    }

    /// Begins the pane that holds this time. Where the length of panes was changed by a reload, it
    /// fills what its neighbours leave.
    fn begin_pane(&mut self, ms: i64, begin: impl FnOnce() -> T) -> i64 {
        let mut start = self.aligned(ms).max(self.floor_ms);
        let mut end = self.aligned(ms).saturating_add(self.window.pane_ms.max(1));
        if let Some((_, before)) = self.open.range(..=ms).next_back() {
            if before.end_ms > ms {
                return before.start_ms;
            }
            start = start.max(before.end_ms);
        }
        if let Some((after, _)) = self.open.range(ms..).next() {
            end = end.min(*after);
        }
        if self.open.len() >= self.open_max
            && let Some((_, oldest)) = self.open.pop_first()
        {
            self.floor_ms = self.floor_ms.max(oldest.end_ms);
            self.evicted += 1;
            self.done.push(oldest);
        }
        self.open.insert(start, OpenPane::new(start, end, begin()));
        start
    }
}

#[cfg(test)]
mod tests;
