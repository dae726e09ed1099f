//! The JSON Schema (2020-12) of check files, for editors: completion, hover, and most mistakes while
//! they are typed.
//!
//! Names of keys, metrics, units, operators and values come from the tables that the parser itself
//! goes by; words, examples and forms of values from [`words`]. What a schema cannot see (expressions,
//! other files, ids that must be known) is the linter's.

mod words;

use serde_json::{Map, Value, json};

use super::bound::OPERATORS;
use super::check::{self, MetricShape};
use super::{Unit, along, arguments, file, fixture, function, head, slo, window};

/// Identifies the schema, wherever it is kept.
pub const CHECKS_ID: &str = "urn:tapline:schema:checks:1";
/// The dialect.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of check files.
pub fn checks_schema() -> Value {
    let mut root = section("file", &file::KEYS);
    let one_of: Vec<Value> = ["topic", "topics", "pattern"].map(|key| json!({ "required": [key] })).to_vec();
    merge(
        &mut root,
        json!({
            "$schema": DIALECT,
            "$id": CHECKS_ID,
            "title": "Tapline check file",
            "description": "What must be true of the records of a topic. `tapline lint` says whether it is sound, \
                            `tapline test` whether its tests hold.",
            "required": ["version"],
            "oneOf": one_of,
            "$defs": definitions(),
        }),
    );
    root
}

/// The schema of one part of a file: everything under these keys, nothing else.
fn section(name: &str, keys: &[&str]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), words::key(name, key).unwrap_or(json!(true)))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// As [`section`], with keys that must be there.
fn strict(name: &str, keys: &[&str], required: &[&str]) -> Value {
    let mut section = section(name, keys);
    merge(&mut section, json!({ "required": required }));
    section
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Present, but for a key whose lines are all commented out.
fn or_nothing(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        merge(&mut schema, json!({ "type": [kind, "null"] }));
    }
    schema
}

fn definitions() -> Value {
    let mut definitions = words::forms();
    let mut given = strict("record", &fixture::RECORD_KEYS, &[]);
    merge(&mut given, json!({ "oneOf": [{ "required": ["value"] }, { "required": ["raw"] }] }));
    for (name, schema) in [
        ("decode", or_nothing(section("decode", &head::DECODE_KEYS))),
        ("schema", or_nothing(section("schema", &head::SCHEMA_KEYS))),
        ("window", window_schema()),
        ("sample", or_nothing(section("sample", &head::SAMPLE_KEYS))),
        ("check", check_schema()),
        ("invalidValues", arguments_schema()),
        ("missingValues", strict("missingValues", &arguments::STAND_IN_KEYS, &arguments::STAND_IN_KEYS)),
        ("duplicateValues", strict("duplicateValues", &arguments::WITH_KEYS, &arguments::WITH_KEYS)),
        ("function", function_schema()),
        ("time", or_nothing(strict("time", &head::TIME_KEYS, &head::TIME_KEYS))),
        ("sequenceGaps", or_nothing(section("arguments", &along::SEQUENCE_KEYS))),
        ("ratio", strict("arguments", &along::RATIO_KEYS, &along::RATIO_KEYS)),
        ("notFollowedBy", strict("arguments", &along::FOLLOWED_KEYS, &["when", "then", "within"])),
        ("tooMany", strict("arguments", &along::MANY_KEYS, &["when", "moreThan", "within"])),
        ("slo", strict("slo", &slo::KEYS, &slo::KEYS)),
        ("test", strict("test", &fixture::KEYS, &["name", "given", "expect"])),
        ("test-window", strict("test-window", &fixture::WINDOW_KEYS, &["given"])),
        ("record", given),
    ] {
        merge(&mut definitions, json!({ name: schema }));
    }
    let endless = ("bounds-in-percent-without-end".to_owned(), words::endless_percent());
    let bounds = Unit::ALL.map(|unit| (bounds_name(unit), words::bound(unit)));
    for (name, bound) in bounds.into_iter().chain([endless]) {
        let properties: Map<String, Value> = OPERATORS
            .iter()
            .map(|operator| {
                let schema = match operator.contains("Between") {
                    true => json!({ "type": "array", "minItems": 2, "maxItems": 2, "items": bound }),
                    false => bound.clone(),
                };
                ((*operator).to_owned(), schema)
            })
            .collect();
        merge(&mut definitions, json!({ name: { "properties": properties } }));
    }
    definitions
}

/// A size, or a gap.
fn window_schema() -> Value {
    let mut schema = or_nothing(section("window", &window::KEYS));
    let no_session = json!({ "not": { "anyOf": [{ "required": ["gap"] }, { "required": ["longest"] }] } });
    merge(
        &mut schema,
        json!({
            "dependentRequired": { "longest": ["gap"] },
            "dependentSchemas": { "size": no_session, "every": no_session },
        }),
    );
    schema
}

fn bounds_name(unit: Unit) -> String {
    format!("bounds-in-{}", unit.as_str())
}

