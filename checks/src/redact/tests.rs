use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::patterns::LOOKED_AT;
use super::*;
use crate::judge::past::History;
use crate::limits::Limits;
use crate::offline::{self, Beside, Lines, Piece};
use crate::rules::{CheckFile, Loader};
use crate::{profile, suggest};

#[test]
fn what_gives_itself_away_is_hidden() {
    for (shown, hidden) in [
        ("mail bob.o'hara+x@mail.example.com now", "mail [email] now"),
        ("<bob@example.com>,\"a b\"@example.com", "<[email]>,[email]"),
        ("to=bob%40example.com&x=1", "[email]&x=1"),
        ("jörg@müller.example", "[email]"),
        ("root@[127.0.0.1]", "[email]"),
        // Test numbers of the networks.
        ("4111111111111111", "[card]"),
        ("card 4111 1111 1111 1111, ok", "card [card], ok"),
        ("5555-5555-5555-4444", "[card]"),
        ("378282246310005", "[card]"),
        ("30569309025904", "[card]"),
        ("6011111111111117", "[card]"),
        ("3530111333300000", "[card]"),
        ("2223003122003222", "[card]"),
        ("4222222222222", "[card]"),
        ("id=994111111111111111", "id=99[card]"),
        // RFC 7519, 3.1; RFC 6750, 2.1; AWS's own examples.
        ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP", "[token]"),
        ("Authorization: Bearer mF_9.B5f-4.1JqM", "Authorization: Bearer [token]"),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic [token]"),
        ("AKIAIOSFODNN7EXAMPLE", "[token]"),
        ("key=AKIAIOSFODNN7EXAMPLE;", "key=[token];"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[token]"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[token]"),
        ("0123456789abcdef0123456789abcdef", "[token]"),
    ] {
        assert_eq!(text(shown), hidden, "{shown}");
        assert!(is_sensitive(shown));
    }
    for plain in [
        "",
        "an order of 12 items",
        "2026-11-28T07:57:08.123456Z",
        "1764316628123",
        "1764316628123456",
        "8f14e45f-ceea-467f-9c2b-1d2f3a4b5c6d",
        "4111111111111112",
        "https://example.com/a/rather/long/path/to/some/resource.html?page=2",
        "orders-payments-2026-11-28-batch-0001-of-0100",
        "customerDepartmentShippingAddressLine2",
        "basic plan",
        "user @ home",
        "@mention",
        "192.168.178.101",
    ] {
        assert_eq!(text(plain), plain);
    }
    assert!(is_card(4_111_111_111_111_111.0) && !is_card(1_764_316_628_123.0) && !is_card(f64::NAN));
}

#[test]
fn fields_are_hidden_with_what_is_within_them() {
    let path = |text: &str| FieldPath::parse(text).unwrap();
    let redaction = Redaction::new(["$.a.b", "$.items[].pin", "$.m.*", "$.c"].map(path).to_vec());
    for hidden in ["$.a.b", "$.a.b.c", "$.items[].pin", "$.m.x", "$.m.*", "$.c[].d"] {
        assert!(redaction.hides(&path(hidden)), "{hidden}");
    }
    for shown in ["$.a", "$.a.c", "$.items", "$.items[].name", "$.m", "$.b"] {
        assert!(!redaction.hides(&path(shown)), "{shown}");
    }
    // Any member may be the hidden one.
    assert!(redaction.hides(&path("$.a.*")));
}

