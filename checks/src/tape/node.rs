//! The tape and the ways to read it.

use super::shape::FieldId;

/// Capacity that a reused tape keeps after an unusually large record.
const KEPT_NODES: usize = 64 * 1024;
const KEPT_ARENA_BYTES: usize = 256 * 1024;

/// One value: 24 bytes. Members and elements follow their container, depth first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub field: FieldId,
    /// Key of a member: start and length, in the text or (by [`KEY_IN_ARENA`]) the arena.
    pub key: u32,
    pub key_len: u32,
    pub kind: Kind,
    pub flags: u8,
    /// Bits of a number or boolean; of a string `start << 32 | length`; of a container
    /// `members << 32 | nodes`, counting the nodes of the whole subtree and itself.
    pub bits: u64,
}

const _: () = assert!(size_of::<Node>() == 24);

/// The string lies in the arena, not in the text.
pub(super) const STRING_IN_ARENA: u8 = 1;
/// The key lies in the arena, not in the text.
pub(super) const KEY_IN_ARENA: u8 = 2;
/// The string is known to have no character beyond ASCII.
pub(super) const STRING_IS_ASCII: u8 = 4;

/// What a value is, without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    I64,
    U64,
    F64,
    Str,
    Object,
    Array,
}

/// A value, without its place: of a container the kind alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar {
    pub kind: Kind,
    pub flags: u8,
    pub bits: u64,
}

impl Scalar {
    pub(super) const NULL: Self = Self { kind: Kind::Null, flags: 0, bits: 0 };

    pub(super) fn bool(value: bool) -> Self {
        Self { kind: Kind::Bool, flags: 0, bits: value.into() }
    }

    pub(super) fn i64(value: i64) -> Self {
        Self { kind: Kind::I64, flags: 0, bits: value as u64 }
    }

    /// What fits a signed one is stored as such.
    pub(super) fn u64(value: u64) -> Self {
        let kind = if i64::try_from(value).is_ok() { Kind::I64 } else { Kind::U64 };
        Self { kind, flags: 0, bits: value }
    }

    pub(super) fn f64(value: f64) -> Self {
        Self { kind: Kind::F64, flags: 0, bits: value.to_bits() }
    }

    /// A string, as it lies in the text.
    pub(super) fn text(start: u32, len: u32, is_ascii: bool) -> Self {
        let flags = if is_ascii { STRING_IS_ASCII } else { 0 };
        Self { kind: Kind::Str, flags, bits: pack(start, len) }
    }
}

impl Node {
    pub(super) fn low(self) -> u32 {
        self.bits as u32
    }

    pub(super) fn high(self) -> u32 {
        (self.bits >> 32) as u32
    }

    /// Nodes of the subtree, itself included.
    pub(super) fn span(self) -> usize {
        match self.kind {
            Kind::Object | Kind::Array => self.low() as usize,
            _ => 1,
        }
    }
}

/// `high << 32 | low`.
pub(super) fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// The reused store of one record's values; filled by a [`super::Builder`].
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) nodes: Vec<Node>,
    /// Strings and keys that are not in the payload as they are.
    pub(super) arena: String,
    /// Scratch of the builder, kept for its capacity.
    pub(super) twins: Vec<super::builder::Twin>,
    pub(super) duplicate_keys: u32,
    /// What it holds was JSON text.
    pub(super) is_json: bool,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties it, and gives back what one huge record made it take.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.nodes.shrink_to(KEPT_NODES);
        self.arena.clear();
        self.arena.shrink_to(KEPT_ARENA_BYTES);
        self.twins.clear();
        self.twins.shrink_to(KEPT_NODES);
        self.duplicate_keys = 0;
        self.is_json = false;
    }

    /// Memory held, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.arena.capacity()
    }
}

