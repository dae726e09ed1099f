//! What a group consumed and what was appended over the last minutes: rates, and who gains.

use std::collections::VecDeque;

/// A window is cut into so many samples, of 32 bytes each.
const SAMPLES: i64 = 10;

/// Totals at one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at_ms: i64,
    pub(super) consumed: u64,
    pub(super) produced: u64,
    /// The lowest since the sample before: commits come in steps, and between them lag swells.
    pub(super) lag: i64,
}

/// The samples of a window, and one from before it.
#[derive(Debug, Default)]
pub(super) struct Trail {
    samples: VecDeque<Sample>,
}

impl Trail {
    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    /// Adds a reading; the last of them is always there as it was.
    pub(super) fn push(&mut self, mut sample: Sample, window_ms: i64) {
        if self.samples.back().is_some_and(|last| last.at_ms >= sample.at_ms) {
            // The clock went back: what was before has no place in time.
            self.samples.clear();
        }
        let count = self.samples.len();
        if count >= 2 && self.samples[count - 1].at_ms - self.samples[count - 2].at_ms < window_ms / SAMPLES {
            sample.lag = sample.lag.min(self.samples[count - 1].lag);
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
        let from_ms = sample.at_ms.saturating_sub(window_ms);
        while self.samples.get(1).is_some_and(|second| second.at_ms <= from_ms) {
            self.samples.pop_front();
        }
    }

    /// Consumed and appended a second, over the window as far as it is covered; `None` before two
    /// readings.
    pub(super) fn rates(&self, window_ms: i64) -> Option<(f64, f64)> {
        let (first, last) = (self.first(window_ms)?, self.samples.back()?);
        let seconds = last.at_ms.saturating_sub(first.at_ms) as f64 / 1000.0;
        if seconds <= 0.0 {
            return None;
        }
        let consumed = last.consumed.saturating_sub(first.consumed) as f64 / seconds;
        let appended = last.produced.saturating_sub(first.produced) as f64 / seconds;
        Some((consumed, appended))
    }

    /// Does lag grow by at least a tenth of what is appended, over a whole window? Once it did,
    /// then until it grows no more. Troughs are compared, as commits come in steps.
    pub(super) fn falls_behind(&self, window_ms: i64, already: bool) -> bool {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return false };
        if last.at_ms.saturating_sub(first.at_ms) < window_ms {
            return already;
        }
        let middle_ms = first.at_ms + (last.at_ms - first.at_ms) / 2;
        let low =
            |late: bool| self.samples.iter().filter(|s| (s.at_ms > middle_ms) == late).map(|s| s.lag).min();
        let (Some(early), Some(late)) = (low(false), low(true)) else { return already };
        let growth = u64::try_from(late.saturating_sub(early)).unwrap_or(0);
        let appended = last.produced.saturating_sub(first.produced);
        if already { growth > 0 } else { growth > appended / 10 }
    }

    /// The youngest sample that is a window old, else the oldest.
    fn first(&self, window_ms: i64) -> Option<&Sample> {
        let from_ms = self.samples.back()?.at_ms.saturating_sub(window_ms);
        self.samples.iter().rev().find(|s| s.at_ms <= from_ms).or_else(|| self.samples.front())
    }
}
