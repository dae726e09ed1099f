//! The only writer of tapes: every decoder's limits in one place.

use super::failure::{DecodeFailure, reason};
use super::node::{Document, KEY_IN_ARENA, Kind, Node, STRING_IN_ARENA, STRING_IS_ASCII, Scalar, Tape, pack};
use super::shape::{Child, FieldId, Shape, UNPLACED, Written};
use crate::limits::Limits;

/// Values a tape holds at most: 48 MiB of nodes.
const MAX_NODES: usize = 1 << 21;

/// Writes one record onto a tape: values in document order, as a parser meets them, each into its [`Place`].
///
/// ```text
/// record -> begin_object -> key("id") -> i64(1)
///                           key("tags") -> begin_array -> element -> str("a"), end_array
///                           end_object, finish
/// ```
///
/// Any other order is an error (`internal`), never a panic and never a broken tape.
#[derive(Debug)]
pub struct Builder<'s, 't> {
    tape: &'t mut Tape,
    shape: &'s mut Shape,
    text: &'t str,
    /// Containers that are open.
    depth: u32,
    /// Places that no value was written into yet.
    vacant: u32,
    nesting_max: u32,
    nodes_max: usize,
    arena_bytes_max: usize,
}

/// Where one value goes: the record, a member or an element.
#[derive(Debug)]
#[must_use = "a value goes into it"]
pub struct Place {
    field: FieldId,
    key: u32,
    key_len: u32,
    flags: u8,
    depth: u32,
}

/// An object that is not closed yet.
#[derive(Debug)]
#[must_use = "it has an end"]
pub struct Object {
    node: u32,
    field: FieldId,
    depth: u32,
    len: u32,
    /// Where the next member should be among the children of the shape.
    guess: u32,
    /// A key came out of the shape's order or has no field of its own: it may be a duplicate.
    unordered: bool,
}

/// An array that is not closed yet.
#[derive(Debug)]
#[must_use = "it has an end"]
pub struct Array {
    node: u32,
    field: FieldId,
    depth: u32,
    len: u32,
    /// Field of the elements, once there was one.
    element: Option<FieldId>,
}

/// A member that may have a twin: what identifies its key, and its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twin {
    tag: u64,
    node: u32,
}

type Outcome = Result<(), DecodeFailure>;

/// Names of members and values that a schema has and its records have not in their bytes: laid out once, for all of
/// them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
}

/// One of [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    start: u32,
    len: u32,
    written: Written,
}

impl Names {
    /// Adds a name; `None` if there is no more room: 4 GiB.
    pub fn add(&mut self, name: &str) -> Option<Name> {
        let start = u32::try_from(self.text.len()).ok()?;
        let len = u32::try_from(name.len()).ok().filter(|len| start.checked_add(*len).is_some())?;
        self.text.push_str(name);
        Some(Name { start, len, written: Written::new(name) })
    }
}

impl<'s, 't> Builder<'s, 't> {
    /// Begins a record; what the tape held before is gone. `payload_bytes` bounds how many values
    /// it may have: a binary format can claim any number of them in a few bytes.
    pub fn new(shape: &'s mut Shape, tape: &'t mut Tape, limits: &Limits, payload_bytes: usize) -> Self {
        tape.clear();
        Self {
            tape,
            shape,
            text: "",
            depth: 0,
            vacant: 0,
            nesting_max: u32::try_from(limits.nesting).unwrap_or(u32::MAX),
            nodes_max: payload_bytes.saturating_mul(4).saturating_add(4_096).min(MAX_NODES),
            arena_bytes_max: limits
                .message_bytes
                .saturating_mul(2)
                .saturating_add(4_096)
                .min(u32::MAX as usize),
        }
    }

    /// The same for a record whose schema has these names: [`Self::name`] and [`Self::symbol`] take them.
    pub fn with_names(
        shape: &'s mut Shape,
        tape: &'t mut Tape,
        limits: &Limits,
        payload_bytes: usize,
        names: &'t Names,
    ) -> Self {
        Self { text: &names.text, ..Self::new(shape, tape, limits, payload_bytes) }
    }

    /// The same for JSON text, whose strings and keys are borrowed ([`Self::str`] and [`Self::key`]
    /// recognise slices of it).
    pub(super) fn over(shape: &'s mut Shape, tape: &'t mut Tape, limits: &Limits, text: &'t str) -> Self {
        let builder = Self { text, ..Self::new(shape, tape, limits, text.len()) };
        builder.tape.is_json = true;
        builder
    }

    /// Forgets what was written of the record.
    pub(super) fn begin_again(&mut self) {
        self.tape.clear();
        self.tape.is_json = true;
        (self.depth, self.vacant) = (0, 0);
    }