/// A decoded record: a tape, and the text that its strings lie in (the payload, or the names of its schema) as far as
/// they are not on the tape. Never empty.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub(super) tape: &'a Tape,
    pub(super) text: &'a str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Data<'a> {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// An integer.
    I64(i64),
    /// An integer above `i64::MAX`.
    U64(u64),
    /// Any other number; not finite only from binary formats.
    F64(f64),
    /// A string.
    Str(&'a str),
    /// An object; its members follow.
    Object {
        /// Its members.
        len: usize,
    },
    /// An array; its elements follow.
    Array {
        /// Its elements.
        len: usize,
    },
}

impl Data<'_> {
    /// Its type as JSON Schema names it, `integer` for whole numbers written as such.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::I64(_) | Self::U64(_) => "integer",
            Self::F64(_) => "number",
            Self::Str(_) => "string",
            Self::Object { .. } => "object",
            Self::Array { .. } => "array",
        }
    }

    /// As a float, if it is a number: rounded to the nearest beyond 2^53.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::I64(n) => Some(n as f64),
            Self::U64(n) => Some(n as f64),
            Self::F64(n) => Some(n),
            _ => None,
        }
    }
}

/// How long a string is, and where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent<'a> {
    pub(crate) characters: u32,
    /// What it lies in, from where it begins.
    pub(crate) beyond: &'a [u8],
}

impl<'a> Document<'a> {
    /// The document as a tree.
    pub fn root(self) -> Value<'a> {
        Value { document: self, index: 0 }
    }

    /// All values in one linear scan, depth first, each container before what it holds.
    pub fn nodes(self) -> impl ExactSizeIterator<Item = (FieldId, Data<'a>)> + Clone {
        self.tape.nodes.iter().map(move |node| (node.field, self.data(node)))
    }

    /// The same, with what is known of strings.
    #[inline]
    pub(crate) fn measured(self) -> impl Iterator<Item = (FieldId, Data<'a>, Extent<'a>)> {
        self.tape.nodes.iter().map(move |node| {
            let data = self.data(node);
            let Data::Str(s) = data else { return (node.field, data, Extent::default()) };
            let text = if node.flags & STRING_IN_ARENA != 0 { &self.tape.arena } else { self.text };
            let beyond = text.as_bytes().get(node.high() as usize..).unwrap_or_default();
            let is_ascii = node.flags & STRING_IS_ASCII != 0;
            let characters = if is_ascii { s.len() } else { s.chars().count() };
            (node.field, data, Extent { characters: characters as u32, beyond })
        })
    }

    /// All values as [`Value`]s, in the order of [`Self::nodes`].
    pub fn values(self) -> impl ExactSizeIterator<Item = Value<'a>> + Clone {
        (0..self.tape.nodes.len() as u32).map(move |index| Value { document: self, index })
    }

    /// Keys that stood in their object before: the last one counts, the others are not on the tape.
    pub fn duplicate_keys(self) -> u32 {
        self.tape.duplicate_keys
    }

    /// Was it decoded from JSON text?
    pub fn is_json(self) -> bool {
        self.tape.is_json
    }

    /// Tells this tape from all others that live.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.tape) as usize
    }

    fn node(self, index: u32) -> Option<&'a Node> {
        self.tape.nodes.get(index as usize)
    }

    fn slice(self, in_arena: bool, start: u32, len: u32) -> &'a str {
        let text = if in_arena { &self.tape.arena } else { self.text };
        // The builder only writes ranges of whole characters.
        text.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    #[inline]
    fn data(self, node: &Node) -> Data<'a> {
        match node.kind {
            Kind::Null => Data::Null,
            Kind::Bool => Data::Bool(node.bits != 0),
            Kind::I64 => Data::I64(node.bits as i64),
            Kind::U64 => Data::U64(node.bits),
            Kind::F64 => Data::F64(f64::from_bits(node.bits)),
            Kind::Str => Data::Str(self.slice(node.flags & STRING_IN_ARENA != 0, node.high(), node.low())),
            Kind::Object => Data::Object { len: node.high() as usize },
            Kind::Array => Data::Array { len: node.high() as usize },
        }
    }
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub(super) document: Document<'a>,
    pub(super) index: u32,
}

