//! Text to tree, bounded: an explicit stack, so that neither depth nor size is the parser's to
//! choose.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::node::{Content, Entry, Key, Node, Scalar, Span, Style};
use super::{Diagnostic, read::quoted};
use crate::limits::Limits;

/// Most scalars, lists and mappings in a document.
const NODES_MAX: usize = 100_000;

/// Parses one document.
///
/// # Errors
/// The first thing that is not YAML, or not of the part that is accepted (module doc), or beyond
/// `limits.file_bytes`, `limits.nesting` or 100,000 nodes. The file's name is the caller's to add
/// ([`Diagnostic::in_file`]).
pub fn parse(text: &str, limits: &Limits) -> Result<Node, Diagnostic> {
    if text.len() > limits.file_bytes {
        let message = format!(
            "the file has {} bytes, more than the {} that are read (limits.file_bytes)",
            text.len(),
            limits.file_bytes
        );
        return Err(Diagnostic::of_file("", message));
    }
    let mut builder =
        Builder { text, nesting_max: limits.nesting, nodes: 0, stack: Vec::new(), root: None, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => return Err(builder.syntax(&error)),
        }
    }
    let nothing = || Node {
        span: Span { line: 1, column: 1, length: 1 },
        content: Content::Scalar(Scalar { text: String::new(), style: Style::Plain }),
    };
    Ok(builder.root.unwrap_or_else(nothing))
}

/// A collection that is not closed yet.
enum Open {
    Sequence { span: Span, items: Vec<Node> },
    Mapping { span: Span, entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key> },
}

struct Builder<'t> {
    text: &'t str,
    nesting_max: usize,
    nodes: usize,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: saphyr_parser::Span) -> Result<(), Diagnostic> {
        let span = self.span(at.start, at.end);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self
                        .error(span, "a second document begins here")
                        .with_help("a file is one document: move it to a file of its own"));
                }
                Ok(())
            }
            Event::Alias(_) => {
                Err(self.error(span, "aliases (`*name`) are not accepted").with_help("write the value out"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(span, anchor, tag.is_some())?;
                self.count(span)?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    _ => Style::Quoted,
                };
                let scalar = Scalar { text: text.into_owned(), style };
                self.scalar(span, scalar)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(span, anchor, tag.is_some())?;
                self.stack.push(Open::Sequence { span, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                self.open(span, anchor, tag.is_some())?;
                let open = Open::Mapping { span, entries: Vec::new(), seen: HashSet::new(), key: None };
                self.stack.push(open);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                // A closing bracket is one character; a block ends where nothing stands.
                let end = Span { length: usize::from(!at.is_empty()), ..span };
                let node = match self.stack.pop() {
                    Some(Open::Sequence { span: start, items }) => {
                        Node { span: closed(start, end), content: Content::Sequence(items) }
                    }
                    Some(Open::Mapping { span: start, entries, .. }) => {
                        Node { span: closed(start, end), content: Content::Mapping(entries) }
                    }
                    None => return Ok(()),
                };
                self.place(node);
                Ok(())
            }
        }
    }

    /// A scalar is a key where a mapping waits for one.
    fn scalar(&mut self, span: Span, scalar: Scalar) -> Result<(), Diagnostic> {
        if let Some(Open::Mapping { seen, key: key @ None, .. }) = self.stack.last_mut() {
            if scalar.text == "<<" && scalar.style == Style::Plain {
                return Err(self
                    .error(span, "merge keys (`<<`) are not accepted")
                    .with_help("write the keys out"));
            }
            if scalar.is_null() {
                return Err(self.error(span, "a key is missing here"));
            }
            if !seen.insert(scalar.text.clone()) {
                let message = format!("duplicate key {}", quoted(&scalar.text));
                return Err(self.error(span, message).with_help("a key is written once"));
            }
            *key = Some(Key { text: scalar.text, span });
            return Ok(());
        }
        self.place(Node { span, content: Content::Scalar(scalar) });
        Ok(())
    }

    /// Checks what is common to the start of lists and mappings.
    fn open(&mut self, span: Span, anchor: usize, tagged: bool) -> Result<(), Diagnostic> {
        self.refuse(span, anchor, tagged)?;
        self.count(span)?;
        if self.stack.len() >= self.nesting_max {
            return Err(self.too_deep(span));
        }
        if matches!(self.stack.last(), Some(Open::Mapping { key: None, .. })) {
            return Err(self
                .error(span, "a list or mapping cannot be a key")
                .with_help("a text that begins with `[` or `{` must be in quotes"));
        }
        Ok(())
    }

    fn refuse(&self, span: Span, anchor: usize, tagged: bool) -> Result<(), Diagnostic> {
        if anchor != 0 {
            return Err(self
                .error(span, "anchors (`&name`) are not accepted")
                .with_help("write the value out where it is needed"));
        }
        if tagged {
            return Err(self
                .error(span, "tags (`!name`) are not accepted")
                .with_help("put a text that begins with `!` in quotes"));
        }
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.error(span, format!("the file has more than {NODES_MAX} values")));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            Some(Open::Sequence { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    entries.push(Entry { key, value: node });
                }
            }
            None => self.root = Some(node),
        }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let length = if end.line() == start.line() {
            end.col().saturating_sub(start.col())
        } else {
            // Of several lines the first is shown, up to its end.
            let line = self.text.lines().nth(start.line().saturating_sub(1)).unwrap_or_default();
            line.trim_end().chars().count().saturating_sub(start.col())
        };
        Span { line: start.line(), column: start.col() + 1, length: length.max(1) }
    }

    #[track_caller]
    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.text, span, message)
    }

    fn too_deep(&self, span: Span) -> Diagnostic {
        self.error(span, format!("nested more than {} deep (limits.nesting)", self.nesting_max))
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let marker = *error.marker();
        let span = self.span(marker, marker);
        let info = error.info();
        if info.contains("recursion limit") {
            return self.too_deep(span);
        }
        let help = if info.contains("tab") {
            "YAML indents by spaces, never by tabs"
        } else if info.contains("mapping values are not allowed") {
            "a text that contains `: ` must be in quotes"
        } else if info.contains("unknown escape") {
            "in double quotes a backslash is written twice; in single quotes once"
        } else if info.contains("unknown anchor") {
            "a text that begins with `*` must be in quotes"
        } else if info.contains("plain scalar cannot start") || info.contains("unexpected character") {
            "a text that begins with a special character must be in quotes"
        } else if info.contains("expected ',' or") || info.contains("flow") {
            "a comma, `]` or `}` is missing, or a text with brackets is not in quotes"
        } else if info.contains("simple key expect") || info.contains("did not find expected key") {
            "each line of a mapping is `key: value`, at the same indentation"
        } else {
            "this is not YAML"
        };
        self.error(span, format!("not valid YAML: {info}")).with_help(help)
    }
}

/// A collection reaches to its end if that is on the same line, else it is shown by its start.
fn closed(start: Span, end: Span) -> Span {
    if start.line == end.line && end.column + end.length > start.column {
        Span { length: end.column + end.length - start.column, ..start }
    } else {
        start
    }
}
