//! A record as a line of JSON: `{"key", "value", "headers", "timestamp", "partition", "offset"}`, or
//! as kcat writes it with `-J`.
//!
//! The value is taken out of the line as it stands there, byte for byte: its numbers keep their digits
//! and its members their order.

use serde_json::Value;

use crate::record::Timestamp;
use crate::yaml::{nearest, quoted};

/// Keys of a line; the last six are kcat's.
const KEYS: [&str; 14] = [
    "key",
    "value",
    "raw",
    "headers",
    "timestamp",
    "partition",
    "offset",
    "topic",
    "payload",
    "ts",
    "tstype",
    "broker",
    "key_schema_id",
    "value_schema_id",
];

/// Members that a line may have; kcat's has 13 at most.
const MEMBERS_MAX: usize = 100;
/// Headers that a record may have.
const HEADERS_MAX: usize = 1_000;

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends too early.
    #[error("it ends in the middle")]
    Truncated,
    /// It is something else.
    #[error("{0}")]
    Wrong(String),
}

/// A header with its value, which may be null.
pub(super) type OwnedHeader = (String, Option<String>);

/// A record, its value borrowed from the line where it is not a text.
#[derive(Debug, PartialEq)]
pub(super) struct Envelope<'a> {
    pub(super) key: Option<Bytes<'a>>,
    /// `None` is a tombstone.
    pub(super) value: Option<Bytes<'a>>,
    pub(super) headers: Vec<OwnedHeader>,
    pub(super) timestamp: Timestamp,
    pub(super) partition: i32,
    /// `None` where none is written.
    pub(super) offset: Option<i64>,
}

/// Bytes of a key or value.
#[derive(Debug, PartialEq)]
pub(super) enum Bytes<'a> {
    /// JSON as it stands in the line.
    Json(&'a [u8]),
    /// What a text says.
    Text(String),
}

impl Bytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Json(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads a line.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, EnvelopeError> {
        let members = Members { line, at: 0 }.read()?;
        let get = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        if let Some((typo, meant)) = members
            .iter()
            .filter(|(key, _)| !KEYS.contains(&key.as_str()))
            .find_map(|(key, _)| Some((key, nearest(key, &KEYS)?)))
        {
            return Err(wrong(format!("unknown key {}: did you mean `{meant}`?", quoted(typo))));
        }
        let value = match (get("value"), get("raw"), get("payload")) {
            (Some(value), None, None) => json(value),
            (None, Some(text), None) => match text_or_json("raw", text)? {
                Some(Bytes::Json(_)) => return Err(wrong("`raw` is a text")),
                text => text,
            },
            // kcat writes what it does not decode as a text.
            (None, None, Some(payload)) => text_or_json("payload", payload)?,
            (None, None, None) => {
                return Err(wrong("it has no `value` (nor `raw`, nor kcat's `payload`)"));
            }
            _ => return Err(wrong("it has more than one of `value`, `raw` and `payload`")),
        };
        let key = get("key").map(|key| text_or_json("key", key)).transpose()?.flatten();
        let number = |name: &str| get(name).map(|text| integer(name, text)).transpose().map(Option::flatten);
        let partition = i32::try_from(number("partition")?.unwrap_or(0));
        Ok(Self {
            key,
            value,
            headers: get("headers").map_or(Ok(Vec::new()), headers)?,
            timestamp: timestamp(get("timestamp"), number("ts")?, get("tstype"))?,
            partition: partition.ok().filter(|n| *n >= 0).ok_or_else(|| wrong("`partition` is from 0"))?,
            offset: number("offset")?,
        })
    }
}

fn wrong(message: impl Into<String>) -> EnvelopeError {
    EnvelopeError::Wrong(message.into())
}

fn is_null(text: &[u8]) -> bool {
    text == b"null"
}

fn json(text: &[u8]) -> Option<Bytes<'_>> {
    (!is_null(text)).then_some(Bytes::Json(text))
}

