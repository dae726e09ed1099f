//! One topic at one agent: its places, its panes and the rules they were begun with.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::examine::{Accumulator, Examiner, Times, fallback};
use checks::limits::Limits;
use checks::record::RecordView;
use checks::report::{Pane, Position, SkippedRange, TopicProgress, skip_reason};
use checks::rules::{Decode, TopicRules};

use crate::decode::{Decoder, How, schema_id};
use crate::pane::{Panes, effective_time};
use crate::sample::{RateCap, is_sampled};
use crate::source::cursor::{Cursor, Skipped, Start, Step};
use crate::trace::Sightings;

/// Names in [`checks::report::PaneSummary::unexamined`].
mod unexamined {
    pub(super) const SAMPLE: &str = "sample";
    pub(super) const RATE: &str = "rate";
    pub(super) const LATE: &str = "late";
    pub(super) const MEMORY: &str = "memory";
}

/// What reading a record needs beside its topic.
pub(crate) struct Reading<'a> {
    pub(crate) arrival_ms: i64,
    /// Records of a resumed partition that are older are not caught up with.
    pub(crate) oldest_ms: i64,
    /// There is no memory to examine more.
    pub(crate) is_full: bool,
    pub(crate) decoder: &'a mut Decoder,
    pub(crate) sightings: &'a mut Sightings,
}

/// A topic.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    limits: Limits,
    /// Rules in force, the current ones last; those before as long as panes were begun with them.
    generations: Vec<Generation>,
    panes: Panes<Begun>,
    cursors: BTreeMap<i32, Cursor>,
    skipped: Skipped,
    /// Share of its traces that is followed; `None` if it belongs to no pipeline.
    trace_share: Option<f64>,
    last_record_ms: i64,
}

struct Generation {
    number: u64,
    rules: Arc<TopicRules>,
    examiner: Examiner,
    how: How,
    cap: Option<RateCap>,
}

struct Begun {
    generation: u64,
    accumulator: Accumulator,
}

impl Generation {
    /// Compiles the rules. Those that cannot be (the linter refuses them before) are left out with
    /// a word: what can be read is read, and their checks stay unknown.
    fn new(number: u64, rules: Arc<TopicRules>, limits: &Limits, now_ms: i64) -> Self {
        let how = How::new(&rules).unwrap_or_else(|error| {
            tracing::error!(topic = rules.topic, "{error}");
            How::default()
        });
        let examiner = Examiner::new(rules.clone(), limits).unwrap_or_else(|error| {
            tracing::error!(topic = rules.topic, "{error}: the topic is read without its checks");
            let bare =
                TopicRules { decode: Decode::default(), rules: Vec::new(), ..TopicRules::clone(&rules) };
            Examiner::new(Arc::new(bare), limits)
                .unwrap_or_else(|error| unreachable!("there is nothing left to compile: {error}"))
        });
        let cap = rules.sample.at_most_per_second.map(|cap| RateCap::new(cap, now_ms));
        Self { number, rules, examiner, how, cap }
    }
}

impl Topic {
    /// A topic with these rules and nothing read yet; `floor_ms` as in [`Panes::above`].
    pub(crate) fn new(
        name: Arc<str>,
        rules: Arc<TopicRules>,
        limits: &Limits,
        idle_ms: i64,
        floor_ms: i64,
        trace_share: Option<f64>,
        now_ms: i64,
    ) -> Self {
        let panes = Panes::new(rules.window, limits.open_panes, idle_ms).above(floor_ms);
        Self {
            name,
            limits: limits.clone(),
            generations: vec![Generation::new(0, rules, limits, now_ms)],
            panes,
            cursors: BTreeMap::new(),
            skipped: Skipped::default(),
            trace_share,
            last_record_ms: 0,
        }
    }

    /// Panes begun from now on go by these rules.
    pub(crate) fn set_rules(&mut self, rules: Arc<TopicRules>, now_ms: i64) {
        let Some(current) = self.generations.last().filter(|g| g.rules.hash != rules.hash) else { return };
        self.panes.set_window(rules.window);
        let mut next = Generation::new(current.number + 1, rules, &self.limits, now_ms);
        next.examiner.inherit(&current.examiner);
        self.generations.push(next);
    }

