//! Profiles of fields, and the denominators of those that only one side has seen.

use super::{FIELDS_MAX, merge_option, merge_reasons, union};
use crate::report::{DistinctSummary, FieldSummary, NumericSummary, TextSummary, TimeSummary, TopSummary};

impl FieldSummary {
    /// Adds what was seen of the same path elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let add = |mine: &mut u64, theirs: u64| *mine = mine.saturating_add(theirs);
        add(&mut self.records, other.records);
        add(&mut self.present, other.present);
        add(&mut self.null, other.null);
        add(&mut self.empty, other.empty);
        add(&mut self.integer, other.integer);
        add(&mut self.number, other.number);
        add(&mut self.string, other.string);
        add(&mut self.boolean, other.boolean);
        add(&mut self.object, other.object);
        add(&mut self.array, other.array);
        add(&mut self.truthy, other.truthy);
        merge_option(&mut self.numeric, other.numeric.as_ref(), NumericSummary::merge);
        merge_option(&mut self.text, other.text.as_ref(), TextSummary::merge);
        merge_option(&mut self.distinct, other.distinct.as_ref(), DistinctSummary::merge);
        merge_option(&mut self.top, other.top.as_ref(), TopSummary::merge);
        merge_option(&mut self.times, other.times.as_ref(), TimeSummary::merge);
        merge_reasons(&mut self.formats, &other.formats);
        add(&mut self.texts_seen, other.texts_seen);
    }
}

impl TimeSummary {
    /// Adds the times of another one.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        merge_reasons(&mut self.forms, &other.forms);
        merge_option(&mut self.age, other.age.as_ref(), NumericSummary::merge);
    }
}

/// Merges profiles sorted by path. A member that only one side has seen was missing from every
/// object that the other side saw at its place: those objects join its denominator (the other
/// side's `object` of the parent path), or a field that vanishes would look complete. Returns the
/// values of fields beyond [`FIELDS_MAX`], which are folded away.
pub(super) fn merge_fields(mine: &mut Vec<FieldSummary>, other: &[FieldSummary]) -> u64 {
    // The empty profile is neutral, and this is the common first step of a window.
    if mine.is_empty() {
        mine.extend_from_slice(other);
        return fold_fields(mine);
    }
    if other.is_empty() {
        return 0;
    }
    let only_theirs: Vec<FieldSummary> = other
        .iter()
        .filter(|theirs| find(mine, &theirs.path).is_none())
        .map(|theirs| with_denominator_of(theirs.clone(), mine))
        .collect();
    let mut both = other.iter().peekable();
    for field in mine.iter_mut() {
        while both.next_if(|theirs| theirs.path < field.path).is_some() {}
        match both.next_if(|theirs| theirs.path == field.path) {
            Some(theirs) => field.merge(theirs),
            None => field.records = field.records.saturating_add(objects_at_parent(&field.path, other)),
        }
    }
    union(mine, &only_theirs, |a, b| a.path.cmp(&b.path), FieldSummary::merge);
    fold_fields(mine)
}

fn with_denominator_of(mut field: FieldSummary, side: &[FieldSummary]) -> FieldSummary {
    field.records = field.records.saturating_add(objects_at_parent(&field.path, side));
    field
}

fn find<'a>(fields: &'a [FieldSummary], path: &str) -> Option<&'a FieldSummary> {
    fields.binary_search_by(|f| f.path.as_str().cmp(path)).ok().map(|i| &fields[i])
}

pub(crate) fn objects_at_parent(path: &str, side: &[FieldSummary]) -> u64 {
    object_of_member(path).and_then(|parent| find(side, parent)).map_or(0, |parent| parent.object)
}

/// Path of the object that a member belongs to; `None` for the document, for elements and for the
/// members of maps, whose denominator is themselves.
pub(crate) fn object_of_member(path: &str) -> Option<&str> {
    let last = last_step(path)?;
    (!matches!(&path[last..], "[]" | ".*")).then(|| &path[..last])
}

/// Where the last step of a canonical path begins: `.name`, `[]` or `['quoted']` (with `\` before
/// quotes and itself).
fn last_step(path: &str) -> Option<usize> {
    let bytes = path.as_bytes();
    let mut last = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'.' => last = Some(at),
            b'[' => {
                last = Some(at);
                if bytes.get(at + 1) == Some(&b'\'') {
                    at += 2;
                    while at < bytes.len() && bytes[at] != b'\'' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    last
}

/// Keeps the alphabetically first. A parent sorts before its members, so it stays if they do.
/// Returns the values of the others.
pub(crate) fn fold_fields(fields: &mut Vec<FieldSummary>) -> u64 {
    let beyond = fields.drain(FIELDS_MAX.min(fields.len())..);
    beyond.fold(0, |folded, field| folded.saturating_add(field.present))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_path() {
        assert_eq!(object_of_member("$"), None);
        assert_eq!(object_of_member("$.a"), Some("$"));
        assert_eq!(object_of_member("$.a.b"), Some("$.a"));
        assert_eq!(object_of_member("$.a[]"), None);
        assert_eq!(object_of_member("$.a[].b"), Some("$.a[]"));
        assert_eq!(object_of_member("$.a.*"), None);
        assert_eq!(object_of_member("$.a.*.b"), Some("$.a.*"));
        assert_eq!(object_of_member(r"$.a['it\'s [a.b]']"), Some("$.a"));
        assert_eq!(object_of_member(r"$['x'].y"), Some("$['x']"));
        assert_eq!(object_of_member(r"$['*']"), Some("$"));
        assert_eq!(object_of_member("$['cut"), Some("$"));
    }

    #[test]
    fn a_field_that_one_side_never_saw_was_missing_there() {
        let field = |path: &str, records, present, object| FieldSummary {
            path: path.to_owned(),
            records,
            present,
            object,
            ..Default::default()
        };
        let mut mine = vec![field("$", 10, 10, 10), field("$.email", 10, 9, 0)];
        let theirs = vec![field("$", 30, 30, 29), field("$.a", 29, 4, 3), field("$.a.b", 3, 3, 0)];
        let mut reversed = theirs.clone();
        merge_fields(&mut reversed, &mine);
        merge_fields(&mut mine, &theirs);
        assert_eq!(
            mine,
            vec![
                field("$", 40, 40, 39),
                field("$.a", 39, 4, 3),
                field("$.a.b", 3, 3, 0),
                field("$.email", 39, 9, 0)
            ]
        );
        assert_eq!(mine, reversed);
    }
}
