//! How many records a window has, against what is usual at this hour.
//!
//! Until an hour of the week is known from two weeks, the last hour's windows and the same hour of the
//! days before are both usual, and so is what lies between: a daily or weekly rhythm that is still
//! being learned is no finding. From then on the season alone counts, moved slowly by the topic's
//! trend. What is too far off follows from how far windows usually are off, tails included, so that a
//! stream of bursts is held against its own bursts.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Sign, Step, step};
use super::calendar::{HOUR_MS, TimeZone, WEEK_HOURS};
use super::{Kind, Settings};
use crate::stats::{MAD_TO_SIGMA, median, median_mad};

/// Windows that say what was usual just now.
const RECENT: usize = 12;
/// Weeks kept an hour of the week.
const WEEKS_MAX: usize = 6;
/// Weeks that make a season.
const WEEKS_MIN: usize = 2;
/// Deviations kept.
const DEVIATIONS_MAX: usize = 2_016;
/// Windows are added up until so many records are expected, or for [`TOGETHER_MAX`] windows.
const EXPECTED_MIN: f64 = 50.0;
/// See [`EXPECTED_MIN`].
const TOGETHER_MAX: u32 = 12;
/// Robust standard deviations.
const SIGMAS: f64 = 5.0;
/// The tails of the past reach to this quantile, times [`BEYOND`].
const TAIL: f64 = 0.003;
/// See [`TAIL`].
const BEYOND: f64 = 1.3;
/// Less than this share of the usual, or more than this multiple, is worth telling: logarithms.
const FALL_MIN: f64 = 0.510_825_623_765_990_7;
const RISE_MIN: f64 = std::f64::consts::LN_2;
/// How fast the trend is followed: at most a thousandth of the volume a window.
const TREND: f64 = 0.01;

/// Volume of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Volume {
    recent: VecDeque<f32>,
    /// What windows had by hour of the week, the latest week last.
    hours: BTreeMap<u16, VecDeque<Range>>,
    hour: Option<Hour>,
    /// Logarithms of what was read over what was usual.
    deviations: VecDeque<f32>,
    gate: Option<Gate>,
    together: Together,
    /// Logarithm of the trend.
    trend: f64,
    pub(super) alarm: Option<Alarm>,
    /// Of the alarm: fewer than usual?
    fell: bool,
    /// Records of the latest windows since the alarm began.
    since: VecDeque<f32>,
    /// Deviations since it was raised: of one that is soon over they belong to the stream.
    burst: VecDeque<f32>,
    /// The deviation of the last look.
    last: f64,
}

/// An hour that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hour {
    slot: u16,
    windows: Vec<f32>,
}

/// What the windows of an hour had, but for the few least and most: one window off is no finding, so
/// what two of twelve have is usual, be it a batch or a step within the hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Range {
    low: f32,
    high: f32,
}

impl Range {
    fn of(windows: impl IntoIterator<Item = f32>) -> Option<Self> {
        let mut sorted: Vec<f32> = windows.into_iter().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let aside = sorted.len().div_ceil(12);
        let aside = if sorted.len() > 3 * aside { aside } else { 0 };
        let low = *sorted.get(aside)?;
        Some(Self { low, high: sorted[sorted.len() - 1 - aside] })
    }

    fn ends(self) -> [f64; 2] {
        [f64::from(self.low), f64::from(self.high)]
    }
}

/// How far off is far, without what counting alone adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Gate {
    sigma: f64,
    low: f64,
    high: f64,
    age: u32,
}

/// Windows looked at as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Together {
    from_ms: i64,
    windows: u32,
    records: f64,
    low: f64,
    high: f64,
    /// The range that is nearest, where several are usual: what windows are off is learned from it,
    /// as it will be from a season.
    nearest: [f64; 2],
    /// Held against its season, not against what was lately.
    seasonal: bool,
}

/// What a look at the volume gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) step: Step,
    /// When the finding began, ms, if there is one.
    pub(super) began_ms: i64,
    pub(super) from_ms: i64,
    pub(super) records: f64,
    /// What is usual, from and to.
    pub(super) usual: [f64; 2],
    pub(super) fell: bool,
    pub(super) adopted: bool,
}

fn put<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_back(item);
    while list.len() > most {
        list.pop_front();
    }
}

/// The middle week, of either end.
fn middle(weeks: &VecDeque<Range>) -> Option<[f64; 2]> {
    let end = |of: fn(&Range) -> f32| median(&mut weeks.iter().map(|w| f64::from(of(w))).collect::<Vec<_>>());
    Some([end(|week| week.low)?, end(|week| week.high)?])
}

/// A range with another's part of it.
fn between([low, high]: [f64; 2], beside: [f64; 2], share: f64) -> [f64; 2] {
    [low + (beside[0] - low) * share, high + (beside[1] - high) * share]
}