    /// A partition is read from `start` on.
    pub(crate) fn begin(&mut self, partition: i32, start: &Start, end: i64, now_ms: i64) {
        if let Some(lost) = start.lost {
            self.skipped.add(partition, lost, skip_reason::LOST);
        }
        let cursor = Cursor::new(start, end);
        self.panes.assign(partition, now_ms);
        self.panes.set_caught_up(partition, cursor.is_caught_up());
        self.cursors.insert(partition, cursor);
    }

    /// A partition is not read any more.
    pub(crate) fn end(&mut self, partition: i32) {
        self.cursors.remove(&partition);
        self.panes.revoke(partition);
    }

    /// Reads a record; what was done with it.
    pub(crate) fn read(&mut self, record: &RecordView<'_>, with: Reading<'_>) -> Step {
        let Some(cursor) = self.cursors.get_mut(&record.partition) else { return Step::Ignore };
        let (record_ms, is_bad_time) =
            effective_time(record.timestamp, with.arrival_ms, self.panes.window(), self.limits.open_panes);
        let step = cursor.arrive(record.offset, record_ms, with.oldest_ms);
        let Step::Read { gap } = step else { return step };
        if let Some(gap) = gap {
            self.skipped.add(record.partition, gap, skip_reason::GAP);
        }
        let is_caught_up = cursor.is_caught_up();
        self.panes.set_caught_up(record.partition, is_caught_up);

        let Some(current) = self.generations.last_mut() else { return step };
        let own = Times::own(record_ms, is_bad_time);
        let by_event = current.rules.event_time().is_some();
        // By event time a record is decoded to be placed, if there is memory for it.
        let mut early = (by_event && !with.is_full).then(|| {
            let Generation { examiner, how, .. } = current;
            with.decoder.decode(record.value, how, examiner.shape_mut(), with.arrival_ms)
        });
        let times = match &early {
            Some((decoded, _)) => current.examiner.times(own, decoded),
            None if by_event => own.falling_back(fallback::UNEXAMINED),
            None => own,
        };
        self.last_record_ms = self.last_record_ms.max(times.at_ms);
        let (begun_with, at) = (current.number, (record.partition, record.offset));
        let begin = || Begun { generation: begun_with, accumulator: current.examiner.accumulator() };
        let placed = self.panes.place(at, times.at_ms, record_ms, with.arrival_ms, begin);
        let Begun { generation, accumulator } = &mut placed.pane.data;
        if *generation != begun_with {
            // Decoded for other rules than those of its pane.
            early = None;
        }
        accumulator.read(record, Times { is_late: placed.late, ..times });
        if !is_caught_up {
            accumulator.catching_up();
        } else if !is_bad_time {
            match with.arrival_ms.checked_sub(record_ms).filter(|delay| *delay >= 0) {
                Some(delay_ms) => accumulator.observed_delay_ns((delay_ms as u64).saturating_mul(1_000_000)),
                None => accumulator.skewed(),
            }
        }
        if let Some(share) = self.trace_share
            && let Some(note) = with.sightings.see(record, share, record_ms, with.arrival_ms)
        {
            accumulator.header_note(note);
        }

        let Some(generation) = self.generations.iter_mut().find(|g| g.number == *generation) else {
            return step;
        };
        let reason = if placed.late {
            Some(unexamined::LATE)
        } else if with.is_full {
            Some(unexamined::MEMORY)
        } else if !is_sampled(record.partition, record.offset, generation.rules.sample.examine) {
            Some(unexamined::SAMPLE)
        } else if generation.cap.as_mut().is_some_and(|cap| !cap.take(with.arrival_ms)) {
            Some(unexamined::RATE)
        } else {
            None
        };
        match reason {
            Some(reason) => accumulator.unexamined(reason),
            None => {
                let Generation { examiner, how, .. } = generation;
                let (decoded, verdict) = match early {
                    Some(early) => early,
                    None => with.decoder.decode(record.value, how, examiner.shape_mut(), with.arrival_ms),
                };
                let schema = schema_id(record.value, how, &decoded);
                examiner.examine(record, decoded, verdict, accumulator);
                if let Some(id) = schema {
                    accumulator.schema(id);
                }
            }
        }
        step
    }

