//! What is learnt of a stream while it is read once, in bounded memory.

use std::sync::Arc;

use crate::redact::Redaction;
use crate::report::PaneSummary;
use crate::rules::{FieldPath, Metric, Rule, Step, TopicRules};
use crate::tape::{Document, excerpt};

/// Records of the first part; each later part has as many as all before it.
const FIRST: u64 = 250;
/// Documents kept for fixtures, and their size.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 4_096;
/// Fields that are watched for copies.
const WATCHED_MAX: usize = 4;
/// Words that say that a field names its record: what is unique by chance (a time, a price) is not.
const NAMES: [&str; 8] = ["id", "uuid", "guid", "key", "number", "no", "ref", "reference"];

/// What was learnt so far.
#[derive(Debug, Default)]
pub struct Survey {
    /// Parts in order, each as long as all before it.
    pub(crate) parts: Vec<PaneSummary>,
    /// Records before this part.
    before: u64,
    /// Records of this part.
    here: u64,
    /// What must not be shown of them.
    pub(super) redact: Redaction,
    /// Documents as JSON, as they are.
    pub(super) samples: Vec<String>,
}

impl Survey {
    /// Nothing learnt yet, of a topic that hides this.
    pub(crate) fn hiding(redact: Redaction) -> Self {
        Self { redact, ..Self::default() }
    }

    pub(crate) fn see(&mut self, document: Document<'_>) {
        if self.samples.len() < SAMPLES {
            let text = excerpt(document.root(), SAMPLE_BYTES);
            // A cut one is no JSON.
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                self.samples.push(text);
            }
        }
    }

    pub(crate) fn is_full(&mut self) -> bool {
        self.here += 1;
        self.here >= self.before.max(FIRST)
    }

    /// Ends a part; after the first one, the rules that the others go by.
    pub(crate) fn turn(&mut self, summary: PaneSummary, rules: &Arc<TopicRules>) -> Option<TopicRules> {
        let is_first = self.parts.is_empty();
        let watched = is_first.then(|| {
            let rules_of = candidates(&summary).into_iter().map(|field| Arc::new(rule(field)));
            TopicRules { rules: rules_of.collect(), ..TopicRules::clone(rules) }
        });
        self.before += self.here;
        self.here = 0;
        self.parts.push(summary);
        watched
    }

    /// The earlier part of the data and the later one, a quarter of it at least.
    pub(super) fn halves(&self) -> (PaneSummary, PaneSummary) {
        let all: u64 = self.parts.iter().map(|part| part.read).sum();
        let (mut early, mut late) = (PaneSummary::default(), PaneSummary::default());
        let mut behind = 0;
        for part in self.parts.iter().rev() {
            let into = if behind * 4 < all { &mut late } else { &mut early };
            into.merge(part);
            behind += part.read;
        }
        (early, late)
    }

    /// Values of this field that were held against each other, if there were no copies among them.
    pub(super) fn unique(&self, path: &str) -> Option<u64> {
        let mut merged = PaneSummary::default();
        self.parts.iter().skip(1).for_each(|part| merged.merge(part));
        let uniqueness = merged.rule(path)?.uniqueness.as_ref()?;
        let (checked, copies) = uniqueness.tally();
        (copies == 0).then_some(checked)
    }
}

/// Fields of the document itself that are named like a key and have no copies in the first part.
fn candidates(summary: &PaneSummary) -> Vec<FieldPath> {
    let documents = summary.field("$").map_or(0, |root| root.object);
    let fields = summary.fields.iter().filter(|field| {
        let distinct = field.distinct_estimate();
        field.present == documents
            && field.null == 0
            && (field.string == field.present || field.integer == field.present)
            && distinct.estimate == distinct.upper
            && distinct.lower >= field.present as f64
    });
    let paths = fields.filter_map(|field| FieldPath::parse(&field.path).ok());
    paths.filter(|path| path.steps.len() == 1 && is_name(path)).take(WATCHED_MAX).collect()
}

fn is_name(path: &FieldPath) -> bool {
    let Some(Step::Key(key)) = path.steps.last() else { return false };
    let lower = key.to_lowercase();
    NAMES.iter().any(|name| {
        let Some(before) = lower.strip_suffix(name) else { return false };
        let camel = key.get(before.len()..).is_some_and(|tail| tail.starts_with(char::is_uppercase));
        before.is_empty() || before.ends_with(['_', '-', '.']) || camel
    })
}

/// Counts copies; its id is the path, which no file could write.
fn rule(field: FieldPath) -> Rule {
    Rule::new(field.text.clone(), Metric::DuplicateValues { field, with: Vec::new() }, None)
}
