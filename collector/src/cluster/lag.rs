//! What lag is: arithmetic on offsets and times, and nothing else.
//!
//! With committed offset `c` (next to read), log start `s`, high watermark `h` and last stable
//! offset `l`, where commits were read before ends:
//!
//! - lag is `h - max(c, s)`, what a read_committed reader can see of it `l - max(c, s)`;
//! - what retention removed before it was read is lost, `s - c`, and no part of the lag;
//! - `c > h` means that the topic was recreated or truncated: the lag is unknown, never clamped;
//! - transaction markers occupy offsets but are never delivered: a reader behind whom only they
//!   remain is caught up;
//! - a record that waits is at least a millisecond old; age 0 means caught up.

use super::snapshot::Unknown;

/// A record whose time lies this far beyond the moment we first saw it appended has no usable
/// time, in milliseconds; within it, clocks merely differ.
const FUTURE_TOLERANCE_MS: i64 = 60_000;

/// The places that matter in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The commit, at least 0.
    pub(crate) committed: i64,
    /// Log start offset.
    pub(crate) start: i64,
    /// High watermark.
    pub(crate) end: i64,
    /// Last stable offset, where the broker knows of transactions.
    pub(crate) stable_end: Option<i64>,
    /// No record is delivered between the reader's position and here: markers and gaps only.
    pub(crate) empty_until: Option<i64>,
}

/// Lag counted in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordLag {
    pub(crate) records: Option<i64>,
    pub(crate) stable_records: Option<i64>,
    pub(crate) lost_records: i64,
    pub(crate) unknown: Option<Unknown>,
}

impl Places {
    /// Where reading goes on: at the commit, or at the log's start if that has passed it.
    pub(crate) fn position(&self) -> i64 {
        self.committed.max(self.start)
    }

    /// The lag in records.
    pub(crate) fn lag(&self) -> RecordLag {
        let unknown =
            |why| RecordLag { records: None, stable_records: None, lost_records: 0, unknown: Some(why) };
        if self.committed < 0 || self.start < 0 || self.end < self.start {
            // No broker says so; whatever it means, it is no lag.
            return unknown(Unknown::Unreadable);
        }
        if self.committed > self.end {
            return unknown(Unknown::AheadOfEnd);
        }
        let position = self.position();
        let up_to = |end: i64| match self.empty_until {
            Some(empty_until) if empty_until >= end => 0,
            _ => end.saturating_sub(position).max(0),
        };
        RecordLag {
            records: Some(up_to(self.end)),
            stable_records: self.stable_end.map(up_to),
            lost_records: (self.start - self.committed).max(0),
            unknown: None,
        }
    }
}

/// When something happened, and how wrong that may be, either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct When {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// In milliseconds, not negative.
    pub(crate) error_ms: i64,
}

/// What the history of end offsets says of one offset: appended after `after`, by `by`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Last time at which the offset was not there yet, with the end offset of then.
    pub(crate) after: Option<(i64, i64)>,
    /// First time at which it was there, with the end offset of then.
    pub(crate) by: Option<(i64, i64)>,
}

impl Window {
    /// When the record at `offset` was appended, from what was seen of the ends alone: as if
    /// records had come evenly between the two readings around it.
    pub(crate) fn estimate(&self, offset: i64) -> Option<When> {
        let ((after_ms, end_before), (by_ms, end_after)) = (self.after?, self.by?);
        let appended = end_after.saturating_sub(end_before).max(1) as f64;
        let nth = offset.saturating_sub(end_before).saturating_add(1);
        let share = (nth as f64 / appended).clamp(0.0, 1.0);
        let at_ms = after_ms + ((by_ms - after_ms) as f64 * share) as i64;
        Some(When { at_ms, error_ms: (at_ms - after_ms).max(by_ms - at_ms) })
    }

    /// How wide it is, in milliseconds; `None` while a side is open.
    pub(crate) fn width_ms(&self) -> Option<i64> {
        Some(self.by?.0 - self.after?.0)
    }