    /// Where the record goes: one value.
    pub fn record(&mut self) -> Place {
        self.vacant += 1;
        Place { field: FieldId::ROOT, key: 0, key_len: 0, flags: 0, depth: 0 }
    }

    /// Begins an object.
    #[inline]
    pub fn begin_object(&mut self, at: Place) -> Result<Object, DecodeFailure> {
        let field = at.field;
        let node = self.begin(at, Kind::Object)?;
        Ok(Object { node, field, depth: self.depth, len: 0, guess: 0, unordered: false })
    }

    /// Begins an array.
    #[inline]
    pub fn begin_array(&mut self, at: Place) -> Result<Array, DecodeFailure> {
        let field = at.field;
        let node = self.begin(at, Kind::Array)?;
        Ok(Array { node, field, depth: self.depth, len: 0, element: None })
    }

    /// Where the next member of an object goes.
    pub fn key(&mut self, object: &mut Object, key: &str) -> Result<Place, DecodeFailure> {
        let (start, in_arena) = self.place(key)?;
        let (field, position) = self.shape.member(object.field, key, object.guess);
        if position == UNPLACED || position < object.guess {
            object.unordered = true;
        }
        if position != UNPLACED {
            object.guess = position + 1;
        }
        let flags = if in_arena { KEY_IN_ARENA } else { 0 };
        Ok(self.member(object, Place { field, key: start, key_len: key.len() as u32, flags, depth: 0 }))
    }

    /// The same by a name of the schema.
    #[inline]
    pub fn name(&mut self, object: &mut Object, name: &Name) -> Result<Place, DecodeFailure> {
        let is_expected = |child: &&Child| child.key == name.written && !name.written.is_empty();
        let Some(child) = self.shape.expected(object.field, object.guess).filter(is_expected) else {
            return self.key(object, self.name_text(name));
        };
        let place = Place { field: child.field, key: name.start, key_len: name.len, flags: 0, depth: 0 };
        object.guess += 1;
        Ok(self.member(object, place))
    }

    /// The same where the text from `start` on, of which these are the next bytes, is the key that is expected, a quote
    /// and a colon: gives the end of them too.
    #[inline(always)]
    pub(super) fn expected_key(
        &mut self,
        object: &mut Object,
        start: u32,
        text: [u64; 2],
    ) -> Option<(Place, u32)> {
        let child = self.shape.expected(object.field, object.guess)?;
        let len = child.len_within(text)?;
        let place = Place { field: child.field, key: start, key_len: len - 2, flags: 0, depth: 0 };
        object.guess += 1;
        Some((self.member(object, place), start + len))
    }

    /// The same as [`Self::key`] for what was [added to the arena](Self::add_to_arena) from `start` on.
    pub(super) fn key_in_arena(&mut self, object: &mut Object, start: usize) -> Result<Place, DecodeFailure> {
        // Rare, and the shape may have to learn the key: a copy costs less than another way to look it up.
        let key = self.tape.arena.get(start..).unwrap_or_default().to_owned();
        self.tape.arena.truncate(start);
        self.key(object, &key)
    }

    #[inline(always)]
    fn member(&mut self, object: &mut Object, at: Place) -> Place {
        object.len += 1;
        self.vacant += 1;
        Place { depth: object.depth, ..at }
    }

    /// Where the next element of an array goes.
    #[inline]
    pub fn element(&mut self, array: &mut Array) -> Place {
        let shape = &mut *self.shape;
        let field = *array.element.get_or_insert_with(|| shape.element(array.field));
        array.len += 1;
        self.vacant += 1;
        Place { field, key: 0, key_len: 0, flags: 0, depth: array.depth }
    }

    /// Ends the object.
    #[inline]
    pub fn end_object(&mut self, object: Object) -> Outcome {
        let Object { node, depth, len, unordered, .. } = object;
        self.end(node, depth, len)?;
        if unordered && len > 1 {
            self.drop_duplicates(node, len);
        }
        Ok(())
    }

    /// Ends the array.
    #[inline]
    pub fn end_array(&mut self, array: Array) -> Outcome {
        self.end(array.node, array.depth, array.len)
    }

    /// null
    #[inline]
    pub fn null(&mut self, at: Place) -> Outcome {
        self.scalar(at, Scalar::NULL)
    }

    /// A boolean.
    #[inline]
    pub fn bool(&mut self, at: Place, value: bool) -> Outcome {
        self.scalar(at, Scalar::bool(value))
    }

    /// An integer.
    #[inline]
    pub fn i64(&mut self, at: Place, value: i64) -> Outcome {
        self.scalar(at, Scalar::i64(value))
    }

    /// An integer; what fits a signed one is stored as such.
    pub fn u64(&mut self, at: Place, value: u64) -> Outcome {
        self.scalar(at, Scalar::u64(value))
    }

