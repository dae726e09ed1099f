//! One partition: its ends and their history, what lies where groups stand, and what keeps its
//! last stable offset in place.

use super::ask::{Coordinated, Producer};
use super::batch::Found;
use super::history::History;
use super::lag::{self, Places, When, Window};
use super::places::LastEnds;
use super::search::Search;
use super::snapshot::{
    GroupPartition, OpenProducer, OpenTransaction, PartitionOffsets, Sorted, TransactionCoordinator, Unknown,
    Unread,
};

/// Only a lag this small can be nothing but transaction markers; more of them in a row are
/// looked for no further.
const MARKERS_MAX: i64 = 16;
/// Below this, an uncertainty of when a record was appended is not worth a look at the record.
const WINDOW_FINE_MS: i64 = 30_000;
/// Over which time it is told which partition gets most.
const RECENT_MS: i64 = 60_000;
/// A size that was read longer ago than this is none any more.
const SIZE_KEEP_MS: i64 = 300_000;

/// A partition's ends and their history.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) offsets: PartitionOffsets,
    /// Its ends were read in this refresh.
    pub(crate) fresh: bool,
    /// They were in the one before.
    was_fresh: bool,
    /// The same ends were read in the refresh before, and nothing new is known of it.
    settled: bool,
    /// Which log this is, of all that were ever seen: another one after the topic was recreated
    /// or truncated.
    pub(super) generation: u64,
    /// Records are counted from here; `None` until the first reading.
    pub(super) counted_to: Option<i64>,
    pub(super) records_per_second: Option<f64>,
    /// Of the last reading; −1 where brokers do not tell.
    epoch: i32,
    history: History,
    /// What lies at the positions of groups, as far as it was looked at.
    found: Sorted<i64, Remembered>,
    open: Option<Box<Open>>,
    size: Option<Size>,
    /// A growth of the log in bytes a second, with the log start that must not have moved.
    growth: Option<(f64, i64)>,
    bytes_per_second: Option<f64>,
}

/// Ends of one partition, read together: start, last stable, high watermark.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) start: i64,
    pub(crate) stable: i64,
    pub(crate) high: i64,
    /// Leader epoch of the high watermark; −1 where the broker does not tell.
    pub(crate) epoch: i32,
    /// When they were asked for; 0 is taken for `at_ms`.
    pub(crate) asked_ms: i64,
    pub(crate) at_ms: i64,
}

/// A transaction that keeps the last stable offset below the high watermark.
#[derive(Debug, Default)]
struct Open {
    stable: i64,
    since_ms: i64,
    ask_after_ms: i64,
    producer: Option<Producer>,
    coordinator: Option<(i32, Coordinated)>,
}

/// What lies at a position, kept small: there is one wherever a group stands whose record's time is not known from
/// the history of ends.
#[derive(Clone, Debug)]
struct Remembered {
    /// No record is delivered up to here; −1 where that was not seen.
    empty_until: i64,
    /// The first record that is delivered was found; its time, where that says anything.
    record: Option<Option<When>>,
    looked: bool,
    /// A group stands there.
    used: bool,
    unfinished: Option<Box<Search>>,
}

impl Remembered {
    fn new(found: Found) -> Self {
        Self {
            empty_until: found.empty_until.unwrap_or(-1),
            record: found.record,
            looked: found.looked,
            used: false,
            unfinished: found.unfinished,
        }
    }

    fn empty_until(&self) -> Option<i64> {
        (self.empty_until >= 0).then_some(self.empty_until)
    }

    /// A record was seen that lies at the position or after.
    fn shows_a_record(&self) -> bool {
        self.looked && self.record.is_some()
    }

    fn time(&self) -> Option<When> {
        self.record.flatten()
    }
}

/// The size of the leader's log.
#[derive(Clone, Copy, Debug)]
struct Size {
    leader: i32,
    bytes: u64,
    at_ms: i64,
    /// Log start offset, read before it.
    start: i64,
}

/// A position whose record is worth a look, on the leader of its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) leader: i32,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The record's time is wanted, however large its batch; otherwise only markers are looked
    /// for, which are small.
    pub(crate) for_time: bool,
    /// Records may be read, as far as we know.
    pub(crate) readable: bool,
    /// What the history says of the time.
    pub(crate) window: Window,
    /// Where an earlier search has come to.
    pub(crate) unfinished: Option<Search>,
    pub(crate) generation: u64,
}

impl Partition {
    pub(super) fn new(generation: u64, counted_to: Option<i64>) -> Self {
        Self { generation, counted_to, epoch: -1, ..Self::default() }
    }

    /// A refresh begins.
    pub(super) fn begin(&mut self) {
        self.was_fresh = std::mem::take(&mut self.fresh);
        self.settled = false;
    }

