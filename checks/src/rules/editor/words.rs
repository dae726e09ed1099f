//! What an editor shows of each key, and the forms of values.

use serde_json::{Value, json};

use crate::format::FORMATS;
use crate::rules::{TimeFormat, Unit, arguments, fixture, function, head, window};

/// Definitions that keys refer to.
pub(super) fn forms() -> Value {
    let number = r"^\s*[0-9]+(\.[0-9]+)?";
    json!({
        "text": { "type": ["string", "number", "boolean"] },
        "id": { "type": ["string", "integer"], "pattern": "^[a-z0-9_-]{1,64}$" },
        "topic": { "type": ["string", "number"], "pattern": "^[a-zA-Z0-9._-]{1,249}$" },
        "duration": {
            "description": "A number and a unit: 500ms, 30s, 5m, 1h, 30d.",
            "oneOf": [{ "const": 0 }, { "type": "string", "pattern": format!("{number}\\s*(ms|s|m|h|d)$|^0$") }],
        },
        "percent": {
            "description": "A share, 0% to 100%.",
            "type": "string",
            "pattern": r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%$",
        },
        "rate": { "description": "A whole number a second: 2000/s.", "type": "string", "pattern": r"^[0-9]+(\.0+)?\s*/s$" },
        "path": {
            "description": "A field: $.a.b, $['odd name'], $.items[].price (every element), $.labels.* (every member).",
            "type": "string",
            "pattern": "^\\$(\\.\\*|\\.[^.\\[\\]'\"*$\\s]+|\\[\\*?\\]|\\['([^'\\\\]|\\\\.)*'\\]|\\[\"([^\"\\\\]|\\\\.)*\"\\])+$",
            "examples": ["$.amount", "$.customer.email", "$.items[].price"],
        },
        "scalar": { "type": ["string", "number", "boolean"] },
    })
}

/// What a bound may be in this unit.
pub(super) fn bound(unit: Unit) -> Value {
    let digits = r"^\+?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?";
    let text = |pattern: String| json!({ "type": "string", "pattern": pattern });
    match unit {
        Unit::Rows => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text(r"^\+?[0-9]+$".to_owned())] })
        }
        Unit::Percent => json!({
            "anyOf": [{ "type": "number", "minimum": 0, "maximum": 100 }, text(format!(r"{digits}\s*%?$"))],
        }),
        Unit::Seconds => json!({
            "anyOf": [{ "type": "number", "minimum": 0 }, { "$ref": "#/$defs/duration" }, text(format!("{digits}$"))],
        }),
        Unit::Value => json!({
            "anyOf": [{ "type": "number" }, text(r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$".to_owned())],
        }),
        Unit::Score => json!({ "anyOf": [{ "type": "number", "minimum": 0 }, text(format!("{digits}$"))] }),
    }
}

/// A bound of a share that may be above 100.
pub(super) fn endless_percent() -> Value {
    json!({
        "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": r"^\+?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*%?$" },
        ],
    })
}

/// What a metric measures.
pub(super) fn metric(name: &str) -> Option<&'static str> {
    Some(match name {
        "rowCount" => "Records read in the window; not sampled.",
        "missingValues" => "Documents (or innermost elements) without the field.",
        "nullValues" => "Documents (or innermost elements) where the field is null.",
        "invalidValues" => "Values that `arguments` do not allow; null and missing ones are not invalid.",
        "duplicateValues" => "Extra copies within the window: values less distinct values.",
        "failedRows" => "Documents for which the CEL expression `expr` is false.",
        "schemaViolations" => "Documents that do not fit the schema of `decode.schema`.",
        "decodeFailures" => "Values that could not be decoded.",
        "freshness" => "Seconds since the latest record.",
        "drift" => "Effect size of a changed distribution, against the topic's own past.",
        "aggregate" => "A figure of the field's numbers: min, max, mean, stddev, sum or a quantile.",
        "distinctCount" => "How many different texts, numbers and booleans, within the window.",
        "delay" => "Record time minus the payload's own time (`time`): the greatest, or another figure.",
        "lateness" => {
            "How far behind the greatest event time of the partition: the greatest, or another figure."
        }
        "outOfOrder" => "Documents whose event time is before the greatest seen in the partition.",
        "sequenceGaps" => "Numbers missing from sequences that go up by one, of a key or partition.",
        "ratio" => "Records read, in percent of those of another topic (`arguments: { of: … }`).",
        "newValues" => "Values that none of the windows before had.",
        "fieldsAdded" => "Fields that none of the windows before had.",
        "fieldsRemoved" => "Fields that the windows before had and this one should have.",
        "typeChanged" => "Fields with values of a type that none of the windows before had.",
        "notFollowedBy" => {
            "Records of `when` after which none of `then` came within a time, of the same key."
        }
        "tooMany" => "Records of `when` beyond so many of the same key within a time.",
        _ => return None,
    })
}

