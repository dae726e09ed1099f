//! The only writer of tapes: every decoder's limits in one place.

use super::failure::{DecodeFailure, reason};
use super::node::{Document, KEY_IN_ARENA, Kind, Node, STRING_IN_ARENA, STRING_IS_ASCII, Tape, pack};
use super::shape::{FieldId, Shape, UNPLACED};
use crate::limits::Limits;

/// Values a tape holds at most: 48 MiB of nodes.
const MAX_NODES: usize = 1 << 21;

/// Writes one record onto a tape: values in document order, as a parser meets them.
///
/// ```text
/// begin_object  key("id") i64(1)  key("tags") begin_array str("a") end_array  end_object  finish
/// ```
///
/// Any other order is an error (`internal`), never a panic and never a broken tape.
#[derive(Debug)]
pub struct Builder<'s, 't> {
    tape: &'t mut Tape,
    shape: &'s mut Shape,
    text: &'t str,
    nesting_max: usize,
    nodes_max: usize,
    arena_bytes_max: usize,
    key: Option<Key>,
}

/// A container that is not closed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    node: u32,
    field: FieldId,
    /// Field of the elements, once there was one.
    element: Option<FieldId>,
    is_object: bool,
    len: u32,
    /// Where the next member should be among the children of the shape.
    guess: u32,
    /// A key came out of the shape's order or has no field of its own: it may be a duplicate.
    unordered: bool,
}

/// A member that may have a twin: what identifies its key, and its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twin {
    tag: u64,
    node: u32,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    start: u32,
    len: u32,
    flags: u8,
    field: FieldId,
}

type Outcome = Result<(), DecodeFailure>;

impl<'s, 't> Builder<'s, 't> {
    /// Begins a record; what the tape held before is gone. `payload_bytes` bounds how many values
    /// it may have: a binary format can claim any number of them in a few bytes.
    pub fn new(shape: &'s mut Shape, tape: &'t mut Tape, limits: &Limits, payload_bytes: usize) -> Self {
        tape.clear();
        Self {
            tape,
            shape,
            text: "",
            nesting_max: limits.nesting,
            nodes_max: payload_bytes.saturating_mul(4).saturating_add(4_096).min(MAX_NODES),
            arena_bytes_max: limits
                .message_bytes
                .saturating_mul(2)
                .saturating_add(4_096)
                .min(u32::MAX as usize),
            key: None,
        }
    }

    /// The same for a text whose strings and keys are borrowed ([`Self::str`] and [`Self::key`]
    /// recognise slices of it).
    pub(super) fn over(shape: &'s mut Shape, tape: &'t mut Tape, limits: &Limits, text: &'t str) -> Self {
        Self { text, ..Self::new(shape, tape, limits, text.len()) }
    }

    /// Forgets what was written of the record.
    pub(super) fn begin_again(&mut self) {
        self.tape.clear();
        self.key = None;
    }

    /// Begins an object.
    pub fn begin_object(&mut self) -> Outcome {
        self.begin(Kind::Object)
    }

    /// Begins an array.
    pub fn begin_array(&mut self) -> Outcome {
        self.begin(Kind::Array)
    }

    /// Names the next value: a member of the object just begun.
    pub fn key(&mut self, key: &str) -> Outcome {
        let (start, in_arena) = self.place(key)?;
        let Some(open) = self.tape.open.last_mut().filter(|o| o.is_object && self.key.is_none()) else {
            return Err(misuse("a key outside of an object, or after a key"));
        };
        let (field, position) = self.shape.member(open.field, key, open.guess);
        if position == UNPLACED || position < open.guess {
            open.unordered = true;
        }
        if position != UNPLACED {
            open.guess = position + 1;
        }
        let flags = if in_arena { KEY_IN_ARENA } else { 0 };
        self.key = Some(Key { start, len: key.len() as u32, flags, field });
        Ok(())
    }

    /// The text goes on from `start` with the key that is expected next, and a quote: takes it, and
    /// gives the end of both.
    #[inline]
    pub(super) fn expected_key(&mut self, start: usize) -> Option<usize> {
        let open = self.tape.open.last_mut()?;
        let child = self.shape.expected(open.field, open.guess)?;
        let end = child.end_within(self.text.as_bytes(), start)?;
        open.guess += 1;
        let len = (end - start) as u32 - 1;
        self.key = Some(Key { start: start as u32, len, flags: 0, field: child.field });
        Some(end)
    }

    /// The same as [`Self::key`] for what was [added to the arena](Self::add_to_arena) from `start` on.
    pub(super) fn key_in_arena(&mut self, start: usize) -> Outcome {
        // Rare, and the shape may have to learn the key: a copy costs less than another way to look it up.
        let key = self.tape.arena.get(start..).unwrap_or_default().to_owned();
        self.tape.arena.truncate(start);
        self.key(&key)
    }

