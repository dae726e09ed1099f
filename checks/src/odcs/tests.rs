//! Contracts become checks, and what cannot be one is named.

use std::path::Path;

use super::*;
use crate::fixtures;
use crate::limits::Limits;
use crate::rules::{CheckSet, Rule};
use crate::verdict::Status;
use crate::yaml::Level;

const CONTRACT: &str = r#"apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
version: 1.0.0
status: active
name: orders contract
dataProduct: shop
servers:
  - { server: prod, type: kafka, host: "broker:9092", format: json }
schema:
  - name: orders
    physicalName: shop.orders
    logicalType: object
    physicalType: topic
    properties:
      - name: order_id
        logicalType: string
        logicalTypeOptions: { minLength: 3, maxLength: 12 }
        primaryKey: true
        primaryKeyPosition: 1
      - name: amount
        logicalType: number
        logicalTypeOptions: { minimum: 0, exclusiveMaximum: 1000, multipleOf: 0.01 }
        required: true
        quality:
          - metric: nullValues
            mustBeLessThan: 1
            unit: percent
            severity: warning
      - name: status
        logicalType: string
        enum: [new, { value: paid }, shipped]
        quality:
          - { type: text, description: Somebody looked at it. }
          - type: sql
            query: SELECT COUNT(*) FROM {object} WHERE {property} IS NULL
            mustBe: 0
      - name: customer
        logicalType: object
        properties:
          - { name: email, logicalType: string, required: true }
          - name: phone
            logicalType: string
            quality:
              - metric: missingValues
                arguments: { missingValues: [null, "", "N/A"] }
                mustBeLessThan: 100
      - name: items
        logicalType: array
        required: true
        items:
          logicalType: object
          properties:
            - { name: price, logicalType: number, logicalTypeOptions: { minimum: 0 }, required: true }
      - name: placed_at
        logicalType: timestamp
    quality:
      - { metric: rowCount, mustBeBetween: [1, 1000], name: Some orders }
      - metric: duplicateValues
        mustBe: 0
        arguments: { properties: [status, order_id] }
      - { type: custom, engine: soda, implementation: "type: row_count" }
      - type: custom
        engine: tapline
        name: totals
        implementation: |
          metric: failedRows
          expr: value.amount >= 0
          unit: percent
          mustBeLessThan: 1
  - name: order_table
    physicalType: table
    properties: [{ name: id, logicalType: integer }]
slaProperties:
  - { property: latency, value: 4, unit: d }
  - { property: retention, value: 3, unit: y, element: orders }
"#;

fn read(text: &str) -> (Vec<CheckFile>, Diagnostics) {
    let limits = Limits::default();
    let node = yaml::parse(text, &limits).unwrap();
    assert!(may_be_contract(text) && is_contract(&node));
    inspect(Path::new("contract.yaml"), text, &node, &Loader::files(&limits))
}

fn rule<'a>(file: &'a CheckFile, id: &str) -> &'a Rule {
    let ids: Vec<_> = file.rules.iter().map(|rule| rule.id.as_str()).collect();
    file.rules.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("no {id} among {ids:?}"))
}

