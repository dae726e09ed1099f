//! What this window has that the windows before had not, or the other way round: values, fields,
//! types.

use super::baseline::earlier;
use super::words::too_few;
use super::{Context, Found, HistoryWindow, Window, allowed, by_threshold};
use crate::merge::{EXAMPLES_MAX, add_example, objects_at_parent};
use crate::report::{FieldSummary, Keyed, PaneSummary, RuleTally};
use crate::rules::{FieldPath, Metric, Rule};
use crate::verdict::Status;

use super::ratio::Counts;

/// Windows with values before it can be said which are new.
const VALUES_MIN: usize = 12;
/// Windows with documents before it can be said which fields are new or gone.
const FIELDS_MIN: usize = 3;
/// A field is gone when its absence had a chance below this.
const BY_CHANCE: f64 = 0.001;
/// Paths named in a message.
const NAMED: usize = 5;

/// Values that no window before had, among those that can be told.
pub(super) fn new_values<'a>(
    rule: &Rule,
    window: &Window<'a>,
    ctx: &Context<'_>,
) -> Result<Counts<'a>, String> {
    let tally = window.summary.rule(&rule.id);
    // A rule of the same name that looked at something else teaches nothing.
    let same = |past: &&RuleTally| tally.is_none_or(|own| own.definition == past.definition);
    let past: Vec<&Keyed> = earlier(window, ctx)
        .into_iter()
        .filter_map(|w| w.summary.rule(&rule.id).filter(same)?.keyed.as_ref())
        .filter(|keyed| !keyed.keys.is_empty())
        .collect();
    if past.len() < VALUES_MIN {
        return Err(format!("learning, {} of {VALUES_MIN} windows", past.len()));
    }
    let Some(own) = tally.and_then(|tally| tally.keyed.as_ref()) else { return Ok(Counts::none()) };
    let threshold = past.iter().map(|keyed| keyed.threshold).fold(own.threshold, u64::min);
    let (mut failed, mut checked, mut different) = (0u64, 0u64, 0);
    let mut examples = Vec::new();
    for key in own.keys.iter().take_while(|key| key.hash < threshold || threshold == u64::MAX) {
        checked = checked.saturating_add(key.count);
        if past.iter().any(|keyed| keyed.key(key.hash).is_some()) {
            continue;
        }
        failed = failed.saturating_add(key.count);
        different += 1;
        if let Some(example) = &key.example {
            let text = || example.value.clone();
            add_example(&mut examples, EXAMPLES_MAX, example.partition, example.offset, text);
        }
    }
    let weight = if threshold == u64::MAX { 1.0 } else { u64::MAX as f64 / threshold.max(1) as f64 };
    Ok(Counts { failed, checked, weight, different, examples: examples.into(), ..Counts::none() })
}

/// Fields that came, went, or changed their type.
pub(super) fn fields(rule: &Rule, window: &Window<'_>, ctx: &Context<'_>) -> Found {
    let summary = window.summary;
    let documents = documents(summary);
    if documents == 0 {
        return Found::unknown(format!("no document among {} records examined", summary.examined));
    }
    let past: Vec<&HistoryWindow> =
        earlier(window, ctx).into_iter().filter(|w| documents_of(w) > 0).collect();
    if past.len() < FIELDS_MIN {
        return Found::unknown(format!("learning, {} of {FIELDS_MIN} windows", past.len()));
    }
    let folded = match rule.metric {
        Metric::FieldsAdded => past.iter().any(|w| w.summary.folded_values > 0),
        Metric::FieldsRemoved => summary.folded_values > 0,
        _ => false,
    };
    if folded {
        return Found::unknown("there are more fields than are profiled (limits.fields): some are not known");
    }
    let before = union(&past);
    let now: Vec<&FieldSummary> = summary.fields.iter().filter(|f| f.present > 0).collect();
    let (changed, compared, what) = match rule.metric {
        Metric::FieldsAdded => (added(&now, &before), now.len(), "are new"),
        Metric::FieldsRemoved => (removed(summary, &now, &before), before.len(), "are gone"),
        _ => (retyped(&now, &before), now.len(), "have values of another type"),
    };
    let value = changed.len() as f64;
    let named: Vec<&str> = changed.iter().take(NAMED).map(String::as_str).collect();
    let more = changed.len().saturating_sub(named.len());
    let mut message = match changed.len() {
        0 => format!("none of {compared} fields {what}, against {} windows before", past.len()),
        n => format!(
            "{n} of {compared} fields {what}, against {} windows before: {}",
            past.len(),
            named.join(", ")
        ),
    };
    if more > 0 {
        message.push_str(&format!(" and {more} more"));
    }
    message.push_str(&allowed(rule, rule.unit));
    let mut found = Found::new(by_threshold(rule, value), message).with_value(value);
    (found.failed, found.checked) = (Some(changed.len() as u64), Some(compared as u64));
    if documents < rule.min_records {
        found.status = Status::Unknown;
        found.message = too_few(documents, rule.min_records, "documents", &found.message);
    }
    found
}