    /// Nothing is new of it since the refresh before.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes over what was found at a position.
    pub(super) fn apply_found(&mut self, offset: i64, found: Found) {
        self.settled = false;
        self.found.insert(offset, Remembered::new(found));
    }

    /// Was a record seen that lies where a group stands, or after?
    pub(super) fn shows_a_record(&self, committed: i64) -> bool {
        let position = self.offsets.start.map(|start| committed.max(start));
        position.and_then(|position| self.found.get(&position)).is_some_and(Remembered::shows_a_record)
    }

    /// Takes over its ends, and gives how many records were appended since the last time. What a
    /// leader says that has been deposed meanwhile is left aside: `None`.
    pub(super) fn apply_ends(&mut self, ends: Ends, next_generation: &mut u64) -> Option<u64> {
        if ends.epoch >= 0 && ends.epoch < self.epoch {
            self.offsets.unread = Some(Unread::LeaderMoving);
            return None;
        }
        self.epoch = ends.epoch;
        let appended = self.count(ends, next_generation);
        let asked_ms = if ends.asked_ms > 0 { ends.asked_ms } else { ends.at_ms };
        self.history.record(asked_ms, ends.at_ms, ends.high);
        self.watch_transactions(ends);
        if let Some((rate, start)) = self.growth.take() {
            // Only now is it known that nothing was removed until its second reading.
            self.bytes_per_second = (start == ends.start).then_some(rate);
        }
        let offsets = &mut self.offsets;
        let before = (offsets.start, offsets.end, offsets.stable_end);
        offsets.start = Some(ends.start);
        offsets.end = Some(ends.high);
        offsets.stable_end = Some(ends.stable.min(ends.high));
        self.settled = self.was_fresh && before == (offsets.start, offsets.end, offsets.stable_end);
        offsets.read_at_ms = ends.at_ms;
        offsets.unread = None;
        self.fresh = true;
        Some(appended)
    }

