//! What a report will weigh in memory, found by walking its bytes before anything is built.
//!
//! A repeated message costs two bytes on the wire and hundreds in memory: 8 MiB of empty field
//! summaries would decode into gigabytes. The walk follows the nesting of the messages of
//! [`super`], allocates nothing and is as deep as they are.

use std::mem::size_of;

use super::*;

/// Messages with others in them, or with lists; the rest are leaves.
#[derive(Clone, Copy)]
enum Kind {
    Report,
    Topic,
    Pane,
    Summary,
    Rule,
    Uniqueness,
    Numbers,
    Sum,
    Keyed,
    KeySeen,
    Field,
    Numeric,
    Distinct,
    Top,
    Histogram,
    Stats,
    Leaf,
}

/// What a field of a message costs.
enum Cost {
    /// Its own bytes at most.
    Plain,
    /// A nested message: its size, and what is in it.
    Message(Kind, usize),
    /// Numbers of 8 bytes, packed or one by one.
    Numbers,
}

fn cost(kind: Kind, tag: u64) -> Cost {
    use Cost::{Message, Numbers, Plain};
    let leaf = |size| Message(Kind::Leaf, size);
    match (kind, tag) {
        (Kind::Report, 9) => Message(Kind::Pane, size_of::<Pane>()),
        (Kind::Report, 10) => Message(Kind::Topic, size_of::<TopicProgress>()),
        (Kind::Report, 11) => leaf(size_of::<SkippedRange>()),
        (Kind::Report, 12) => leaf(size_of::<Sighting>()),
        (Kind::Report, 13) => Message(Kind::Stats, size_of::<AgentStats>()),
        (Kind::Topic, 3) => leaf(size_of::<Position>()),
        (Kind::Pane, 6) => leaf(size_of::<OffsetRange>()),
        (Kind::Pane, 7) => Message(Kind::Summary, size_of::<PaneSummary>()),
        (Kind::Summary, 4 | 6 | 7 | 21 | 23) | (Kind::Stats, 6) => leaf(size_of::<ReasonCount>()),
        (Kind::Summary, 8 | 11) | (Kind::Rule, 5) => leaf(size_of::<Example>()),
        (Kind::Summary, 15) => Message(Kind::Field, size_of::<FieldSummary>()),
        (Kind::Summary, 17) => Message(Kind::Rule, size_of::<RuleTally>()),
        (Kind::Summary, 24) => leaf(size_of::<SchemaSeen>()),
        (Kind::Summary, 18) => Message(Kind::Histogram, size_of::<Histogram>()),
        (Kind::Rule, 8) => leaf(size_of::<SegmentTally>()),
        (Kind::Rule, 6) => Message(Kind::Uniqueness, size_of::<Uniqueness>()),
        (Kind::Rule, 7) => Message(Kind::Numbers, size_of::<NumberTally>()),
        (Kind::Numbers, 1) => Message(Kind::Numeric, size_of::<NumericSummary>()),
        (Kind::Numbers, 2) => Message(Kind::Sum, size_of::<ExactSum>()),
        (Kind::Uniqueness, 2 | 3) | (Kind::Sum, 3) | (Kind::Distinct, 3) | (Kind::Histogram, 5) => Numbers,
        (Kind::Rule, 20) => Message(Kind::Keyed, size_of::<Keyed>()),
        (Kind::Keyed, 4) => Message(Kind::KeySeen, size_of::<KeySeen>()),
        (Kind::KeySeen, 3) => leaf(size_of::<Example>()),
        (Kind::KeySeen, 4) => leaf(size_of::<NumberRange>()),
        (Kind::KeySeen, 6) => leaf(size_of::<KeyEvent>()),
        (Kind::Field, 13) => Message(Kind::Numeric, size_of::<NumericSummary>()),
        (Kind::Field, 14) => leaf(size_of::<TextSummary>()),
        (Kind::Field, 15) => Message(Kind::Distinct, size_of::<DistinctSummary>()),
        (Kind::Field, 16) => Message(Kind::Top, size_of::<TopSummary>()),
        (Kind::Numeric, 8 | 9) | (Kind::Histogram, 4) => leaf(size_of::<Bin>()),
        (Kind::Top, 1) => leaf(size_of::<TopValue>()),
        (Kind::Histogram, 6) => leaf(size_of::<Exemplar>()),
        _ => Plain,
    }
}

/// Bytes of memory that the decoded report takes at most, give or take the growth of its lists.
///
/// # Errors
/// What is wrong with the wire format, at the depth of the known messages.
pub(super) fn weigh(report: &[u8]) -> Result<usize, &'static str> {
    walk(report, Kind::Report)
}

fn walk(mut bytes: &[u8], kind: Kind) -> Result<usize, &'static str> {
    let mut weight = bytes.len();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let cost = cost(kind, key >> 3);
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
                weight += if matches!(cost, Cost::Numbers) { 8 } else { 0 };
            }
            1 => _ = take(&mut bytes, 8)?,
            5 => _ = take(&mut bytes, 4)?,
            2 => {
                let len = varint(&mut bytes)?;
                let inner = take(&mut bytes, len)?;
                weight += match cost {
                    Cost::Plain => 0,
                    Cost::Numbers => inner.len() * 8,
                    Cost::Message(Kind::Leaf, size) => size,
                    Cost::Message(kind, size) => size + walk(inner, kind)?,
                };
            }
            _ => return Err("a field of a kind that reports do not have"),
        }
    }
    Ok(weight)
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], &'static str> {
    let len = usize::try_from(len).map_err(|_| "a field longer than the report")?;
    let (head, tail) = bytes.split_at_checked(len).ok_or("a field longer than the report")?;
    *bytes = tail;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("it ends within a number")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number of more than ten bytes")
}
