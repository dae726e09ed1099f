//! Series of groups, topics and partitions, from the watcher's snapshot.

use std::collections::BTreeMap;
use std::fmt;

use super::budget::Plan;
use super::family::Out;
use super::labels::{
    Cluster, Group, GroupInfo, GroupPartition, GroupTopic, GroupTopicActivity, GroupTopicReason, Partition,
    Reason, Topic, TopicInfo, TopicPartition, TopicReason,
};
use super::table as t;
use crate::cluster::snapshot::{self, ClusterSnapshot, GroupSnapshot, PartitionOffsets, Unknown, Unread};

pub(super) fn write(
    out: &mut Out<'_>,
    cluster: &str,
    snapshot: &ClusterSnapshot,
    plan: &Plan,
    now_ms: i64,
) -> fmt::Result {
    let groups = Groups { cluster, snapshot, plan };
    groups.partitions(out)?;
    groups.topics(out)?;
    groups.progress(out)?;
    groups.groups(out, now_ms)?;
    topics(out, cluster, snapshot, plan, now_ms)?;
    watch(out, cluster, snapshot, now_ms)
}

struct Groups<'a> {
    cluster: &'a str,
    snapshot: &'a ClusterSnapshot,
    plan: &'a Plan,
}

/// A group's places in a topic, by partition.
pub(super) type Partitions = snapshot::Places;

impl<'a> Groups<'a> {
    fn shown(&self) -> impl Iterator<Item = (&'a str, &'a GroupSnapshot)> {
        let plan = self.plan;
        self.snapshot
            .groups
            .iter()
            .filter(|(name, _)| !plan.groups_left_out.contains(*name))
            .map(|(name, group)| (name.as_str(), group))
    }

    fn shown_topics(&self) -> impl Iterator<Item = (GroupTopic<'a>, &'a Partitions)> {
        let cluster = self.cluster;
        self.shown().flat_map(move |(group, g)| {
            g.topics
                .iter()
                .map(move |(topic, partitions)| (GroupTopic { cluster, group, topic }, &**partitions))
        })
    }

    fn partitions(&self, out: &mut Out<'_>) -> fmt::Result {
        type Figure = fn(&snapshot::GroupPartition) -> Option<i64>;
        // Nothing is known of losses where the commit or the log start is not.
        let lost: Figure = |p| p.committed.and(p.start).map(|_| p.lost_records);
        let figures: [(_, Figure); 4] = [
            (&t::GROUP_LAG_RECORDS, |p| p.lag_records),
            (&t::GROUP_STABLE_LAG_RECORDS, |p| p.stable_lag_records),
            (&t::GROUP_LOST_RECORDS, lost),
            (&t::GROUP_COMMITTED_OFFSET, |p| p.committed),
        ];
        for (desc, figure) in figures {
            let samples = self.shown_topics().flat_map(|(labels, partitions)| {
                let GroupTopic { cluster, group, topic } = labels;
                let folded = self.plan.group_topics_folded.contains(&(group.to_owned(), topic.to_owned()));
                let figures = partitions.iter().map(|(id, p)| (id, figure(&p)));
                per_partition(figures, folded)
                    .map(move |(partition, n)| (GroupPartition { cluster, group, topic, partition }, n))
            });
            out.family(desc, samples)?;
        }
        Ok(())
    }

    fn topics(&self, out: &mut Out<'_>) -> fmt::Result {
        out.family(
            &t::GROUP_TOPIC_LAG_RECORDS,
            self.shown_topics().filter_map(|(l, p)| Some((l, GroupSnapshot::topic_lag_records(p)?))),
        )?;
        out.family(
            &t::GROUP_TOPIC_LAG_SECONDS,
            self.shown_topics().filter_map(|(l, p)| Some((l, GroupSnapshot::topic_lag_seconds(p)?.0))),
        )?;
        out.family(
            &t::GROUP_TOPIC_LAG_ERROR_SECONDS,
            self.shown_topics().filter_map(|(l, p)| Some((l, GroupSnapshot::topic_lag_seconds(p)?.1))),
        )?;
        let unknown = self.shown_topics().flat_map(|(GroupTopic { cluster, group, topic }, partitions)| {
            let mut counts = BTreeMap::<Unknown, u64>::new();
            for unknown in partitions.values().filter_map(|p| p.unknown) {
                *counts.entry(unknown).or_default() += 1;
            }
            counts.into_iter().map(move |(unknown, n)| {
                (GroupTopicReason { cluster, group, topic, reason: reason(unknown) }, n)
            })
        });
        out.family(&t::GROUP_UNKNOWN_PARTITIONS, unknown)
    }

