//! What a snapshot shows, or an error that says what it shows instead.

use anyhow::{Context, Result};
use collector::cluster::snapshot::{ClusterSnapshot, GroupPartition, GroupSnapshot};

/// A group.
pub(crate) fn group<'a>(snapshot: &'a ClusterSnapshot, name: &str) -> Result<&'a GroupSnapshot> {
    let known = || snapshot.groups.keys().cloned().collect::<Vec<_>>();
    snapshot.groups.get(name).with_context(|| format!("group {name:?} is not among {:?}", known()))
}

/// Its place in a partition.
pub(crate) fn place(
    snapshot: &ClusterSnapshot,
    name: &str,
    topic: &str,
    partition: i32,
) -> Result<GroupPartition> {
    let group = group(snapshot, name)?;
    let found = group.topics.get(topic).and_then(|p| p.get(partition));
    found.with_context(|| format!("{name} has no {topic}-{partition}: {group:?}"))
}
