//! The last hour and a half of a topic, slot by slot: what its explanations go by.
//!
//! Fed with each pane once, when its late records have had their time (as the detectors are), so that
//! what is in it depends on the panes and not on when they came. All lines share one axis of
//! [`SLOTS`] slots.

use std::collections::{BTreeMap, VecDeque};

use checks::detect::Movement;
use checks::report::{FieldSummary, PaneSummary};
use serde::{Deserialize, Serialize};

use super::line::Point;
use crate::state::panes::{Contribution, PaneKey};
use crate::state::topic::Topic;

/// Slots kept: thirty before a finding that explain it, as many before those to compare with, the
/// rest after it began.
pub(super) const SLOTS: usize = 96;
/// Fields of a topic that are followed, and of all topics together.
const FIELDS_MAX: usize = 64;
pub(super) const FIELDS_IN_ALL_MAX: usize = 20_000;
/// Checks, segments, partitions, schemas, and movements that detectors saw.
const CHECKS_MAX: usize = 64;
const SEGMENTS_MAX: usize = 21;
const PARTITIONS_MAX: usize = 64;
const SCHEMAS_MAX: usize = 32;
const MOVEMENTS_MAX: usize = 64;

/// Of a share: hits and trials; of a mean, its sum and its count.
type Pair = (f32, f32);

/// One slot of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FieldSlot {
    records: f32,
    missing: f32,
    null: f32,
    empty: f32,
    numbers: f32,
    mean: f32,
    /// Sum of squared differences from it.
    m2: f32,
}

/// A schema that values came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schema {
    pub(super) first_ms: i64,
    last_slot: i64,
}

/// One topic's last hour and a half.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ring {
    pub(super) slot_ms: i64,
    /// Number of the first slot, since the epoch.
    first: i64,
    /// All before it has been given, ms.
    fed_to_ms: Option<i64>,
    /// Records of slots before it lack some.
    unsure_to_ms: i64,
    read: VecDeque<f32>,
    decode: VecDeque<Pair>,
    violations: VecDeque<Pair>,
    delay: VecDeque<Pair>,
    pub(super) fields: BTreeMap<String, VecDeque<FieldSlot>>,
    pub(super) checks: BTreeMap<String, VecDeque<Pair>>,
    pub(super) segments: BTreeMap<String, VecDeque<f32>>,
    pub(super) partitions: BTreeMap<i32, VecDeque<f32>>,
    pub(super) schemas: BTreeMap<u32, Schema>,
    pub(super) movements: VecDeque<Movement>,
    /// Slots seen in all.
    age: u64,
}

/// A share or mean of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Missing,
    Null,
    Empty,
    Mean,
}

impl Of {
    pub(super) const ALL: [Self; 4] = [Self::Missing, Self::Null, Self::Empty, Self::Mean];
}

impl Ring {
    /// Gives it the panes that end by `to_ms`, the end of one. `room` is how many more fields there
    /// may be.
    pub(super) fn feed(&mut self, topic: &Topic, to_ms: i64, slot_ms: i64, room: usize) {
        if self.slot_ms != slot_ms {
            *self = Self { slot_ms, unsure_to_ms: self.unsure_to_ms, ..Self::default() };
        }
        let from_ms = self.fed_to_ms.or_else(|| topic.panes.first_start_ms()).unwrap_or(to_ms);
        if to_ms <= from_ms {
            return;
        }
        if self.fed_to_ms.is_none() {
            // A topic is hardly ever first seen at the beginning of a slot.
            self.unsure_to_ms = self.unsure_to_ms.max(from_ms + 1);
        }
        self.fed_to_ms = Some(to_ms);
        let limit = self.fields.len().saturating_add(room).min(FIELDS_MAX);
        for (key, pane) in topic.panes.within(from_ms, to_ms) {
            self.reach(key.0.div_euclid(slot_ms));
            self.pane(key, &pane.counted(), limit);
        }
        // Slots without a record are slots, too.
        self.reach((to_ms - 1).div_euclid(slot_ms));
        let oldest_ms = self.first * slot_ms;
        self.movements.retain(|seen| seen.to_ms > oldest_ms);
    }

    /// Offsets before this time were passed over.
    pub(super) fn unsure_to(&mut self, to_ms: i64) {
        self.unsure_to_ms = self.unsure_to_ms.max(to_ms);
    }

    /// What the detectors saw move.
    pub(super) fn moved(&mut self, seen: Vec<Movement>) {
        self.movements.extend(seen);
        while self.movements.len() > MOVEMENTS_MAX {
            self.movements.pop_front();
        }
    }

    /// Makes the slot the last one, if it is later.
    fn reach(&mut self, slot: i64) {
        let len = self.read.len() as i64;
        if len > 0 && slot >= self.first + len + SLOTS as i64 {
            // Nothing of what is known is left.
            self.age = 0;
            self.read.clear();
            for line in self.lines() {
                line.clear();
            }
        }
        if self.read.is_empty() {
            self.first = slot;
        }
        while self.first + (self.read.len() as i64) <= slot {
            self.age += 1;
            self.read.push_back(0.0);
            let len = self.read.len();
            for line in self.lines() {
                line.push(len);
            }
            if len > SLOTS {
                self.first += 1;
                self.read.pop_front();
                for line in self.lines() {
                    line.pop();
                }
                self.forget();
            }
        }
    }