    fn progress(&self, out: &mut Out<'_>) -> fmt::Result {
        let cluster = self.cluster;
        let each = || {
            self.shown().flat_map(move |(group, g)| {
                g.progress.iter().map(move |(topic, p)| (GroupTopic { cluster, group, topic }, p))
            })
        };
        out.family(&t::GROUP_TOPIC_CONSUMED, each().map(|(l, p)| (l, p.consumed_records_total)))?;
        out.family(&t::GROUP_TOPIC_REWINDS, each().map(|(l, p)| (l, p.rewinds_total)))?;
        out.family(&t::GROUP_TOPIC_CATCH_UP, each().filter_map(|(l, p)| Some((l, p.catch_up_seconds?))))?;
        let states = each().map(|(GroupTopic { cluster, group, topic }, p)| {
            (GroupTopicActivity { cluster, group, topic, activity: p.activity.as_str() }, 1_u64)
        });
        out.family(&t::GROUP_TOPIC_ACTIVITY, states)
    }

    fn groups(&self, out: &mut Out<'_>, now_ms: i64) -> fmt::Result {
        let cluster = self.cluster;
        out.family(
            &t::GROUP_MEMBERS,
            self.shown().filter_map(|(group, g)| Some((Group { cluster, group }, g.members?))),
        )?;
        out.family(
            &t::GROUP_STALE_SECONDS,
            self.shown()
                .filter(|(_, g)| g.read_at_ms > 0)
                .map(|(group, g)| (Group { cluster, group }, age_seconds(now_ms, g.read_at_ms))),
        )?;
        out.family(
            &t::GROUP_INFO,
            self.shown().map(|(group, g)| {
                let group_type = group_type(g.group_type);
                (GroupInfo { cluster, group, group_type, state: &g.state, protocol: &g.protocol }, true)
            }),
        )
    }
}

/// The known figures one by one, or their sum where they are folded (then nothing at all if none is
/// known).
fn per_partition(
    figures: impl Iterator<Item = (i32, Option<i64>)>,
    folded: bool,
) -> impl Iterator<Item = (Partition, i64)> {
    let known = figures.filter_map(|(id, n)| Some((id, n?)));
    let (sum, each) = if folded {
        (known.map(|(_, n)| n).reduce(i64::saturating_add).map(|n| (Partition::All, n)), None)
    } else {
        (None, Some(known.map(|(id, n)| (Partition::One(id), n))))
    };
    sum.into_iter().chain(each.into_iter().flatten())
}

