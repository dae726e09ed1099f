//! Paths to fields: `$.a.b`, `$.items[].price`, `$.labels.*`, `$['odd name']`.

use super::{FieldPath, Step};
use crate::tape::{PathStep, push_step};

/// Steps a path may have; documents nest no deeper by default.
const STEPS_MAX: usize = 64;

/// Why a path is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// Characters before the mistake.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: &'static str,
}

impl FieldPath {
    /// Parses a path; its `text` becomes the canonical one, whatever way it was written
    /// (`$["a"]` is `$.a`).
    ///
    /// # Errors
    /// The first character that cannot be, with its offset.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Scanner { chars: text.chars().collect(), at: 0 }.path()
    }

    /// The path of these steps, with its canonical text.
    pub fn of(steps: Vec<Step>) -> Self {
        let mut text = String::from("$");
        for step in &steps {
            let step = match step {
                Step::Elements => PathStep::Elements,
                Step::AnyKey => PathStep::AnyKey,
                Step::Key(key) => PathStep::Key(key),
            };
            push_step(&mut text, step);
        }
        Self { text, steps }
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
}

impl Scanner {
    fn path(mut self) -> Result<FieldPath, PathError> {
        if self.next() != Some('$') {
            self.at = 0;
            return Err(self.error("a path begins with `$`", "write `$.name`"));
        }
        let mut steps = Vec::new();
        while let Some(c) = self.next() {
            let step = match c {
                '.' => self.after_dot()?,
                '[' => self.after_bracket()?,
                _ => {
                    self.at -= 1;
                    let help = "a step is `.name`, `['any name']`, `[]` (every element) or `.*` (every key)";
                    return Err(self.error("a step of a path begins with `.` or `[`", help));
                }
            };
            if steps.len() == STEPS_MAX {
                return Err(self.error("a path of more than 64 steps", "documents nest 64 deep at most"));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return Err(self.error("`$` is the whole value, not a field of it", "write `$.name`"));
        }
        Ok(FieldPath::of(steps))
    }

    fn after_dot(&mut self) -> Result<Step, PathError> {
        if self.chars.get(self.at) == Some(&'*') {
            self.at += 1;
            return Ok(Step::AnyKey);
        }
        let start = self.at;
        let ends = |c: &char| matches!(c, '.' | '[' | ']' | '\'' | '"' | '*' | '$') || c.is_whitespace();
        while self.chars.get(self.at).is_some_and(|c| !ends(c) && !c.is_control()) {
            self.at += 1;
        }
        if self.at == start {
            let help = "a name follows the dot; an odd one is written `['odd name']`";
            return Err(self.error("a name is missing after the dot", help));
        }
        Ok(Step::Key(self.chars[start..self.at].iter().collect()))
    }

    fn after_bracket(&mut self) -> Result<Step, PathError> {
        match self.next() {
            Some(']') => Ok(Step::Elements),
            Some('*') if self.next() == Some(']') => Ok(Step::Elements),
            Some(quote @ ('\'' | '"')) => self.quoted_key(quote),
            Some(c) if c.is_ascii_digit() || c == '-' => {
                self.at -= 1;
                Err(self.error("single elements cannot be named", "write `[]`: every element"))
            }
            _ => {
                self.at -= 1;
                Err(self.error("`[` without its `]`", "write `[]` (every element) or `['name']`"))
            }
        }
    }

    fn quoted_key(&mut self, quote: char) -> Result<Step, PathError> {
        let start = self.at;
        let mut key = String::new();
        while let Some(c) = self.next() {
            match c {
                '\\' => key.push(self.escaped()?),
                c if c == quote => {
                    if self.next() == Some(']') {
                        return Ok(Step::Key(key));
                    }
                    self.at -= 1;
                    return Err(self.error("`]` is missing after the name", "write `['name']`"));
                }
                c => key.push(c),
            }
        }
        self.at = start - 1;
        Err(self.error("a quote that is not closed", "write `['name']`"))
    }

    /// `\'`, `\"`, `\\`, or `\u{a}`, as canonical paths write control characters.
    fn escaped(&mut self) -> Result<char, PathError> {
        const HELP: &str = "write `\\\\`, `\\'` or `\\u{a}`";
        match self.next() {
            Some(c @ ('\'' | '"' | '\\')) => Ok(c),
            Some('u') if self.next() == Some('{') => {
                let start = self.at;
                while self.next().is_some_and(|c| c != '}') {}
                let end = self.at.saturating_sub(1).max(start);
                let digits: String = self.chars[start..end].iter().collect();
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                    .ok_or_else(|| self.error("not a character", HELP))
            }
            _ => Err(self.error("an unknown escape", HELP)),
        }
    }

    /// The next character; the position moves on at the end too, so that it can be stepped back.
    fn next(&mut self) -> Option<char> {
        let next = self.chars.get(self.at).copied();
        self.at += 1;
        next
    }

    fn error(&self, message: &str, help: &'static str) -> PathError {
        PathError { offset: self.at.min(self.chars.len()), message: message.to_owned(), help }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn paths_become_steps_and_canonical_text() {
        for (text, steps, canonical) in [
            ("$.a.b", vec![key("a"), key("b")], "$.a.b"),
            ("$.items[].price", vec![key("items"), Step::Elements, key("price")], "$.items[].price"),
            ("$.items[*]", vec![key("items"), Step::Elements], "$.items[]"),
            ("$[].x", vec![Step::Elements, key("x")], "$[].x"),
            ("$.m.*", vec![key("m"), Step::AnyKey], "$.m.*"),
            ("$['odd name'].b", vec![key("odd name"), key("b")], "$['odd name'].b"),
            ("$[\"a\"]", vec![key("a")], "$.a"),
            ("$['*']", vec![key("*")], "$['*']"),
            ("$.user-id", vec![key("user-id")], "$['user-id']"),
            ("$.größe", vec![key("größe")], "$.größe"),
            (r"$['it\'s \\ \u{a}']", vec![key("it's \\ \n")], r"$['it\'s \\ \u{a}']"),
            ("$['']", vec![key("")], "$['']"),
        ] {
            let path = FieldPath::parse(text).unwrap();
            assert_eq!(path, FieldPath { text: canonical.to_owned(), steps }, "{text}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, offset) in [
            ("", 0),
            ("a.b", 0),
            ("$", 1),
            ("$.", 2),
            ("$..a", 2),
            ("$a", 1),
            ("$.a[0]", 4),
            ("$.a[", 4),
            ("$.a[x]", 4),
            ("$['open", 2),
            ("$['a'", 5),
            ("$.a b", 3),
            (r"$['\q']", 5),
            (r"$['\u{zz}']", 9),
            (r"$['\u{", 6),
        ] {
            let error = FieldPath::parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error}");
        }
        assert!(FieldPath::parse(&"$".chars().chain(".a".repeat(65).chars()).collect::<String>()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn canonical_text_parses_to_the_same_path(keys in proptest::collection::vec(".{0,8}", 1..5)) {
            let path = FieldPath::of(keys.into_iter().map(Step::Key).collect());
            proptest::prop_assert_eq!(FieldPath::parse(&path.text), Ok(path));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[$.\\[\\]'\"*\\\\u{}a0 ]{0,20}") {
            if let Err(error) = FieldPath::parse(&text) {
                proptest::prop_assert!(error.offset <= text.chars().count());
            }
        }
    }
}
