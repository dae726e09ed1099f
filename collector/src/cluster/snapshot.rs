//! What the watcher knows of a cluster at one moment: immutable, shared by an `Arc`.
//!
//! Unknown is never zero: a figure that could not be read is `None`, and `unknown` says why.
//! Offsets are the *next* to read or write, as Kafka counts them. Times are milliseconds since
//! the epoch, by the watcher's clock unless stated otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::activity::{Activity, Rules as ActivityRules, StuckPartition, TopicProgress};
pub use super::places::Places;
pub use super::sorted::{Named, Sorted};

/// The kinds of consumer groups a broker tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// The protocol of before KIP-848; also groups that only commit ("simple" groups).
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
    /// The broker is too old to say, or the group was only named in the configuration.
    Unknown,
}

/// Why a figure of a partition is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// A member is assigned to the partition, and has never committed there.
    Uncommitted,
    /// A share group has the partition, and no start offset there yet.
    Uninitialized,
    /// The commit lies beyond the end: the topic was recreated or truncated.
    AheadOfEnd,
    /// The commit was made in the topic of this name that was there before, and none since.
    Recreated,
    /// Not allowed, or no answer yet: nothing was ever read.
    Unreadable,
    /// The topic is not there any more.
    TopicGone,
}

/// Why the ends of a partition are not of the last refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// It has no leader: it is offline.
    NoLeader,
    /// Its leader cannot be reached, or does not answer in time.
    BrokerAway,
    /// Its leader has moved, or is not ready yet.
    LeaderMoving,
    /// We may not see them.
    NotAllowed,
    /// The broker gave another reason, or an answer that makes no sense.
    Refused,
}

impl Unread {
    /// As it stands in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLeader => "no_leader",
            Self::BrokerAway => "broker_away",
            Self::LeaderMoving => "leader_moving",
            Self::NotAllowed => "not_allowed",
            Self::Refused => "refused",
        }
    }
}

/// What becomes of old records (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CleanupPolicy {
    /// They go by age or size.
    Delete,
    /// The last one of each key stays; what goes leaves gaps in the offsets.
    Compact,
    /// Both.
    CompactDelete,
    /// They stay for ever.
    Keep,
}

impl CleanupPolicy {
    /// As it stands in labels and JSON; Kafka's own words, `none` for an empty list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
            Self::Keep => "none",
        }
    }

    /// May offsets be without a record?
    pub fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactDelete)
    }
}

/// A transaction that has kept a partition's last stable offset in place for long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The last stable offset: where it begins.
    pub start_offset: i64,
    /// Since when it has been open, at the latest: when it was first seen, or by the coordinator's
    /// or the producer's clock if that is earlier.
    pub since_ms: i64,
    /// The producer that has it open; `None` while its leader does not say, or we may not ask.
    pub producer: Option<OpenProducer>,
    /// What its coordinator knows; `None` when no coordinator knows of it (then nobody will ever
    /// end it), or we may not see it.
    pub coordinator: Option<TransactionCoordinator>,
}

/// A producer with a transaction open (KIP-664, DescribeProducers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenProducer {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The epoch of its coordinator.
    pub coordinator_epoch: i32,
    /// Time of its last batch in the partition, by the record's own time.
    pub last_ms: Option<i64>,
}

/// A transaction as its coordinator sees it (KIP-664, DescribeTransactions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionCoordinator {
    /// Broker id.
    pub broker: i32,
    /// The producer's transactional id: chosen by its owner, so never a label.
    pub transactional_id: String,
    /// As the broker names it: `Ongoing`, `PrepareAbort`, …
    pub state: String,
    /// After which time the coordinator ends it by itself, in milliseconds.
    pub timeout_ms: i32,
}

/// The log of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// Log start offset.
    pub start: Option<i64>,
    /// High watermark.
    pub end: Option<i64>,
    /// Last stable offset.
    pub stable_end: Option<i64>,
    /// When these were last read; 0 when never.
    pub read_at_ms: i64,
    /// Why they were not read in the last refresh; `None` when they were.
    pub unread: Option<Unread>,
    /// Broker id of the leader, `None` while there is none (an offline partition).
    pub leader: Option<i32>,
    /// Replicas, and those in sync.
    pub replicas: u32,
    /// Replicas in sync.
    pub in_sync: u32,
}

/// One topic of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicSnapshot {
    /// Kafka's id of the topic, where the broker gives one (16 bytes, big endian).
    pub id: Option<u128>,
    /// By partition.
    pub partitions: Sorted<i32, PartitionOffsets>,
    /// Records appended since the watcher first saw the topic (offset differences of the high
    /// watermark, never negative; a recreated topic counts from its new start).
    pub records_total: u64,
    /// Records a second between the last two readings; `None` before there are two.
    pub records_per_second: Option<f64>,
    /// What becomes of old records; `None` where we may not ask (DESCRIBE_CONFIGS).
    pub cleanup_policy: Option<CleanupPolicy>,
    /// Replicas that must be in sync for `acks=all` (`min.insync.replicas`), likewise.
    pub in_sync_min: Option<u32>,
    /// Bytes of the leaders' logs, without what is tiered away; `None` where we may not ask
    /// (DESCRIBE on the cluster), or while a leader has not told.
    pub size_bytes: Option<u64>,
    /// Bytes appended a second, over about a minute; `None` unless nothing was removed meanwhile
    /// that would hide a part of them.
    pub bytes_per_second: Option<f64>,
    /// The partition that has got most of what was appended over about the last minute; `None`
    /// when nothing was, or the topic has but one.
    pub hottest: Option<Hottest>,
    /// Transactions that have hung open for long, by partition.
    pub open_transactions: BTreeMap<i32, OpenTransaction>,
    /// Records may not be read (no READ): whether a small lag is transaction markers alone is
    /// not known.
    pub tail_unknown: bool,
}