/// What a text says; anything else as it is.
fn text_or_json<'a>(name: &str, text: &'a [u8]) -> Result<Option<Bytes<'a>>, EnvelopeError> {
    if !text.starts_with(b"\"") {
        return Ok(json(text));
    }
    let said = serde_json::from_slice(text).map_err(|error| wrong(format!("`{name}`: {error}")))?;
    Ok(Some(Bytes::Text(said)))
}

fn integer(name: &str, text: &[u8]) -> Result<Option<i64>, EnvelopeError> {
    serde_json::from_slice(text).map_err(|_| wrong(format!("`{name}` is a whole number")))
}

fn timestamp(own: Option<&[u8]>, kcat: Option<i64>, kind: Option<&[u8]>) -> Result<Timestamp, EnvelopeError> {
    let help = || wrong("`timestamp` is in milliseconds since 1970, or as in 2026-01-31T12:00:00Z");
    if let Some(ms) = kcat {
        return Ok(match kind {
            _ if ms < 0 => Timestamp::Missing,
            Some(b"\"logappend\"") => Timestamp::Appended(ms),
            Some(b"\"unknown\"") => Timestamp::Missing,
            _ => Timestamp::Created(ms),
        });
    }
    Ok(match own.map(serde_json::from_slice).transpose().map_err(|_| help())? {
        None | Some(Value::Null) => Timestamp::Missing,
        Some(Value::Number(ms)) => Timestamp::Created(ms.as_i64().ok_or_else(help)?),
        Some(Value::String(text)) => {
            let time = chrono::DateTime::parse_from_rfc3339(&text).map_err(|_| help())?;
            Timestamp::Created(time.timestamp_millis())
        }
        Some(_) => return Err(help()),
    })
}

/// `{name: text}`, `{name: [text]}` where a name repeats, `[[name, text]]`, or kcat's
/// `[name, text, name, text]`.
fn headers(text: &[u8]) -> Result<Vec<OwnedHeader>, EnvelopeError> {
    let help = || wrong("`headers` are names with texts: {\"source\": \"shop\"}");
    let said = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(help()),
    };
    let name = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(help);
    let mut headers = Vec::new();
    match serde_json::from_slice(text).map_err(|_| help())? {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::Array(values) => {
                        for value in &values {
                            headers.push((name.clone(), said(value)?));
                        }
                    }
                    value => headers.push((name, said(&value)?)),
                }
            }
        }
        Value::Array(items) if items.iter().all(Value::is_array) => {
            for item in items.iter().filter_map(Value::as_array) {
                let [key, value] = item.as_slice() else { return Err(help()) };
                headers.push((name(key)?, said(value)?));
            }
        }
        Value::Array(items) if items.len().is_multiple_of(2) => {
            for pair in items.chunks_exact(2) {
                headers.push((name(&pair[0])?, said(&pair[1])?));
            }
        }
        _ => return Err(help()),
    }
    if headers.len() > HEADERS_MAX {
        return Err(wrong(format!("{} headers, more than {HEADERS_MAX}", headers.len())));
    }
    Ok(headers)
}

