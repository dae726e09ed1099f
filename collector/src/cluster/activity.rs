//! How a group gets on with a topic: what it consumes, how fast, and whether it moves at all.
//!
//! Pure: readings go in one after another, a [`TopicProgress`] comes out. The watcher sees commits,
//! not reads, and each group commits in its own rhythm. So silence means nothing by itself:
//!
//! - a place is silent only while a record certainly waits there; a caught-up reader has nothing
//!   to commit, and one before an open transaction nothing to read (up to the last stable offset);
//! - silence is measured against the longest pause that the group itself has made there lately,
//!   and no verdict falls before the group was watched for a good while;
//! - time in which we did not look, or the group was rebalancing, is not held against it;
//! - a place that stands still is found even where all the others move.
//!
//! Every rule errs on the side of not calling a reader stuck.

mod habit;
mod trail;

use std::time::Duration;

use super::snapshot::GroupPartition;
use habit::Habit;
use trail::{Sample, Trail};

/// What a group is doing about a topic; one of a bounded set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// No record waits for it, up to the last stable offset.
    CaughtUp,
    /// Records wait, and its commits move on at the group's own rhythm.
    Reading,
    /// Its commits move on, but over the last minutes at least a tenth less than was appended.
    Slow,
    /// It has members, and in at least one partition where records wait its commit has not moved
    /// for much longer than the group has ever paused of late.
    Stuck,
    /// Records wait while the group settles who reads what.
    Rebalancing,
    /// Records wait, and no member is there to read them.
    Stopped,
    /// Too little has been seen to say.
    #[default]
    Unknown,
}

impl Activity {
    /// Its name in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaughtUp => "caught_up",
            Self::Reading => "reading",
            Self::Slow => "slow",
            Self::Stuck => "stuck",
            Self::Rebalancing => "rebalancing",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

/// A group's progress in one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicProgress {
    /// What the group is doing.
    pub activity: Activity,
    /// Offsets that its commits moved forward by since the watcher first saw the group there;
    /// never goes back. A reset forward counts as read, what is read again counts again.
    pub consumed_records_total: u64,
    /// How often the commit of a partition went back (offsets reset, messages replayed).
    pub rewinds_total: u64,
    /// Offsets a second that its commits moved forward by, over the last two minutes or four of
    /// its longest pauses, whichever is longer; `None` before two readings, and while a part of
    /// the topic cannot be read.
    pub consumed_records_per_second: Option<f64>,
    /// Seconds until the group has caught up, if it and the producers go on as over that time:
    /// lag ÷ (consumed − appended). 0 when caught up, `None` when it does not gain.
    pub catch_up_seconds: Option<f64>,
    /// The longest pause between its commits of late while records waited, in seconds; `None`
    /// before it moved a few times.
    pub longest_pause_seconds: Option<f64>,
    /// Partitions where it is stuck, by number.
    pub stuck: Vec<StuckPartition>,
}

/// A partition in which a group is stuck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StuckPartition {
    /// Its number.
    pub partition: i32,
    /// When the commit last moved, or was first seen, in ms since the epoch.
    pub since_ms: i64,
    /// For how long it has been seen to stand still while records waited and members were there.
    pub silent_seconds: f64,
}

/// When is a reader stuck?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// No silence shorter than this is held against a reader: five minutes, for which Kafka itself
    /// bears with a consumer that does not poll (max.poll.interval.ms).
    pub stuck_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { stuck_after: Duration::from_secs(300) }
    }
}

/// A silence must be so many times the longest pause.
const PAUSES: i64 = 3;
/// A group is watched for so many times `stuck_after` before the first verdict: an hour and a
/// quarter, so that what works once an hour shows its pause first.
const LEARN: i64 = 15;

impl Rules {
    fn stuck_after_ms(&self) -> i64 {
        i64::try_from(self.stuck_after.as_millis()).unwrap_or(i64::MAX)
    }

    fn learn_ms(&self) -> i64 {
        self.stuck_after_ms().saturating_mul(LEARN)
    }

    /// How long a silence is borne, given the longest pause.
    fn patience_ms(&self, longest_ms: Option<i64>) -> i64 {
        match longest_ms {
            Some(longest) => self.stuck_after_ms().max(longest.saturating_mul(PAUSES)),
            // A rhythm that nobody knows may be any.
            None => self.learn_ms(),
        }
    }

    /// Over how long rates are taken.
    fn window_ms(&self, pause_ms: i64) -> i64 {
        (self.stuck_after_ms() / 5).saturating_mul(2).max(pause_ms.saturating_mul(4))
    }
}

