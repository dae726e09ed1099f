//! From a schema to its [`Plan`].

use std::collections::HashMap;

use jsonschema::Validator;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::PATTERN_BYTES;
use super::plan::{Bound, Id, Number, Options, Plan, Subschema, types};
use super::tape::TapeJson;

/// Names whose presence is told by one word of bits.
const REQUIRED_MAX: usize = 64;

/// Keywords that ask nothing.
const SILENT: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Keywords that reach beyond their own subschema: a schema with one of them is left as it is.
const FAR: [&str; 7] = [
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// The plan of a schema that the validator was built of, or `None` where it has to be held against
/// documents as a whole: it is of an older or unknown dialect, refers back to itself, or has parts
/// that reach far. `build` makes a validator of a subschema that is whole in itself.
pub(super) fn plan(schema: &Value, build: &dyn Fn(&Value) -> Option<Validator<TapeJson>>) -> Option<Plan> {
    let dialect = schema.get("$schema");
    let are_references_alone = match dialect.map(|d| d.as_str().unwrap_or_default().trim_end_matches('#')) {
        None
        | Some(
            "https://json-schema.org/draft/2020-12/schema" | "https://json-schema.org/draft/2019-09/schema",
        ) => false,
        Some("http://json-schema.org/draft-07/schema" | "http://json-schema.org/draft-06/schema") => true,
        Some(_) => return None,
    };
    if reaches_far(schema, true) {
        return None;
    }
    let mut compiler = Compiler {
        schema,
        dialect,
        are_references_alone,
        known: HashMap::new(),
        subschemas: Vec::new(),
        build,
    };
    let root = compiler.subschema(schema)?;
    // Another schema has another one: what a field leads to is kept beside it.
    let tag = ahash::RandomState::new().hash_one(schema.to_string());
    Some(Plan { tag, root, subschemas: compiler.subschemas })
}

/// Anywhere in it, also where it would be the name of a property: then it is only slower.
fn reaches_far(schema: &Value, is_root: bool) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, member)| {
            FAR.contains(&key.as_str())
                || (!is_root && matches!(key.as_str(), "$id" | "id" | "$schema") && member.is_string())
                || reaches_far(member, false)
        }),
        Value::Array(items) => items.iter().any(|item| reaches_far(item, false)),
        _ => false,
    }
}

fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, member)| key == "$ref" || refers(member)),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

struct Compiler<'a> {
    schema: &'a Value,
    dialect: Option<&'a Value>,
    /// What stands beside a `$ref` is not looked at (draft 7 and earlier).
    are_references_alone: bool,
    /// By address; `None` while it is compiled.
    known: HashMap<usize, Option<Id>>,
    subschemas: Vec<Subschema>,
    build: &'a dyn Fn(&Value) -> Option<Validator<TapeJson>>,
}

impl<'a> Compiler<'a> {
    /// `None` where the schema cannot be taken apart.
    fn subschema(&mut self, schema: &'a Value) -> Option<Id> {
        let address = std::ptr::from_ref(schema) as usize;
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        self.known.insert(address, None);
        let compiled = match schema {
            Value::Bool(holds) => Subschema::of(if *holds { types::ANY } else { 0 }),
            Value::Object(keywords) => self.keywords(keywords)?,
            _ => return None,
        };
        let id = Id::try_from(self.subschemas.len()).ok()?;
        self.subschemas.push(compiled);
        self.known.insert(address, Some(id));
        Some(id)
    }

