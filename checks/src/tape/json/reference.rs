//! The parser that has the last word: the crate `serde_json`.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::tape::{Array, Builder, DecodeFailure, Object, Place, reason};

pub(super) fn document(text: &str, builder: &mut Builder<'_, '_>) -> Result<(), DecodeFailure> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    value(&mut deserializer, builder, |error| failure(text, &error))?;
    deserializer.end().map_err(|e| DecodeFailure::new(reason::TRAILING_BYTES, place(text, &e)))
}

/// Writes what any deserializer gives.
pub(super) fn value<'de, D: de::Deserializer<'de>>(
    deserializer: D,
    builder: &mut Builder<'_, '_>,
    failure: impl FnOnce(D::Error) -> DecodeFailure,
) -> Result<(), DecodeFailure> {
    let mut refused = None;
    let record = builder.record();
    let parsed = Sink { builder, refused: &mut refused }.at(record).deserialize(deserializer);
    match refused {
        Some(refused) => Err(refused),
        None => parsed.map_err(failure),
    }
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
    fn put<T, E: de::Error>(
        &mut self,
        write: impl FnOnce(&mut Builder<'s, 't>) -> Result<T, DecodeFailure>,
    ) -> Result<T, E> {
        write(self.builder).map_err(|failure| {
            *self.refused = Some(failure);
            E::custom("refused")
        })
    }

    /// The value of this place.
    fn at<'b>(&'b mut self, place: Place) -> ValueSink<'b, 's, 't> {
        ValueSink { sink: Sink { builder: self.builder, refused: self.refused }, place }
    }
}

struct ValueSink<'b, 's, 't> {
    sink: Sink<'b, 's, 't>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for ValueSink<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSink<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.sink.put(|b| b.null(self.place))
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        self.sink.put(|b| b.bool(self.place, value))
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        self.sink.put(|b| b.i64(self.place, value))
    }

    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        self.sink.put(|b| b.u64(self.place, value))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.sink.put(|b| b.f64(self.place, value))
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<(), E> {
        self.sink.put(|b| b.str(self.place, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut array = self.sink.put(|b| b.begin_array(self.place))?;
        loop {
            let element = Element { sink: &mut self.sink, array: &mut array };
            if elements.next_element_seed(element)?.is_none() {
                return self.sink.put(|b| b.end_array(array));
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut object = self.sink.put(|b| b.begin_object(self.place))?;
        while let Some(member) = members.next_key_seed(Key { sink: &mut self.sink, object: &mut object })? {
            members.next_value_seed(self.sink.at(member))?;
        }
        self.sink.put(|b| b.end_object(object))
    }
}

/// An element, if there is one.
struct Element<'b, 'p, 's, 't> {
    sink: &'b mut Sink<'p, 's, 't>,
    array: &'b mut Array,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let place = self.sink.builder.element(self.array);
        self.sink.at(place).deserialize(deserializer)
    }
}

struct Key<'b, 'p, 's, 't> {
    sink: &'b mut Sink<'p, 's, 't>,
    object: &'b mut Object,
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_, '_, '_> {
    type Value = Place;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_, '_, '_> {
    type Value = Place;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Place, E> {
        self.sink.put(|b| b.key(self.object, key))
    }
}
