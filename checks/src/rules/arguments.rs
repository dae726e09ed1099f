//! Arguments of `invalidValues`: what is allowed, and whether anything can be.

use std::collections::HashSet;

use serde_json::Value;

use super::{FieldPath, ValidValues, ValueType, along, check};
use crate::format::FORMATS;
use crate::yaml::{Map, Node, Reader, quoted, to_json};

pub(super) const KEYS: [&str; 8] =
    ["min", "max", "validValues", "pattern", "minLength", "maxLength", "type", "format"];

/// Of `missingValues`.
pub(super) const STAND_IN_KEYS: [&str; 1] = ["missingValues"];

/// Of `duplicateValues`.
pub(super) const WITH_KEYS: [&str; 1] = ["with"];

/// Values a list may allow.
const VALUES_MAX: usize = 10_000;
/// What a pattern may take in memory once compiled, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) const TYPES: [(&str, ValueType); 6] = [
    ("integer", ValueType::Integer),
    ("number", ValueType::Number),
    ("string", ValueType::String),
    ("boolean", ValueType::Boolean),
    ("object", ValueType::Object),
    ("array", ValueType::Array),
];

/// Reads the arguments; what is wrong has been said when it is `None`.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> Option<ValidValues> {
    let map = reader.map(node, &KEYS)?;
    let before = reader.errors();
    let length = |key| map.opt_integer(key, 0..=i64::MAX).and_then(|n| u64::try_from(n).ok());
    let valid = ValidValues {
        min: map.opt_number("min"),
        max: map.opt_number("max"),
        values: map.get("validValues").and_then(|node| values(reader, node)),
        pattern: map.get("pattern").and_then(|node| pattern(reader, node)),
        min_length: length("minLength"),
        max_length: length("maxLength"),
        value_type: map.opt_choice("type", &TYPES),
        format: map.opt_choice("format", &FORMATS),
    };
    if map.entries().is_empty() {
        let help =
            "write `min`, `max`, `validValues`, `pattern`, `minLength`, `maxLength`, `type` or `format`";
        reader.error_help(node.span, "no argument says which values are valid", help);
    }
    contradictions(&map, &valid);
    (reader.errors() == before).then_some(valid)
}

/// Arguments of `missingValues`: values that stand for a missing one, null among them if they say so.
pub(super) fn read_stand_ins(reader: &Reader<'_>, node: &Node) -> Option<Vec<Value>> {
    let map = reader.map(node, &STAND_IN_KEYS)?;
    let Some(list) = map.get("missingValues") else {
        if !map.misspelt("missingValues") {
            let help = "write `missingValues: [\"\", \"N/A\"]`, or leave `arguments` out";
            reader.error_help(node.span, "no argument says which values stand for a missing one", help);
        }
        return None;
    };
    let items = reader.list(list)?;
    if items.is_empty() || items.len() > VALUES_MAX {
        let message = format!("a list of 1 to {VALUES_MAX} values, not of {}", items.len());
        reader.error_help(list.span, message, "list the values that stand for a missing one");
        return None;
    }
    let stand_in = |item: &Node| if item.is_null() { Some(Value::Null) } else { value(reader, item) };
    items.iter().map(stand_in).collect()
}

/// Arguments of `duplicateValues`: the fields that make one value with `field`.
pub(super) fn read_with(reader: &Reader<'_>, node: &Node, field: &FieldPath) -> Option<Vec<FieldPath>> {
    const MOST: usize = crate::profile::hash::SEVERAL_MAX - 1;
    let map = reader.map(node, &WITH_KEYS)?;
    let list = map.required("with")?;
    let items = reader.list(list)?;
    if items.is_empty() || items.len() > MOST {
        let message = format!("a list of 1 to {MOST} fields, not of {}", items.len());
        reader.error_help(list.span, message, "list the fields that make one value with `field`");
        return None;
    }
    let mut with = Vec::new();
    for item in items {
        let path = along::single(reader, item, check::read_path(reader, item)?)?;
        if path == *field || with.contains(&path) {
            reader.error_help(item.span, format!("{} is named already", quoted(&path.text)), "leave it out");
            return None;
        }
        with.push(path);
    }
    Some(with)
}

fn values(reader: &Reader<'_>, node: &Node) -> Option<Vec<Value>> {
    let items = reader.list(node)?;
    if items.is_empty() {
        reader.error_help(node.span, "`validValues` is empty: no value would be valid", "list the values");
        return None;
    }
    if items.len() > VALUES_MAX {
        reader.error(node.span, format!("`validValues` has more than {VALUES_MAX} values"));
        return None;
    }
    let values: Option<Vec<Value>> = items.iter().map(|item| value(reader, item)).collect();
    let mut known = HashSet::new();
    for (item, value) in items.iter().zip(values.iter().flatten()) {
        if !known.insert(value.to_string()) {
            reader.warning(
                item.span,
                format!("the valid value {} is listed twice", quoted(&value.to_string())),
                "leave it out",
            );
        }
    }
    values
}

