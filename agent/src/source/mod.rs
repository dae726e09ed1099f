//! The source: partitions of the group's choosing, read from where they were left, every offset
//! accounted for.
//!
//! - A thread polls the client ([`reader`]) and copies records into batches ([`batch`]); what the client fetches is
//!   changed while it rests.
//! - The group's callbacks are only noted ([`context`]); the worker assigns a partition to the
//!   client once its place is known ([`lookup`], asked on a thread of its own) and gives one up
//!   after its last report, within a short deadline.
//! - Where to begin, what lies between offsets and when a partition is read to its end is pure
//!   ([`cursor`], [`reached`]).
//! - Positions are committed after the collector acknowledged the report that covers them, and a
//!   restarted agent asks the collector too: after a crash at any moment nothing is lost and
//!   nothing counted twice. A partition that starts without a place commits it at once.

pub(crate) mod batch;
pub(crate) mod certificates;
pub(crate) mod consumer;
pub(crate) mod context;
pub mod cursor;
pub(crate) mod lookup;
pub mod properties;
pub(crate) mod reached;
pub(crate) mod reader;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
}

impl TopicPartition {
    /// By name and number.
    pub fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.topic, self.partition)
    }
}
