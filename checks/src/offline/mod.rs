//! Judging without a stream: a bounded piece of records is examined and judged as one window.
//!
//! ```text
//! lines --json::decode--> Document --Examiner--> PaneSummary --judge--> Verdicts
//! ```
//!
//! One path for the tests of check files ([`crate::fixtures`]), for files and standard input, and for
//! a range of a topic, whose records the agent decodes. It is the path of a live topic, but for panes:
//! the piece is one pane and one window, however long it is. Nothing here knows a clock or a file.

mod envelope;
pub mod json;
mod lines;
mod piece;

pub use envelope::EnvelopeError;
pub use lines::{Line, Lines};
pub use piece::{Beside, Fed, Judged, Piece, judge, judge_beside, overall};

#[cfg(test)]
mod tests;