    /// The clock moves on.
    pub(crate) fn tick(&mut self, now_ms: i64) {
        for (partition, cursor) in &self.cursors {
            self.panes.set_caught_up(*partition, cursor.is_caught_up());
        }
        self.panes.advance(now_ms);
        let oldest = self.panes.in_memory().map(|pane| pane.data.generation).min();
        let current = self.generations.last().map_or(0, |g| g.number);
        let needed_from = oldest.unwrap_or(current);
        self.generations.retain(|g| g.number >= needed_from);
    }

    /// Panes that changed, each as a whole.
    pub(crate) fn snapshot(&mut self, panes: &mut Vec<Pane>) {
        let generations = &self.generations;
        let topic = &self.name;
        self.panes.snapshot(|pane| {
            let Some(generation) = generations.iter().find(|g| g.number == pane.data.generation) else {
                return;
            };
            panes.push(Pane {
                topic: topic.to_string(),
                segment: String::new(),
                start_ms: pane.start_ms,
                end_ms: pane.end_ms,
                rules_hash: generation.rules.hash,
                ranges: pane.ranges(),
                summary: Some(generation.examiner.summary(&pane.data.accumulator)),
            });
        });
    }

    /// Offsets passed over since the last call.
    pub(crate) fn take_skipped(&mut self, into: &mut Vec<SkippedRange>) {
        into.extend(self.skipped.take(&self.name));
    }

    /// Where it is; `None` while no partition of it is read.
    pub(crate) fn progress(&self) -> Option<TopicProgress> {
        if self.cursors.is_empty() {
            return None;
        }
        let position =
            |(partition, cursor): (&i32, &Cursor)| Position { partition: *partition, next: cursor.next() };
        Some(TopicProgress {
            topic: self.name.to_string(),
            watermark_ms: self.panes.watermark_ms(),
            positions: self.cursors.iter().map(position).collect(),
            catching_up: !self.is_caught_up(),
            last_record_ms: self.last_record_ms,
        })
    }

    pub(crate) fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.cursors.get_mut(&partition)
    }

    /// The client came to this offset having handed out every record before it.
    pub(crate) fn reach(&mut self, partition: i32, end: i64) {
        if let Some(gap) = self.cursors.get_mut(&partition).and_then(|cursor| cursor.reach(end)) {
            self.skipped.add(partition, gap, skip_reason::GAP);
        }
    }

    /// A jump arrives; where to read on.
    pub(crate) fn land(&mut self, partition: i32, end: i64) -> Option<i64> {
        let (passed, next) = self.cursors.get_mut(&partition)?.land(end);
        if let Some(passed) = passed {
            self.skipped.add(partition, passed, skip_reason::CATCH_UP);
        }
        Some(next)
    }

    pub(crate) fn is_caught_up(&self) -> bool {
        self.cursors.values().all(Cursor::is_caught_up)
    }

    /// It belongs to a pipeline, or a rule names them: headers are looked at.
    pub(crate) fn needs_headers(&self) -> bool {
        self.trace_share.is_some() || self.generations.iter().any(|g| g.examiner.names_headers())
    }

    /// Nothing of it is in memory any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.cursors.is_empty() && self.panes.in_memory().next().is_none()
    }

    pub(crate) fn floor_ms(&self) -> i64 {
        self.panes.floor_ms()
    }

    pub(crate) fn is_pressing(&self) -> bool {
        self.panes.is_pressing() || self.skipped.is_pressing()
    }

    /// What its panes take in memory, about, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.panes.in_memory().map(|pane| pane.data.accumulator.approximate_bytes()).sum()
    }
}
