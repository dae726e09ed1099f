//! Groups: which there are, who coordinates them, and how far they have come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest, OffsetFetchRequest,
    TopicName,
};

use super::{Trouble, checked, text};
use crate::cluster::refresh::GROUPS_PER_REQUEST;
use crate::cluster::snapshot::{GroupType, Named, Sorted};
use crate::cluster::wire::{
    Commit, Committed, Connection, DescribeShareGroupOffsetsRequest, OffsetFetchAllRequest,
    ShareGroupOffsets, Told, WireError,
};

/// A group that a broker lists, and thereby coordinates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) group: String,
    pub(crate) group_type: GroupType,
    /// Empty where the broker is too old to say.
    pub(crate) state: String,
}

/// The groups that this broker coordinates.
pub(crate) async fn list_groups(connection: &Connection) -> Result<Vec<Listed>, Trouble> {
    let answer = connection.call(&ListGroupsRequest::default()).await?;
    checked(answer.error_code)?;
    let typed = connection.version::<ListGroupsRequest>()? >= 5;
    // A broker that cannot describe the new groups has none.
    let only_classic = connection.version::<ConsumerGroupDescribeRequest>().is_err();
    let listed = answer.groups.into_iter().map(|group| Listed {
        group_type: match group.group_type.to_ascii_lowercase().as_str() {
            "classic" => GroupType::Classic,
            "consumer" => GroupType::Consumer,
            "share" => GroupType::Share,
            "streams" => GroupType::Streams,
            _ if !typed && only_classic => GroupType::Classic,
            _ => GroupType::Unknown,
        },
        group: group.group_id.to_string(),
        state: group.group_state.to_string(),
    });
    Ok(listed.collect())
}

/// Which broker coordinates each group.
pub(crate) async fn find_coordinators(
    connection: &Connection,
    groups: &[String],
) -> BTreeMap<String, Result<i32, Trouble>> {
    let mut found = BTreeMap::new();
    let batched = match connection.version::<FindCoordinatorRequest>() {
        Ok(version) => version >= 4,
        Err(error) => {
            return groups.iter().map(|g| (g.clone(), Err(error.clone().into()))).collect();
        }
    };
    if batched {
        for chunk in groups.chunks(GROUPS_PER_REQUEST) {
            let keys = chunk.iter().map(|g| text(g)).collect();
            let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
            match connection.call(&request).await {
                Ok(answer) => found.extend(
                    answer
                        .coordinators
                        .into_iter()
                        .map(|c| (c.key.to_string(), checked(c.error_code).map(|()| c.node_id.0))),
                ),
                Err(error) => {
                    found.extend(chunk.iter().map(|g| (g.clone(), Err(error.clone().into()))));
                }
            }
        }
    } else {
        for group in groups {
            let request = FindCoordinatorRequest::default().with_key(text(group));
            let result = match connection.call(&request).await {
                Ok(answer) => checked(answer.error_code).map(|()| answer.node_id.0),
                Err(error) => Err(error.into()),
            };
            found.insert(group.clone(), result);
        }
    }
    found
}

/// A group's commits: by topic and partition the offset, or why it is not known.
pub(crate) type Commits = Committed;

/// Does this broker list its groups? librdkafka's mock cluster does not, nor does it know what
/// it means to be asked for the commits of all topics.
pub(crate) fn lists_groups(connection: &Connection) -> bool {
    connection.version::<ListGroupsRequest>().is_ok()
}

/// A group's commits as they come.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    /// As they stand in the answer.
    Told(Told),
    /// From a broker that answers for one group at a time.
    Read(Commits),
}

/// The commits of many groups, by as many requests as the broker's version needs: of all topics,
/// or of the given ones.
pub(crate) async fn commits(
    connection: &Connection,
    groups: &[String],
    topics: Option<&BTreeMap<String, Vec<i32>>>,
) -> BTreeMap<String, Result<Answered, Trouble>> {
    let failed =
        |error: WireError| groups.iter().map(|g| (g.clone(), Err(Trouble::from(error.clone())))).collect();
    match connection.version::<OffsetFetchRequest>() {
        Ok(version) if version >= 8 && topics.is_none() => match commits_of_many(connection, groups).await {
            Ok(commits) => commits,
            Err(error) => failed(error),
        },
        Ok(_) => {
            let mut all = BTreeMap::new();
            for group in groups {
                let commits = commits_of_one(connection, group, topics).await;
                all.insert(group.clone(), commits.map(Answered::Read));
            }
            all
        }
        Err(error) => failed(error),
    }
}