    /// Any other number, NaN and the infinities included.
    #[inline]
    pub fn f64(&mut self, at: Place, value: f64) -> Outcome {
        self.scalar(at, Scalar::f64(value))
    }

    /// A string.
    pub fn str(&mut self, at: Place, value: &str) -> Outcome {
        let (start, in_arena) = self.place(value)?;
        let mut flags = if in_arena { STRING_IN_ARENA } else { 0 };
        if value.is_ascii() {
            flags |= STRING_IS_ASCII;
        }
        self.scalar(at, Scalar { kind: Kind::Str, flags, bits: pack(start, value.len() as u32) })
    }

    /// A string that lies in no text of the builder's: it is copied.
    #[inline]
    pub fn copied_str(&mut self, at: Place, value: &str) -> Outcome {
        let start = self.tape.arena.len() as u32;
        self.add_to_arena(value)?;
        let flags = if value.is_ascii() { STRING_IN_ARENA | STRING_IS_ASCII } else { STRING_IN_ARENA };
        self.scalar(at, Scalar { kind: Kind::Str, flags, bits: pack(start, value.len() as u32) })
    }

    /// A string that is a name of the schema.
    pub fn symbol(&mut self, at: Place, name: &Name) -> Outcome {
        self.str(at, self.name_text(name))
    }

    /// Bytes, as a string: each byte the character of its number, as in Avro's JSON encoding.
    pub fn bytes(&mut self, at: Place, value: &[u8]) -> Outcome {
        let start = self.tape.arena.len();
        self.room(value.len() * 2)?;
        self.tape.arena.extend(value.iter().map(|b| char::from(*b)));
        self.scalar(at, self.string_in_arena(start))
    }

    /// A string, which was [added to the arena](Self::add_to_arena) from `start` on.
    pub(super) fn string_in_arena(&self, start: usize) -> Scalar {
        let len = self.tape.arena.len() - start;
        Scalar { kind: Kind::Str, flags: STRING_IN_ARENA, bits: pack(start as u32, len as u32) }
    }

    /// How much is in the arena, bytes.
    pub(super) fn arena_len(&self) -> usize {
        self.tape.arena.len()
    }

    /// Adds a piece of a string that is not in the text as it is.
    #[inline]
    pub(super) fn add_to_arena(&mut self, piece: &str) -> Outcome {
        self.room(piece.len())?;
        self.tape.arena.push_str(piece);
        Ok(())
    }

    /// Containers that are open.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// Writes a scalar.
    #[inline(always)]
    pub(super) fn scalar(&mut self, at: Place, value: Scalar) -> Outcome {
        if self.tape.nodes.len() >= self.nodes_max || at.depth != self.depth {
            return Err(self.refused(at.depth));
        }
        self.vacant = self.vacant.wrapping_sub(1);
        let (Scalar { kind, flags, bits }, Place { field, key, key_len, flags: key_flags, .. }) = (value, at);
        self.tape.nodes.push(Node { field, key, key_len, kind, flags: flags | key_flags, bits });
        Ok(())
    }

    /// Makes a value of the null that was written last.
    #[inline(always)]
    pub(super) fn fill(&mut self, value: Scalar) {
        if let Some(node) = self.tape.nodes.last_mut() {
            debug_assert_eq!(node.kind, Kind::Null);
            node.kind = value.kind;
            node.flags |= value.flags;
            node.bits = value.bits;
        }
    }

    /// Begins an object in place of it.
    #[inline(always)]
    pub(super) fn fill_object(&mut self) -> Result<Object, DecodeFailure> {
        let (node, field) = self.begin_filled(Kind::Object)?;
        Ok(Object { node, field, depth: self.depth, len: 0, guess: 0, unordered: false })
    }

    /// Begins an array in place of it.
    #[inline(always)]
    pub(super) fn fill_array(&mut self) -> Result<Array, DecodeFailure> {
        let (node, field) = self.begin_filled(Kind::Array)?;
        Ok(Array { node, field, depth: self.depth, len: 0, element: None })
    }

