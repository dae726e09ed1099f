//! Groups of every temper, played at the watcher's interval.

use super::*;
use proptest::prelude::*;

const INTERVAL_MS: i64 = 15_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

const MEMBERS: Standing =
    Standing { members: Some(2), rebalancing: false, simple: false, assignment_known: true };
const NOBODY: Standing = Standing { members: Some(0), ..MEMBERS };
const SIMPLE: Standing = Standing { simple: true, assignment_known: false, ..NOBODY };

fn figure(committed: i64, end: i64) -> GroupPartition {
    GroupPartition {
        committed: Some(committed),
        start: Some(0),
        end: Some(end),
        stable_end: Some(end),
        lag_records: Some(end - committed),
        stable_lag_records: Some(end - committed),
        lost_records: 0,
        lag_seconds: None,
        lag_seconds_error: 0.0,
        unknown: None,
        assigned: true,
    }
}

/// A group on one topic, and the time.
#[derive(Default)]
struct Play {
    memory: TopicMemory,
    at_ms: i64,
    standing: Standing,
    record_there: bool,
}

impl Play {
    fn of(standing: Standing) -> Self {
        Self { standing, at_ms: 1_000_000, record_there: true, ..Self::default() }
    }

    fn look(&mut self, figures: &[GroupPartition]) -> TopicProgress {
        self.look_after(INTERVAL_MS, figures)
    }

    fn look_after(&mut self, passed_ms: i64, figures: &[GroupPartition]) -> TopicProgress {
        self.at_ms += passed_ms;
        let now = Now {
            at_ms: self.at_ms,
            credit_ms_max: 3 * INTERVAL_MS,
            standing: self.standing,
            topic_id: Some(1),
        };
        let record_there = self.record_there;
        let seen = (0..).zip(figures).map(|(partition, &figure)| Seen {
            partition,
            figure,
            fresh: true,
            record_there,
        });
        self.memory.look(&now, &Rules::default(), seen)
    }

    /// Lets the group read one of two partitions for so long, ten records a reading behind; the
    /// commits of the other come from `other`. Gives the activities seen, and the last progress.
    fn play(&mut self, ms: i64, mut other: impl FnMut(i64) -> i64) -> (Vec<Activity>, TopicProgress) {
        let (mut seen, mut last) = (Vec::new(), TopicProgress::default());
        for _ in 0..ms / INTERVAL_MS {
            let end = 1_000_000 + self.at_ms / 100;
            last = self.look(&[figure(end - 10, end), figure(other(self.at_ms), end)]);
            if seen.last() != Some(&last.activity) {
                seen.push(last.activity);
            }
        }
        (seen, last)
    }
}

/// As far as a reader is that takes in everything every `period_ms`.
fn every(period_ms: i64) -> impl Fn(i64) -> i64 {
    move |at_ms| 1_000_000 + at_ms / period_ms * period_ms / 100
}

#[test]
fn a_steady_reader_is_reading_and_its_figures_add_up() {
    let mut play = Play::of(MEMBERS);
    assert_eq!(play.look(&[figure(1_000, 20_000)]).activity, Activity::Unknown, "one look tells nothing");
    for n in 1..=40 {
        // 20 a second of 10 that are appended.
        let progress = play.look(&[figure(1_000 + 300 * n, 20_000 + 150 * n)]);
        assert_eq!(progress.activity, Activity::Reading);
        assert_eq!(progress.consumed_records_total, 300 * n as u64);
        assert_eq!(progress.consumed_records_per_second, Some(20.0));
        let lag = 19_000 - 150 * n;
        assert_eq!(progress.catch_up_seconds, Some(lag as f64 / 10.0));
    }
    let done = play.look(&[figure(30_000, 30_000)]);
    assert_eq!((done.activity, done.catch_up_seconds), (Activity::CaughtUp, Some(0.0)));
}

