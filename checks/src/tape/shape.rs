//! The trie of a topic's keys: paths to field ids, found by guessing.

use std::collections::HashMap;

use super::path::{is_id_like, push_step};
use crate::limits::Limits;
use crate::rules::{FieldPath, Step};
use crate::schema::Link;

/// A field of a topic: index into its [`Shape`]. Private to one agent and topic; summaries go by
/// path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

impl FieldId {
    /// The document itself, `$`.
    pub const ROOT: Self = Self(0);
    /// Every value beyond the limit on fields: validated like any other, only not profiled.
    pub const FOLDED: Self = Self(u32::MAX);

    /// As an index into tables of [`Shape::len`]; `None` for [`Self::FOLDED`].
    pub fn index(self) -> Option<usize> {
        (self != Self::FOLDED).then_some(self.0 as usize)
    }
}

/// The last step of a field's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathStep<'a> {
    /// The document itself.
    Root,
    /// A member of an object.
    Key(&'a str),
    /// The elements of an array.
    Elements,
    /// The members of an object that is used as a map.
    AnyKey,
}

impl<'a> From<&'a Step> for PathStep<'a> {
    fn from(step: &'a Step) -> Self {
        match step {
            Step::Key(key) => Self::Key(key),
            Step::Elements => Self::Elements,
            Step::AnyKey => Self::AnyKey,
        }
    }
}

/// Above this many children they are found by hash, at or below by looking at each.
const SCANNED_CHILDREN: usize = 16;
/// So often the children of an object are put into another order, because records have them in it: more often, and
/// there is no order to learn.
const MOVES_MAX: u32 = 1_024;
/// Keys and paths longer than this are not worth a field of their own.
const MAX_KEY_BYTES: usize = 256;
const MAX_PATH_BYTES: usize = 1_024;
/// No position: the member has no field of its own name.
pub(super) const UNPLACED: u32 = u32::MAX;

/// All fields of a topic seen so far, bounded by `limits.fields` (fields that rules name come on
/// top: they always have an id).
///
/// Keys that look like identifiers of things, and all keys of an object that has had more than a
/// tenth of `limits.fields` (half, at the root), collapse to `*`. Keys that rules name keep their
/// own field even there.
#[derive(Debug)]
pub struct Shape {
    fields: Vec<Field>,
    /// By field: its members with a field of their own, in the order in which records have them, as far as there is one.
    children: Vec<Vec<Child>>,
    /// Learned from records; those that rules name do not count.
    learned: usize,
    limit: usize,
    hasher: ahash::RandomState,
    /// By field: where it leads under the schema that its documents were last held against.
    links: Vec<Option<Link>>,
}

#[derive(Debug)]
struct Field {
    parent: FieldId,
    last: Last,
    path: Box<str>,
    /// Times that one of its members was put elsewhere.
    moves: u32,
    /// Positions of its children, once there are too many to look at each.
    by_key: Option<HashMap<Box<str>, u32, ahash::RandomState>>,
    elements: Option<FieldId>,
    any_key: Option<FieldId>,
    /// A map: members that no rule names go to `any_key`.
    collapsed: bool,
    /// Named by a rule.
    pinned: bool,
}

/// A member with a field of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) field: FieldId,
    pub(super) key: Written,
    /// Ones where the key has its bytes.
    mask: [u64; 2],
}

impl Child {
    fn new(field: FieldId, key: &str) -> Self {
        let key = Written::new(key);
        let mask = u128::MAX.checked_shr(128 - 8 * key.len).unwrap_or(0);
        Self { field, key, mask: words(mask) }
    }

    /// How long its key is as written, if a text begins with it, of which these are the first bytes.
    #[inline(always)]
    pub(super) fn len_within(&self, text: [u64; 2]) -> Option<u32> {
        let low = text[0] & self.mask[0] ^ self.key.bytes[0];
        let high = text[1] & self.mask[1] ^ self.key.bytes[1];
        (low | high == 0).then_some(self.key.len)
    }
}

