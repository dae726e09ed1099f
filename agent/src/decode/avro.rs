//! Avro onto the tape, straight from the bytes (Avro 1.11.1, "Binary Encoding").
//!
//! The crate `apache-avro` parses the schemas and resolves into a reader's; its decoder is not used
//! on what peers send: it takes the end of the bytes for a null (a truncated record would decode),
//! and recurses as deep as they say.
//!
//! On the tape: unions are transparent; enums are their symbols; dates, times and timestamps are
//! integers in their own unit; decimals are numbers (as near as a double comes; integers of up to
//! 64 bits are exact); `fixed` and `bytes` are strings of one character a byte, as in Avro's JSON
//! encoding; UUIDs are their text; a duration is an object of months, days and milliseconds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use checks::limits::Limits;
use checks::tape::{Builder, DecodeFailure, Document, Place, Shape, Tape, reason};

use super::avro_schema::{Node, Plan};

/// Deepest nesting, whatever the limit: decoding is recursive.
const NESTING_MAX: usize = 128;

/// Bounds what the crate allocates for a length that a peer claims. The first call counts.
pub(super) fn bound_allocations(limits: &Limits) {
    apache_avro::util::max_allocation_bytes(limits.message_bytes.saturating_mul(8).clamp(1 << 20, 256 << 20));
}

/// Decodes one datum.
pub(super) fn decode<'a>(
    payload: &[u8],
    plan: &'a Plan,
    shape: &mut Shape,
    tape: &'a mut Tape,
    limits: &Limits,
) -> Result<Document<'a>, DecodeFailure> {
    if payload.len() > limits.message_bytes {
        let detail = format!(
            "{} bytes; at most {} are decoded (limits.message_bytes)",
            payload.len(),
            limits.message_bytes
        );
        return Err(DecodeFailure::new(reason::TOO_LARGE, detail));
    }
    let mut reader = Reader { whole: payload, rest: payload, depth: 0 };
    let mut builder = Builder::with_names(shape, tape, limits, payload.len(), &plan.names);
    let record = builder.record();
    reader.value(plan, plan.root(), record, &mut builder)?;
    if !reader.rest.is_empty() {
        let detail = format!("{} bytes behind the value, at byte {}", reader.rest.len(), reader.at());
        return Err(DecodeFailure::new(reason::TRAILING_BYTES, detail));
    }
    builder.finish()
}

/// Does a datum that decodes resolve into this reader's schema ("Schema Resolution")? If not, why.
pub(super) fn resolve(payload: &[u8], plan: &Plan, reader: &Schema) -> Result<(), String> {
    let resolved = catch_unwind(AssertUnwindSafe(|| {
        GenericDatumReader::builder(&plan.schema)
            .reader_schema(reader)
            .build()
            .and_then(|datum| datum.read_value(&mut &*payload))
            .map(drop)
            .map_err(|e| e.to_string())
    }));
    resolved.unwrap_or_else(|_| Err("it could not be resolved".to_owned()))
}

