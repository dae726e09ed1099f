//! The tape as a JSON representation of the crate `jsonschema`.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object, cmp};

use crate::tape::{Data, Elements, Members, Value};

/// The representation.
pub(super) struct TapeJson;

/// A value of a document, or the name of a member while `propertyNames` looks at it.
#[derive(Clone, Copy)]
pub(super) enum TapeNode<'a> {
    Value(Value<'a>),
    Name(&'a str),
}

impl Json for TapeJson {
    type Node<'a> = TapeNode<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    // A look-up walks the members; a pass over all of them is as cheap as the second look-up.
    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(TapeNode<'_>) -> T) -> T {
        f(TapeNode::Name(string))
    }
}

impl<'a> TapeNode<'a> {
    fn data(self) -> Data<'a> {
        match self {
            Self::Value(value) => value.data(),
            Self::Name(name) => Data::Str(name),
        }
    }

    fn value(self) -> Option<Value<'a>> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

impl<'a> Node<'a, TapeJson> for TapeNode<'a> {
    type Object = TapeObject<'a>;
    type Array = TapeArray<'a>;
    type Number = TapeNumber;

    fn as_object(&self) -> Option<TapeObject<'a>> {
        self.value().filter(|v| matches!(v.data(), Data::Object { .. })).map(TapeObject)
    }

    fn as_array(&self) -> Option<TapeArray<'a>> {
        self.value().filter(|v| matches!(v.data(), Data::Array { .. })).map(TapeArray)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Data::Str(s) = self.data() { Some(Cow::Borrowed(s)) } else { None }
    }

    fn as_number(&self) -> Option<TapeNumber> {
        match self.data() {
            Data::I64(n) => Some(TapeNumber::I64(n)),
            Data::U64(n) => Some(TapeNumber::U64(n)),
            Data::F64(n) => Some(TapeNumber::F64(n)),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Data::Bool(b) = self.data() { Some(b) } else { None }
    }

    fn is_null(&self) -> bool {
        self.data() == Data::Null
    }

    fn json_type(&self) -> JsonType {
        match self.data() {
            Data::Null => JsonType::Null,
            Data::Bool(_) => JsonType::Boolean,
            Data::I64(_) | Data::U64(_) | Data::F64(_) => JsonType::Number,
            Data::Str(_) => JsonType::String,
            Data::Object { .. } => JsonType::Object,
            Data::Array { .. } => JsonType::Array,
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Data::Str(s) = self.data() else {
            return None;
        };
        // A character takes one to four bytes: most bounds are decided without counting.
        let (fewest, most) = (s.len().div_ceil(4) as u64, s.len() as u64);
        if most < min || fewest > max {
            return Some(false);
        }
        if min <= fewest && most <= max {
            return Some(true);
        }
        Some((min..=max).contains(&(s.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        use serde_json::Value as Json;
        match (self.data(), expected) {
            (Data::Null, Json::Null) => true,
            (Data::Bool(a), Json::Bool(b)) => a == *b,
            (Data::Str(a), Json::String(b)) => a == b,
            (Data::I64(_) | Data::U64(_) | Data::F64(_), Json::Number(b)) => {
                self.as_number().is_some_and(|a| cmp::equal_numbers(&a, b))
            }
            (Data::Array { len }, Json::Array(b)) => {
                len == b.len()
                    && self.as_array().is_some_and(|a| a.elements().zip(b).all(|(a, b)| a.equals_value(b)))
            }
            (Data::Object { len }, Json::Object(b)) => {
                len == b.len()
                    && self.as_object().is_some_and(|a| {
                        a.members().all(|(key, a)| b.get(key).is_some_and(|b| a.equals_value(b)))
                    })
            }
            _ => false,
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(match self {
            Self::Value(value) => value.to_json(),
            Self::Name(name) => (*name).into(),
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(match self {
            Self::Value(value) => NodeIdentity::tagged(value.document().address(), value.index() as u32),
            // Tapes hold fewer nodes than this tag.
            Self::Name(name) => NodeIdentity::tagged(name.as_ptr() as usize, u32::MAX),
        })
    }
}

#[derive(Clone, Copy)]
pub(super) enum TapeNumber {
    I64(i64),
    U64(u64),
    F64(f64),
}

impl JsonNumber for TapeNumber {
    fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::I64(n) => n.try_into().ok(),
            Self::U64(n) => Some(n),
            Self::F64(_) => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I64(n) => Some(n),
            Self::U64(n) => n.try_into().ok(),
            Self::F64(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::I64(n) => Some(n as f64),
            Self::U64(n) => Some(n as f64),
            Self::F64(n) => Some(n),
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_number().to_string())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(match *self {
            Self::I64(n) => n.into(),
            Self::U64(n) => n.into(),
            // JSON has no NaN: only a binary format can bring one here, and no schema of ours does.
            Self::F64(n) => serde_json::Number::from_f64(n).unwrap_or_else(|| 0.into()),
        })
    }

    fn is_integer(&self) -> bool {
        match *self {
            Self::I64(_) | Self::U64(_) => true,
            Self::F64(n) => n.is_finite() && n.fract() == 0.0,
        }
    }

    /// Integers beyond 64 bits are floats on the tape, as they are in a tree: all such floats count.
    fn is_written_as_integer(&self) -> bool {
        const TWO_63: f64 = 9_223_372_036_854_775_808.0;
        match *self {
            Self::I64(_) | Self::U64(_) => true,
            Self::F64(n) => n.is_finite() && n.abs() >= TWO_63,
        }
    }
}

pub(super) struct TapeObject<'a>(Value<'a>);

pub(super) struct TapeMembers<'a>(Members<'a>);

impl<'a> Iterator for TapeMembers<'a> {
    type Item = (&'a str, TapeNode<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, TapeNode::Value(value)))
    }
}

impl<'a> Object<'a, TapeJson> for TapeObject<'a> {
    type Node = TapeNode<'a>;
    type MemberName = &'a str;
    type MembersIter = TapeMembers<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<TapeNode<'a>> {
        self.0.get(key).map(TapeNode::Value)
    }

    fn members(&self) -> TapeMembers<'a> {
        TapeMembers(self.0.members())
    }
}

pub(super) struct TapeArray<'a>(Value<'a>);

pub(super) struct TapeElements<'a>(Elements<'a>);

impl<'a> Iterator for TapeElements<'a> {
    type Item = TapeNode<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(TapeNode::Value)
    }
}

impl<'a> Array<'a, TapeJson> for TapeArray<'a> {
    type Node = TapeNode<'a>;
    type ElementsIter = TapeElements<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> TapeElements<'a> {
        TapeElements(self.0.elements())
    }
}
