//! Excerpts for examples and messages: one line, cut, nothing that could steer a terminal.

use std::fmt::Write as _;

use super::{Data, Value};
use crate::redact::{self, HIDDEN, Place};

/// May this character be shown as it is? Not the control characters, nor those that reorder or
/// hide text (Unicode TR 36: bidirectional and zero-width controls, separators).
pub fn printable(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'))
}

/// A value as JSON on one line, in at most `max_bytes` bytes; a cut ends in `…`. All of it: for
/// what is not shown as it is.
pub(crate) fn excerpt(value: Value<'_>, max_bytes: usize) -> String {
    cut_value(value, max_bytes, None)
}

/// The same to be shown: without the fields that are hidden from `place` on, and with patterns that
/// must not be shown replaced ([`crate::redact`]).
pub(crate) fn redacted(value: Value<'_>, max_bytes: usize, place: &Place<'_>) -> String {
    cut_value(value, max_bytes, Some(place))
}

fn cut_value(value: Value<'_>, max_bytes: usize, place: Option<&Place<'_>>) -> String {
    let mut out = Cut { text: String::new(), max: max_bytes };
    if out.value(value, place).is_err() {
        out.finish_cut();
    }
    out.text
}

struct Full;

struct Cut {
    text: String,
    max: usize,
}

impl Cut {
    fn push(&mut self, c: char) -> Result<(), Full> {
        if self.text.len() + c.len_utf8() > self.max {
            return Err(Full);
        }
        self.text.push(c);
        Ok(())
    }

    fn str(&mut self, text: &str) -> Result<(), Full> {
        text.chars().try_for_each(|c| self.push(c))
    }

    fn quoted(&mut self, text: &str) -> Result<(), Full> {
        self.push('"')?;
        for c in text.chars() {
            match c {
                '"' => self.str("\\\"")?,
                '\\' => self.str("\\\\")?,
                '\n' => self.str("\\n")?,
                '\r' => self.str("\\r")?,
                '\t' => self.str("\\t")?,
                c if printable(c) => self.push(c)?,
                c => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.str(&format!("\\u{unit:04x}"))?;
                    }
                }
            }
        }
        self.push('"')
    }

    /// A text before it is cut: half a secret is one.
    fn shown(&mut self, text: &str, is_redacted: bool) -> Result<(), Full> {
        match is_redacted {
            true => self.quoted(&redact::text(text)),
            false => self.quoted(text),
        }
    }

    fn value(&mut self, value: Value<'_>, place: Option<&Place<'_>>) -> Result<(), Full> {
        if place.is_some_and(Place::is_hidden) {
            return self.str(HIDDEN);
        }
        match value.data() {
            Data::Null => self.str("null"),
            Data::Bool(b) => self.str(if b { "true" } else { "false" }),
            Data::Str(s) => self.shown(s, place.is_some()),
            Data::Object { .. } => {
                self.push('{')?;
                for (i, (key, member)) in value.members().enumerate() {
                    if i > 0 {
                        self.push(',')?;
                    }
                    self.shown(key, place.is_some())?;
                    self.push(':')?;
                    self.value(member, place.map(|place| place.key(key)).as_ref())?;
                }
                self.push('}')
            }
            Data::Array { .. } => {
                self.push('[')?;
                let place = place.map(Place::element);
                for (i, element) in value.elements().enumerate() {
                    if i > 0 {
                        self.push(',')?;
                    }
                    self.value(element, place.as_ref())?;
                }
                self.push(']')
            }
            number => {
                let mut text = String::new();
                // Never fails: a String takes everything.
                _ = match number {
                    Data::I64(n) => write!(text, "{n}"),
                    Data::U64(n) => write!(text, "{n}"),
                    // Debug keeps the exponent of very large and small ones: 1e300, not 301 digits.
                    Data::F64(n) => write!(text, "{n:?}"),
                    _ => Ok(()),
                };
                match place {
                    Some(_) => self.str(&redact::text(&text)),
                    None => self.str(&text),
                }
            }
        }
    }

    /// Makes room for the `…` and adds it.
    fn finish_cut(&mut self) {
        const ELLIPSIS: char = '…';
        while self.text.len() + ELLIPSIS.len_utf8() > self.max && self.text.pop().is_some() {}
        if self.text.len() + ELLIPSIS.len_utf8() <= self.max {
            self.text.push(ELLIPSIS);
        }
    }
}
