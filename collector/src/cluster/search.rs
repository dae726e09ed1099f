//! When the record at an offset was appended, found by asking a broker for offsets by time.
//!
//! `ListOffsets` with a time t gives the first record whose own time is not before t. Whatever the
//! order of the times in a log, that offset never falls as t rises, so it can be searched by
//! halves. What is found is the latest time among the records up to the offset: nothing is appended
//! before a record that stands before it, so it says at least as much of the append time as the
//! record's own time does, and where times ascend (always under `LogAppendTime`) it is the
//! same.
//!
//! Halving goes by the age, not by the time: a fault of a minute matters in an hour and not in a
//! week.

use super::lag::{When, Window};

/// An age may be wrong by this part of itself, one in ..., before it is asked on.
const COARSE: i64 = 20;
/// What is nearer than this is near enough, in milliseconds.
const FINE_MS: i64 = 500;

/// The search for one offset. Times are in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    offset: i64,
    now_ms: i64,
    /// The latest time up to the offset is not before this, once known.
    low_ms: Option<i64>,
    /// It is before this.
    high_ms: i64,
    /// Earlier than this it makes no difference when.
    floor_ms: i64,
}

impl Search {
    /// A search inside what is known from the history of ends already.
    pub(crate) fn new(offset: i64, window: Window, now_ms: i64) -> Self {
        let floor_ms = window.after.map_or(1, |(after_ms, _)| after_ms.max(1));
        let high_ms =
            window.by.map_or(now_ms, |(by_ms, _)| by_ms).saturating_add(1).max(floor_ms.saturating_add(1));
        Self { offset, now_ms: now_ms.max(high_ms), low_ms: None, high_ms, floor_ms }
    }

    /// The same, gone on with later.
    pub(crate) fn resumed(self, now_ms: i64) -> Self {
        Self { now_ms: self.now_ms.max(now_ms), ..self }
    }

    /// The time to ask for next; `None` when enough is known.
    pub(crate) fn question(&self) -> Option<i64> {
        let Some(low_ms) = self.low_ms else {
            return (self.high_ms > self.floor_ms).then_some(self.floor_ms);
        };
        let width = self.high_ms.saturating_sub(low_ms);
        let youngest = self.now_ms.saturating_sub(self.high_ms).max(FINE_MS);
        if width <= 1 || width / 2 <= FINE_MS.max(youngest / COARSE) {
            return None;
        }
        let oldest = self.now_ms.saturating_sub(low_ms).max(youngest + 1);
        let middle = self.now_ms.saturating_sub(((oldest as f64) * (youngest as f64)).sqrt() as i64);
        Some(middle.clamp(low_ms + 1, self.high_ms - 1))
    }

    /// Takes over that the first record not before `asked_ms` is this one (offset, its time), or
    /// that there is none. Answers to other searches in the same partition teach as well.
    pub(crate) fn learn(&mut self, asked_ms: i64, first: Option<(i64, i64)>) {
        match first {
            Some((offset, at_ms)) if offset <= self.offset && at_ms >= asked_ms => {
                self.low_ms = self.low_ms.max(Some(at_ms));
                if offset == self.offset {
                    // The first of its time: nothing up to it is later.
                    self.high_ms = self.high_ms.min(at_ms.saturating_add(1));
                }
            }
            // A broker that names an earlier time than was asked for says nothing.
            Some((offset, _)) if offset <= self.offset => {}
            _ => self.high_ms = self.high_ms.min(asked_ms),
        }
    }

