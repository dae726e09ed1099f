//! The leaf library: records, rules, summaries, verdicts and the report format.
//!
//! No async, no sockets, no clock, no globals: everything here is a function of values, and where
//! time matters it is an argument.

pub mod against;
pub mod compare;
pub mod detect;
pub mod events;
pub mod examine;
pub mod filter;
pub mod fixtures;
pub mod format;
pub mod judge;
pub mod limits;
pub mod merge;
mod odcs;
pub mod offline;
pub mod pipeline;
pub mod profile;
pub mod record;
pub mod redact;
pub mod report;
pub mod rules;
pub mod schema;
pub mod stats;
pub mod suggest;
pub mod tape;
pub mod verdict;
pub mod yaml;