    /// The record, if it is one whole value.
    pub fn finish(self) -> Result<Document<'t>, DecodeFailure> {
        let is_whole = self.tape.nodes.first().is_some_and(|root| root.span() == self.tape.nodes.len());
        if self.depth != 0 || self.vacant != 0 || !is_whole {
            return Err(misuse("a record that is not finished, or more than one"));
        }
        Ok(Document { tape: self.tape, text: self.text })
    }

    /// The node of a container.
    #[inline]
    fn begin(&mut self, at: Place, kind: Kind) -> Result<u32, DecodeFailure> {
        if self.depth >= self.nesting_max {
            return Err(self.too_deep());
        }
        let node = self.tape.nodes.len() as u32;
        self.scalar(at, Scalar { kind, flags: 0, bits: 0 })?;
        self.depth += 1;
        Ok(node)
    }

    /// The node of a container in place of the null that was written last, and its field.
    #[inline]
    fn begin_filled(&mut self, kind: Kind) -> Result<(u32, FieldId), DecodeFailure> {
        if self.depth >= self.nesting_max {
            return Err(self.too_deep());
        }
        self.fill(Scalar { kind, flags: 0, bits: 0 });
        self.depth += 1;
        let node = self.tape.nodes.len().saturating_sub(1);
        Ok((node as u32, self.tape.nodes.last().map_or(FieldId::FOLDED, |node| node.field)))
    }

    #[cold]
    fn too_deep(&self) -> DecodeFailure {
        let detail = format!("nested deeper than {} (limits.nesting)", self.nesting_max);
        DecodeFailure::new(reason::TOO_DEEP, detail)
    }

    #[inline]
    fn end(&mut self, container: u32, depth: u32, len: u32) -> Outcome {
        if depth != self.depth || self.vacant != 0 {
            return Err(misuse("the end of a container in which something is open"));
        }
        self.depth -= 1;
        let span = self.tape.nodes.len() as u32 - container;
        if let Some(node) = self.tape.nodes.get_mut(container as usize) {
            node.bits = pack(len, span);
        }
        Ok(())
    }

    #[cold]
    fn refused(&self, depth: u32) -> DecodeFailure {
        if depth != self.depth {
            return misuse("into a container while another one in it is open");
        }
        DecodeFailure::new(reason::TOO_LARGE, format!("more than {} values", self.nodes_max))
    }

    fn name_text(&self, name: &Name) -> &'t str {
        self.text.get(name.start as usize..(name.start + name.len) as usize).unwrap_or_default()
    }

    /// Where a string lies: in the text if it is a slice of it, else in the arena.
    fn place(&mut self, string: &str) -> Result<(u32, bool), DecodeFailure> {
        // Addresses are compared only, never followed: a slice of the text starts within it.
        let start = (string.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if start < self.text.len() && string.len() <= self.text.len() - start {
            return Ok((start as u32, false));
        }
        let start = self.tape.arena.len();
        self.add_to_arena(string)?;
        Ok((start as u32, true))
    }

    #[inline]
    fn room(&self, bytes: usize) -> Outcome {
        if self.tape.arena.len().saturating_add(bytes) > self.arena_bytes_max {
            return Err(self.no_room());
        }
        Ok(())
    }

    #[cold]
    fn no_room(&self) -> DecodeFailure {
        DecodeFailure::new(reason::TOO_LARGE, format!("strings of more than {} bytes", self.arena_bytes_max))
    }

    /// Of members with the same key only the last stays, as with every common JSON library.
    #[cold]
    fn drop_duplicates(&mut self, object: u32, len: u32) {
        let mut twins = std::mem::take(&mut self.tape.twins);
        twins.clear();
        let document = Document { tape: self.tape, text: self.text };
        for (key, member) in (super::Value { document, index: object }).members() {
            twins.push(Twin { tag: self.shape.hash_key(key), node: member.index });
        }
        let key_of = |twin: &Twin| super::Value { document, index: twin.node }.key();
        twins.sort_unstable_by(|a, b| {
            a.tag.cmp(&b.tag).then_with(|| key_of(a).cmp(key_of(b))).then(a.node.cmp(&b.node))
        });
        let mut kept = 0;
        for i in 0..twins.len() {
            let shadowed = i + 1 < twins.len()
                && twins[i].tag == twins[i + 1].tag
                && key_of(&twins[i]) == key_of(&twins[i + 1]);
            if shadowed {
                twins[kept] = twins[i];
                kept += 1;
            }
        }
        twins.truncate(kept);
        if !twins.is_empty() {
            self.remove_members(object, len, &mut twins);
        }
        self.tape.twins = twins;
    }

    fn remove_members(&mut self, object: u32, len: u32, shadowed: &mut [Twin]) {
        shadowed.sort_unstable_by_key(|t| t.node);
        let nodes = &mut self.tape.nodes;
        let mut removed = 0;
        let mut from = object as usize + 1;
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
        let span = (nodes.len() - object as usize) as u32;
        if let Some(node) = nodes.get_mut(object as usize) {
            node.bits = pack(len - shadowed.len() as u32, span);
        }
        self.tape.duplicate_keys = self.tape.duplicate_keys.saturating_add(shadowed.len() as u32);
    }
}

fn misuse(what: &str) -> DecodeFailure {
    DecodeFailure::new(reason::INTERNAL, format!("the decoder wrote {what}"))
}
