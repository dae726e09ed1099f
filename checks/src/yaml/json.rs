//! A node as JSON text, for fixtures and lists of allowed values.

use super::node::{Content, Node, Scalar, Style};

/// The node as JSON. Numbers keep the digits they were written with, so that integers beyond 2^53
/// and decimals reach the decoder as they would from a producer.
///
/// # Errors
/// The node that JSON has no word for (infinity, not a number).
pub fn to_json(node: &Node) -> Result<String, &Node> {
    let mut out = String::new();
    write(node, &mut out)?;
    Ok(out)
}

/// Recursion is bounded by the nesting that `parse` accepts.
fn write<'n>(node: &'n Node, out: &mut String) -> Result<(), &'n Node> {
    match &node.content {
        Content::Scalar(scalar) => out.push_str(&scalar_json(scalar).ok_or(node)?),
        Content::Sequence(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Content::Mapping(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&string(&entry.key.text));
                out.push(':');
                write(&entry.value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Types by the core schema of YAML 1.2 (section 10.3.2).
fn scalar_json(scalar: &Scalar) -> Option<String> {
    let text = scalar.text.as_str();
    if scalar.style == Style::Quoted {
        return Some(string(text));
    }
    if scalar.is_null() {
        return Some("null".to_owned());
    }
    if let Some(value) = scalar.as_bool() {
        return Some(value.to_string());
    }
    if is_json_number(text) {
        return Some(text.to_owned());
    }
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    if let Some(digits) = text.strip_prefix("0x") {
        return Some(radix(digits, 16).map_or_else(|| string(text), |n| n.to_string()));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return Some(radix(digits, 8).map_or_else(|| string(text), |n| n.to_string()));
    }
    match text.trim_start_matches(['+', '-']) {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return None,
        _ => {}
    }
    // What YAML calls a number and JSON writes otherwise: `+1`, `.5`, `5.`, `007`.
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && text.ends_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    if numeric {
        if let Ok(whole) = text.parse::<i128>() {
            return Some(whole.to_string());
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            return Some(number.to_string());
        }
    }
    Some(string(text))
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    fn digits(s: &str) -> (usize, &str) {
        let n = s.bytes().take_while(u8::is_ascii_digit).count();
        (n, &s[n..])
    }
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (whole, mut rest) = digits(rest);
    if whole == 0 || (whole > 1 && text.trim_start_matches('-').starts_with('0')) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let (n, after) = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = after;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (n, after) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        return n > 0 && after.is_empty();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn json(text: &str) -> String {
        let node = crate::yaml::parse(text, &Limits::default()).unwrap();
        to_json(&node).map_err(|n| n.span).unwrap()
    }

    #[test]
    fn scalars_keep_their_type_and_digits() {
        for (yaml, expected) in [
            ("12345678901234567890123", "12345678901234567890123"),
            ("0.10", "0.10"),
            ("-1e-7", "-1e-7"),
            ("1e400", "1e400"),
            ("+5", "5"),
            (".5", "0.5"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("true", "true"),
            ("yes", "\"yes\""),
            ("null", "null"),
            ("~", "null"),
            ("''", "\"\""),
            ("'12'", "\"12\""),
            ("1.2.3", "\"1.2.3\""),
            ("2026-11-23", "\"2026-11-23\""),
            ("12:30", "\"12:30\""),
            ("é\"", "\"é\\\"\""),
        ] {
            assert_eq!(json(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn collections_nest() {
        assert_eq!(json("{ a: [1, { b: null }], 'c d': x }"), r#"{"a":[1,{"b":null}],"c d":"x"}"#);
    }

    #[test]
    fn infinity_has_no_json() {
        let node = crate::yaml::parse("{ a: .inf }", &Limits::default()).unwrap();
        assert_eq!(to_json(&node).unwrap_err().span.column, 6);
    }
}
