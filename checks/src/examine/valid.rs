//! Is a value allowed?

use std::cmp::Ordering;

use crate::rules::{ValidValues, ValueType};
use crate::tape::Data;

/// The arguments of `invalidValues`, ready to be asked.
#[derive(Debug)]
pub(super) struct Valid {
    arguments: ValidValues,
    /// Texts among the values allowed, sorted.
    texts: Vec<Box<str>>,
    /// The others.
    scalars: Vec<Scalar>,
}

#[derive(Clone, Copy, Debug)]
enum Scalar {
    Bool(bool),
    Integer(i128),
    Float(f64),
}

impl Valid {
    pub(super) fn new(arguments: &ValidValues) -> Self {
        let (mut texts, mut scalars) = (Vec::new(), Vec::new());
        for value in arguments.values.iter().flatten() {
            match value {
                serde_json::Value::String(text) => texts.push(text.as_str().into()),
                serde_json::Value::Bool(b) => scalars.push(Scalar::Bool(*b)),
                serde_json::Value::Number(n) => scalars.push(match (n.as_i64(), n.as_u64(), n.as_f64()) {
                    (Some(n), ..) => Scalar::Integer(n.into()),
                    (_, Some(n), _) => Scalar::Integer(n.into()),
                    (.., n) => Scalar::Float(n.unwrap_or(f64::NAN)),
                }),
                // The linter lets scalars through alone; null is never invalid.
                serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {}
            }
        }
        texts.sort_unstable();
        Self { arguments: arguments.clone(), texts, scalars }
    }

    /// Does a value that is not null pass all that is asked? What an argument does not apply to
    /// (a bound on what is no number, a length on what is no text) is not allowed.
    pub(super) fn holds(&self, data: Data<'_>) -> bool {
        let a = &self.arguments;
        a.value_type.is_none_or(|t| is_type(data, t))
            && a.min.is_none_or(|min| compare(data, min).is_some_and(Ordering::is_ge))
            && a.max.is_none_or(|max| compare(data, max).is_some_and(Ordering::is_le))
            && (a.values.is_none() || self.is_listed(data))
            && a.pattern.as_ref().is_none_or(|p| text(data).is_some_and(|s| p.is_match(s)))
            && self.has_length(data)
            && a.format.is_none_or(|format| text(data).is_some_and(|s| format.matches(s)))
    }

    fn is_listed(&self, data: Data<'_>) -> bool {
        match data {
            Data::Str(s) => self.texts.binary_search_by(|t| (**t).cmp(s)).is_ok(),
            Data::Bool(b) => self.scalars.iter().any(|v| matches!(v, Scalar::Bool(v) if *v == b)),
            Data::I64(_) | Data::U64(_) | Data::F64(_) => self.scalars.iter().any(|v| match *v {
                Scalar::Integer(v) => is_integer(data, v),
                Scalar::Float(v) => compare(data, v).is_some_and(Ordering::is_eq),
                Scalar::Bool(_) => false,
            }),
            Data::Null | Data::Object { .. } | Data::Array { .. } => false,
        }
    }

    fn has_length(&self, data: Data<'_>) -> bool {
        let (min, max) = (self.arguments.min_length, self.arguments.max_length);
        if min.is_none() && max.is_none() {
            return true;
        }
        text(data).is_some_and(|s| {
            // A character takes one to four bytes: most bounds are decided without counting.
            let (fewest, most) = (s.len().div_ceil(4) as u64, s.len() as u64);
            let (min, max) = (min.unwrap_or(0), max.unwrap_or(u64::MAX));
            if most < min || fewest > max {
                false
            } else {
                (min <= fewest && most <= max) || (min..=max).contains(&(s.chars().count() as u64))
            }
        })
    }
}

/// Values that stand for a missing one.
#[derive(Debug)]
pub(super) struct StandIns {
    null: bool,
    listed: Valid,
}

impl StandIns {
    pub(super) fn new(values: &[serde_json::Value]) -> Self {
        let listed = ValidValues { values: Some(values.to_vec()), ..ValidValues::default() };
        Self { null: values.iter().any(serde_json::Value::is_null), listed: Valid::new(&listed) }
    }

    /// Does this value stand for a missing one?
    pub(super) fn holds(&self, data: Data<'_>) -> bool {
        if data == Data::Null { self.null } else { self.listed.holds(data) }
    }
}

fn text<'a>(data: Data<'a>) -> Option<&'a str> {
    if let Data::Str(s) = data { Some(s) } else { None }
}

/// `integer` is any whole number, as in JSON Schema: 1.0 is one.
fn is_type(data: Data<'_>, wanted: ValueType) -> bool {
    match wanted {
        ValueType::Integer => match data {
            Data::I64(_) | Data::U64(_) => true,
            Data::F64(n) => n.is_finite() && n.fract() == 0.0,
            _ => false,
        },
        ValueType::Number => data.as_f64().is_some(),
        ValueType::String => matches!(data, Data::Str(_)),
        ValueType::Boolean => matches!(data, Data::Bool(_)),
        ValueType::Object => matches!(data, Data::Object { .. }),
        ValueType::Array => matches!(data, Data::Array { .. }),
    }
}

/// A number against a bound, exactly: integers above 2^53 are not rounded first. `None` for what is
/// no number, and for NaN.
fn compare(data: Data<'_>, bound: f64) -> Option<Ordering> {
    match data {
        Data::I64(n) => compare_integer(n.into(), bound),
        Data::U64(n) => compare_integer(n.into(), bound),
        Data::F64(n) => n.partial_cmp(&bound),
        _ => None,
    }
}