impl Volume {
    /// The ranges that are usual for a window that begins at `from_ms`; and are they its season's?
    fn usual(&self, from_ms: i64, length_ms: i64, zone: TimeZone) -> (Vec<[f64; 2]>, bool) {
        let (slot, within) = zone.hour_of_week(from_ms.saturating_add(length_ms / 2));
        // Between the middles of two hours lies what is between their ranges.
        let share = within as f64 / HOUR_MS as f64 - 0.5;
        let aside = |slot: u16| (slot + if share < 0.0 { WEEK_HOURS - 1 } else { 1 }) % WEEK_HOURS;
        let with = |usual: [f64; 2], beside: Option<[f64; 2]>| {
            let there = beside.map_or(usual, |beside| between(usual, beside, share.abs()));
            [usual[0].min(there[0]), usual[1].max(there[1])]
        };
        let season = self.hours.get(&slot).filter(|weeks| weeks.len() >= WEEKS_MIN).and_then(middle);
        if let Some(usual) = season {
            let trend = self.trend.exp();
            let usual = with(usual, self.hours.get(&aside(slot)).and_then(middle));
            return (vec![usual.map(|end| end * trend)], true);
        }
        let latest = |slot: u16| self.hours.get(&slot).and_then(|weeks| weeks.back()).map(|week| week.ends());
        let recent = Range::of(self.recent.iter().copied()).map(Range::ends);
        // Yesterday first, then the days before.
        let days = (1..=7).map(|ago| (slot + WEEK_HOURS - ago * 24) % WEEK_HOURS);
        let days = days.filter_map(|slot| Some(with(latest(slot)?, latest(aside(slot)))));
        (recent.into_iter().chain(days).collect(), false)
    }

    fn learn(&mut self, records: f64, from_ms: i64, length_ms: i64, zone: TimeZone) {
        let (slot, _) = zone.hour_of_week(from_ms.saturating_add(length_ms / 2));
        match &mut self.hour {
            Some(hour) if hour.slot == slot => hour.windows.push(records as f32),
            hour => {
                let over = hour.replace(Hour { slot, windows: vec![records as f32] });
                // Of an hour that was hardly seen nothing is known.
                let whole = |hour: &Hour| hour.windows.len() as i64 * length_ms >= HOUR_MS / 2;
                if let Some(hour) = over.filter(whole)
                    && let Some(range) = Range::of(hour.windows)
                {
                    let trend = (-self.trend).exp() as f32;
                    let range = Range { low: range.low * trend, high: range.high * trend };
                    put(self.hours.entry(hour.slot).or_default(), range, WEEKS_MAX);
                }
            }
        }
    }

    fn gate(&mut self) -> Option<Gate> {
        if self.deviations.len() < RECENT {
            return None;
        }
        if let Some(gate) = &mut self.gate
            && gate.age < RECENT as u32
        {
            gate.age += 1;
            return Some(*gate);
        }
        let mut deviations: Vec<f64> = self.deviations.iter().map(|x| f64::from(*x)).collect();
        let (_, mad) = median_mad(&mut deviations)?;
        deviations.sort_unstable_by(f64::total_cmp);
        let at = (deviations.len() as f64 * TAIL) as usize;
        let gate = Gate {
            sigma: mad * MAD_TO_SIGMA,
            low: -deviations[at].min(0.0) * BEYOND,
            high: deviations[deviations.len() - 1 - at].max(0.0) * BEYOND,
            age: 0,
        };
        self.gate = Some(gate);
        Some(gate)
    }

    /// Takes a window; `judged` once enough is learned. `None` while windows are added up.
    pub(super) fn window(
        &mut self,
        records: f64,
        from_ms: i64,
        to_ms: i64,
        judged: bool,
        settings: &Settings,
    ) -> Option<Look> {
        let (length_ms, zone) = (to_ms - from_ms, settings.time_zone);
        let (ranges, seasonal) = self.usual(from_ms, length_ms, zone);
        let off = |[low, high]: [f64; 2]| (records - low).min(0.0) + (records - high).max(0.0);
        let nearest = |a: &&[f64; 2], b: &&[f64; 2]| off(**a).abs().total_cmp(&off(**b).abs());
        // Of what was just now and yesterday.
        let Some(nearest) = ranges.iter().take(2).min_by(nearest).copied() else {
            put(&mut self.recent, records as f32, RECENT);
            self.learn(records, from_ms, length_ms, zone);
            return None;
        };
        let low = ranges.iter().map(|range| range[0]).fold(f64::INFINITY, f64::min);
        let high = ranges.iter().map(|range| range[1]).fold(0.0, f64::max);
        let sum = &mut self.together;
        if sum.windows == 0 {
            *sum = Together { from_ms, ..Together::default() };
        }
        sum.windows += 1;
        sum.records += records;
        sum.low += low;
        sum.high += high;
        sum.nearest = [sum.nearest[0] + nearest[0], sum.nearest[1] + nearest[1]];
        sum.seasonal = seasonal;
        let enough = sum.low >= EXPECTED_MIN || sum.windows >= TOGETHER_MAX;
        let sum = *sum;
        let look = if enough {
            self.together = Together::default();
            Some(self.look(sum, to_ms, judged, settings))
        } else {
            None
        };
        if self.alarm.is_none() {
            self.since.clear();
            put(&mut self.recent, records as f32, RECENT);
        } else {
            put(&mut self.since, records as f32, RECENT);
        }
        // While seasons are not known, what is unlike yesterday may be one.
        if self.alarm.is_none() || !seasonal {
            self.learn(records, from_ms, length_ms, zone);
        }
        look
    }

