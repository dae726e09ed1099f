//! A schema as it is held against a tape: what looks at one value alone, compiled; the crate
//! `jsonschema` for what is left of each subschema.
//!
//! Both say the same of every document, which a property test holds.

use std::cmp::Ordering;
use std::collections::HashMap;

use jsonschema::Validator;
use jsonschema::json::Node as _;
use regex::Regex;

use super::tape::{TapeJson, TapeNode};
use crate::tape::{Data, Kind, Shape, Value};

/// Index of a subschema in its plan.
pub(super) type Id = u32;

/// All that a schema asks, one entry a subschema. References lead forward and never back to where
/// they came from.
#[derive(Debug)]
pub(super) struct Plan {
    /// Tells the links of this schema in a [`Shape`] from those of others.
    pub(super) tag: u64,
    pub(super) root: Id,
    pub(super) subschemas: Vec<Subschema>,
}

/// What one subschema asks of a value. Most ask for a type and nothing else.
#[derive(Debug)]
pub(super) struct Subschema {
    /// One bit a type that it may have ([`types`]).
    pub(super) types: u8,
    pub(super) range: Option<Box<Range>>,
    pub(super) text: Option<Box<Text>>,
    pub(super) array: Option<Box<Array>>,
    pub(super) object: Option<Box<Object>>,
    pub(super) more: Option<Box<More>>,
}

/// What is asked of values of any type.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) options: Option<Options>,
    /// Others that apply to the same value.
    pub(super) all: Vec<Id>,
    /// What is not compiled.
    pub(super) rest: Option<Validator<TapeJson>>,
}

/// As a bit of [`Subschema::types`].
pub(super) mod types {
    pub(in crate::schema) const NULL: u8 = 1;
    pub(in crate::schema) const BOOLEAN: u8 = 1 << 1;
    pub(in crate::schema) const INTEGER: u8 = 1 << 2;
    /// Numbers with a fraction.
    pub(in crate::schema) const FRACTION: u8 = 1 << 3;
    pub(in crate::schema) const STRING: u8 = 1 << 4;
    pub(in crate::schema) const ARRAY: u8 = 1 << 5;
    pub(in crate::schema) const OBJECT: u8 = 1 << 6;
    pub(in crate::schema) const ANY: u8 = u8::MAX;
}

/// `enum` and `const`.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) texts: Vec<Box<str>>,
    pub(super) others: Vec<serde_json::Value>,
}

/// A number as a schema has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// One that is the same as an integer and as a float.
    Both(i64, f64),
    Whole(i128),
    Float(f64),
}

/// A bound, and is it allowed itself?
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) number: Number,
    pub(super) is_allowed: bool,
}

/// `minimum` and its kin.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) lower: Option<Bound>,
    pub(super) upper: Option<Bound>,
}

/// Characters, elements or members; both are allowed themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) min: u64,
    pub(super) max: u64,
}

#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) length: Length,
    pub(super) pattern: Option<Regex>,
}

#[derive(Debug, Default)]
pub(super) struct Array {
    pub(super) length: Length,
    pub(super) each: Option<Id>,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) length: Length,
    /// Names that are declared or required, by their index into `members`.
    pub(super) names: HashMap<Box<str>, u32, ahash::RandomState>,
    pub(super) members: Vec<Member>,
    /// The bits of all members that must be there.
    pub(super) required: u64,
    /// What is not declared.
    pub(super) others: Option<Id>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) subschema: Option<Id>,
    /// Its bit in [`Object::required`].
    pub(super) required: u64,
}

/// Where a field leads under a schema: learned once, as a field has one key for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    tag: u64,
    object: Id,
    member: u32,
}

/// Not among the members of its object.
const OTHER: u32 = u32::MAX;

impl Plan {
    pub(super) fn holds(&self, value: Value<'_>, shape: &mut Shape) -> bool {
        self.subschema(self.root, value, shape)
    }