/// Who is in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Members, where they are known.
    pub(crate) members: Option<u32>,
    /// They are settling who reads what.
    pub(crate) rebalancing: bool,
    /// Nobody ever joined: whoever commits assigns itself.
    pub(crate) simple: bool,
    /// What no member is assigned, none works on.
    pub(crate) assignment_known: bool,
}

/// One reading of a group in one topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// When the commits were read.
    pub(crate) at_ms: i64,
    /// Of the time since the reading before at most so much counts as watched.
    pub(crate) credit_ms_max: i64,
    pub(crate) standing: Standing,
    /// The topic's id, where there is one.
    pub(crate) topic_id: Option<u128>,
}

/// A partition in this reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) figure: GroupPartition,
    /// Commit and ends are of this reading.
    pub(crate) fresh: bool,
    /// It was looked at, and a record that will be delivered lies at the group's place.
    pub(crate) record_there: bool,
}

/// What is remembered of a group in one topic; bounded by the topic's partitions.
#[derive(Debug, Default)]
pub(crate) struct TopicMemory {
    topic_id: Option<u128>,
    /// Partitions ascend.
    places: Vec<Place>,
    last_ms: Option<i64>,
    watched_ms: i64,
    /// Watched time without members, on end.
    away_ms: i64,
    /// Watched time since a commit last moved; `None` before the first time.
    moved_ago_ms: Option<i64>,
    habit: Habit,
    trail: Trail,
    consumed_total: u64,
    produced_total: u64,
    rewinds_total: u64,
    activity: Activity,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    committed: i64,
    /// The end at the reading before, and the stable end when the silence began.
    end: i64,
    end_at_since: i64,
    since_ms: i64,
    silent_ms: i64,
    partition: i32,
    waits: bool,
    stuck: bool,
}

/// What one reading adds up to.
#[derive(Debug, Default)]
struct Sum {
    /// Lag of the known partitions; `None` while none is.
    lag: Option<i64>,
    /// Records certainly wait.
    waits: bool,
    /// Records may wait where the lag is not known.
    unsure: bool,
    assigned: bool,
    /// All was read.
    whole: bool,
    moved: bool,
    rewound: bool,
    /// Places that were not there at the reading before.
    joined: bool,
    pause_ms: i64,
    pause_of_stuck_ms: i64,
}

impl TopicMemory {
    /// Takes over a reading; `partitions` ascend.
    pub(crate) fn look(
        &mut self,
        now: &Now,
        rules: &Rules,
        partitions: impl Iterator<Item = Seen> + Clone,
    ) -> TopicProgress {
        if matches!((self.topic_id, now.topic_id), (Some(was), Some(is)) if was != is) {
            // Another topic of the same name: its offsets are no progress and no way back.
            self.places.clear();
            self.trail.clear();
        }
        self.topic_id = now.topic_id.or(self.topic_id);
        let credit_ms =
            self.last_ms.map_or(0, |last| now.at_ms.saturating_sub(last).clamp(0, now.credit_ms_max.max(0)));
        self.last_ms = Some(now.at_ms);
        self.watched_ms = self.watched_ms.saturating_add(credit_ms);
        self.away_ms = match now.standing.members {
            // One that assigns itself is never seen to be there.
            Some(0) if !now.standing.simple => self.away_ms.saturating_add(credit_ms),
            _ => 0,
        };
        let nobody_reads = {
            let known = now.standing.assignment_known && now.standing.members.is_some_and(|n| n > 0);
            known && !partitions.clone().any(|seen| seen.figure.assigned)
        };

        let sum = self.compare(now, credit_ms, partitions.clone());
        self.habit.pass(credit_ms);
        if sum.moved {
            self.habit.learn(sum.pause_ms, sum.pause_of_stuck_ms);
            self.moved_ago_ms = Some(0);
        } else if let Some(ago) = &mut self.moved_ago_ms {
            *ago = ago.saturating_add(credit_ms);
        }
        let longest_ms = self.habit.longest_ms();
        let patience_ms = rules.patience_ms(longest_ms);
        if nobody_reads || self.away_ms >= patience_ms {
            // Whoever comes back begins anew.
            for place in &mut self.places {
                (place.silent_ms, place.stuck) = (0, false);
            }
        } else {
            self.judge(now, rules, patience_ms, partitions);
        }

        if sum.rewound || sum.joined {
            self.trail.clear();
        }
        // Of at least a few readings, and of a few of the pauses that are going on.
        let pause_ms = self.longest_silence_ms().max(longest_ms.unwrap_or(0));
        let window_ms = rules.window_ms(pause_ms).max(now.credit_ms_max.saturating_mul(2));
        if sum.whole {
            let sample = Sample {
                at_ms: now.at_ms,
                consumed: self.consumed_total,
                produced: self.produced_total,
                lag: sum.lag.unwrap_or(0),
            };
            self.trail.push(sample, window_ms);
        }
        self.activity = self.activity_now(now, &sum, nobody_reads, patience_ms, window_ms);
        let rates = if sum.whole { self.trail.rates(window_ms) } else { None };
        let lag = sum.lag.filter(|_| sum.whole);
        TopicProgress {
            activity: self.activity,
            consumed_records_total: self.consumed_total,
            rewinds_total: self.rewinds_total,
            consumed_records_per_second: rates.map(|(consumed, _)| consumed),
            catch_up_seconds: lag.and_then(|lag| catch_up_seconds(lag, rates)),
            longest_pause_seconds: longest_ms.map(|ms| ms as f64 / 1000.0),
            stuck: self.stuck(),
        }
    }