    /// Lets go of what is in no slot any more.
    fn forget(&mut self) {
        self.fields.retain(|_, line| line.iter().any(|slot| slot.records > 0.0));
        self.checks.retain(|_, line| line.iter().any(|slot| slot.1 > 0.0));
        self.segments.retain(|_, line| line.iter().any(|n| *n > 0.0));
        self.partitions.retain(|_, line| line.iter().any(|n| *n > 0.0));
        let first = self.first;
        self.schemas.retain(|_, schema| schema.last_slot >= first);
    }

    /// Every line but the first.
    fn lines(&mut self) -> impl Iterator<Item = &mut dyn Slots> {
        fn slots<T: Slots>(line: &mut T) -> &mut dyn Slots {
            line
        }
        let pairs = [&mut self.decode, &mut self.violations, &mut self.delay];
        pairs
            .into_iter()
            .map(slots)
            .chain(self.fields.values_mut().map(slots))
            .chain(self.checks.values_mut().map(slots))
            .chain(self.segments.values_mut().map(slots))
            .chain(self.partitions.values_mut().map(slots))
    }

    fn pane(&mut self, (start_ms, _): PaneKey, contributions: &[&Contribution], fields_max: usize) {
        let slot = start_ms.div_euclid(self.slot_ms);
        let Some(at) = usize::try_from(slot - self.first).ok().filter(|at| *at < self.read.len()) else {
            return;
        };
        for contribution in contributions {
            let totals = &contribution.tally.totals;
            let tried = totals.examined.saturating_sub(totals.tombstones) as f32;
            let failures = totals.decode_failures.values().sum::<u64>() as f32;
            self.read[at] += totals.read as f32;
            add(&mut self.decode, at, (failures, tried));
            let violations = (totals.schema_violations as f32, totals.schema_checked as f32);
            add(&mut self.violations, at, violations);
            for range in &contribution.ranges {
                let len = self.read.len();
                if self.partitions.len() < PARTITIONS_MAX || self.partitions.contains_key(&range.partition) {
                    let line = self.partitions.entry(range.partition).or_insert_with(|| zeros(len));
                    line[at] += range.records as f32;
                }
            }
            let Some(summary) = &contribution.summary else { continue };
            self.summary(at, slot, summary, fields_max);
        }
    }

    fn summary(&mut self, at: usize, slot: i64, summary: &PaneSummary, fields_max: usize) {
        let len = self.read.len();
        if let Some(delay) = &summary.delay {
            add(&mut self.delay, at, (delay.sum_ns as f32 / 1e9, delay.count as f32));
        }
        for field in summary.fields.iter().filter(|field| field.path != "$") {
            if self.fields.len() >= fields_max && !self.fields.contains_key(&field.path) {
                continue;
            }
            let line = self.fields.entry(field.path.clone()).or_insert_with(|| zeros(len));
            line[at].add(field);
        }
        // What is in no document of a pane at all is not in its profile.
        let documents = summary.fields.iter().find(|f| f.path == "$").map_or(0, |f| f.present) as f32;
        for (path, line) in &mut self.fields {
            let is_top_level = path.strip_prefix("$.").is_some_and(|name| !name.contains(['.', '[', '*']));
            if is_top_level && summary.field(path).is_none() {
                line[at].records += documents;
                line[at].missing += documents;
            }
        }
        let mut divided = None;
        for tally in &summary.rules {
            if tally.uniqueness.is_none()
                && (self.checks.len() < CHECKS_MAX || self.checks.contains_key(&tally.rule))
            {
                let line = self.checks.entry(tally.rule.clone()).or_insert_with(|| zeros(len));
                add(line, at, (tally.failed as f32, tally.checked as f32));
            }
            if divided.is_none() && !tally.segments.is_empty() {
                divided = Some(&tally.segments);
            }
        }
        for segment in divided.into_iter().flatten() {
            let name = if segment.segment.is_empty() { "other" } else { &segment.segment };
            if self.segments.len() < SEGMENTS_MAX || self.segments.contains_key(name) {
                let line = self.segments.entry(name.to_owned()).or_insert_with(|| zeros(len));
                line[at] += segment.checked as f32;
            }
        }
        for seen in &summary.schemas {
            let known =
                self.schemas.entry(seen.id).or_insert(Schema { first_ms: seen.first_ms, last_slot: slot });
            known.first_ms = known.first_ms.min(seen.first_ms);
            known.last_slot = known.last_slot.max(slot);
            while self.schemas.len() > SCHEMAS_MAX {
                let oldest = self.schemas.iter().min_by_key(|(id, s)| (s.last_slot, s.first_ms, **id));
                let Some((&id, _)) = oldest else { break };
                self.schemas.remove(&id);
            }
        }
    }

    /// Start of a slot, ms.
    pub(super) fn at_ms(&self, slot: usize) -> i64 {
        (self.first + slot as i64) * self.slot_ms
    }

