//! The paths that data has, and the one that was probably meant.

use std::collections::HashMap;

use crate::merge::FIELDS_MAX;
use crate::report::{FieldSummary, PaneSummary};
use crate::rules::{FieldPath, Step};
use crate::tape::{PathStep, push_step};
use crate::yaml::{fold, nearest, quoted};

/// Members that a finding lists.
const MEMBERS_SHOWN: usize = 8;

/// The fields of the data.
pub(super) struct Seen<'a> {
    by_path: HashMap<&'a str, &'a FieldSummary>,
    /// Those that occur.
    occurring: Vec<FieldPath>,
    documents: u64,
}

impl<'a> Seen<'a> {
    pub(super) fn of(summary: &'a PaneSummary) -> Self {
        let by_path: HashMap<_, _> =
            summary.fields.iter().map(|field| (field.path.as_str(), field)).collect();
        let occurring = summary.fields.iter().filter(|field| field.present > 0);
        Self {
            documents: by_path.get("$").map_or(0, |field| field.present),
            occurring: occurring.filter_map(|field| FieldPath::parse(&field.path).ok()).collect(),
            by_path,
        }
    }

    /// Documents that were looked at.
    pub(super) fn documents(&self) -> u64 {
        self.documents
    }

    /// Is it known whether the path occurs? With more fields than a profile keeps, not of all.
    pub(super) fn is_known(&self, path: &FieldPath) -> bool {
        self.by_path.len() < FIELDS_MAX || self.by_path.contains_key(path.text.as_str())
    }

    pub(super) fn get(&self, path: &FieldPath) -> Option<&'a FieldSummary> {
        self.by_path.get(path.text.as_str()).copied()
    }

    pub(super) fn occurs(&self, path: &FieldPath) -> bool {
        path.steps.is_empty() || self.get(path).is_some_and(|field| field.present > 0)
    }

    /// What to write instead of a path that does not occur, or what there is where it should be;
    /// `is_member`: as expressions write it, `value.a.b`.
    pub(super) fn meant(&self, path: &FieldPath, is_member: bool) -> String {
        let show = |path: &FieldPath| {
            let plain = path.steps.iter().all(|step| matches!(step, Step::Key(_)));
            if is_member && plain { member_text(path) } else { path.text.clone() }
        };
        if let Some(meant) = self.nearest(path) {
            return format!("did you mean {}?", quoted(&show(meant)));
        }
        let depth = (0..path.steps.len()).rev().find(|n| self.occurs(&head(path, *n))).unwrap_or(0);
        let parent = head(path, depth);
        let parent_shown = quoted(&show(&parent));
        let members = self.members(&parent);
        let Some(field) = self.get(&parent).filter(|_| members.is_empty()) else {
            let mut shown: Vec<String> =
                members.iter().take(MEMBERS_SHOWN).map(|name| quoted(name)).collect();
            if members.len() > MEMBERS_SHOWN {
                shown.push(format!("{} more", members.len() - MEMBERS_SHOWN));
            }
            return format!("{parent_shown} has {}", shown.join(", "));
        };
        match kinds(field) {
            Some(kinds) => format!("{parent_shown} is always {kinds}"),
            None => format!("{parent_shown} is always null"),
        }
    }

    fn nearest(&self, path: &FieldPath) -> Option<&FieldPath> {
        // The same but for `[]`, or for how names are written.
        let spelling =
            |path: &FieldPath| -> Vec<String> { path.steps.iter().filter_map(key).map(fold).collect() };
        let written = spelling(path);
        if let Some(same) = self.occurring.iter().find(|known| spelling(known) == written) {
            return Some(same);
        }
        self.mended(path).or_else(|| self.elsewhere(path))
    }

    /// The path with each step that is not there replaced by the nearest one that is.
    fn mended(&self, path: &FieldPath) -> Option<&FieldPath> {
        let mut steps: Vec<Step> = Vec::new();
        for step in &path.steps {
            steps.push(step.clone());
            if self.occurs(&FieldPath::of(steps.clone())) {
                continue;
            }
            steps.pop();
            let Step::Key(key) = step else { return None };
            let parent = FieldPath::of(steps.clone());
            let members = self.members(&parent);
            steps.push(Step::Key(nearest(key, &members)?.to_owned()));
        }
        let mended = FieldPath::of(steps);
        self.occurring.iter().find(|known| **known == mended)
    }

    /// The shortest path that ends in the same name.
    fn elsewhere(&self, path: &FieldPath) -> Option<&FieldPath> {
        let Some(last @ Step::Key(_)) = path.steps.last() else { return None };
        let ends = self.occurring.iter().filter(|known| known.steps.last() == Some(last));
        ends.min_by_key(|known| (known.steps.len(), known.text.as_str()))
    }

    /// Names of the members of an object.
    fn members(&self, object: &FieldPath) -> Vec<&str> {
        let within = |known: &&FieldPath| {
            known.steps.len() == object.steps.len() + 1 && known.steps.starts_with(&object.steps)
        };
        let members = self.occurring.iter().filter(within);
        members.filter_map(|known| known.steps.last().and_then(key)).collect()
    }
}

fn key(step: &Step) -> Option<&str> {
    if let Step::Key(key) = step { Some(key) } else { None }
}

/// The first steps of a path.
fn head(path: &FieldPath, steps: usize) -> FieldPath {
    FieldPath::of(path.steps[..steps].to_vec())
}

/// As expressions write it: `value.a.b`.
pub(super) fn member_text(path: &FieldPath) -> String {
    let mut text = "value".to_owned();
    for step in &path.steps {
        push_step(&mut text, PathStep::from(step));
    }
    text
}

/// What the values of a field are: `texts`, `numbers and booleans`; `None` if they are all null.
pub(super) fn kinds(field: &FieldSummary) -> Option<String> {
    let number = if field.integer > 0 { "a number" } else { "a number that is no integer" };
    let kinds = [
        (field.string, "a text"),
        (field.integer + field.number, number),
        (field.boolean, "a boolean"),
        (field.object, "an object"),
        (field.array, "a list"),
    ];
    let kinds: Vec<&str> = kinds.iter().filter(|(count, _)| *count > 0).map(|(_, kind)| *kind).collect();
    (!kinds.is_empty()).then(|| kinds.join(" or "))
}
