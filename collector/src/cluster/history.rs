//! When a partition's end was where: the samples that turn an offset into a time.
//!
//! Bounded per partition. As samples get older they are thinned out, so that the reach stays and
//! the resolution fades; [`super::lag::Window`] says how wide the uncertainty is.

use std::collections::VecDeque;

use super::lag::Window;

/// Samples kept for one partition: 16 bytes each.
const SAMPLES_MAX: usize = 48;

/// One reading of an end. It was so at some moment between the question and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    /// When the answer was there, in milliseconds, and in the lowest bits how long it took.
    stamp: i64,
    end: i64,
}

/// Bits for how long an answer took: 17 minutes, far beyond any timeout.
const TOOK_BITS: u32 = 20;

impl Sample {
    fn new(asked_ms: i64, at_ms: i64, end: i64) -> Self {
        let took = at_ms.saturating_sub(asked_ms).clamp(0, (1 << TOOK_BITS) - 1);
        Self { stamp: at_ms.saturating_mul(1 << TOOK_BITS) | took, end }
    }

    fn at_ms(self) -> i64 {
        self.stamp >> TOOK_BITS
    }

    fn asked_ms(self) -> i64 {
        self.at_ms() - (self.stamp & ((1 << TOOK_BITS) - 1))
    }
}

/// The end offsets of one partition, as seen at the watcher's readings.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Times and ends ascend, times strictly.
    samples: VecDeque<Sample>,
}

impl History {
    /// Adds a reading, asked for and answered at these times. An end that went back (the topic was truncated) voids what was before; so
    /// does a clock that went back, as far as it did.
    pub(crate) fn record(&mut self, asked_ms: i64, at_ms: i64, end: i64) {
        if self.samples.back().is_some_and(|last| last.end > end) {
            self.samples.clear();
        }
        while self.samples.back().is_some_and(|last| last.at_ms() >= at_ms) {
            self.samples.pop_back();
        }
        let sample = Sample::new(asked_ms, at_ms, end);
        // Of a long rest only its first and its last moment matter.
        let count = self.samples.len();
        if count >= 2 && self.samples[count - 1].end == end && self.samples[count - 2].end == end {
            self.samples[count - 1] = sample;
            return;
        }
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES_MAX {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                // Every second of the older half goes, the very oldest stays.
                index > SAMPLES_MAX / 2 || index % 2 == 1
            });
        }
    }

    /// Forgets everything: these are the offsets of another topic now.
    pub(crate) fn clear(&mut self) {
        self.samples.clear();
    }

    /// Between which readings the record at `offset` was appended.
    pub(crate) fn window(&self, offset: i64) -> Window {
        let later = self.samples.partition_point(|sample| sample.end <= offset);
        Window {
            after: later.checked_sub(1).map(|before| self.samples[before]).map(|s| (s.asked_ms(), s.end)),
            by: self.samples.get(later).map(|s| (s.at_ms(), s.end)),
        }
    }

    /// How much the end has risen since then, or since the oldest reading that is later; `None`
    /// before there are two.
    pub(crate) fn appended_since(&self, at_ms: i64) -> Option<i64> {
        let last = self.samples.back()?;
        let first = self.samples.partition_point(|sample| sample.at_ms() <= at_ms).saturating_sub(1);
        let base = self.samples.get(first).filter(|base| base.at_ms() < last.at_ms())?;
        last.end.checked_sub(base.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offset_lies_between_two_readings() {
        let mut history = History::default();
        for (ms, end) in [(1000, 10), (2000, 20), (3000, 20), (4000, 20), (5000, 30)] {
            history.record(ms, ms, end);
        }
        assert_eq!(history.window(9), Window { after: None, by: Some((1000, 10)) });
        assert_eq!(history.window(10), Window { after: Some((1000, 10)), by: Some((2000, 20)) });
        assert_eq!(history.window(20), Window { after: Some((4000, 20)), by: Some((5000, 30)) });
        assert_eq!(history.window(30), Window { after: Some((5000, 30)), by: None });
    }

    #[test]
    fn truncation_and_clocks_that_go_back_void_what_was() {
        let mut history = History::default();
        history.record(1000, 1000, 100);
        history.record(2000, 2000, 5);
        assert_eq!(history.window(50), Window { after: Some((2000, 5)), by: None });
        history.record(500, 500, 7);
        assert_eq!(history.window(6), Window { after: None, by: Some((500, 7)) });
    }

    #[test]
    fn an_answer_that_took_long_widens_the_window_on_both_sides() {
        let mut history = History::default();
        history.record(1000, 4000, 10);
        history.record(6000, 6500, 20);
        assert_eq!(history.window(10), Window { after: Some((1000, 10)), by: Some((6500, 20)) });
    }

    #[test]
    fn what_was_appended_of_late_is_told() {
        let mut history = History::default();
        assert_eq!(history.appended_since(0), None);
        history.record(1000, 1000, 10);
        assert_eq!(history.appended_since(0), None, "one reading is no difference");
        for (ms, end) in [(2000, 20), (3000, 20), (4000, 20), (5000, 20), (6000, 23)] {
            history.record(ms, ms, end);
        }
        assert_eq!(history.appended_since(0), Some(13));
        assert_eq!(history.appended_since(2500), Some(3), "during a rest the end is known");
        assert_eq!(history.appended_since(9999), None);
    }

    proptest! {
        #[test]
        fn it_stays_small_ordered_and_true(steps in prop::collection::vec((1i64..100_000, 0i64..50), 1..400)) {
            let mut history = History::default();
            let (mut ms, mut end) = (0, 0);
            let mut truth = Vec::new();
            for (dt, appended) in steps {
                ms += dt;
                end += appended;
                history.record(ms, ms, end);
                truth.push((ms, end));
                prop_assert!(history.samples.len() <= SAMPLES_MAX);
            }
            for offset in 0..end {
                let window = history.window(offset);
                // First reading that had it, and last that had not, of all readings ever made.
                let by = truth.iter().find(|(_, e)| *e > offset).expect("it is below the end").0;
                let after = truth.iter().rev().find(|(_, e)| *e <= offset).map(|t| t.0);
                prop_assert!(window.by.is_some_and(|(t, _)| t >= by));
                prop_assert!(window.after.is_none_or(|(t, _)| after.is_some_and(|a| t <= a)));
            }
        }
    }
}
