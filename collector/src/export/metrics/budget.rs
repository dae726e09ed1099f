//! The series budget: which series of groups, partitions and fields are written, and which are
//! folded into their topic or left out.
//!
//! A function of names and counts alone, so that the same series are there from scrape to scrape:
//! groups by name; then partitions, of which the topics with the most are folded first (the fewest
//! lose their detail); then fields, every topic the same number, those nearest the root first.
//! Series under the peers' names ([`super::compat`]) share the fate of ours.

use std::collections::{BTreeMap, BTreeSet};

use super::compat::Cost;
use crate::cluster::snapshot::ClusterSnapshot;
use crate::view::View;

/// Series of one group, and of one of its topics, and of one partition of these.
const GROUP_SERIES: usize = 3;
const GROUP_TOPIC_SERIES: usize = 8;
const GROUP_PARTITION_SERIES: usize = 4;
const TOPIC_PARTITION_SERIES: usize = 3;
/// Series of one field.
pub(super) const FIELD_SERIES: usize = 12;
/// Fields may take this part of the budget even when partitions would fill it: one in ...
const FIELDS_SHARE: usize = 4;

/// What is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Groups without series.
    pub groups_left_out: BTreeSet<String>,
    /// (group, topic) whose partitions are one series.
    pub group_topics_folded: BTreeSet<(String, String)>,
    /// Topics whose partitions are one series.
    pub topics_folded: BTreeSet<String>,
    /// Topics without any series under the peers' names.
    pub topics_left_out: BTreeSet<String>,
    /// Most fields shown of any topic.
    pub fields_a_topic: usize,
    /// Series left out, by kind.
    pub series_folded: BTreeMap<&'static str, u64>,
}

/// A topic's partitions, of a group or as such, which can be folded into one.
struct Foldable<'a> {
    partitions: usize,
    group: Option<&'a str>,
    topic: &'a str,
    /// Series of each.
    series: usize,
    /// Series of all of them together, once folded.
    folded: usize,
    /// Of these, what is paid for already.
    paid: usize,
}

/// Makes the plan. With a budget that suffices nothing is left out. `compat` is what the peers' names
/// cost.
pub fn plan(view: &View, cluster: &ClusterSnapshot, budget: usize, compat: Cost) -> Plan {
    let mut plan = Plan::default();
    let fields: Vec<usize> =
        view.topics.values().filter_map(|t| t.window.as_ref()).map(|w| w.summary.fields.len()).collect();
    let fields_wanted: usize = fields.iter().sum::<usize>().saturating_mul(FIELD_SERIES);
    let mut left = budget.saturating_sub(fields_wanted.min(budget / FIELDS_SHARE));

    let mut foldable: Vec<Foldable<'_>> = Vec::new();
    let group_series = GROUP_SERIES + compat.group;
    let group_topic_series = GROUP_TOPIC_SERIES + compat.group_topic;
    let group_partition_series = GROUP_PARTITION_SERIES + compat.group_partition;
    let group_partitions_folded = GROUP_PARTITION_SERIES + compat.group_partitions_folded;
    for (name, group) in &cluster.groups {
        // With every partition folded: what the group costs at least.
        let least = group_series + group.topics.len() * (group_topic_series + group_partitions_folded);
        let Some(rest) = left.checked_sub(least) else {
            let partitions: usize = group.topics.values().map(|places| places.len()).sum();
            let series =
                group_series + group.topics.len() * group_topic_series + partitions * group_partition_series;
            *plan.series_folded.entry("groups").or_default() += series as u64;
            plan.groups_left_out.insert(name.clone());
            continue;
        };
        left = rest;
        foldable.extend(group.topics.iter().map(|(topic, partitions)| Foldable {
            partitions: partitions.len(),
            group: Some(name),
            topic,
            series: group_partition_series,
            folded: group_partitions_folded,
            paid: group_partitions_folded,
        }));
    }
    for (name, topic) in &cluster.topics {
        // Our own folded series of topics are few, those of several peers are not.
        let partitions = topic.partitions.len();
        let least = compat.topic + compat.topic_partitions_folded;
        let compat = match left.checked_sub(least) {
            Some(rest) => {
                left = rest;
                compat
            }
            None => {
                let series = compat.topic + partitions * compat.topic_partition;
                *plan.series_folded.entry("topics").or_default() += series as u64;
                plan.topics_left_out.insert(name.clone());
                Cost::default()
            }
        };
        foldable.push(Foldable {
            partitions,
            group: None,
            topic: name,
            series: TOPIC_PARTITION_SERIES + compat.topic_partition,
            folded: TOPIC_PARTITION_SERIES + compat.topic_partitions_folded,
            paid: compat.topic_partitions_folded,
        });
    }
    foldable.sort_by_key(|f| (f.partitions, f.group, f.topic));
    for f in foldable {
        let whole = f.partitions * f.series;
        if let Some(rest) = left.checked_sub(whole.saturating_sub(f.paid)) {
            left = rest;
            continue;
        }
        left = 0;
        let lost = whole.saturating_sub(f.folded) as u64;
        match f.group {
            Some(group) => {
                *plan.series_folded.entry("group_partitions").or_default() += lost;
                plan.group_topics_folded.insert((group.to_owned(), f.topic.to_owned()));
            }
            None => {
                *plan.series_folded.entry("topic_partitions").or_default() += lost;
                plan.topics_folded.insert(f.topic.to_owned());
            }
        }
    }
    let for_fields = left + fields_wanted.min(budget / FIELDS_SHARE);
    plan.fields_a_topic = fair_share(fields, for_fields / FIELD_SERIES);
    plan
}