#[test]
fn a_reader_that_cannot_keep_up_is_slow_until_it_can() {
    let mut play = Play::of(MEMBERS);
    let mut seen = Vec::new();
    let (mut committed, mut end) = (0, 1_000);
    for n in 0..120 {
        end += 1_500;
        committed = (committed + if n < 60 { 700 } else { 3_000 }).min(end - 1);
        let progress = play.look(&[figure(committed, end)]);
        if progress.activity == Activity::Slow {
            assert_eq!(progress.catch_up_seconds, None, "it never will");
        }
        if seen.last() != Some(&progress.activity) {
            seen.push(progress.activity);
        }
    }
    assert_eq!(seen, [Activity::Unknown, Activity::Reading, Activity::Slow, Activity::Reading]);
}

#[test]
fn a_rhythm_of_commits_is_not_slowness() {
    // All is read once a minute: lag swells and falls.
    let mut play = Play::of(MEMBERS);
    let (seen, last) = play.play(3 * HOUR_MS, every(MINUTE_MS));
    assert_eq!(seen, [Activity::Unknown, Activity::Reading]);
    assert_eq!(last.longest_pause_seconds, Some(60.0));
}

#[test]
fn one_partition_that_stands_still_is_found_among_others_that_move() {
    let mut play = Play::of(MEMBERS);
    play.play(2 * HOUR_MS, every(INTERVAL_MS));
    let still = 1_000_000 + play.at_ms / 100;
    let since = play.at_ms;
    let (seen, last) = play.play(5 * MINUTE_MS - INTERVAL_MS, |_| still);
    assert_eq!(seen, [Activity::Reading], "not yet");
    assert!(last.stuck.is_empty());
    let (seen, last) = play.play(3 * INTERVAL_MS, |_| still);
    assert_eq!(seen.last(), Some(&Activity::Stuck));
    assert_eq!(last.stuck.len(), 1);
    assert_eq!(last.stuck[0].partition, 1);
    assert!((since..=since + 3 * INTERVAL_MS).contains(&last.stuck[0].since_ms));
    assert!((300.0..=330.0).contains(&last.stuck[0].silent_seconds));
    // A rebalance clears nothing, progress does.
    play.standing.rebalancing = true;
    let (seen, last) = play.play(MINUTE_MS, |_| still);
    assert_eq!((seen.as_slice(), last.stuck.len()), (&[Activity::Rebalancing][..], 1));
    play.standing.rebalancing = false;
    let (seen, last) = play.play(INTERVAL_MS, |_| still + 1);
    assert_eq!((seen.as_slice(), last.stuck.len()), (&[Activity::Slow][..], 0), "it has fallen behind");
    // Found again as soon: an outage is no habit.
    let (_, last) = play.play(6 * MINUTE_MS, |_| still + 1);
    assert_eq!(last.stuck.len(), 1);
}

#[test]
fn who_commits_rarely_is_not_stuck() {
    for minutes in [2, 7, 20, 60] {
        let mut play = Play::of(MEMBERS);
        let (seen, _) = play.play(24 * HOUR_MS, every(minutes * MINUTE_MS));
        assert!(!seen.contains(&Activity::Stuck), "every {minutes} minutes: {seen:?}");
        assert!(!seen.contains(&Activity::Stopped), "every {minutes} minutes: {seen:?}");
    }
}

#[test]
fn who_works_five_minutes_an_hour_is_not_stuck() {
    let mut play = Play::of(MEMBERS);
    let (mut committed, mut seen) = (0, Vec::new());
    for _ in 0..2 * 24 * HOUR_MS / INTERVAL_MS {
        let end = play.at_ms / 10;
        if play.at_ms % HOUR_MS < 5 * MINUTE_MS {
            committed = end - 5;
        }
        seen.push(play.look(&[figure(committed, end)]).activity);
    }
    assert!(!seen.contains(&Activity::Stuck));
}

#[test]
fn one_that_never_moved_is_stuck_only_after_a_long_watch() {
    let mut play = Play::of(MEMBERS);
    let (seen, _) = play.play(75 * MINUTE_MS, |_| 5);
    assert_eq!(seen.last(), Some(&Activity::Reading), "the other partition moves");
    let (seen, last) = play.play(2 * INTERVAL_MS, |_| 5);
    assert_eq!((seen.last(), last.stuck.len()), (Some(&Activity::Stuck), 1));
}