    /// Ends the object.
    pub fn end_object(&mut self) -> Outcome {
        if self.key.is_some() {
            return Err(misuse("a key without a value"));
        }
        let open = self.end(Kind::Object)?;
        if open.unordered && open.len > 1 {
            self.drop_duplicates(open);
        }
        Ok(())
    }

    /// Ends the array.
    pub fn end_array(&mut self) -> Outcome {
        self.end(Kind::Array).map(drop)
    }

    /// null
    pub fn null(&mut self) -> Outcome {
        self.push(Kind::Null, 0, 0).map(drop)
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) -> Outcome {
        self.push(Kind::Bool, 0, value.into()).map(drop)
    }

    /// An integer.
    pub fn i64(&mut self, value: i64) -> Outcome {
        self.push(Kind::I64, 0, value as u64).map(drop)
    }

    /// An integer; what fits a signed one is stored as such.
    pub fn u64(&mut self, value: u64) -> Outcome {
        let kind = if i64::try_from(value).is_ok() { Kind::I64 } else { Kind::U64 };
        self.push(kind, 0, value).map(drop)
    }

    /// Any other number, NaN and the infinities included.
    pub fn f64(&mut self, value: f64) -> Outcome {
        self.push(Kind::F64, 0, value.to_bits()).map(drop)
    }

    /// A string.
    pub fn str(&mut self, value: &str) -> Outcome {
        let (start, in_arena) = self.place(value)?;
        let mut flags = if in_arena { STRING_IN_ARENA } else { 0 };
        if value.is_ascii() {
            flags |= STRING_IS_ASCII;
        }
        self.push(Kind::Str, flags, pack(start, value.len() as u32)).map(drop)
    }

    /// Bytes, as a string: each byte the character of its number, as in Avro's JSON encoding.
    pub fn bytes(&mut self, value: &[u8]) -> Outcome {
        let start = self.tape.arena.len();
        self.room(value.len() * 2)?;
        self.tape.arena.extend(value.iter().map(|b| char::from(*b)));
        let len = self.tape.arena.len() - start;
        self.push(Kind::Str, STRING_IN_ARENA, pack(start as u32, len as u32)).map(drop)
    }

    /// A string, as it lies in the text.
    #[inline]
    pub(super) fn str_in_text(&mut self, at: std::ops::Range<usize>, is_ascii: bool) -> Outcome {
        let flags = if is_ascii { STRING_IS_ASCII } else { 0 };
        self.push(Kind::Str, flags, pack(at.start as u32, at.len() as u32)).map(drop)
    }

    /// A string, which was [added to the arena](Self::add_to_arena) from `start` on.
    pub(super) fn str_in_arena(&mut self, start: usize) -> Outcome {
        let len = self.tape.arena.len() - start;
        self.push(Kind::Str, STRING_IN_ARENA, pack(start as u32, len as u32)).map(drop)
    }

    /// How much is in the arena, bytes.
    pub(super) fn arena_len(&self) -> usize {
        self.tape.arena.len()
    }

    /// Adds a piece of a string that is not in the text as it is.
    pub(super) fn add_to_arena(&mut self, piece: &str) -> Outcome {
        self.room(piece.len())?;
        self.tape.arena.push_str(piece);
        Ok(())
    }

    /// Containers that are open.
    pub(super) fn depth(&self) -> usize {
        self.tape.open.len()
    }

    /// Is the innermost container that is open an object? `None` when none is.
    #[inline]
    pub(super) fn is_in_object(&self) -> Option<bool> {
        self.tape.open.last().map(|open| open.is_object)
    }