fn documents(summary: &PaneSummary) -> u64 {
    summary.field("$").map_or(0, |root| root.present)
}

fn documents_of(window: &HistoryWindow) -> u64 {
    documents(&window.summary)
}

/// Counts of every path over these windows, sorted by path.
fn union(past: &[&HistoryWindow]) -> Vec<FieldSummary> {
    let mut all = PaneSummary::default();
    for window in past {
        let plain = |f: &FieldSummary| FieldSummary {
            numeric: None,
            text: None,
            distinct: None,
            top: None,
            ..f.clone()
        };
        let fields = window.summary.fields.iter().map(plain).collect();
        all.merge(&PaneSummary { fields, ..PaneSummary::default() });
    }
    all.fields.retain(|field| field.present > 0);
    all.fields
}

fn find<'a>(fields: &'a [FieldSummary], path: &str) -> Option<&'a FieldSummary> {
    fields.binary_search_by(|f| f.path.as_str().cmp(path)).ok().map(|at| &fields[at])
}

/// The highest of each new part: a new object is one field, however many are in it.
fn added(now: &[&FieldSummary], before: &[FieldSummary]) -> Vec<String> {
    let mut new: Vec<String> = Vec::new();
    for field in now {
        let path = &field.path;
        let inside = |outer: &String| is_below(path, outer);
        if !is_known(path, before) && !new.iter().any(inside) {
            new.push(path.clone());
        }
    }
    new
}

/// Is `path` something within `outer`?
fn is_below(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Known as it is, or as a member of a map: maps whose keys grow are folded to `*` on the way, and the
/// same member then goes by another path.
fn is_known(path: &str, fields: &[FieldSummary]) -> bool {
    if find(fields, path).is_some() {
        return true;
    }
    let folded = fields.iter().filter_map(|f| f.path.find(".*").map(|at| &f.path[..at]));
    let mut maps = folded.chain(path.find(".*").map(|at| &path[..at]));
    maps.any(|map| is_below(path, map) && fields.iter().any(|f| is_below(&f.path, map)))
}

/// Fields that this window's documents should have had: so many had them before that none here is no
/// chance. What is within a field that is gone is gone with it, and not counted again.
fn removed(summary: &PaneSummary, now: &[&FieldSummary], before: &[FieldSummary]) -> Vec<String> {
    let known: Vec<FieldSummary> = now.iter().copied().cloned().collect();
    let gone = |field: &&FieldSummary| {
        let parents = objects_at_parent(&field.path, &summary.fields);
        if parents == 0 || is_known(&field.path, &known) {
            return false;
        }
        // Never quite certain that every document has it (rule of succession).
        let share = field.present as f64 / (field.records as f64 + 1.0);
        (1.0 - share).powf(parents as f64) < BY_CHANCE
    };
    before.iter().filter(gone).map(|field| field.path.clone()).collect()
}

/// Types a field had, as bits; integers are numbers, and null is the absence of a value.
fn types(field: &FieldSummary) -> u8 {
    let counts = [field.integer.max(field.number), field.string, field.boolean, field.object, field.array];
    (0u8..).zip(counts).filter(|(_, count)| *count > 0).fold(0, |bits, (bit, _)| bits | 1 << bit)
}

fn retyped(now: &[&FieldSummary], before: &[FieldSummary]) -> Vec<String> {
    let changed = |field: &&&FieldSummary| {
        let known = find(before, &field.path).map_or(0, types);
        known != 0 && types(field) & !known != 0
    };
    now.iter().filter(changed).map(|field| field.path.clone()).collect()
}

/// `3 of 120 values of $.country (2.5%) are new: …`.
pub(super) fn evidence(field: &FieldPath, of: &str, share: &str, different: usize) -> String {
    match different {
        0 => format!("{of} values of {field} ({share}) are new"),
        1 => format!("{of} values of {field} ({share}) are new: 1 that no window before had"),
        n => {
            format!("{of} values of {field} ({share}) are new: {n} different ones that no window before had")
        }
    }
}