#[test]
fn without_a_record_that_certainly_waits_nobody_is_stuck() {
    // An open transaction: read_committed readers wait with good reason.
    let open = GroupPartition { stable_end: Some(100), stable_lag_records: Some(0), ..figure(100, 900) };
    let mut play = Play::of(MEMBERS);
    for _ in 0..1_000 {
        let progress = play.look(std::slice::from_ref(&open));
        assert_eq!((progress.activity, progress.stuck.len()), (Activity::CaughtUp, 0));
    }
    // What waits may all be aborted, until more comes or a look shows a record.
    play.record_there = false;
    for _ in 0..1_000 {
        assert!(play.look(&[figure(100, 900)]).stuck.is_empty());
    }
    assert_eq!(play.look(&[figure(100, 901)]).stuck.len(), 1);
}

#[test]
fn without_members_it_is_stopped_and_begins_anew_when_they_are_back() {
    let mut play = Play::of(MEMBERS);
    play.play(2 * HOUR_MS, every(INTERVAL_MS));
    play.standing = NOBODY;
    let still = 1_000_000 + play.at_ms / 100;
    let figures = [figure(still, still + 5), figure(still, still)];
    assert_eq!(play.look(&figures).activity, Activity::Reading, "a last commit");
    for _ in 0..300 {
        let progress = play.look(&figures);
        assert_eq!((progress.activity, progress.stuck.len()), (Activity::Stopped, 0));
    }
    play.standing = MEMBERS;
    for _ in 0..5 {
        assert_ne!(play.look(&figures).activity, Activity::Stuck, "it has only just come back");
    }
}

#[test]
fn a_group_that_only_commits_is_not_stopped_between_commits() {
    let mut play = Play::of(SIMPLE);
    let (seen, _) = play.play(3 * HOUR_MS, every(10 * MINUTE_MS));
    assert_eq!(seen, [Activity::Unknown, Activity::Reading]);
    let figures = [figure(0, 5), figure(0, 5)];
    let mut play = Play::of(SIMPLE);
    assert_eq!(play.look(&figures).activity, Activity::Unknown);
    for _ in 0..75 * 4 {
        play.look(&figures);
    }
    assert_eq!(play.look(&figures).activity, Activity::Stopped);
}

#[test]
fn a_topic_that_no_member_is_assigned_is_stopped_not_stuck() {
    let mut play = Play::of(MEMBERS);
    for n in 0..1_000 {
        let left = GroupPartition { assigned: false, ..figure(10, 100 + n) };
        let progress = play.look(&[left]);
        assert_eq!((progress.activity, progress.stuck.len()), (Activity::Stopped, 0));
    }
}

#[test]
fn going_back_is_a_rewind_and_no_negative_rate() {
    let mut play = Play::of(MEMBERS);
    play.look(&[figure(100, 200)]);
    play.look(&[figure(150, 200)]);
    let back = play.look(&[figure(20, 200)]);
    assert_eq!((back.consumed_records_total, back.rewinds_total), (50, 1));
    assert_eq!(back.consumed_records_per_second, None, "a rate begins anew");
    let again = play.look(&[figure(50, 200)]);
    assert_eq!((again.consumed_records_total, again.rewinds_total), (80, 1));
    assert_eq!(again.consumed_records_per_second, Some(2.0));
}

#[test]
fn a_recreated_topic_is_no_rewind() {
    let mut play = Play::of(MEMBERS);
    play.look(&[figure(100, 200)]);
    play.memory.topic_id = Some(7);
    let progress = play.look(&[figure(3, 10)]);
    assert_eq!((progress.consumed_records_total, progress.rewinds_total), (0, 0));
}

#[test]
fn time_in_which_nobody_looked_is_not_held_against_it() {
    let mut play = Play::of(MEMBERS);
    play.play(2 * HOUR_MS, every(INTERVAL_MS));
    let at = 1_000_000 + play.at_ms / 100;
    let figures = [figure(at - 20, at + 5), figure(at - 20, at + 5)];
    play.look(&figures);
    // The machine slept, and the consumers on it.
    let progress = play.look_after(10 * HOUR_MS, &figures);
    assert_ne!(progress.activity, Activity::Stuck);
    assert!(play.look_after(-HOUR_MS, &figures).stuck.is_empty(), "nor a clock that goes back");
}

