//! What is compiled of a schema says of every document what the validator says of it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Schema;
use crate::limits::Limits;
use crate::tape::{Shape, Tape, json as decoder};

const KEYS: [&str; 5] = ["a", "b", "c", "id", "x-1"];

/// Verdicts on documents that come after each other, over one shape.
fn verdicts(schema: &Schema, documents: &[Value]) -> Vec<bool> {
    let limits = Limits::default();
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    let verdict = |document: &Value| {
        let text = document.to_string();
        let document = decoder::decode(text.as_bytes(), &mut shape, &mut tape, &limits).unwrap();
        schema.is_valid(document, &mut shape)
    };
    documents.iter().map(verdict).collect()
}

fn hold(schema: &Value, documents: &[Value]) {
    let linear = jsonschema::PatternOptions::regex();
    let Ok(theirs) = jsonschema::options().with_pattern_options(linear).build(schema) else {
        assert!(Schema::compile(&schema.to_string(), &Limits::default()).is_err(), "{schema}");
        return;
    };
    let ours = Schema::compile(&schema.to_string(), &Limits::default()).unwrap();
    // Twice: the second time by what was learned of the fields.
    let twice = [documents, documents].concat();
    for (document, verdict) in twice.iter().zip(verdicts(&ours, &twice)) {
        assert_eq!(verdict, theirs.is_valid(document), "{document} under {schema}");
    }
}

fn is_compiled(schema: &Value) -> bool {
    Schema::compile(&schema.to_string(), &Limits::default()).unwrap().plan.is_some()
}

fn is_compiled_whole(schema: &Value) -> bool {
    let schema = Schema::compile(&schema.to_string(), &Limits::default()).unwrap();
    schema.plan.is_some_and(|plan| {
        plan.subschemas.iter().all(|s| s.more.as_ref().is_none_or(|more| more.rest.is_none()))
    })
}

#[test]
fn what_looks_at_one_value_alone_is_compiled() {
    for schema in [
        json!({"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string", "minLength": 3, "maxLength": 40, "pattern": "^[A-Z]{3}-\\d+$"},
            "amount": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1e6},
            "status": {"enum": ["new", "paid", null, 1]},
            "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}}},
            "additionalProperties": false,
            "$defs": {"item": {"type": "object", "maxProperties": 3, "properties": {"price": {"const": 1}}}}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#/definitions/d"}],
            "definitions": {"d": {"type": "object"}}, "title": "t", "default": {}}),
        json!(true),
    ] {
        assert!(is_compiled_whole(&schema), "{schema}");
    }
    for schema in [
        json!({"properties": {"a": {"format": "date"}, "b": {"pattern": "\\s"}}}),
        json!({"oneOf": [{"type": "string"}, {"minimum": 3}], "type": "object"}),
        json!({"patternProperties": {"^x": {}}, "additionalProperties": false}),
    ] {
        assert!(is_compiled(&schema) && !is_compiled_whole(&schema), "{schema}");
    }
    for schema in [
        json!({"properties": {"a": {"$ref": "#"}}}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}),
        json!({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}),
        json!({"$defs": {"d": {"$anchor": "here"}}, "$ref": "#here"}),
        json!({"not": {"$ref": "#/$defs/d"}, "$defs": {"d": {"type": "null"}}}),
    ] {
        assert!(!is_compiled(&schema), "{schema}");
    }
}

#[test]
fn a_field_leads_elsewhere_under_another_schema() {
    let limits = Limits::default();
    let of = |schema: Value| Schema::compile(&schema.to_string(), &limits).unwrap();
    let (first, second) = (
        of(json!({"properties": {"a": {"type": "integer"}, "b": {}}})),
        of(json!({"properties": {"b": {}, "a": {"type": "string"}}})),
    );
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    for _ in 0..3 {
        for (schema, fits) in [(&first, true), (&second, false)] {
            let document = decoder::decode(br#"{"a":1,"b":2}"#, &mut shape, &mut tape, &limits).unwrap();
            assert_eq!(schema.is_valid(document, &mut shape), fits);
        }
    }
}

/// Keys of a map that share a field are told apart all the same.
#[test]
fn members_of_a_collapsed_map_are_looked_up_each_time() {
    let schema = json!({"properties": {"m": {"properties": {
        "11111111": {"type": "string"}, "22222222": {"type": "integer"}}, "additionalProperties": false}}});
    let documents = [
        json!({"m": {"11111111": "x", "22222222": 1}}),
        json!({"m": {"22222222": 1, "11111111": "x"}}),
        json!({"m": {"11111111": 1}}),
        json!({"m": {"33333333": 1}}),
    ];
    hold(&schema, &documents);
}

#[test]
fn large_integers_are_integers_in_every_draft() {
    for draft in ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"] {
        let documents =
            [json!(18_446_744_073_709_551_616.0), json!(1e30), json!(1.0), json!(1.5), json!(u64::MAX)];
        hold(&json!({"$schema": draft, "type": "integer"}), &documents);
    }
}