/// How nearly all JSON has a key: with the quote and the colon behind it. Two are the same key if they are equal and not
/// [empty](Self::is_empty).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes of all that; 0 where the key needs escapes, or is too long to be looked at so.
    len: u32,
    /// All of them, and zeros up to sixteen.
    bytes: [u64; 2],
}

impl Written {
    pub(super) fn new(key: &str) -> Self {
        let is_plain = !key.bytes().any(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        if !is_plain || key.len() > 14 {
            // Its mask is zero, and no text that is masked so equals this.
            return Self { len: 0, bytes: [1, 0] };
        }
        let mut written = [0; 16];
        for (to, from) in written.iter_mut().zip(key.bytes().chain(*b"\":")) {
            *to = from;
        }
        Self { len: key.len() as u32 + 2, bytes: words(u128::from_le_bytes(written)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The lower and the upper half.
fn words(all: u128) -> [u64; 2] {
    [all as u64, (all >> 64) as u64]
}

#[derive(Debug)]
enum Last {
    Root,
    Key(Box<str>),
    Elements,
    AnyKey,
}

impl Shape {
    /// The empty shape: `$` alone.
    pub fn new(limits: &Limits) -> Self {
        let mut shape = Self {
            fields: Vec::new(),
            children: vec![Vec::new()],
            learned: 0,
            limit: limits.fields.min(1 << 24),
            hasher: ahash::RandomState::new(),
            links: Vec::new(),
        };
        shape.fields.push(Field::new(FieldId::FOLDED, Last::Root, "$".into()));
        shape
    }

    /// Fields known; ids are below it.
    #[allow(clippy::len_without_is_empty)] // The root is always there.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Canonical text of a field's path; `*` for [`FieldId::FOLDED`].
    pub fn path(&self, field: FieldId) -> &str {
        self.field(field).map_or("*", |f| &f.path)
    }

    /// The field that holds it: the object of a member, the array of elements.
    pub fn parent(&self, field: FieldId) -> Option<FieldId> {
        self.field(field).map(|f| f.parent).filter(|p| *p != FieldId::FOLDED)
    }

    /// The last step of its path.
    pub fn step(&self, field: FieldId) -> PathStep<'_> {
        match self.field(field).map(|f| &f.last) {
            Some(Last::Root) => PathStep::Root,
            Some(Last::Key(key)) => PathStep::Key(key),
            Some(Last::Elements) => PathStep::Elements,
            Some(Last::AnyKey) | None => PathStep::AnyKey,
        }
    }

    /// The id of a path that a rule names, made if it is new: it always gets one, whatever the
    /// limits. A path with `*` makes its object a map, so that all members share that field.
    pub fn intern(&mut self, path: &FieldPath) -> FieldId {
        path.steps.iter().fold(FieldId::ROOT, |at, step| self.pin(at, step))
    }

    /// What [`Self::set_link`] kept.
    #[inline]
    pub(crate) fn link(&self, field: FieldId) -> Option<Link> {
        *self.links.get(field.0 as usize)?
    }

    /// Keeps where a field leads, if all that have it have the same key.
    pub(crate) fn set_link(&mut self, field: FieldId, link: Link) {
        if !matches!(self.step(field), PathStep::Key(_)) {
            return;
        }
        if self.links.len() < self.fields.len() {
            self.links.resize(self.fields.len(), None);
        }
        if let Some(place) = self.links.get_mut(field.0 as usize) {
            *place = Some(link);
        }
    }

    /// Does a rule name it (or something in it)?
    pub fn is_pinned(&self, field: FieldId) -> bool {
        self.field(field).is_some_and(|f| f.pinned)
    }

    /// Members of an object that rules name by key.
    pub(crate) fn pinned_children(&self, object: FieldId) -> Vec<FieldId> {
        let children = self.children(object).iter().map(|c| c.field);
        children.filter(|c| self.is_pinned(*c)).collect()
    }

    /// One step of [`Self::intern`].
    pub(crate) fn pin(&mut self, at: FieldId, step: &Step) -> FieldId {
        let known = match step {
            Step::Key(key) => self.find(at, key, 0).map(|(id, _)| id),
            Step::Elements => self.field(at).and_then(|f| f.elements),
            Step::AnyKey => self.field(at).and_then(|f| f.any_key),
        };
        let id = known.unwrap_or_else(|| {
            let last = match step {
                Step::Key(key) => Last::Key(key.as_str().into()),
                Step::Elements => Last::Elements,
                Step::AnyKey => Last::AnyKey,
            };
            self.add(at, last)
        });
        if let Some(field) = self.field_mut(id) {
            field.pinned = true;
        }
        if matches!(step, Step::AnyKey) {
            self.collapse(at);
        }
        id
    }

    /// The field of a member, and its position among its object's children ([`UNPLACED`] when it
    /// has no field of its own name). `guess` is the position after the member before it.
    pub(super) fn member(&mut self, object: FieldId, key: &str, guess: u32) -> (FieldId, u32) {
        if object == FieldId::FOLDED {
            return (FieldId::FOLDED, UNPLACED);
        }
        // The common case, kept apart: the keys of the record before, in the same order.
        if let Some(child) = self.expected(object, guess)
            && self.has_key(child.field, key)
        {
            return (child.field, guess);
        }
        if let Some((child, position)) = self.find(object, key, guess) {
            return (child, self.follow(object, position, guess));
        }
        self.learn_member(object, key)
    }

    /// The member that is expected at this position among an object's children.
    #[inline]
    pub(super) fn expected(&self, object: FieldId, guess: u32) -> Option<&Child> {
        self.children.get(object.0 as usize)?.get(guess as usize)
    }

    fn children(&self, object: FieldId) -> &[Child] {
        self.children.get(object.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The field of an array's elements.
    pub(super) fn element(&mut self, array: FieldId) -> FieldId {
        match self.field(array) {
            None => FieldId::FOLDED,
            Some(Field { elements: Some(id), .. }) => *id,
            Some(_) => self.learn(array, Last::Elements),
        }
    }

    /// Hash of a key, only good within this shape.
    pub(super) fn hash_key(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn find(&self, object: FieldId, key: &str, guess: u32) -> Option<(FieldId, u32)> {
        let field = self.field(object)?;
        if let Some(by_key) = &field.by_key {
            let position = *by_key.get(key)?;
            return Some((self.children(object)[position as usize].field, position));
        }
        let children = self.children(object);
        // From the guess on, then around: a skipped optional member is found at the second look.
        let guess = (guess as usize).min(children.len());
        let found = |range: std::ops::Range<usize>| {
            let start = range.start;
            let offset = children[range].iter().position(|c| self.has_key(c.field, key))?;
            Some(start + offset)
        };
        let position = found(guess..children.len()).or_else(|| found(0..guess))?;
        Some((children[position].field, position as u32))
    }

    /// A member came after those that it was expected before: it is expected there from now on. Gives its position,
    /// which still is before the guess, as it may have come a second time.
    fn follow(&mut self, object: FieldId, position: u32, guess: u32) -> u32 {
        let (from, to) = (position as usize, guess as usize);
        let at = object.0 as usize;
        let (Some(field), Some(children)) = (self.fields.get_mut(at), self.children.get_mut(at)) else {
            return position;
        };
        if from >= to || to > children.len() || field.moves >= MOVES_MAX {
            return position;
        }
        field.moves += 1;
        children[from..to].rotate_left(1);
        if field.by_key.is_some() {
            self.index_children(object);
        }
        guess - 1
    }

    fn has_key(&self, field: FieldId, key: &str) -> bool {
        matches!(self.field(field), Some(Field { last: Last::Key(k), .. }) if **k == *key)
    }

    #[cold]
    fn learn_member(&mut self, object: FieldId, key: &str) -> (FieldId, u32) {
        let most =
            if object == FieldId::ROOT { self.limit / 2 } else { self.limit / 10 }.max(SCANNED_CHILDREN);
        let Some(field) = self.field(object) else {
            return (FieldId::FOLDED, UNPLACED);
        };
        if !field.collapsed && self.children(object).len() >= most {
            self.collapse(object);
        }
        let collapsed = self.field(object).is_some_and(|f| f.collapsed);
        if collapsed || key.len() > MAX_KEY_BYTES || is_id_like(key) {
            let any = self.field(object).and_then(|f| f.any_key);
            return (any.unwrap_or_else(|| self.learn(object, Last::AnyKey)), UNPLACED);
        }
        let id = self.learn(object, Last::Key(key.into()));
        let position = (self.children(object).len() as u32).wrapping_sub(1);
        (id, if id == FieldId::FOLDED { UNPLACED } else { position })
    }

    /// A field that a record brought: only within the limits.
    fn learn(&mut self, parent: FieldId, last: Last) -> FieldId {
        let too_long = self.field(parent).is_none_or(|f| f.path.len() > MAX_PATH_BYTES);
        if self.learned >= self.limit || too_long {
            return FieldId::FOLDED;
        }
        self.learned += 1;
        self.add(parent, last)
    }

    fn add(&mut self, parent: FieldId, last: Last) -> FieldId {
        let id = FieldId(self.fields.len() as u32);
        let mut path = self.path(parent).to_owned();
        let step = match &last {
            Last::Root => PathStep::Root,
            Last::Key(key) => PathStep::Key(key),
            Last::Elements => PathStep::Elements,
            Last::AnyKey => PathStep::AnyKey,
        };
        push_step(&mut path, step);
        let key = if let Last::Key(key) = &last { Some(key.clone()) } else { None };
        let is_elements = matches!(last, Last::Elements);
        self.fields.push(Field::new(parent, last, path.into()));
        self.children.push(Vec::new());
        let at = parent.0 as usize;
        let (Some(field), Some(children)) = (self.fields.get_mut(at), self.children.get_mut(at)) else {
            return id;
        };
        match key {
            Some(key) => {
                let position = children.len() as u32;
                children.push(Child::new(id, &key));
                if let Some(by_key) = &mut field.by_key {
                    by_key.insert(key, position);
                } else if children.len() > SCANNED_CHILDREN {
                    self.index_children(parent);
                }
            }
            None if is_elements => field.elements = Some(id),
            None => field.any_key = Some(id),
        }
        id
    }

    /// From now on only members that rules name keep a field of their own.
    fn collapse(&mut self, object: FieldId) {
        let kept = self.pinned_children(object);
        if let Some(field) = self.field_mut(object) {
            field.collapsed = true;
            field.by_key = None;
        }
        if let Some(children) = self.children.get_mut(object.0 as usize) {
            children.retain(|child| kept.contains(&child.field));
        }
        if kept.len() > SCANNED_CHILDREN {
            self.index_children(object);
        }
    }

    fn index_children(&mut self, object: FieldId) {
        let mut by_key = HashMap::with_hasher(self.hasher.clone());
        for (position, child) in self.children(object).iter().enumerate() {
            if let Some(Field { last: Last::Key(key), .. }) = self.field(child.field) {
                by_key.insert(key.clone(), position as u32);
            }
        }
        if let Some(field) = self.field_mut(object) {
            field.by_key = Some(by_key);
        }
    }

    fn field(&self, id: FieldId) -> Option<&Field> {
        self.fields.get(id.0 as usize)
    }

    fn field_mut(&mut self, id: FieldId) -> Option<&mut Field> {
        self.fields.get_mut(id.0 as usize)
    }
}

impl Field {
    fn new(parent: FieldId, last: Last, path: Box<str>) -> Self {
        Self {
            parent,
            last,
            path,
            moves: 0,
            by_key: None,
            elements: None,
            any_key: None,
            collapsed: false,
            pinned: false,
        }
    }
}
