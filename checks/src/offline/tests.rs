//! A piece is judged as a whole, whatever it is read from.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::limits::Limits;
use crate::record::{RecordView, Timestamp};
use crate::rules::{CheckFile, Loader, TopicRules};
use crate::verdict::Status;

fn rules(checks: &str) -> Arc<TopicRules> {
    let text = format!("version: 1\ntopic: orders\nsample: {{ at_most: 1/s }}\nchecks: [{checks}]\n");
    let limits = Limits::default();
    let file = CheckFile::parse(Path::new("a.yaml"), &text, &Loader::files(&limits));
    file.unwrap_or_else(|found| panic!("{found}")).for_topic("orders")
}

fn run(checks: &str, data: &str) -> (Judged, Vec<Fed>) {
    let mut piece = Piece::new(&rules(checks), &Limits::default()).unwrap();
    let mut lines = Lines::new(Cursor::new(data), 1 << 10);
    let mut fed = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        fed.push(piece.take_line(line));
    }
    (judge(piece.rules(), &piece.summary(), (0, 0), None), fed)
}

fn statuses(judged: &Judged) -> Vec<Status> {
    judged.checks.iter().map(|(_, verdict)| verdict.status).collect()
}

#[test]
fn lines_are_records_and_half_a_one_is_told() {
    let checks = "{ id: a, metric: rowCount, mustBe: 3 }, { id: b, metric: decodeFailures, mustBe: 0 }, \
                  { id: c, metric: invalidValues, field: $.x, arguments: { min: 0 }, mustBe: 0 }";
    let (judged, fed) = run(checks, "{\"x\":1}\n\n{\"x\":-1}\n{\"x\":");
    assert_eq!(fed, [Fed::Examined, Fed::Examined, Fed::Half]);
    assert_eq!(statuses(&judged), [Status::Pass, Status::Fail, Status::Fail]);
    let example = &judged.checks[2].1.examples[0];
    assert_eq!((example.partition, example.offset, example.value.as_str()), (0, 2, "-1"));
    // With its end, half a record is a record that does not decode.
    assert_eq!(run(checks, "{\"x\":\n").1, [Fed::Examined]);
    assert_eq!(run(checks, "{\"x\":1}").1, [Fed::Examined]);
}

#[test]
fn a_line_beyond_the_limit_is_a_decode_failure_with_its_size() {
    let data = format!("\"{}\"\n{{\"x\":1}}\n", "x".repeat(5_000));
    let (judged, _) = run("{ id: b, metric: decodeFailures, mustBe: 0 }", &data);
    let verdict = &judged.checks[0].1;
    assert_eq!((verdict.failed, verdict.checked), (Some(1), Some(2)));
    assert!(verdict.examples[0].value.contains("5002 bytes"), "{verdict:?}");
}

#[test]
fn nothing_is_unknown_and_without_times_nothing_is_fresh() {
    let checks = "{ id: a, metric: nullValues, field: $.x, mustBe: 0 }, \
                  { id: f, metric: freshness, mustBeLessThan: 1m }";
    let (judged, _) = run(checks, "");
    assert_eq!(statuses(&judged), [Status::Unknown, Status::Unknown]);
    assert_eq!(overall(judged.checks.iter().map(|(_, v)| v)), Status::Unknown);
    let (judged, _) = run(checks, "{}\n");
    assert_eq!(statuses(&judged), [Status::Pass, Status::Unknown]);
    assert!(judged.checks[1].1.message.contains("no record times"), "{:?}", judged.checks[1]);
    assert_eq!(overall(judged.checks.iter().map(|(_, v)| v)), Status::Pass);
}

#[test]
fn copies_are_counted_in_the_whole_piece() {
    let data: String = (0..100_000).map(|i| format!("{{\"id\":{i}}}\n")).collect();
    let check = "{ id: u, metric: duplicateValues, field: $.id, mustBe: 0 }";
    let (judged, _) = run(check, &data);
    assert_eq!(judged.checks[0].1.status, Status::Pass);
    let (judged, _) = run(check, &format!("{data}{{\"id\":7}}\n"));
    let verdict = &judged.checks[0].1;
    assert_eq!((verdict.status, verdict.failed, verdict.checked), (Status::Fail, Some(1), Some(100_001)));
}

#[test]
fn the_shape_for_programs_has_every_key() {
    let rules = rules("{ id: a, metric: nullValues, field: $.x, unit: percent, mustBeLessThan: 0.1 }");
    let mut piece = Piece::new(&rules, &Limits::default()).unwrap();
    let record = RecordView {
        topic: "orders",
        partition: 3,
        offset: 17,
        timestamp: Timestamp::Created(1_767_225_600_000),
        key: None,
        value: Some(b"{\"x\":null}"),
        headers: &[],
    };
    piece.take_json(&record, 1_767_225_600_000);
    let summary = piece.summary();
    let judged = judge(&rules, &summary, (1_767_225_600_000, 1_767_225_600_001), None);
    let shape =
        serde_json::to_value(json::check("orders.jsonl", "orders", &summary, &judged, false)).unwrap();
    let message = shape["checks"][0]["message"].clone();
    assert!(message.as_str().unwrap().contains("$.x is null in 1 of 1"), "{message}");
    let interval = shape["checks"][0]["interval"].clone();
    assert_eq!(
        shape,
        serde_json::json!({
            "version": 1, "verdict": "fail", "source": "orders.jsonl", "topic": "orders",
            "window": { "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T00:00:00.001Z" },
            "records": 1, "decode_failures": {}, "truncated": false,
            "checks": [{
                "id": "a", "topic": "orders", "field": "$.x", "metric": "nullValues", "severity": "error",
                "status": "fail", "value": 100.0, "unit": "percent", "interval": interval,
                "must": "mustBeLessThan 0.1", "failed": 1, "checked": 1, "message": message,
                "examples": [{ "partition": 3, "offset": 17, "value": "$.x is null" }],
            }],
        })
    );
}

/// What is judged is the same with and without the profile, also where a rule goes by it.
#[test]
fn judging_needs_the_profile_only_where_a_rule_goes_by_it() {
    let data: String = (0..40).map(|n| format!("{{\"a\":{},\"b\":\"x\"}}\n", n % 5)).collect();
    for (check, by_profile) in [
        ("metric: invalidValues, field: $.a, arguments: { max: 3 }, mustBe: 0", false),
        ("metric: missingValues, field: $.b, mustBe: 0", false),
        ("metric: aggregate, field: $.a, arguments: { function: mean }, mustBeLessThan: 3", false),
        ("metric: drift, field: $.a, baseline: previous", true),
        ("metric: typeChanged, mustBe: 0", true),
    ] {
        let rules = rules(&format!("{{ id: c, {check} }}"));
        let judged = |mut piece: Piece| {
            let mut lines = Lines::new(Cursor::new(&data), 1 << 10);
            while let Some(line) = lines.next().unwrap() {
                piece.take_line(line);
            }
            let summary = piece.summary();
            let judged = judge(piece.rules(), &summary, (0, 0), None);
            (format!("{:?}", judged.checks[0].1), !summary.fields.is_empty())
        };
        let (whole, _) = judged(Piece::new(&rules, &Limits::default()).unwrap());
        let (lean, has_profile) = judged(Piece::to_judge(&rules, &Limits::default()).unwrap());
        assert_eq!((lean, has_profile), (whole, by_profile), "{check}");
    }
}
