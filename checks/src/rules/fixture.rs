//! A file's own tests: records given, verdicts expected.

use super::{Fixture, FixtureRecord, Origin, check, slo::unknown_check};
use crate::verdict::Status;
use crate::yaml::{Content, Entry, Map, Node, Reader, quoted, show_duration_ms, to_json};

/// Records that a fixture may give, repetitions included.
const RECORDS_MAX: u64 = 100_000;

pub(super) const KEYS: [&str; 3] = ["name", "given", "expect"];
pub(super) const RECORD_KEYS: [&str; 6] = ["value", "raw", "key", "headers", "at", "repeat"];

pub(super) const STATUSES: [(&str, Status); 4] =
    [("pass", Status::Pass), ("fail", Status::Fail), ("unknown", Status::Unknown), ("error", Status::Error)];

/// Reads one test; what is wrong has been said.
pub(super) fn read(
    reader: &Reader<'_>,
    node: &Node,
    checks: &[check::Read],
    window_ms: i64,
) -> Option<Fixture> {
    let before = reader.errors();
    let map = reader.map(node, &KEYS)?;
    let name = map.required_str("name").unwrap_or_default();
    let items = map.required("given").and_then(|node| reader.list(node)).unwrap_or_default();
    let given: Vec<_> = items.iter().filter_map(|item| record(reader, item, window_ms)).collect();
    let records = given.iter().fold(0u64, |sum, record| sum.saturating_add(record.repeat));
    if records > RECORDS_MAX {
        let message = format!("{records} records are given, more than {RECORDS_MAX}");
        reader.error_help(map.key_span("given"), message, "give fewer: a fixture is small");
    }
    let expect = map.required("expect").and_then(|node| expectations(reader, node, checks));
    let origin = Origin { file: reader.file().to_path_buf(), line: map.span().line };
    let fixture = Fixture { name, given, expect: expect?, origin };
    (reader.errors() == before).then_some(fixture)
}

fn record(reader: &Reader<'_>, node: &Node, window_ms: i64) -> Option<FixtureRecord> {
    let map = reader.map(node, &RECORD_KEYS)?;
    let value = match (map.get("value"), map.get("raw")) {
        (Some(_), Some(_)) => {
            let help = "`value` is turned into JSON, `raw` is taken as it is";
            reader.error_help(map.key_span("raw"), "both `value` and `raw` are given", help);
            None
        }
        (None, None) if map.misspelt("value") || map.misspelt("raw") => None,
        (None, None) => {
            let help = "write `value: { … }`, `value: null` (a tombstone) or `raw: \"not JSON\"`";
            reader.error_help(map.span(), "the record has no `value`", help);
            None
        }
        (None, Some(_)) => map.opt_str("raw"),
        (Some(value), None) if value.is_null() => None,
        (Some(value), None) => match to_json(value) {
            Ok(json) => Some(json),
            Err(inner) => {
                let help = "write `raw` if that is what the producer sends";
                reader.error_help(inner.span, "JSON has no such number", help);
                None
            }
        },
    };
    let at_ms = map.opt_duration_ms("at").unwrap_or(0);
    if at_ms >= window_ms {
        let span = map.get("at").map_or(map.span(), |node| node.span);
        let message = format!("the record is not in the window of {}", show_duration_ms(window_ms));
        reader.error_help(span, message, "write an earlier `at`, or a longer `window.size`");
    }
    let repeat = map.opt_integer("repeat", 1..=i64::MAX).and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
    Some(FixtureRecord { key: map.opt_str("key"), value, headers: headers(&map), at_ms, repeat })
}

/// Names to texts, or to lists of texts where a name repeats.
fn headers(map: &Map<'_, '_, '_>) -> Vec<(String, String)> {
    let reader = map.reader();
    let Some(headers) = map.get("headers").and_then(|node| reader.any_map(node)) else { return Vec::new() };
    let mut out = Vec::new();
    for Entry { key, value } in headers.entries() {
        let values = match &value.content {
            Content::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let texts = values.iter().filter_map(|value| reader.str(value));
        out.extend(texts.map(|text| (key.text.clone(), text.into_owned())));
    }
    out
}

fn expectations(reader: &Reader<'_>, node: &Node, checks: &[check::Read]) -> Option<Vec<(String, Status)>> {
    let map = reader.any_map(node)?;
    if map.entries().is_empty() {
        reader.error_help(
            node.span,
            "the test expects nothing",
            "write `check-id: pass` or `check-id: fail`",
        );
        return None;
    }
    let mut out = Vec::new();
    for Entry { key, value } in map.entries() {
        if !checks.iter().any(|check| check.id == key.text) {
            let at = Node { span: key.span, content: value.content.clone() };
            unknown_check(reader, &at, &key.text, checks);
        }
        if let Some(status) = reader.choice(value, &STATUSES) {
            out.push((key.text.clone(), status));
        }
    }
    Some(out)
}

/// Two tests of one name cannot be told apart in a report.
pub(super) fn duplicate_names(reader: &Reader<'_>, nodes: &[Node]) {
    let names: Vec<_> = nodes
        .iter()
        .filter_map(|node| node.get("name"))
        .filter_map(|node| Some((node.span, node.as_scalar()?.text.as_str())))
        .collect();
    for (index, (span, name)) in names.iter().enumerate() {
        if names[..index].iter().any(|(_, earlier)| earlier == name) {
            let message = format!("another test is named {} too", quoted(name));
            reader.warning(*span, message, "give it a name of its own");
        }
    }
}
