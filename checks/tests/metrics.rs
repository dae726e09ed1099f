//! Check files of the language's metrics, with the tests that they carry: each verdict as written, and
//! every check seen failing.

use std::path::{Path, PathBuf};

use checks::fixtures;
use checks::limits::Limits;
use checks::offline::{Lines, Piece};
use checks::rules::{CheckSet, checks_schema};

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

#[test]
fn every_metric_says_what_its_tests_expect() {
    let limits = Limits::default();
    let set = CheckSet::load(&[files()], &limits).unwrap_or_else(|error| panic!("{error}"));
    let run = fixtures::run(&set, &limits);
    let wrong: Vec<String> = run
        .tests
        .iter()
        .flat_map(|test| {
            test.outcomes.iter().filter(|outcome| !outcome.holds()).map(move |outcome| {
                format!("{}: {}: {:?}: {}", test.name, outcome.check, outcome.got, outcome.message)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(run.tests.len() >= 9, "{} tests", run.tests.len());
    let never: Vec<_> = run.never_failed.iter().map(|never| &never.check).collect();
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn what_they_measured_is_said_in_figures() {
    let limits = Limits::default();
    let set = CheckSet::load(&[files().join("values.yaml")], &limits).unwrap();
    let run = fixtures::run(&set, &limits);
    let said = |test: &str, check: &str| {
        let test = run.tests.iter().find(|run| run.name == test).unwrap();
        test.outcomes.iter().find(|outcome| outcome.check == check).unwrap().message.clone()
    };
    for (test, check, message) in [
        ("all is well", "total", "the sum of $.amount is 31.5 over 3 values; allowed: exactly 31.5"),
        (
            "all is well",
            "countries",
            "the number of different values of $.country is 2 over 3 values; allowed: 2 to 3",
        ),
        (
            "all is well",
            "late",
            "the greatest lateness by $.created_at is 1 s over 3 records; allowed: at most 5 s",
        ),
        (
            "all is well",
            "order",
            "1 of 3 records (33.3%) come after one of a later $.created_at in their partition; allowed: less than 50%",
        ),
        (
            "nothing is",
            "delay",
            "the greatest delay from $.created_at to the record's time is 2 min 4 s over 4 records; allowed: less than 1 min",
        ),
        ("nothing is", "least", "the smallest value of $.amount is -6 over 4 values; allowed: at least -5"),
        ("nothing is", "named", "$.name is missing from 4 of 4 records (100%); allowed: less than 50%"),
        (
            "clocks that differ are no negative delays",
            "delay",
            "the greatest delay from $.created_at to the record's time is 2 s over 1 records; 1 more times lie in the future: clocks differ; allowed: less than 1 min",
        ),
        (
            "within a percent of the bound nobody knows",
            "most",
            "the 0.9 quantile of $.amount is 49.9 (49.9 to 50.4) over 100 values; allowed: less than 50; it may lie on either side",
        ),
        (
            "times that cannot be read are errors",
            "order",
            "$.created_at could not be read as a time in 2 of 2 records",
        ),
    ] {
        assert_eq!(said(test, check), message, "{test}: {check}");
    }
}

#[test]
fn editors_accept_them() {
    let schema = jsonschema::validator_for(&checks_schema()).unwrap();
    for entry in std::fs::read_dir(files()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let node = checks::yaml::parse(&text, &Limits::default()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&checks::yaml::to_json(&node).unwrap()).unwrap();
        let errors: Vec<String> =
            schema.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn segments_say_where_it_comes_from() {
    let limits = Limits::default();
    let set = CheckSet::load(&[files().join("segments.yaml")], &limits).unwrap();
    let run = fixtures::run(&set, &limits);
    let said = |test: usize, check: &str| {
        run.tests[test].outcomes.iter().find(|outcome| outcome.check == check).unwrap().message.clone()
    };
    assert_eq!(
        said(0, "valid"),
        "4 of 10 values of $.amount (40%) are invalid; allowed: less than 20%; 2 of 4 where $.country is fr"
    );
    assert_eq!(
        said(0, "present"),
        "$.id is missing from 2 of 10 records (20%); allowed: exactly 0; 2 of 2 where $.country is fr"
    );
    assert!(said(0, "known").ends_with("; 1 of 1 where $.country is missing"), "{}", said(0, "known"));
    assert!(said(0, "order").ends_with("; 2 of 2 where $.country is fr"), "{}", said(0, "order"));
    assert!(said(1, "adds-up").ends_with("; 1 of 1 where $.country is de"), "{}", said(1, "adds-up"));
}

/// Ten thousand values: bounded, whole, and the same whoever reads which part.
#[test]
fn segments_beyond_the_bound_are_counted_together() {
    let limits = Limits::default();
    let set = CheckSet::load(&[files().join("segments.yaml")], &limits).unwrap();
    let summary = |from: u64, to: u64| {
        let mut piece = Piece::new(&set.for_topic("payments"), &limits).unwrap();
        for i in from..to {
            let country = if i % 2 == 0 { "de".to_owned() } else { format!("c{i}") };
            let text = format!("{{\"id\":1,\"amount\":-1,\"net\":1,\"at\":1,\"country\":\"{country}\"}}\n");
            let mut lines = Lines::new(text.as_bytes(), limits.message_bytes);
            while let Some(line) = lines.next().unwrap() {
                piece.take_line(line);
            }
        }
        piece.summary()
    };
    let whole = summary(0, 20_000);
    let mut parts = summary(10_000, 20_000);
    parts.merge(&summary(0, 10_000));
    let tally = |summary: &checks::report::PaneSummary| summary.rule("valid").unwrap().segments.clone();
    assert_eq!(tally(&whole), tally(&parts));
    let segments = tally(&whole);
    assert_eq!(segments.len(), 257);
    assert_eq!(segments.iter().map(|s| s.failed).sum::<u64>(), 20_000);

    let judged = checks::offline::judge(&set.for_topic("payments"), &whole, (0, 0), None);
    let (_, verdict) = judged.checks.iter().find(|(rule, _)| rule.id == "valid").unwrap();
    assert_eq!(verdict.segments.len(), 21);
    let other = verdict.segments.last().unwrap();
    assert_eq!(other.segment, "other");
    assert_eq!(verdict.segments.iter().map(|s| s.failed).sum::<u64>(), 20_000);
}