    /// Progress from what is remembered, where this refresh brought nothing new.
    pub(crate) fn unread(&self) -> TopicProgress {
        TopicProgress {
            activity: self.activity,
            consumed_records_total: self.consumed_total,
            rewinds_total: self.rewinds_total,
            consumed_records_per_second: None,
            catch_up_seconds: None,
            longest_pause_seconds: self.habit.longest_ms().map(|ms| ms as f64 / 1000.0),
            stuck: self.stuck(),
        }
    }

    /// These are the offsets of another kind of progress now; what was counted stays counted.
    pub(crate) fn forget_places(&mut self) {
        self.places.clear();
        self.trail.clear();
        self.habit = Habit::default();
        (self.watched_ms, self.moved_ago_ms) = (0, None);
    }

    /// Partitions that have been silent for so long that it is worth a look whether a record lies
    /// there at all.
    pub(crate) fn suspects(&self, rules: &Rules) -> impl Iterator<Item = i32> + '_ {
        let patience_ms = rules.patience_ms(self.habit.longest_ms());
        let silent = move |place: &Place| place.waits && place.silent_ms >= patience_ms / 2;
        self.places.iter().filter(move |place| silent(place)).map(|place| place.partition)
    }

    fn longest_silence_ms(&self) -> i64 {
        self.places.iter().map(|place| place.silent_ms).max().unwrap_or(0)
    }

    fn stuck(&self) -> Vec<StuckPartition> {
        let stuck = self.places.iter().filter(|place| place.stuck);
        stuck
            .map(|place| StuckPartition {
                partition: place.partition,
                since_ms: place.since_ms,
                silent_seconds: place.silent_ms as f64 / 1000.0,
            })
            .collect()
    }

    /// Holds the places against those of the reading before.
    fn compare(&mut self, now: &Now, credit_ms: i64, partitions: impl Iterator<Item = Seen>) -> Sum {
        let mut sum = Sum { whole: true, ..Sum::default() };
        let standing = &now.standing;
        let attended = standing.members != Some(0) || standing.simple;
        let counts_ms = if attended && !standing.rebalancing { credit_ms } else { 0 };
        let first = self.places.is_empty();
        let mut before = std::mem::take(&mut self.places).into_iter().peekable();
        self.places.reserve_exact(partitions.size_hint().0);
        for Seen { partition, figure, fresh, .. } in partitions {
            sum.assigned |= figure.assigned;
            while before.next_if(|place| place.partition < partition).is_some() {}
            let was = before.next_if(|place| place.partition == partition);
            let known = (figure.committed, figure.end, figure.lag_records);
            let (Some(committed), Some(end), Some(lag)) = known else {
                // Where nothing lies, nothing waits.
                sum.unsure |= figure.end.is_none() || figure.end != figure.start;
                continue;
            };
            sum.lag = Some(sum.lag.unwrap_or(0).saturating_add(lag));
            // Up to the last stable offset: only that is certain to be delivered.
            let waits = figure.stable_lag_records.unwrap_or(lag).min(lag) > 0;
            sum.waits |= waits;
            let Some(mut place) = was else {
                if fresh {
                    sum.joined |= !first;
                    self.places.push(Place::new(now.at_ms, partition, committed, &figure, end, waits));
                }
                sum.whole &= fresh;
                continue;
            };
            if !fresh {
                sum.whole = false;
                self.places.push(place);
                continue;
            }
            let appended = u64::try_from(end.saturating_sub(place.end)).unwrap_or(0);
            self.produced_total = self.produced_total.saturating_add(appended);
            if committed == place.committed && waits && place.waits {
                place.silent_ms = place.silent_ms.saturating_add(counts_ms);
                (place.end, place.waits) = (end, waits);
                self.places.push(place);
                continue;
            }
            if committed > place.committed {
                let consumed = u64::try_from(committed.saturating_sub(place.committed)).unwrap_or(0);
                self.consumed_total = self.consumed_total.saturating_add(consumed);
                sum.moved = true;
                let pause = place.silent_ms.saturating_add(counts_ms);
                let longest = if place.stuck { &mut sum.pause_of_stuck_ms } else { &mut sum.pause_ms };
                *longest = pause.max(*longest);
            } else if committed < place.committed {
                self.rewinds_total = self.rewinds_total.saturating_add(1);
                sum.rewound = true;
            }
            self.places.push(Place::new(now.at_ms, partition, committed, &figure, end, waits));
        }
        sum
    }

    /// Which places are stuck?
    fn judge(&mut self, now: &Now, rules: &Rules, patience_ms: i64, partitions: impl Iterator<Item = Seen>) {
        let standing = &now.standing;
        let may_be = standing.members.is_some_and(|n| n > 0) && !standing.rebalancing && !standing.simple;
        if !may_be || self.watched_ms < rules.learn_ms() {
            return;
        }
        let mut partitions = partitions.peekable();
        for place in &mut self.places {
            let index = place.partition;
            while partitions.next_if(|seen| seen.partition < index).is_some() {}
            let Some(seen) = partitions.next_if(|seen| seen.partition == index) else { continue };
            let theirs = seen.figure.assigned || !standing.assignment_known;
            // What has come since is not all of one aborted transaction; a record seen is none.
            let certain =
                seen.record_there || seen.figure.stable_end.is_some_and(|end| end > place.end_at_since);
            place.stuck |= seen.fresh && place.waits && place.silent_ms >= patience_ms && theirs && certain;
        }
    }

    fn activity_now(
        &self,
        now: &Now,
        sum: &Sum,
        nobody_reads: bool,
        patience_ms: i64,
        window_ms: i64,
    ) -> Activity {
        let standing = &now.standing;
        let Some(lag) = sum.lag else { return Activity::Unknown };
        if !sum.waits {
            return match (lag > 0 && sum.moved, sum.unsure) {
                (true, _) => Activity::Reading,
                (false, true) => Activity::Unknown,
                (false, false) => Activity::CaughtUp,
            };
        }
        if standing.rebalancing {
            return Activity::Rebalancing;
        }
        let without_members = standing.members == Some(0) && !standing.simple;
        if without_members || nobody_reads {
            return if sum.moved { Activity::Reading } else { Activity::Stopped };
        }
        if self.places.iter().any(|place| place.stuck) {
            return Activity::Stuck;
        }
        let moves = self.moved_ago_ms.is_some_and(|ago| ago < patience_ms);
        if moves {
            let was_slow = self.activity == Activity::Slow;
            return if self.trail.falls_behind(window_ms, was_slow) {
                Activity::Slow
            } else {
                Activity::Reading
            };
        }
        if standing.simple && standing.members == Some(0) && self.longest_silence_ms() >= patience_ms {
            return Activity::Stopped;
        }
        Activity::Unknown
    }
}

impl Place {
    fn new(
        at_ms: i64,
        partition: i32,
        committed: i64,
        figure: &GroupPartition,
        end: i64,
        waits: bool,
    ) -> Self {
        let end_at_since = figure.stable_end.unwrap_or(end);
        Self { committed, end, end_at_since, since_ms: at_ms, silent_ms: 0, partition, waits, stuck: false }
    }
}

/// A gain below this share of what is appended is noise: the rhythm of commits, not of reading.
const GAIN_SHARE_MIN: f64 = 0.01;

/// `rates` are consumed and appended, a second.
fn catch_up_seconds(lag: i64, rates: Option<(f64, f64)>) -> Option<f64> {
    if lag <= 0 {
        return Some(0.0);
    }
    let (consumed, appended) = rates?;
    let gain = consumed - appended;
    let seconds = lag as f64 / gain;
    (gain > appended * GAIN_SHARE_MIN && gain > 0.0 && seconds.is_finite()).then_some(seconds)
}

#[cfg(test)]
mod tests;
