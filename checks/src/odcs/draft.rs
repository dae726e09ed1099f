//! Checks being drafted: trees of the check language, made of pieces of a contract.

use std::collections::HashSet;

use super::Contract;
use crate::yaml::{Content, Entry, Key, Node, Scalar, Span, Style};

/// Ids are so long at most.
const ID_CHARS_MAX: usize = 64;

/// A scalar.
pub(super) fn text(text: &str, span: Span) -> Node {
    Node { span, content: Content::Scalar(Scalar { text: text.to_owned(), style: Style::Plain }) }
}

/// A mapping.
pub(super) fn mapping(entries: Vec<(&'static str, Node)>, span: Span) -> Node {
    let entries = entries
        .into_iter()
        .map(|(key, value)| Entry { key: Key { text: key.to_owned(), span: value.span }, value });
    Node { span, content: Content::Mapping(entries.collect()) }
}

/// A list.
pub(super) fn sequence(items: Vec<Node>, span: Span) -> Node {
    Node { span, content: Content::Sequence(items) }
}

/// The checks of one object, as far as the parser takes them.
pub(super) struct Drafts<'a> {
    pub(super) contract: Contract<'a>,
    head: &'a [(&'static str, Node)],
    topic: &'a Node,
    /// Names of the object's properties in the contract, with those in records.
    pub(super) names: Vec<(String, String)>,
    ids: HashSet<String>,
    checks: Vec<Node>,
}

impl<'a> Drafts<'a> {
    pub(super) fn new(contract: Contract<'a>, head: &'a [(&'static str, Node)], topic: &'a Node) -> Self {
        Self { contract, head, topic, names: Vec::new(), ids: HashSet::new(), checks: Vec::new() }
    }

    pub(super) fn into_checks(self) -> Vec<Node> {
        self.checks
    }

    /// Adds the first of these that the parser takes; if none is, the last one's mistake is a
    /// warning. Each is everything of a check but its id.
    pub(super) fn add(&mut self, name: &str, at: &Node, ways: Vec<Vec<(&'static str, Node)>>) -> bool {
        let id = self.unused(name);
        let mut mistake = None;
        for way in ways {
            let mut entries = vec![("id", text(&id, at.span))];
            entries.extend(way);
            let check = mapping(entries, at.span);
            match self.contract.parse(self.head, vec![check.clone()], self.topic) {
                Ok(_) => {
                    self.ids.insert(id);
                    self.checks.push(check);
                    return true;
                }
                Err(error) => mistake = Some(error),
            }
        }
        if let Some(mistake) = mistake {
            self.contract.warn_of(&mistake, at);
        }
        false
    }

    /// Are the topic's values Avro?
    pub(super) fn decodes_avro(&self) -> bool {
        self.head.iter().filter(|(key, _)| *key == "decode").any(|(_, decode)| {
            decode.get("value").and_then(Node::as_scalar).is_some_and(|value| value.text == "avro")
        })
    }

    /// An id made of a name, that no other check of the topic has.
    fn unused(&self, name: &str) -> String {
        let slug = slug(name);
        let mut id = slug.clone();
        for number in 2.. {
            if !self.ids.contains(&id) {
                break;
            }
            let suffix = format!("-{number}");
            id = format!("{}{suffix}", &slug[..slug.len().min(ID_CHARS_MAX - suffix.len())]);
        }
        id
    }
}

/// Small letters, digits and `-`: `Null Values` and `nullValues` are `null-values`.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            if c.is_ascii_uppercase() && was_small {
                slug.push('-');
            }
            slug.push(c.to_ascii_lowercase());
            was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        } else {
            if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            was_small = false;
        }
    }
    let slug = slug.trim_matches('-');
    let slug = &slug[..slug.len().min(ID_CHARS_MAX)];
    if slug.is_empty() { "check".to_owned() } else { slug.to_owned() }
}