#[test]
fn formats_become_checks_as_far_as_the_language_has_them() {
    let contract = |server: &str, properties: &str| {
        format!(
            "apiVersion: v3.1.0\nkind: DataContract\nid: c\nversion: 1.0.0\nstatus: active\n\
             servers: [{{ server: p, type: kafka, host: b, format: {server} }}]\n\
             schema: [{{ name: t, physicalType: topic, properties: [{properties}] }}]\n"
        )
    };
    let format_of = |server: &str, property: &str| {
        let text = contract(server, &format!("{{ name: a, {property} }}"));
        let (files, found) = read(&text);
        let rule = files[0].rules.iter().find(|rule| rule.id == "a-type");
        let format = rule.and_then(|rule| match &rule.metric {
            crate::rules::Metric::InvalidValues { valid, .. } => valid.format.map(|format| format.as_str()),
            _ => None,
        });
        (format, found.warnings())
    };
    for (property, format, warnings) in [
        ("logicalType: string, logicalTypeOptions: { format: email }", Some("email"), 0),
        ("logicalType: string, logicalTypeOptions: { format: uuid }", Some("uuid"), 0),
        ("logicalType: string, logicalTypeOptions: { format: password }", None, 1),
        ("logicalType: date", Some("date"), 0),
        ("logicalType: timestamp", Some("date-time"), 0),
        ("logicalType: date, logicalTypeOptions: { format: yyyy-MM-dd }", Some("date"), 0),
        ("logicalType: date, logicalTypeOptions: { format: dd.MM.yyyy }", None, 2),
    ] {
        assert_eq!(format_of("json", property), (format, warnings), "{property}");
    }
    assert_eq!(format_of("avro", "logicalType: timestamp"), (None, 1));
}

#[test]
fn schema_and_quality_become_checks_of_the_topic() {
    let (files, found) = read(CONTRACT);
    assert_eq!(found.errors(), 0, "{found}");
    let [file] = files.as_slice() else { panic!("{} files", files.len()) };
    assert!(file.topics.selects("shop.orders") && !file.topics.selects("orders"));
    assert_eq!(file.owner, "shop");
    for (id, metric, field, must) in [
        ("order_id-required", "missingValues", Some("$.order_id"), "mustBe 0"),
        ("order_id-not-null", "nullValues", Some("$.order_id"), "mustBe 0"),
        ("order_id-unique", "duplicateValues", Some("$.order_id"), "mustBe 0"),
        ("order_id-type", "invalidValues", Some("$.order_id"), "mustBe 0"),
        ("amount-null-values", "nullValues", Some("$.amount"), "mustBeLessThan 1"),
        ("status-enum", "invalidValues", Some("$.status"), "mustBe 0"),
        ("customer-email-required", "failedRows", None, "mustBe 0"),
        ("items-price-required", "missingValues", Some("$.items[].price"), "mustBe 0"),
        ("some-orders", "rowCount", None, "mustBeBetween [1, 1000]"),
        ("totals", "failedRows", None, "mustBeLessThan 1"),
    ] {
        let rule = rule(file, id);
        assert_eq!(rule.metric.name(), metric, "{id}");
        assert_eq!(rule.field().map(|f| f.text.as_str()), field, "{id}");
        assert_eq!(rule.must(), must, "{id}");
        assert_eq!(rule.origin.file, Path::new("contract.yaml"));
    }
    let nulls = rule(file, "amount-null-values");
    assert_eq!((nulls.unit.as_str(), nulls.severity.as_str()), ("percent", "warning"));
    let line = CONTRACT.lines().position(|l| l.contains("metric: nullValues")).unwrap() + 1;
    assert_eq!(nulls.origin.line, line);
}

#[test]
fn what_cannot_be_a_check_is_named_where_it_stands() {
    let (_, found) = read(CONTRACT);
    assert!(found.iter().all(|d| d.level == Level::Warning && d.line > 0));
    for (what, line) in [
        ("a rule in words is not checked", "type: text"),
        ("a rule in SQL is not checked", "type: sql"),
        ("`exclusiveMaximum` is not checked", "exclusiveMaximum"),
        ("`multipleOf` is not checked", "multipleOf"),
        ("a rule for `soda` is not checked", "engine: soda"),
        ("an object of type `table` is no topic", "physicalType: table"),
        ("the service level `latency` is not checked", "property: latency"),
        ("the service level `retention` is not checked", "property: retention"),
    ] {
        let number = CONTRACT.lines().position(|l| l.contains(line)).unwrap() + 1;
        let said =
            found.iter().find(|d| d.message.contains(what)).unwrap_or_else(|| panic!("{what}: {found}"));
        assert_eq!(said.line, number, "{said}");
        assert!(said.help.is_some(), "{said}");
    }
}

