//! Canonical text of paths: `$.a.b`, `$.items[].price`, `$.m.*`, `$['odd name']`.

use std::fmt::Write as _;

use super::PathStep;

/// Appends one step to a path's text. Keys that are identifiers (a letter or `_`, then letters,
/// digits and `_`: the shorthand of RFC 9535) stand after a dot, all others in `['…']` with `'`,
/// `\` and control characters escaped; so a key named `*` never reads as the wildcard.
pub fn push_step(text: &mut String, step: PathStep<'_>) {
    match step {
        PathStep::Root => text.push('$'),
        PathStep::Elements => text.push_str("[]"),
        PathStep::AnyKey => text.push_str(".*"),
        PathStep::Key(key) if is_identifier(key) => {
            text.push('.');
            text.push_str(key);
        }
        PathStep::Key(key) => {
            text.push_str("['");
            for c in key.chars() {
                match c {
                    '\'' | '\\' => {
                        text.push('\\');
                        text.push(c);
                    }
                    c if super::printable(c) => text.push(c),
                    // Never fails: a String takes everything.
                    c => _ = write!(text, "\\u{{{:x}}}", u32::from(c)),
                }
            }
            text.push_str("']");
        }
    }
}

fn is_identifier(key: &str) -> bool {
    let mut chars = key.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// Does this key look like an identifier of a thing (a UUID, a long number, a hash, a date) rather
/// than the name of a field? Decided from the key alone, so that every agent decides alike
/// whatever it has seen before.
pub(super) fn is_id_like(key: &str) -> bool {
    // An address or token as a key names a thing too, and is in no path that is shown.
    if crate::redact::is_sensitive(key) {
        return true;
    }
    let bytes = key.as_bytes();
    let (mut digits, mut others) = (0usize, 0usize);
    for b in bytes {
        match b {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'f' | b'A'..=b'F' => others += 1,
            b'-' | b':' => {}
            _ => return false,
        }
    }
    let long_number = others == 0 && digits >= 6;
    // Hexadecimal: a UUID without dashes, a digest, a trace id, an object id.
    let digest = digits >= 2 && digits + others >= 16;
    long_number || digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(steps: &[PathStep<'_>]) -> String {
        let mut text = String::new();
        steps.iter().for_each(|s| push_step(&mut text, *s));
        text
    }

    #[test]
    fn paths_read_as_documented() {
        use PathStep::{AnyKey, Elements, Key, Root};
        assert_eq!(text(&[Root, Key("a"), Key("b_2")]), "$.a.b_2");
        assert_eq!(text(&[Root, Key("items"), Elements, Key("price")]), "$.items[].price");
        assert_eq!(text(&[Root, Key("m"), AnyKey]), "$.m.*");
        assert_eq!(text(&[Root, Key("odd name")]), "$['odd name']");
        assert_eq!(text(&[Root, Key("*")]), "$['*']");
        assert_eq!(text(&[Root, Key("it's\\\n")]), "$['it\\'s\\\\\\u{a}']");
        assert_eq!(text(&[Root, Key("")]), "$['']");
        assert_eq!(text(&[Root, Key("größe")]), "$.größe");
        assert_eq!(text(&[Root, Key("2nd")]), "$['2nd']");
    }

    #[test]
    fn ids_are_told_from_names() {
        for id in [
            "8f14e45f-ceea-467f-9c2b-1d2f3a4b5c6d",
            "8f14e45fceea467f9c2b1d2f3a4b5c6d",
            "1234567",
            "2026-11-23",
            "507f1f77bcf86cd799439011",
        ] {
            assert!(is_id_like(id), "{id}");
        }
        for name in ["amount", "a1", "2026", "12345", "face", "deadbeef", "added", "x-1234567", "", "decade"]
        {
            assert!(!is_id_like(name), "{name}");
        }
    }
}
