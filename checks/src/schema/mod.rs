//! JSON Schema on the tape: no second parse, no tree.
//!
//! The validator is the crate `jsonschema`, reading the tape through its trait for foreign
//! representations (`tape.rs`); its own conformance check and a comparison with the verdicts on
//! `serde_json::Value` hold the two together. What looks at one value alone is compiled (`plan.rs`)
//! and left to the validator only to say what is wrong.

#[cfg(test)]
mod alike;
mod compile;
mod fanout;
mod plan;
mod tape;
#[cfg(test)]
mod tests;

use jsonschema::{PatternOptions, Validator};

pub(crate) use self::plan::Link;
use self::plan::Plan;
use self::tape::{TapeJson, TapeNode};
use crate::limits::Limits;
use crate::redact::{self, Redaction};
use crate::tape::{Document, Shape, printable, redacted};

/// Largest compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// A compiled JSON Schema (draft by `$schema`, 2020-12 without).
#[derive(Debug)]
pub struct Schema {
    validator: Validator<TapeJson>,
    /// The same, where it can be taken apart.
    plan: Option<Plan>,
    work: fanout::Work,
    excerpt_bytes: usize,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Longer than `limits.schema_bytes`.
    #[error("the schema has {bytes} bytes; at most {max} are taken (limits.schema_bytes)")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No JSON, or not deeply enough understood to be safe (nesting).
    #[error("the schema is not JSON: {0}")]
    NotJson(String),
    /// It refers to something outside of itself.
    #[error(
        "{0}; references are only resolved within the schema itself: put what it refers to under `$defs`"
    )]
    Reference(String),
    /// JSON, but no schema; or a pattern that the engine for linear time does not take.
    #[error("not a usable JSON Schema: {0}")]
    Invalid(String),
}

impl Schema {
    /// Compiles a schema. Nothing is fetched, and patterns run in linear time: look-around and
    /// back-references are refused. `format` is checked where the draft says so (draft 7 and
    /// earlier).
    pub fn compile(text: &str, limits: &Limits) -> Result<Self, SchemaError> {
        if text.len() > limits.schema_bytes {
            return Err(SchemaError::TooLarge { bytes: text.len(), max: limits.schema_bytes });
        }
        let schema: serde_json::Value =
            serde_json::from_str(text).map_err(|e| SchemaError::NotJson(e.to_string()))?;
        let work = fanout::check(&schema).map_err(SchemaError::Invalid)?;
        let validator = build(&schema).map_err(|e| {
            let location = e.instance_path().as_str();
            let at = if location.is_empty() { String::new() } else { format!(" (at {location})") };
            let message = cut(&format!("{e}{at}"), limits.string_bytes.max(256));
            match e.kind() {
                jsonschema::error::ValidationErrorKind::Referencing(_) => SchemaError::Reference(message),
                _ => SchemaError::Invalid(message),
            }
        })?;
        let plan = compile::plan(&schema, &|part| build(part).ok());
        Ok(Self { validator, plan, work, excerpt_bytes: limits.string_bytes })
    }

    /// Does the document fit? `shape` is the one that its tape was filled over.
    pub fn is_valid(&self, document: Document<'_>, shape: &mut Shape) -> bool {
        match &self.plan {
            Some(plan) => plan.holds(document.root(), shape),
            None => self.fits_whole(document),
        }
    }

    fn fits_whole(&self, document: Document<'_>) -> bool {
        self.validator.is_valid(TapeNode::Value(document.root()))
    }

    /// The first way in which it does not: where in the document, what was asked, and an excerpt
    /// of the value. Each part is cut to `limits.string_bytes`. For cold paths: it copies the
    /// offending value. Empty when the document fits. What must not be shown is not.
    pub fn first_error(&self, document: Document<'_>, redaction: &Redaction) -> String {
        if !self.work.is_searchable(depth(document.root())) {
            if self.fits_whole(document) {
                return String::new();
            }
            let found = redacted(document.root(), self.excerpt_bytes, &redaction.root());
            return format!("/: does not fit the schema, which is too recursive to say where: {found}");
        }
        let Err(error) = self.validator.validate(TapeNode::Value(document.root())) else {
            return String::new();
        };
        let path = error.instance_path().as_str();
        let message = cut(&redact::text(&error.masked().to_string()), self.excerpt_bytes);
        let found = at(document, path, redaction)
            .map(|(value, place)| redacted(value, self.excerpt_bytes, &place))
            .unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        format!("{}: {message}: {found}", cut(&redact::text(path), self.excerpt_bytes))
    }
}

fn build(schema: &serde_json::Value) -> Result<Validator<TapeJson>, jsonschema::ValidationError<'static>> {
    jsonschema::options_for::<TapeJson>()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
        .build(schema)
        .map_err(jsonschema::ValidationError::to_owned)
}

/// Containers within each other. Recursive, as deep as `limits.nesting` lets a document be.
fn depth(value: crate::tape::Value<'_>) -> u32 {
    let members = value.members().map(|(_, v)| v);
    members.chain(value.elements()).map(|v| 1 + depth(v)).max().unwrap_or(0)
}

/// The value at a JSON pointer (RFC 6901), and what is hidden from there on.
fn at<'a, 'r>(
    document: Document<'a>,
    pointer: &str,
    redaction: &'r Redaction,
) -> Option<(crate::tape::Value<'a>, redact::Place<'r>)> {
    pointer.split('/').skip(1).try_fold((document.root(), redaction.root()), |(value, place), token| {
        let key = token.replace("~1", "/").replace("~0", "~");
        match value.get(&key) {
            Some(member) => Some((member, place.key(&key))),
            None => Some((value.elements().nth(key.parse().ok()?)?, place.element())),
        }
    })
}

/// At most `max` bytes of a text, with what cannot be shown replaced.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = if printable(c) { c } else { '\u{fffd}' };
        if out.len() + c.len_utf8() > max {
            while out.len() + '…'.len_utf8() > max && out.pop().is_some() {}
            if max >= '…'.len_utf8() {
                out.push('…');
            }
            break;
        }
        out.push(c);
    }
    out
}
