//! Does an answer hold what it claims? Asked before it is decoded.
//!
//! `kafka-protocol` reserves memory for as many elements as an array claims to have; a claim of
//! two billion in a frame of twenty bytes would end the process. So every answer is first walked
//! along its shape without allocating: each length must fit into the bytes that follow, and the
//! elements of a whole answer are bounded. Shapes are those of Apache Kafka's message schemas
//! (clients/src/main/resources/common/message) for the versions that the watcher asks for.

mod tables;
#[cfg(test)]
mod tests;

use tables::CLASSIC_ASSIGNMENT;
pub(super) use tables::of;

use Kind::{Array, Bytes, Fixed, Maybe, Str, Strings, Struct, Throttle, Values};

/// What may stand at one place of a message.
enum Kind {
    /// So many bytes: numbers, booleans, UUIDs.
    Fixed(usize),
    /// For how long the broker holds this connection back, in milliseconds (KIP-219).
    Throttle,
    /// A string, nullable or not.
    Str,
    /// Bytes, nullable or not.
    Bytes,
    /// An array of structs.
    Array(&'static [Field]),
    /// An array of fixed-size values.
    Values(usize),
    /// An array of strings.
    Strings,
    /// A struct in place.
    Struct(&'static [Field]),
    /// The same after a byte that says whether it is there (negative: null).
    Maybe(&'static [Field]),
}

/// One field, and the versions that have it (both inclusive).
struct Field {
    kind: Kind,
    since: i16,
    until: i16,
}

/// One request's answer, and the versions that we ask for.
pub(super) struct Shape {
    /// The request's name, for errors.
    pub(super) name: &'static str,
    /// Oldest version that we speak.
    pub(super) min: i16,
    /// Newest version that we speak.
    pub(super) max: i16,
    /// First version with compact lengths and tagged fields (KIP-482).
    flexible: i16,
    fields: &'static [Field],
}

/// Walks the body of an answer; bytes that are left over are nobody's harm (librdkafka's mock
/// cluster appends some to Metadata). Gives the throttle time that the answer names, in
/// milliseconds, as it stands there.
///
/// # Errors
/// The offset at which the body stops to be what it claims.
pub(super) fn check(shape: &Shape, version: i16, body: &[u8], elements_max: usize) -> Result<i32, String> {
    let flexible = version >= shape.flexible;
    let mut walk = Walk { body, at: 0, version, flexible, elements_left: elements_max, throttle_ms: 0 };
    walk.fields(shape.fields).map_err(|why| format!("{why} at byte {} of {}", walk.at, body.len()))?;
    Ok(walk.throttle_ms)
}

/// Walks the assignment of a member of a classic group, without its leading version.
pub(crate) fn check_assignment(body: &[u8], elements_max: usize) -> Result<(), String> {
    let mut walk =
        Walk { body, at: 0, version: 0, flexible: false, elements_left: elements_max, throttle_ms: 0 };
    walk.fields(CLASSIC_ASSIGNMENT).map_err(|why| format!("{why} at byte {}", walk.at))
}

/// Skips the tagged fields of a flexible response header; gives how many bytes they take.
pub(super) fn tagged_fields_len(body: &[u8]) -> Result<usize, String> {
    let mut walk = Walk { body, at: 0, version: 0, flexible: true, elements_left: 1024, throttle_ms: 0 };
    walk.tagged_fields().map_err(str::to_owned)?;
    Ok(walk.at)
}

struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    version: i16,
    flexible: bool,
    elements_left: usize,
    throttle_ms: i32,
}

const SHORT: &str = "it ends too early";

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), &'static str> {
        for field in fields {
            if field.since <= self.version && self.version <= field.until {
                self.kind(&field.kind)?;
            }
        }
        if self.flexible { self.tagged_fields() } else { Ok(()) }
    }

    fn kind(&mut self, kind: &Kind) -> Result<(), &'static str> {
        match kind {
            Fixed(size) => self.skip(*size),
            Throttle => {
                self.throttle_ms = i32::from_be_bytes(self.take()?);
                Ok(())
            }
            Str => {
                let length = if self.flexible { self.compact_len()? } else { self.short_len()? };
                self.skip(length.unwrap_or(0))
            }
            Bytes => {
                let length = self.array_len()?;
                self.skip(length.unwrap_or(0))
            }
            Values(size) => {
                let count = self.array_len()?.unwrap_or(0);
                self.skip(count.checked_mul(*size).ok_or("an array is impossibly long")?)
            }
            Array(fields) => self.each(|walk| walk.fields(fields)),
            Strings => self.each(|walk| walk.kind(&Str)),
            Struct(fields) => self.fields(fields),
            Maybe(fields) => {
                let [there] = self.take()?;
                if i8::from_be_bytes([there]) < 0 { Ok(()) } else { self.fields(fields) }
            }
        }
    }

    fn each(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        for _ in 0..self.array_len()?.unwrap_or(0) {
            self.take_element()?;
            element(self)?;
        }
        Ok(())
    }

    fn take_element(&mut self) -> Result<(), &'static str> {
        self.elements_left =
            self.elements_left.checked_sub(1).ok_or("it holds more elements than are allowed")?;
        Ok(())
    }

    fn tagged_fields(&mut self) -> Result<(), &'static str> {
        for _ in 0..self.unsigned_varint()? {
            self.take_element()?;
            self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            self.skip(length)?;
        }
        Ok(())
    }

    /// An array's or byte string's length in either encoding; `None` is null.
    fn array_len(&mut self) -> Result<Option<usize>, &'static str> {
        if self.flexible {
            return self.compact_len();
        }
        match i32::from_be_bytes(self.take()?) {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| "a length is negative"),
        }
    }

    fn short_len(&mut self) -> Result<Option<usize>, &'static str> {
        match i16::from_be_bytes(self.take()?) {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| "a length is negative"),
        }
    }

    fn compact_len(&mut self) -> Result<Option<usize>, &'static str> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }

    /// Bit for bit as `kafka-protocol` reads it, overlong encodings included.
    fn unsigned_varint(&mut self) -> Result<u32, &'static str> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let start = self.at;
        self.skip(N)?;
        self.body[start..].first_chunk::<N>().copied().ok_or(SHORT)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), &'static str> {
        if self.body.len() - self.at < bytes {
            return Err(SHORT);
        }
        self.at += bytes;
        Ok(())
    }
}
