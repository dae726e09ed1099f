//! Rules about single fields, by one scan over the tape.

use super::accumulator::Tally;
use super::keyed::{at, key_of};
use super::valid::{StandIns, Valid};
use crate::limits::Limits;
use crate::merge::add_example;
use crate::profile::hash;
use crate::record::RecordView;
use crate::redact::{Place, Redaction};
use crate::report::Example;
use crate::rules::{FieldPath, KeyBy, Metric, Step, TopicRules};
use crate::tape::{Data, Document, FieldId, PathStep, Shape, Value, redacted};

/// The field rules of a topic, found by field id.
#[derive(Debug)]
pub(super) struct FieldRules {
    redact: Redaction,
    rules: Vec<FieldRule>,
    /// Rules about values of several fields that make one: their index among the topic's, the fields.
    together: Vec<(usize, Vec<FieldPath>)>,
    /// What to do at a value of a field; fields that rules name have the lowest ids.
    targets: Vec<Box<[Target]>>,
}

#[derive(Debug)]
struct FieldRule {
    /// Index among the topic's rules.
    rule: usize,
    path: FieldPath,
    kind: Kind,
    /// In the record at hand: what is checked, and how much of it has the field (or has it null).
    anchors: u64,
    found: u64,
}

#[derive(Debug)]
enum Kind {
    /// With what stands for a missing value.
    Missing(Option<StandIns>),
    Null,
    Invalid(Valid),
    Duplicate,
    Numbers,
    Sequence(KeyBy),
    Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    /// Index into `rules`.
    rule: u32,
    /// One of what is checked: the document, or an element.
    is_anchor: bool,
    /// A value of the field itself.
    is_value: bool,
}

impl FieldRules {
    pub(super) fn new(topic: &TopicRules, shape: &mut Shape) -> Self {
        let rules = topic.rules.as_slice();
        let (mut all, mut together) = (Vec::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            let kind = match &rule.metric {
                Metric::MissingValues { stand_ins, .. } => {
                    Kind::Missing((!stand_ins.is_empty()).then(|| StandIns::new(stand_ins)))
                }
                Metric::NullValues { .. } => Kind::Null,
                Metric::InvalidValues { valid, .. } => Kind::Invalid(Valid::new(valid)),
                Metric::DuplicateValues { field, with } if !with.is_empty() => {
                    together.push((index, std::iter::once(field).chain(with).cloned().collect()));
                    continue;
                }
                Metric::DuplicateValues { .. } | Metric::DistinctCount { .. } => Kind::Duplicate,
                Metric::Aggregate { .. } => Kind::Numbers,
                Metric::SequenceGaps { by, .. } => Kind::Sequence(by.clone()),
                Metric::NewValues { .. } => Kind::Values,
                Metric::RowCount
                | Metric::FailedRows { .. }
                | Metric::SchemaViolations
                | Metric::DecodeFailures
                | Metric::Freshness
                | Metric::Delay { .. }
                | Metric::Lateness { .. }
                | Metric::OutOfOrder { .. }
                | Metric::Ratio { .. }
                | Metric::FieldsAdded
                | Metric::FieldsRemoved
                | Metric::TypeChanged
                | Metric::NotFollowedBy { .. }
                | Metric::TooMany { .. }
                | Metric::Drift { .. } => continue,
            };
            if let Some(field) = rule.field() {
                let path = field.clone();
                all.push((
                    field.steps.as_slice(),
                    FieldRule { rule: index, path, kind, anchors: 0, found: 0 },
                ));
            }
        }
        // Fields that only drift and the like name get their ids here too, to be profiled whatever
        // the limits. A wildcard also means the members that other rules name, so interning goes
        // on until it brings nothing new.
        loop {
            let before = shape.len();
            rules.iter().filter_map(|r| r.field()).for_each(|f| drop(fields_of(&f.steps, shape)));
            if shape.len() == before {
                break;
            }
        }
        let mut targets: Vec<Vec<Target>> = vec![Vec::new(); shape.len()];
        for (index, (steps, _)) in all.iter().enumerate() {
            let anchor = steps.iter().rposition(|s| !matches!(s, Step::Key(_))).map_or(0, |at| at + 1);
            let anchors = fields_of(&steps[..anchor], shape);
            let values = fields_of(steps, shape);
            for field in anchors.iter().chain(values.iter().filter(|v| !anchors.contains(v))) {
                if let Some(at) = field.index().and_then(|at| targets.get_mut(at)) {
                    let (is_anchor, is_value) = (anchors.contains(field), values.contains(field));
                    at.push(Target { rule: index as u32, is_anchor, is_value });
                }
            }
        }
        Self {
            redact: topic.redact.clone(),
            together,
            rules: all.into_iter().map(|(_, rule)| rule).collect(),
            targets: targets.into_iter().map(Vec::into_boxed_slice).collect(),
        }
    }

