//! What a value is: decoded onto the tape, recognised but not decoded, or a counted failure.
//!
//! The rule of `decode: { value: auto }` looks at one record alone, so that every run counts the
//! same:
//!
//! | the value | is taken as |
//! |---|---|
//! | null | a tombstone |
//! | byte 0 and a schema id of four bytes | framed by a registry's serializer: what the registry says of that id; without a registry `framed`, not decoded |
//! | `{` or `[` first, behind white space or a byte-order mark | JSON: it decodes, or it is a decode failure |
//! | all of it a JSON scalar | JSON |
//! | other UTF-8 | `text`, not decoded |
//! | anything else | `bytes`, not decoded |
//!
//! With `value: json` (or `avro`) everything else is a decode failure.

mod avro;
mod avro_schema;
pub(crate) mod registry;

use apache_avro::Schema as AvroSchema;
use checks::examine::{Decoded, SchemaVerdict};
use checks::limits::Limits;
use checks::redact::Redaction;
use checks::rules::{SchemaKind, SchemaSource, TopicRules, ValueFormat};
use checks::tape::{DecodeFailure, Document, Shape, Tape, json, reason};

use avro_schema::Plan;
use registry::{Fetched, Registry};

/// Names in [`checks::report::PaneSummary::not_decoded`].
mod format {
    pub(super) const TEXT: &str = "text";
    pub(super) const BYTES: &str = "bytes";
    pub(super) const PROTOBUF: &str = "protobuf";
    pub(super) const FRAMED: &str = "framed";
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks<'a> {
    Json,
    Framed { id: u32, rest: &'a [u8] },
    Not(&'static str),
}

/// The rule of `auto`, in the module's table.
fn look(value: &[u8]) -> Looks<'_> {
    if let Some(framed) = framed(value) {
        return framed;
    }
    let text = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value).trim_ascii_start();
    match text.first() {
        Some(b'{' | b'[') => Looks::Json,
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
            if serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok() =>
        {
            Looks::Json
        }
        _ if std::str::from_utf8(value).is_ok() => Looks::Not(format::TEXT),
        _ => Looks::Not(format::BYTES),
    }
}

/// The framing of the registries' serializers: magic byte 0, schema id in big-endian order.
fn framed(value: &[u8]) -> Option<Looks<'_>> {
    let (&[0, a, b, c, d], rest) = value.split_first_chunk::<5>()? else { return None };
    Some(Looks::Framed { id: u32::from_be_bytes([a, b, c, d]), rest })
}

/// Avro of one known schema, without a registry and its framing.
#[derive(Debug)]
pub struct Avro(Plan);

impl Avro {
    /// Compiles the schema that the data is written by.
    ///
    /// # Errors
    /// It is none.
    pub fn compile(schema: &str) -> Result<Self, String> {
        Plan::compile(schema).map(Self)
    }

    /// Decodes one datum.
    ///
    /// # Errors
    /// It is none of this schema, or beyond the limits.
    pub fn decode<'a>(
        &'a self,
        datum: &[u8],
        shape: &mut Shape,
        tape: &'a mut Tape,
        limits: &Limits,
    ) -> Result<Document<'a>, DecodeFailure> {
        avro::decode(datum, &self.0, shape, tape, limits)
    }
}

/// The registry's schema that a value was decoded by. Without a registry, and where decoding failed,
/// four bytes prove nothing.
pub(crate) fn schema_id(value: Option<&[u8]>, how: &How, decoded: &Decoded<'_>) -> Option<u32> {
    let is_known = match decoded {
        Decoded::Document(_) => !matches!(how.format, ValueFormat::Json),
        Decoded::NotDecoded { format } => *format == format::PROTOBUF,
        Decoded::Tombstone | Decoded::Failed(_) => false,
    };
    match value.filter(|_| is_known).and_then(framed)? {
        Looks::Framed { id, .. } => Some(id),
        Looks::Json | Looks::Not(_) => None,
    }
}

/// A decoder: one for each thread.
pub(crate) struct Decoder {
    tape: Tape,
    limits: Limits,
    registry: Option<Registry>,
}

impl Decoder {
    pub(crate) fn new(limits: &Limits, registry: Option<Registry>) -> Self {
        avro::bound_allocations(limits);
        Self { tape: Tape::new(), limits: limits.clone(), registry }
    }

