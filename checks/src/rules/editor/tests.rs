//! The schema against everything that the parser reads: it accepts what is sound, and refuses every
//! mistake that a schema can see.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use super::*;
use crate::limits::Limits;
use crate::yaml;

/// Mistakes of the golden files that no schema of JSON can see, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("along-ratio-itself", "compares parts of the file"),
    ("along-sampled", "compares parts of the file"),
    ("arguments-contradiction", "compares two values"),
    ("arguments-format-values", "compares values"),
    ("arguments-number", "a number that JSON does not have"),
    ("arguments-pattern", "is it a regular expression?"),
    ("arguments-reversed", "compares two values"),
    ("arguments-values-twice", "compares two values"),
    ("bound-never-fails", "what a bound means"),
    ("bound-never-passes", "what a bound means"),
    ("bound-reversed", "compares two values"),
    ("check-id-twice", "compares checks"),
    ("decode-schema", "reads another file"),
    ("duplicates", "compares parts of the file"),
    ("expr", "is it CEL?"),
    ("head-no-checks", "a warning"),
    ("head-pattern", "is it a regular expression, and what does it match?"),
    ("head-segment-by", "one value a record: what a path means"),
    ("opaque-values", "compares parts of the file"),
    ("redact-drift", "compares parts of the file"),
    ("redact-segment", "compares parts of the file"),
    ("sample-nothing", "what a share means"),
    ("schema-absent", "compares parts of the file"),
    ("slo-id-twice", "compares service levels"),
    ("slo-not-records", "compares parts of the file"),
    ("slo-unknown-check", "compares parts of the file"),
    ("test-at", "compares parts of the file"),
    ("test-name-twice", "compares tests"),
    ("test-topic", "compares parts of the file"),
    ("test-unknown-check", "compares parts of the file"),
    ("together", "compares checks"),
    ("time-needed", "compares parts of the file"),
    ("whole", "compares parts of the file"),
    ("window-event", "compares parts of the file"),
    ("window-every", "arithmetic of durations"),
    ("window-panes", "arithmetic of durations"),
    ("window-session-checks", "compares parts of the file"),
    ("window-session-range", "arithmetic of durations"),
    ("window-size-range", "arithmetic of durations"),
];

fn schema() -> Validator {
    let schema = checks_schema();
    assert!(jsonschema::meta::is_valid(&schema), "a schema by its own dialect");
    jsonschema::validator_for(&schema).unwrap()
}