async fn commits_of_many(
    connection: &Connection,
    groups: &[String],
) -> Result<BTreeMap<String, Result<Answered, Trouble>>, WireError> {
    let answer = connection.call(&OffsetFetchAllRequest { group_ids: groups }).await?;
    let answered = |told: Result<Told, i16>| told.map(Answered::Told).map_err(Trouble::Code);
    Ok(answer.into_iter().map(|(group, told)| (group, answered(told))).collect())
}

async fn commits_of_one(
    connection: &Connection,
    group: &str,
    topics: Option<&BTreeMap<String, Vec<i32>>>,
) -> Result<Commits, Trouble> {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, indexes)| {
            OffsetFetchRequestTopic::default()
                .with_name(TopicName(text(topic)))
                .with_partition_indexes(indexes.clone())
        });
        topics.collect()
    });
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(topics);
    let answer = connection.call_up_to(&request, 7).await?;
    checked(answer.error_code)?;
    let mut commits = Commits::default();
    for topic in answer.topics {
        let partitions =
            topic.partitions.iter().map(|p| (p.partition_index, p.committed_offset, p.error_code));
        add(&mut commits, &topic.name, partitions);
    }
    Ok(commits)
}

/// Adds what a broker says of one topic: partition, offset, error code. Should it speak of a topic
/// twice, the last word holds.
fn add(commits: &mut Commits, topic: &str, partitions: impl Iterator<Item = (i32, i64, i16)>) {
    let known: Sorted<_, _> =
        partitions.filter_map(|(index, offset, code)| Some((index, Commit::new(offset, code)?))).collect();
    if !known.is_empty() {
        commits.insert(topic, known);
    }
}

/// How far share groups have come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShareProgress {
    /// The share-partition start offsets: everything before them is done with.
    pub(crate) starts: Commits,
    /// Partitions that the group has a state for, and no start offset yet.
    pub(crate) unset: Named<BTreeSet<i32>>,
    /// Records that are not done with, where the broker counts them itself (KIP-1226).
    pub(crate) lags: Named<Sorted<i32, i64>>,
}

/// The progress of share groups, of all their topics.
pub(crate) async fn share_progress(
    connection: &Connection,
    groups: &[String],
) -> BTreeMap<String, Result<ShareProgress, Trouble>> {
    let request = DescribeShareGroupOffsetsRequest { group_ids: groups.to_vec() };
    match connection.call(&request).await {
        Ok(answer) => answer.into_iter().map(progress_of_one).collect(),
        Err(error) => groups.iter().map(|g| (g.clone(), Err(Trouble::from(error.clone())))).collect(),
    }
}

fn progress_of_one(group: ShareGroupOffsets) -> (String, Result<ShareProgress, Trouble>) {
    let progress = checked(group.error_code).map(|()| {
        let mut progress = ShareProgress::default();
        for (topic, partitions) in group.topics {
            let topic: Arc<str> = topic.into();
            for p in partitions {
                match Commit::new(p.start_offset, p.error_code) {
                    Some(start) => {
                        progress
                            .starts
                            .get_or_insert_with(Arc::clone(&topic), Sorted::default)
                            .insert(p.partition, start);
                        if start.get().is_ok() && p.lag >= 0 {
                            progress
                                .lags
                                .get_or_insert_with(Arc::clone(&topic), Sorted::default)
                                .insert(p.partition, p.lag);
                        }
                    }
                    None => {
                        progress
                            .unset
                            .get_or_insert_with(Arc::clone(&topic), BTreeSet::new)
                            .insert(p.partition);
                    }
                }
            }
        }
        progress
    });
    (group.group_id, progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::SharePartition;

    #[test]
    fn a_share_start_that_is_not_set_is_neither_zero_nor_an_error() {
        let at = |partition, start_offset, lag, error_code| SharePartition {
            partition,
            start_offset,
            lag,
            error_code,
        };
        let partitions = vec![at(0, 40, 55, 0), at(1, -1, -1, 0), at(2, 7, -1, 0), at(3, 0, 9, 29)];
        let group = ShareGroupOffsets {
            group_id: "g".to_owned(),
            error_code: 0,
            topics: vec![("t".to_owned(), partitions)],
        };
        let (name, progress) = progress_of_one(group);
        let progress = progress.expect("no error");
        assert_eq!(name, "g");
        assert_eq!(
            progress.starts["t"],
            [(0, 40, 0), (2, 7, 0), (3, -1, 29)]
                .into_iter()
                .filter_map(|(p, offset, code)| Some((p, Commit::new(offset, code)?)))
                .collect()
        );
        assert_eq!(progress.unset["t"], BTreeSet::from([1]));
        assert_eq!(progress.lags["t"], [(0, 55)].into(), "of the rest nothing is known");
    }
}
