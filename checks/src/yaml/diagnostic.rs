//! A mistake in a file, shown where it stands.

use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

use super::Span;
use crate::tape::printable;

/// Diagnostics kept a file; more are counted.
const DIAGNOSTICS_MAX: usize = 100;
/// Characters of a source line that are shown; a longer line is cut around the caret.
const SNIPPET_CHARS_MAX: usize = 160;
/// Characters of such a line that are shown before the caret.
const SNIPPET_CHARS_BEFORE: usize = 60;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file is not used.
    Error,
    /// The file is used, and probably does not do what was meant.
    Warning,
}

impl Level {
    /// Its name in messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake, with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// The file; empty when the text came from nowhere.
    pub file: PathBuf,
    /// Line, from 1; 0 when the mistake is the file's as a whole.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Characters underlined, at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<Box<str>>,
    /// The line as shown, safe for a terminal; empty when there is none.
    pub snippet: Box<str>,
    /// Column of the mistake within `snippet`, from 1.
    pub snippet_column: u16,
    /// The place of the code that says it: a test holds each to have a golden file.
    pub said_at: &'static Location<'static>,
}

impl Diagnostic {
    /// An error at `span` of `text`.
    #[track_caller]
    pub fn error(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (snippet, snippet_column) = snippet(text, span);
        Self {
            level: Level::Error,
            file: PathBuf::new(),
            line: span.line,
            column: span.column,
            length: span.length.max(1),
            message: message.into(),
            help: None,
            snippet: snippet.into(),
            // Short by construction: see `snippet`.
            snippet_column: u16::try_from(snippet_column).unwrap_or(1),
            said_at: Location::caller(),
        }
    }

    /// An error of the whole file: not readable, too large.
    #[track_caller]
    pub fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::error("", Span::default(), message) }
    }

    /// The same, with what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into_boxed_str());
        self
    }

    /// The same, of a file.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = file.to_path_buf();
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level.as_str(), self.message)?;
        let file = self.file.display();
        let help = self.help.as_deref();
        if self.line == 0 {
            write!(f, "\n --> {file}")?;
            return help.map_or(Ok(()), |help| write!(f, "\n  = {help}"));
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        write!(f, "\n{gutter}--> {file}:{}:{}", self.line, self.column)?;
        write!(f, "\n{gutter} |\n{}", format!("{number} | {}", self.snippet).trim_end())?;
        let indent = " ".repeat(usize::from(self.snippet_column).saturating_sub(1));
        let room = self.snippet.chars().count().saturating_sub(indent.len()).max(1);
        let carets = "^".repeat(self.length.min(room));
        write!(f, "\n{gutter} | {indent}{carets}")?;
        help.map_or(Ok(()), |help| write!(f, " {help}"))
    }
}

impl std::error::Error for Diagnostic {}

/// The line of `span` as it can be shown, and the column of the mistake in it.
fn snippet(text: &str, span: Span) -> (String, usize) {
    let Some(line) = span.line.checked_sub(1).and_then(|skip| text.lines().nth(skip)) else {
        return (String::new(), 1);
    };
    let column = span.column.saturating_sub(1);
    // A character stands for a character, so that the caret stays where it belongs.
    let shown = |c: char| match c {
        '\t' => ' ',
        c if printable(c) => c,
        _ => '\u{fffd}',
    };
    let mut chars = line.trim_end().chars();
    if line.chars().take(SNIPPET_CHARS_MAX + 1).count() <= SNIPPET_CHARS_MAX {
        return (chars.map(shown).collect(), column + 1);
    }
    let from = column.saturating_sub(SNIPPET_CHARS_BEFORE);
    let mut out = String::new();
    if from > 0 {
        out.push('…');
        chars.nth(from - 1);
    }
    out.extend(chars.by_ref().take(SNIPPET_CHARS_MAX).map(shown));
    if chars.next().is_some() {
        out.push('…');
    }
    (out, column - from + 1 + usize::from(from > 0))
}

/// All that is wrong with one or more files, in the order of the lines of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Those beyond the bound, of either level.
    dropped: usize,
    dropped_errors: usize,
}

impl Diagnostics {
    /// Adds one; beyond 100 they are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() >= DIAGNOSTICS_MAX {
            self.dropped += 1;
            self.dropped_errors += usize::from(diagnostic.level == Level::Error);
            return;
        }
        // The same mistake at the same place is said once, whoever says it.
        let mut same = diagnostic.clone();
        let mut is_said = |d: &Diagnostic| {
            same.said_at = d.said_at;
            same == *d
        };
        if self.list.iter().any(&mut is_said) {
            return;
        }
        let place = |d: &Diagnostic| (d.file.clone(), d.line, d.column);
        let at = self.list.partition_point(|d| place(d) <= place(&diagnostic));
        self.list.insert(at, diagnostic);
    }

    /// Adds those of another file.
    pub fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.dropped_errors += other.dropped_errors;
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// All that were kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many there are, those beyond the bound included.
    pub fn len(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.dropped_errors + self.iter().filter(|d| d.level == Level::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.len() - self.errors()
    }

    /// How many were counted but not kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], ..Self::default() }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.dropped > 0 {
            write!(f, "\n\nand {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: usize, column: usize, length: usize) -> Span {
        Span { line, column, length }
    }

    #[test]
    fn renders_line_caret_and_help() {
        let text = "checks:\n  - { mustBeLesThan: 0.1 }\n";
        let diagnostic = Diagnostic::error(text, span(2, 7, 13), "unknown key `mustBeLesThan`")
            .with_help("did you mean `mustBeLessThan`?")
            .in_file(Path::new("checks/orders.yaml"));
        assert_eq!(
            diagnostic.to_string(),
            "error: unknown key `mustBeLesThan`\n --> checks/orders.yaml:2:7\n  |\n2 |   - { mustBeLesThan: 0.1 }\n  |       ^^^^^^^^^^^^^ did you mean `mustBeLessThan`?"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret_and_controls_are_not_shown() {
        let text = format!("{}\u{1b}[31mX{}", "a".repeat(5000), "b".repeat(5000));
        let diagnostic = Diagnostic::error(&text, span(1, 5006, 1), "here");
        assert!(diagnostic.snippet.chars().count() <= SNIPPET_CHARS_MAX + 2);
        assert_eq!(diagnostic.snippet.chars().nth(usize::from(diagnostic.snippet_column) - 1), Some('X'));
        assert!(!diagnostic.to_string().contains('\u{1b}'));
    }

    #[test]
    fn are_sorted_by_line_said_once_and_bounded() {
        let mut all = Diagnostics::default();
        for line in (1..=150).rev() {
            all.push(Diagnostic::error("", span(line, 1, 1), "x"));
        }
        all.push(Diagnostic::error("", span(60, 1, 1), "x"));
        assert_eq!(all.len(), 151);
        assert_eq!(all.errors(), 151);
        let lines: Vec<_> = all.iter().map(|d| d.line).collect();
        assert!(lines.is_sorted());
        assert!(all.to_string().ends_with("and 51 more"));
        let mut twice = Diagnostics::default();
        twice.push(Diagnostic::error("", span(1, 1, 1), "x"));
        twice.push(Diagnostic::error("", span(1, 1, 1), "x"));
        assert_eq!(twice.len(), 1);
    }
}