fn topics(
    out: &mut Out<'_>,
    cluster: &str,
    snapshot: &ClusterSnapshot,
    plan: &Plan,
    now_ms: i64,
) -> fmt::Result {
    type Figure = fn(&PartitionOffsets) -> Option<i64>;
    let figures: [(_, Figure); 3] = [
        (&t::PARTITION_START_OFFSET, |p| p.start),
        (&t::PARTITION_END_OFFSET, |p| p.end),
        (&t::PARTITION_STABLE_OFFSET, |p| p.stable_end),
    ];
    for (desc, figure) in figures {
        let samples = snapshot.topics.iter().flat_map(|(topic, snapshot)| {
            let figures = snapshot.partitions.iter().map(|(id, p)| (*id, figure(p)));
            per_partition(figures, plan.topics_folded.contains(topic))
                .map(move |(partition, n)| (TopicPartition { cluster, topic, partition }, n))
        });
        out.family(desc, samples)?;
    }
    let each = || snapshot.topics.iter().map(|(topic, s)| (Topic { cluster, topic }, s));
    out.family(&t::TOPIC_RECORDS, each().map(|(l, s)| (l, s.records_total)))?;
    out.family(&t::TOPIC_PARTITIONS, each().map(|(l, s)| (l, s.partitions.len())))?;
    let count = |s: &snapshot::TopicSnapshot, what: fn(&PartitionOffsets) -> bool| {
        s.partitions.values().filter(|p| what(p)).count()
    };
    out.family(&t::TOPIC_LEADERLESS, each().map(|(l, s)| (l, count(s, |p| p.leader.is_none()))))?;
    out.family(&t::TOPIC_UNDER_REPLICATED, each().map(|(l, s)| (l, count(s, |p| p.in_sync < p.replicas))))?;
    out.family(&t::TOPIC_UNDER_MIN_ISR, each().filter_map(|(l, s)| Some((l, s.under_in_sync_min()?))))?;
    let info = each().filter_map(|(Topic { cluster, topic }, s)| {
        let cleanup_policy = s.cleanup_policy?.as_str();
        Some((TopicInfo { cluster, topic, cleanup_policy }, true))
    });
    out.family(&t::TOPIC_INFO, info)?;
    let stale = each().filter_map(|(l, s)| Some((l, age_seconds(now_ms, s.oldest_read_ms()?))));
    out.family(&t::TOPIC_STALE_SECONDS, stale)?;
    let unread = each().flat_map(|(Topic { cluster, topic }, s)| {
        let mut counts = BTreeMap::<Unread, u64>::new();
        for why in s.partitions.values().filter_map(|p| p.unread) {
            *counts.entry(why).or_default() += 1;
        }
        counts.into_iter().map(move |(why, n)| (TopicReason { cluster, topic, reason: why.as_str() }, n))
    });
    out.family(&t::TOPIC_UNREAD_PARTITIONS, unread)?;
    out.family(&t::TOPIC_RECORDS_RATE, each().filter_map(|(l, s)| Some((l, s.records_per_second?))))?;
    out.family(&t::TOPIC_HOTTEST_SHARE, each().filter_map(|(l, s)| Some((l, s.hottest?.share))))?;
    out.family(&t::TOPIC_SIZE_BYTES, each().filter_map(|(l, s)| Some((l, s.size_bytes?))))?;
    out.family(&t::TOPIC_BYTES_RATE, each().filter_map(|(l, s)| Some((l, s.bytes_per_second?))))?;
    out.family(&t::TOPIC_TAIL_UNKNOWN, each().filter(|(_, s)| s.tail_unknown).map(|(l, _)| (l, true)))?;
    let open = snapshot.topics.iter().flat_map(|(topic, s)| {
        let ages = s.open_transactions.iter().map(|(id, open)| (*id, age_seconds(now_ms, open.since_ms)));
        let folded = plan.topics_folded.contains(topic);
        // Ages of several partitions are not added: the oldest stands for all.
        let oldest = ages.clone().map(|(_, age)| age).reduce(f64::max).filter(|_| folded);
        let each = ages.filter(move |_| !folded).map(|(id, age)| (Partition::One(id), age));
        oldest
            .map(|age| (Partition::All, age))
            .into_iter()
            .chain(each)
            .map(move |(partition, age)| (TopicPartition { cluster, topic, partition }, age))
    });
    out.family(&t::PARTITION_OPEN_TRANSACTION, open)
}

fn watch(out: &mut Out<'_>, cluster: &str, snapshot: &ClusterSnapshot, now_ms: i64) -> fmt::Result {
    let stats = &snapshot.stats;
    let whole = Cluster { cluster };
    let began = snapshot.taken_at_ms > 0;
    let after_first = |n: f64| began.then_some((whole, n));
    out.family(&t::BROKERS, after_first(f64::from(snapshot.brokers)))?;
    out.family(&t::WATCH_UP, [(whole, began && snapshot.last_error.is_none())])?;
    out.family(&t::WATCH_AGE, after_first(age_seconds(now_ms, snapshot.taken_at_ms)))?;
    out.family(&t::WATCH_REFRESHES, [(whole, stats.refreshes_total)])?;
    out.family(
        &t::WATCH_ERRORS,
        stats.errors_total.iter().map(|(reason, n)| (Reason { cluster, reason }, *n)),
    )?;
    out.family(&t::WATCH_DURATION, after_first(stats.last_duration_seconds))?;
    out.family(&t::WATCH_REQUESTS, after_first(stats.last_requests as f64))?;
    out.family(&t::WATCH_RECEIVED, after_first(stats.last_bytes as f64))?;
    out.family(&t::WATCH_THROTTLED, [(whole, stats.throttled_seconds_total)])?;
    out.family(&t::WATCH_GROUPS_UNREADABLE, after_first(stats.groups_unreadable as f64))?;
    out.family(&t::WATCH_TOPICS_UNREADABLE, after_first(stats.topics_unreadable as f64))
}

/// Negative only if a clock was set back: then it is written as it is.
fn age_seconds(now_ms: i64, then_ms: i64) -> f64 {
    now_ms.saturating_sub(then_ms) as f64 / 1000.0
}

pub(crate) fn reason(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::Uncommitted => "uncommitted",
        Unknown::Uninitialized => "uninitialized",
        Unknown::AheadOfEnd => "ahead_of_end",
        Unknown::Unreadable => "unreadable",
        Unknown::TopicGone => "topic_gone",
        Unknown::Recreated => "recreated",
    }
}

pub(crate) fn group_type(group_type: snapshot::GroupType) -> &'static str {
    use snapshot::GroupType;
    match group_type {
        GroupType::Classic => "classic",
        GroupType::Consumer => "consumer",
        GroupType::Share => "share",
        GroupType::Streams => "streams",
        GroupType::Unknown => "unknown",
    }
}