/// The schema of a key of a section, with its words.
pub(super) fn key(section: &str, key: &str) -> Option<Value> {
    let of = |form: &str, description: &str| json!({ "$ref": format!("#/$defs/{form}"), "description": description });
    Some(match (section, key) {
        ("file", "version") => json!({
            "description": "The version of the language.", "enum": [1, "1"], "default": 1,
        }),
        ("file", "topic") => of("topic", "The topic that the file is for."),
        ("file", "topics") => json!({
            "description": "The topics that the file is for.",
            "type": "array", "items": { "$ref": "#/$defs/topic" }, "minItems": 1, "maxItems": 10_000,
            "uniqueItems": true,
        }),
        ("file", "pattern") => json!({
            "description": "A regular expression over the whole name of the topics that the file is for.",
            "type": "string", "minLength": 1, "examples": ["orders\\..+"],
        }),
        ("file", "owner") => of("text", "Who is asked when a check fails."),
        ("file", "decode") => of("decode", "How values are read; recognised if not given."),
        ("file", "time") => {
            of("time", "Where the payload carries its own time: for delay, lateness and outOfOrder.")
        }
        ("time", "field") => of("path", "The field: one value a record."),
        ("time", "format") => json!({
            "description": "How it is written.", "enum": TimeFormat::ALL.map(|(name, _)| name),
        }),
        ("function", "function") => json!({
            "description": "Which figure of the numbers is judged.", "enum": function::NAMES,
        }),
        ("function", "quantile") => json!({
            "description": "The number that this share of the numbers do not exceed, within 1%.",
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 },
                { "type": "string", "pattern": r"^0?\.[0-9]+$" },
            ],
            "examples": [0.95],
        }),
        ("missingValues", "missingValues") => json!({
            "description": "Values that stand for a missing one; null too, if it is listed.",
            "type": "array", "minItems": 1, "maxItems": 10_000,
            "items": { "anyOf": [{ "$ref": "#/$defs/scalar" }, { "type": "null" }] },
            "examples": [["", "N/A"]],
        }),
        ("duplicateValues", "with") => json!({
            "description": "Fields that make one value with `field`; records without one of them have none.",
            "type": "array", "minItems": 1, "maxItems": 7, "uniqueItems": true,
            "items": { "$ref": "#/$defs/path" }, "examples": [["$.tenant"]],
        }),
        ("file", "window") => of("window", "What a verdict looks at."),
        ("file", "sample") => of("sample", "What is examined; everything if not given."),
        ("file", "segment_by") => of(
            "path",
            "A field whose values are counted and judged apart: the 20 with most records, and the rest.",
        ),
        ("file", "redact") => json!({
            "description": "Fields that are never shown: not in examples, messages or profiles. What looks like \
                            an email address, card number or token is hidden anyway.",
            "type": ["array", "null"], "items": { "$ref": "#/$defs/path" }, "maxItems": 1_000,
            "examples": [["$.customer.email"]],
        }),
        ("file", "checks") => list("check", "What must be true."),
        ("file", "slos") => list("slo", "Service levels that count by checks."),
        ("file", "tests") => list("test", "Records given and verdicts expected: `tapline test`."),
        ("decode", "value") => json!({
            "description": "Format of the values; `auto` recognises it record by record.",
            "enum": head::FORMATS.map(|(name, _)| name),
            "default": "auto",
        }),
        ("decode", "key") => json!({ "description": "Format of the keys.", "const": "string" }),
        ("decode", "schema") => of("schema", "The schema that values are held against."),
        ("schema", "registry") => {
            json!({ "description": "The one whose id the value carries.", "type": "boolean" })
        }
        ("schema", "file") => json!({
            "description": "A file beside this one: JSON Schema (.json) or Avro (.avsc).",
            "type": "string", "examples": ["schemas/order.json"],
        }),
        ("window", "size") => of("duration", "Length of the window of a verdict, 1s to 7d; 1m if not given."),
        ("window", "every") => of(
            "duration",
            "How often a window is judged: its size (windows tumble), or less, in whole panes (they slide). \
             Every pane (10s) if not given.",
        ),
        ("window", "gap") => of(
            "duration",
            "Windows are sessions: they end where no record came for so long, 1s to 1d. In the place of `size`.",
        ),
        ("window", "longest") => of(
            "duration",
            "Longest session: one that grows longer is ended, and goes on as another; 1h if not given.",
        ),
        ("window", "by") => json!({
            "description": "Which time puts a record into its window: its timestamp, or the payload's own (`time`).",
            "enum": window::BY.map(|(name, _)| name), "default": "record",
        }),
        ("window", "allowed_lateness") => {
            of("duration", "How long late records still change a verdict, up to 1d; 30s if not given.")
        }
        ("sample", "read") => json!({ "description": "What is read.", "enum": ["all"], "default": "all" }),
        ("sample", "examine") => {
            of("percent", "Share of the records that is examined, the same whoever reads them.")
        }
        ("sample", "at_most") => of("rate", "Most records examined a second and agent."),
        ("check", "id") => of("id", "Its name, unique in its topic: small letters, digits, - and _."),
        ("check", "field") => of("path", "The field it is about."),
        ("check", "expr") => json!({
            "description": "A CEL expression over value, key, headers and meta that must be true.",
            "type": "string", "minLength": 1, "maxLength": 4096,
            "examples": ["value.total == value.net + value.tax"],
        }),
        ("check", "arguments") => json!({ "description": "Of the metric.", "type": "object" }),
        ("check", "unit") => json!({
            "description": "rows counts records (elements, for [] paths); percent is their share of the checked ones.",
            "type": "string",
        }),
        ("check", "severity") => json!({
            "description": "How loud a failure is.", "enum": ["info", "warning", "error"], "default": "error",
        }),
        ("check", "for") => json!({
            "description": "Failing windows in a row before it is a finding.",
            "type": "integer", "minimum": 1, "maximum": 1_000, "default": 1,
        }),
        ("check", "min_records") => json!({
            "description": "With fewer checked records the verdict is unknown.",
            "type": "integer", "minimum": 1, "maximum": 1_000_000_000_000u64, "default": 1,
        }),
        ("check", "confidence") => json!({
            "description": "Of a percent: fails only when the whole interval is beyond the bound (50% to 99.99%).",
            "type": "string", "pattern": r"^([5-9][0-9](\.[0-9]+)?)\s*%$", "examples": ["95%"],
        }),
        ("check", "baseline") => json!({
            "description": "Compared with the topic's own past: the same hour of the week, or the windows before.",
            "enum": ["seasonal", "previous"],
        }),
        ("check", "description") => of("text", "For people."),
        ("check", operator) => json!({ "description": self::operator(operator)? }),
        ("arguments", "min") => {
            json!({ "description": "Smallest number allowed.", "type": ["number", "string"] })
        }
        ("arguments", "max") => {
            json!({ "description": "Largest number allowed.", "type": ["number", "string"] })
        }
        ("arguments", "validValues") => json!({
            "description": "The only values allowed.",
            "type": "array", "items": { "$ref": "#/$defs/scalar" }, "minItems": 1, "maxItems": 10_000,
        }),
        ("arguments", "pattern") => json!({
            "description": "A regular expression that must match somewhere in a text; anchor it with ^ and $.",
            "type": "string", "examples": ["^[A-Z]{3}$"],
        }),
        ("arguments", "minLength") => length("Fewest characters of a text."),
        ("arguments", "maxLength") => length("Most characters of a text."),
        ("arguments", "type") => json!({
            "description": "The type a value must have.", "enum": arguments::TYPES.map(|(name, _)| name),
        }),
        ("arguments", "format") => json!({
            "description": "A known form of texts, by its standard (RFC 5321, RFC 3339, ISO 3166-1, …).",
            "enum": FORMATS.map(|(name, _)| name),
        }),
        ("arguments", "by") => json!({
            "description": "What belongs together: records of a key, of a partition (sequenceGaps), or with the same value of a field.",
            "anyOf": [{ "enum": ["key", "partition"] }, { "$ref": "#/$defs/path" }],
            "default": "key",
        }),
        ("arguments", "of") => of("topic", "The topic whose records are 100 percent."),
        ("arguments", "when") => {
            json!({ "description": "CEL: the records that are meant.", "type": ["string", "boolean"] })
        }
        ("arguments", "then") => {
            json!({ "description": "CEL: the record that must follow.", "type": ["string", "boolean"] })
        }
        ("arguments", "within") => of("duration", "How long after, up to 1h."),
        ("arguments", "moreThan") => json!({
            "description": "As many of a key are allowed.", "type": "integer", "minimum": 1, "maximum": 1_000,
        }),
        ("slo", "id") => of("id", "Its name, unique in its topic."),
        ("slo", "good") => {
            of("id", "A check of this file that counts records: failed ones are the bad events.")
        }
        ("slo", "objective") => json!({
            "description": "Share of good events promised, in percent: between 0 and 100.",
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100 },
                { "type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]+)?%?$" },
            ],
            "examples": [99.9],
        }),
        ("slo", "over") => of("duration", "Over which period: 1h to 366d."),
        ("test", "name") => of("text", "What it shows."),
        ("test", "before") => list("test-window", "The windows before this one, the oldest first."),
        ("test-window", "given") => list("record", "The records of the window; it may have none."),
        ("test-window", "repeat") => json!({
            "description": "How many windows in a row are like it.",
            "type": "integer", "minimum": 1, "maximum": 1_000, "default": 1,
        }),
        ("test", "given") => list("record", "The records of one window."),
        ("test", "expect") => json!({
            "description": "Verdicts by the ids of checks.",
            "type": "object", "minProperties": 1,
            "additionalProperties": { "enum": fixture::STATUSES.map(|(name, _)| name) },
        }),
        ("record", "value") => json!({ "description": "Any value, given as JSON; null is a tombstone." }),
        ("record", "raw") => of("text", "The value as it is: what is not JSON."),
        ("record", "key") => of("text", "The record's key."),
        ("record", "headers") => json!({
            "description": "Names to texts, or to lists of texts where a name repeats.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "$ref": "#/$defs/scalar" }, { "type": "array", "items": { "$ref": "#/$defs/scalar" } }],
            },
        }),
        ("record", "topic") => {
            of("topic", "Another topic that the record is of: one that a `ratio` counts against.")
        }
        ("record", "at") => of("duration", "Time after the start of the window."),
        ("record", "repeat") => json!({
            "description": "How many times it is given.",
            "type": "integer", "minimum": 1, "maximum": 100_000, "default": 1,
        }),
        _ => return None,
    })
}

fn list(items: &str, description: &str) -> Value {
    json!({
        "description": description,
        "type": ["array", "null"], "items": { "$ref": format!("#/$defs/{items}") }, "maxItems": 1_000,
    })
}

fn length(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 0 })
}

fn operator(name: &str) -> Option<&'static str> {
    Some(match name {
        "mustBe" => "The value must be this.",
        "mustNotBe" => "The value must be anything but this.",
        "mustBeGreaterThan" => "The value must be above this.",
        "mustBeGreaterOrEqualTo" => "The value must be this or above.",
        "mustBeLessThan" => "The value must be below this.",
        "mustBeLessOrEqualTo" => "The value must be this or below.",
        "mustBeBetween" => "The value must be within [low, high], both included.",
        "mustNotBeBetween" => "The value must be outside of [low, high], both of which are inside.",
        _ => return None,
    })
}
