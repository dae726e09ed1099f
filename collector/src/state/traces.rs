//! The joiner: sightings of one pipeline, joined by trace id into latencies and losses.
//!
//! A trace is *complete* when every stage was sighted, and is counted once stream time (the least
//! `as_of_ms` of the live agents) has reached the arrival that completed it: then no agent holds
//! back a sighting that was earlier. Of several sightings at one stage the earliest record counts.
//! What is not complete when the watermarks of all stages have passed its deadline is counted as it
//! is: with the last stage it reached the trace is done (no latency is made up for a stage that was
//! not sighted), otherwise it is *incomplete*, by the last stage where it was seen.
//!
//! Loss is only judged of traces that were seen to enter, while every stage was read: what entered
//! before we began, or while an agent passed over offsets of a stage, is *unjudged*.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::pipeline::{Pipeline, follows};
use checks::report::{Exemplar, Histogram, Sighting};
use serde::{Deserialize, Serialize};

use super::outcome::{StageSighting, TraceOutcome};

/// Sightings kept of one trace: a few a stage, for pipelines whose topics repeat a trace.
const SIGHTINGS_MAX: usize = 32;
/// Length of a bucket of the recent past, ms.
const BUCKET_MS: i64 = 10_000;
/// The recent past that findings look at, ms.
pub(crate) const RECENT_MS: i64 = 60_000;

/// A W3C trace id.
type TraceId = [u8; 16];

/// One pipeline's traces and sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Joiner {
    /// The stages it was made for: other stages are another pipeline.
    stages: Vec<String>,
    traces: BTreeMap<TraceId, Trace>,
    /// By the time their fate is settled at the latest.
    due: BTreeSet<(i64, TraceId)>,
    /// Complete, by the arrival that completed them.
    ready: BTreeSet<(i64, TraceId)>,
    /// Between neighbouring stages; the last is first to last.
    pub(crate) hops: Vec<Hop>,
    pub(crate) whole: Hop,
    pub(crate) completed: u64,
    pub(crate) breached: u64,
    pub(crate) unjudged: u64,
    pub(crate) dropped: u64,
    /// By index of the stage where they were last seen.
    pub(crate) incomplete: BTreeMap<u8, u64>,
    recent: BTreeMap<i64, Recent>,
    /// Traces that entered up to then may have passed a stage unseen.
    blind_to_ms: i64,
}

/// Latencies between two stages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hop {
    pub(crate) latency: Histogram,
    pub(crate) skewed: u64,
}

/// What came to its end lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recent {
    pub(crate) completed: u64,
    pub(crate) breached: u64,
    /// By stage.
    pub(crate) lost: BTreeMap<u8, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Trace {
    seen: Vec<Seen>,
    /// Its key in `due`.
    due_ms: i64,
    /// Its key in `ready`.
    ready_ms: Option<i64>,
    /// Counted: kept for a second deadline, so that what comes late or again does not count again.
    done: bool,
    /// In that second deadline.
    lingers: bool,
}

/// A sighting, small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Seen {
    stage: u8,
    record_ms: i64,
    partition: i32,
    offset: i64,
    arrival_ms: i64,
    span_id: [u8; 8],
    flags: u32,
}