fn compare_integer(n: i128, bound: f64) -> Option<Ordering> {
    if bound.is_nan() {
        return None;
    }
    // The cast saturates, and both ends of i128 are beyond any n.
    let floor = bound.floor() as i128;
    let fraction = if bound.is_finite() && bound.fract() != 0.0 { Ordering::Less } else { Ordering::Equal };
    Some(n.cmp(&floor).then(fraction))
}

fn is_integer(data: Data<'_>, wanted: i128) -> bool {
    match data {
        Data::I64(n) => i128::from(n) == wanted,
        Data::U64(n) => i128::from(n) == wanted,
        Data::F64(n) => n.is_finite() && n.fract() == 0.0 && n.abs() < 1e38 && n as i128 == wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn valid(change: impl FnOnce(&mut ValidValues)) -> Valid {
        let mut arguments = ValidValues::default();
        change(&mut arguments);
        Valid::new(&arguments)
    }

    #[test]
    fn bounds_are_inside_and_for_numbers_alone() {
        let valid = valid(|a| {
            a.min = Some(0.0);
            a.max = Some(10.5);
        });
        for good in [Data::I64(0), Data::F64(-0.0), Data::F64(10.5), Data::I64(10)] {
            assert!(valid.holds(good), "{good:?}");
        }
        for bad in [
            Data::I64(-1),
            Data::I64(11),
            Data::U64(u64::MAX),
            Data::F64(10.500001),
            Data::F64(f64::NAN),
            Data::F64(f64::INFINITY),
            Data::Str("5"),
            Data::Bool(true),
            Data::Array { len: 0 },
        ] {
            assert!(!valid.holds(bad), "{bad:?}");
        }
    }

    #[test]
    fn large_integers_are_compared_exactly() {
        let valid = valid(|a| a.max = Some(9_007_199_254_740_992.0));
        assert!(valid.holds(Data::I64(9_007_199_254_740_992)));
        assert!(!valid.holds(Data::I64(9_007_199_254_740_993)));
        assert_eq!(compare(Data::U64(u64::MAX), 18_446_744_073_709_551_616.0), Some(Ordering::Less));
        assert_eq!(compare(Data::I64(i64::MIN), -9_223_372_036_854_775_808.0), Some(Ordering::Equal));
        assert_eq!(compare(Data::I64(3), f64::INFINITY), Some(Ordering::Less));
        assert_eq!(compare(Data::I64(3), f64::NEG_INFINITY), Some(Ordering::Greater));
        assert_eq!(compare(Data::I64(-3), -2.5), Some(Ordering::Less));
        assert_eq!(compare(Data::I64(-2), -2.5), Some(Ordering::Greater));
    }

    #[test]
    fn listed_values_go_by_value() {
        let valid = valid(|a| {
            a.values = Some(vec![json!("new"), json!(1), json!(2.5), json!(true), json!(u64::MAX)])
        });
        for good in [
            Data::Str("new"),
            Data::I64(1),
            Data::F64(1.0),
            Data::F64(2.5),
            Data::Bool(true),
            Data::U64(u64::MAX),
        ] {
            assert!(valid.holds(good), "{good:?}");
        }
        for bad in
            [Data::Str("New"), Data::Str("1"), Data::I64(2), Data::Bool(false), Data::Object { len: 0 }]
        {
            assert!(!valid.holds(bad), "{bad:?}");
        }
        assert!(self::valid(|a| a.values = Some(vec![json!(0)])).holds(Data::F64(-0.0)));
        assert!(self::valid(|a| a.values = Some(vec![json!(-0.0)])).holds(Data::I64(0)));
    }

    #[test]
    fn texts_are_measured_in_characters() {
        let valid = valid(|a| {
            a.min_length = Some(2);
            a.max_length = Some(4);
        });
        for (text, expected) in
            [("ä", false), ("ää", true), ("𝄞𝄞𝄞𝄞", true), ("abcde", false), ("ääääää", false), ("", false)]
        {
            assert_eq!(valid.holds(Data::Str(text)), expected, "{text}");
        }
        assert!(!valid.holds(Data::I64(100)));
        let pattern = self::valid(|a| a.pattern = regex::Regex::new("b+").ok());
        assert!(
            pattern.holds(Data::Str("abc")) && !pattern.holds(Data::Str("ac")) && !pattern.holds(Data::Null)
        );
    }

    #[test]
    fn types_are_those_of_json_schema() {
        let holds = |wanted, data| valid(|a| a.value_type = Some(wanted)).holds(data);
        assert!(holds(ValueType::Integer, Data::F64(1.0)) && !holds(ValueType::Integer, Data::F64(1.5)));
        assert!(holds(ValueType::Number, Data::I64(1)) && !holds(ValueType::Number, Data::Str("1")));
        assert!(
            holds(ValueType::Object, Data::Object { len: 0 })
                && !holds(ValueType::Object, Data::Array { len: 0 })
        );
        assert!(
            holds(ValueType::Boolean, Data::Bool(false)) && holds(ValueType::Array, Data::Array { len: 3 })
        );
    }

    proptest! {
        #[test]
        fn comparing_is_exact(n in any::<i64>(), bound in any::<f64>(), near in -2.0f64..2.0) {
            for bound in [bound, n as f64, n as f64 + near] {
                let expected = if bound.is_nan() { None } else if bound >= 1e30 { Some(Ordering::Less) }
                    else if bound <= -1e30 { Some(Ordering::Greater) }
                    // Doubling twice keeps the half that a fraction may have, in integers.
                    else { Some((i128::from(n) << 60).cmp(&((bound * (1u64 << 60) as f64) as i128))) };
                if bound.abs() < 1e18 || bound.abs() >= 1e30 || bound.is_nan() {
                    prop_assert_eq!(compare(Data::I64(n), bound), expected, "{} {}", n, bound);
                }
            }
        }
    }
}
