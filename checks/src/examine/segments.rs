//! Counts by segment: the value of one field divides the documents, and what each rule counts is counted
//! for every value apart.
//!
//! Up to [`SEGMENTS_KEPT`] values are told apart, those whose hashes are lowest: which they are depends
//! on the values alone, never on the order of records or merging, and what is counted of them is whole.
//! The others are one.

use std::collections::HashMap;

use super::accumulator::Tally;
use crate::merge::SEGMENTS_KEPT;
use crate::profile::hash;
use crate::redact::{self, HIDDEN};
use crate::report::{PaneSummary, SegmentTally};
use crate::rules::{FieldPath, Metric, Step, TopicRules};
use crate::tape::{Data, Document, Value, printable};

/// Bytes of a segment's name; a longer text ends in `…` and 8 digits of its hash.
const NAME_BYTES: usize = 64;
/// Where all that is not told apart is counted.
const REST: usize = 0;

/// The rules of a topic that count by segment.
#[derive(Debug, Default)]
pub(super) struct SegmentRules {
    paths: Vec<FieldPath>,
    rules: Vec<SegmentRule>,
}

#[derive(Debug)]
struct SegmentRule {
    /// Index among the topic's rules.
    rule: usize,
    /// Index into `paths`.
    path: usize,
    /// Counted in the summary itself.
    is_schema: bool,
    /// Its counts before the document at hand.
    before: [u64; 3],
}

/// The segments of a path that are told apart in one pane.
#[derive(Debug, Default)]
pub(super) struct SegmentTable {
    /// Places among the counts of a rule, by hash of the name.
    places: HashMap<u64, usize, ahash::RandomState>,
    /// By place; the one of the rest has no name.
    names: Vec<(u64, String)>,
}

impl SegmentRules {
    /// Where another file hides the field, nothing is told apart: the names would show its values.
    pub(super) fn new(rules: &TopicRules) -> Self {
        let mut all = Self::default();
        for (rule, with) in rules.rules.iter().enumerate() {
            let may_be_named = |field: &&FieldPath| with.metric.has_segments() && !rules.redact.hides(field);
            let Some(field) = with.segment_by.as_ref().filter(may_be_named) else { continue };
            let path = all.paths.iter().position(|path| path == field).unwrap_or_else(|| {
                all.paths.push(field.clone());
                all.paths.len() - 1
            });
            let is_schema = matches!(with.metric, Metric::SchemaViolations);
            all.rules.push(SegmentRule { rule, path, is_schema, before: [0; 3] });
        }
        all
    }

    /// A table for each path.
    pub(super) fn tables(&self) -> Vec<SegmentTable> {
        self.paths.iter().map(|_| SegmentTable::default()).collect()
    }

    /// Before the rules look at a document.
    pub(super) fn begin(&mut self, seen: &PaneSummary, tallies: &[Tally]) {
        for rule in &mut self.rules {
            rule.before = counts(rule, seen, tallies);
        }
    }

    /// After the rules have looked at it.
    pub(super) fn end(
        &mut self,
        document: Document<'_>,
        seen: &PaneSummary,
        tallies: &mut [Tally],
        tables: &mut [SegmentTable],
    ) {
        for (at, (path, table)) in self.paths.iter().zip(tables).enumerate() {
            let name = name(find(document, path));
            let rules = || self.rules.iter().filter(move |rule| rule.path == at);
            let (place, evicts) = table.place(name);
            for rule in rules() {
                let now = counts(rule, seen, tallies);
                let Some(tally) = tallies.get_mut(rule.rule) else { continue };
                if tally.segments.len() <= place {
                    tally.segments.resize(place + 1, [0; 3]);
                }
                if evicts {
                    let gone = std::mem::take(&mut tally.segments[place]);
                    add(&mut tally.segments[REST], gone);
                }
                let added: [u64; 3] = std::array::from_fn(|i| now[i].saturating_sub(rule.before[i]));
                add(&mut tally.segments[place], added);
            }
        }
    }