    fn subschema(&self, id: Id, value: Value<'_>, shape: &mut Shape) -> bool {
        let Some(schema) = self.subschemas.get(id as usize) else { return false };
        let kind = value.kind();
        if schema.types & type_of(kind, value) == 0 {
            return false;
        }
        let fits = match kind {
            Kind::Str => schema.text.as_ref().is_none_or(|asked| asked.holds(value)),
            Kind::I64 | Kind::U64 | Kind::F64 => {
                schema.range.as_ref().is_none_or(|range| range.holds(value.data()))
            }
            Kind::Object => schema.object.as_ref().is_none_or(|asked| self.object((id, asked), value, shape)),
            Kind::Array => schema.array.as_ref().is_none_or(|asked| {
                asked.length.holds(value.len())
                    && asked.each.is_none_or(|each| value.parts().all(|v| self.subschema(each, v, shape)))
            }),
            Kind::Null | Kind::Bool => true,
        };
        fits && schema.more.as_ref().is_none_or(|more| self.more(more, value, shape))
    }

    fn more(&self, more: &More, value: Value<'_>, shape: &mut Shape) -> bool {
        more.options.as_ref().is_none_or(|options| options.hold(value))
            && more.all.iter().all(|other| self.subschema(*other, value, shape))
            && more.rest.as_ref().is_none_or(|rest| rest.is_valid(TapeNode::Value(value)))
    }

    fn object(&self, (id, asked): (Id, &Object), value: Value<'_>, shape: &mut Shape) -> bool {
        let mut required = 0;
        for part in value.parts() {
            let member = match shape.link(part.field()) {
                Some(link) if (link.tag, link.object) == (self.tag, id) => link.member,
                _ => {
                    let member = asked.names.get(part.key()).copied().unwrap_or(OTHER);
                    shape.set_link(part.field(), Link { tag: self.tag, object: id, member });
                    member
                }
            };
            let subschema = match asked.members.get(member as usize) {
                Some(member) => {
                    required |= member.required;
                    member.subschema
                }
                None => asked.others,
            };
            if subschema.is_some_and(|subschema| !self.subschema(subschema, part, shape)) {
                return false;
            }
        }
        required == asked.required && (asked.length.is_any() || asked.length.holds(value.len()))
    }
}

fn type_of(kind: Kind, value: Value<'_>) -> u8 {
    match kind {
        Kind::Null => types::NULL,
        Kind::Bool => types::BOOLEAN,
        Kind::I64 | Kind::U64 => types::INTEGER,
        Kind::F64 => match value.data() {
            // Beyond 2^53 there are no fractions.
            Data::F64(n) if n as i64 as f64 == n || (n.abs() >= 9e15 && n.is_finite()) => types::INTEGER,
            _ => types::FRACTION,
        },
        Kind::Str => types::STRING,
        Kind::Array => types::ARRAY,
        Kind::Object => types::OBJECT,
    }
}

impl Subschema {
    /// One that asks for these types alone.
    pub(super) fn of(types: u8) -> Self {
        Self { types, range: None, text: None, array: None, object: None, more: None }
    }
}

impl Default for Length {
    fn default() -> Self {
        Self { min: 0, max: u64::MAX }
    }
}

impl Length {
    fn holds(self, length: usize) -> bool {
        (self.min..=self.max).contains(&(length as u64))
    }

    fn is_any(self) -> bool {
        (self.min, self.max) == (0, u64::MAX)
    }
}

impl Object {
    /// The member of this name, made if it is new: as what is not declared.
    pub(super) fn member(&mut self, name: &str) -> &mut Member {
        let next = self.members.len() as u32;
        let at = *self.names.entry(name.into()).or_insert(next);
        if at == next {
            self.members.push(Member { subschema: self.others, required: 0 });
        }
        &mut self.members[at as usize]
    }
}