    /// Counts what was appended since the last reading, and how fast.
    fn count(&mut self, ends: Ends, next_generation: &mut u64) -> u64 {
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
            self.open = None;
            *next_generation += 1;
            self.generation = *next_generation;
        }
        let appended = self.counted_to.and_then(|to| ends.high.checked_sub(to)).unwrap_or(0);
        self.counted_to = Some(ends.high);
        u64::try_from(appended).unwrap_or(0)
    }

    fn watch_transactions(&mut self, ends: Ends) {
        if ends.stable >= ends.high {
            self.open = None;
        } else if self.open.as_ref().is_none_or(|open| open.stable != ends.stable) {
            // Its first record is where the last stable offset stops: open since that came.
            let first_seen = self.history.window(ends.stable).by.map_or(ends.at_ms, |(at_ms, _)| at_ms);
            let open = Open { stable: ends.stable, since_ms: first_seen.min(ends.at_ms), ..Open::default() };
            self.open = Some(Box::new(open));
        }
    }

    /// Records appended over about the last minute; `None` before two readings.
    pub(super) fn appended_recently(&self) -> Option<i64> {
        self.history.appended_since(self.offsets.read_at_ms.saturating_sub(RECENT_MS))
    }

    /// The position worth a look for a commit, if there is one.
    pub(super) fn probe(
        &self,
        committed: i64,
        may_be_marker: bool,
        readable: bool,
        (topic, index): (&str, i32),
    ) -> Option<Probe> {
        let offsets = &self.offsets;
        let (start, end, leader) = (offsets.start?, offsets.end?, offsets.leader?);
        let position = committed.max(start);
        let lag = end.checked_sub(position)?;
        if !self.fresh || lag <= 0 {
            return None;
        }
        let found = self.found.get(&position);
        let unfinished = found.and_then(|f| f.unfinished.as_deref().copied());
        if found.is_some_and(|f| f.record.is_some()) && unfinished.is_none() {
            return None;
        }
        let known_empty = found.and_then(Remembered::empty_until).is_some_and(|until| until >= end);
        if known_empty {
            return None;
        }
        let for_marker = lag <= MARKERS_MAX && may_be_marker && readable;
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
            readable,
            window,
            unfinished,
            generation: self.generation,
        })
    }

    /// A look at what lies where a group stands, unless there was one.
    pub(super) fn look_at(&self, committed: i64, (topic, index): (&str, i32)) -> Option<Probe> {
        let position = committed.max(self.offsets.start?);
        let leader = self.offsets.leader?;
        let worth_it = self.fresh
            && position < self.offsets.end?
            && !self.found.get(&position).is_some_and(Remembered::shows_a_record);
        worth_it.then(|| Probe {
            leader,
            topic: topic.to_owned(),
            partition: index,
            offset: position,
            for_time: false,
            readable: true,
            window: self.history.window(position),
            unfinished: None,
            generation: self.generation,
        })
    }

    /// Its ends, as figures are made of them.
    pub(super) fn last_ends(&self, index: i32) -> LastEnds {
        let PartitionOffsets { start, end, stable_end, read_at_ms, .. } = self.offsets;
        LastEnds::new(index, [start, end, stable_end], read_at_ms)
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
        places.empty_until = found.and_then(Remembered::empty_until);
        let lag = places.lag();
        let window = self.history.window(position);
        let oldest = found
            .and_then(Remembered::time)
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

    /// A group stands at this position.
    pub(super) fn use_found(&mut self, position: i64) {
        if let Some(remembered) = self.found.get_mut(&position) {
            remembered.used = true;
        }
    }

    /// Forgets what was found where no group was said to stand, since this was done last.
    pub(super) fn forget_unused(&mut self) {
        self.found.retain(|_, remembered| std::mem::take(&mut remembered.used));
        self.found.shrink();
    }

    /// Takes over the size of its log on a broker; only the leader's counts.
    pub(super) fn apply_size(&mut self, broker: i32, bytes: u64, at_ms: i64) {
        let Some(start) = self.offsets.start.filter(|_| self.offsets.leader == Some(broker)) else { return };
        let now = Size { leader: broker, bytes, at_ms, start };
        let before = self.size.replace(now);
        self.growth = before.filter(|b| b.leader == broker && b.at_ms < at_ms).and_then(|before| {
            let grown = bytes.checked_sub(before.bytes)?;
            Some((grown as f64 * 1000.0 / (at_ms - before.at_ms) as f64, before.start))
        });
        if self.growth.is_none() {
            self.bytes_per_second = None;
        }
    }

    /// Bytes of its leader's log, and how fast they grow, as far as that is known now.
    pub(super) fn size(&self) -> Option<(u64, Option<f64>)> {
        let old = |size: &Size| self.offsets.read_at_ms.saturating_sub(size.at_ms) > SIZE_KEEP_MS;
        let size = self.size.filter(|size| !old(size))?;
        Some((size.bytes, self.bytes_per_second))
    }

    fn hanging(&self, now_ms: i64, hangs_after_ms: i64) -> Option<&Open> {
        self.open.as_deref().filter(|open| now_ms.saturating_sub(open.since_ms) >= hangs_after_ms)
    }

    /// Should its leader be asked who has a transaction open? Not again before `again_ms`.
    pub(super) fn ask_for_producer(&mut self, now_ms: i64, hangs_after_ms: i64, again_ms: i64) -> bool {
        if !self.fresh || self.hanging(now_ms, hangs_after_ms).is_none() {
            return false;
        }
        let Some(open) = self.open.as_mut().filter(|open| now_ms >= open.ask_after_ms) else { return false };
        open.ask_after_ms = again_ms;
        true
    }

    /// Takes over who has transactions open, as its leader says.
    pub(super) fn apply_producers(&mut self, producers: &[Producer]) {
        if let Some(open) = &mut self.open {
            let holds = producers.iter().find(|p| p.start_offset == open.stable).copied();
            if holds.map(|p| p.id) != open.producer.map(|p| p.id) {
                open.coordinator = None;
            }
            open.producer = holds;
        }
    }

    /// The producer whose coordinator is not known yet.
    pub(super) fn producer_without_coordinator(&self) -> Option<i64> {
        let open = self.open.as_ref().filter(|open| open.coordinator.is_none())?;
        Some(open.producer?.id)
    }

    /// Takes over what a broker knows of the transactions that it coordinates.
    pub(super) fn apply_coordinated(&mut self, producer: i64, broker: i32, coordinated: &Coordinated) {
        if let Some(open) = self.open.as_mut().filter(|o| o.producer.is_some_and(|p| p.id == producer)) {
            open.coordinator = Some((broker, coordinated.clone()));
        }
    }

    /// The transaction that hangs here, if one does.
    pub(super) fn open_transaction(&self, hangs_after_ms: i64) -> Option<OpenTransaction> {
        let open = self.hanging(self.offsets.read_at_ms, hangs_after_ms)?;
        let began_ms = open.coordinator.as_ref().and_then(|(_, c)| c.began_ms);
        let last_ms = open.producer.and_then(|p| p.last_ms);
        let since_ms = [began_ms, last_ms].into_iter().flatten().fold(open.since_ms, i64::min);
        Some(OpenTransaction {
            start_offset: open.stable,
            since_ms,
            producer: open.producer.map(|p| OpenProducer {
                producer_id: p.id,
                producer_epoch: p.epoch,
                coordinator_epoch: p.coordinator_epoch,
                last_ms: p.last_ms,
            }),
            coordinator: open.coordinator.as_ref().map(|(broker, c)| TransactionCoordinator {
                broker: *broker,
                transactional_id: c.transactional_id.clone(),
                state: c.state.clone(),
                timeout_ms: c.timeout_ms,
            }),
        })
    }
}
