//! Who is in a group, and what each member works on: a request for every kind of group.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Buf;
use kafka_protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId, ShareGroupDescribeRequest,
};
use kafka_protocol::protocol::Decodable;

use super::{Trouble, checked, code, text};
use crate::cluster::snapshot::{GroupType, Named};
use crate::cluster::wire::{self, Connection, StreamsGroup, StreamsGroupDescribeRequest, WireError};

/// A group's members and what they are assigned.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Description {
    pub(crate) state: String,
    pub(crate) protocol: String,
    pub(crate) members: u32,
    pub(crate) assigned: Named<BTreeSet<i32>>,
    /// `assigned` is all of it: what is not there, nobody works on.
    pub(crate) assignment_known: bool,
    /// Nobody ever joined it: a client that assigns itself commits here, or did.
    pub(crate) simple: bool,
}

type Described = BTreeMap<String, Result<Description, Trouble>>;

fn ids(groups: &[String]) -> Vec<GroupId> {
    groups.iter().map(|g| GroupId(text(g))).collect()
}

/// Members and assignments, by the request that fits the groups' type.
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
        GroupType::Streams => describe_streams(connection, groups).await,
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
            let mut assigned: Named<BTreeSet<i32>> = Named::default();
            // Other protocols (Connect's, for one) put other things into their assignments.
            let mut readable = group.protocol_type.as_str() == "consumer";
            if readable {
                for member in &group.members {
                    readable &= read_assignment(&member.member_assignment, elements_max, &mut assigned);
                }
            }
            Description {
                state: group.group_state.to_string(),
                protocol: group.protocol_data.to_string(),
                members: count(&group.members),
                assigned,
                assignment_known: readable,
                simple: group.protocol_type.is_empty(),
            }
        });
        (group.group_id.to_string(), description)
    });
    Ok(described.collect())
}

/// The assignment of a classic member is written by another client: hostile like all else.
/// False if it can't be read; a member without any has an empty one.
fn read_assignment(bytes: &bytes::Bytes, elements_max: usize, assigned: &mut Named<BTreeSet<i32>>) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let mut bytes = bytes.clone();
    if bytes.remaining() < 2 {
        return false;
    }
    bytes.advance(2);
    if wire::check_assignment(&bytes, elements_max).is_err() {
        return false;
    }
    // Later versions only append; the oldest reads them all.
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, 0) else { return false };
    for topic in assignment.assigned_partitions {
        assigned.get_or_insert_with(topic.topic.as_str(), BTreeSet::new).extend(topic.partitions);
    }
    true
}

async fn describe_consumer(connection: &Connection, groups: &[String]) -> Result<Described, WireError> {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids(groups));
    let answer = connection.call(&request).await?;
    let described = answer.groups.into_iter().map(|group| {
        let description = checked(group.error_code).map(|()| {
            let mut assigned: Named<BTreeSet<i32>> = Named::default();
            for topic in group.members.iter().flat_map(|m| &m.assignment.topic_partitions) {
                let partitions = assigned.get_or_insert_with(topic.topic_name.as_str(), BTreeSet::new);
                partitions.extend(&topic.partitions);
            }
            Description {
                state: group.group_state.to_string(),
                protocol: group.assignor_name.to_string(),
                members: count(&group.members),
                assigned,
                assignment_known: true,
                simple: false,
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
        let description = checked(group.error_code).map(|()| {
            let mut assigned: Named<BTreeSet<i32>> = Named::default();
            // Several members may share a partition.
            for topic in group.members.iter().flat_map(|m| &m.assignment.topic_partitions) {
                let partitions = assigned.get_or_insert_with(topic.topic_name.as_str(), BTreeSet::new);
                partitions.extend(&topic.partitions);
            }
            Description {
                state: group.group_state.to_string(),
                protocol: group.assignor_name.to_string(),
                members: count(&group.members),
                assigned,
                assignment_known: true,
                simple: false,
            }
        });
        (group.group_id.to_string(), description)
    });
    Ok(described.collect())
}

async fn describe_streams(connection: &Connection, groups: &[String]) -> Result<Described, WireError> {
    let request = StreamsGroupDescribeRequest { group_ids: groups.to_vec() };
    let answer = connection.call(&request).await?;
    let described = answer.into_iter().map(|group| {
        let description = checked(group.error_code).map(|()| {
            let (assigned, assignment_known) = tasks_as_partitions(&group);
            Description {
                state: group.state.clone(),
                protocol: String::new(),
                members: count(&group.members),
                assigned,
                assignment_known,
                simple: false,
            }
        });
        (group.group_id, description)
    });
    Ok(described.collect())
}

/// Task n of a subtopology reads partition n of each of its source topics; where one has fewer
/// partitions than there are tasks, the partition isn't there, which the state sorts out. False
/// where a task's topics are not named.
fn tasks_as_partitions(group: &StreamsGroup) -> (Named<BTreeSet<i32>>, bool) {
    let mut assigned: Named<BTreeSet<i32>> = Named::default();
    let mut known = true;
    for (subtopology, partitions) in group.members.iter().flat_map(|m| &m.active_tasks) {
        let mut topics = group
            .subtopologies
            .iter()
            .filter(|s| s.id == *subtopology)
            .flat_map(|s| &s.source_topics)
            .peekable();
        known &= topics.peek().is_some();
        for topic in topics {
            assigned.get_or_insert_with(topic.as_str(), BTreeSet::new).extend(partitions);
        }
    }
    (assigned, known)
}

fn count<T>(members: &[T]) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::{StreamsMember, Subtopology};

    #[test]
    fn a_broken_assignment_is_no_assignment() {
        let mut assigned = Named::default();
        let good =
            bytes::Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff");
        assert!(read_assignment(&good, 100, &mut assigned));
        assert_eq!(assigned["t"], BTreeSet::from([0, 5]));
        let mut nothing = Named::default();
        for cut in 1..good.len() {
            assert!(!read_assignment(&good.slice(..cut), 100, &mut nothing), "cut at {cut}");
        }
        let lie = bytes::Bytes::from_static(b"\0\0\x7f\xff\xff\xff");
        assert!(!read_assignment(&lie, 100, &mut nothing));
        assert!(
            read_assignment(&bytes::Bytes::new(), 100, &mut nothing),
            "a member that waits for its share"
        );
        assert!(nothing.is_empty());
    }

    #[test]
    fn the_tasks_of_a_topology_are_partitions_of_its_source_topics() {
        let part = |id: &str, topics: &[&str]| Subtopology {
            id: id.to_owned(),
            source_topics: topics.iter().map(|&t| t.to_owned()).collect(),
        };
        let member = |tasks: &[(&str, &[i32])]| StreamsMember {
            active_tasks: tasks.iter().map(|&(id, p)| (id.to_owned(), p.to_vec())).collect(),
        };
        let group = StreamsGroup {
            subtopologies: vec![part("0", &["a", "b"]), part("1", &["c"])],
            members: vec![member(&[("0", &[0, 1]), ("1", &[5])]), member(&[("0", &[2]), ("gone", &[9])])],
            ..StreamsGroup::default()
        };
        let (assigned, known) = tasks_as_partitions(&group);
        assert!(!known, "a task whose topics are not told");
        assert!(assigned.keys().map(|name| &**name).eq(["a", "b", "c"]));
        assert_eq!(assigned["a"], BTreeSet::from([0, 1, 2]));
        assert_eq!(assigned["b"], assigned["a"]);
        assert_eq!(assigned["c"], BTreeSet::from([5]));
    }
}
