//! What is asked of brokers, and their answers in our own terms: one function a request.
//!
//! Versions differ here and nowhere above. Codes are Kafka's error codes.

mod configs;
mod describe;
mod groups;
mod log_dirs;
mod topics;
mod transactions;

use kafka_protocol::protocol::StrBytes;

pub(crate) use configs::{TopicConfig, topic_configs};
pub(crate) use describe::{Description, describe};
pub(crate) use groups::{
    Answered, Commits, Listed, ShareProgress, commits, find_coordinators, list_groups, lists_groups,
    share_progress,
};
pub(crate) use log_dirs::{Sizes, log_sizes};
#[cfg(test)]
pub(crate) use topics::MetadataPartition;
pub(crate) use topics::{
    End, Metadata, MetadataTopic, Offsets, Position, look, metadata, metadata_of, offsets, times,
};
pub(crate) use transactions::{Coordinated, Producer, open_transactions, producers};

use super::wire::WireError;

/// Kafka's error codes that the watcher acts upon.
pub(crate) mod code {
    pub(crate) const UNKNOWN_SERVER_ERROR: i16 = -1;
    pub(crate) const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub(crate) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub(crate) const NOT_COORDINATOR: i16 = 16;
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(crate) const LEADER_NOT_AVAILABLE: i16 = 5;
    pub(crate) const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub(crate) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(crate) const UNKNOWN_LEADER_EPOCH: i16 = 75;
    pub(crate) const OFFSET_NOT_AVAILABLE: i16 = 78;
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub(crate) const GROUP_AUTHORIZATION_FAILED: i16 = 30;
    pub(crate) const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    pub(crate) const GROUP_ID_NOT_FOUND: i16 = 69;
}

/// Why something was not read.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The broker said so.
    Code(i16),
    /// The broker could not be asked.
    Wire(WireError),
}

impl Trouble {
    /// Is the coordinator moving, loading or elsewhere: worth asking again in a moment?
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Code(
                code::COORDINATOR_LOAD_IN_PROGRESS | code::COORDINATOR_NOT_AVAILABLE | code::NOT_COORDINATOR
            )
        )
    }

    /// Is the partition led elsewhere by now, or its new leader not ready: what it says of itself
    /// may hold again in a moment (78: KIP-207)?
    pub(crate) fn is_leader_moving(&self) -> bool {
        matches!(
            self,
            Self::Code(
                code::UNKNOWN_TOPIC_OR_PARTITION
                    | code::LEADER_NOT_AVAILABLE
                    | code::NOT_LEADER_OR_FOLLOWER
                    | code::FENCED_LEADER_EPOCH
                    | code::UNKNOWN_LEADER_EPOCH
                    | code::OFFSET_NOT_AVAILABLE
            )
        )
    }

    /// Do we lack the rights?
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::Code(
                code::TOPIC_AUTHORIZATION_FAILED
                    | code::GROUP_AUTHORIZATION_FAILED
                    | code::CLUSTER_AUTHORIZATION_FAILED
            )
        )
    }

    /// Does the broker not know this request?
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Wire(WireError::Unsupported { .. }))
    }

    /// A short name for counters: one of a bounded set.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.reason(),
            code if code.is_passing() => "coordinator_moving",
            code if code.is_forbidden() => "not_allowed",
            code if code.is_leader_moving() => "leader_moving",
            Self::Code(_) => "refused",
        }
    }
}

impl From<WireError> for Trouble {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

fn checked(code: i16) -> Result<(), Trouble> {
    if code == 0 { Ok(()) } else { Err(Trouble::Code(code)) }
}

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}
