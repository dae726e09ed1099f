//! Groups: which there are, who coordinates them, their members and their commits.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Buf;
use kafka_protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest,
    OffsetFetchRequest, ShareGroupDescribeRequest, TopicName,
};
use kafka_protocol::protocol::Decodable;

use super::{Trouble, checked, code, text};
use crate::cluster::refresh::GROUPS_PER_REQUEST;
use crate::cluster::snapshot::GroupType;
use crate::cluster::wire::{self, Connection, WireError};

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

/// A group's members and what they are assigned.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Description {
    pub(crate) state: String,
    pub(crate) protocol: String,
    pub(crate) members: u32,
    pub(crate) assigned: BTreeMap<String, BTreeSet<i32>>,
}

type Described = BTreeMap<String, Result<Description, Trouble>>;

fn ids(groups: &[String]) -> Vec<GroupId> {
    groups.iter().map(|g| GroupId(text(g))).collect()
}

/// Members and assignments, by the request that fits the groups' type. Empty for types that
/// have none here.
pub(crate) async fn describe(
    connection: &Connection,
    group_type: GroupType,
    groups: &[String],
    elements_max: usize,
) -> Described {
    let described = match group_type {
        GroupType::Classic | GroupType::Unknown => describe_classic(connection, groups, elements_max).await,
        GroupType::Consumer => describe_consumer(connection, groups).await,
        GroupType::Share => describe_share(connection, groups).await,
        GroupType::Streams => Ok(Described::new()),
    };
    described.unwrap_or_else(|error| groups.iter().map(|g| (g.clone(), Err(error.clone().into()))).collect())
}

async fn describe_classic(
    connection: &Connection,
    groups: &[String],
    elements_max: usize,
) -> Result<Described, WireError> {
    let request = DescribeGroupsRequest::default().with_groups(ids(groups));
    let answer = connection.call(&request).await?;
    let described = answer.groups.into_iter().map(|group| {
        // Before version 6 a group that is not there is "Dead", and no error.
        let code = match (group.error_code, group.group_state.as_str(), group.members.len()) {
            (0, "Dead", 0) => code::GROUP_ID_NOT_FOUND,
            (code, ..) => code,
        };
        let description = checked(code).map(|()| {
            let mut assigned: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
            // Other protocols (Connect's, for one) put other things into their assignments.
            if group.protocol_type.as_str() == "consumer" {
                for member in &group.members {
                    read_assignment(&member.member_assignment, elements_max, &mut assigned);
                }
            }
            Description {
                state: group.group_state.to_string(),
                protocol: group.protocol_data.to_string(),
                members: u32::try_from(group.members.len()).unwrap_or(u32::MAX),
                assigned,
            }
        });
        (group.group_id.to_string(), description)
    });
    Ok(described.collect())
}

/// The assignment of a classic member is written by another client: hostile like all else.
fn read_assignment(
    bytes: &bytes::Bytes,
    elements_max: usize,
    assigned: &mut BTreeMap<String, BTreeSet<i32>>,
) {
    let mut bytes = bytes.clone();
    if bytes.remaining() < 2 {
        return;
    }
    bytes.advance(2);
    if wire::check_assignment(&bytes, elements_max).is_err() {
        return;
    }
    // Later versions only append; the oldest reads them all.
    if let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, 0) {
        for topic in assignment.assigned_partitions {
            assigned.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
        }
    }
}

async fn describe_consumer(connection: &Connection, groups: &[String]) -> Result<Described, WireError> {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids(groups));
    let answer = connection.call(&request).await?;
    let described = answer.groups.into_iter().map(|group| {
        let description = checked(group.error_code).map(|()| {
            let mut assigned: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
            for topic in group.members.iter().flat_map(|m| &m.assignment.topic_partitions) {
                let partitions = assigned.entry(topic.topic_name.to_string()).or_default();
                partitions.extend(&topic.partitions);
            }
            Description {
                state: group.group_state.to_string(),
                protocol: group.assignor_name.to_string(),
                members: u32::try_from(group.members.len()).unwrap_or(u32::MAX),
                assigned,
            }
        });
        (group.group_id.to_string(), description)
    });
    Ok(described.collect())
}