fn check_schema() -> Value {
    let keys: Vec<&str> = check::KEYS.iter().chain(&OPERATORS).copied().collect();
    let mut check = strict("check", &keys, &["id", "metric"]);
    let metrics: Vec<Value> = check::shapes()
        .map(|shape| json!({ "const": shape.name, "description": words::metric(shape.name).unwrap_or_default() }))
        .collect();
    merge(
        &mut check["properties"],
        json!({ "metric": { "description": "What is measured.", "oneOf": metrics } }),
    );
    // A check has one operator at most.
    let alone: Map<String, Value> = OPERATORS
        .iter()
        .map(|operator| {
            let others: Vec<Value> = OPERATORS
                .iter()
                .filter(|other| other != &operator)
                .map(|other| json!({ "required": [other] }))
                .collect();
            ((*operator).to_owned(), json!({ "not": { "anyOf": others } }))
        })
        .collect();
    merge(&mut check, json!({ "dependentSchemas": alone }));
    let by_metric: Vec<Value> = check::shapes()
        .map(|shape| {
            json!({
                "if": { "properties": { "metric": { "const": shape.name } }, "required": ["metric"] },
                "then": of_metric(&shape),
            })
        })
        .collect();
    merge(&mut check, json!({ "allOf": by_metric }));
    check
}

/// What a check of this metric must and must not say.
fn of_metric(shape: &MetricShape) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (key, takes, needs) in [
        ("field", shape.takes_field, shape.needs_field),
        ("expr", shape.takes_expr, shape.takes_expr),
        ("arguments", shape.arguments.is_some(), shape.needs_arguments),
        ("baseline", !shape.baselines.is_empty(), shape.needs_baseline),
        ("min_records", shape.takes_min_records, false),
        ("confidence", shape.takes_confidence, false),
    ] {
        if !takes {
            properties.insert(key.to_owned(), json!(false));
        }
        if needs {
            required.push(key);
        }
    }
    if let Some(name) = shape.arguments {
        properties.insert("arguments".to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
    }
    if let [only] = shape.baselines {
        properties.insert("baseline".to_owned(), json!({ "const": only.as_str(), "default": only.as_str() }));
    }
    if shape.is_bad_when_high {
        for operator in OPERATORS.iter().filter(|operator| !operator.starts_with("mustBeLess")) {
            properties.insert((*operator).to_owned(), json!(false));
        }
    }
    let names: Vec<&str> = shape.units.iter().map(|(name, _)| *name).collect();
    properties.insert("unit".to_owned(), json!({ "enum": names, "default": names.first() }));
    let mut all = Vec::new();
    if !shape.is_judged_by_past {
        let any: Vec<Value> = OPERATORS.iter().map(|operator| json!({ "required": [operator] })).collect();
        all.push(json!({ "anyOf": any }));
    } else if !shape.needs_baseline {
        let any = OPERATORS.iter().chain(&["baseline"]).map(|key| json!({ "required": [key] }));
        all.push(json!({ "anyOf": any.collect::<Vec<Value>>() }));
    }
    for (at, (name, unit)) in shape.units.iter().enumerate() {
        let named = json!({ "properties": { "unit": { "const": name } }, "required": ["unit"] });
        // Without a unit the first one is meant.
        let when =
            if at == 0 { json!({ "anyOf": [named, { "not": { "required": ["unit"] } }] }) } else { named };
        let bounds =
            if shape.has_most { bounds_name(*unit) } else { format!("{}-without-end", bounds_name(*unit)) };
        all.push(json!({ "if": when, "then": { "$ref": format!("#/$defs/{bounds}") } }));
        if *unit != Unit::Percent {
            all.push(json!({ "if": when, "then": { "properties": { "confidence": false } } }));
        }
    }
    json!({ "required": required, "properties": properties, "allOf": all })
}

fn function_schema() -> Value {
    let mut schema = strict("function", &function::KEYS, &["function"]);
    let quantile = json!({ "properties": { "function": { "const": "quantile" } } });
    merge(
        &mut schema,
        json!({
            "if": quantile,
            "then": { "required": ["quantile"] },
            "else": { "properties": { "quantile": false } },
        }),
    );
    schema
}

fn arguments_schema() -> Value {
    let mut arguments = section("arguments", &arguments::KEYS);
    let numbers = ["min", "max"];
    let texts = ["pattern", "minLength", "maxLength", "format"];
    let any = |keys: &[&str]| -> Value {
        json!({ "anyOf": keys.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>() })
    };
    let typed = |types: &[&str]| json!({ "properties": { "type": { "enum": types } }, "required": ["type"] });
    let never = |keys: &[&str]| -> Value { json!({ "not": any(keys) }) };
    merge(
        &mut arguments,
        json!({
            "minProperties": 1,
            "allOf": [
                { "if": any(&numbers), "then": never(&texts) },
                { "if": typed(&["integer", "number"]), "then": never(&texts) },
                { "if": typed(&["string"]), "then": never(&numbers) },
                { "if": typed(&["boolean", "object", "array"]), "then": { "allOf": [never(&numbers), never(&texts)] } },
            ],
        }),
    );
    arguments
}

#[cfg(test)]
mod tests;
