use proptest::prelude::*;

use super::*;
use crate::record::Timestamp;
use crate::report::RuleTally;
use crate::rules::{
    Decode, FieldPath, Rule, Sample, SchemaFile, Step, Threshold, TimeSource, ValidValues, ValueFormat,
    Window,
};
use crate::tape::{Tape, json, push_step, reason};

fn limits() -> Limits {
    Limits::default()
}

fn field(steps: &[&str]) -> FieldPath {
    let steps: Vec<Step> = steps
        .iter()
        .map(|s| match *s {
            "[]" => Step::Elements,
            "*" => Step::AnyKey,
            key => Step::Key(key.to_owned()),
        })
        .collect();
    let mut text = "$".to_owned();
    steps.iter().for_each(|s| push_step(&mut text, s.into()));
    FieldPath { text, steps }
}

fn rule(id: &str, metric: Metric) -> Arc<Rule> {
    let origin = Origin { file: "orders.yaml".into(), line: 7 };
    Arc::new(Rule { origin, ..Rule::new(id, metric, Some(Threshold::MustBe(0.0))) })
}

fn topic(rules: Vec<Arc<Rule>>, schema: SchemaSource) -> Arc<TopicRules> {
    Arc::new(TopicRules {
        topic: "orders".to_owned(),
        decode: Decode { value: ValueFormat::Auto, schema },
        time: TimeSource::Record,
        window: Window::default(),
        sample: Sample::default(),
        redact: crate::redact::Redaction::default(),
        rules,
        slos: Vec::new(),
        hash: 1,
    })
}

fn json_schema(text: &str) -> SchemaSource {
    SchemaSource::File(SchemaFile { path: "order.json".into(), text: text.into(), kind: SchemaKind::Json })
}

fn record(offset: i64, value: &[u8]) -> RecordView<'_> {
    RecordView {
        topic: "orders",
        partition: 0,
        offset,
        timestamp: Timestamp::Created(1_000 + offset),
        key: Some(b"key"),
        value: Some(value),
        headers: &[],
    }
}

/// Examines the payloads, one record each; what does not decode is a failure.
fn examine(rules: &Arc<TopicRules>, payloads: &[&str]) -> PaneSummary {
    let mut examiner = Examiner::new(Arc::clone(rules), &limits()).unwrap();
    let mut pane = examiner.accumulator();
    let mut tape = Tape::new();
    for (offset, payload) in payloads.iter().enumerate() {
        let record = record(offset as i64, payload.as_bytes());
        pane.read(&record, Times::own(1_000 + offset as i64, false));
        let decoded = match json::decode(payload.as_bytes(), examiner.shape_mut(), &mut tape, &limits()) {
            Ok(document) => Decoded::Document(document),
            Err(failure) => Decoded::Failed(failure),
        };
        examiner.examine(&record, decoded, None, &mut pane);
    }
    examiner.summary(&pane)
}

fn tally<'a>(summary: &'a PaneSummary, id: &str) -> &'a RuleTally {
    summary.rule(id).unwrap_or_else(|| panic!("no tally of {id}"))
}

/// Checked and failed of a single rule over these payloads.
fn counts(metric: Metric, payloads: &[&str]) -> (u64, u64) {
    let summary = examine(&topic(vec![rule("r", metric)], SchemaSource::None), payloads);
    let tally = tally(&summary, "r");
    (tally.checked, tally.failed)
}

fn missing(steps: &[&str]) -> Metric {
    Metric::MissingValues { field: field(steps), stand_ins: Vec::new() }
}

fn null(steps: &[&str]) -> Metric {
    Metric::NullValues { field: field(steps) }
}

fn invalid(steps: &[&str], max: f64) -> Metric {
    let valid = ValidValues { max: Some(max), ..ValidValues::default() };
    Metric::InvalidValues { field: field(steps), valid: Box::new(valid) }
}

#[test]
fn a_missing_parent_makes_a_field_missing() {
    let payloads = [
        r#"{"c":{"e":1}}"#,
        r#"{"c":{"e":null}}"#,
        r#"{"c":{}}"#,
        r#"{"c":null}"#,
        "{}",
        "[1]",
        r#"{"c":3}"#,
    ];
    assert_eq!(counts(missing(&["c", "e"]), &payloads), (7, 5));
    assert_eq!(counts(null(&["c", "e"]), &payloads), (7, 1));
    assert_eq!(counts(null(&["c"]), &payloads), (7, 1));
    assert_eq!(counts(invalid(&["c", "e"], 0.0), &payloads), (1, 1));
}

