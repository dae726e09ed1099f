//! JSON onto the tape: one pass, nothing allocated once tape and shape have grown.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::{Builder, DecodeFailure, Document, Shape, Tape, reason};
use crate::limits::Limits;

/// Decodes one JSON document (RFC 8259). Refused: invalid UTF-8, a byte-order mark, trailing
/// bytes, numbers that no 64-bit float holds, lone surrogates, nesting and size beyond the limits.
/// Integers beyond 64 bits become floats; of duplicate keys the last one counts, and they are
/// counted ([`Document::duplicate_keys`]).
///
/// Nesting is refused at 128 at the latest, whatever the limit, as the parser is recursive.
pub fn decode<'a>(
    payload: &'a [u8],
    shape: &mut Shape,
    tape: &'a mut Tape,
    limits: &Limits,
) -> Result<Document<'a>, DecodeFailure> {
    let text = text_of(payload, limits)?;
    let mut builder = Builder::over(shape, tape, limits, text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut refused = None;
    let parsed = Sink { builder: &mut builder, refused: &mut refused }.deserialize(&mut deserializer);
    if let Some(refused) = refused {
        return Err(refused);
    }
    parsed.map_err(|e| failure(text, &e))?;
    deserializer.end().map_err(|e| DecodeFailure::new(reason::TRAILING_BYTES, place(text, &e)))?;
    builder.finish()
}

/// Is this meant as JSON? What `decode.value: auto` goes by, live and in the tests of check files: an
/// object or a list by its first character, so that half a document is a failure; anything else
/// only if it is JSON as a whole, since most texts are not.
pub fn is_meant(payload: &[u8]) -> bool {
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii_start();
    match text.first() {
        Some(b'{' | b'[') => true,
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            serde_json::from_slice::<de::IgnoredAny>(payload).is_ok()
        }
        _ => false,
    }
}

fn text_of<'a>(payload: &'a [u8], limits: &Limits) -> Result<&'a str, DecodeFailure> {
    let max = limits.message_bytes.min(u32::MAX as usize);
    if payload.len() > max {
        let detail = format!("{} bytes; at most {max} are decoded (limits.message_bytes)", payload.len());
        return Err(DecodeFailure::new(reason::TOO_LARGE, detail));
    }
    if payload.starts_with(b"\xef\xbb\xbf") {
        return Err(DecodeFailure::new(reason::BYTE_ORDER_MARK, "starts with a UTF-8 byte-order mark"));
    }
    let text = std::str::from_utf8(payload).map_err(|e| {
        DecodeFailure::new(reason::INVALID_UTF8, format!("invalid UTF-8 at byte {}", e.valid_up_to()))
    })?;
    if text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err(DecodeFailure::new(reason::EMPTY, format!("{} bytes of nothing", payload.len())));
    }
    Ok(text)
}

/// What the parser's error means. Its variants are private: the messages are the only key, and a
/// test below holds each of them.
fn failure(text: &str, error: &serde_json::Error) -> DecodeFailure {
    let message = error.to_string();
    let reason = if error.is_eof() {
        reason::TRUNCATED
    } else if message.starts_with("number out of range") {
        reason::NUMBER_OUT_OF_RANGE
    } else if message.starts_with("recursion limit exceeded") {
        reason::TOO_DEEP
    } else if message.starts_with("lone leading surrogate")
        || message.starts_with("unexpected end of hex escape")
        || message.starts_with("invalid unicode code point")
    {
        reason::INVALID_UTF8
    } else {
        reason::NOT_JSON
    };
    DecodeFailure::new(reason, place(text, error))
}

/// The parser's message with a byte offset for its line and column.
fn place(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    // Columns count bytes from 1; 0 is the line break itself.
    let offset = (line_start + error.column().saturating_sub(1)).min(text.len());
    format!("{what} at byte {offset}")
}

struct Sink<'b, 's, 't> {
    builder: &'b mut Builder<'s, 't>,
    /// Why the builder stopped the parse: serde's errors carry text alone.
    refused: &'b mut Option<DecodeFailure>,
}

impl<'s, 't> Sink<'_, 's, 't> {
    fn put<E: de::Error>(
        &mut self,
        write: impl FnOnce(&mut Builder<'s, 't>) -> Result<(), DecodeFailure>,
    ) -> Result<(), E> {
        write(self.builder).map_err(|failure| {
            *self.refused = Some(failure);
            E::custom("refused")
        })
    }

    fn again(&mut self) -> Sink<'_, 's, 't> {
        Sink { builder: self.builder, refused: self.refused }
    }
}

impl<'de> DeserializeSeed<'de> for Sink<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sink<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.put(Builder::null)
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        self.put(|b| b.bool(value))
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        self.put(|b| b.i64(value))
    }

    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        self.put(|b| b.u64(value))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.put(|b| b.f64(value))
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<(), E> {
        self.put(|b| b.str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.put(Builder::begin_array)?;
        while elements.next_element_seed(self.again())?.is_some() {}
        self.put(Builder::end_array)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.put(Builder::begin_object)?;
        while members.next_key_seed(KeySink(self.again()))?.is_some() {
            members.next_value_seed(self.again())?;
        }
        self.put(Builder::end_object)
    }
}

struct KeySink<'b, 's, 't>(Sink<'b, 's, 't>);

impl<'de> DeserializeSeed<'de> for KeySink<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySink<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(mut self, key: &str) -> Result<(), E> {
        self.0.put(|b| b.key(key))
    }
}