/// Statuses of a contract's checks on records.
fn judged(contract: &str, given: &[&str]) -> Vec<(String, Status)> {
    let (files, found) = read(contract);
    assert_eq!(found.errors(), 0, "{found}");
    let mut file = files.into_iter().next().unwrap();
    let record = |value: &&str| crate::rules::FixtureRecord {
        topic: None,
        key: None,
        value: Some((*value).to_owned()),
        headers: Vec::new(),
        at_ms: 0,
        repeat: 1,
    };
    file.tests = vec![crate::rules::Fixture {
        before: Vec::new(),
        name: "t".to_owned(),
        given: given.iter().map(record).collect(),
        expect: file.rules.iter().map(|rule| (rule.id.clone(), Status::Pass)).collect(),
        origin: crate::rules::Origin::default(),
    }];
    let run = fixtures::run(&CheckSet::of(vec![std::sync::Arc::new(file)]), &Limits::default());
    run.tests[0].outcomes.iter().map(|o| (o.check.clone(), o.got)).collect()
}

#[test]
fn they_are_judged_as_the_standard_means_them() {
    let good = r#"{"order_id":"o-1","amount":5,"status":"paid","customer":{"email":"a","phone":"1"},"items":[{"price":1}],"placed_at":"2026-01-01T00:00:00Z"}"#;
    let status = |records: &[&str], id: &str| {
        let all = judged(CONTRACT, records);
        all.iter().find(|(check, _)| check == id).unwrap_or_else(|| panic!("no {id} in {all:?}")).1
    };
    for (id, status) in judged(CONTRACT, &[good]) {
        assert!(matches!(status, Status::Pass), "{id}: {status:?}");
    }
    assert_eq!(status(&[good, good], "order_id-unique"), Status::Fail);
    assert_eq!(status(&[r#"{"status":"lost"}"#], "status-enum"), Status::Fail);
    // Required within something optional: only where that is there.
    assert_eq!(status(&[r#"{"amount":1}"#], "customer-email-required"), Status::Pass);
    assert_eq!(status(&[r#"{"customer":null}"#], "customer-email-required"), Status::Pass);
    assert_eq!(status(&[r#"{"customer":{}}"#], "customer-email-required"), Status::Fail);
    assert_eq!(status(&[r#"{"customer":{"email":null}}"#], "customer-email-required"), Status::Fail);
    assert_eq!(status(&[r#"{"items":[{"price":1},{}]}"#], "items-price-required"), Status::Fail);
    assert_eq!(status(&[r#"{"amount":"5"}"#], "amount-type"), Status::Fail);
    let missing = CONTRACT.replace("mustBeLessThan: 100", "mustBe: 0");
    let stands_for = |record: &str| {
        judged(&missing, &[record])
            .into_iter()
            .find(|(id, _)| id == "customer-phone-missing-values")
            .unwrap()
            .1
    };
    assert_eq!(stands_for(r#"{"customer":{"phone":"N/A"}}"#), Status::Fail);
    assert_eq!(stands_for(r#"{"customer":{"phone":null}}"#), Status::Fail);
    assert_eq!(stands_for(r#"{"customer":{"phone":"030"}}"#), Status::Pass);
}

#[test]
fn older_names_and_loose_writing_are_understood() {
    let text = r#"apiVersion: v3.0.2
kind: DataContract
schema:
  - name: t
    properties:
      - name: a
        quality:
          - { rule: duplicateCount, mustBeLessThan: 10, unit: rows }
          - { rule: nullCheck, mustBe: 0 }
          - { type: library, rule: validValues, validValues: [x, y], mustBe: 0 }
          - metric: invalidValues
            mustBe: 0
            arguments:
            pattern: "^[A-Z]+$"
          - { metric: nullValues, mustBeGreaterOrEqualTo: 1, mustBeLessThan: 5 }
          - { metric: nullValues }
          - { metric: entropy, mustBe: 0 }
          - { metric: nullValues, mustBe: lots }
          - { description: nothing }
    quality: [{ rule: countCheck, mustBeGreaterThan: 0 }]
"#;
    let (files, found) = read(text);
    assert_eq!((files.len(), found.errors()), (1, 0), "{found}");
    let metrics: Vec<_> = files[0].rules.iter().map(|r| (r.metric.name(), r.must())).collect();
    let expected = [
        ("duplicateValues", "mustBeLessThan 10"),
        ("nullValues", "mustBe 0"),
        ("invalidValues", "mustBe 0"),
        ("invalidValues", "mustBe 0"),
        ("nullValues", "mustBeGreaterOrEqualTo 1"),
        ("nullValues", "mustBeLessThan 5"),
        ("rowCount", "mustBeGreaterThan 0"),
    ];
    let expected: Vec<_> = expected.map(|(metric, must)| (metric, must.to_owned())).to_vec();
    assert_eq!(metrics, expected);
    assert_eq!(found.warnings(), 4, "{found}");
    assert!(found.to_string().contains("unknown metric `entropy`"), "{found}");
}

#[test]
fn hostile_contracts_end_in_words() {
    let deep = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nschema:\n  - name: t\n    properties:\n      - {}name: x{}\n",
        "{ name: a, required: true, properties: [".repeat(25),
        " ] }".repeat(25)
    );
    for text in [
        "apiVersion: v3.1.0\nkind: DataContract\n",
        "apiVersion: v2.2.2\nkind: DataContract\nschema: 5\n",
        "apiVersion: v3\nkind: [DataContract]\nschema: [[], 5, {}, { name: [] }, { name: 'no topic' }]\n",
        "apiVersion: v3.1.0\nkind: DataContract\nschema: [{ name: t, properties: [5, { name: { a: b } }, { name: a, quality: 7, items: 3, logicalType: [], enum: {} }] }]\n",
        deep.as_str(),
    ] {
        let Ok(node) = yaml::parse(text, &Limits::default()) else { continue };
        let limits = Limits::default();
        let (files, found) = inspect(Path::new("c.yaml"), text, &node, &Loader::files(&limits));
        assert_eq!(found.errors(), 0, "{found}");
        assert!(!found.is_empty() || !files.is_empty(), "{text}");
    }
    // Names beyond what an id may be get one of their own.
    let text = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nschema:\n  - name: t\n    properties:\n      - {{ name: {0}a, unique: true }}\n      - {{ name: {0}b, unique: true }}\n",
        "é".repeat(5) + &"x".repeat(90)
    );
    let (files, found) = read(&text);
    assert_eq!(files[0].rules.len(), 2, "{found}");
}

#[test]
fn several_properties_are_one_key() {
    let contract = r#"apiVersion: v3.1.0
kind: DataContract
schema:
  - name: t
    physicalType: topic
    properties:
      - { name: id, logicalType: string, primaryKey: true, primaryKeyPosition: 2 }
      - { name: tenant, physicalName: tenant_id, logicalType: string, primaryKey: true, primaryKeyPosition: 1 }
    quality:
      - { metric: duplicateValues, mustBeLessThan: 2, arguments: { properties: [tenant, id] } }
      - { metric: duplicateValues, mustBe: 0, name: tenants, arguments: { properties: [tenant] } }
      - { metric: nullValues, mustBe: 0, arguments: { properties: [tenant, id] } }
"#;
    let (files, found) = read(contract);
    assert_eq!((found.errors(), found.warnings()), (0, 1), "{found}");
    assert!(
        found.to_string().contains("`nullValues` of several properties together is not counted"),
        "{found}"
    );
    for (id, first, others) in [
        ("tenant_id-id-unique", "$.tenant_id", vec!["$.id"]),
        ("duplicatevalues", "$.tenant_id", vec!["$.id"]),
        ("tenants", "$.tenant_id", vec![]),
    ] {
        let rules = &files[0].rules;
        let rule =
            rules.iter().find(|rule| rule.id.replace('-', "") == id.replace('-', "")).unwrap_or_else(|| {
                panic!("no {id} among {:?}", rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())
            });
        let crate::rules::Metric::DuplicateValues { field, with } = &rule.metric else { panic!("{rule:?}") };
        assert_eq!(field.text, first, "{id}");
        assert_eq!(with.iter().map(|f| f.text.as_str()).collect::<Vec<_>>(), others, "{id}");
    }
    let status = |records: &[&str]| {
        let all = judged(contract, records);
        all.iter().find(|(id, _)| id == "tenant_id-id-unique").unwrap().1
    };
    let (a, b) = (r#"{"id":"1","tenant_id":"a"}"#, r#"{"id":"1","tenant_id":"b"}"#);
    assert_eq!(status(&[a, b]), Status::Pass);
    assert_eq!(status(&[a, b, a]), Status::Fail);
}

#[test]
fn service_levels_of_time_become_checks() {
    let contract = |levels: &str, format: &str| {
        format!(
            "apiVersion: v3.1.0\nkind: DataContract\nservers: [{{ server: p, type: kafka, format: {format} }}]\n\
             schema:\n  - name: orders\n    physicalName: shop.orders\n    physicalType: topic\n    properties:\n      \
             - {{ name: created, physicalName: created_at, logicalType: timestamp }}\n      - {{ name: n, logicalType: integer }}\n\
             slaProperties:\n{levels}"
        )
    };
    let of = |levels: &str, format: &str| {
        let (files, found) = read(&contract(levels, format));
        assert_eq!(found.errors(), 0, "{found}");
        let rules = files[0].rules.iter().filter(|r| matches!(r.metric.name(), "delay" | "freshness"));
        let field = |r: &Rule| r.field().map(|f| f.text.clone()).unwrap_or_default();
        let rules: Vec<_> =
            rules.map(|r| format!("{} {} {} {}", r.id, r.metric.name(), field(r), r.must())).collect();
        (rules.join("; "), found.iter().filter(|d| d.message.contains("service level")).count())
    };
    for (levels, format, checks, named) in [
        (
            "  - { property: frequency, value: 1, unit: d }\n",
            "json",
            "freshness freshness  mustBeLessOrEqualTo 86400",
            0,
        ),
        (
            "  - { property: frequency, value: 2, unit: h, element: orders }\n",
            "json",
            "freshness freshness  mustBeLessOrEqualTo 7200",
            0,
        ),
        ("  - { property: frequency, value: 2, unit: h, element: payments }\n", "json", "", 1),
        (
            "  - { property: latency, value: 4, unit: d, element: orders.created }\n",
            "json",
            "latency delay $.created_at mustBeLessOrEqualTo 345600",
            0,
        ),
        (
            "  - { property: latency, value: 30, unit: min, element: shop.orders.created_at }\n",
            "json",
            "latency delay $.created_at mustBeLessOrEqualTo 1800",
            0,
        ),
        // In Avro a timestamp is a number, of a unit that the contract does not say.
        ("  - { property: latency, value: 4, unit: d, element: orders.created }\n", "avro", "", 1),
        ("  - { property: latency, value: 4, unit: d, element: orders.n }\n", "json", "", 1),
        ("  - { property: latency, value: soon, unit: d, element: orders.created }\n", "json", "", 1),
        ("  - { property: latency, value: 4, unit: m, element: orders.created }\n", "json", "", 1),
        (
            "  - { property: retention, value: 3, unit: y }\n  - { property: endOfLife, value: \"2030-01-01T00:00:00Z\" }\n  - { value: 3 }\n",
            "json",
            "",
            3,
        ),
        ("  - { property: timeToRepair, value: 3, unit: h }\n", "json", "", 1),
    ] {
        assert_eq!(of(levels, format), (checks.to_owned(), named), "{levels} of {format}");
    }
}
