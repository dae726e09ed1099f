//! YAML with positions: what check files and the configuration are read by.
//!
//! [`parse`] turns text into a [`Node`] tree in which every key, scalar and collection knows its
//! line and column; a [`Reader`] then takes typed values out of the tree and collects every
//! mistake as a [`Diagnostic`] that shows the line, a caret and the nearest valid name.
//!
//! ```
//! use checks::{limits::Limits, yaml};
//!
//! let text = "version: 1\nwatch: { interval: 15s }\n";
//! let node = yaml::parse(text, &Limits::default())?;
//! let reader = yaml::Reader::new("tapline.yaml", text);
//! let interval_ms = reader.map(&node, &["version", "watch"]).and_then(|file| {
//!     let watch = file.opt_map("watch", &["interval"])?;
//!     watch.opt_duration_ms("interval")
//! });
//! assert_eq!(reader.finish(interval_ms)?, Some(15_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is accepted is a small part of YAML, on purpose: one document, text keys, no anchors,
//! aliases or tags, no duplicate keys. So there is no document that grows when it is read, and
//! nothing that says one thing to a person and another to a program.

mod diagnostic;
mod file;
mod json;
mod nearest;
mod node;
mod parse;
mod quantity;
mod read;

pub use diagnostic::{Diagnostic, Diagnostics, Level};
pub use file::read_text;
pub use json::to_json;
pub(crate) use nearest::fold;
pub use nearest::nearest;
pub use node::{Content, Entry, Key, Node, Scalar, Span, Style};
pub use parse::parse;
pub use quantity::{
    QuantityError, parse_bytes, parse_duration_ms, parse_percent, parse_rate, show_duration_ms,
};
pub use read::{Expand, Map, Reader, quoted};
