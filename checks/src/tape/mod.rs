//! One parse, one flat tape: what every record becomes before anything looks at it.
//!
//! ```text
//! payload --decode--> Tape (24-byte nodes, reused) --+--> schema (crate::schema)
//!                      ^ field ids from the Shape    +--> rules  (crate::examine)
//!                                                    +--> profile (one linear scan)
//! ```
//!
//! - A [`Tape`] is reused from record to record; strings stay in the payload, and only what had to
//!   be unescaped (or came from a binary format) lies in its arena.
//! - A [`Shape`] is the trie of a topic's keys. Every node carries the [`FieldId`] of its path,
//!   found while parsing by guessing that keys come in the order of the record before.
//! - A [`Builder`] is the only writer, whatever the format; it holds the limits on nesting and
//!   size, so that no decoder can forget them.

mod builder;
mod excerpt;
mod failure;
pub mod json;
mod node;
mod path;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

pub use builder::{Array, Builder, Name, Names, Object, Place};
pub use excerpt::printable;
pub(crate) use excerpt::{excerpt, redacted};
pub use failure::{DecodeFailure, reason};
pub use node::{Data, Document, Elements, Members, Tape, Value};
pub(crate) use node::{Extent, Kind};
pub use path::push_step;
pub use shape::{FieldId, PathStep, Shape};