async fn describe_share(connection: &Connection, groups: &[String]) -> Result<Described, WireError> {
    let request = ShareGroupDescribeRequest::default().with_group_ids(ids(groups));
    let answer = connection.call(&request).await?;
    let described = answer.groups.into_iter().map(|group| {
        // What a share group holds is no commit: its assignment is nobody's "uncommitted".
        let description = checked(group.error_code).map(|()| Description {
            state: group.group_state.to_string(),
            protocol: group.assignor_name.to_string(),
            members: u32::try_from(group.members.len()).unwrap_or(u32::MAX),
            assigned: BTreeMap::new(),
        });
        (group.group_id.to_string(), description)
    });
    Ok(described.collect())
}

/// A group's commits: by topic and partition the offset, or why it is not known.
pub(crate) type Commits = BTreeMap<String, BTreeMap<i32, Result<i64, i16>>>;

/// Does this broker list its groups? librdkafka's mock cluster does not, nor does it know what
/// it means to be asked for the commits of all topics.
pub(crate) fn lists_groups(connection: &Connection) -> bool {
    connection.version::<ListGroupsRequest>().is_ok()
}

/// The commits of many groups, by as many requests as the broker's version needs: of all topics,
/// or of the given ones.
pub(crate) async fn commits(
    connection: &Connection,
    groups: &[String],
    topics: Option<&BTreeMap<String, Vec<i32>>>,
) -> BTreeMap<String, Result<Commits, Trouble>> {
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
                all.insert(group.clone(), commits_of_one(connection, group, topics).await);
            }
            all
        }
        Err(error) => failed(error),
    }
}

async fn commits_of_many(
    connection: &Connection,
    groups: &[String],
) -> Result<BTreeMap<String, Result<Commits, Trouble>>, WireError> {
    let wanted = groups.iter().map(|group| {
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(None)
    });
    let request = OffsetFetchRequest::default().with_groups(wanted.collect());
    let answer = connection.call(&request).await?;
    let groups = answer.groups.into_iter().map(|group| {
        let commits = checked(group.error_code).map(|()| {
            let mut commits = Commits::new();
            for topic in group.topics {
                let partitions = topic
                    .partitions
                    .iter()
                    .filter_map(|p| commit(p.committed_offset, p.error_code).map(|c| (p.partition_index, c)));
                commits.entry(topic.name.to_string()).or_default().extend(partitions);
            }
            commits.retain(|_, partitions| !partitions.is_empty());
            commits
        });
        (group.group_id.to_string(), commits)
    });
    Ok(groups.collect())
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
    let mut commits = Commits::new();
    for topic in answer.topics {
        let partitions = topic
            .partitions
            .iter()
            .filter_map(|p| commit(p.committed_offset, p.error_code).map(|c| (p.partition_index, c)));
        commits.entry(topic.name.to_string()).or_default().extend(partitions);
    }
    commits.retain(|_, partitions| !partitions.is_empty());
    Ok(commits)
}

/// −1 says that there is no commit.
fn commit(offset: i64, code: i16) -> Option<Result<i64, i16>> {
    match (code, offset) {
        (0, ..0) => None,
        (0, offset) => Some(Ok(offset)),
        (code, _) => Some(Err(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_commit_is_no_offset() {
        assert_eq!(commit(-1, 0), None);
        assert_eq!(commit(i64::MIN, 0), None);
        assert_eq!(commit(0, 0), Some(Ok(0)));
        assert_eq!(commit(-1, 29), Some(Err(29)));
    }

    #[test]
    fn a_broken_assignment_is_no_assignment() {
        let mut assigned = BTreeMap::new();
        let good =
            bytes::Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff");
        read_assignment(&good, 100, &mut assigned);
        assert_eq!(assigned["t"], BTreeSet::from([0, 5]));
        let mut nothing = BTreeMap::new();
        for cut in 0..good.len() {
            read_assignment(&good.slice(..cut), 100, &mut nothing);
        }
        read_assignment(&bytes::Bytes::from_static(b"\0\0\x7f\xff\xff\xff"), 100, &mut nothing);
        assert!(nothing.is_empty());
    }
}