const CHECKS: &str = "
version: 1
topic: orders
redact: [$.hidden, \"$.items[].hidden\", $.deep.hidden]
decode: { value: json, schema: { file: s.json } }
checks:
  - { id: text, metric: invalidValues, field: $.text, arguments: { maxLength: 1 }, mustBe: 0 }
  - { id: hidden, metric: invalidValues, field: $.hidden, arguments: { maxLength: 0 }, mustBe: 0 }
  - { id: items, metric: invalidValues, field: \"$.items[].hidden\", arguments: { maxLength: 0 }, mustBe: 0 }
  - { id: list, metric: invalidValues, field: \"$.items\", arguments: { type: string }, mustBe: 0 }
  - { id: deep, metric: invalidValues, field: $.deep, arguments: { type: string }, mustBe: 0 }
  - { id: map, metric: invalidValues, field: $.map, arguments: { type: string }, mustBe: 0 }
  - { id: number, metric: invalidValues, field: $.number, arguments: { max: 0 }, mustBe: 0 }
  - { id: copies, metric: duplicateValues, field: $.text, mustBe: 0 }
  - { id: nulls, metric: nullValues, field: $.hidden, mustBe: 0 }
  - { id: rows, metric: failedRows, expr: \"value.hidden == value.text && size(value) == 0\", mustBe: 0 }
  - { id: cast, metric: failedRows, expr: \"int(value.hidden) > 0\", mustBe: 0 }
  - { id: time, metric: failedRows, expr: \"timestamp(value.text) > meta.timestamp\", mustBe: 0 }
  - { id: key, metric: failedRows, expr: \"value.deep[value.hidden] == 1\", mustBe: 0 }
  - { id: schema, metric: schemaViolations, mustBe: 0 }
  - { id: decodes, metric: decodeFailures, mustBe: 0 }
  - { id: new-text, metric: newValues, field: $.text, mustBe: 0 }
  - { id: new-hidden, metric: newValues, field: $.hidden, mustBe: 0 }
  - { id: new-items, metric: newValues, field: \"$.items[].hidden\", mustBe: 0 }
  - { id: new-number, metric: newValues, field: $.number, mustBe: 0 }
  - { id: gaps, metric: sequenceGaps, field: $.number, arguments: { by: partition }, mustBe: 0 }
  - { id: gaps-text, metric: sequenceGaps, field: $.text, arguments: { by: $.hidden }, mustBe: 0 }
  - { id: gaps-hidden, metric: sequenceGaps, field: $.hidden, arguments: { by: partition }, mustBe: 0 }
  - { id: gaps-deep, metric: sequenceGaps, field: $.deep, arguments: { by: partition }, mustBe: 0 }
  - id: followed
    metric: notFollowedBy
    arguments: { when: \"int(value.hidden) > 0\", then: \"int(value.text) > 0\", within: 1s, by: $.number }
    mustBe: 0
  - id: many
    metric: tooMany
    arguments: { when: \"value.deep[value.text] != value.hidden\", moreThan: 1, within: 1s, by: $.number }
    mustBe: 0
  - { id: came, metric: fieldsAdded, mustBe: 0 }
  - { id: went, metric: fieldsRemoved, mustBe: 0 }
  - { id: types, metric: typeChanged, mustBe: 0 }
";
const SCHEMA: &str = r#"{ "properties": { "hidden": { "type": "integer" }, "text": { "maxLength": 1 },
    "deep": { "maxProperties": 0 }, "map": { "additionalProperties": false } } }"#;

/// Everything that `tapline check`, `profile` and `init` could say of the data.
fn said(data: &str) -> String {
    let limits = Limits::default();
    let loader = Loader::with(&limits, |_| Ok(SCHEMA.to_owned()));
    let file = CheckFile::parse(Path::new("c.yaml"), CHECKS, &loader).unwrap_or_else(|e| panic!("{e}"));
    let rules = file.for_topic("orders");
    let feed = |mut piece: Piece, data: &str| {
        let mut lines = Lines::new(std::io::Cursor::new(data), 1 << 20);
        while let Some(line) = lines.next().unwrap() {
            piece.take_line(line);
        }
        piece
    };
    // What is new is said against a past.
    let plain = feed(Piece::new(&rules, &limits).unwrap(), &line(&json!(1), "x", 6, "")).summary();
    let mut past = History::default();
    for window in -12..0 {
        past.keep(&rules, window * 60_000, (window + 1) * 60_000, &plain, Vec::new());
    }
    let beside = Beside { past: Some(&past), ..Beside::default() };
    let mut summary = feed(Piece::new(&rules, &limits).unwrap(), data).summary();
    let judged = offline::judge_beside(&rules, &summary, (0, 60_000), None, beside);
    // Numbers of sequences go to the collector as numbers, and are in nothing that it says.
    let keyed = summary.rules.iter_mut().filter_map(|tally| tally.keyed.as_mut());
    keyed.flat_map(|keyed| &mut keyed.keys).for_each(|key| key.ranges.clear());
    let mut said =
        serde_json::to_string(&offline::json::check("d", "orders", &summary, &judged, false)).unwrap();
    let shown = profile::json::profile("d", &summary);
    said.push_str(&serde_json::to_string(&profile::json::with_sketches(shown, &summary)).unwrap());
    let _ = write!(said, "{summary:?}");
    let survey = feed(Piece::survey(&rules, &limits).unwrap(), data).into_survey();
    said.push_str(&suggest::check_file("orders", "d", &survey, &limits).unwrap_or_default());
    said
}

fn line(hidden: &Value, secret: &str, place: usize, before: &str) -> String {
    let text = format!("{before}{secret} after");
    let mut document = json!({
        "hidden": hidden,
        "text": if place == 0 { text.as_str() } else { "x" },
        "items": [{ "hidden": hidden, "name": if place == 1 { text.as_str() } else { "x" } }],
        "deep": { "hidden": hidden, "list": [if place == 2 { text.as_str() } else { "x" }] },
        "map": {},
        "number": if place == 6 { 5 } else { 1 },
    });
    if place == 3 {
        document["map"][secret] = json!(1);
    }
    if let (4, Ok(number)) = (place, secret.parse::<u64>()) {
        document["number"] = json!(number);
    }
    if place == 5 {
        return format!("{{\"hidden\": \"{text}\", \"{secret}\": }}\n");
    }
    format!("{document}\n")
}

fn secret() -> impl Strategy<Value = String> {
    let card = prop::sample::select(vec!["4111111111111111", "5555555555554444", "378282246310005"]);
    prop_oneof![
        "[a-z]{1,8}[.+][a-z]{3,8}@[a-z]{3,8}\\.(com|example)".boxed(),
        card.prop_map(str::to_owned).boxed(),
        "eyJ[a-zA-Z0-9]{12,20}\\.eyJ[a-zA-Z0-9]{12,20}\\.[a-zA-Z0-9_-]{20,40}".boxed(),
        "AKIA[A-Z2-7]{16}".boxed(),
        "([a-z][0-9][A-Z]){12,20}".boxed(),
        "ghp_[a-zA-Z0-9]{36}".boxed(),
    ]
}

#[test]
fn what_is_new_or_missing_is_told_without_the_values() {
    let mut data = line(&json!(700_000_001), "4111111111111111", 4, "");
    data.push_str(&line(&json!(700_000_005), "bob@mail.example", 0, ""));
    let said = said(&data);
    for shown in [
        "$.hidden: 3 numbers are missing before [redacted]",
        "$.number: 4111111111111109 numbers are missing before [redacted]",
        "no integer: \\\"[email] after",
        "no integer: {\\\"hidden\\\":[redacted]",
        "2 of 2 values of $.hidden",
    ] {
        assert!(said.contains(shown), "{shown} not in {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// A planted secret is in nothing that is said, whether it is found by field or by pattern.
    #[test]
    fn a_secret_is_never_said(
        secret in secret(), plain in "[qwz]{9,12}", number in 700_000_000u64..800_000_000,
        place in 0usize..6, before in prop_oneof![Just(String::new()), "[a-z ]{0,300}( |:)".boxed()],
        repeat in prop_oneof![Just(1usize), Just(40)],
    ) {
        // By field: what no pattern finds.
        for hidden in [json!(plain), json!(number), json!({ "in": [plain, number] }), json!([plain])] {
            let mut data = line(&hidden, &secret, place, &before).repeat(repeat);
            // Numbers on either side of what is missing, hidden and not.
            data.push_str(&line(&json!(number + 3), "x", 6, ""));
            let said = said(&data);
            prop_assert!(!said.contains(&secret), "{secret} in {said}");
            prop_assert!(!said.contains(&plain), "{plain} in {said}");
            for near in number..=number + 3 {
                prop_assert!(!said.contains(&near.to_string()), "{near} in {said}");
            }
            if let (4, Ok(card)) = (place, secret.parse::<u64>()) {
                prop_assert!(!said.contains(&(card - 1).to_string()), "{card} less 1 in {said}");
            }
        }
    }

    #[test]
    fn any_text_is_looked_through(text in any::<String>(), parts in prop::collection::vec(
        prop::sample::select(vec!["@", "%40", "4", "1", " ", "-", "é", "\"", "eyJ", ".", "bearer ", "AKIA", "[", "]", "a", "Z9"]), 0..60)) {
        for text in [text, parts.concat()] {
            let shown = super::text(&text);
            prop_assert_eq!(is_sensitive(&text), shown != text.as_str());
        }
    }
}

#[test]
fn a_long_text_is_looked_through_as_far_as_anything_is_shown() {
    let started = std::time::Instant::now();
    for hostile in ["1", "@", "a@", "4 ", "eyJ.", "bearer ", "%40", "A-", "\"@"] {
        let long = hostile.repeat((8 << 20) / hostile.len());
        assert!(text(&long).len() <= LOOKED_AT + 64 * 1024);
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
