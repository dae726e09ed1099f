//! Whole panes.

use super::field::merge_fields;
use super::schemas::merge_schemas;
use super::segment::merge_segments;
use super::{RULES_MAX, merge_examples, merge_option, merge_reasons, union};
use crate::report::{
    ExactSum, Histogram, Keyed, NumberTally, NumericSummary, PaneSummary, RuleTally, Uniqueness,
};

impl PaneSummary {
    /// Adds what was seen elsewhere, or in another pane of the same window. The same records must
    /// not be in both: the collector sees to that by offset ranges.
    pub fn merge(&mut self, other: &Self) {
        let add = |mine: &mut u64, theirs: u64| *mine = mine.saturating_add(theirs);
        self.merge_profile(other);
        add(&mut self.read_bytes, other.read_bytes);
        merge_reasons(&mut self.unexamined, &other.unexamined);
        merge_examples(&mut self.decode_examples, &other.decode_examples);
        add(&mut self.schema_checked, other.schema_checked);
        add(&mut self.schema_violations, other.schema_violations);
        merge_examples(&mut self.schema_examples, &other.schema_examples);
        self.first_record_ms = earlier(self.first_record_ms, other.first_record_ms);
        self.last_record_ms = self.last_record_ms.max(other.last_record_ms);
        add(&mut self.bad_timestamps, other.bad_timestamps);
        union(&mut self.rules, &other.rules, |a, b| a.rule.cmp(&b.rule), RuleTally::merge);
        self.rules.truncate(RULES_MAX);
        merge_option(&mut self.delay, other.delay.as_ref(), Histogram::merge);
        add(&mut self.catching_up, other.catching_up);
        add(&mut self.skewed, other.skewed);
        merge_reasons(&mut self.header_notes, &other.header_notes);
        add(&mut self.duplicate_keys, other.duplicate_keys);
        merge_reasons(&mut self.time_fallbacks, &other.time_fallbacks);
        merge_schemas(&mut self.schemas, &other.schemas);
    }

    /// Adds what was seen elsewhere of records and fields alone: no tallies, examples or histograms.
    pub(crate) fn merge_profile(&mut self, other: &Self) {
        let add = |mine: &mut u64, theirs: u64| *mine = mine.saturating_add(theirs);
        add(&mut self.read, other.read);
        add(&mut self.examined, other.examined);
        add(&mut self.tombstones, other.tombstones);
        merge_reasons(&mut self.not_decoded, &other.not_decoded);
        merge_reasons(&mut self.decode_failures, &other.decode_failures);
        let folded = merge_fields(&mut self.fields, &other.fields);
        add(&mut self.folded_values, other.folded_values);
        add(&mut self.folded_values, folded);
    }

    /// The tally of a rule, if any record was held against it.
    pub fn rule(&self, id: &str) -> Option<&RuleTally> {
        self.rules.binary_search_by(|tally| tally.rule.as_str().cmp(id)).ok().map(|i| &self.rules[i])
    }

    /// The profile of a path, if it is known.
    pub fn field(&self, path: &str) -> Option<&crate::report::FieldSummary> {
        self.fields.binary_search_by(|f| f.path.as_str().cmp(path)).ok().map(|i| &self.fields[i])
    }
}

/// Times are positive; 0 stands for none.
pub(super) fn earlier(a: i64, b: i64) -> i64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

impl RuleTally {
    /// Adds the tally of other records. `failed` of `duplicateValues` stays what was found within
    /// panes; copies across them are in `uniqueness`.
    pub fn merge(&mut self, other: &Self) {
        self.checked = self.checked.saturating_add(other.checked);
        self.failed = self.failed.saturating_add(other.failed);
        self.errors = self.errors.saturating_add(other.errors);
        merge_examples(&mut self.examples, &other.examples);
        merge_option(&mut self.uniqueness, other.uniqueness.as_ref(), Uniqueness::merge);
        self.definition = self.definition.max(other.definition);
        merge_option(&mut self.keyed, other.keyed.as_ref(), Keyed::merge);
        merge_option(&mut self.numbers, other.numbers.as_ref(), NumberTally::merge);
        merge_segments(&mut self.segments, &other.segments);
    }
}

impl NumberTally {
    /// Adds the numbers of other records.
    pub fn merge(&mut self, other: &Self) {
        merge_option(&mut self.numeric, other.numeric.as_ref(), NumericSummary::merge);
        merge_option(&mut self.sum, other.sum.as_ref(), ExactSum::merge);
        self.skewed = self.skewed.saturating_add(other.skewed);
    }
}
