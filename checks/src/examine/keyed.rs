//! What is seen key by key in one pane, as it grows.

use std::collections::HashMap;

use super::cel;
use crate::profile::hash;
use crate::record::RecordView;
use crate::report::{KeyEvent, KeySeen, Keyed, KeyedKind};
use crate::rules::{FieldPath, KeyBy, Metric, Rule, Step};
use crate::tape::Value;

/// Builds a [`Keyed`]. Holds a quarter more than is kept, so that not every new key costs a selection.
#[derive(Debug)]
pub(super) struct KeyedBuilder {
    kind: KeyedKind,
    threshold: u64,
    folded: u64,
    spent: u64,
    /// Keyed by a hash that a producer can predict: the map hashes it again, by a secret.
    keys: HashMap<u64, KeySeen, ahash::RandomState>,
}

impl KeyedBuilder {
    /// Nothing seen.
    pub(super) fn new(kind: KeyedKind) -> Self {
        Self { kind, threshold: u64::MAX, folded: 0, spent: 0, keys: HashMap::default() }
    }

    /// What a metric keeps, if it goes key by key.
    pub(super) fn of(metric: &Metric) -> Option<Self> {
        let kind = match metric {
            Metric::NewValues { .. } => KeyedKind::Values,
            Metric::SequenceGaps { .. } => KeyedKind::Sequence,
            Metric::NotFollowedBy { .. } | Metric::TooMany { .. } => KeyedKind::Events,
            _ => return None,
        };
        Some(Self::new(kind))
    }

    /// One occurrence of a key, taken by `take` if the key is followed.
    pub(super) fn add(&mut self, hash: u64, take: impl FnOnce(&mut KeySeen)) {
        if hash >= self.threshold && self.threshold != u64::MAX {
            self.folded += 1;
            return;
        }
        let key = self.keys.entry(hash).or_insert_with(|| KeySeen::of(hash));
        let before = if key.count == 0 { 0 } else { self.kind.cost(key.count) };
        take(key);
        self.spent += self.kind.cost(key.count) - before;
        if self.spent > self.kind.budget() + self.kind.budget() / 4 {
            self.cut();
        }
    }

    /// Occurrences of keys that are followed, and of the others.
    pub(super) fn total(&self) -> u64 {
        self.keys.values().map(|key| key.count).sum::<u64>() + self.folded
    }

    /// What is reported.
    pub(super) fn summary(&self) -> Keyed {
        let mut keys: Vec<KeySeen> = self.keys.values().cloned().collect();
        keys.sort_unstable_by_key(|key| key.hash);
        let mut all =
            Keyed { threshold: self.threshold, folded: self.folded, keys, ..Keyed::empty(self.kind) };
        all.cut(self.kind.budget());
        all
    }

    /// Memory held, in bytes.
    pub(super) fn approximate_bytes(&self) -> usize {
        self.keys.capacity() * (size_of::<(u64, KeySeen)>() + 1)
            + self.keys.values().map(KeySeen::heap_bytes).sum::<usize>()
    }

    fn cut(&mut self) {
        let Keyed { threshold, folded, keys, .. } = self.summary();
        (self.threshold, self.folded) = (threshold, folded);
        self.spent = keys.iter().map(|key| self.kind.cost(key.count)).sum();
        self.keys = keys.into_iter().map(|key| (key.hash, key)).collect();
    }
}

/// Hash of what a record belongs to; `None` for one that has none of it.
pub(super) fn key_of(by: &KeyBy, record: &RecordView<'_>, root: Value<'_>) -> Option<u64> {
    match by {
        KeyBy::Key => record.key.map(hash::key),
        KeyBy::Partition => Some(hash::integer(i64::from(record.partition))),
        KeyBy::Field(path) => hash::scalar(at(path, root)?.data()),
    }
}

/// The value at a path of members.
pub(super) fn at<'v>(path: &FieldPath, root: Value<'v>) -> Option<Value<'v>> {
    path.steps.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Elements | Step::AnyKey => None,
    })
}

/// A rule that looks for a pattern over time, compiled.
#[derive(Debug)]
pub(super) struct PatternRule {
    /// Index among the topic's rules.
    pub(super) rule: usize,
    by: KeyBy,
    when: cel::Program,
    then: Option<cel::Program>,
}

/// What a record is to a pattern.
pub(super) enum Picked {
    /// Something else, or of no key.
    No,
    /// Of this key.
    Yes {
        /// Its hash.
        hash: u64,
        /// [`KeyEvent::which`].
        which: u32,
    },
    /// An expression could not be evaluated.
    Error(String),
}

impl PatternRule {
    /// `None` for rules of other metrics.
    pub(super) fn compile(index: usize, rule: &Rule) -> Option<Result<Self, cel::CelError>> {
        let pattern = rule.metric.pattern()?;
        let then = match &rule.metric {
            Metric::NotFollowedBy { then, .. } => Some(then),
            _ => None,
        };
        let compile = || {
            Ok(Self {
                rule: index,
                by: pattern.by.clone(),
                when: cel::compile(&pattern.when)?,
                then: then.map(|then| cel::compile(then)).transpose()?,
            })
        };
        Some(compile())
    }

    /// Does an expression look at headers?
    pub(super) fn names_headers(&self) -> bool {
        self.when.names_headers() || self.then.as_ref().is_some_and(cel::Program::names_headers)
    }

    pub(super) fn pick(&self, record: &RecordView<'_>, root: Value<'_>, text_bytes: usize) -> Picked {
        let Some(hash) = key_of(&self.by, record, root) else { return Picked::No };
        let mut which = 0;
        for (program, bit) in [(Some(&self.when), KeyEvent::WHEN), (self.then.as_ref(), KeyEvent::THEN)] {
            match program.map(|program| program.evaluate(record, root, text_bytes)) {
                Some(cel::Outcome::Holds(true)) => which |= bit,
                Some(cel::Outcome::Error(error)) => return Picked::Error(error),
                Some(cel::Outcome::Holds(false)) | None => {}
            }
        }
        if which == 0 { Picked::No } else { Picked::Yes { hash, which } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_budget_the_lowest_hashes_are_followed_whole() {
        let mut builder = KeyedBuilder::new(KeyedKind::Values);
        for round in 0..3 {
            for value in 0..20_000 {
                builder.add(hash::integer(value), |key| key.see(0, round * 20_000 + value, String::new));
            }
        }
        assert_eq!(builder.total(), 60_000);
        let summary = builder.summary();
        assert_eq!(summary.keys.len(), 4_096);
        assert!(
            summary.keys.iter().all(|key| key.count == 3),
            "a key is followed from its first to its last"
        );
        assert_eq!(summary.kept() + summary.folded, 60_000);
        assert!((summary.share() - 4_096.0 / 20_000.0).abs() < 0.02);
    }

    #[test]
    fn a_busy_key_costs_no_more_than_it_may() {
        let mut builder = KeyedBuilder::new(KeyedKind::Sequence);
        for number in 0..500_000 {
            builder.add(number as u64 % 3, |key| key.number(number * 2, 0, number));
        }
        assert_eq!(builder.summary().keys.len(), 3);
        assert!(builder.approximate_bytes() < 100_000, "{}", builder.approximate_bytes());
    }
}