    fn keywords(&mut self, keywords: &'a Map<String, Value>) -> Option<Subschema> {
        let mut compiled = Subschema::of(types::ANY);
        if let Some(reference) = keywords.get("$ref") {
            compiled.more.get_or_insert_default().all.push(self.reference(reference)?);
            if self.are_references_alone {
                return Some(compiled);
            }
        }
        let mut rest = Map::new();
        for (keyword, asked) in keywords {
            let is_taken = match keyword.as_str() {
                silent if SILENT.contains(&silent) || silent == "$ref" => true,
                // What is additional is what no pattern names either.
                "properties" | "additionalProperties" if are_members_by_pattern(keywords) => false,
                "properties" | "additionalProperties" => true,
                "required" => required(keywords).is_some(),
                "allOf" => {
                    for subschema in asked.as_array()? {
                        let id = self.subschema(subschema)?;
                        compiled.more.get_or_insert_default().all.push(id);
                    }
                    true
                }
                "items" if !asked.is_array() && !keywords.contains_key("prefixItems") => {
                    let each = self.subschema(asked)?;
                    compiled.array.get_or_insert_default().each = Some(each);
                    true
                }
                keyword => take(keyword, asked, &mut compiled).is_some(),
            };
            if !is_taken {
                rest.insert(keyword.clone(), asked.clone());
            }
        }
        self.members(keywords, &mut compiled)?;
        if !rest.is_empty() {
            if rest.values().any(refers) {
                return None;
            }
            if let Some(dialect) = self.dialect {
                rest.insert("$schema".to_owned(), dialect.clone());
            }
            compiled.more.get_or_insert_default().rest = Some((self.build)(&Value::Object(rest))?);
        }
        Some(compiled)
    }

    /// `properties`, `required` and `additionalProperties`, which go together.
    fn members(&mut self, keywords: &'a Map<String, Value>, compiled: &mut Subschema) -> Option<()> {
        let required = required(keywords).unwrap_or_default();
        let (mut declared, mut others) = (Vec::new(), None);
        if !are_members_by_pattern(keywords) {
            for (name, subschema) in
                keywords.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                declared.push((name, self.subschema(subschema)?));
            }
            others = match keywords.get("additionalProperties") {
                Some(subschema) => Some(self.subschema(subschema)?),
                None => None,
            };
        }
        if declared.is_empty() && others.is_none() && required.is_empty() {
            return Some(());
        }
        let object = compiled.object.get_or_insert_default();
        object.others = others;
        for (name, subschema) in declared {
            object.member(name).subschema = Some(subschema);
        }
        for (nth, name) in required.into_iter().enumerate() {
            let member = object.member(name);
            // The first one, where a name is there twice.
            if member.required == 0 {
                member.required = 1 << nth;
                object.required |= 1 << nth;
            }
        }
        Some(())
    }

    fn reference(&mut self, reference: &'a Value) -> Option<Id> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        // Neither anchors nor escaped pointers.
        if !pointer.is_empty() && !pointer.starts_with('/') || pointer.contains('%') {
            return None;
        }
        self.subschema(self.schema.pointer(pointer)?)
    }
}

/// Takes up a keyword that looks at one value alone.
fn take(keyword: &str, asked: &Value, compiled: &mut Subschema) -> Option<()> {
    match keyword {
        "type" => {
            let names = asked.as_array().map_or(std::slice::from_ref(asked), Vec::as_slice);
            let bits = names.iter().map(type_bits).collect::<Option<Vec<u8>>>()?;
            compiled.types = bits.into_iter().fold(0, |all, bit| all | bit);
        }
        "enum" => one_of(asked.as_array()?, compiled)?,
        "const" => one_of(std::slice::from_ref(asked), compiled)?,
        "minimum" | "exclusiveMinimum" => {
            let bound = Bound { number: number(asked)?, is_allowed: keyword == "minimum" };
            first(&mut compiled.range.get_or_insert_default().lower, bound)?;
        }
        "maximum" | "exclusiveMaximum" => {
            let bound = Bound { number: number(asked)?, is_allowed: keyword == "maximum" };
            first(&mut compiled.range.get_or_insert_default().upper, bound)?;
        }
        "minLength" => compiled.text.get_or_insert_default().length.min = size(asked)?,
        "maxLength" => compiled.text.get_or_insert_default().length.max = size(asked)?,
        "minItems" => compiled.array.get_or_insert_default().length.min = size(asked)?,
        "maxItems" => compiled.array.get_or_insert_default().length.max = size(asked)?,
        "minProperties" => compiled.object.get_or_insert_default().length.min = size(asked)?,
        "maxProperties" => compiled.object.get_or_insert_default().length.max = size(asked)?,
        "pattern" => {
            let pattern = pattern(asked.as_str()?)?;
            compiled.text.get_or_insert_default().pattern = Some(pattern);
        }
        _ => return None,
    }
    Some(())
}

