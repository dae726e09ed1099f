//! Check files: YAML in, resolved [`Rule`]s out. Nothing downstream sees an `Option` that
//! resolution could have removed.
//!
//! ```text
//! paths --set--> texts --file--> CheckFile (head, check, slo, fixture) --set--> TopicRules
//! ```
//!
//! The language is described in docs/checks.md. What belongs to it and is not built in this
//! version is refused by name, never ignored.

mod along;
mod arguments;
mod bound;
mod check;
mod discover;
mod editor;
mod expr;
mod file;
mod fixture;
mod function;
mod hash;
mod head;
mod metric;
mod path;
mod sense;
mod session;
mod set;
mod slo;
pub mod types;
mod window;

pub(crate) use bound::OPERATORS;
pub(crate) use check::known_key as check_key;
pub use discover::Stamp;
pub use editor::{CHECKS_ID, DIALECT, checks_schema};
pub use file::Loader;
pub use metric::*;
pub use path::PathError;
pub use session::{PaneTimes, Session, sessions};
pub use set::{Clash, Inspection, LoadError, inspect, inspect_text};
pub use types::*;
pub use window::{Window, WindowTime};

use crate::yaml::{Reader, Span};

/// The version of Tapline, as messages name it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// Says that something of the check language is not built yet.
#[track_caller]
fn unbuilt(reader: &Reader<'_>, span: Span, what: &str, help: &str) {
    let message = format!("{what} is part of the check language but not built in this version ({VERSION})");
    reader.error_help(span, message, help);
}

#[cfg(test)]
mod tests;
