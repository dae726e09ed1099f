//! Typed values out of the tree. Reading goes on after a mistake: every one is collected, so that
//! a file is mended in one round.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::node::{Content, Entry, Key, Node, Span, Style};
use super::quantity::{
    QuantityError, parse_bytes, parse_duration_ms, parse_percent, parse_rate, show_duration_ms,
};
use super::{Diagnostic, Diagnostics, Level, nearest};

/// Expands a scalar before it is read (`${VAR}`); an error is shown at the scalar.
pub type Expand = Box<dyn Fn(&str) -> Result<String, String>>;

/// Reads the nodes of one file and collects what is wrong with them.
pub struct Reader<'t> {
    file: PathBuf,
    text: &'t str,
    expand: Option<Expand>,
    found: RefCell<Diagnostics>,
    /// Keys that were written wrong, by the mapping they were meant for: not missing as well.
    meant: RefCell<HashSet<(Span, String)>>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("file", &self.file).field("found", &self.found).finish_non_exhaustive()
    }
}

impl<'t> Reader<'t> {
    /// Reads nodes parsed from `text`, which came from `file`.
    pub fn new(file: impl Into<PathBuf>, text: &'t str) -> Self {
        Self { file: file.into(), text, expand: None, found: RefCell::default(), meant: RefCell::default() }
    }

    /// The same, passing every scalar value (never a key) through `expand` first.
    #[must_use]
    pub fn with_expansion(mut self, expand: impl Fn(&str) -> Result<String, String> + 'static) -> Self {
        self.expand = Some(Box::new(expand));
        self
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds an error at `span`.
    #[track_caller]
    pub fn error(&self, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::error(self.text, span, message));
    }

