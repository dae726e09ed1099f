//! JSON onto the tape: one pass, nothing allocated once tape and shape have grown.
//!
//! `parse` takes what it is sure of, by the keys that the records before had; anything else is
//! `reference`'s to take, or to refuse and say why (docs/adr/0010).

mod parse;
mod reference;
#[cfg(test)]
mod tests;

use serde::de;

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
    if parse::document(text, &mut builder).is_none() {
        builder.begin_again();
        reference::document(text, &mut builder)?;
    }
    builder.finish()
}

/// The same by another parser, for comparison: what a deserializer of this payload gives.
pub fn decode_by<'a, 'de, D: de::Deserializer<'de>>(
    deserializer: D,
    payload: &'a [u8],
    shape: &mut Shape,
    tape: &'a mut Tape,
    limits: &Limits,
) -> Result<Document<'a>, DecodeFailure> {
    let text = text_of(payload, limits)?;
    let mut builder = Builder::over(shape, tape, limits, text);
    reference::value(deserializer, &mut builder, |e| DecodeFailure::new(reason::NOT_JSON, e.to_string()))?;
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
