//! The test's own books: what may be true of every offset at every moment.
//!
//! A record is stored at some moment between being sent and being acknowledged, a commit likewise; so at any time the
//! truth lies between what was acknowledged by then and what was sent by then.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A partition of a topic.
pub(crate) type Partition = (String, i32);
/// A group's place in a partition.
pub(crate) type Place = (String, Partition);

/// A number that only grows, and when it did.
#[derive(Debug, Default)]
struct Line(Vec<(Instant, i64)>);

impl Line {
    fn raise(&mut self, at: Instant, value: i64) {
        if self.0.last().is_none_or(|&(_, last)| value > last) {
            self.0.push((at, value));
        }
    }

    /// The value at a moment; `None` before the first.
    fn at(&self, at: Instant) -> Option<i64> {
        let after = self.0.partition_point(|&(then, _)| then <= at);
        after.checked_sub(1).map(|index| self.0[index].1)
    }
}

#[derive(Debug, Default)]
struct Pages {
    /// How many records each partition was sent.
    counts: BTreeMap<Partition, i64>,
    /// How many of them are there twice.
    twice: BTreeMap<Partition, i64>,
    sent: BTreeMap<Partition, Line>,
    stored: BTreeMap<Partition, Line>,
    attempted: BTreeMap<Place, Line>,
    held: BTreeMap<Place, Line>,
}

/// What the test's producers and consumers have done.
#[derive(Debug, Default)]
pub(crate) struct Books(Mutex<Pages>);

impl Pages {
    fn raise_sent(&mut self, partition: &Partition, count: i64) {
        let twice = self.twice.get(partition).copied().unwrap_or(0);
        self.sent.entry(partition.clone()).or_default().raise(Instant::now(), count + twice);
    }
}

impl Books {
    fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more record is about to be sent: as each takes one offset, the end can be as high as their number, and as
    /// many more as are there twice. Gives which it is, from 1.
    pub(crate) fn send(&self, partition: &Partition) -> i64 {
        let mut pages = self.open();
        let count = pages.counts.entry(partition.clone()).or_default();
        *count += 1;
        let count = *count;
        pages.raise_sent(partition, count);
        count
    }

    /// The record that was the `number`th is stored at this offset.
    ///
    /// An idempotent producer whose broker dies may begin a new epoch, and what was under way then is stored again: the
    /// offset of an acknowledged record shows how many before it were.
    pub(crate) fn store(&self, partition: &Partition, number: i64, offset: i64) {
        let mut pages = self.open();
        let twice = pages.twice.entry(partition.clone()).or_default();
        *twice = (*twice).max(offset + 1 - number);
        let count = pages.counts.get(partition).copied().unwrap_or(0);
        pages.raise_sent(partition, count);
        pages.stored.entry(partition.clone()).or_default().raise(Instant::now(), offset + 1);
    }

    /// Records that are there twice.
    pub(crate) fn twice(&self) -> i64 {
        self.open().twice.values().sum()
    }

    /// A commit is about to be sent.
    pub(crate) fn attempt(&self, place: &Place, offset: i64) {
        self.open().attempted.entry(place.clone()).or_default().raise(Instant::now(), offset);
    }

    /// A commit was acknowledged.
    pub(crate) fn hold(&self, place: &Place, offset: i64) {
        self.open().held.entry(place.clone()).or_default().raise(Instant::now(), offset);
    }

    /// What the end of a partition may have been between two moments.
    pub(crate) fn end(&self, partition: &Partition, from: Instant, to: Instant) -> (i64, i64) {
        let pages = self.open();
        let at = |lines: &BTreeMap<Partition, Line>, when| lines.get(partition).and_then(|l| l.at(when));
        (at(&pages.stored, from).unwrap_or(0), at(&pages.sent, to).unwrap_or(0))
    }

    /// What a commit may have been between two moments; `None` when there can have been none.
    pub(crate) fn commit(&self, place: &Place, from: Instant, to: Instant) -> Option<(i64, i64)> {
        let pages = self.open();
        let held = pages.held.get(place).and_then(|line| line.at(from)).unwrap_or(0);
        let attempted = pages.attempted.get(place).and_then(|line| line.at(to))?;
        Some((held, attempted))
    }

    /// Records that were sent and are not acknowledged.
    pub(crate) fn in_flight(&self) -> i64 {
        let now = Instant::now();
        let partitions: Vec<Partition> = self.open().sent.keys().cloned().collect();
        partitions.iter().map(|partition| self.end(partition, now, now)).map(|(low, high)| high - low).sum()
    }

    /// Every place that has been committed at least once.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.open().held.keys().cloned().collect()
    }

    /// Every partition that holds records.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.open().stored.keys().cloned().collect()
    }
}