/// The most that each may have so that all together have at most `total`.
fn fair_share(mut wanted: Vec<usize>, total: usize) -> usize {
    wanted.sort_unstable();
    let mut left = total;
    let mut others = wanted.len();
    for want in &wanted {
        let share = left / others;
        if *want > share {
            return share;
        }
        left -= want;
        others -= 1;
    }
    wanted.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::snapshot::{PartitionOffsets, TopicSnapshot};
    use proptest::prelude::*;

    fn cluster(partitions: &[usize]) -> ClusterSnapshot {
        let topic = |n: usize| TopicSnapshot {
            partitions: (0..n as i32).map(|p| (p, PartitionOffsets::default())).collect(),
            ..TopicSnapshot::default()
        };
        ClusterSnapshot {
            topics: partitions.iter().enumerate().map(|(i, n)| (format!("t{i:03}"), topic(*n))).collect(),
            ..ClusterSnapshot::default()
        }
    }

    #[test]
    fn a_budget_that_suffices_leaves_everything() {
        let plan = plan(&View::default(), &cluster(&[3, 300, 7]), 100_000, Cost::default());
        assert_eq!(plan, Plan::default());
    }

    #[test]
    fn the_topic_with_the_most_partitions_is_folded_first() {
        let plan = plan(&View::default(), &cluster(&[3, 300, 7]), 100, Cost::default());
        assert_eq!(plan.topics_folded, BTreeSet::from(["t001".to_owned()]));
        assert_eq!(plan.series_folded, BTreeMap::from([("topic_partitions", 299 * 3)]));
    }

    proptest! {
        #[test]
        fn a_fair_share_keeps_within_the_total(wanted in prop::collection::vec(0usize..50, 0..20), total in 0usize..300) {
            let share = fair_share(wanted.clone(), total);
            let given: usize = wanted.iter().map(|w| *w.min(&share)).sum();
            prop_assert!(given <= total || given == 0);
            let more: usize = wanted.iter().map(|w| *w.min(&(share + 1))).sum();
            prop_assert!(more > total || more == given, "could have been {}", share + 1);
        }
    }
}
