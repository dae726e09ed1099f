//! A file's own tests: records given, verdicts expected.

use super::{
    Fixture, FixtureRecord, FixtureWindow, Metric, Origin, Window, WindowTime, check, head,
    slo::unknown_check,
};
use crate::verdict::Status;
use crate::yaml::{Content, Entry, Map, Node, Reader, nearest, quoted, show_duration_ms, to_json};

/// Records that a fixture may give, repetitions included.
const RECORDS_MAX: u64 = 100_000;

/// Windows before that of a fixture, repetitions included.
const WINDOWS_MAX: u64 = 1_000;

pub(super) const KEYS: [&str; 4] = ["name", "before", "given", "expect"];
pub(super) const RECORD_KEYS: [&str; 7] = ["value", "raw", "key", "headers", "at", "repeat", "topic"];
pub(super) const WINDOW_KEYS: [&str; 2] = ["given", "repeat"];

pub(super) const STATUSES: [(&str, Status); 4] =
    [("pass", Status::Pass), ("fail", Status::Fail), ("unknown", Status::Unknown), ("error", Status::Error)];

/// Reads one test; what is wrong has been said.
pub(super) fn read(
    reader: &Reader<'_>,
    node: &Node,
    checks: &[check::Read],
    window_of: Window,
) -> Option<Fixture> {
    let errors = reader.errors();
    let map = reader.map(node, &KEYS)?;
    let name = map.required_str("name").unwrap_or_default();
    let given = given(&map, window_of, checks);
    let items = map.get("before").and_then(|node| reader.list(node)).unwrap_or_default();
    let before: Vec<_> = items.iter().filter_map(|item| window(reader, item, window_of, checks)).collect();
    let windows = before.iter().fold(0u64, |sum, window| sum.saturating_add(window.repeat));
    if windows > WINDOWS_MAX {
        let message = format!("{windows} windows before are given, more than {WINDOWS_MAX}");
        reader.error_help(map.key_span("before"), message, "60 of them are remembered");
    }
    let count = |records: &[FixtureRecord]| {
        records.iter().fold(0u64, |sum, record| sum.saturating_add(record.repeat))
    };
    let earlier = before.iter().map(|window| count(&window.given).saturating_mul(window.repeat));
    let records = earlier.fold(count(&given), u64::saturating_add);
    if records > RECORDS_MAX {
        let message = format!("{records} records are given, more than {RECORDS_MAX}");
        reader.error_help(map.key_span("given"), message, "give fewer: a fixture is small");
    }
    let expect = map.required("expect").and_then(|node| expectations(reader, node, checks));
    let origin = Origin { file: reader.file().to_path_buf(), line: map.span().line };
    let fixture = Fixture { name, before, given, expect: expect?, origin };
    (reader.errors() == errors).then_some(fixture)
}

fn given(map: &Map<'_, '_, '_>, window_of: Window, checks: &[check::Read]) -> Vec<FixtureRecord> {
    let reader = map.reader();
    let items = map.required("given").and_then(|node| reader.list(node)).unwrap_or_default();
    items.iter().filter_map(|item| record(reader, item, window_of, checks)).collect()
}

/// A window before, or several that are alike.
fn window(
    reader: &Reader<'_>,
    node: &Node,
    window_of: Window,
    checks: &[check::Read],
) -> Option<FixtureWindow> {
    let map = reader.map(node, &WINDOW_KEYS)?;
    Some(FixtureWindow { given: given(&map, window_of, checks), repeat: repeat(&map) })
}

fn repeat(map: &Map<'_, '_, '_>) -> u64 {
    map.opt_integer("repeat", 1..=i64::MAX).and_then(|n| u64::try_from(n).ok()).unwrap_or(1)
}

/// A topic other than the file's own: one that a check counts against.
fn other_topic(map: &Map<'_, '_, '_>, checks: &[check::Read]) -> Option<String> {
    let reader = map.reader();
    let node = map.get("topic")?;
    let name = head::topic_name(reader, node)?;
    let known: Vec<&str> = checks
        .iter()
        .filter_map(|check| match &check.rule.as_ref()?.metric {
            Metric::Ratio { of } => Some(of.as_str()),
            _ => None,
        })
        .collect();
    if !known.contains(&name.as_str()) && checks.iter().all(|check| check.rule.is_some()) {
        let help = match (nearest(&name, &known), known.is_empty()) {
            (Some(name), _) => format!("did you mean `{name}`?"),
            (None, true) => "leave it out: the record is of the file's own topic".to_owned(),
            (None, false) => format!("topics that checks count against: `{}`", known.join("`, `")),
        };
        reader.error_help(node.span, format!("no check counts against the topic {}", quoted(&name)), help);
    }
    Some(name)
}

fn record(
    reader: &Reader<'_>,
    node: &Node,
    window_of: Window,
    checks: &[check::Read],
) -> Option<FixtureRecord> {
    let map = reader.map(node, &RECORD_KEYS)?;
    let topic = other_topic(&map, checks);
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
    within(&map, at_ms, window_of);
    let (key, headers, repeat) = (map.opt_str("key"), headers(&map), repeat(&map));
    Some(FixtureRecord { topic, key, value, headers, at_ms, repeat })
}

/// Is the record one of its window?
fn within(map: &Map<'_, '_, '_>, at_ms: i64, window: Window) {
    let size = show_duration_ms(window.size_ms);
    let (what, key) = match window.gap_ms {
        Some(_) => (format!("a session of at most {size}"), "longest"),
        None => (format!("the window of {size}"), "size"),
    };
    // By event time a record may come after the window that it is of.
    let (late_ms, late) = match window.by {
        WindowTime::Record => (0, String::new()),
        WindowTime::Event => {
            let late = show_duration_ms(window.allowed_lateness_ms);
            (window.allowed_lateness_ms, format!(", nor late by at most {late}"))
        }
    };
    if at_ms >= window.size_ms.saturating_add(late_ms) {
        let span = map.get("at").map_or(map.span(), |node| node.span);
        let message = format!("the record is not in {what}{late}");
        map.reader().error_help(span, message, format!("write an earlier `at`, or a longer `window.{key}`"));
    }
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
