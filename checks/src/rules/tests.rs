use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::limits::Limits;
use crate::verdict::Status;

fn parse(text: &str) -> CheckFile {
    let limits = Limits::default();
    let loader = Loader::with(&limits, |path| Ok(format!("{{\"title\":\"{}\"}}", path.display())));
    CheckFile::parse(Path::new("checks/a.yaml"), text, &loader).unwrap_or_else(|found| panic!("{found}"))
}

fn set(files: &[(&str, &str)]) -> Result<CheckSet, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    CheckSet::load(&[folder.path().to_path_buf()], &Limits::default())
}

/// A file of one check on the row count.
fn file(selector: &str, id: &str, size: &str) -> String {
    format!(
        "version: 1\n{selector}\nwindow: {{ size: {size} }}\nchecks:\n  - {{ id: {id}, metric: rowCount, mustBeGreaterThan: 0 }}\n"
    )
}

#[test]
fn a_whole_file_is_resolved() {
    let file = parse(
        r#"
version: 1
topic: orders
owner: team-orders
decode: { value: json, key: string, schema: { file: schemas/order.json } }
window: { size: 5m, allowed_lateness: 1m }
sample: { read: all, examine: 100%, at_most: 2000/s }
checks:
  - { id: amount-range, metric: invalidValues, field: $.amount, arguments: { min: 0, max: 100000 }, unit: percent, mustBeLessThan: 0.1, severity: warning, for: 3, min_records: 20, confidence: 95%, description: no negative amounts }
  - { id: status-known, metric: invalidValues, field: $.status, arguments: { validValues: [new, paid, 3, true] }, unit: percent, mustBe: 0 }
  - { id: code, metric: invalidValues, field: "$.items[].code", arguments: { pattern: "^[A-Z]+$", minLength: 2, maxLength: 5, type: string }, mustBeLessOrEqualTo: 5 }
  - { id: email-present, metric: missingValues, field: $.customer.email, unit: percent, mustBeLessThan: 2% }
  - { id: totals, metric: failedRows, expr: "value.total == value.net + value.tax", unit: percent, mustBeBetween: [0, 1] }
  - { id: volume, metric: rowCount, baseline: seasonal }
  - { id: drifts, metric: drift, field: $.amount, baseline: previous }
  - { id: fresh, metric: freshness, mustBeLessThan: 5m }
  - { id: schema-valid, metric: schemaViolations, unit: percent, mustBe: 0 }
  - { id: decodes, metric: decodeFailures, mustBe: 0 }
slos:
  - { id: valid-orders, good: schema-valid, objective: 99.9, over: 30d }
tests:
  - name: a negative amount is invalid
    given: [ { key: k, value: { id: 1, amount: -5 }, headers: { a: b, c: [d, e] }, at: 10s, repeat: 3 }, { value: null }, { raw: "x{" } ]
    expect: { amount-range: fail, fresh: unknown }
"#,
    );
    assert_eq!(file.owner, "team-orders");
    assert_eq!(file.window, Window { size_ms: 300_000, allowed_lateness_ms: 60_000, ..Window::default() });
    assert_eq!(file.sample, Sample { examine: 1.0, at_most_per_second: Some(2000) });
    let SchemaSource::File(schema) = &file.decode.schema else { panic!("{:?}", file.decode) };
    assert_eq!((schema.path.to_str(), schema.kind), (Some("checks/schemas/order.json"), SchemaKind::Json));

    let amount = &file.rules[0];
    assert_eq!(amount.threshold, Some(Threshold::MustBeLessThan(0.1)));
    assert_eq!((amount.unit, amount.severity, amount.for_windows), (Unit::Percent, Severity::Warning, 3));
    assert_eq!((amount.min_records, amount.confidence), (20, Some(0.95)));
    assert_eq!((amount.owner.as_str(), amount.origin.line), ("team-orders", 9));
    let Metric::InvalidValues { field, valid } = &amount.metric else { panic!() };
    assert_eq!((field.text.as_str(), valid.min, valid.max), ("$.amount", Some(0.0), Some(100_000.0)));
    let Metric::InvalidValues { valid, .. } = &file.rules[1].metric else { panic!() };
    assert_eq!(valid.values.as_deref(), Some(&["new".into(), "paid".into(), 3.into(), true.into()][..]));
    let Metric::InvalidValues { field, valid } = &file.rules[2].metric else { panic!() };
    assert_eq!(
        (field.text.as_str(), valid.min_length, valid.value_type),
        ("$.items[].code", Some(2), Some(ValueType::String))
    );
    assert_eq!(file.rules[2].unit, Unit::Rows);
    assert_eq!(file.rules[3].threshold, Some(Threshold::MustBeLessThan(2.0)));
    assert_eq!(file.rules[4].threshold, Some(Threshold::MustBeBetween(0.0, 1.0)));
    assert_eq!((file.rules[5].threshold, file.rules[5].baseline), (None, Some(Baseline::Seasonal)));
    assert_eq!((file.rules[6].unit, file.rules[6].baseline), (Unit::Score, Some(Baseline::Previous)));
    assert_eq!(
        (file.rules[7].unit, file.rules[7].threshold),
        (Unit::Seconds, Some(Threshold::MustBeLessThan(300.0)))
    );

    let slo = &file.slos[0];
    assert_eq!((slo.good.as_str(), slo.objective, slo.over_ms), ("schema-valid", 0.999, 30 * 86_400_000));
    let test = &file.tests[0];
    assert_eq!(
        test.expect,
        [("amount-range".to_owned(), Status::Fail), ("fresh".to_owned(), Status::Unknown)]
    );
    assert_eq!(test.given[0].value.as_deref(), Some(r#"{"id":1,"amount":-5}"#));
    assert_eq!((test.given[0].at_ms, test.given[0].repeat), (10_000, 3));
    let headers: Vec<_> = test.given[0].headers.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(headers, ["a=b", "c=d", "c=e"]);
    assert_eq!((test.given[1].value.as_deref(), test.given[2].value.as_deref()), (None, Some("x{")));
}

#[test]
fn a_topic_without_a_file_has_the_defaults() {
    let rules = CheckSet::default().for_topic("orders");
    assert_eq!((rules.window, rules.sample, rules.rules.len()), (Window::default(), Sample::default(), 0));
}

#[test]
fn folders_are_read_in_order_without_what_is_hidden() {
    let (a, b) = (file("topic: orders", "a", "1m"), file("topic: orders", "b", "1m"));
    let set = set(&[
        ("z.yaml", &a),
        ("sub/b.yml", &b),
        (".hidden.yaml", "nonsense: ["),
        (".git/x.yaml", "nonsense: ["),
        ("notes.txt", "nonsense: ["),
        ("schemas/order.json", "{}"),
    ])
    .unwrap();
    let names: Vec<_> = set.files.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["b.yml", "z.yaml"]);
    assert_eq!(set.for_topic("orders").rules.len(), 2);
    assert_eq!(set.for_topic("other").rules.len(), 0);
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_loops_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("..data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.yaml"), file("topic: orders", "a", "1m")).unwrap();
    // As Kubernetes mounts a ConfigMap.
    std::os::unix::fs::symlink(data.join("a.yaml"), folder.path().join("a.yaml")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    let paths = [folder.path().to_path_buf(), folder.path().join("a.yaml")];
    let set = CheckSet::load(&paths, &Limits::default()).unwrap();
    assert_eq!(set.files.len(), 1);
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = CheckSet::load(&["no/such/folder".into()], &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("no/such/folder"), "{error}");
    assert_eq!(CheckSet::load(&[], &Limits::default()).unwrap().files.len(), 0);
    let deep = "d/".repeat(20) + "a.yaml";
    assert!(matches!(set(&[(&deep, "version: 1")]), Err(LoadError::TooMany { .. })));
}

#[test]
fn all_files_are_valid_or_none_is_used() {
    let error = set(&[
        ("a.yaml", &file("topic: orders", "a", "1m")),
        ("b.yaml", "version: 1\ntopik: x\n"),
        ("c.yaml", "version: ["),
    ]);
    let Err(LoadError::Invalid(found)) = error else { panic!("{error:?}") };
    let files: Vec<_> = found.iter().map(|d| d.file.file_name().unwrap().to_str().unwrap()).collect();
    assert!(files.contains(&"b.yaml") && files.contains(&"c.yaml") && !files.contains(&"a.yaml"), "{found}");
}

#[test]
fn the_most_exact_file_says_how_and_all_of_them_say_what() {
    let set = set(&[
        ("1.yaml", &file("pattern: \"ord.*\"", "by-pattern", "1m")),
        ("2.yaml", &file("topics: [orders, payments]", "by-list", "2m")),
        ("3.yaml", &file("topic: orders", "by-name", "3m")),
        ("4.yaml", &file("topic: orders", "by-name-too", "4m")),
    ])
    .unwrap();
    let ids = |topic: &str| set.for_topic(topic).rules.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
    assert_eq!(set.for_topic("orders").window.size_ms, 180_000);
    assert_eq!(ids("orders"), ["by-pattern", "by-list", "by-name", "by-name-too"]);
    assert_eq!(set.for_topic("payments").window.size_ms, 120_000);
    assert_eq!(set.for_topic("ordinary").window.size_ms, 60_000);
    // The pattern is for whole names.
    assert_eq!(ids("my-orders"), [""; 0]);
}

#[test]
fn one_id_in_two_files_of_a_topic_is_an_error_when_a_file_names_it() {
    let error = set(&[
        ("1.yaml", &file("pattern: \"ord.*\"", "volume", "1m")),
        ("2.yaml", &file("topics: [payments, orders]", "volume", "1m")),
    ]);
    let Err(LoadError::Invalid(found)) = error else { panic!("{error:?}") };
    let said = found.to_string();
    assert!(said.contains("`volume` is already defined for the topic `orders`"), "{said}");
    assert!(said.contains("2.yaml:5:11") && said.contains("1.yaml:5"), "{said}");
}

#[test]
fn of_patterns_that_overlap_the_first_wins_and_the_other_is_reported() {
    let set = set(&[
        ("1.yaml", &file("pattern: \"ord.*\"", "volume", "1m")),
        ("2.yaml", &file("pattern: \".*ers\"", "volume", "1m")),
    ])
    .unwrap();
    let rules = set.for_topic("orders");
    assert_eq!(rules.rules.len(), 1);
    assert!(rules.rules[0].origin.file.ends_with("1.yaml"));
    let clashes = set.clashes("orders");
    assert_eq!(clashes.len(), 1);
    assert!(clashes[0].ignored.file.ends_with("2.yaml"), "{}", clashes[0]);
    assert!(set.clashes("ordinary").is_empty());
}

#[test]
fn hashes_are_stable_and_go_by_what_changes_a_verdict() {
    let text = file("topic: orders", "volume", "1m");
    let of = |text: &str| set(&[("a.yaml", text)]).unwrap();
    let base = of(&text);
    // Another folder, a comment, a description: the same rules.
    let same = of(&format!("# a comment\n{}", text.replace("0 }", "0, description: d }")));
    assert_eq!((base.hash, base.for_topic("orders").hash), (same.hash, same.for_topic("orders").hash));
    for (from, to) in [
        ("GreaterThan: 0", "GreaterThan: 1"),
        ("GreaterThan: 0", "GreaterOrEqualTo: 1"),
        ("size: 1m", "size: 2m"),
        ("id: volume", "id: volumes"),
        ("0 }", "0, severity: info }"),
        ("0 }", "0, for: 2 }"),
        ("0 }", "0, baseline: previous }"),
    ] {
        let other = of(&text.replace(from, to));
        assert_ne!(base.hash, other.hash, "{to}");
        assert_ne!(base.for_topic("orders").hash, other.for_topic("orders").hash, "{to}");
    }
    assert_ne!(base.for_topic("orders").hash, base.for_topic("payments").hash);
    // Written down, because agents and collectors of different builds compare it.
    assert_eq!(base.hash, 10_882_077_035_882_899_259);
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(
        keys in proptest::collection::vec("(version|topic|topics|pattern|decode|window|sample|checks|slos|tests|owner)", 1..6),
        values in proptest::collection::vec("(1|orders|\\[\\]|\\{\\}|\\[\\{ id: a, metric: (rowCount|drift|invalidValues), field: (\\$.a|1|~), arguments: (\\{ \\}|1) \\}\\]|\\{ (size|schema|value|name|id): (1|~|\\[\\]) \\})", 6),
    ) {
        let text: String = keys.iter().zip(&values).map(|(key, value)| format!("{key}: {value}\n")).collect();
        let limits = Limits::default();
        let (file, found) = CheckFile::inspect(Path::new("a.yaml"), &text, &Loader::files(&limits));
        proptest::prop_assert_eq!(file.is_some(), found.errors() == 0);
    }
}

/// Counts by the values of one field are never added to those of another.
#[test]
fn what_divides_the_counts_is_part_of_what_is_measured() {
    let definition = |head: &str, metric: &str| {
        let text =
            format!("version: 1\ntopic: t\n{head}\nchecks:\n  - {{ id: c, metric: {metric}, mustBe: 0 }}\n");
        CheckSet::of(vec![Arc::new(parse(&text))]).for_topic("t").definition("c").unwrap()
    };
    let by = ["", "segment_by: $.a", "segment_by: $.b"];
    let [none, a, b] = by.map(|head| definition(head, "missingValues, field: $.x"));
    assert!(none != a && a != b && none != b);
    let [none, a, b] = by.map(|head| definition(head, "distinctCount, field: $.x"));
    assert!(none == a && a == b, "not counted by segment");
}
