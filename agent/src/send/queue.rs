//! Reports that wait for the collector: bounded, and what does not fit is given up in the order of
//! what it costs, and counted.
//!
//! A report that waits keeps its own time, so that a collector that was away judges as one that
//! was not. When the queue is full, all that waits becomes one report: of a pane only the latest
//! snapshot is kept, since it contains the earlier ones. When that is still too much, whole panes
//! go, the oldest first: their records are reported as skipped (`spool`).

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use checks::report::{OffsetRange, Pane, Report, SkippedRange, skip_reason};
use prost::Message;
use tokio::sync::Notify;

/// Panes are remembered this long after their end, for what may still come of them, ms.
const REMEMBERED_MS: i64 = 7_200_000;
/// Panes remembered at most.
const REMEMBERED_MAX: usize = 10_000;

/// Topic, segment and start of a pane.
type PaneKey = (String, String, i64);

fn key(pane: &Pane) -> PaneKey {
    (pane.topic.clone(), pane.segment.clone(), pane.start_ms)
}

/// What waits. Pure.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    bytes_max: usize,
    pushed: u64,
    settled: u64,
    /// What the collector has (or is being given) of a pane, or was told that it will not get.
    remembered: BTreeMap<PaneKey, Remembered>,
    /// Of panes that are being given: what it had before.
    before: BTreeMap<PaneKey, Vec<OffsetRange>>,
    /// Panes given up and not yet told of.
    lost: BTreeMap<PaneKey, Pane>,
    /// Skipped ranges of reports that were refused.
    carried: Vec<SkippedRange>,
    panes_dropped: u64,
    sightings_dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    mark: u64,
    report: Report,
    bytes: usize,
}

#[derive(Debug)]
struct Remembered {
    end_ms: i64,
    ranges: Vec<OffsetRange>,
    is_given_up: bool,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Adds a report; the mark says when it is settled.
    fn push(&mut self, mut report: Report) -> u64 {
        let mut more_lost = Vec::new();
        report.panes.retain(|pane| {
            let key = key(pane);
            // A later snapshot holds all of it after all.
            self.lost.remove(&key);
            match self.remembered.get_mut(&key) {
                Some(known) if known.is_given_up => {
                    more_lost.extend(beyond(pane, &known.ranges));
                    known.ranges = pane.ranges.clone();
                    false
                }
                _ => true,
            }
        });
        self.carried.extend(more_lost);
        self.pushed += 1;
        let bytes = report.encoded_len();
        self.bytes += bytes;
        self.waiting.push_back(Waiting { mark: self.pushed, report, bytes });
        if self.bytes > self.bytes_max {
            self.squeeze();
        }
        self.pushed
    }

    /// The next report to send, with what has to be told of those that were given up. It counts as
    /// given from here on: a sender does not let go of it before it is applied or refused.
    fn take(&mut self) -> Option<(u64, Report)> {
        let Waiting { mark, mut report, bytes } = self.waiting.pop_front()?;
        self.bytes -= bytes;
        report.skipped.append(&mut self.carried);
        for (key, pane) in std::mem::take(&mut self.lost) {
            report.skipped.extend(beyond(&pane, self.known(&key)));
            let told = Remembered { end_ms: pane.end_ms, ranges: pane.ranges, is_given_up: true };
            self.remembered.insert(key, told);
        }
        for pane in &report.panes {
            let given = Remembered { end_ms: pane.end_ms, ranges: pane.ranges.clone(), is_given_up: false };
            let known = self.remembered.insert(key(pane), given);
            self.before.insert(key(pane), known.map(|known| known.ranges).unwrap_or_default());
        }
        Some((mark, report))
    }

    fn known(&self, key: &PaneKey) -> &[OffsetRange] {
        self.remembered.get(key).map_or(&[], |known| &known.ranges)
    }

    /// The collector has this (part of a) report.
    fn applied(&mut self, report: &Report) {
        for pane in &report.panes {
            self.before.remove(&key(pane));
        }
        self.forget(report.as_of_ms);
    }

