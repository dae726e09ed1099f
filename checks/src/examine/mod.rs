//! What a record says under the rules of its topic: counts, tallies and profile, in one pass.
//!
//! An [`Examiner`] holds what a topic's rules compile to (fields, expressions, a schema) and the
//! [`Shape`] of its records; an [`Accumulator`] holds what was seen in one pane. Counts are exact,
//! and depend on the records and rules alone.
//!
//! | metric | is checked | fails |
//! |---|---|---|
//! | `missingValues` | documents; for paths through `[]` or `*`, the innermost elements or members | those without the field, a parent that is missing or null included |
//! | `nullValues` | the same | those where the field is null |
//! | `invalidValues` | values that are not null | those that are not allowed |
//! | `duplicateValues` | strings, numbers, booleans | values less distinct values, in this pane |
//! | `distinctCount` | strings, numbers, booleans | |
//! | `aggregate` | finite numbers | |
//! | `delay` | documents with both times, but for negative differences | |
//! | `lateness`, `outOfOrder` | documents with an event time | those after one with a later event time |
//! | `failedRows` | documents for which the expression is true or false | those where it is false; errors are tallied apart |
//! | `schemaViolations` | documents held against a schema | those that do not fit |
//! | `decodeFailures` | documents and failures | failures |
//! | `newValues` | strings, numbers, booleans | those that no window before had: the judge's to say |
//! | `sequenceGaps` | integers of a key or partition | the judge's to say, from the ranges seen |
//! | `notFollowedBy`, `tooMany` | records that the expressions pick, of a key | the judge's to say, from their times |
//!
//! Tombstones, and values in formats that are not decoded, are counted and not checked.

mod accumulator;
pub mod cel;
mod event_time;
mod fields;
mod keyed;
mod numbers;
pub(crate) mod segments;
#[cfg(test)]
mod tests;
mod valid;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::accumulator::{Accumulator, Times};
use self::event_time::EventTimes;
pub use self::event_time::fallback;
use self::fields::FieldRules;
use self::keyed::{PatternRule, Picked};
use self::segments::SegmentRules;
use crate::limits::Limits;
use crate::merge::{add_example, count_reason};
use crate::record::RecordView;
use crate::redact;
use crate::report::{Example, KeyEvent, PaneSummary};
use crate::rules::{Metric, Origin, Rule, SchemaKind, SchemaSource, TopicRules};
use crate::schema::{Schema, SchemaError, cut};
use crate::tape::{DecodeFailure, Document, Shape};

/// What became of a value.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// Decoded onto a tape over this examiner's [`Examiner::shape_mut`].
    Document(Document<'a>),
    /// There is none.
    Tombstone,
    /// Recognised, but not decoded yet: no failure.
    NotDecoded {
        /// Its name in [`PaneSummary::not_decoded`], from a bounded set.
        format: &'static str,
    },
    /// It could not be decoded.
    Failed(DecodeFailure),
}

/// What the decoder's own schema says of a document (an Avro reader's schema).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaVerdict {
    /// It fits.
    Valid,
    /// It does not, and why.
    Violation(String),
}

/// Rules that cannot be examined by. The linter refuses such files: this is for what it never saw.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// The schema file.
    #[error("{path}: {error}")]
    Schema {
        /// Where it was read.
        path: String,
        /// What is wrong.
        error: SchemaError,
    },
    /// An expression.
    #[error("{file}:{line}: check `{rule}`: {error}", file = origin.file.display(), line = origin.line)]
    Expression {
        /// The rule's id.
        rule: String,
        /// Where it was written.
        origin: Origin,
        /// What is wrong.
        error: cel::CelError,
    },
}

/// Examines the records of one topic.
#[derive(Debug)]
pub struct Examiner {
    rules: Arc<TopicRules>,
    limits: Limits,
    shape: Shape,
    schema: Option<Schema>,
    fields: FieldRules,
    event_times: EventTimes,
    segments: SegmentRules,
    /// Index of the rule, and its expression.
    expressions: Vec<(usize, cel::Program)>,
    patterns: Vec<PatternRule>,
    names_headers: bool,
    /// Is the profile made?
    profiles: bool,
    /// What each rule measures, by its id.
    definitions: HashMap<String, u64>,
}