impl<'a> Value<'a> {
    /// What it is.
    #[inline]
    pub fn data(self) -> Data<'a> {
        self.document.node(self.index).map_or(Data::Null, |node| self.document.data(node))
    }

    /// What it is, without looking at the value itself.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.document.node(self.index).map_or(Kind::Null, |node| node.kind)
    }

    /// Its field.
    #[inline]
    pub fn field(self) -> FieldId {
        self.document.node(self.index).map_or(FieldId::FOLDED, |node| node.field)
    }

    /// Its position in [`Document::nodes`].
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The document that it is part of.
    pub fn document(self) -> Document<'a> {
        self.document
    }

    /// Is it null?
    pub fn is_null(self) -> bool {
        self.data() == Data::Null
    }

    /// As a boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        if let Data::Bool(b) = self.data() { Some(b) } else { None }
    }

    /// As a signed integer, if it is an integer that fits.
    pub fn as_i64(self) -> Option<i64> {
        if let Data::I64(n) = self.data() { Some(n) } else { None }
    }

    /// As an unsigned integer, if it is an integer that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.data() {
            Data::I64(n) => n.try_into().ok(),
            Data::U64(n) => Some(n),
            _ => None,
        }
    }

    /// As a float, if it is a number.
    pub fn as_f64(self) -> Option<f64> {
        self.data().as_f64()
    }

    /// As a string, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        if let Data::Str(s) = self.data() { Some(s) } else { None }
    }

    /// Characters of a string; 0 for anything else.
    #[inline]
    pub fn characters(self) -> usize {
        match self.document.node(self.index) {
            Some(node) if node.flags & STRING_IS_ASCII != 0 => node.low() as usize,
            _ => self.as_str().map_or(0, |s| s.chars().count()),
        }
    }

    /// Members or elements; 0 for scalars.
    #[allow(clippy::len_without_is_empty)] // Of a value that may be no container, it would mislead.
    pub fn len(self) -> usize {
        match self.data() {
            Data::Object { len } | Data::Array { len } => len,
            _ => 0,
        }
    }

    /// The elements of an array; none for anything else.
    pub fn elements(self) -> Elements<'a> {
        Elements(self.children(Kind::Array))
    }

    /// The members of an object, in the order of the payload; none for anything else.
    pub fn members(self) -> Members<'a> {
        Members(self.children(Kind::Object))
    }

    /// The member of this name.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.members().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Its key, if it is the member of an object.
    pub fn key(self) -> &'a str {
        self.document
            .node(self.index)
            .map_or("", |node| self.document.slice(node.flags & KEY_IN_ARENA != 0, node.key, node.key_len))
    }

    /// A copy as a tree of its own: for cold paths.
    pub fn to_json(self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self.data() {
            Data::Null => Json::Null,
            Data::Bool(b) => Json::Bool(b),
            Data::I64(n) => n.into(),
            Data::U64(n) => n.into(),
            // What JSON cannot say (NaN, infinities) becomes null.
            Data::F64(n) => n.into(),
            Data::Str(s) => s.into(),
            Data::Object { .. } => self
                .members()
                .map(|(key, value)| (key.to_owned(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Data::Array { .. } => self.elements().map(Value::to_json).collect::<Vec<_>>().into(),
        }
    }

    /// What a container holds, members or elements; none for scalars.
    pub(crate) fn parts(self) -> impl Iterator<Item = Value<'a>> {
        match self.document.node(self.index) {
            Some(node) if matches!(node.kind, Kind::Object | Kind::Array) => self.children(node.kind),
            _ => Children { document: self.document, next: 0, len: 0 },
        }
    }

    fn children(self, kind: Kind) -> Children<'a> {
        let (len, next) = match self.document.node(self.index) {
            Some(node) if node.kind == kind => (node.high() as usize, self.index + 1),
            _ => (0, 0),
        };
        Children { document: self.document, next, len }
    }
}

#[derive(Clone, Debug)]
struct Children<'a> {
    document: Document<'a>,
    next: u32,
    len: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.len == 0 {
            return None;
        }
        let value = Value { document: self.document, index: self.next };
        self.next += self.document.node(self.next)?.span() as u32;
        self.len -= 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

/// Elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a>(Children<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// Members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a>(Children<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|value| (value.key(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