    /// Adds an error at `span`, with what to write instead.
    #[track_caller]
    pub fn error_help(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::error(self.text, span, message).with_help(help));
    }

    /// Adds a warning at `span`.
    #[track_caller]
    pub fn warning(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let diagnostic = Diagnostic::error(self.text, span, message).with_help(help);
        self.push(Diagnostic { level: Level::Warning, ..diagnostic });
    }

    /// Adds a diagnostic; the file is filled in.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic.in_file(&self.file));
    }

    /// The place of `length` characters that begin `offset` characters into a scalar's text, as far
    /// as the text stands on one line and without escapes.
    pub fn inside(&self, node: &Node, offset: usize, length: usize) -> Span {
        let quoted = node.as_scalar().is_some_and(|scalar| scalar.style == Style::Quoted);
        let offset = (offset + usize::from(quoted)).min(node.span.length.saturating_sub(1));
        let room = node.span.length - offset;
        Span { column: node.span.column + offset, length: length.clamp(1, room.max(1)), ..node.span }
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.found.borrow().errors()
    }

    /// All that was found, warnings too.
    pub fn into_diagnostics(self) -> Diagnostics {
        self.found.into_inner()
    }

    /// The value, unless there was an error.
    ///
    /// # Errors
    /// Everything that was found, warnings too.
    pub fn finish<T>(self, value: T) -> Result<T, Diagnostics> {
        let found = self.into_diagnostics();
        if found.errors() > 0 { Err(found) } else { Ok(value) }
    }

    /// A mapping with these keys; any other key is an error that names the nearest of them.
    pub fn map<'r, 'n>(&'r self, node: &'n Node, known: &[&str]) -> Option<Map<'r, 't, 'n>> {
        let map = self.any_map(node)?;
        for entry in map.entries {
            if !known.contains(&entry.key.text.as_str()) {
                self.unknown(&entry.key, "key", known);
                if let Some(meant) = nearest(&entry.key.text, known) {
                    self.meant.borrow_mut().insert((map.span, meant.to_owned()));
                }
            }
        }
        Some(map)
    }

    /// A mapping with keys of the user's own.
    pub fn any_map<'r, 'n>(&'r self, node: &'n Node) -> Option<Map<'r, 't, 'n>> {
        let Content::Mapping(entries) = &node.content else {
            self.expected("a mapping (`key: value`)", node);
            return None;
        };
        Some(Map { reader: self, span: node.span, entries })
    }

    /// A list.
    pub fn list<'n>(&self, node: &'n Node) -> Option<&'n [Node]> {
        let Content::Sequence(items) = &node.content else {
            self.expected("a list (`[a, b]`)", node);
            return None;
        };
        Some(items)
    }

    /// A text: any scalar as it was written, but not null.
    pub fn str<'n>(&self, node: &'n Node) -> Option<Cow<'n, str>> {
        self.scalar(node, "text")
    }

    /// A list of texts.
    pub fn str_list(&self, node: &Node) -> Option<Vec<String>> {
        self.list(node)?.iter().map(|item| self.str(item).map(Cow::into_owned)).collect()
    }

    /// A whole number within `range`.
    pub fn integer(&self, node: &Node, range: RangeInclusive<i64>) -> Option<i64> {
        let text = self.scalar(node, "a whole number")?;
        match text.replace('_', "").parse::<i64>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) if *range.end() == i64::MAX => {
                self.error(node.span, format!("must be at least {}", range.start()));
                None
            }
            Ok(_) => {
                self.error(node.span, format!("must be from {} to {}", range.start(), range.end()));
                None
            }
            Err(_) => {
                self.expected("a whole number", node);
                None
            }
        }
    }

    /// A finite number.
    pub fn number(&self, node: &Node) -> Option<f64> {
        let text = self.scalar(node, "a number")?;
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        // `nan`, `inf` and `infinity` are floats to Rust, and text to everyone else.
        if number.is_none() || text.contains(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E')) {
            self.expected("a number", node);
            return None;
        }
        number
    }

    /// `true` or `false`.
    pub fn boolean(&self, node: &Node) -> Option<bool> {
        let text = self.scalar(node, "`true` or `false`")?;
        match text.as_ref() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let help = match other {
                    "yes" | "on" | "True" | "TRUE" => "write `true`",
                    "no" | "off" | "False" | "FALSE" => "write `false`",
                    _ => "write `true` or `false`",
                };
                self.error_help(node.span, format!("{} is not a boolean", quoted(other)), help);
                None
            }
        }
    }

    /// A duration in milliseconds, at least 0.
    pub fn duration_ms(&self, node: &Node) -> Option<i64> {
        self.quantity(node, "a duration (`30s`)", parse_duration_ms)
    }

    /// A share, 0 to 1, written in percent.
    pub fn percent(&self, node: &Node) -> Option<f64> {
        self.quantity(node, "a share (`20%`)", parse_percent)
    }

    /// A number of bytes.
    pub fn bytes(&self, node: &Node) -> Option<u64> {
        self.quantity(node, "a size (`8MiB`)", parse_bytes)
    }

    /// A number a second.
    pub fn rate(&self, node: &Node) -> Option<u64> {
        self.quantity(node, "a rate (`2000/s`)", parse_rate)
    }

    /// One of these names.
    pub fn choice<T: Copy>(&self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let text = self.scalar(node, "a name")?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let help = suggestion(&text, &names);
        self.error_help(node.span, format!("unknown value {}", quoted(&text)), help);
        None
    }

    /// Says that `key` is none of the `known`: an unknown `what`.
    #[track_caller]
    pub fn unknown(&self, key: &Key, what: &str, known: &[&str]) {
        let message = format!("unknown {what} {}", quoted(&key.text));
        self.error_help(key.span, message, suggestion(&key.text, known));
    }

    /// Says that `node` should be something else.
    #[track_caller]
    pub fn expected(&self, what: impl Display, node: &Node) {
        let found = match node.as_scalar() {
            Some(scalar) if !scalar.is_null() => quoted(&scalar.text),
            _ => node.kind().to_owned(),
        };
        self.error(node.span, format!("expected {what}, found {found}"));
    }

    fn scalar<'n>(&self, node: &'n Node, what: &str) -> Option<Cow<'n, str>> {
        let Some(scalar) = node.as_scalar().filter(|scalar| !scalar.is_null()) else {
            self.expected(what, node);
            return None;
        };
        let Some(expand) = &self.expand else { return Some(Cow::Borrowed(&scalar.text)) };
        match expand(&scalar.text) {
            Ok(text) => Some(Cow::Owned(text)),
            Err(message) => {
                self.error(node.span, message);
                None
            }
        }
    }

    fn quantity<T>(
        &self,
        node: &Node,
        what: &str,
        parse: impl Fn(&str) -> Result<T, QuantityError>,
    ) -> Option<T> {
        let text = self.scalar(node, what)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("{} is {}", quoted(&text), error.message);
                self.error_help(node.span, message, error.help);
                None
            }
        }
    }
}

/// A mapping being read. Every `opt_` method is `None` when the key is absent and when its value
/// is wrong (which has then been said); `required` ones say when it is absent.
#[derive(Debug, Clone, Copy)]
pub struct Map<'r, 't, 'n> {
    reader: &'r Reader<'t>,
    span: Span,
    entries: &'n [Entry],
}