impl Examiner {
    /// Compiles the rules: schema, expressions, fields.
    pub fn new(rules: Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        let schema = match &rules.decode.schema {
            SchemaSource::File(file) if file.kind == SchemaKind::Json => {
                let path = file.path.display().to_string();
                Some(
                    Schema::compile(&file.text, limits)
                        .map_err(|error| ExamineError::Schema { path, error })?,
                )
            }
            SchemaSource::File(_) | SchemaSource::Registry | SchemaSource::None => None,
        };
        let mut expressions = Vec::new();
        let mut patterns = Vec::new();
        for (index, rule) in rules.rules.iter().enumerate() {
            let wrong = |error| ExamineError::Expression {
                rule: rule.id.clone(),
                origin: rule.origin.clone(),
                error,
            };
            if let Metric::FailedRows { expr } = &rule.metric {
                expressions.push((index, cel::compile(expr).map_err(wrong)?));
            }
            if let Some(pattern) = PatternRule::compile(index, rule) {
                patterns.push(pattern.map_err(wrong)?);
            }
        }
        let names_headers = expressions.iter().any(|(_, program)| program.names_headers())
            || patterns.iter().any(PatternRule::names_headers);
        let definition = |rule: &Arc<Rule>| Some((rule.id.clone(), rules.definition(&rule.id)?));
        let definitions = rules.rules.iter().filter_map(definition).collect();
        let mut shape = Shape::new(limits);
        let fields = FieldRules::new(&rules, &mut shape);
        let event_times = EventTimes::new(&rules);
        let segments = SegmentRules::new(&rules);
        Ok(Self {
            rules,
            limits: limits.clone(),
            shape,
            schema,
            fields,
            event_times,
            segments,
            expressions,
            patterns,
            names_headers,
            profiles: true,
            definitions,
        })
    }

    /// The same without a profile of fields, unless a rule is judged by it.
    pub fn without_profile(self) -> Self {
        Self { profiles: crate::judge::past::needs_profile(&self.rules), ..self }
    }

    /// Goes on from what another one has seen, whose rules these take the place of.
    pub fn inherit(&mut self, before: &Self) {
        self.event_times.inherit(&before.event_times);
    }

    /// The rules it was made for.
    pub fn rules(&self) -> &Arc<TopicRules> {
        &self.rules
    }

    /// The shape of the topic's records: what [`Decoded::Document`] must be decoded over.
    pub fn shape_mut(&mut self) -> &mut Shape {
        &mut self.shape
    }

    /// Does a rule look at the headers of records?
    pub fn names_headers(&self) -> bool {
        self.names_headers
    }

    /// An empty pane.
    pub fn accumulator(&self) -> Accumulator {
        Accumulator::new(&self.rules.rules, self.segments.tables(), &self.limits)
    }

    /// What a record of this time of its own (0: none) goes by: by the rules its own, or that of the
    /// decoded value.
    pub fn times(&self, own: Times, decoded: &Decoded<'_>) -> Times {
        let Some(time) = self.rules.event_time() else { return own };
        let event = match decoded {
            Decoded::Document(document) => event_time::of_document(*document, time),
            _ => Err(fallback::NO_DOCUMENT),
        };
        let latest_ms = own.at_ms.saturating_add(self.rules.window.ahead_ms(self.limits.open_panes));
        match event {
            Ok(at_ms) if own.at_ms > 0 && at_ms > latest_ms => own.falling_back(fallback::FUTURE),
            Ok(at_ms) => Times { at_ms, ..own },
            Err(why) => own.falling_back(why),
        }
    }

    /// Examines a record that the accumulator was told of by [`Accumulator::read`].
    pub fn examine(
        &mut self,
        record: &RecordView<'_>,
        decoded: Decoded<'_>,
        schema_verdict: Option<SchemaVerdict>,
        into: &mut Accumulator,
    ) {
        let seen = &mut into.seen;
        seen.examined += 1;
        match decoded {
            Decoded::Tombstone => seen.tombstones += 1,
            Decoded::NotDecoded { format } => count_reason(&mut seen.not_decoded, format, 1),
            Decoded::Failed(failure) => {
                into.decode_failed += 1;
                count_reason(&mut seen.decode_failures, failure.reason, 1);
                let text = || cut(&redact::text(&failure.to_string()), self.limits.string_bytes);
                self.example(&mut seen.decode_examples, record, text);
            }
            Decoded::Document(document) => {
                into.documents += 1;
                seen.duplicate_keys += u64::from(document.duplicate_keys() > 0);
                self.segments.begin(seen, &into.tallies);
                self.hold_against_schema(record, document, schema_verdict, seen);
                self.fields.examine(record, document, &mut into.tallies, &self.limits);
                let time_ms = into.own_time_ms;
                self.event_times.examine(record, time_ms, document, &mut into.tallies, &self.limits);
                self.evaluate(record, document, into);
                self.look_for_patterns(record, document, into);
                self.segments.end(document, &into.seen, &mut into.tallies, &mut into.segments);
                if self.profiles {
                    into.profile.document(document, into.own_time_ms, &self.shape);
                }
            }
        }
    }