    /// The slot of a time, before the first and after the last as well.
    pub(super) fn slot_of(&self, ms: i64) -> usize {
        let slot = ms.div_euclid(self.slot_ms.max(1)) - self.first;
        usize::try_from(slot.max(0)).unwrap_or(0)
    }

    /// Slots that are complete.
    fn complete(&self) -> usize {
        self.fed_to_ms.map_or(0, |fed| self.slot_of(fed)).min(self.read.len())
    }

    /// Since when the topic is followed without a gap, ms.
    pub(super) fn since_ms(&self) -> i64 {
        let kept = self.at_ms(0);
        if self.age > SLOTS as u64 { i64::MIN } else { kept }
    }

    /// Records by slot; nothing of those that lack some.
    pub(super) fn throughput(&self) -> Vec<Option<Point>> {
        self.counts(&self.read)
    }

    pub(super) fn counts(&self, line: &VecDeque<f32>) -> Vec<Option<Point>> {
        let sure = |slot: usize| self.at_ms(slot) >= self.unsure_to_ms;
        let point =
            |(slot, n): (usize, &f32)| sure(slot).then_some(Point { value: f64::from(*n), basis: 0.0 });
        line.iter().take(self.complete()).enumerate().map(point).collect()
    }

    fn shares(&self, line: impl Iterator<Item = Pair>) -> Vec<Option<Point>> {
        let share = |(hits, n): Pair| {
            (n > 0.0).then(|| Point { value: f64::from(hits) / f64::from(n), basis: f64::from(n) })
        };
        line.take(self.complete()).map(share).collect()
    }

    pub(super) fn decode_failures(&self) -> Vec<Option<Point>> {
        self.shares(self.decode.iter().copied())
    }

    pub(super) fn violations(&self) -> Vec<Option<Point>> {
        self.shares(self.violations.iter().copied())
    }

    pub(super) fn check(&self, id: &str) -> Vec<Option<Point>> {
        self.checks.get(id).map_or_else(Vec::new, |line| self.shares(line.iter().copied()))
    }

    /// Seconds from a record's time to its arrival, on average.
    pub(super) fn delay(&self) -> Vec<Option<Point>> {
        let mean = self.shares(self.delay.iter().copied());
        mean.into_iter().map(|point| point.map(|point| Point { basis: 0.0, ..point })).collect()
    }

    /// A line of a field; with a mean, the standard deviation of its values.
    pub(super) fn field(&self, path: &str, of: Of) -> (Vec<Option<Point>>, f64) {
        let Some(line) = self.fields.get(path) else { return (Vec::new(), 0.0) };
        let share = |hits: fn(&FieldSlot) -> Pair| self.shares(line.iter().map(hits));
        match of {
            Of::Missing => (share(|f| (f.missing, f.records)), 0.0),
            Of::Null => (share(|f| (f.null, f.records - f.missing)), 0.0),
            Of::Empty => (share(|f| (f.empty, f.records - f.missing)), 0.0),
            Of::Mean => {
                let known = || line.iter().take(self.complete());
                let (m2, n) = known().fold((0.0, 0.0), |(m2, n), f| (m2 + f.m2, n + f.numbers));
                let deviation = f64::from(m2 / f32::max(n, 1.0)).sqrt();
                let mean = |f: &FieldSlot| {
                    let basis = deviation / f64::from(f.numbers).sqrt();
                    (f.numbers >= 30.0).then_some(Point { value: f64::from(f.mean), basis })
                };
                (known().map(mean).collect(), deviation)
            }
        }
    }
}

impl FieldSlot {
    fn add(&mut self, field: &FieldSummary) {
        self.records += field.records as f32;
        self.missing += field.missing() as f32;
        self.null += field.null as f32;
        self.empty += field.empty as f32;
        let Some(numbers) = field.numeric.as_ref().filter(|n| n.count > 0) else { return };
        let (n, m) = (f64::from(self.numbers), numbers.count as f64);
        let off = numbers.mean - f64::from(self.mean);
        let m2 = f64::from(self.m2) + numbers.m2 + off * off * n * m / (n + m);
        let mean = f64::from(self.mean) + off * m / (n + m);
        (self.numbers, self.mean, self.m2) = ((n + m) as f32, mean as f32, m2 as f32);
    }
}

/// A line, whatever is in its slots.
trait Slots {
    fn push(&mut self, len: usize);
    fn pop(&mut self);
    fn clear(&mut self);
}

impl<T: Default + Clone> Slots for VecDeque<T> {
    fn push(&mut self, len: usize) {
        self.resize(len, T::default());
    }

    fn pop(&mut self) {
        self.pop_front();
    }

    fn clear(&mut self) {
        Self::clear(self);
    }
}

fn zeros<T: Default + Clone>(len: usize) -> VecDeque<T> {
    std::iter::repeat_n(T::default(), len).collect()
}

fn add(line: &mut VecDeque<Pair>, at: usize, (hits, n): Pair) {
    if let Some(slot) = line.get_mut(at) {
        *slot = (slot.0 + hits, slot.1 + n);
    }
}