#[test]
fn elements_count_by_themselves() {
    let payloads = [r#"{"i":[{"p":1},{"p":null},{},null,7]}"#, r#"{"i":[]}"#, "{}", r#"{"i":[{"p":5}]}"#];
    assert_eq!(counts(missing(&["i", "[]", "p"]), &payloads), (6, 3));
    assert_eq!(counts(null(&["i", "[]", "p"]), &payloads), (6, 1));
    assert_eq!(counts(null(&["i", "[]"]), &payloads), (6, 1));
    assert_eq!(counts(invalid(&["i", "[]", "p"], 3.0), &payloads), (2, 1));
    assert_eq!(counts(missing(&["i", "[]", "a", "b"]), &[r#"{"i":[{"a":{"b":1}},{"a":null},{}]}"#]), (3, 2));
    assert_eq!(counts(missing(&["[]", "[]", "x"]), &[r#"[[{"x":1},{}],[],[{}]]"#]), (3, 2));
}

#[test]
fn a_wildcard_means_every_member_also_those_that_other_rules_name() {
    let rules = topic(
        vec![
            rule("all", invalid(&["m", "*"], 5.0)),
            rule("one", invalid(&["m", "a"], 1.0)),
            rule("deep", missing(&["m", "*", "x"])),
            rule("deep-one", missing(&["m", "b", "x"])),
        ],
        SchemaSource::None,
    );
    let summary =
        examine(&rules, &[r#"{"m":{"a":3,"b":{"x":1},"c":9,"8f14e45fceea467f":{}}}"#, r#"{"m":{"c":1}}"#]);
    let counts = |id| (tally(&summary, id).checked, tally(&summary, id).failed);
    // The objects are no numbers: not allowed under a bound.
    assert_eq!(counts("all"), (5, 3));
    assert_eq!(counts("one"), (1, 1));
    assert_eq!(counts("deep"), (5, 4));
    assert_eq!(counts("deep-one"), (2, 1));
}

#[test]
fn duplicates_are_values_less_distinct_values() {
    let payloads = [
        r#"{"id":1}"#,
        r#"{"id":1.0}"#,
        r#"{"id":"1"}"#,
        r#"{"id":null}"#,
        "{}",
        r#"{"id":2}"#,
        r#"{"id":1}"#,
    ];
    assert_eq!(
        counts(Metric::DuplicateValues { field: field(&["id"]), with: Vec::new() }, &payloads),
        (5, 2)
    );
    let rules = topic(
        vec![rule("r", Metric::DuplicateValues { field: field(&["id"]), with: Vec::new() })],
        SchemaSource::None,
    );
    let summary = examine(&rules, &payloads);
    assert_eq!(tally(&summary, "r").uniqueness.as_ref().unwrap().tally(), (5, 2));
}

#[test]
fn several_fields_make_one_value_of_records_that_have_them_all() {
    let payloads = [
        r#"{"id":1,"tenant":{"name":"a"}}"#,
        r#"{"id":1,"tenant":{"name":"b"}}"#,
        r#"{"id":1.0,"tenant":{"name":"a"}}"#,
        r#"{"id":"1","tenant":{"name":"a"}}"#,
        r#"{"id":1,"tenant":{"name":null}}"#,
        r#"{"id":1}"#,
        r#"{"id":[1],"tenant":{"name":"a"}}"#,
        "[1]",
    ];
    let with = vec![field(&["tenant", "name"])];
    assert_eq!(counts(Metric::DuplicateValues { field: field(&["id"]), with }, &payloads), (4, 1));
}

#[test]
fn rows_fail_by_expression_and_errors_are_apart() {
    let metric = Metric::FailedRows { expr: "value.total == value.net + value.tax".to_owned() };
    let rules = topic(vec![rule("adds-up", metric)], SchemaSource::None);
    let summary = examine(
        &rules,
        &[r#"{"total":3,"net":1,"tax":2}"#, r#"{"total":9,"net":1,"tax":2}"#, r#"{"total":1}"#, "nonsense"],
    );
    let tally = tally(&summary, "adds-up");
    assert_eq!((tally.checked, tally.failed, tally.errors), (2, 1, 1));
    let texts: Vec<_> = tally.examples.iter().map(|e| (e.offset, e.value.as_str())).collect();
    assert_eq!(texts, [(1, "value.net=1 value.tax=2 value.total=9"), (2, "error: no such field: net")]);
}

#[test]
fn documents_are_held_against_the_schema() {
    let schema = json_schema(r#"{"type":"object","required":["id"]}"#);
    let rules =
        topic(vec![rule("fits", Metric::SchemaViolations), rule("decodes", Metric::DecodeFailures)], schema);
    let mut examiner = Examiner::new(Arc::clone(&rules), &limits()).unwrap();
    let mut pane = examiner.accumulator();
    let mut tape = Tape::new();
    let mut offset = 0;
    let mut one = |decoded: &dyn Fn(&mut Shape, &mut Tape) -> Option<DecodeFailure>,
                   verdict: Option<SchemaVerdict>,
                   payload: &str| {
        let record = record(offset, payload.as_bytes());
        offset += 1;
        pane.read(&record, Times::own(5, false));
        let failed = decoded(examiner.shape_mut(), &mut tape);
        let decoded = match failed {
            Some(failure) => Decoded::Failed(failure),
            None if payload == "tombstone" => Decoded::Tombstone,
            None if payload == "text" => Decoded::NotDecoded { format: "text" },
            None => Decoded::Document(
                json::decode(payload.as_bytes(), examiner.shape_mut(), &mut tape, &limits()).unwrap(),
            ),
        };
        examiner.examine(&record, decoded, verdict, &mut pane);
    };
    one(&|_, _| None, None, r#"{"id":1}"#);
    one(&|_, _| None, None, "{}");
    one(&|_, _| None, None, "tombstone");
    one(&|_, _| None, None, "text");
    one(&|_, _| Some(DecodeFailure::new(reason::TRUNCATED, "at byte 3")), None, "{");
    one(&|_, _| None, Some(SchemaVerdict::Valid), "{}");
    one(&|_, _| None, Some(SchemaVerdict::Violation("no \u{1b}field id".into())), "{}");
    let summary = examiner.summary(&pane);
    assert_eq!((summary.read, summary.examined, summary.tombstones), (7, 7, 1));
    assert_eq!((summary.schema_checked, summary.schema_violations), (4, 2));
    assert_eq!(summary.not_decoded[0].reason, "text");
    assert_eq!(
        (summary.decode_failures[0].reason.as_str(), summary.decode_failures[0].count),
        ("truncated", 1)
    );
    let fits = tally(&summary, "fits");
    assert_eq!((fits.checked, fits.failed), (4, 2));
    assert_eq!(fits.examples[0].value, "/: \"id\" is a required property: {}");
    assert_eq!(fits.examples[1].value, "no \u{fffd}field id");
    let decodes = tally(&summary, "decodes");
    assert_eq!((decodes.checked, decodes.failed), (5, 1));
    assert_eq!(decodes.examples[0].value, "truncated: at byte 3");
}

#[test]
fn a_pane_counts_what_it_is_told() {
    let rules = topic(Vec::new(), SchemaSource::None);
    let mut examiner = Examiner::new(rules, &limits()).unwrap();
    let mut pane = examiner.accumulator();
    for (offset, ms) in [(0, 50), (1, -20), (2, 70)] {
        pane.read(&record(offset, b"12345"), Times::own(ms, ms < 0));
    }
    pane.unexamined("sample");
    pane.unexamined("sample");
    pane.catching_up();
    pane.skewed();
    pane.observed_delay_ns(2_000_000_000);
    pane.header_note("traceparent_missing");
    let mut tape = Tape::new();
    let document = json::decode(br#"{"a":1,"a":2}"#, examiner.shape_mut(), &mut tape, &limits()).unwrap();
    examiner.examine(&record(2, b""), Decoded::Document(document), None, &mut pane);
    let summary = examiner.summary(&pane);
    assert_eq!((summary.read, summary.read_bytes, summary.examined), (3, 24, 1));
    assert_eq!((summary.first_record_ms, summary.last_record_ms, summary.bad_timestamps), (-20, 70, 1));
    assert_eq!((summary.unexamined[0].count, summary.catching_up, summary.skewed), (2, 1, 1));
    assert_eq!(summary.delay.as_ref().map(|d| d.count), Some(1));
    assert_eq!(summary.header_notes[0].reason, "traceparent_missing");
    assert_eq!(summary.duplicate_keys, 1);
    assert_eq!(summary.field("$.a").map(|f| (f.records, f.present, f.integer)), Some((1, 1, 1)));
    assert!(pane.approximate_bytes() > 0);
}

#[test]
fn examples_are_few_cut_and_one_a_record() {
    let payloads: Vec<String> = (0..20)
        .map(|i| format!(r#"{{"i":[{}"x{}\u001b"]}}"#, "99,".repeat(3), "y".repeat(i * 100)))
        .collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let summary = examine(&topic(vec![rule("r", invalid(&["i", "[]"], 1.0))], SchemaSource::None), &payloads);
    let tally = tally(&summary, "r");
    assert_eq!((tally.checked, tally.failed), (80, 80));
    assert_eq!(tally.examples.iter().map(|e| e.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(tally.examples.iter().all(|e| e.value.len() <= limits().string_bytes));
}

#[test]
fn an_examiner_goes_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<Examiner>();
    is_send::<Accumulator>();
    is_send::<Tape>();
}

#[test]
fn rules_that_cannot_be_compiled_say_where() {
    let error = |rules: Vec<Arc<Rule>>, schema| {
        Examiner::new(topic(rules, schema), &limits()).map(drop).expect_err("refused").to_string()
    };
    let broken = rule("sums", Metric::FailedRows { expr: "value.a +".to_owned() });
    assert!(error(vec![broken], SchemaSource::None).starts_with("orders.yaml:7: check `sums`: "));
    assert!(error(Vec::new(), json_schema("{")).starts_with("order.json: the schema is not JSON"));
}

/// Members of `$`, and of `$.o`, of few values that matter.
fn payload() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        (0i64..4).prop_map(Into::into),
        Just(serde_json::json!(2.5)),
        Just(serde_json::json!("x")),
    ];
    let object = |inner: BoxedStrategy<serde_json::Value>| {
        prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..4).prop_map(
            |members| {
                let members = members.into_iter().map(|(k, v)| (k.to_owned(), v));
                serde_json::Value::from(members.collect::<serde_json::Map<_, _>>())
            },
        )
    };
    let inner = prop_oneof![leaf.clone(), object(leaf.clone().boxed())].boxed();
    let items = prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from);
    object(prop_oneof![inner, items].boxed())
}

proptest! {
    #[test]
    fn tallies_are_what_a_plain_walk_counts(documents in prop::collection::vec(payload(), 0..8)) {
        let rules = topic(
            vec![
                rule("missing", missing(&["a", "b"])),
                rule("null", null(&["a", "b"])),
                rule("invalid", invalid(&["a", "b"], 2.0)),
                rule("missing-each", missing(&["c", "[]", "a"])),
                rule("null-each", null(&["c", "[]", "a"])),
            ],
            SchemaSource::None,
        );
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        let summary = examine(&rules, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let field = |d: &serde_json::Value| d.get("a").and_then(|a| a.get("b")).cloned();
        let all = documents.len() as u64;
        let count = |f: &dyn Fn(&serde_json::Value) -> bool| documents.iter().filter(|d| f(d)).count() as u64;
        let got = |id: &str| (tally(&summary, id).checked, tally(&summary, id).failed);
        prop_assert_eq!(got("missing"), (all, count(&|d| field(d).is_none())));
        prop_assert_eq!(got("null"), (all, count(&|d| field(d).is_some_and(|v| v.is_null()))));
        let present = count(&|d| field(d).is_some_and(|v| !v.is_null()));
        let bad = count(&|d| field(d).is_some_and(|v| !v.is_null() && v.as_f64().is_none_or(|n| n > 2.0)));
        prop_assert_eq!(got("invalid"), (present, bad));
        let items: Vec<_> = documents.iter().filter_map(|d| d.get("c")?.as_array().cloned()).flatten().collect();
        let without = items.iter().filter(|i| i.get("a").is_none()).count() as u64;
        let nulls = items.iter().filter(|i| i.get("a").is_some_and(|a| a.is_null())).count() as u64;
        prop_assert_eq!(got("missing-each"), (items.len() as u64, without));
        prop_assert_eq!(got("null-each"), (items.len() as u64, nulls));
    }

    #[test]
    fn no_record_panics_and_counts_add_up(documents in prop::collection::vec(crate::tape::tests::any_json(), 0..5), cut in 0usize..30) {
        let rules = topic(
            vec![
                rule("expr", Metric::FailedRows { expr: "value.a.all(x, x.b + 1 > value.c) || size(value) > 1".to_owned() }),
                rule("wild", invalid(&["*", "[]"], 2.0)),
                rule("unique", Metric::DuplicateValues { field: field(&["a"]), with: Vec::new() }),
            ],
            json_schema(r#"{"type":"object","additionalProperties":{"type":["integer","array"],"uniqueItems":true}}"#),
        );
        let mut texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        if let Some(text) = texts.last_mut() {
            let at = text.len().min(cut);
            if text.is_char_boundary(at) { text.truncate(at); }
        }
        let summary = examine(&rules, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let failures: u64 = summary.decode_failures.iter().map(|r| r.count).sum();
        prop_assert_eq!(summary.examined, texts.len() as u64);
        prop_assert_eq!(summary.schema_checked + failures, summary.examined);
        let expr = tally(&summary, "expr");
        prop_assert_eq!(expr.checked + expr.errors + failures, summary.examined);
    }
}