impl Joiner {
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let hops = vec![Hop::default(); pipeline.stages.len().saturating_sub(1)];
        Self { stages: pipeline.stages.clone(), hops, blind_to_ms: i64::MIN, ..Self::default() }
    }

    /// Is it still the pipeline that it was made for?
    pub(crate) fn fits(&self, pipeline: &Pipeline) -> bool {
        self.stages == pipeline.stages
    }

    /// Traces that have not ended.
    pub(crate) fn open(&self) -> u64 {
        self.traces.values().filter(|t| !t.done).count() as u64
    }

    /// Offsets of a stage were passed over, or sightings dropped, up to this stream time.
    pub(crate) fn blind_to(&mut self, as_of_ms: i64) {
        self.blind_to_ms = self.blind_to_ms.max(as_of_ms);
    }

    /// Takes a sighting, if it is of this pipeline.
    pub(crate) fn sight(&mut self, pipeline: &Pipeline, sighting: &Sighting, traces_max: usize) {
        let Some(stage) = pipeline.stages.iter().position(|s| *s == sighting.topic) else { return };
        let (Ok(stage), Ok(id)) = (u8::try_from(stage), TraceId::try_from(sighting.trace_id.as_slice()))
        else {
            return;
        };
        if !follows(&id, pipeline.follow) {
            return;
        }
        if !self.traces.contains_key(&id) {
            while self.traces.len() >= traces_max.max(1) {
                self.drop_oldest();
            }
        }
        let mut span_id = [0; 8];
        for (to, from) in span_id.iter_mut().zip(&sighting.span_id) {
            *to = *from;
        }
        let seen = Seen {
            stage,
            record_ms: sighting.record_ms,
            partition: sighting.partition,
            offset: sighting.offset,
            arrival_ms: sighting.arrival_ms,
            span_id,
            flags: sighting.flags,
        };
        let trace = self.traces.entry(id).or_default();
        if trace.done {
            return;
        }
        // Sorted and cut, what is kept depends on the sightings alone. The same record may be told
        // by two agents.
        let same = |s: &Seen| (s.stage, s.partition, s.offset) == (seen.stage, seen.partition, seen.offset);
        match trace.seen.iter_mut().find(|s| same(s)) {
            Some(known) => known.arrival_ms = known.arrival_ms.min(seen.arrival_ms),
            None => {
                trace.seen.push(seen);
                trace.seen.sort_unstable();
                trace.seen.truncate(SIGHTINGS_MAX);
            }
        }
        self.due.remove(&(trace.due_ms, id));
        trace.due_ms = trace.entry_ms().saturating_add(pipeline.deadline_ms);
        self.due.insert((trace.due_ms, id));
        if let Some(before) = trace.ready_ms.take() {
            self.ready.remove(&(before, id));
        }
        if let Some(ready_ms) = trace.complete_at(pipeline.stages.len()) {
            trace.ready_ms = Some(ready_ms);
            self.ready.insert((ready_ms, id));
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, id)) = self.due.pop_first() else {
            self.traces.clear();
            return;
        };
        if let Some(trace) = self.traces.remove(&id) {
            if let Some(ready_ms) = trace.ready_ms {
                self.ready.remove(&(ready_ms, id));
            }
            self.dropped += u64::from(!trace.done);
        }
    }

    /// Counts what is complete at stream time `as_of_ms`, and what is due at `watermark_ms`.
    pub(crate) fn settle(
        &mut self,
        pipeline: &Arc<Pipeline>,
        as_of_ms: Option<i64>,
        watermark_ms: Option<i64>,
        ended: &mut Vec<TraceOutcome>,
    ) {
        while let Some((ready_ms, id)) = self.ready.first().copied()
            && as_of_ms.is_some_and(|t| t >= ready_ms)
        {
            self.ready.pop_first();
            if let Some(trace) = self.traces.get_mut(&id) {
                let mut seen = std::mem::take(&mut trace.seen);
                trace.done = true;
                trace.ready_ms = None;
                let due_ms = trace.due_ms;
                seen.retain(|s| s.arrival_ms <= ready_ms);
                self.count(pipeline, id, &seen, due_ms, ended);
            }
        }
        while let Some((due_ms, id)) = self.due.first().copied()
            && watermark_ms.is_some_and(|t| t > due_ms)
        {
            self.due.pop_first();
            let Some(trace) = self.traces.get_mut(&id) else { continue };
            if trace.lingers {
                self.traces.remove(&id);
                continue;
            }
            let (seen, done) = (std::mem::take(&mut trace.seen), trace.done);
            if let Some(ready_ms) = trace.ready_ms.take() {
                self.ready.remove(&(ready_ms, id));
            }
            (trace.done, trace.lingers) = (true, true);
            trace.due_ms = due_ms.saturating_add(pipeline.deadline_ms.max(1));
            self.due.insert((trace.due_ms, id));
            if !done {
                self.count(pipeline, id, &seen, due_ms, ended);
            }
        }
        if let Some(now_ms) = self.recent_now_ms(watermark_ms) {
            self.recent = self.recent.split_off(&((now_ms - RECENT_MS).div_euclid(BUCKET_MS)));
        }
    }

    /// The recent past, as of the latest end or the watermark.
    pub(crate) fn recent(&self, watermark_ms: Option<i64>) -> Option<(i64, Recent)> {
        let now_ms = self.recent_now_ms(watermark_ms)?;
        let from = (now_ms - RECENT_MS).div_euclid(BUCKET_MS);
        let mut sum = Recent::default();
        for bucket in self.recent.range(from..).map(|(_, r)| r) {
            sum.completed += bucket.completed;
            sum.breached += bucket.breached;
            for (stage, lost) in &bucket.lost {
                *sum.lost.entry(*stage).or_insert(0) += lost;
            }
        }
        Some((now_ms, sum))
    }

    fn recent_now_ms(&self, watermark_ms: Option<i64>) -> Option<i64> {
        let latest = self.recent.keys().next_back().map(|b| b.saturating_mul(BUCKET_MS));
        latest.max(watermark_ms)
    }

    /// Counts a trace from its sightings (sorted).
    fn count(
        &mut self,
        pipeline: &Arc<Pipeline>,
        id: TraceId,
        seen: &[Seen],
        due_ms: i64,
        ended: &mut Vec<TraceOutcome>,
    ) {
        // The earliest record of each stage, if it was within the deadline.
        let mut stages: BTreeMap<u8, Seen> = BTreeMap::new();
        for s in seen.iter().filter(|s| s.record_ms <= due_ms) {
            stages.entry(s.stage).or_insert(*s);
        }
        for (stage, from) in &stages {
            let Some(to) = stages.get(&(stage + 1)) else { continue };
            if let Some(hop) = self.hops.get_mut(usize::from(*stage)) {
                hop.observe(id, from.record_ms, to.record_ms);
            }
        }
        let Some(first) = stages.get(&0).copied() else {
            self.unjudged += 1;
            return;
        };
        let last_stage = pipeline.stages.len().saturating_sub(1) as u8;
        let reached = stages.keys().next_back().copied().unwrap_or(0);
        let mut outcome = TraceOutcome {
            pipeline: Arc::clone(pipeline),
            trace_id: id,
            sightings: stages.values().map(|s| s.shown(pipeline)).collect(),
            whole_ms: None,
            breached: true,
        };
        let last = stages.get(&last_stage);
        let at_ms = last.map_or(due_ms, |l| l.record_ms);
        if last.is_none() && first.record_ms <= self.blind_to_ms {
            self.unjudged += 1;
            return;
        }
        let recent = self.recent.entry(at_ms.div_euclid(BUCKET_MS)).or_default();
        match last {
            Some(last) => {
                let whole_ms = last.record_ms.saturating_sub(first.record_ms);
                self.completed += 1;
                outcome.whole_ms = Some(whole_ms);
                outcome.breached = pipeline.latency.is_some_and(|objective| whole_ms > objective.ms);
                self.breached += u64::from(outcome.breached);
                recent.completed += 1;
                recent.breached += u64::from(outcome.breached);
                self.whole.observe(id, first.record_ms, last.record_ms);
            }
            None => {
                *self.incomplete.entry(reached).or_insert(0) += 1;
                *recent.lost.entry(reached).or_insert(0) += 1;
            }
        }
        ended.push(outcome);
    }
}