    pub(super) fn examine(
        &mut self,
        record: &RecordView<'_>,
        document: Document<'_>,
        tallies: &mut [Tally],
        limits: &Limits,
    ) {
        for (rule, fields) in &self.together {
            // One that lacks a part of it has no such value.
            let hashes = fields.iter().map(|path| hash::scalar(at(path, document.root())?.data()));
            let unique = tallies.get_mut(*rule).and_then(|t| t.unique.as_mut());
            if let (Some(hash), Some(unique)) = (hash::several(hashes), unique) {
                unique.add(hash);
            }
        }
        if self.rules.is_empty() {
            return;
        }
        for value in document.values() {
            let Some(targets) = value.field().index().and_then(|at| self.targets.get(at)) else {
                continue;
            };
            for target in targets {
                let Some(rule) = self.rules.get_mut(target.rule as usize) else {
                    continue;
                };
                rule.anchors += u64::from(target.is_anchor);
                if !target.is_value {
                    continue;
                }
                let data = value.data();
                match &rule.kind {
                    Kind::Missing(stand_ins) => {
                        rule.found += u64::from(!stand_ins.as_ref().is_some_and(|s| s.holds(data)));
                    }
                    Kind::Numbers => {
                        if let Some(tally) = tallies.get_mut(rule.rule)
                            && let Some(numbers) = &mut tally.numbers
                        {
                            tally.checked += u64::from(numbers.add(data));
                        }
                    }
                    Kind::Null => rule.found += u64::from(data == Data::Null),
                    Kind::Invalid(valid) if data != Data::Null => {
                        let Some(tally) = tallies.get_mut(rule.rule) else {
                            continue;
                        };
                        tally.checked += 1;
                        if !valid.holds(data) {
                            tally.failed += 1;
                            example(&mut tally.examples, record, limits, || {
                                redacted(value, limits.string_bytes, &self.redact.at(&rule.path.steps))
                            });
                        }
                    }
                    Kind::Duplicate => {
                        let unique = tallies.get_mut(rule.rule).and_then(|t| t.unique.as_mut());
                        if let (Some(hash), Some(unique)) = (hash::scalar(data), unique) {
                            unique.add(hash);
                        }
                    }
                    Kind::Sequence(by) => {
                        if let Some(tally) = tallies.get_mut(rule.rule) {
                            let place = || self.redact.at(&rule.path.steps);
                            number(by, record, (value, place), tally, limits);
                        }
                    }
                    Kind::Values => {
                        let keyed = tallies.get_mut(rule.rule).and_then(|t| t.keyed.as_mut());
                        if let (Some(hash), Some(keyed)) = (hash::scalar(data), keyed) {
                            let text =
                                || redacted(value, limits.string_bytes, &self.redact.at(&rule.path.steps));
                            keyed.add(hash, |key| key.see(record.partition, record.offset, text));
                        }
                    }
                    Kind::Invalid(_) => {}
                }
            }
        }
        for rule in &mut self.rules {
            let (anchors, found) = (std::mem::take(&mut rule.anchors), std::mem::take(&mut rule.found));
            let Some(tally) = tallies.get_mut(rule.rule) else {
                continue;
            };
            let (failed, what) = match &rule.kind {
                // An object has a member once at most: duplicates of keys are not on the tape.
                Kind::Missing(_) => (anchors.saturating_sub(found), "missing"),
                Kind::Null => (found, "null"),
                Kind::Invalid(_) | Kind::Duplicate | Kind::Numbers | Kind::Sequence(_) | Kind::Values => {
                    continue;
                }
            };
            tally.checked += anchors;
            tally.failed += failed;
            if failed > 0 {
                example(&mut tally.examples, record, limits, || {
                    let share =
                        if anchors > 1 { format!(" in {failed} of {anchors}") } else { String::new() };
                    crate::schema::cut(&format!("{} is {what}{share}", rule.path.text), limits.string_bytes)
                });
            }
        }
    }
}

/// Takes a number of a sequence. What is no integer has no place in one.
fn number<'r>(
    by: &KeyBy,
    record: &RecordView<'_>,
    (value, place): (Value<'_>, impl FnOnce() -> Place<'r>),
    tally: &mut Tally,
    limits: &Limits,
) {
    if value.is_null() {
        return;
    }
    let Some(hash) = key_of(by, record, value.document().root()) else { return };
    match (integer(value), &mut tally.keyed) {
        (Some(number), Some(keyed)) => {
            keyed.add(hash, |key| key.number(number, record.partition, record.offset));
        }
        _ => {
            tally.errors += 1;
            example(&mut tally.examples, record, limits, || {
                format!("no integer: {}", redacted(value, limits.string_bytes, &place()))
            });
        }
    }
}

/// Producers of JSON write 10 as 10.0 at their whim.
fn integer(value: Value<'_>) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| match value.data() {
        Data::F64(n) if n.trunc() == n && n.abs() <= EXACT => Some(n as i64),
        _ => None,
    })
}

/// One example of a record is enough.
fn example(list: &mut Vec<Example>, record: &RecordView<'_>, limits: &Limits, text: impl FnOnce() -> String) {
    let (partition, offset) = (record.partition, record.offset);
    if !list.iter().any(|e| (e.partition, e.offset) == (partition, offset)) {
        add_example(list, limits.examples, partition, offset, text);
    }
}

/// All fields that a path means: a wildcard means the map's own field and those of the members
/// that rules name.
fn fields_of(steps: &[Step], shape: &mut Shape) -> Vec<FieldId> {
    let mut fields = vec![FieldId::ROOT];
    for step in steps {
        let mut next = Vec::new();
        for field in fields {
            next.push(shape.pin(field, step));
            if matches!(step, Step::AnyKey) {
                let named = shape.pinned_children(field);
                next.extend(named.into_iter().filter(|f| matches!(shape.step(*f), PathStep::Key(_))));
            }
        }
        fields = next;
    }
    fields
}