    /// The counts of a rule by segment, sorted by name.
    pub(super) fn summary(&self, rule: usize, tally: &Tally, tables: &[SegmentTable]) -> Vec<SegmentTally> {
        let Some(with) = self.rules.iter().find(|with| with.rule == rule) else { return Vec::new() };
        let Some(table) = tables.get(with.path) else { return Vec::new() };
        let named = table.names.iter().zip(&tally.segments).filter(|(_, counts)| **counts != [0; 3]);
        let mut all: Vec<SegmentTally> = named
            .map(|((_, segment), &[checked, failed, errors])| SegmentTally {
                segment: segment.clone(),
                checked,
                failed,
                errors,
            })
            .collect();
        all.sort_unstable_by(|a, b| a.segment.cmp(&b.segment));
        // Two long texts whose names are cut alike are told as one.
        all.dedup_by(|next, kept| {
            let same = next.segment == kept.segment;
            if same {
                kept.merge(next);
            }
            same
        });
        all
    }
}

impl SegmentTable {
    /// The place of a segment, and whether another one had it until now.
    fn place(&mut self, name: String) -> (usize, bool) {
        let hash = hash::text(&name);
        if let Some(place) = self.places.get(&hash) {
            return (*place, false);
        }
        if self.names.is_empty() {
            self.names.push((u64::MAX, String::new()));
        }
        if self.names.len() <= SEGMENTS_KEPT {
            self.places.insert(hash, self.names.len());
            self.names.push((hash, name));
            return (self.names.len() - 1, false);
        }
        let highest = (1..self.names.len()).max_by_key(|place| self.names[*place].0);
        match highest.filter(|place| self.names[*place].0 > hash) {
            Some(place) => {
                let (gone, _) = std::mem::replace(&mut self.names[place], (hash, name));
                self.places.remove(&gone);
                self.places.insert(hash, place);
                (place, true)
            }
            None => (REST, false),
        }
    }

    pub(super) fn approximate_bytes(&self) -> usize {
        let names = self.names.iter().map(|(_, name)| name.capacity() + size_of::<(u64, String)>());
        names.sum::<usize>() + self.places.capacity() * (size_of::<(u64, usize)>() + 1)
    }
}

fn counts(rule: &SegmentRule, seen: &PaneSummary, tallies: &[Tally]) -> [u64; 3] {
    if rule.is_schema {
        return [seen.schema_checked, seen.schema_violations, 0];
    }
    tallies.get(rule.rule).map_or([0; 3], |tally| [tally.checked, tally.failed, tally.errors])
}

fn add(into: &mut [u64; 3], more: [u64; 3]) {
    for (mine, more) in into.iter_mut().zip(more) {
        *mine = mine.saturating_add(more);
    }
}

/// The name of the segment that a document is of.
pub(crate) fn name_in(document: Document<'_>, path: &FieldPath) -> String {
    name(find(document, path))
}

fn find<'a>(document: Document<'a>, path: &FieldPath) -> Option<Value<'a>> {
    path.steps.iter().try_fold(document.root(), |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Elements | Step::AnyKey => None,
    })
}

/// As people read it; what looks like something that must not be shown is hidden, as one. What a text could be taken for (a missing value, a number, the rest) is a text in
/// quotes.
fn name(value: Option<Value<'_>>) -> String {
    let Some(value) = value else { return "missing".to_owned() };
    let text = match value.data() {
        Data::Null => return "null".to_owned(),
        Data::Bool(b) => return b.to_string(),
        Data::I64(n) => return public(n.to_string()),
        Data::U64(n) => return public(n.to_string()),
        Data::F64(n) => return public(n.to_string()),
        Data::Object { .. } => return "object".to_owned(),
        Data::Array { .. } => return "array".to_owned(),
        Data::Str(text) => text,
    };
    if redact::is_sensitive(text) {
        return HIDDEN.to_owned();
    }
    let reserved = ["", "missing", "null", "true", "false", "object", "array", "other"];
    if reserved.contains(&text) || text.starts_with('"') || text.parse::<f64>().is_ok() {
        return format!("\"{}\"", shown(text, NAME_BYTES));
    }
    shown(text, NAME_BYTES)
}

fn public(text: String) -> String {
    if redact::is_sensitive(&text) { HIDDEN.to_owned() } else { text }
}

fn shown(text: &str, most: usize) -> String {
    let clean =
        |text: &str| text.chars().map(|c| if printable(c) { c } else { '\u{fffd}' }).collect::<String>();
    if text.len() <= most && text.chars().all(printable) {
        return text.to_owned();
    }
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…{:08x}", clean(&text[..end]), hash::text(text) >> 32)
}
