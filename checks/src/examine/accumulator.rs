//! What was seen in one pane.

use std::sync::Arc;

use super::keyed::KeyedBuilder;
use super::numbers::NumberBuilder;
use super::segments::{SegmentRules, SegmentTable};
use crate::limits::Limits;
use crate::merge::{count_reason, count_schema};
use crate::profile::{Profile, UniquenessBuilder};
use crate::record::RecordView;
use crate::report::{Example, Histogram, PaneSummary, RuleTally, SchemaSeen};
use crate::rules::{Metric, Rule};
use crate::tape::Shape;

/// What was seen in one pane of one topic. Grows with the number of fields and kept values, not
/// with the number of records.
#[derive(Debug)]
pub struct Accumulator {
    /// All but the profile, the delay and the rules' tallies.
    pub(super) seen: PaneSummary,
    /// The time that the record at hand goes by, ms.
    pub(super) at_ms: i64,
    pub(super) documents: u64,
    /// Of the record last read, if it has one.
    pub(super) own_time_ms: Option<i64>,
    pub(super) decode_failed: u64,
    pub(super) delay: Histogram,
    pub(super) profile: Profile,
    /// One for each rule of the topic, in their order; idle for those that no record decides.
    pub(super) tallies: Vec<Tally>,
    /// The segments, for each field that divides the documents.
    pub(super) segments: Vec<SegmentTable>,
}

/// The times of a record, ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// What it goes by: pane, window, patterns. 0 where there is none.
    pub at_ms: i64,
    /// Its own, if it has one that can be.
    pub own_ms: Option<i64>,
    /// Its own was missing, negative or far in the future.
    pub is_bad: bool,
    /// Its own pane is gone: it is counted in another, whose first and last records are others.
    pub is_late: bool,
    /// Why it goes by its own although windows go by event time ([`fallback`](super::fallback)).
    pub fallback: Option<&'static str>,
}

impl Times {
    /// Of a record that goes by its own time; `is_bad` says that `at_ms` is that of its arrival instead.
    pub fn own(at_ms: i64, is_bad: bool) -> Self {
        Self {
            at_ms,
            own_ms: (!is_bad && at_ms > 0).then_some(at_ms),
            is_bad,
            is_late: false,
            fallback: None,
        }
    }

    /// The same, although windows go by event time.
    pub fn falling_back(self, why: &'static str) -> Self {
        Self { fallback: Some(why), ..self }
    }
}

/// Tally of one rule.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) checked: u64,
    pub(super) failed: u64,
    pub(super) errors: u64,
    pub(super) examples: Vec<Example>,
    pub(super) unique: Option<UniquenessBuilder>,
    pub(super) numbers: Option<Box<NumberBuilder>>,
    pub(super) keyed: Option<KeyedBuilder>,
    /// Checked, failed, errors by place in the table of its segments.
    pub(super) segments: Vec<[u64; 3]>,
}

impl Accumulator {
    pub(super) fn new(rules: &[Arc<Rule>], segments: Vec<SegmentTable>, limits: &Limits) -> Self {
        let tallies = rules.iter().map(|rule| Tally {
            unique: matches!(rule.metric, Metric::DuplicateValues { .. } | Metric::DistinctCount { .. })
                .then(|| UniquenessBuilder::new(limits.uniqueness_values)),
            numbers: matches!(
                rule.metric,
                Metric::Aggregate { .. } | Metric::Delay { .. } | Metric::Lateness { .. }
            )
            .then(Box::default),
            keyed: KeyedBuilder::of(&rule.metric),
            ..Tally::default()
        });
        Self {
            seen: PaneSummary::default(),
            at_ms: 0,
            documents: 0,
            own_time_ms: None,
            decode_failed: 0,
            delay: Histogram::default(),
            profile: Profile::new(limits),
            tallies: tallies.collect(),
            segments,
        }
    }

    /// A record of this pane was read.
    pub fn read(&mut self, record: &RecordView<'_>, times: Times) {
        let seen = &mut self.seen;
        let is_first = (seen.first_record_ms, seen.last_record_ms) == (0, 0);
        let at_ms = times.at_ms;
        self.at_ms = at_ms;
        seen.read += 1;
        self.own_time_ms = times.own_ms;
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        seen.read_bytes += bytes as u64;
        seen.bad_timestamps += u64::from(times.is_bad);
        if let Some(why) = times.fallback {
            count_reason(&mut seen.time_fallbacks, why, 1);
        }
        if times.is_late {
            return;
        }
        seen.first_record_ms = if is_first { at_ms } else { seen.first_record_ms.min(at_ms) };
        seen.last_record_ms = if is_first { at_ms } else { seen.last_record_ms.max(at_ms) };
    }

    /// A record was read that is not examined, for a reason of [`PaneSummary::unexamined`].
    pub fn unexamined(&mut self, reason: &'static str) {
        count_reason(&mut self.seen.unexamined, reason, 1);
    }

    /// Arrival minus record time of a record read while caught up, in nanoseconds.
    pub fn observed_delay_ns(&mut self, ns: u64) {
        self.delay.observe_ns(ns);
    }

