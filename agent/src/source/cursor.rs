//! Where reading starts in a partition, and how every offset is accounted for. Pure.

use checks::report::skip_reason;

/// What is known of a partition before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// Committed by the agent's group.
    pub committed: Option<i64>,
    /// Known to the collector.
    pub collector: Option<i64>,
    /// Where this agent itself is, when it has lost its place.
    pub own: Option<i64>,
    /// First offset that can be read.
    pub log_start: i64,
    /// The offset after the last that can be read (last stable offset). Looked up *after* the
    /// others, so that none of them is beyond it for being newer.
    pub end: i64,
    /// The partition came to be while the agent was running.
    pub is_new: bool,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// First offset to read.
    pub at: i64,
    /// Offsets that retention removed before they could be read.
    pub lost: Option<(i64, i64)>,
    /// There was a place to go on from.
    pub is_resumed: bool,
    /// That place is of a run before this one: the age of the first record decides whether it is
    /// caught up with.
    pub is_on_trial: bool,
    /// Places that lie beyond the end: those of a topic that was deleted and made again.
    pub beyond_end: usize,
}

impl Anchors {
    /// The furthest known place, as far as it exists; else the end, or for a new partition its
    /// beginning.
    pub fn start(&self) -> Start {
        let known = [self.committed, self.collector, self.own];
        let beyond_end = known.iter().flatten().filter(|at| **at > self.end).count();
        let furthest = known.into_iter().flatten().filter(|at| *at <= self.end).max();
        let begin = if self.is_new || beyond_end > 0 { self.log_start } else { self.end };
        let at = furthest.unwrap_or(begin).max(self.log_start);
        Start {
            at,
            lost: furthest.filter(|known| *known < at).map(|known| (known, at)),
            is_resumed: furthest.is_some(),
            is_on_trial: furthest.is_some() && self.own.is_none(),
            beyond_end,
        }
    }
}

/// What to do with a record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the next one. Offsets without a record may lie before it.
    Read {
        /// `[from, to)` of those.
        gap: Option<(i64, i64)>,
    },
    /// It was read before, or is passed over by a jump under way.
    Ignore,
    /// It is older than what is caught up with: jump to the end.
    Jump,
}

/// The place of an agent in a partition: every offset from the first on is read or skipped, once.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    next: i64,
    /// Ends as looked up the last time and the time before.
    ends: (i64, i64),
    /// The first record is still to show whether this place is too old.
    is_on_trial: bool,
    is_jumping: bool,
}

impl Cursor {
    /// Begins to read.
    pub fn new(start: &Start, end: i64) -> Self {
        let is_on_trial = start.is_on_trial && start.at < end;
        Self { next: start.at, ends: (end, end), is_on_trial, is_jumping: false }
    }

    /// The next offset to be read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// A record arrived. `oldest_ms`: of older records (by their own time) a resumed partition is
    /// not caught up with.
    pub fn arrive(&mut self, offset: i64, record_ms: i64, oldest_ms: i64) -> Step {
        if self.is_jumping || offset < self.next {
            return Step::Ignore;
        }
        if std::mem::take(&mut self.is_on_trial) && record_ms < oldest_ms {
            self.is_jumping = true;
            return Step::Jump;
        }
        let gap = (offset > self.next).then_some((self.next, offset));
        self.next = offset.saturating_add(1);
        Step::Read { gap }
    }

    /// The jump arrives: reading goes on at `end`. What is passed over, and where to read on.
    pub fn land(&mut self, end: i64) -> (Option<(i64, i64)>, i64) {
        self.is_jumping = false;
        let passed = (end > self.next).then_some((self.next, end));
        self.next = self.next.max(end);
        self.ends = (self.next, self.next);
        (passed, self.next)
    }

    /// A jump is under way.
    pub fn is_jumping(&self) -> bool {
        self.is_jumping
    }

    /// The client has come to `end` and handed out every record before it: what lies between has
    /// none (control markers, aborted transactions, compaction).
    pub fn reach(&mut self, end: i64) -> Option<(i64, i64)> {
        let gap = (!self.is_jumping && end > self.next).then_some((self.next, end))?;
        self.next = end;
        Some(gap)
    }

    /// The end as it was looked up.
    pub fn end_is(&mut self, end: i64) {
        self.ends = (end, self.ends.0);
    }

    /// Read up to where the end was at the look-up before the last: a partition with traffic is
    /// never quite at its end.
    pub fn is_caught_up(&self) -> bool {
        !self.is_jumping && self.next >= self.ends.1
    }
}

/// Offsets passed over, coalesced: neighbours of one reason become one range.
#[derive(Debug, Default)]
pub struct Skipped {
    ranges: Vec<(i32, i64, i64, &'static str)>,
}

impl Skipped {
    /// Adds `[from, to)`.
    pub fn add(&mut self, partition: i32, (from, to): (i64, i64), reason: &'static str) {
        // Transactions leave a gap of one every few records: look a little back for the neighbour.
        let near = self.ranges.iter_mut().rev().take(16).find(|r| r.0 == partition);
        match near {
            Some(last) if last.2 == from && last.3 == reason => last.2 = to,
            _ => self.ranges.push((partition, from, to, reason)),
        }
    }

    /// Hands them out.
    pub fn take(&mut self, topic: &str) -> impl Iterator<Item = checks::report::SkippedRange> {
        std::mem::take(&mut self.ranges).into_iter().map(move |(partition, from, to, reason)| {
            checks::report::SkippedRange {
                topic: topic.to_owned(),
                partition,
                from,
                to,
                reason: reason.to_owned(),
            }
        })
    }