    /// The collector will never take this (part of a) report.
    fn refused(&mut self, report: Report) {
        self.carried.extend(report.skipped);
        self.sightings_dropped += report.sightings.len() as u64;
        let newer: HashSet<PaneKey> =
            self.waiting.iter().flat_map(|w| w.report.panes.iter().map(key)).collect();
        for pane in report.panes {
            let key = key(&pane);
            let ranges = self.before.remove(&key).unwrap_or_default();
            self.remembered
                .insert(key.clone(), Remembered { end_ms: pane.end_ms, ranges, is_given_up: false });
            if !newer.contains(&key) {
                self.give_up(pane);
            }
        }
    }

    fn give_up(&mut self, pane: Pane) {
        self.panes_dropped += 1;
        // What it held is gone with it; how much that was is told.
        self.lost.insert(key(&pane), Pane { summary: None, ..pane });
    }

    /// One report of all that waits, and no more of it than there is room for.
    fn squeeze(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        let Some(Waiting { mut mark, report: mut all, .. }) = waiting.next() else { return };
        for later in waiting {
            mark = later.mark;
            all = absorb(all, later.report);
        }
        let mut bytes = all.encoded_len();
        if bytes > self.bytes_max {
            all.panes.sort_by_key(|pane| pane.end_ms);
            let mut panes = VecDeque::from(std::mem::take(&mut all.panes));
            while bytes > self.bytes_max
                && let Some(pane) = panes.pop_front()
            {
                bytes = bytes.saturating_sub(pane.encoded_len() + 2);
                self.give_up(pane);
            }
            all.panes = panes.into();
            while bytes > self.bytes_max
                && let Some(sighting) = all.sightings.pop()
            {
                bytes = bytes.saturating_sub(sighting.encoded_len() + 2);
                self.sightings_dropped += 1;
            }
        }
        self.bytes = bytes;
        self.waiting.push_back(Waiting { mark, report: all, bytes });
    }

    fn forget(&mut self, now_ms: i64) {
        let oldest = now_ms.saturating_sub(REMEMBERED_MS);
        if self.remembered.len() > REMEMBERED_MAX / 2 {
            self.remembered.retain(|_, pane| pane.end_ms >= oldest);
        }
        while self.remembered.len() > REMEMBERED_MAX
            && let Some(first) =
                self.remembered.iter().min_by_key(|(_, pane)| pane.end_ms).map(|(key, _)| key.clone())
        {
            self.remembered.remove(&first);
        }
    }
}

/// As many offsets as `pane` has records beyond those in `known`, at the ends of its ranges:
/// records of other panes may lie between its own.
fn beyond(pane: &Pane, known: &[OffsetRange]) -> Vec<SkippedRange> {
    let known_of = |partition| known.iter().find(|r| r.partition == partition).map_or(0, |r| r.records);
    let lost =
        pane.ranges.iter().map(|range| (range, range.records.saturating_sub(known_of(range.partition))));
    lost.filter(|(_, records)| *records > 0)
        .map(|(range, records)| SkippedRange {
            topic: pane.topic.clone(),
            partition: range.partition,
            from: range.next.saturating_sub(records as i64),
            to: range.next,
            reason: skip_reason::SPOOL.to_owned(),
        })
        .collect()
}

/// The later report, with what only the earlier one has.
fn absorb(earlier: Report, mut later: Report) -> Report {
    let superseded: HashSet<PaneKey> = later.panes.iter().map(key).collect();
    let mut panes: Vec<Pane> =
        earlier.panes.into_iter().filter(|pane| !superseded.contains(&key(pane))).collect();
    panes.append(&mut later.panes);
    let mut skipped = earlier.skipped;
    skipped.append(&mut later.skipped);
    let mut sightings = earlier.sightings;
    sightings.append(&mut later.sightings);
    for topic in earlier.topics {
        match later.topics.iter_mut().find(|t| t.topic == topic.topic) {
            None => later.topics.push(topic),
            Some(newer) => {
                for position in topic.positions {
                    if !newer.positions.iter().any(|p| p.partition == position.partition) {
                        newer.positions.push(position);
                    }
                }
                newer.positions.sort_by_key(|position| position.partition);
            }
        }
    }
    Report { panes, skipped, sightings, ..later }
}

/// The queue between an agent's thread and its sender.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    settled: Condvar,
}