impl Trace {
    /// When it entered: the first stage's record; without one, the earliest record seen.
    fn entry_ms(&self) -> i64 {
        let first = self.seen.iter().filter(|s| s.stage == 0).map(|s| s.record_ms).min();
        first.or_else(|| self.seen.iter().map(|s| s.record_ms).min()).unwrap_or(0)
    }

    /// The arrival by which every stage had been seen.
    fn complete_at(&self, stages: usize) -> Option<i64> {
        let mut first_arrivals: BTreeMap<u8, i64> = BTreeMap::new();
        for s in &self.seen {
            let first = first_arrivals.entry(s.stage).or_insert(s.arrival_ms);
            *first = (*first).min(s.arrival_ms);
        }
        (first_arrivals.len() == stages).then(|| first_arrivals.into_values().max()).flatten()
    }
}

impl Hop {
    fn observe(&mut self, id: TraceId, from_ms: i64, to_ms: i64) {
        match u64::try_from(to_ms.saturating_sub(from_ms)) {
            Ok(ms) => {
                self.latency.observe_ns(ms.saturating_mul(1_000_000));
                let seconds = ms as f64 / 1_000.0;
                self.latency.offer_exemplar(Exemplar { trace_id: id.to_vec(), seconds, at_ms: to_ms });
            }
            Err(_) => self.skewed += 1,
        }
    }
}

impl Seen {
    fn shown(&self, pipeline: &Pipeline) -> StageSighting {
        let stage = usize::from(self.stage);
        StageSighting {
            stage,
            topic: pipeline.stages.get(stage).cloned().unwrap_or_default(),
            partition: self.partition,
            offset: self.offset,
            span_id: self.span_id,
            flags: self.flags,
            record_ms: self.record_ms,
            arrival_ms: self.arrival_ms,
        }
    }
}