impl Options {
    pub(super) fn new(options: &[serde_json::Value]) -> Self {
        let texts = options.iter().filter_map(|o| o.as_str().map(Into::into)).collect();
        Self { texts, others: options.iter().filter(|o| !o.is_string()).cloned().collect() }
    }

    fn hold(&self, value: Value<'_>) -> bool {
        match value.data() {
            Data::Str(text) => self.texts.iter().any(|option| **option == *text),
            _ => self.others.iter().any(|option| TapeNode::Value(value).equals_value(option)),
        }
    }
}

impl Text {
    fn holds(&self, value: Value<'_>) -> bool {
        (self.length.is_any() || self.length.holds(value.characters()))
            && self.pattern.as_ref().is_none_or(|pattern| value.as_str().is_some_and(|s| pattern.is_match(s)))
    }
}

impl Range {
    fn holds(&self, data: Data<'_>) -> bool {
        let is = |bound: Bound, wanted: Ordering| {
            let compared = bound.number.compare(data);
            compared == Some(wanted) || (bound.is_allowed && compared == Some(Ordering::Equal))
        };
        self.lower.is_none_or(|bound| is(bound, Ordering::Greater))
            && self.upper.is_none_or(|bound| is(bound, Ordering::Less))
    }
}

impl Number {
    pub(super) fn whole(n: i128) -> Self {
        const EXACT: i128 = 1 << 53;
        if (-EXACT..=EXACT).contains(&n) { Self::Both(n as i64, n as f64) } else { Self::Whole(n) }
    }

    /// How a number compares with the bound; exact.
    #[inline]
    fn compare(self, data: Data<'_>) -> Option<Ordering> {
        match (data, self) {
            (Data::I64(n), Self::Both(bound, _)) => Some(n.cmp(&bound)),
            (Data::F64(n), Self::Both(_, bound) | Self::Float(bound)) => n.partial_cmp(&bound),
            // Above all that are both.
            (Data::U64(_), Self::Both(..)) => Some(Ordering::Greater),
            (Data::I64(n), Self::Whole(bound)) => Some(i128::from(n).cmp(&bound)),
            (Data::U64(n), Self::Whole(bound)) => Some(i128::from(n).cmp(&bound)),
            (Data::I64(n), Self::Float(bound)) => whole_with(i128::from(n), bound),
            (Data::U64(n), Self::Float(bound)) => whole_with(i128::from(n), bound),
            (Data::F64(n), Self::Whole(bound)) => whole_with(bound, n).map(Ordering::reverse),
            _ => None,
        }
    }
}

/// A whole number of 64 bits against a float, none of them rounded.
fn whole_with(whole: i128, float: f64) -> Option<Ordering> {
    /// Beyond every number of 64 bits, and a float.
    const BEYOND: f64 = 36_893_488_147_419_103_232.0;
    if float.is_nan() {
        return None;
    }
    let float = float.clamp(-BEYOND, BEYOND);
    let below = float.floor();
    let compared = whole.cmp(&(below as i128));
    // Equal to the whole part: less than the number if there is more of it.
    Some(if compared == Ordering::Equal && below < float { Ordering::Less } else { compared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_and_floats_compare_exactly() {
        let cases = [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (2, 1.5, Ordering::Greater),
            (-1, -1.5, Ordering::Greater),
            (-2, -1.5, Ordering::Less),
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
            (i128::from(u64::MAX), 18_446_744_073_709_551_616.0, Ordering::Less),
            (i128::from(i64::MIN), -9_223_372_036_854_775_808.0, Ordering::Equal),
            (0, f64::INFINITY, Ordering::Less),
            (0, -1e300, Ordering::Greater),
            (0, 5e-324, Ordering::Less),
        ];
        for (whole, float, expected) in cases {
            assert_eq!(whole_with(whole, float), Some(expected), "{whole} {float}");
        }
        assert_eq!(whole_with(0, f64::NAN), None);
    }
}