    /// Decodes a value as the topic's rules say, and holds it against the schema that came with it.
    pub(crate) fn decode<'a>(
        &'a mut self,
        value: Option<&'a [u8]>,
        how: &How,
        shape: &mut Shape,
        now_ms: i64,
    ) -> (Decoded<'a>, Option<SchemaVerdict>) {
        let Some(value) = value else { return (Decoded::Tombstone, None) };
        let looks = match how.format {
            ValueFormat::Auto => look(value),
            ValueFormat::Json => Looks::Json,
            ValueFormat::Avro => match framed(value) {
                Some(framed) => framed,
                None => return (Decoded::Failed(not_framed(value)), None),
            },
            ValueFormat::Text => Looks::Not(format::TEXT),
            ValueFormat::Bytes => Looks::Not(format::BYTES),
        };
        match looks {
            Looks::Not(format) => (Decoded::NotDecoded { format }, None),
            Looks::Json => match json::decode(value, shape, &mut self.tape, &self.limits) {
                Ok(document) => (Decoded::Document(document), None),
                Err(failure) => (Decoded::Failed(failure), None),
            },
            Looks::Framed { id, rest } => self.framed(id, rest, how, shape, now_ms),
        }
    }

    fn framed<'a>(
        &'a mut self,
        id: u32,
        rest: &'a [u8],
        how: &How,
        shape: &mut Shape,
        now_ms: i64,
    ) -> (Decoded<'a>, Option<SchemaVerdict>) {
        let Self { tape, limits, registry } = self;
        let Some(registry) = registry else {
            if how.format == ValueFormat::Auto {
                return (Decoded::NotDecoded { format: format::FRAMED }, None);
            }
            let detail = format!("a value of schema {id}, and no registry configured (registry.url)");
            return (Decoded::Failed(DecodeFailure::new(reason::NO_REGISTRY, detail)), None);
        };
        let decoded = registry.schema(id, now_ms).and_then(|schema| match schema {
            Fetched::Protobuf => Ok((Decoded::NotDecoded { format: format::PROTOBUF }, None)),
            Fetched::Json(schema) => {
                let document = json::decode(rest, shape, tape, limits)?;
                let verdict = schema.as_ref().filter(|_| !how.has_json_file).map(|schema| {
                    match schema.is_valid(document, shape) {
                        true => SchemaVerdict::Valid,
                        false => SchemaVerdict::Violation(schema.first_error(document, &how.redact)),
                    }
                });
                Ok((Decoded::Document(document), verdict))
            }
            Fetched::Avro(plan) => {
                let document = avro::decode(rest, plan, shape, tape, limits)?;
                let verdict = match &how.reader {
                    None => (!how.has_json_file).then_some(SchemaVerdict::Valid),
                    Some(reader) => Some(match avro::resolve(rest, plan, reader) {
                        Ok(()) => SchemaVerdict::Valid,
                        // The library quotes the value, wherever in the document it stands.
                        Err(_) if !how.redact.paths().is_empty() => SchemaVerdict::Violation(
                            "it does not resolve into the schema of the rules".to_owned(),
                        ),
                        Err(why) => SchemaVerdict::Violation(why),
                    }),
                };
                Ok((Decoded::Document(document), verdict))
            }
        });
        decoded.unwrap_or_else(|failure| (Decoded::Failed(failure), None))
    }
}

/// How a topic's values are decoded: its rules' `decode`, compiled.
#[derive(Debug, Default)]
pub(crate) struct How {
    format: ValueFormat,
    /// Avro values must resolve into this schema.
    reader: Option<AvroSchema>,
    /// Documents are held against a JSON Schema of the rules, by the examiner.
    has_json_file: bool,
    /// What messages must not show.
    redact: Redaction,
}

impl How {
    /// # Errors
    /// The schema file is no Avro schema.
    pub(crate) fn new(rules: &TopicRules) -> Result<Self, String> {
        let decode = &rules.decode;
        let mut how = Self { format: decode.value, redact: rules.redact.clone(), ..Self::default() };
        if let SchemaSource::File(file) = &decode.schema {
            match file.kind {
                SchemaKind::Json => how.has_json_file = true,
                SchemaKind::Avro => {
                    let schema = AvroSchema::parse_str(&file.text);
                    how.reader = Some(schema.map_err(|e| format!("{}: {e}", file.path.display()))?);
                }
            }
        }
        Ok(how)
    }
}

fn not_framed(value: &[u8]) -> DecodeFailure {
    let detail = match value.first() {
        None => "no bytes at all; a schema id was expected".to_owned(),
        Some(first) => {
            format!("{} bytes that begin with {first:#04x}; 0x00 and a schema id were expected", value.len())
        }
    };
    DecodeFailure::new(reason::NOT_FRAMED, detail)
}

#[cfg(test)]
mod tests;