fn value(reader: &Reader<'_>, item: &Node) -> Option<Value> {
    if item.is_null() {
        let help = "leave it out, or count nulls with `nullValues`";
        reader.error_help(item.span, "null is never invalid", help);
        return None;
    }
    if item.as_scalar().is_none() {
        reader.expected("a single value", item);
        return None;
    }
    let value = to_json(item).ok().and_then(|text| serde_json::from_str(&text).ok());
    if value.is_none() {
        reader.error(item.span, "JSON has no such number");
    }
    value
}

fn pattern(reader: &Reader<'_>, node: &Node) -> Option<regex::Regex> {
    let text = reader.str(node)?;
    let regex = compile(reader, node, &text, &text)?;
    // An unanchored pattern that matches nothing at all matches everywhere.
    let probes = ["", " ", "a", "0", "\u{0}", "\n", "Zz 9~é\u{10ffff}"];
    if probes.iter().all(|probe| regex.is_match(probe)) {
        let help = "it is looked for anywhere in the text: anchor it with `^` and `$`";
        reader.warning(node.span, format!("the pattern {} matches every text", quoted(&text)), help);
    }
    Some(regex)
}

/// Compiles `source`, which is what the user's `text` at `node` stands for.
pub(super) fn compile(reader: &Reader<'_>, node: &Node, text: &str, source: &str) -> Option<regex::Regex> {
    let error = match regex::RegexBuilder::new(source).size_limit(PATTERN_BYTES_MAX).build() {
        Ok(regex) => return Some(regex),
        // The text alone, so that the message is about what the user wrote.
        Err(error) => regex::Regex::new(text).err().unwrap_or(error),
    };
    let (reason, help) = match &error {
        regex::Error::CompiledTooBig(_) => {
            ("it grows too large".to_owned(), "repeat less: `{1000}` counts a thousand times")
        }
        error => {
            let shown = error.to_string();
            let last = shown.lines().last().unwrap_or_default().trim();
            (
                last.strip_prefix("error: ").unwrap_or(last).to_owned(),
                "the syntax is that of RE2: no look-around, no back-references",
            )
        }
    };
    reader.error_help(node.span, format!("{} is not a regular expression: {reason}", quoted(text)), help);
    None
}

/// Arguments that no value, or not one of those listed, can satisfy.
fn contradictions(map: &Map<'_, '_, '_>, valid: &ValidValues) {
    let reader = map.reader();
    if let (Some(min), Some(max)) = (valid.min, valid.max)
        && min > max
    {
        reader.error_help(map.key_span("max"), format!("`min` {min} is above `max` {max}"), "swap them");
    }
    if let (Some(min), Some(max)) = (valid.min_length, valid.max_length)
        && min > max
    {
        let message = format!("`minLength` {min} is above `maxLength` {max}");
        reader.error_help(map.key_span("maxLength"), message, "swap them");
    }
    let first = |keys: &'static [&'static str]| keys.iter().find(|key| map.has(key)).copied();
    let numeric = first(&["min", "max"]);
    let textual = first(&["pattern", "minLength", "maxLength", "format"]);
    if let (Some(numeric), Some(textual)) = (numeric, textual) {
        let message = format!("`{numeric}` is for numbers and `{textual}` for texts: nothing is both");
        reader.error_help(map.key_span(textual), message, "make two checks of them");
        return;
    }
    let refused = match valid.value_type {
        None => None,
        Some(ValueType::Integer | ValueType::Number) => textual,
        Some(ValueType::String) => numeric,
        Some(_) => numeric.or(textual),
    };
    if let (Some(key), Some(name)) = (refused, map.opt_str("type")) {
        let message = format!("`{key}` is not for values of `type: {name}`");
        reader.error_help(map.key_span(key), message, "leave one of them out");
        return;
    }
    for (item, value) in items(map).iter().zip(valid.values.iter().flatten()) {
        if !fits(value, valid) {
            let message = format!("the valid value `{value}` is invalid by the other arguments");
            reader.error_help(item.span, message, "leave it out, or the argument that it breaks");
        }
    }
}

fn items<'n>(map: &Map<'_, '_, 'n>) -> &'n [Node] {
    match map.get("validValues").map(|node| &node.content) {
        Some(crate::yaml::Content::Sequence(items)) => items,
        _ => &[],
    }
}

fn fits(value: &Value, valid: &ValidValues) -> bool {
    let typed = match valid.value_type {
        None => true,
        Some(ValueType::Integer) => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Some(ValueType::Number) => value.is_number(),
        Some(ValueType::String) => value.is_string(),
        Some(ValueType::Boolean) => value.is_boolean(),
        Some(ValueType::Object | ValueType::Array) => false,
    };
    let ranged = (valid.min.is_none() && valid.max.is_none())
        || value
            .as_f64()
            .is_some_and(|n| valid.min.is_none_or(|min| n >= min) && valid.max.is_none_or(|max| n <= max));
    let textual = valid.pattern.is_some()
        || valid.min_length.is_some()
        || valid.max_length.is_some()
        || valid.format.is_some();
    let text = !textual
        || value.as_str().is_some_and(|text| {
            let length = text.chars().count() as u64;
            valid.min_length.is_none_or(|min| length >= min)
                && valid.max_length.is_none_or(|max| length <= max)
                && valid.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
                && valid.format.is_none_or(|format| format.matches(text))
        });
    typed && ranged && text
}