fn folder(path: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

/// The file as an editor's server sees it; `None` when it is not YAML (or not of our part of it).
fn as_json(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let node = yaml::parse(&text, &Limits::default()).ok()?;
    Some(serde_json::from_str(&yaml::to_json(&node).ok()?).unwrap())
}

#[test]
fn examples_are_accepted() {
    let schema = schema();
    let files = folder("../docs/examples");
    assert!(files.len() >= 4);
    for path in files {
        let file = as_json(&path).unwrap();
        let wrong: Vec<String> =
            schema.iter_errors(&file).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    }
}

#[test]
fn every_mistake_that_a_schema_can_see_is_refused() {
    let schema = schema();
    let (mut refused, mut wrong) = (0, Vec::new());
    for path in folder("tests/golden") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(file) = as_json(&path) else { continue };
        let unseen = UNSEEN.iter().any(|(of, _)| name.starts_with(of));
        match (schema.is_valid(&file), unseen) {
            (true, false) => wrong.push(format!("{name} is accepted")),
            (false, true) if !PARTLY.contains(&name.as_str()) => wrong.push(format!("{name} is refused")),
            (valid, _) => refused += usize::from(!valid),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused >= 30, "{refused}");
}

/// Golden files with several mistakes, one of which a schema sees.
const PARTLY: [&str; 1] = ["expr-bounds"];

#[test]
fn every_key_and_metric_has_words() {
    let schema = checks_schema();
    for part in [
        "check",
        "decode",
        "schema",
        "window",
        "sample",
        "slo",
        "test",
        "record",
        "invalidValues",
        "time",
        "function",
        "missingValues",
        "duplicateValues",
    ] {
        let properties = schema["$defs"][part]["properties"].as_object().unwrap();
        for (key, of) in properties {
            assert!(of["description"].is_string(), "no words for `{key}` of {part}");
        }
    }
    for (key, of) in schema["properties"].as_object().unwrap() {
        assert!(of["description"].is_string(), "no words for `{key}`");
    }
    for metric in schema["$defs"]["check"]["properties"]["metric"]["oneOf"].as_array().unwrap() {
        assert_ne!(metric["description"], "", "no words for {metric}");
    }
}

#[test]
fn values_are_accepted_in_every_form_that_the_parser_takes() {
    let schema = schema();
    let check = |check: &str| {
        let text = format!("version: 1\ntopic: t\nchecks: [{{ id: a, {check} }}]\n");
        let node = yaml::parse(&text, &Limits::default()).unwrap();
        schema.is_valid(&serde_json::from_str::<Value>(&yaml::to_json(&node).unwrap()).unwrap())
    };
    for good in [
        "metric: freshness, mustBeLessThan: 5m",
        "metric: freshness, mustBeLessThan: 1.5h",
        "metric: freshness, unit: seconds, mustBeLessThan: 300",
        "metric: decodeFailures, unit: percent, mustBeLessThan: 0.5%",
        "metric: decodeFailures, unit: percent, mustBeLessThan: 0.5, confidence: 99.9%",
        "metric: rowCount, mustBeBetween: [1, 2]",
        "metric: rowCount, baseline: seasonal",
        "metric: aggregate, field: $.a, arguments: { function: quantile, quantile: 0.95 }, mustBeLessThan: -1e3",
        "metric: missingValues, field: $.a, arguments: { missingValues: [null, \"\", 0] }, mustBe: 0",
        "metric: missingValues, field: $.a, mustBe: 0",
        "metric: duplicateValues, field: $.a, mustBe: 0",
        "metric: duplicateValues, field: $.a, arguments: { with: [$.b] }, mustBe: 0",
        "metric: delay, arguments: { function: mean }, mustBeLessThan: 5m",
        "metric: outOfOrder, unit: percent, mustBeLessThan: 5",
        "metric: drift, field: $.a, baseline: previous, mustBeLessThan: 0.2",
        "metric: invalidValues, field: \"$['it\\\\'s'].b[].*\", arguments: { type: string, pattern: x }, mustBe: 0",
    ] {
        assert!(check(good), "{good}");
    }
    for bad in [
        "metric: freshness, mustBeGreaterThan: 5m",
        "metric: freshness, mustBeLessThan: soon",
        "metric: freshness, unit: percent, mustBeLessThan: 5",
        "metric: rowCount, mustBe: 1, mustNotBe: 2",
        "metric: rowCount",
        "metric: rowCount, field: $.a, mustBe: 1",
        "metric: rowCount, mustBe: 1.5",
        "metric: nullValues, mustBe: 1",
        "metric: nullValues, field: a.b, mustBe: 1",
        "metric: nullValues, field: $.a, mustBe: 1, confidence: 95%",
        "metric: nullValues, field: $.a, unit: percent, mustBe: 101",
        "metric: invalidValues, field: $.a, arguments: { min: 1, pattern: x }, mustBe: 0",
        "metric: drift, field: $.a",
        "metric: duplicateValues, field: $.a, arguments: { with: [] }, mustBe: 0",
        "metric: aggregate, field: $.a, mustBe: 1",
        "metric: aggregate, field: $.a, arguments: { function: quantile }, mustBe: 1",
        "metric: aggregate, field: $.a, arguments: { function: mean, quantile: 0.5 }, mustBe: 1",
        "metric: distinctCount, field: $.a, arguments: { function: mean }, mustBe: 1",
        "metric: delay, mustBeLessThan: soon",
    ] {
        assert!(!check(bad), "{bad}");
    }
}