    /// What was seen in a pane, as it stands.
    pub fn summary(&self, accumulator: &Accumulator) -> PaneSummary {
        let mut summary = accumulator.summary(&self.rules.rules, &self.shape, &self.segments);
        for tally in &mut summary.rules {
            tally.definition = self.definitions.get(&tally.rule).copied().unwrap_or(0);
        }
        self.rules.redact.profile(&mut summary.fields);
        summary
    }

    fn hold_against_schema(
        &mut self,
        record: &RecordView<'_>,
        document: Document<'_>,
        verdict: Option<SchemaVerdict>,
        seen: &mut PaneSummary,
    ) {
        let why: Option<String> = match (verdict, &self.schema) {
            (Some(SchemaVerdict::Valid), _) => None,
            (Some(SchemaVerdict::Violation(why)), _) => Some(why),
            (None, Some(schema)) if document.is_json() => {
                if schema.is_valid(document, &mut self.shape) {
                    None
                } else {
                    // Said in full only for the examples that are kept: it copies the value.
                    seen.schema_checked += 1;
                    seen.schema_violations += 1;
                    let text =
                        || cut(&schema.first_error(document, &self.rules.redact), self.limits.string_bytes);
                    self.example(&mut seen.schema_examples, record, text);
                    return;
                }
            }
            (None, _) => return,
        };
        seen.schema_checked += 1;
        if let Some(why) = why {
            seen.schema_violations += 1;
            self.example(&mut seen.schema_examples, record, || {
                cut(&redact::text(&why), self.limits.string_bytes)
            });
        }
    }

    fn evaluate(&self, record: &RecordView<'_>, document: Document<'_>, into: &mut Accumulator) {
        let text_bytes = self.limits.string_bytes;
        for (index, program) in &self.expressions {
            let Some(tally) = into.tallies.get_mut(*index) else {
                continue;
            };
            match program.evaluate(record, document.root(), text_bytes) {
                cel::Outcome::Holds(true) => tally.checked += 1,
                cel::Outcome::Holds(false) => {
                    tally.checked += 1;
                    tally.failed += 1;
                    self.example(&mut tally.examples, record, || {
                        program.evidence(document.root(), &self.rules.redact, text_bytes)
                    });
                }
                cel::Outcome::Error(error) => {
                    tally.errors += 1;
                    self.example(&mut tally.examples, record, || cut(&format!("error: {error}"), text_bytes));
                }
            }
        }
    }

    fn look_for_patterns(&self, record: &RecordView<'_>, document: Document<'_>, into: &mut Accumulator) {
        let text_bytes = self.limits.string_bytes;
        for pattern in &self.patterns {
            let Some(tally) = into.tallies.get_mut(pattern.rule) else { continue };
            match pattern.pick(record, document.root(), text_bytes) {
                Picked::No => {}
                Picked::Yes { hash, which } => {
                    let (partition, offset) = (record.partition, record.offset);
                    let event = KeyEvent { at_ms: into.at_ms, partition, offset, which };
                    if let Some(keyed) = &mut tally.keyed {
                        keyed.add(hash, |key| key.event(event));
                    }
                }
                Picked::Error(error) => {
                    tally.errors += 1;
                    self.example(&mut tally.examples, record, || cut(&format!("error: {error}"), text_bytes));
                }
            }
        }
    }

    fn example(&self, list: &mut Vec<Example>, record: &RecordView<'_>, text: impl FnOnce() -> String) {
        add_example(list, self.limits.examples, record.partition, record.offset, text);
    }
}