/// The partition with most of a topic's records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hottest {
    /// Which one.
    pub partition: i32,
    /// Its part of all that was appended, above 0, at most 1.
    pub share: f64,
}

impl TopicSnapshot {
    /// When the ends that were read longest ago were read; `None` when none ever were.
    pub fn oldest_read_ms(&self) -> Option<i64> {
        self.partitions.values().map(|p| p.read_at_ms).filter(|ms| *ms > 0).min()
    }

    /// Partitions with fewer replicas in sync than `acks=all` needs (never more than there are);
    /// `None` where the configuration is not known.
    pub fn under_in_sync_min(&self) -> Option<usize> {
        let min = self.in_sync_min?;
        Some(self.partitions.values().filter(|p| p.in_sync < min.min(p.replicas)).count())
    }
}

/// A group's place in one partition.
///
/// The place of a share group (KIP-932) is its share-partition start offset: every record before
/// it is done with. Its lag is the broker's own count of the records beyond that are not done with
/// (KIP-1226, Kafka 4.2), as of when the broker was asked; from older brokers the distance to the
/// end, which is an upper bound, as records are done with in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupPartition {
    /// The committed offset (next to read); of a share group its start offset.
    pub committed: Option<i64>,
    /// Log start offset used in the arithmetic.
    pub start: Option<i64>,
    /// High watermark used in the arithmetic.
    pub end: Option<i64>,
    /// Last stable offset used in the arithmetic.
    pub stable_end: Option<i64>,
    /// `end - max(committed, start)`; of a share group the broker's own lag where it is less.
    pub lag_records: Option<i64>,
    /// `stable_end - max(committed, start)`, at least 0: what a read_committed reader can see.
    pub stable_lag_records: Option<i64>,
    /// `start - committed` where positive: removed by retention before being read.
    pub lost_records: i64,
    /// Age of the oldest unread record, in seconds to the millisecond; 0 only when caught up. Of a share group the
    /// oldest that is not done with.
    pub lag_seconds: Option<f64>,
    /// How wrong `lag_seconds` may be, in seconds, either way.
    pub lag_seconds_error: f64,
    /// Why there is no lag.
    pub unknown: Option<Unknown>,
    /// A member is assigned to it.
    pub assigned: bool,
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSnapshot {
    /// Its kind.
    pub group_type: GroupType,
    /// As the broker names it: `Stable`, `Empty`, `Dead`, `PreparingRebalance`, …
    pub state: String,
    /// The assignor or protocol, empty when there is none.
    pub protocol: String,
    /// Members, `None` when the group could not be described.
    pub members: Option<u32>,
    /// When the commits were last read.
    pub read_at_ms: i64,
    /// By topic, then partition.
    pub topics: Named<Arc<Places>>,
    /// How it gets on, by topic.
    pub progress: Named<Arc<TopicProgress>>,
    /// A share group, of which the broker does not count the lag everywhere: some of its lags are
    /// upper bounds.
    pub lag_is_bound: bool,
}

impl GroupSnapshot {
    /// Sum of the known lags of a topic's partitions; `None` when none is known.
    pub fn topic_lag_records(partitions: &Places) -> Option<i64> {
        partitions.values().filter_map(|p| p.lag_records).reduce(|a, b| a.saturating_add(b))
    }

    /// Maximum of the known ages, with the error of the partition that has it.
    pub fn topic_lag_seconds(partitions: &Places) -> Option<(f64, f64)> {
        partitions
            .values()
            .filter_map(|p| p.lag_seconds.map(|s| (s, p.lag_seconds_error)))
            .max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

/// What a refresh cost, and how often refreshes went wrong: the watcher's own figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchStats {
    /// Refreshes begun.
    pub refreshes_total: u64,
    /// Refreshes in which some part could not be read, by reason (bounded set of names).
    pub errors_total: BTreeMap<String, u64>,
    /// Wall time of the last refresh, in seconds.
    pub last_duration_seconds: f64,
    /// Requests and bytes received in the last refresh.
    pub last_requests: u64,
    /// Bytes received in the last refresh.
    pub last_bytes: u64,
    /// Groups that may not be read for lack of rights.
    pub groups_unreadable: u64,
    /// Topics that groups read and that may not be described for lack of rights.
    pub topics_unreadable: u64,
    /// Seconds for which brokers have held us back (KIP-219), in all.
    pub throttled_seconds_total: f64,
}

/// The whole cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSnapshot {
    /// The name from the configuration, else Kafka's cluster id.
    pub cluster: String,
    /// When the refresh ended, ms since the epoch; 0 before the first.
    pub taken_at_ms: i64,
    /// Complete at least once (what /readyz asks).
    pub complete_once: bool,
    /// Why the last refresh failed wholly, for /readyz and the status page.
    pub last_error: Option<String>,
    /// Brokers known by the last metadata.
    pub brokers: u32,
    /// By topic name.
    pub topics: BTreeMap<String, TopicSnapshot>,
    /// By group name.
    pub groups: BTreeMap<String, GroupSnapshot>,
    /// The watcher's own figures.
    pub stats: WatchStats,
}