#[test]
fn what_is_not_known_is_not_caught_up() {
    let unknown = |end| GroupPartition {
        committed: None,
        lag_records: None,
        stable_lag_records: None,
        unknown: Some(super::super::snapshot::Unknown::Uncommitted),
        ..figure(0, end)
    };
    let mut play = Play::of(MEMBERS);
    assert_eq!(play.look(&[unknown(5)]).activity, Activity::Unknown);
    assert_eq!(play.look(&[figure(5, 5), unknown(5)]).activity, Activity::Unknown);
    assert_eq!(play.look(&[figure(5, 5), unknown(0)]).activity, Activity::CaughtUp, "nothing lies there");
}

proptest! {
    /// A reader with any rhythm of its own up to an hour, at any phase and with any jitter that is
    /// shorter than its period, is never called stuck or stopped.
    #[test]
    fn a_rhythm_is_never_stuck(
        period_s in 1i64..3_600, phase_s in 0i64..3_600, jitter in prop::collection::vec(0i64..100, 1..20),
    ) {
        let mut play = Play::of(MEMBERS);
        let (mut committed, mut next_ms) = (0, play.at_ms + phase_s.min(period_s) * 1000);
        for n in 0..(8 * HOUR_MS / INTERVAL_MS) as usize {
            let end = play.at_ms / 100;
            if play.at_ms >= next_ms {
                committed = end - 1;
                next_ms = play.at_ms + period_s * 1000 * (100 + jitter[n % jitter.len()]) / 200;
            }
            let progress = play.look(&[figure(committed, end)]);
            prop_assert!(progress.stuck.is_empty(), "at {n}");
            prop_assert!(!matches!(progress.activity, Activity::Stuck | Activity::Stopped));
        }
    }

    /// A reader that has shown its rhythm and stops is found, as soon as the rules say.
    #[test]
    fn who_stops_is_found(period_s in 1i64..600) {
        let mut play = Play::of(MEMBERS);
        play.play(2 * HOUR_MS, every(period_s * 1000));
        let still = every(period_s * 1000)(play.at_ms);
        let patience_ms = (5 * MINUTE_MS).max(3 * (period_s * 1000 + 2 * INTERVAL_MS));
        let (_, last) = play.play(patience_ms + 3 * INTERVAL_MS, |_| still);
        prop_assert_eq!(last.stuck.iter().map(|s| s.partition).collect::<Vec<_>>(), [1]);
    }

    /// Whatever is read, counters never go back and figures are figures.
    #[test]
    fn nothing_goes_back_and_nothing_is_not_a_number(
        readings in prop::collection::vec(
            (prop::collection::vec((0i64..1_000, 0i64..1_000, any::<bool>()), 0..4), -100_000i64..1_000_000,
             prop::option::of(0u32..3), any::<bool>()),
            1..60,
        ),
    ) {
        let mut play = Play::of(MEMBERS);
        let (mut consumed, mut rewinds) = (0, 0);
        for (places, passed_ms, members, rebalancing) in readings {
            play.standing = Standing { members, rebalancing, ..MEMBERS };
            let figures: Vec<GroupPartition> = places
                .into_iter()
                .map(|(committed, lag, assigned)| GroupPartition { assigned, ..figure(committed, committed + lag) })
                .collect();
            let progress = play.look_after(passed_ms, &figures);
            prop_assert!(progress.consumed_records_total >= consumed);
            prop_assert!(progress.rewinds_total >= rewinds);
            (consumed, rewinds) = (progress.consumed_records_total, progress.rewinds_total);
            for figure in [progress.consumed_records_per_second, progress.catch_up_seconds] {
                prop_assert!(figure.is_none_or(|f| f.is_finite() && f >= 0.0));
            }
            let all_read = figures.iter().all(|f| f.lag_records == Some(0));
            prop_assert!(progress.activity != Activity::CaughtUp || all_read);
            prop_assert!(progress.activity != Activity::Stuck || members.is_some_and(|n| n > 0));
            prop_assert!(progress.stuck.len() <= figures.len());
        }
    }
}