/// Takes an object apart without looking into its values.
struct Members<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    fn read(mut self) -> Result<Vec<(String, &'a [u8])>, EnvelopeError> {
        let mut members: Vec<(String, &[u8])> = Vec::new();
        if self.next()? != b'{' {
            return Err(wrong("it is no JSON object"));
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return self.end(members);
        }
        loop {
            if self.peek()? != b'"' {
                return Err(wrong("a name in quotes should stand where something else does"));
            }
            let name = self.string()?;
            let name: String =
                serde_json::from_slice(name).map_err(|error| wrong(format!("a name: {error}")))?;
            if self.next()? != b':' {
                return Err(wrong(format!("`:` is missing after {}", quoted(&name))));
            }
            let value = self.value()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(wrong(format!("{} is written twice", quoted(&name))));
            }
            if members.len() == MEMBERS_MAX {
                return Err(wrong(format!("it has more than {MEMBERS_MAX} members")));
            }
            members.push((name, value));
            match self.next()? {
                b',' => {}
                b'}' => return self.end(members),
                _ => return Err(wrong("`,` or `}` is missing after a value")),
            }
        }
    }

    fn end<T>(mut self, value: T) -> Result<T, EnvelopeError> {
        self.space();
        if self.at == self.line.len() { Ok(value) } else { Err(wrong("something follows the record")) }
    }

    fn space(&mut self) {
        while self.line.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8, EnvelopeError> {
        self.space();
        self.line.get(self.at).copied().ok_or(EnvelopeError::Truncated)
    }

    fn next(&mut self) -> Result<u8, EnvelopeError> {
        let next = self.peek()?;
        self.at += 1;
        Ok(next)
    }

    /// A text with its quotes.
    fn string(&mut self) -> Result<&'a [u8], EnvelopeError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.line.get(self.at) {
                None => return Err(EnvelopeError::Truncated),
                Some(b'\\') => self.at += 2,
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.line[start..self.at]);
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// A value of any kind: up to where it ends, whatever is inside of it.
    fn value(&mut self) -> Result<&'a [u8], EnvelopeError> {
        let mut depth = 0usize;
        self.peek()?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b',' | b':' | b'}' | b']' => return Err(wrong("a value is missing")),
                _ => {
                    let ends = |b: &u8| b" \t\r\n,:]}[{\"".contains(b);
                    let rest = &self.line[self.at..];
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return Ok(&self.line[start..self.at]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Envelope<'_>, EnvelopeError> {
        Envelope::parse(line.as_bytes())
    }

    fn text(text: &str) -> Option<Bytes<'static>> {
        Some(Bytes::Text(text.to_owned()))
    }

    #[test]
    fn a_record_is_taken_as_it_stands() {
        let line = r#" { "key":"o-1", "value": {"id": 12345678901234567890.10, "a":[1,{"b":"}\""}]} , "headers":{"source":"shop","tag":["a",null]},
            "timestamp":"2026-01-01T00:00:01Z","partition":3,"offset":42,"topic":"orders" }"#;
        let record = parse(line).unwrap();
        let value: &[u8] = br#"{"id": 12345678901234567890.10, "a":[1,{"b":"}\""}]}"#;
        assert_eq!(record.value, Some(Bytes::Json(value)));
        assert_eq!((record.key, record.partition, record.offset), (text("o-1"), 3, Some(42)));
        assert_eq!(record.timestamp, Timestamp::Created(1_767_225_601_000));
        let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(
            record.headers,
            [header("source", Some("shop")), header("tag", Some("a")), header("tag", None)]
        );
    }

    #[test]
    fn what_kcat_writes_is_a_record() {
        let line = r#"{"topic":"orders","partition":2,"offset":7,"tstype":"create","ts":1767225600000,"broker":1,"headers":["a","1","b",null],"key":"k","payload":"{\"id\":1,\"n\":\"\u00fc\"}"}"#;
        let record = parse(line).unwrap();
        assert_eq!(record.value, text("{\"id\":1,\"n\":\"ü\"}"));
        assert_eq!((record.key, record.partition, record.offset), (text("k"), 2, Some(7)));
        assert_eq!(record.timestamp, Timestamp::Created(1_767_225_600_000));
        assert_eq!(record.headers.len(), 2);
        let appended = line.replace("create", "logappend");
        assert_eq!(parse(&appended).unwrap().timestamp, Timestamp::Appended(1_767_225_600_000));
        let tombstone =
            line.replace("\"{\\\"id\\\":1,\\\"n\\\":\\\"\\u00fc\\\"}\"", "null").replace("\"k\"", "null");
        let tombstone = parse(&tombstone).unwrap();
        assert_eq!((tombstone.key, tombstone.value), (None, None));
        let without = line.replace("1767225600000", "-1");
        assert_eq!(parse(&without).unwrap().timestamp, Timestamp::Missing);
        // Decoded by kcat (`-s avro`): JSON as it is.
        assert_eq!(
            parse(r#"{"value_schema_id":3,"payload":{"id":1}}"#).unwrap().value,
            Some(Bytes::Json(b"{\"id\":1}"))
        );
    }

    #[test]
    fn values_are_json_and_raw_texts_are_not() {
        assert_eq!(parse(r#"{"value":"new"}"#).unwrap().value, Some(Bytes::Json(b"\"new\"")));
        assert_eq!(parse(r#"{"raw":"{half"}"#).unwrap().value, text("{half"));
        assert_eq!(parse(r#"{"value":null}"#).unwrap().value, None);
        assert_eq!(parse(r#"{"value":1,"key":{"id":1}}"#).unwrap().key, Some(Bytes::Json(b"{\"id\":1}")));
        let pairs = parse(r#"{"value":1,"headers":[["a","1"],["a","2"]]}"#).unwrap().headers;
        assert_eq!(pairs.len(), 2);
        assert_eq!(
            parse(r#"{"value":1,"timestamp":5,"extra":[{}]}"#).unwrap().timestamp,
            Timestamp::Created(5)
        );
    }

    #[test]
    fn what_is_no_record_says_why() {
        for (line, why) in [
            (r#"{"id":1,"amount":5}"#, "it has no `value`"),
            (r#"{"valeu":1}"#, "did you mean `value`?"),
            (r#"{"value":1,"payload":"1"}"#, "more than one of"),
            (r#"{"value":1,"value":2}"#, "`value` is written twice"),
            (r#"{"value":1,"partition":"a"}"#, "`partition` is a whole number"),
            (r#"{"value":1,"partition":-1}"#, "`partition` is from 0"),
            (r#"{"value":1,"timestamp":"yesterday"}"#, "`timestamp` is in milliseconds"),
            (r#"{"value":1,"headers":["a"]}"#, "`headers` are names with texts"),
            (r#"{"value":1,"headers":{"a":1}}"#, "`headers` are names with texts"),
            (r#"{"raw":1}"#, "`raw` is a text"),
            (r#"{"value":}"#, "a value is missing"),
            (r#"{"value" 1}"#, "`:` is missing after `value`"),
            (r#"{"value":1} {}"#, "something follows"),
            (r#"{"value":1 2}"#, "`,` or `}` is missing"),
            ("[1]", "no JSON object"),
            ("{1:2}", "a name in quotes"),
            ("{}", "it has no `value`"),
            ("{\"value\":{\"a\":1", "it ends in the middle"),
            ("{\"value\":\"a", "it ends in the middle"),
            ("{\"value\":\"a\\", "it ends in the middle"),
            ("{", "it ends in the middle"),
        ] {
            let said = parse(line).unwrap_err().to_string();
            assert!(said.contains(why), "{line}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_record_or_says_why(line in "[{}\\[\\]\",:\\\\a1 ]{0,40}") {
            _ = parse(&line);
        }

        #[test]
        fn any_value_is_taken_whole(tokens in prop::collection::vec("[a-z\"\\\\{}\\[\\],:]{0,6}", 0..6)) {
            let value = serde_json::to_string(&serde_json::json!({ "a": tokens, "b": [null, 1.5] })).unwrap();
            let line = format!("{{\"offset\":1,\"value\":{value},\"key\":\"k\"}}");
            let record = parse(&line).unwrap();
            prop_assert_eq!(record.value, Some(Bytes::Json(value.as_bytes())));
        }

        #[test]
        fn half_a_record_ends_in_the_middle(cut in 1usize..60) {
            let line = r#"{"key":"o-1","value":{"id":1,"a":["x\"",2]},"partition":12345}"#;
            prop_assert_eq!(parse(&line[..cut.min(line.len() - 1)]), Err(EnvelopeError::Truncated));
        }
    }
}
