//! How much work a schema can ask for, before it is compiled.
//!
//! References let a small schema stand for a huge one: sixty definitions that each apply the next
//! one twice mean 2^60 evaluations of one value. Counted here is what applies to one and the same
//! value; what applies to its members is bounded by the document, and recursion by the validator's
//! own memory of what it has seen.

use std::collections::HashMap;

use serde_json::Value;

/// Most subschemas that apply to one value.
const APPLIED_MAX: u64 = 10_000;
/// Most steps spent on finding where a document does not fit.
const SEARCH_MAX: u64 = 1_000_000;
/// Most subschemas and references within each other: the compiler is recursive.
const DEPTH_MAX: usize = 400;

/// What a schema may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    /// Most subschemas that apply to one value.
    applied_max: u64,
    /// It refers back to itself.
    is_recursive: bool,
}

/// What the schema may ask for, or why that is too much.
pub(super) fn check(schema: &Value) -> Result<Work, String> {
    let work = Work { applied_max: 1, is_recursive: false };
    let mut walk = Walk { root: schema, named: HashMap::new(), applied: HashMap::new(), work };
    walk.name(schema);
    walk.visit(schema, 0)?;
    Ok(walk.work)
}

impl Work {
    /// Can a document of this depth be searched for its first error? The validator remembers what
    /// it has seen for its verdict, but not for its errors: where recursion doubles, so does the
    /// work with every level.
    pub(super) fn is_searchable(self, depth: u32) -> bool {
        !self.is_recursive || self.applied_max.checked_pow(depth).is_some_and(|steps| steps <= SEARCH_MAX)
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// Subschemas by `$id`, and by `#` and their anchor.
    named: HashMap<String, &'a Value>,
    /// By address: what applies with a subschema; `None` while it is being counted.
    applied: HashMap<usize, Option<u64>>,
    work: Work,
}

impl<'a> Walk<'a> {
    fn name(&mut self, value: &'a Value) {
        match value {
            Value::Object(members) => {
                for (key, prefix) in [("$id", ""), ("id", ""), ("$anchor", "#"), ("$dynamicAnchor", "#")] {
                    if let Some(name) = members.get(key).and_then(Value::as_str) {
                        self.named.insert(format!("{prefix}{name}"), value);
                    }
                }
                members.values().for_each(|v| self.name(v));
            }
            Value::Array(items) => items.iter().for_each(|v| self.name(v)),
            _ => {}
        }
    }

    /// How many subschemas apply to a value together with this one.
    fn visit(&mut self, value: &'a Value, depth: usize) -> Result<u64, String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} subschemas and references within each other"));
        }
        if !matches!(value, Value::Object(_) | Value::Array(_)) {
            return Ok(0);
        }
        let address = std::ptr::from_ref(value) as usize;
        match self.applied.get(&address) {
            Some(Some(applied)) => return Ok(*applied),
            // A cycle: the validator stops when it comes by again.
            Some(None) => {
                self.work.is_recursive = true;
                return Ok(1);
            }
            None => self.applied.insert(address, None),
        };
        let mut applied = 1u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    applied = applied.saturating_add(self.visit(item, depth + 1)?);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    let below = self.visit(member, depth + 1)?;
                    match key.as_str() {
                        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => {
                            applied = applied.saturating_add(below);
                        }
                        "dependentSchemas" | "dependencies" => {
                            for schema in member.as_object().into_iter().flat_map(|m| m.values()) {
                                applied = applied.saturating_add(self.visit(schema, depth + 1)?);
                            }
                        }
                        "$ref" | "$dynamicRef" | "$recursiveRef" => {
                            if let Some(target) = member.as_str().and_then(|r| self.target(r)) {
                                applied = applied.saturating_add(self.visit(target, depth + 1)?);
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if applied > APPLIED_MAX {
            return Err(format!(
                "more than {APPLIED_MAX} subschemas apply to one value, references followed"
            ));
        }
        self.work.applied_max = self.work.applied_max.max(applied);
        self.applied.insert(address, Some(applied));
        Ok(applied)
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        if let Some(named) = self.named.get(reference) {
            return Some(named);
        }
        let (base, pointer) = reference.split_once('#')?;
        let base = if base.is_empty() { self.root } else { self.named.get(base)? };
        // Percent-encoding is rare here; a pointer that is not found counts as one.
        base.pointer(pointer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(length: usize, link: impl Fn(&str) -> Value) -> Value {
        let mut defs = serde_json::Map::new();
        for i in 0..length {
            defs.insert(format!("d{i}"), link(&format!("#/$defs/d{}", i + 1)));
        }
        defs.insert(format!("d{length}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn doubling_is_refused_and_length_is_not() {
        let double = |next: &str| json!({"allOf": [{"$ref": next}, {"$ref": next}]});
        assert!(check(&chain(60, double)).unwrap_err().contains("apply to one value"));
        assert!(check(&chain(8, double)).is_ok());
        assert!(check(&chain(60, |next| json!({"allOf": [{"$ref": next}]}))).is_ok());
        let wide: Vec<_> = (0..3_000).map(|_| json!({"$ref": "#/$defs/d"})).collect();
        assert!(check(&json!({"oneOf": wide, "$defs": {"d": {"type": "object"}}})).is_ok());
    }

    #[test]
    fn anchors_and_ids_are_followed() {
        let double = |name: &str| json!({"allOf": [{"$ref": name}, {"$ref": name}]});
        let mut defs = serde_json::Map::new();
        for i in 0..40 {
            let mut schema = double(&format!("#a{}", i + 1));
            schema["$anchor"] = format!("a{i}").into();
            defs.insert(format!("d{i}"), schema);
        }
        assert!(check(&json!({"$ref": "#a0", "$defs": defs})).is_err());
    }

    #[test]
    fn recursion_is_fine_and_endless_chains_are_not() {
        let recursive =
            check(&json!({"properties": {"a": {"$ref": "#"}}, "anyOf": [{"$ref": "#"}, {}]})).unwrap();
        assert!(recursive.is_searchable(3) && !recursive.is_searchable(64));
        let plain =
            check(&json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}})).unwrap();
        assert!(plain.is_searchable(64));
        let long = chain(20_000, |next| json!({"properties": {"a": {"$ref": next}}}));
        assert!(check(&long).unwrap_err().contains("within each other"));
    }
}