/// `enum` and `const` at once are rare: the second one is left.
fn one_of(options: &[Value], compiled: &mut Subschema) -> Option<()> {
    let place = &mut compiled.more.get_or_insert_default().options;
    place.is_none().then(|| *place = Some(Options::new(options)))
}

/// Of two bounds of the same kind, the second one is left.
fn first(place: &mut Option<Bound>, bound: Bound) -> Option<()> {
    place.is_none().then(|| *place = Some(bound))
}

fn are_members_by_pattern(keywords: &Map<String, Value>) -> bool {
    keywords.contains_key("patternProperties") && keywords.contains_key("additionalProperties")
}

/// The names that are required, if they are few enough.
fn required(keywords: &Map<String, Value>) -> Option<Vec<&str>> {
    let names = keywords.get("required")?.as_array()?;
    let names = names.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    (names.len() <= REQUIRED_MAX).then_some(names)
}

fn type_bits(name: &Value) -> Option<u8> {
    Some(match name.as_str()? {
        "null" => types::NULL,
        "boolean" => types::BOOLEAN,
        "integer" => types::INTEGER,
        "number" => types::INTEGER | types::FRACTION,
        "string" => types::STRING,
        "array" => types::ARRAY,
        "object" => types::OBJECT,
        _ => return None,
    })
}

fn number(asked: &Value) -> Option<Number> {
    if let Some(whole) = asked.as_i64() {
        return Some(Number::whole(whole.into()));
    }
    if let Some(whole) = asked.as_u64() {
        return Some(Number::whole(whole.into()));
    }
    asked.as_f64().map(Number::Float)
}

/// A length: whole numbers also as floats.
fn size(asked: &Value) -> Option<u64> {
    asked.as_u64().or_else(|| asked.as_f64().filter(|n| *n >= 0.0 && n.trunc() == *n).map(|n| n as u64))
}

/// A pattern whose meaning in ECMA 262 and in the crate `regex` is the same; others are left to the
/// validator, which translates them.
fn pattern(pattern: &str) -> Option<Regex> {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    // Where a class began, and its last character.
    let mut class: Option<char> = None;
    while let Some(c) = rest.next() {
        match (class, c) {
            (_, '\\') => {
                let escaped = rest.next()?;
                match escaped {
                    'd' => translated.push_str(if class.is_some() { "0-9" } else { "[0-9]" }),
                    'w' => translated.push_str(if class.is_some() { "A-Za-z0-9_" } else { "[A-Za-z0-9_]" }),
                    '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '-'
                    | '\\' => {
                        translated.extend(['\\', escaped]);
                    }
                    '/' => translated.push('/'),
                    _ => return None,
                }
                class = class.map(|_| escaped);
            }
            // A range to or from a whole class, an empty class, and operators on sets.
            (Some('d' | 'w'), '-') => return None,
            (Some('['), ']') | (Some(_), '[' | '&' | '~') => return None,
            (Some('-'), '-') => return None,
            (Some(_), ']') => {
                class = None;
                translated.push(c);
            }
            (Some(_), _) => {
                class = Some(c);
                translated.push(c);
            }
            (None, '[') => {
                translated.push(c);
                translated.extend(rest.next_if_eq(&'^'));
                class = Some('[');
            }
            // All characters but the ends of lines, which are others; groups of other kinds.
            (None, '.') => return None,
            (None, '(') => {
                translated.push(c);
                if rest.next_if_eq(&'?').is_some() {
                    translated.extend(['?', rest.next_if_eq(&':')?]);
                }
            }
            (None, '{') => {
                let times: String = std::iter::from_fn(|| rest.next_if(|c| *c != '}')).collect();
                let (least, most) = times.split_once(',').unwrap_or((&times, "1"));
                let is_count = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if !is_count(least) || !(most.is_empty() || is_count(most)) {
                    return None;
                }
                translated.push('{');
                translated.push_str(&times);
            }
            (None, _) => translated.push(c),
        }
    }
    RegexBuilder::new(&translated).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().ok()
}