    /// The record, if it is one whole value.
    pub fn finish(self) -> Result<Document<'t>, DecodeFailure> {
        if !self.tape.open.is_empty() || self.tape.nodes.is_empty() {
            return Err(misuse("a record that is not finished"));
        }
        Ok(Document { tape: self.tape, text: self.text })
    }

    fn begin(&mut self, kind: Kind) -> Outcome {
        if self.tape.open.len() >= self.nesting_max {
            let detail = format!("nested deeper than {} (limits.nesting)", self.nesting_max);
            return Err(DecodeFailure::new(reason::TOO_DEEP, detail));
        }
        let (node, field) = self.push(kind, 0, 0)?;
        let is_object = kind == Kind::Object;
        self.tape.open.push(Open {
            node,
            field,
            element: None,
            is_object,
            len: 0,
            guess: 0,
            unordered: false,
        });
        Ok(())
    }

    fn end(&mut self, kind: Kind) -> Result<Open, DecodeFailure> {
        let is_object = kind == Kind::Object;
        let Some(open) = self.tape.open.pop_if(|open| open.is_object == is_object) else {
            return Err(misuse("the end of a container that is not open"));
        };
        let span = self.tape.nodes.len() as u32 - open.node;
        if let Some(node) = self.tape.nodes.get_mut(open.node as usize) {
            node.bits = pack(open.len, span);
        }
        Ok(open)
    }

    fn push(&mut self, kind: Kind, flags: u8, bits: u64) -> Result<(u32, FieldId), DecodeFailure> {
        let index = self.tape.nodes.len();
        if index >= self.nodes_max {
            let detail = format!("more than {} values", self.nodes_max);
            return Err(DecodeFailure::new(reason::TOO_LARGE, detail));
        }
        let key = self.key.take();
        let field = match (self.tape.open.last_mut(), key) {
            (None, None) if index == 0 => FieldId::ROOT,
            (Some(open), Some(key)) if open.is_object => {
                open.len += 1;
                key.field
            }
            (Some(open), None) if !open.is_object => {
                open.len += 1;
                let shape = &mut *self.shape;
                *open.element.get_or_insert_with(|| shape.element(open.field))
            }
            _ => return Err(misuse("a member without a key, or a second document")),
        };
        let key = key.unwrap_or(Key { start: 0, len: 0, flags: 0, field });
        let flags = flags | key.flags;
        self.tape.nodes.push(Node { field, key: key.start, key_len: key.len, kind, flags, bits });
        Ok((index as u32, field))
    }

    /// Where a string lies: in the text if it is a slice of it, else in the arena.
    fn place(&mut self, string: &str) -> Result<(u32, bool), DecodeFailure> {
        // Addresses are compared only, never followed: a slice of the text starts within it.
        let start = (string.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if start < self.text.len() && string.len() <= self.text.len() - start {
            return Ok((start as u32, false));
        }
        self.room(string.len())?;
        let start = self.tape.arena.len();
        self.tape.arena.push_str(string);
        Ok((start as u32, true))
    }

    fn room(&self, bytes: usize) -> Outcome {
        if self.tape.arena.len().saturating_add(bytes) > self.arena_bytes_max {
            let detail = format!("strings of more than {} bytes", self.arena_bytes_max);
            return Err(DecodeFailure::new(reason::TOO_LARGE, detail));
        }
        Ok(())
    }

    /// Of members with the same key only the last stays, as with every common JSON library.
    #[cold]
    fn drop_duplicates(&mut self, open: Open) {
        let mut twins = std::mem::take(&mut self.tape.twins);
        twins.clear();
        let document = Document { tape: self.tape, text: self.text };
        let object = super::Value { document, index: open.node };
        for (key, member) in object.members() {
            twins.push(Twin { tag: self.shape.hash_key(key), node: member.index });
        }
        let key_of = |twin: &Twin| super::Value { document, index: twin.node }.key();
        twins.sort_unstable_by(|a, b| {
            a.tag.cmp(&b.tag).then_with(|| key_of(a).cmp(key_of(b))).then(a.node.cmp(&b.node))
        });
        let len = twins.len();
        let mut kept = 0;
        for i in 0..len {
            let shadowed =
                i + 1 < len && twins[i].tag == twins[i + 1].tag && key_of(&twins[i]) == key_of(&twins[i + 1]);
            if shadowed {
                twins[kept] = twins[i];
                kept += 1;
            }
        }
        twins.truncate(kept);
        if !twins.is_empty() {
            self.remove_members(open, &mut twins);
        }
        self.tape.twins = twins;
    }

    fn remove_members(&mut self, open: Open, shadowed: &mut [Twin]) {
        shadowed.sort_unstable_by_key(|t| t.node);
        let nodes = &mut self.tape.nodes;
        let mut removed = 0;
        let mut from = open.node as usize + 1;
        // One pass, whatever the number of duplicates: spans are relative, so subtrees move whole.
        for (i, twin) in shadowed.iter().enumerate() {
            let gap = twin.node as usize;
            let span = nodes.get(gap).map_or(1, |n| n.span());
            nodes.copy_within(from..gap, from - removed);
            removed += span;
            from = gap + span;
            debug_assert!(shadowed.get(i + 1).is_none_or(|next| next.node as usize >= from));
        }
        let end = nodes.len();
        nodes.copy_within(from..end, from - removed);
        nodes.truncate(end - removed);
        let span = (nodes.len() - open.node as usize) as u32;
        if let Some(node) = nodes.get_mut(open.node as usize) {
            node.bits = pack(open.len - shadowed.len() as u32, span);
        }
        self.tape.duplicate_keys = self.tape.duplicate_keys.saturating_add(shadowed.len() as u32);
    }
}

fn misuse(what: &str) -> DecodeFailure {
    DecodeFailure::new(reason::INTERNAL, format!("the decoder wrote {what}"))
}
