//! What must not be shown: fields that `redact` of a check file names, and whatever looks like an
//! email address, a card number or a token, wherever it stands.
//!
//! Everything of a payload that leaves an agent in words passes through here: examples, messages
//! about schemas and decoding, evidence of expressions, frequent values and extremes of the profile,
//! and the names of members that the profile keeps apart.

mod patterns;
#[cfg(test)]
mod tests;

pub(crate) use self::patterns::{is_card, is_sensitive, text};
use crate::report::FieldSummary;
use crate::rules::{FieldPath, Step};

/// What stands for a field that is not shown.
pub(crate) const HIDDEN: &str = "[redacted]";

/// Paths of fields that are not shown, of one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redaction {
    paths: Vec<FieldPath>,
}

impl Redaction {
    /// These and what is within them.
    pub fn new(paths: Vec<FieldPath>) -> Self {
        Self { paths }
    }

    /// The paths.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// Adds those of another file.
    pub fn extend(&mut self, other: &Self) {
        for path in &other.paths {
            if !self.paths.contains(path) {
                self.paths.push(path.clone());
            }
        }
    }

    /// At the document.
    pub(crate) fn root(&self) -> Place<'_> {
        Place { rests: self.paths.iter().map(|path| path.steps.as_slice()).collect() }.settled()
    }

    /// At the values of a path.
    pub(crate) fn at(&self, steps: &[Step]) -> Place<'_> {
        steps.iter().fold(self.root(), |place, step| place.step(step))
    }

    /// Does the path lead to, or into, what is not shown?
    pub fn hides(&self, path: &FieldPath) -> bool {
        self.at(&path.steps).is_hidden()
    }

    /// Takes out of a profile what is not shown. What is frequent and hidden counts as not listed.
    pub(crate) fn profile(&self, fields: &mut [FieldSummary]) {
        for field in fields {
            let steps = (!self.paths.is_empty()).then(|| FieldPath::parse(&field.path).ok()).flatten();
            if steps.is_some_and(|path| self.hides(&path)) {
                (field.numeric, field.top, field.times) = (None, None, None);
                continue;
            }
            if field.numeric.as_ref().is_some_and(|n| [n.min, n.max].into_iter().any(is_card)) {
                (field.numeric, field.times) = (None, None);
            }
            if let Some(top) = &mut field.top {
                let mut floor = top.floor;
                top.values.retain(|value| {
                    let kept = !is_sensitive(&value.value);
                    if !kept {
                        floor = floor.max(value.count.saturating_add(value.error));
                    }
                    kept
                });
                top.floor = floor;
            }
        }
    }
}

/// A place in a document: what is left of the paths that lead through it.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    rests: Vec<&'a [Step]>,
}

impl<'a> Place<'a> {
    /// At a member.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.descend(|step| match step {
            Step::Key(name) => name == key,
            Step::AnyKey => true,
            Step::Elements => false,
        })
    }

    /// At the elements of a list.
    pub(crate) fn element(&self) -> Self {
        self.descend(|step| matches!(step, Step::Elements))
    }

    fn step(&self, step: &Step) -> Self {
        match step {
            Step::Key(key) => self.key(key),
            Step::Elements => self.element(),
            // Any of the members may be the one that is hidden.
            Step::AnyKey => self.descend(|step| !matches!(step, Step::Elements)),
        }
    }

    fn descend(&self, leads: impl Fn(&Step) -> bool) -> Self {
        if self.is_hidden() || self.rests.is_empty() {
            return self.clone();
        }
        let rests = self.rests.iter().filter_map(|rest| rest.split_first().filter(|(step, _)| leads(step)));
        Self { rests: rests.map(|(_, rest)| rest).collect() }.settled()
    }

    /// Hidden by one path is hidden.
    fn settled(mut self) -> Self {
        if self.is_hidden() {
            self.rests = vec![&[]];
        }
        self
    }

    /// Is what is here not shown?
    pub(crate) fn is_hidden(&self) -> bool {
        self.rests.iter().any(|rest| rest.is_empty())
    }
}