    /// So many that they should be reported before their turn.
    pub fn is_pressing(&self) -> bool {
        self.ranges.len() >= 20_000
    }
}

/// The reason of [`Step::Read`]'s gap.
pub const GAP: &str = skip_reason::GAP;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT_100_TO_200: Anchors =
        Anchors { committed: None, collector: None, own: None, log_start: 100, end: 200, is_new: false };

    #[test]
    fn it_begins_at_the_end_and_in_a_new_partition_at_the_beginning() {
        let start = AT_100_TO_200.start();
        assert_eq!((start.at, start.lost, start.is_resumed, start.beyond_end), (200, None, false, 0));
        assert_eq!(Anchors { is_new: true, ..AT_100_TO_200 }.start().at, 100);
    }

    #[test]
    fn it_goes_on_from_the_furthest_known_place() {
        let start = Anchors { committed: Some(150), collector: Some(160), ..AT_100_TO_200 }.start();
        assert_eq!((start.at, start.lost, start.is_resumed, start.beyond_end), (160, None, true, 0));
        let start = Anchors { committed: Some(50), collector: Some(40), ..AT_100_TO_200 }.start();
        assert_eq!((start.at, start.lost), (100, Some((50, 100))), "retention was faster");
        assert_eq!(Anchors { committed: Some(200), ..AT_100_TO_200 }.start().at, 200);
    }

    #[test]
    fn a_place_beyond_the_end_is_of_a_topic_that_is_no_more() {
        let start = Anchors { committed: Some(900), ..AT_100_TO_200 }.start();
        assert_eq!((start.at, start.lost, start.is_resumed, start.beyond_end), (100, None, false, 1));
        let start = Anchors { committed: Some(120), collector: Some(900), ..AT_100_TO_200 }.start();
        assert_eq!((start.at, start.beyond_end), (120, 1), "the other place is of the new one");
    }

    #[test]
    fn an_old_place_is_left_when_its_first_record_shows_it() {
        let start = Anchors { committed: Some(150), ..AT_100_TO_200 }.start();
        let mut fresh = Cursor::new(&start, 200);
        assert_eq!(fresh.arrive(150, 1_000, 1_000), Step::Read { gap: None });
        assert_eq!(fresh.arrive(151, 0, 1_000), Step::Read { gap: None }, "only the first decides");
        let mut old = Cursor::new(&start, 200);
        assert_eq!(old.arrive(150, 999, 1_000), Step::Jump);
        assert_eq!(old.arrive(151, 2_000, 1_000), Step::Ignore);
        assert!(!old.is_caught_up());
        assert_eq!(old.land(230), (Some((150, 230)), 230));
        assert_eq!(old.arrive(152, 2_000, 1_000), Step::Ignore, "still on its way from before");
        assert_eq!(old.arrive(231, 2_000, 1_000), Step::Read { gap: Some((230, 231)) });
    }

    #[test]
    fn it_is_caught_up_when_it_has_read_what_was_there_two_look_ups_ago() {
        let mut cursor = Cursor::new(&AT_100_TO_200.start(), 200);
        assert!(cursor.is_caught_up());
        cursor.end_is(205);
        assert!(cursor.is_caught_up(), "those may be on their way");
        cursor.end_is(207);
        assert!(!cursor.is_caught_up());
        for offset in 200..205 {
            cursor.arrive(offset, 0, 0);
        }
        assert!(cursor.is_caught_up());
        // A transaction's marker at the end has no record.
        cursor.end_is(207);
        cursor.end_is(207);
        cursor.arrive(205, 0, 0);
        assert!(!cursor.is_caught_up());
        assert_eq!(cursor.reach(207), Some((206, 207)));
        assert!(cursor.is_caught_up());
        assert_eq!(cursor.reach(207), None);
    }

    #[test]
    fn neighbouring_gaps_become_one() {
        let mut skipped = Skipped::default();
        skipped.add(0, (1, 2), GAP);
        skipped.add(1, (7, 8), GAP);
        skipped.add(0, (2, 5), GAP);
        skipped.add(0, (5, 6), skip_reason::LOST);
        let ranges: Vec<_> = skipped.take("t").map(|r| (r.partition, r.from, r.to, r.reason)).collect();
        assert_eq!(ranges, [(0, 1, 5, GAP.into()), (1, 7, 8, GAP.into()), (0, 5, 6, "lost".into())]);
        assert_eq!(skipped.take("t").count(), 0);
    }

    proptest! {
        #[test]
        fn every_offset_is_read_or_skipped_once(
            offsets in prop::collection::vec(0i64..60, 1..60),
            jump_at in 0usize..60,
            is_old: bool,
        ) {
            let start = Start { at: 5, lost: None, is_resumed: is_old, is_on_trial: is_old, beyond_end: 0 };
            let mut cursor = Cursor::new(&start, 1_000);
            let mut covered = std::collections::BTreeSet::new();
            let mut cover = |from: i64, to: i64| {
                for offset in from..to {
                    assert!(covered.insert(offset), "{offset} twice");
                }
                covered.len() as i64
            };
            let mut count = 0;
            for (i, offset) in offsets.into_iter().enumerate() {
                match cursor.arrive(offset, 0, 1) {
                    Step::Read { gap } => {
                        if let Some((from, to)) = gap { cover(from, to); }
                        count = cover(offset, offset + 1);
                    }
                    Step::Ignore | Step::Jump => {}
                }
                if i >= jump_at && cursor.is_jumping() {
                    let (passed, next) = cursor.land(30);
                    if let Some((from, to)) = passed { count = cover(from, to); }
                    prop_assert_eq!(next, cursor.next());
                }
                if i == 40 && let Some((from, to)) = cursor.reach(35) {
                    count = cover(from, to);
                }
            }
            prop_assert_eq!(count, cursor.next() - 5);
        }
    }
}