impl<'r, 't, 'n> Map<'r, 't, 'n> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The reader it belongs to.
    pub fn reader(&self) -> &'r Reader<'t> {
        self.reader
    }

    /// All keys and values, in the order of the file.
    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// Key and value, if the key is there.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// The value, if the key is there.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Is the key there?
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the key stands; the mapping's own place if it is absent.
    pub fn key_span(&self, key: &str) -> Span {
        self.entry(key).map_or(self.span, |entry| entry.key.span)
    }

    /// Is the key absent only because it was written wrong, which has been said?
    pub fn misspelt(&self, key: &str) -> bool {
        self.reader.meant.borrow().contains(&(self.span, key.to_owned()))
    }

    /// The value; its absence is an error.
    pub fn required(&self, key: &str) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() && !self.misspelt(key) {
            self.reader.error(self.span, format!("`{key}` is missing"));
        }
        node
    }

    /// A text that must be there.
    pub fn required_str(&self, key: &str) -> Option<String> {
        self.reader.str(self.required(key)?).map(Cow::into_owned)
    }

    /// A text.
    pub fn opt_str(&self, key: &str) -> Option<String> {
        self.reader.str(self.get(key)?).map(Cow::into_owned)
    }

    /// A list of texts.
    pub fn opt_str_list(&self, key: &str) -> Option<Vec<String>> {
        self.reader.str_list(self.get(key)?)
    }

    /// A whole number within `range`.
    pub fn opt_integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.reader.integer(self.get(key)?, range)
    }

    /// A whole number within `range`, for counts and sizes.
    pub fn opt_usize(&self, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let bound = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let number = self.opt_integer(key, bound(*range.start())..=bound(*range.end()))?;
        usize::try_from(number).ok()
    }

    /// A finite number.
    pub fn opt_number(&self, key: &str) -> Option<f64> {
        self.reader.number(self.get(key)?)
    }

    /// `true` or `false`.
    pub fn opt_boolean(&self, key: &str) -> Option<bool> {
        self.reader.boolean(self.get(key)?)
    }

    /// A duration in milliseconds, at least 0.
    pub fn opt_duration_ms(&self, key: &str) -> Option<i64> {
        self.reader.duration_ms(self.get(key)?)
    }

    /// A duration in milliseconds within `range`.
    pub fn opt_duration_ms_in(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.get(key)?;
        let ms = self.reader.duration_ms(node)?;
        if range.contains(&ms) {
            return Some(ms);
        }
        let (from, to) = (show_duration_ms(*range.start()), show_duration_ms(*range.end()));
        self.reader.error(node.span, format!("`{key}` must be from {from} to {to}"));
        None
    }

    /// A share, 0 to 1, written in percent.
    pub fn opt_percent(&self, key: &str) -> Option<f64> {
        self.reader.percent(self.get(key)?)
    }

    /// A number of bytes.
    pub fn opt_bytes(&self, key: &str) -> Option<u64> {
        self.reader.bytes(self.get(key)?)
    }

    /// A number a second.
    pub fn opt_rate(&self, key: &str) -> Option<u64> {
        self.reader.rate(self.get(key)?)
    }

    /// One of these names.
    pub fn opt_choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.reader.choice(self.get(key)?, choices)
    }

    /// A list.
    pub fn opt_list(&self, key: &str) -> Option<&'n [Node]> {
        self.reader.list(self.get(key)?)
    }

    /// A mapping with these keys. A key without any value (all its lines commented out, say) is as
    /// good as absent.
    pub fn opt_map(&self, key: &str, known: &[&str]) -> Option<Map<'r, 't, 'n>> {
        let node = self.get(key).filter(|node| !node.is_null())?;
        self.reader.map(node, known)
    }

    /// A mapping of keys of the user's own to texts, in the order of the file.
    pub fn opt_str_map(&self, key: &str) -> Option<Vec<(String, String)>> {
        let node = self.get(key).filter(|node| !node.is_null())?;
        let map = self.reader.any_map(node)?;
        map.entries
            .iter()
            .map(|entry| Some((entry.key.text.clone(), self.reader.str(&entry.value)?.into_owned())))
            .collect()
    }
}

/// A text in backticks, cut and safe for a terminal.
pub fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut out = String::from("`");
    let mut chars = text.chars();
    for c in chars.by_ref().take(CHARS_MAX) {
        if crate::tape::printable(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// What may have been meant, or everything that is possible.
fn suggestion(name: &str, valid: &[&str]) -> String {
    if let Some(meant) = nearest(name, valid) {
        return format!("did you mean `{meant}`?");
    }
    let names: Vec<String> = valid.iter().map(|name| format!("`{name}`")).collect();
    format!("valid: {}", names.join(", "))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