struct Reader<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    #[cold]
    fn malformed(&self, what: impl std::fmt::Display) -> DecodeFailure {
        DecodeFailure::new(reason::AVRO_MALFORMED, format!("{what} at byte {}", self.at()))
    }

    #[cold]
    fn truncated(&self, len: usize) -> DecodeFailure {
        let detail = format!("{len} bytes are due at byte {}, and {} are left", self.at(), self.rest.len());
        DecodeFailure::new(reason::TRUNCATED, detail)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeFailure> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else { return Err(self.truncated(len)) };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeFailure> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return Err(self.truncated(N)) };
        self.rest = rest;
        Ok(*bytes)
    }

    /// Variable-length zig-zag.
    #[inline]
    fn long(&mut self) -> Result<i64, DecodeFailure> {
        // One byte is enough for most: lengths, branches, small numbers.
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(zig_zag((*byte).into()))
            }
            _ => self.long_of_bytes(),
        }
    }

    fn long_of_bytes(&mut self) -> Result<i64, DecodeFailure> {
        let mut value: u64 = 0;
        for shift in (0..).step_by(7).take(10) {
            let [byte] = self.array::<1>()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(zig_zag(value));
            }
        }
        Err(self.malformed("an integer of more than 64 bits"))
    }

    #[inline]
    fn len(&mut self) -> Result<usize, DecodeFailure> {
        let len = self.long()?;
        usize::try_from(len).map_err(|_| self.malformed(format_args!("a length of {len}")))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], DecodeFailure> {
        let len = self.len()?;
        self.take(len)
    }

    #[inline]
    fn str(&mut self) -> Result<&'a str, DecodeFailure> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|e| {
            let at = self.at() - bytes.len() + e.valid_up_to();
            DecodeFailure::new(reason::INVALID_UTF8, format!("a string is not UTF-8 at byte {at}"))
        })
    }

    /// How many items the next block has; 0 ends them. A negative count is followed by the block's
    /// size in bytes.
    fn block(&mut self) -> Result<u64, DecodeFailure> {
        let count = self.long()?;
        if count < 0 {
            let _bytes = self.long()?;
        }
        Ok(count.unsigned_abs())
    }

    /// The common kinds; [`Self::other`] has the rest.
    #[inline(always)]
    fn value(
        &mut self,
        plan: &Plan,
        node: &Node,
        at: Place,
        out: &mut Builder<'_, '_>,
    ) -> Result<(), DecodeFailure> {
        match node {
            Node::String => out.copied_str(at, self.str()?),
            Node::Long => out.i64(at, self.long()?),
            Node::Double => out.f64(at, f64::from_le_bytes(self.array()?)),
            Node::Boolean => match self.array()? {
                [0] => out.bool(at, false),
                [1] => out.bool(at, true),
                [other] => Err(self.malformed(format_args!("a boolean of {other}"))),
            },
            Node::Null => out.null(at),
            _ => self.other(plan, node, at, out),
        }
    }

    #[inline(never)]
    fn other(
        &mut self,
        plan: &Plan,
        node: &Node,
        at: Place,
        out: &mut Builder<'_, '_>,
    ) -> Result<(), DecodeFailure> {
        match node {
            Node::Record(_) | Node::Array(_) | Node::Map(_) => {
                self.depth += 1;
                if self.depth > NESTING_MAX {
                    let detail = format!("nested deeper than {NESTING_MAX} at byte {}", self.at());
                    return Err(DecodeFailure::new(reason::TOO_DEEP, detail));
                }
                let container = self.container(plan, node, at, out);
                self.depth -= 1;
                container
            }
            Node::Union(branches) => {
                let index = self.long()?;
                match usize::try_from(index).ok().and_then(|i| branches.get(i)) {
                    Some(branch) => self.value(plan, plan.node(*branch), at, out),
                    None => Err(self.malformed(format_args!("branch {index} of {}", branches.len()))),
                }
            }
            Node::Int => {
                let value = self.long()?;
                let value =
                    i32::try_from(value).map_err(|_| self.malformed(format_args!("an int of {value}")))?;
                out.i64(at, value.into())
            }
            Node::Float => out.f64(at, f32::from_le_bytes(self.array()?).into()),
            Node::Bytes => out.bytes(at, self.bytes()?),
            Node::Fixed(size) => out.bytes(at, self.take(*size)?),
            Node::Enum(symbols) => {
                let index = self.long()?;
                match usize::try_from(index).ok().and_then(|i| symbols.get(i)) {
                    Some(symbol) => out.symbol(at, symbol),
                    None => Err(self.malformed(format_args!("symbol {index} of {}", symbols.len()))),
                }
            }
            Node::Decimal { size, scale } => {
                let unscaled = match size {
                    Some(size) => self.take(*size)?,
                    None => self.bytes()?,
                };
                self.decimal(unscaled, *scale as i64, at, out)
            }
            Node::BigDecimal => {
                let bytes = self.bytes()?;
                let mut inner = Reader { whole: bytes, rest: bytes, depth: 0 };
                let unscaled = inner.bytes()?;
                let scale = inner.long()?;
                self.decimal(unscaled, scale, at, out)
            }
            Node::Uuid { is_fixed } => {
                let bytes = if *is_fixed { self.take(16)? } else { self.bytes()? };
                let Ok(bytes) = <[u8; 16]>::try_from(bytes) else {
                    return Err(self.malformed(format_args!("a UUID of {} bytes", bytes.len())));
                };
                out.str(at, &uuid(bytes))
            }
            Node::Duration => {
                let mut duration = out.begin_object(at)?;
                for part in ["months", "days", "milliseconds"] {
                    let member = out.key(&mut duration, part)?;
                    out.i64(member, u32::from_le_bytes(self.array()?).into())?;
                }
                out.end_object(duration)
            }
            Node::String | Node::Long | Node::Double | Node::Boolean | Node::Null | Node::Pending => {
                Err(DecodeFailure::new(reason::INTERNAL, "a name without a schema"))
            }
        }
    }

    fn container(
        &mut self,
        plan: &Plan,
        node: &Node,
        at: Place,
        out: &mut Builder<'_, '_>,
    ) -> Result<(), DecodeFailure> {
        match node {
            Node::Record(fields) => {
                let mut record = out.begin_object(at)?;
                for (name, field) in fields {
                    let member = out.name(&mut record, name)?;
                    self.value(plan, plan.node(*field), member, out)?;
                }
                out.end_object(record)
            }
            Node::Map(values) => {
                let mut map = out.begin_object(at)?;
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return out.end_object(map);
                    }
                    for _ in 0..count {
                        let member = out.key(&mut map, self.str()?)?;
                        self.value(plan, plan.node(*values), member, out)?;
                    }
                }
            }
            Node::Array(items) => {
                let mut array = out.begin_array(at)?;
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return out.end_array(array);
                    }
                    // However many are claimed: items of no bytes are bounded by the tape.
                    for _ in 0..count {
                        let element = out.element(&mut array);
                        self.value(plan, plan.node(*items), element, out)?;
                    }
                }
            }
            _ => Err(DecodeFailure::new(reason::INTERNAL, "not a container")),
        }
    }

    fn decimal(
        &self,
        unscaled: &[u8],
        scale: i64,
        at: Place,
        out: &mut Builder<'_, '_>,
    ) -> Result<(), DecodeFailure> {
        if unscaled.len() > 16 || !(-400..=400).contains(&scale) {
            return Err(self.malformed(format_args!(
                "a decimal of {} bytes and scale {scale} (at most 16 bytes are read)",
                unscaled.len()
            )));
        }
        let is_negative = unscaled.first().is_some_and(|first| first & 0x80 != 0);
        let start: i128 = if is_negative { -1 } else { 0 };
        let value = unscaled.iter().fold(start, |value, byte| value << 8 | i128::from(*byte));
        match i64::try_from(value) {
            Ok(integer) if scale == 0 => out.i64(at, integer),
            // By way of the decimal text, which is rounded once.
            _ => match format!("{value}e{}", -scale).parse() {
                Ok(number) => out.f64(at, number),
                Err(_) => Err(self.malformed("a decimal beyond all numbers")),
            },
        }
    }
}

/// Signed numbers by size: 0, -1, 1, -2, 2.
fn zig_zag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Lower-case, with dashes (RFC 9562).
fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text
}