    fn look(&mut self, sum: Together, to_ms: i64, judged: bool, settings: &Settings) -> Look {
        // Half a record keeps an empty window from being infinitely far off.
        let off = |usual: f64| ((sum.records + 0.5) / (usual + 0.5)).ln();
        let from = |[low, high]: [f64; 2]| off(low).min(0.0) + off(high).max(0.0);
        let (deviation, nearest) = (from([sum.low, sum.high]), from(sum.nearest));
        self.last = deviation;
        let scale = settings.sensitivity.scale();
        let gate = self.gate();
        let beyond = |half: f64| {
            let gate = gate?;
            let usual = if deviation < 0.0 { sum.low } else { sum.high };
            let counting = 1.0 / usual.max(0.5);
            let noise = SIGMAS * (gate.sigma * gate.sigma + counting).sqrt();
            let (least, tail) = if deviation < 0.0 { (FALL_MIN, gate.low) } else { (RISE_MIN, gate.high) };
            Some(deviation.abs() > (least * scale).max(noise).max(tail) * half)
        };
        let fell = deviation < 0.0;
        let same_way = self.alarm.is_none() || self.fell == fell;
        let sign = match (beyond(1.0), beyond(0.5)) {
            (Some(true), _) if judged && same_way => Sign::Suspicious { kind: Kind::Volume, sure: false },
            (_, Some(true)) if judged && same_way => Sign::Between,
            _ => Sign::Quiet,
        };
        if self.alarm.is_none() {
            self.fell = fell;
        }
        let mut step = step(&mut self.alarm, sign, sum.from_ms);
        let mut adopted = false;
        if self.alarm.as_ref().is_none_or(|alarm| !alarm.raised) {
            put(&mut self.deviations, nearest as f32, DEVIATIONS_MAX);
            self.burst.clear();
        } else {
            put(&mut self.burst, nearest as f32, RECENT + 1);
        }
        if self.alarm.is_none() && sum.seasonal {
            let off = off(f64::midpoint(sum.low, sum.high));
            self.trend = (self.trend + TREND * off.clamp(-0.1, 0.1)).clamp(-20.0, 20.0);
        }
        let long = self.alarm.as_ref().is_some_and(|a| a.raised && to_ms - a.began_ms >= settings.adopt_ms);
        if step == Step::Ongoing && long {
            self.adopt(sum.seasonal);
            (step, adopted) = (Step::Resolved, true);
        }
        let fell = self.fell;
        let began_ms = self.alarm.as_ref().map_or(sum.from_ms, |alarm| alarm.began_ms);
        if step == Step::Resolved {
            self.alarm = None;
            // A rise that is over within an hour is how the stream is. A fall never is.
            if !adopted && !self.fell && self.burst.len() <= RECENT {
                for deviation in std::mem::take(&mut self.burst) {
                    put(&mut self.deviations, deviation, DEVIATIONS_MAX);
                }
                self.gate = None;
            }
        }
        let (from_ms, records, usual) = (sum.from_ms, sum.records, [sum.low, sum.high]);
        Look { step, began_ms, from_ms, records, usual, fell, adopted }
    }

    /// What there is now is usual from now on.
    fn adopt(&mut self, seasonal: bool) {
        if seasonal {
            self.trend = (self.trend + self.last).clamp(-20.0, 20.0);
            self.hour = None;
        }
        self.recent = std::mem::take(&mut self.since);
    }

    /// A known event begins: what was found is over. Gives the finding, if there was one.
    pub(super) fn end(&mut self) -> Option<Alarm> {
        self.interrupt();
        self.since.clear();
        self.burst.clear();
        self.alarm.take().filter(|alarm| alarm.raised)
    }

    /// A stretch that nothing is known of: what was begun is left.
    pub(super) fn interrupt(&mut self) {
        self.together = Together::default();
        self.hour = None;
    }
}