    /// What a record's own time says of its appending, within what was seen of the ends.
    ///
    /// A producer's clock may be wrong, or its records old news: they were appended when we saw
    /// them to be. `None` for a time that cannot be one: negative, or from the future.
    pub(crate) fn confine(&self, record: When) -> Option<When> {
        if record.at_ms <= 0 {
            return None;
        }
        let mut at_ms = record.at_ms;
        if let Some((by_ms, _)) = self.by {
            if at_ms.saturating_sub(by_ms) > FUTURE_TOLERANCE_MS {
                return None;
            }
            at_ms = at_ms.min(by_ms);
        }
        if let Some((after_ms, _)) = self.after {
            at_ms = at_ms.max(after_ms);
        }
        // Moved to an edge, it may lie anywhere inside.
        let moved = at_ms != record.at_ms;
        let error_ms = match self.width_ms() {
            Some(width) if moved => record.error_ms.max(width),
            _ if moved => record.error_ms.max((at_ms - record.at_ms).abs()),
            _ => record.error_ms,
        };
        Some(When { at_ms, error_ms })
    }
}

/// Age of the oldest record that waits, in seconds, with its error; 0 when none waits.
pub(crate) fn seconds(records: Option<i64>, now_ms: i64, oldest: Option<When>) -> Option<(f64, f64)> {
    match records? {
        0 => Some((0.0, 0.0)),
        _ => oldest.map(|when| {
            let age_ms = now_ms.saturating_sub(when.at_ms).max(1);
            (age_ms as f64 / 1000.0, when.error_ms as f64 / 1000.0)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(committed: i64, start: i64, end: i64) -> Places {
        Places { committed, start, end, stable_end: Some(end), empty_until: None }
    }

    #[test]
    fn half_way_is_half_way() {
        let lag = places(50, 0, 100).lag();
        assert_eq!((lag.records, lag.stable_records, lag.lost_records), (Some(50), Some(50), 0));
        assert_eq!(lag.unknown, None);
    }

    #[test]
    fn what_is_lost_is_not_lag() {
        let lag = places(10, 60, 100).lag();
        assert_eq!((lag.records, lag.lost_records), (Some(40), 50));
        let all_gone = places(10, 100, 100).lag();
        assert_eq!((all_gone.records, all_gone.lost_records), (Some(0), 90));
    }

    #[test]
    fn a_commit_beyond_the_end_is_an_anomaly() {
        let lag = places(1000, 0, 10).lag();
        assert_eq!((lag.records, lag.stable_records, lag.lost_records), (None, None, 0));
        assert_eq!(lag.unknown, Some(Unknown::AheadOfEnd));
    }

    #[test]
    fn an_open_transaction_is_no_lag_for_read_committed() {
        let open = Places { stable_end: Some(40), ..places(40, 0, 100) }.lag();
        assert_eq!((open.records, open.stable_records), (Some(60), Some(0)));
        let ahead = Places { stable_end: Some(40), ..places(70, 0, 100) }.lag();
        assert_eq!((ahead.records, ahead.stable_records), (Some(30), Some(0)));
    }

    #[test]
    fn a_trailing_marker_is_no_lag() {
        let marker = Places { empty_until: Some(11), ..places(10, 0, 11) }.lag();
        assert_eq!((marker.records, marker.stable_records), (Some(0), Some(0)));
        let more = Places { empty_until: Some(11), ..places(10, 0, 12) }.lag();
        assert_eq!(more.records, Some(2));
        let open_behind = Places { empty_until: Some(11), stable_end: Some(11), ..places(10, 0, 15) }.lag();
        assert_eq!((open_behind.records, open_behind.stable_records), (Some(5), Some(0)));
    }

    #[test]
    fn nonsense_is_unreadable() {
        for wrong in [places(-1, 0, 5), places(1, -1, 5), places(1, 9, 5)] {
            assert_eq!(wrong.lag().unknown, Some(Unknown::Unreadable));
        }
    }

    #[test]
    fn age_is_zero_only_when_caught_up() {
        assert_eq!(seconds(Some(0), 1000, None), Some((0.0, 0.0)));
        assert_eq!(seconds(None, 1000, Some(When { at_ms: 1, error_ms: 0 })), None);
        assert_eq!(seconds(Some(5), 1000, None), None);
        let from_the_future = seconds(Some(5), 1000, Some(When { at_ms: 2000, error_ms: 7 }));
        assert_eq!(from_the_future, Some((0.001, 0.007)));
        let old = seconds(Some(5), 61_000, Some(When { at_ms: 1000, error_ms: 500 }));
        assert_eq!(old, Some((60.0, 0.5)));
    }

    #[test]
    fn a_records_own_time_is_believed_within_what_was_seen() {
        let window = Window { after: Some((10_000, 5)), by: Some((20_000, 15)) };
        let at = |at_ms| window.confine(When { at_ms, error_ms: 0 });
        assert_eq!(at(12_000), Some(When { at_ms: 12_000, error_ms: 0 }));
        assert_eq!(at(3), Some(When { at_ms: 10_000, error_ms: 10_000 }));
        assert_eq!(at(21_000), Some(When { at_ms: 20_000, error_ms: 10_000 }));
        assert_eq!(at(100_000), None);
        assert_eq!(at(-1), None);
        assert_eq!(at(i64::MAX), None);
        let never_seen = Window::default();
        assert_eq!(never_seen.confine(When { at_ms: 7, error_ms: 1 }).map(|w| w.at_ms), Some(7));
    }

    proptest! {
        /// All cases of the definition, from their own words.
        #[test]
        fn lag_is_as_defined(
            c in 0i64..200, s in 0i64..200, kept in 0i64..200, open in 0i64..200,
        ) {
            let h = s + kept;
            let l = (h - open).max(s);
            let lag = Places { committed: c, start: s, end: h, stable_end: Some(l), empty_until: None }.lag();
            if c > h {
                prop_assert_eq!(lag.records, None);
                prop_assert_eq!(lag.unknown, Some(Unknown::AheadOfEnd));
            } else {
                prop_assert_eq!(lag.records, Some(h - c.max(s)));
                prop_assert_eq!(lag.stable_records, Some((l - c.max(s)).max(0)));
                prop_assert_eq!(lag.lost_records, if c < s { s - c } else { 0 });
                prop_assert_eq!(lag.unknown, None);
                prop_assert!(lag.stable_records <= lag.records);
            }
        }

        /// Whatever a broker says, nothing overflows and nothing is negative.
        #[test]
        fn hostile_offsets_do_no_harm(
            committed: i64, start: i64, end: i64, stable_end: Option<i64>, empty_until: Option<i64>,
        ) {
            let lag = Places { committed, start, end, stable_end, empty_until }.lag();
            prop_assert!(lag.records.is_none_or(|n| n >= 0));
            prop_assert!(lag.stable_records.is_none_or(|n| n >= 0));
            prop_assert!(lag.lost_records >= 0);
            prop_assert_eq!(lag.records.is_none(), lag.unknown.is_some());
        }

        /// The true time of appending lies within the error of the estimate.
        #[test]
        fn the_error_of_an_estimate_holds(
            after_ms in 1i64..1_000_000, width in 0i64..100_000,
            end_before in 0i64..1000, appended in 1i64..1000,
            which in any::<prop::sample::Index>(), when in any::<prop::sample::Index>(),
        ) {
            let window = Window {
                after: Some((after_ms, end_before)),
                by: Some((after_ms + width, end_before + appended)),
            };
            let offset = end_before + which.index(appended as usize) as i64;
            let truth = after_ms + when.index(width as usize + 1) as i64;
            let estimate = window.estimate(offset).expect("both sides are known");
            prop_assert!((estimate.at_ms - truth).abs() <= estimate.error_ms);
        }
    }
}
