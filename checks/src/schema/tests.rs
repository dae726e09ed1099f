use proptest::prelude::*;
use serde_json::json;

use super::tape::{TapeJson, TapeNode};
use super::*;
use crate::redact::Redaction;
use crate::tape::{Tape, json as decoder};

fn limits() -> Limits {
    Limits::default()
}

fn with<T>(text: &str, then: impl FnOnce(Document<'_>) -> T) -> T {
    let (mut shape, mut tape) = (Shape::new(&limits()), Tape::new());
    then(decoder::decode(text.as_bytes(), &mut shape, &mut tape, &limits()).expect("decodes"))
}

/// Of a document alone: nothing is learned of its fields.
fn fits(schema: &Schema, document: Document<'_>) -> bool {
    schema.is_valid(document, &mut Shape::new(&limits()))
}

#[test]
fn the_tape_keeps_the_contract_of_the_validator() {
    with(&jsonschema::json::conformance::document().to_string(), |document| {
        jsonschema::json::conformance::assert_conformance::<TapeJson>(&TapeNode::Value(document.root()));
    });
}

#[test]
fn an_error_says_where_and_what_and_is_cut() {
    let limits = Limits { string_bytes: 40, ..limits() };
    let text = json!({"type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {"type": "integer"}, "items": {"items": {"properties": {"a/b": {"maxLength": 3}}}}}});
    let schema = Schema::compile(&text.to_string(), &limits).unwrap();
    with(r#"{"id":1,"items":[{},{"a/b":"abc"}]}"#, |d| {
        assert!(fits(&schema, d));
        assert_eq!(schema.first_error(d, &Redaction::default()), "");
    });
    with(r#"{"id":1,"items":[{},{"a/b":"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop"}]}"#, |d| {
        assert!(!fits(&schema, d));
        let error = schema.first_error(d, &Redaction::default());
        assert!(error.starts_with("/items/1/a~1b: value is longer than 3 characters: \"abcdefg"), "{error}");
        assert!(error.len() < 120 && error.ends_with('…'), "{error}");
    });
    with(r#"{"items":[]}"#, |d| {
        assert_eq!(
            schema.first_error(d, &Redaction::default()),
            "/: \"id\" is a required property: {\"items\":[]}"
        );
    });
    with(&format!(r#"{{"id":1,"\u001b[31m{}":2}}"#, "x".repeat(10_000)), |d| {
        let error = schema.first_error(d, &Redaction::default());
        assert!(error.len() < 150 && error.chars().all(printable), "{error}");
    });
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    let compile = |text: &str| Schema::compile(text, &limits()).expect_err("refused");
    assert!(matches!(compile("{"), SchemaError::NotJson(_)));
    let failures = [
        (r#"{"$ref":"https://example.com/other.json"}"#, "references are only resolved within"),
        (r##"{"$ref":"#/$defs/nothing"}"##, "nothing"),
        (r#"{"type":"strin"}"#, "strin"),
        (r#"{"pattern":"(?=x)"}"#, "not a usable JSON Schema"),
        (r#"{"pattern":"(a)\\1"}"#, "not a usable JSON Schema"),
        (r#"{"pattern":"(((a{1000}){1000}){1000})"}"#, "not a usable JSON Schema"),
        ("[]", "not a usable JSON Schema"),
    ];
    for (text, expected) in failures {
        let error = compile(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let limits = Limits { schema_bytes: 10, ..limits() };
    assert!(matches!(Schema::compile("{\"type\":\"string\"}", &limits), Err(SchemaError::TooLarge { .. })));
    let deep = format!("{}{}", r#"{"not":"#.repeat(5_000), "{}");
    assert!(matches!(compile(&deep), SchemaError::NotJson(_)));
}

/// A schema that uses every keyword that reads values differently.
fn schema() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["id", "status"],
        "properties": {
            "id": {"type": "integer", "minimum": 0, "exclusiveMaximum": 1000, "multipleOf": 1},
            "amount": {"type": "number", "maximum": 99.5},
            "status": {"enum": ["new", "paid", 1, null, {"a": [1.0]}]},
            "name": {"type": ["string", "null"], "minLength": 2, "maxLength": 5, "pattern": "^[a-zä-ö]+$"},
            "tags": {"type": "array", "uniqueItems": true, "minItems": 1, "maxItems": 4, "contains": {"type": "integer"}},
            "nested": {"$ref": "#"},
            "constant": {"const": {"x": [1, 2.0]}}
        },
        "patternProperties": {"^x-": {"type": "string"}},
        "propertyNames": {"maxLength": 8},
        "maxProperties": 6,
        "dependentRequired": {"amount": ["name"]},
        "unevaluatedProperties": {"type": ["integer", "null"]},
        "if": {"properties": {"status": {"const": "paid"}}},
        "then": {"required": ["amount"]}
    })
}

fn nearly_valid() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!(-0.0)),
        Just(json!(0)),
        Just(json!(1e30)),
        Just(json!(u64::MAX)),
        Just(json!(99.5)),
        Just(json!(0.5)),
        Just(json!("new")),
        Just(json!("paid")),
        Just(json!("ä")),
        Just(json!("äöäöä")),
        Just(json!("abcdef")),
        (0..1200i64).prop_map(Into::into),
        Just(json!({"a": [1]})),
        Just(json!({"x": [1.0, 2]})),
    ];
    let value =
        prop_oneof![4 => scalar.clone(), 1 => prop::collection::vec(scalar, 0..5).prop_map(Into::into)];
    let key = prop::sample::select(vec![
        "id",
        "amount",
        "status",
        "name",
        "tags",
        "constant",
        "x-a",
        "extra",
        "much too long",
    ]);
    let object = prop::collection::btree_map(key, value, 0..7).prop_map(|mut members| {
        members.entry("id").or_insert(json!(7));
        members.entry("status").or_insert(json!("new"));
        members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>()
    });
    (object.clone(), prop::option::of(object)).prop_map(|(mut outer, inner)| {
        if let Some(inner) = inner {
            outer.insert("nested".into(), inner.into());
        }
        outer.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_verdict_on_the_tape_is_the_verdict_on_the_tree(document in nearly_valid()) {
        thread_local! {
            static SCHEMAS: (Schema, jsonschema::Validator) = (
                Schema::compile(&schema().to_string(), &Limits::default()).unwrap(),
                jsonschema::validator_for(&schema()).unwrap(),
            );
        }
        SCHEMAS.with(|(ours, theirs)| {
            with(&document.to_string(), |d| {
                assert_eq!(fits(ours, d), theirs.is_valid(&document), "{document}");
                assert_eq!(ours.first_error(d, &Redaction::default()).is_empty(), fits(ours, d), "{document}");
            });
        });
    }

    #[test]
    fn any_document_gets_the_same_verdict(document in crate::tape::tests::any_json(), other in crate::tape::tests::any_json()) {
        let schema = json!({"anyOf": [{"const": other}, {"uniqueItems": true, "minProperties": 1,
            "propertyNames": {"pattern": "[a-f]"}, "additionalProperties": {"type": ["integer", "array", "string"], "minLength": 1}}]});
        let ours = Schema::compile(&schema.to_string(), &limits()).unwrap();
        let theirs = jsonschema::validator_for(&schema).unwrap();
        for document in [document, other] {
            with(&document.to_string(), |d| assert_eq!(fits(&ours, d), theirs.is_valid(&document), "{document}"));
        }
    }
}

#[test]
fn a_schema_at_the_limits_of_references_compiles_and_decides() {
    let mut defs = serde_json::Map::new();
    for i in 0..130 {
        defs.insert(format!("d{i}"), json!({"properties": {"a": {"$ref": format!("#/$defs/d{}", i + 1)}}}));
    }
    defs.insert("d130".into(), json!({"type": "object"}));
    let schema = json!({"$ref": "#/$defs/d0", "$defs": defs}).to_string();
    let schema = Schema::compile(&schema, &limits()).unwrap();
    with(r#"{"a":{"a":{"a":1}}}"#, |d| assert!(fits(&schema, d)));
    let twice =
        json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, "b": {"type": "integer"}}});
    let twice = Schema::compile(&twice.to_string(), &limits()).unwrap();
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    with(&deep, |d| assert!(fits(&twice, d)));
    let late =
        |depth: usize| format!("{}{{}}{},\"b\":\"x\"}}", r#"{"a":"#.repeat(depth), "}".repeat(depth - 1));
    with(&late(5), |d| {
        assert!(twice.first_error(d, &Redaction::default()).starts_with("/b: value is not of type"))
    });
    with(&late(60), |d| {
        assert!(twice.first_error(d, &Redaction::default()).starts_with("/: does not fit the schema"))
    });
    let either =
        json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "b": {"type": "integer"}}});
    let either = Schema::compile(&either.to_string(), &limits()).unwrap();
    let deepest = format!("{}{{\"b\":\"x\"}}{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    with(&deepest, |d| {
        assert!(!fits(&either, d) && !either.first_error(d, &Redaction::default()).is_empty())
    });
}