    /// A record was read while catching up: its delay is not observed.
    pub fn catching_up(&mut self) {
        self.seen.catching_up += 1;
    }

    /// A record's time lies after its arrival.
    pub fn skewed(&mut self) {
        self.seen.skewed += 1;
    }

    /// A finding about a record's headers, for a reason of [`PaneSummary::header_notes`].
    pub fn header_note(&mut self, reason: &'static str) {
        count_reason(&mut self.seen.header_notes, reason, 1);
    }

    /// The document that was examined last came by this schema of a registry.
    pub fn schema(&mut self, id: u32) {
        count_schema(&mut self.seen.schemas, SchemaSeen { id, count: 1, first_ms: self.at_ms });
    }

    /// Records read.
    pub fn records(&self) -> u64 {
        self.seen.read
    }

    /// Values that could not be decoded.
    pub fn decode_failed(&self) -> u64 {
        self.decode_failed
    }

    /// Memory held, in bytes, to within a tenth: a walk over the fields.
    pub fn approximate_bytes(&self) -> usize {
        let examples =
            |list: &[Example]| list.iter().map(|e| size_of::<Example>() + e.value.len()).sum::<usize>();
        let tallies: usize = self
            .tallies
            .iter()
            .map(|t| {
                let unique = t.unique.as_ref().map_or(0, UniquenessBuilder::approximate_bytes);
                let numbers = t.numbers.as_ref().map_or(0, |numbers| numbers.approximate_bytes());
                let keyed = t.keyed.as_ref().map_or(0, KeyedBuilder::approximate_bytes);
                let segments = t.segments.capacity() * size_of::<[u64; 3]>();
                size_of::<Tally>() + examples(&t.examples) + unique + numbers + keyed + segments
            })
            .sum();
        size_of::<Self>()
            + self.profile.approximate_bytes()
            + tallies
            + self.segments.iter().map(SegmentTable::approximate_bytes).sum::<usize>()
            + examples(&self.seen.decode_examples)
            + examples(&self.seen.schema_examples)
    }

    pub(super) fn summary(&self, rules: &[Arc<Rule>], shape: &Shape, by: &SegmentRules) -> PaneSummary {
        let (fields, folded_values) = self.profile.summary(shape);
        let told = rules.iter().zip(&self.tallies).enumerate().filter_map(|(at, (rule, tally))| {
            let segments = by.summary(at, tally, &self.segments);
            Some(RuleTally { segments, ..self.tally(rule, tally)? })
        });
        let mut tallies: Vec<_> = told.collect();
        tallies.sort_unstable_by(|a, b| a.rule.cmp(&b.rule));
        PaneSummary {
            fields,
            folded_values,
            rules: tallies,
            delay: (self.delay.count > 0).then(|| self.delay.clone()),
            ..self.seen.clone()
        }
    }

    /// The tally of a rule that records decide.
    fn tally(&self, rule: &Rule, tally: &Tally) -> Option<RuleTally> {
        let of = |checked, failed, examples: &[Example]| RuleTally {
            rule: rule.id.clone(),
            checked,
            failed,
            errors: tally.errors,
            examples: examples.to_vec(),
            uniqueness: tally.unique.as_ref().map(UniquenessBuilder::summary),
            numbers: tally.numbers.as_ref().map(|numbers| numbers.summary()),
            keyed: tally.keyed.as_ref().map(KeyedBuilder::summary),
            definition: 0,
            segments: Vec::new(),
        };
        match rule.metric {
            Metric::MissingValues { .. }
            | Metric::NullValues { .. }
            | Metric::InvalidValues { .. }
            | Metric::Aggregate { .. }
            | Metric::Delay { .. }
            | Metric::Lateness { .. }
            | Metric::OutOfOrder { .. }
            | Metric::FailedRows { .. } => Some(of(tally.checked, tally.failed, &tally.examples)),
            Metric::DuplicateValues { .. } => {
                let (checked, copies) = tally.unique.as_ref().map_or((0, 0), UniquenessBuilder::tally);
                Some(of(checked, copies, &tally.examples))
            }
            Metric::DistinctCount { .. } => {
                let values = tally.unique.as_ref().map_or(0, |unique| unique.tally().0);
                Some(of(values, 0, &tally.examples))
            }
            Metric::SchemaViolations => {
                Some(of(self.seen.schema_checked, self.seen.schema_violations, &self.seen.schema_examples))
            }
            Metric::DecodeFailures => {
                Some(of(self.documents + self.decode_failed, self.decode_failed, &self.seen.decode_examples))
            }
            // What failed is only known of whole windows.
            Metric::NewValues { .. }
            | Metric::SequenceGaps { .. }
            | Metric::NotFollowedBy { .. }
            | Metric::TooMany { .. } => {
                let checked = tally.keyed.as_ref().map_or(0, KeyedBuilder::total);
                Some(of(checked, 0, &tally.examples))
            }
            Metric::RowCount
            | Metric::Freshness
            | Metric::Drift { .. }
            | Metric::Ratio { .. }
            | Metric::FieldsAdded
            | Metric::FieldsRemoved
            | Metric::TypeChanged => None,
        }
    }
}