impl Outbox {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { queue: Mutex::new(Queue::new(bytes_max)), arrived: Notify::new(), settled: Condvar::new() }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a report over; never waits. The mark is for [`Self::wait`].
    pub(crate) fn push(&self, report: Report) -> u64 {
        let mark = self.queue().push(report);
        self.arrived.notify_one();
        mark
    }

    /// The next report.
    pub(crate) async fn take(&self) -> (u64, Report) {
        loop {
            if let Some(next) = self.queue().take() {
                return next;
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn applied(&self, part: &Report) {
        self.queue().applied(part);
    }

    pub(crate) fn refused(&self, part: Report) {
        self.queue().refused(part);
    }

    /// All up to this mark has arrived, or never will.
    pub(crate) fn settle(&self, mark: u64) {
        let mut queue = self.queue();
        queue.settled = queue.settled.max(mark);
        self.settled.notify_all();
    }

    /// Waits (on a thread of its own, never in a task) until that is so.
    pub(crate) fn wait(&self, mark: u64, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut queue = self.queue();
        while queue.settled < mark {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queue = self.settled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Pane snapshots and sightings given up since the start.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        let queue = self.queue();
        (queue.panes_dropped, queue.sightings_dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checks::report::{PaneSummary, Position, Sighting, TopicProgress};
    use proptest::prelude::*;

    /// A pane of `records` records from offset 0 on, of about `bytes`.
    fn pane(start_ms: i64, records: u64, bytes: usize) -> Pane {
        Pane {
            topic: "orders".into(),
            start_ms,
            end_ms: start_ms + 10,
            ranges: vec![OffsetRange { partition: 0, first: 0, next: records as i64, records }],
            summary: Some(PaneSummary {
                decode_examples: vec![checks::report::Example {
                    value: "x".repeat(bytes),
                    ..Default::default()
                }],
                read: records,
                ..PaneSummary::default()
            }),
            ..Pane::default()
        }
    }

    fn report(as_of_ms: i64, panes: Vec<Pane>, positions: &[(i32, i64)]) -> Report {
        let positions =
            positions.iter().map(|(partition, next)| Position { partition: *partition, next: *next });
        let topics = vec![TopicProgress {
            topic: "orders".into(),
            positions: positions.collect(),
            ..TopicProgress::default()
        }];
        Report { as_of_ms, panes, topics, ..Report::default() }
    }

    #[test]
    fn reports_keep_their_own_time_while_there_is_room() {
        let mut queue = Queue::new(1 << 20);
        queue.push(report(1, vec![pane(0, 1, 10)], &[(0, 1)]));
        queue.push(report(2, vec![pane(0, 2, 10)], &[(0, 2)]));
        assert_eq!(queue.take().map(|(mark, r)| (mark, r.as_of_ms, r.panes.len())), Some((1, 1, 1)));
        assert_eq!(queue.take().map(|(mark, r)| (mark, r.as_of_ms, r.panes.len())), Some((2, 2, 1)));
        assert!(queue.take().is_none());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn when_full_only_the_latest_snapshot_of_a_pane_is_kept() {
        let mut queue = Queue::new(2_500);
        queue.push(report(1, vec![pane(0, 1, 1_000)], &[(0, 1), (1, 9)]));
        queue.push(report(2, vec![pane(0, 2, 1_000)], &[(0, 2)]));
        queue.push(report(3, vec![pane(10, 1, 1_000)], &[(0, 3)]));
        let (mark, all) = queue.take().expect("a report");
        assert_eq!((mark, all.as_of_ms), (3, 3));
        assert_eq!(
            all.panes.iter().map(|p| (p.start_ms, p.ranges[0].records)).collect::<Vec<_>>(),
            [(0, 2), (10, 1)]
        );
        let positions: Vec<_> = all.topics[0].positions.iter().map(|p| (p.partition, p.next)).collect();
        assert_eq!(positions, [(0, 3), (1, 9)], "of a partition that was given up since, too");
        assert!(all.skipped.is_empty() && queue.take().is_none());
    }

    #[test]
    fn what_has_no_room_at_all_is_counted_as_skipped() {
        let mut queue = Queue::new(2_500);
        let first = report(1, vec![pane(0, 4, 10)], &[(0, 4)]);
        queue.push(first.clone());
        let (_, sent) = queue.take().expect("a report");
        queue.applied(&sent);
        for i in 0..4 {
            queue.push(report(i, vec![pane(i * 10, 10, 1_000)], &[(0, 10)]));
        }
        assert_eq!(queue.panes_dropped, 2);
        let (_, sent) = queue.take().expect("a report");
        let skipped: Vec<_> = sent.skipped.iter().map(|s| (s.from, s.to, s.reason.as_str())).collect();
        // The collector has four of the ten records of the first pane already.
        assert_eq!(skipped, [(4, 10, "spool"), (0, 10, "spool")]);
        // A later snapshot of a pane that was given up adds what came since.
        queue.push(report(9, vec![pane(10, 11, 10)], &[(0, 11)]));
        let (_, sent) = queue.take().expect("a report");
        assert_eq!(sent.panes, []);
        assert_eq!(sent.skipped.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>(), [(10, 11)]);
    }

    #[test]
    fn a_pane_given_up_that_grows_before_anybody_was_told_is_not_lost() {
        let mut queue = Queue::new(1_500);
        queue.push(report(1, vec![pane(0, 5, 1_000)], &[]));
        queue.push(report(2, vec![pane(10, 5, 1_000)], &[]));
        assert_eq!(queue.panes_dropped, 1);
        queue.take();
        // Its range was told of with that report: it stays given up.
        queue.push(report(3, vec![pane(0, 6, 10)], &[]));
        assert_eq!(queue.take().map(|(_, r)| (r.panes.len(), r.skipped.len())), Some((0, 1)));

        let mut queue = Queue::new(1_500);
        queue.push(report(1, vec![pane(0, 5, 1_000), pane(10, 5, 1_000)], &[]));
        assert_eq!(queue.panes_dropped, 1);
        queue.push(report(2, vec![pane(0, 6, 10)], &[]));
        let (_, sent) = queue.take().expect("a report");
        assert_eq!(sent.skipped, [], "the whole pane is here after all");
    }

    #[test]
    fn a_refused_report_is_told_of() {
        let mut queue = Queue::new(1 << 20);
        let mut refused = report(1, vec![pane(0, 5, 10), pane(10, 3, 10)], &[]);
        refused.sightings = vec![Sighting::default(); 2];
        queue.push(refused);
        let (_, refused) = queue.take().expect("a report");
        queue.push(report(2, vec![pane(10, 4, 10)], &[]));
        queue.refused(refused);
        let (_, next) = queue.take().expect("a report");
        assert_eq!(next.skipped.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>(), [(0, 5)]);
        assert_eq!((queue.panes_dropped, queue.sightings_dropped), (1, 2));
    }

    proptest! {
        /// Whatever is pushed and taken, the collector ends up with every record once: in the last
        /// snapshot of its pane, or as skipped; and the queue stays within its bound.
        #[test]
        fn nothing_is_lost_or_told_twice(
            steps in prop::collection::vec((0i64..6, 1u64..5, 0usize..900, any::<bool>()), 1..80),
        ) {
            let mut queue = Queue::new(2_000);
            let mut truth: BTreeMap<i64, u64> = BTreeMap::new();
            let (mut held, mut skipped) = (BTreeMap::<i64, u64>::new(), 0u64);
            let mut deliver = |queue: &mut Queue| {
                while let Some((_, sent)) = queue.take() {
                    queue.applied(&sent);
                    for pane in &sent.panes {
                        held.insert(pane.start_ms, pane.ranges[0].records);
                    }
                    skipped += sent.skipped.iter().map(|s| (s.to - s.from) as u64).sum::<u64>();
                }
                (held.clone(), skipped)
            };
            for (i, (which, more, bytes, is_delivered)) in steps.into_iter().enumerate() {
                let records = truth.entry(which * 10).or_default();
                *records += more;
                queue.push(report(i as i64, vec![pane(which * 10, *records, bytes)], &[]));
                prop_assert!(queue.bytes <= 2_000);
                if is_delivered {
                    deliver(&mut queue);
                }
            }
            queue.push(report(1_000, vec![], &[]));
            let (held, skipped) = deliver(&mut queue);
            prop_assert_eq!(held.values().sum::<u64>() + skipped, truth.values().sum::<u64>());
        }
    }
}