    /// What is known by now; `None` while it is nothing, or when no record up to the offset has a
    /// time at all.
    pub(crate) fn result(&self) -> Option<When> {
        match self.low_ms {
            // Before everything that matters, by its own account: the window has the say.
            None if self.high_ms <= self.floor_ms && self.floor_ms > 1 => {
                Some(When { at_ms: self.floor_ms - 1, error_ms: 0 })
            }
            None => None,
            Some(low_ms) if low_ms >= self.high_ms => Some(When { at_ms: low_ms, error_ms: 0 }),
            Some(low_ms) => {
                let half = (self.high_ms - 1 - low_ms) / 2;
                Some(When { at_ms: low_ms + half, error_ms: self.high_ms - 1 - low_ms - half })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a broker answers.
    fn first(times: &[i64], asked_ms: i64) -> Option<(i64, i64)> {
        (0..).zip(times).find(|(_, at)| **at >= asked_ms).map(|(offset, at)| (offset, *at))
    }

    /// Searches to the end; gives the questions that it took.
    fn run(search: &mut Search, times: &[i64]) -> usize {
        for questions in 0..100 {
            let Some(asked) = search.question() else { return questions };
            search.learn(asked, first(times, asked));
        }
        panic!("it never ends: {search:?}");
    }

    const NOW: i64 = 1_800_000_000_000;
    const WEEK: i64 = 7 * 86_400_000;

    #[test]
    fn a_week_is_searched_in_a_few_rounds() {
        let times: Vec<i64> = (0..10_080).map(|minute| NOW - WEEK + minute * 60_000).collect();
        for offset in [0i64, 1, 5_000, 10_000, 10_079] {
            let mut search = Search::new(offset, Window::default(), NOW);
            let rounds = run(&mut search, &times);
            let found = search.result().expect("found");
            let (truth, age) = (times[offset as usize], NOW - times[offset as usize]);
            assert!(rounds <= 10, "{rounds} rounds");
            assert!((found.at_ms - truth).abs() <= found.error_ms, "{found:?} {truth}");
            assert!(found.error_ms <= FINE_MS.max(age / 18), "{found:?} of {age}");
        }
    }

    #[test]
    fn what_has_no_time_is_not_made_up() {
        let mut search = Search::new(1, Window::default(), NOW);
        assert_eq!(run(&mut search, &[-1, -1, -1, NOW]), 1);
        assert_eq!(search.result(), None);
        let mut empty = Search::new(1, Window::default(), NOW);
        run(&mut empty, &[]);
        assert_eq!(empty.result(), None);
        assert_eq!(Search::new(1, Window::default(), NOW).result(), None, "nothing was asked yet");
    }

    #[test]
    fn the_history_bounds_the_search() {
        let window = Window { after: Some((NOW - 500_000, 0)), by: Some((NOW - 100_000, 9)) };
        // Old news by its own account, appended in the window all the same.
        let mut search = Search::new(3, window, NOW);
        assert_eq!(run(&mut search, &[NOW - WEEK; 9]), 1);
        let confined = window.confine(search.result().expect("before the window")).expect("a time");
        assert_eq!((confined.at_ms, confined.error_ms), (NOW - 500_000, 400_000));
        // From the future: no time, as when the record itself is read.
        let mut search = Search::new(3, window, NOW);
        run(&mut search, &[NOW + WEEK; 9]);
        assert_eq!(window.confine(search.result().expect("its time")), None);
    }

    #[test]
    fn a_broker_that_answers_nonsense_ends_nowhere_near_for_ever() {
        for nonsense in [Some((0, 0)), Some((i64::MAX, i64::MAX)), Some((0, i64::MAX)), None] {
            let mut search = Search::new(5, Window::default(), NOW);
            for _ in 0..64 {
                let Some(asked) = search.question() else { break };
                search.learn(asked, nonsense);
            }
            let _ = search.result();
        }
    }

    proptest! {
        /// Whatever the order of the times: the latest up to the offset lies within the error.
        #[test]
        fn the_error_holds(
            times in prop::collection::vec(NOW - WEEK..NOW, 1..60),
            which in any::<prop::sample::Index>(),
            rounds in 0usize..12,
        ) {
            let offset = which.index(times.len());
            let truth = times[..=offset].iter().max().copied().expect("one");
            let mut search = Search::new(offset as i64, Window::default(), NOW);
            for _ in 0..rounds {
                let Some(asked) = search.question() else { break };
                search.learn(asked, first(&times, asked));
            }
            if let Some(found) = search.result() {
                prop_assert!((found.at_ms - truth).abs() <= found.error_ms, "{:?} {}", found, truth);
            }
        }

        /// Nothing overflows, whatever is said.
        #[test]
        fn hostile_answers_do_no_harm(
            offset: i64, now_ms: i64, after: Option<(i64, i64)>, by: Option<(i64, i64)>,
            answers in prop::collection::vec(any::<Option<(i64, i64)>>(), 0..40),
        ) {
            let mut search = Search::new(offset, Window { after, by }, now_ms);
            for answer in answers {
                let Some(asked) = search.question() else { break };
                search.learn(asked, answer);
            }
            prop_assert!(search.result().is_none_or(|when| when.error_ms >= 0));
        }
    }
}