#[test]
fn patterns_mean_the_same() {
    let patterns = [
        "^[A-Z]{3}$",
        "^a+$",
        "a|b",
        "^(a|b)*c?$",
        "[^a-c]",
        "^\\d{2,}$",
        "^[\\d.]+$",
        "^\\w+$",
        "[\\w-]",
        "^(?:ab)+$",
        "\\.",
        "a{2}",
        "a{1,2}",
        "a{,2}",
        "{",
        "a{b",
        "[a-]",
        "[]a]",
        "[^]",
        "[]",
        "[a&&b]",
        "[[]",
        "[a--b]",
        "\\s",
        "\\S+",
        "\\bword\\b",
        ".",
        "^.$",
        "(?i)a",
        "(?=a)",
        "é",
        "[é-ü]",
        "\\u0041",
        "\\x41",
        "\\cA",
        "\\-",
        "a-b",
        "\\/",
        "^$",
        "",
        "$^",
        "x*",
        "[\\]]",
        "[\\\\]",
        "[$^]",
        "#",
        " ",
        "[ -~]",
        "[a~]",
        "^[0-9]+-[0-9]+$",
        "\\D",
        "\\W",
        "[\\D]",
        "\\p{L}",
        "a\\$",
        "(a)(b)",
        "a}",
        "]",
        "[\\d-z]",
        "[\\w-\\d]",
        "[a-\\d]",
        "[+--]",
        "[--a]",
    ];
    let texts = [
        "", "a", "b", "c", "ab", "aa", "abc", "ABC", "EUR", "12", "1.2", "x-y", "a.b", "é", "ü", "ö", "\n",
        "a\n", "\u{2028}", "{", "a{b", "a{,2}", "]", "[", "\\", "a]", "$", "^", "#", " ", "word", "wörd",
        "~", "&", "-", "+", ",", "/", "A", "\u{1}", "1", "٣", "_", "00-11", "a}", "d", "w", "\u{a0}",
    ];
    let documents: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
    for pattern in patterns {
        hold(&json!({"pattern": pattern}), &documents);
    }
}

fn number() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(-1),
        json!(2),
        json!(2.5),
        json!(3),
        json!(1e30),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_992i64),
        json!(9_007_199_254_740_993i64),
        json!(9_007_199_254_740_992.0),
        json!(18_446_744_073_709_551_616.0),
    ])
}

fn document() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        number(),
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "äöü", "ABC", "12", "x y"]).prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS.to_vec()), inner), 0..5).prop_map(object),
        ]
    })
}

fn object<K: ToString>(members: Vec<(K, Value)>) -> Value {
    members.into_iter().map(|(key, value)| (key.to_string(), value)).collect::<Map<_, _>>().into()
}

fn schema() -> impl Strategy<Value = Value> {
    let size = || (0u64..4).prop_map(Value::from);
    let keys = || prop::sample::subsequence(KEYS.to_vec(), 0..4);
    let type_name =
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"]);
    let one = prop_oneof![
        4 => prop_oneof![
            type_name.clone().prop_map(|t| ("type", json!(t))),
            prop::collection::btree_set(type_name, 1..4).prop_map(|t| ("type", json!(t))),
            prop::collection::vec(document(), 1..4).prop_map(|v| ("enum", v.into())),
            document().prop_map(|v| ("const", v)),
        ],
        4 => (prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), number()),
        3 => (prop::sample::select(vec![
            "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
        ]), size()),
        2 => prop::sample::select(vec!["^[A-Z]+$", "^a", "\\d", "\\s", "[ä-ü]"]).prop_map(|p| ("pattern", json!(p))),
        3 => keys().prop_map(|k| ("required", json!(k))),
        1 => prop_oneof![
            Just(("uniqueItems", json!(true))),
            Just(("multipleOf", json!(0.5))),
            Just(("format", json!("date"))),
            Just(("propertyNames", json!({"maxLength": 1}))),
            keys().prop_map(|k| ("dependentRequired", json!({"a": k}))),
            Just(("title", json!("t"))),
            Just(("unknown", json!({"type": "string"}))),
        ],
    ];
    let flat = prop_oneof![
        8 => prop::collection::vec(one, 0..4).prop_map(object),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!({"$ref": "#/$defs/d"})),
    ];
    flat.prop_recursive(3, 20, 4, move |inner| {
        let members = || {
            prop::collection::vec((prop::sample::select(KEYS.to_vec()), inner.clone()), 1..4).prop_map(object)
        };
        let several = || prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from);
        let part = prop_oneof![
            6 => members().prop_map(|v| ("properties", v)),
            3 => inner.clone().prop_map(|v| ("items", v)),
            3 => inner.clone().prop_map(|v| ("additionalProperties", v)),
            2 => several().prop_map(|v| ("allOf", v)),
            1 => prop_oneof![
                several().prop_map(|v| ("anyOf", v)),
                several().prop_map(|v| ("oneOf", v)),
                several().prop_map(|v| ("prefixItems", v)),
                several().prop_map(|v| ("items", v)),
                inner.clone().prop_map(|v| ("not", v)),
                inner.clone().prop_map(|v| ("if", v)),
                inner.clone().prop_map(|v| ("then", v)),
                inner.clone().prop_map(|v| ("contains", v)),
                inner.clone().prop_map(|v| ("patternProperties", json!({"^x-": v}))),
                inner.clone().prop_map(|v| ("additionalItems", v)),
                inner.clone().prop_map(|v| ("unevaluatedProperties", v)),
            ],
        ];
        (inner.clone(), prop::collection::vec(part, 1..4), prop::option::of(keys())).prop_map(
            |(flat, parts, required)| {
                let mut all = flat.as_object().cloned().unwrap_or_default();
                all.extend(parts.into_iter().map(|(keyword, asked)| (keyword.to_owned(), asked)));
                if let Some(required) = required {
                    all.insert("required".to_owned(), json!(required));
                }
                Value::Object(all)
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_plan_is_the_schema(
        schema in schema(), target in schema(), documents in prop::collection::vec(document(), 1..8),
        dialect in prop::option::of(prop::sample::select(vec![
            "https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema",
            "http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-06/schema#",
            "http://json-schema.org/draft-04/schema#",
        ])),
    ) {
        let mut schema = schema;
        if let Some(keywords) = schema.as_object_mut() {
            keywords.insert("$defs".to_owned(), json!({"d": target}));
            if let Some(dialect) = dialect {
                keywords.insert("$schema".to_owned(), json!(dialect));
            }
        }
        hold(&schema, &documents);
    }
}
