//! What was seen key by key, or value by value: bounded, and merged in any order.
//!
//! Keys are told apart by the shared hash. While they fit all of them are kept; beyond the bound
//! those with the lowest hashes are, each with everything that was seen of it (theta sketch:
//! Dasgupta et al., 2016). So what two agents or two panes keep of a key is the whole of it, and a
//! key is followed across panes or not at all.

use prost::Message;
use serde::{Deserialize, Serialize};

/// What a [`Keyed`] is about, which decides what its keys hold and what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum KeyedKind {
    /// Values of a field, each with a text to show (`newValues`).
    Values = 1,
    /// Numbers that go up by one, a sequence a key (`sequenceGaps`).
    Sequence = 2,
    /// Records that an expression picked, in time (`notFollowedBy`, `tooMany`).
    Events = 3,
}

/// Keys seen, by hash.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct Keyed {
    /// What it is about: [`KeyedKind`].
    #[prost(enumeration = "KeyedKind", tag = "1")]
    pub kind: i32,
    /// Keys whose hash is at or above it are not kept; `u64::MAX` while all are.
    #[prost(fixed64, tag = "2")]
    pub threshold: u64,
    /// Occurrences of keys that are not kept.
    #[prost(uint64, tag = "3")]
    pub folded: u64,
    /// Sorted by hash.
    #[prost(message, repeated, tag = "4")]
    pub keys: Vec<KeySeen>,
}

/// What was seen of one key.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
pub struct KeySeen {
    /// The shared hash of the key.
    #[prost(fixed64, tag = "1")]
    pub hash: u64,
    /// Its occurrences: values, numbers or events.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// The first record it was seen in, by (partition, offset). Of [`KeyedKind::Values`].
    #[prost(message, optional, tag = "3")]
    pub example: Option<super::Example>,
    /// Numbers seen, as ranges that neither touch nor overlap, ascending. Of [`KeyedKind::Sequence`].
    #[prost(message, repeated, tag = "4")]
    pub ranges: Vec<NumberRange>,
    /// Numbers between ranges that were joined for want of room: they are missing unless a later
    /// record brought them.
    #[prost(uint64, tag = "5")]
    pub hidden: u64,
    /// In the order of time, partition and offset; none of a key that had too many. Of
    /// [`KeyedKind::Events`].
    #[prost(message, repeated, tag = "6")]
    pub events: Vec<KeyEvent>,
}

/// Numbers `first` to `last`, all of which were seen.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct NumberRange {
    /// The lowest.
    #[prost(sint64, tag = "1")]
    pub first: i64,
    /// The highest.
    #[prost(sint64, tag = "2")]
    pub last: i64,
    /// Partition of the record that brought the lowest.
    #[prost(int32, tag = "3")]
    pub partition: i32,
    /// Its offset.
    #[prost(int64, tag = "4")]
    pub offset: i64,
}

/// A record that an expression picked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message, Serialize, Deserialize)]
pub struct KeyEvent {
    /// Record time, ms.
    #[prost(sint64, tag = "1")]
    pub at_ms: i64,
    /// Partition number.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// Offset.
    #[prost(int64, tag = "3")]
    pub offset: i64,
    /// Bits: [`KeyEvent::WHEN`], [`KeyEvent::THEN`].
    #[prost(uint32, tag = "4")]
    pub which: u32,
}

impl KeyEvent {
    /// The expression `when` picked it.
    pub const WHEN: u32 = 1;
    /// The expression `then` picked it.
    pub const THEN: u32 = 2;
}

impl KeyedKind {
    /// What the keys of one summary may cost together.
    pub(crate) fn budget(self) -> u64 {
        match self {
            Self::Values => 4_096,
            Self::Sequence | Self::Events => 131_072,
        }
    }

    /// What a key with this many occurrences costs: never less for more of them, whatever is kept, so
    /// that what is cut depends on the union alone.
    pub(crate) fn cost(self, count: u64) -> u64 {
        match self {
            Self::Values => 1,
            Self::Sequence => count.clamp(4, RANGES_MAX as u64),
            Self::Events => count.clamp(4, EVENTS_MAX as u64 + 4),
        }
    }
}

/// Ranges kept of one key; beyond it the closest are joined, and what lies between is counted.
pub const RANGES_MAX: usize = 32;

/// Events kept of one key; none of one that had more.
pub const EVENTS_MAX: usize = 4_096;
