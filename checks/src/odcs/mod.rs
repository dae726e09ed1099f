//! Data contracts by the Open Data Contract Standard, version 3 (Bitol, Linux Foundation), read as
//! check files: their schema and quality sections become checks.
//!
//! A contract is turned into the tree of a check file, piece by piece, and read by the parser of check
//! files: so a contract can say what check files can, and every message points into the contract. What
//! the language cannot express is named in a warning and left out; a contract is never refused for it.
//!
//! docs/odcs.md has the table of what becomes what.

mod draft;
mod levels;
mod quality;
mod schema;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::rules::{CheckFile, Loader};
use crate::yaml::{self, Content, Diagnostic, Diagnostics, Node, Reader, Scalar, quoted};

use draft::{Drafts, mapping, sequence, text};
use levels::Levels;

/// The version of the standard that is read.
const MAJOR: &str = "v3.";

/// Is this the text of a contract, rather than of a check file? A look, not a judgement: what looks
/// like one is parsed and asked by [`is_contract`].
pub(crate) fn may_be_contract(text: &str) -> bool {
    text.contains("apiVersion") && text.contains("kind")
}

/// Is the document a contract? By `kind: DataContract`, or `apiVersion` and `schema`.
pub(crate) fn is_contract(node: &Node) -> bool {
    let kind = node.get("kind").and_then(Node::as_scalar).is_some_and(|kind| kind.text == "DataContract");
    node.get("apiVersion").is_some() && (kind || node.get("schema").is_some())
}

/// A check file for every topic of a contract, and everything that it says beside.
pub(crate) fn inspect(
    path: &Path,
    text: &str,
    node: &Node,
    loader: &Loader<'_>,
) -> (Vec<CheckFile>, Diagnostics) {
    let reader = Reader::new(path, text);
    let contract = Contract { path, text, loader, reader: &reader };
    let files = contract.files(node);
    (files, reader.into_diagnostics())
}

/// A contract being read.
#[derive(Clone, Copy)]
struct Contract<'a> {
    path: &'a Path,
    text: &'a str,
    loader: &'a Loader<'a>,
    reader: &'a Reader<'a>,
}

impl Contract<'_> {
    fn files(&self, node: &Node) -> Vec<CheckFile> {
        if let Some(version) = node.get("apiVersion") {
            let is_known = version.as_scalar().is_some_and(|v| v.text.starts_with(MAJOR));
            if !is_known {
                let help = "version 3 of the standard is read: `apiVersion: v3.1.0`";
                self.warn(version, "another version of the standard", help);
            }
        }
        let levels = Levels::of(node);
        let owner = ["team", "dataProduct", "name"].iter().find_map(|key| scalar(node, key)).cloned();
        let decode = self.decode(node);
        let mut files = Vec::new();
        for object in list(node, "schema") {
            files.extend(self.object(object, owner.as_ref(), decode, &levels));
        }
        levels.name_the_rest(self);
        if list(node, "schema").is_empty() {
            self.warn(
                node,
                "the contract has no schema: nothing to check",
                "write `schema:` and its objects",
            );
        }
        files
    }

    /// `decode.value`, if the servers agree about it.
    fn decode(&self, node: &Node) -> Option<&'static str> {
        let mut formats: Vec<Option<&'static str>> = list(node, "servers")
            .iter()
            .filter(|server| scalar(server, "type").is_some_and(|kind| kind.text == "kafka"))
            .map(|server| match scalar(server, "format").map(|format| format.text.as_str()) {
                Some("json") => Some("json"),
                Some("avro") => Some("avro"),
                _ => None,
            })
            .collect();
        formats.dedup();
        match formats.as_slice() {
            [format] => *format,
            _ => None,
        }
    }

    /// The check file of one object.
    fn object<'n>(
        &self,
        object: &'n Node,
        owner: Option<&Scalar>,
        decode: Option<&str>,
        levels: &Levels<'n>,
    ) -> Option<CheckFile> {
        if let Some(kind) = object.get("physicalType").and_then(Node::as_scalar)
            && kind.text != "topic"
        {
            let what = format!("an object of type {} is no topic", quoted(&kind.text));
            self.warn(object.get("physicalType")?, what, "write `physicalType: topic` if it is one");
            return None;
        }
        let Some(name) = ["physicalName", "name"].iter().find_map(|key| object.get(key)) else {
            self.warn(object, "an object without a name", "write `name: orders` (the topic's)");
            return None;
        };
        let mut head = vec![("version", text("1", name.span)), ("topic", name.clone())];
        if let Some(owner) = owner {
            head.push(("owner", text(&owner.text, name.span)));
        }
        if let Some(format) = decode {
            head.push(("decode", mapping(vec![("value", text(format, name.span))], name.span)));
        }
        let levels = levels.of_object(object, decode == Some("avro"));
        if let Some(time) = &levels.time {
            head.push(("time", time.clone()));
        }
        let without = self.parse(&head, Vec::new(), name);
        if let Err(error) = without {
            self.warn_of(&error, name);
            return None;
        }
        let mut drafts = Drafts::new(*self, &head, name);
        schema::object(object, &mut drafts);
        for (name, at, check) in levels.checks {
            drafts.add(name, at, vec![check]);
        }
        let checks = drafts.into_checks();
        self.parse(&head, checks, name).ok().map(|file| CheckFile { is_contract: true, ..file })
    }

    /// Reads the tree of a check file; the first error if there is one.
    fn parse(
        &self,
        head: &[(&'static str, Node)],
        checks: Vec<Node>,
        at: &Node,
    ) -> Result<CheckFile, Diagnostic> {
        let mut entries = head.to_vec();
        entries.push(("checks", sequence(checks, at.span)));
        let tree = mapping(entries, at.span);
        let (file, found) = CheckFile::of_tree(self.path, self.text, &tree, self.loader);
        match file {
            Some(file) => Ok(file),
            None => Err(found
                .iter()
                .find(|d| d.level == yaml::Level::Error)
                .cloned()
                .unwrap_or_else(|| Diagnostic::of_file(self.path, "the contract could not be read"))),
        }
    }

    #[track_caller]
    fn warn(&self, at: &Node, message: impl Into<String>, help: impl Into<String>) {
        self.reader.warning(at.span, message, help);
    }

    /// An error of the check file's parser, as a warning about the contract.
    fn warn_of(&self, error: &Diagnostic, at: &Node) {
        let help = error.help.clone().unwrap_or_else(|| "it is left out".into());
        if error.line == 0 {
            self.warn(at, format!("left out: {}", error.message), help);
            return;
        }
        self.reader.push(Diagnostic {
            level: yaml::Level::Warning,
            message: format!("left out: {}", error.message),
            help: Some(help),
            ..error.clone()
        });
    }
}

/// The scalar under a key, unless it is null.
fn scalar<'n>(node: &'n Node, key: &str) -> Option<&'n Scalar> {
    node.get(key)?.as_scalar().filter(|scalar| !scalar.is_null())
}

/// The items of a list; none where there is no list.
fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match node.get(key).map(|node| &node.content) {
        Some(Content::Sequence(items)) => items,
        _ => &[],
    }
}

/// Is it `true`?
fn is_true(node: &Node, key: &str) -> bool {
    scalar(node, key).and_then(Scalar::as_bool) == Some(true)
}
