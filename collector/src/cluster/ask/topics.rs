//! Topics: which there are, where they are led, where they end, and what lies at an offset.

use std::collections::BTreeMap;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest, MetadataRequest, TopicName};

use super::text;
use crate::cluster::batch::{self, Found};
use crate::cluster::config::Address;
use crate::cluster::sorted::Sorted;
use crate::cluster::wire::{Connection, WireError};

/// The cluster as one broker sees it.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) cluster_id: Option<String>,
    pub(crate) brokers: BTreeMap<i32, Address>,
    pub(crate) topics: BTreeMap<String, MetadataTopic>,
}

/// A topic of [`Metadata`].
#[derive(Debug, Default)]
pub(crate) struct MetadataTopic {
    /// Not there yet, not allowed…: the partitions are not known.
    pub(crate) code: i16,
    pub(crate) id: Option<u128>,
    pub(crate) partitions: BTreeMap<i32, MetadataPartition>,
}

/// A partition of [`Metadata`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MetadataPartition {
    pub(crate) leader: Option<i32>,
    pub(crate) replicas: u32,
    pub(crate) in_sync: u32,
}

/// All topics of the cluster that we may describe: a broker leaves out the others in silence.
pub(crate) async fn metadata(connection: &Connection) -> Result<Metadata, WireError> {
    ask_metadata(connection, None).await
}

/// Some topics by their names: one that we may not describe comes with a code of its own, be it
/// there or not.
pub(crate) async fn metadata_of(connection: &Connection, names: &[String]) -> Result<Metadata, WireError> {
    let topics =
        names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name)))));
    ask_metadata(connection, Some(topics.collect())).await
}

async fn ask_metadata(
    connection: &Connection,
    topics: Option<Vec<MetadataRequestTopic>>,
) -> Result<Metadata, WireError> {
    let mut request = MetadataRequest::default().with_topics(topics);
    if connection.version::<MetadataRequest>()? >= 4 {
        request = request.with_allow_auto_topic_creation(false);
    }
    let answer = connection.call(&request).await?;
    let mut metadata =
        Metadata { cluster_id: answer.cluster_id.map(|id| id.to_string()), ..Metadata::default() };
    for broker in answer.brokers {
        let port = u16::try_from(broker.port).unwrap_or(0);
        let address = Address { host: broker.host.to_string(), port };
        metadata.brokers.insert(broker.node_id.0, address);
    }
    for topic in answer.topics {
        let Some(name) = topic.name else { continue };
        let count = |nodes: &[BrokerId]| u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let partitions = topic.partitions.iter().map(|p| {
            let partition = MetadataPartition {
                leader: Some(p.leader_id.0).filter(|id| *id >= 0),
                replicas: count(&p.replica_nodes),
                in_sync: count(&p.isr_nodes),
            };
            (p.partition_index, partition)
        });
        let topic = MetadataTopic {
            code: topic.error_code,
            id: Some(topic.topic_id.as_u128()).filter(|id| *id != 0),
            partitions: partitions.collect(),
        };
        metadata.topics.insert(name.to_string(), topic);
    }
    Ok(metadata)
}

/// Which end of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Start,
    Stable,
    High,
}

/// An end of a partition, and the leader epoch that it was read in (KIP-320); −1 where the broker
/// does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndOffset {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

/// Ends, or codes, by topic and partition.
pub(crate) type Offsets = BTreeMap<String, Sorted<i32, Result<EndOffset, i16>>>;

/// One end of the partitions that this broker leads.
pub(crate) async fn offsets(
    connection: &Connection,
    end: End,
    partitions: &BTreeMap<String, Vec<i32>>,
) -> Result<Offsets, WireError> {
    let (timestamp, isolation) = match end {
        End::Start => (-2, 0),
        End::Stable => (-1, 1),
        End::High => (-1, 0),
    };
    let topics = partitions.iter().map(|(topic, indexes)| {
        let partitions = indexes.iter().map(|&index| (index, timestamp));
        list_topic(topic, partitions)
    });
    // Not kept while the answer is awaited: it is larger than that.
    let answer = {
        let request = list_request(isolation, topics.collect());
        connection.call(&request)
    };
    let answer = answer.await?;
    let mut offsets = Offsets::new();
    for topic in answer.topics {
        let of_topic = topic.partitions.iter().map(|p| {
            let offset = match (p.error_code, p.offset) {
                // An end that is negative is none.
                (0, ..0) => Err(-1),
                (0, offset) => Ok(EndOffset { offset, epoch: p.leader_epoch }),
                (code, _) => Err(code),
            };
            (p.partition_index, offset)
        });
        offsets.insert(topic.name.to_string(), of_topic.collect());
    }
    Ok(offsets)
}

/// The first record at or after a time: its offset and its own time; `None` when there is none.
pub(crate) type FirstAfter = Option<(i64, i64)>;

/// By partition of a topic, the first record below the high watermark whose time is not before
/// the one asked for. It needs no right but to describe the topic.
pub(crate) async fn times(
    connection: &Connection,
    wanted: &BTreeMap<(String, i32), i64>,
) -> Result<BTreeMap<(String, i32), Result<FirstAfter, i16>>, WireError> {
    let mut topics: BTreeMap<&str, Vec<(i32, i64)>> = BTreeMap::new();
    for ((topic, index), at_ms) in wanted {
        // Negative times are questions of another kind.
        topics.entry(topic).or_default().push((*index, (*at_ms).max(0)));
    }
    let topics = topics.into_iter().map(|(topic, partitions)| list_topic(topic, partitions.into_iter()));
    let answer = connection.call(&list_request(0, topics.collect())).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for p in &topic.partitions {
            let first = match (p.error_code, p.offset) {
                (0, ..0) => Ok(None),
                (0, offset) => Ok(Some((offset, p.timestamp))),
                (code, _) => Err(code),
            };
            found.insert((topic.name.to_string(), p.partition_index), first);
        }
    }
    Ok(found)
}

fn list_topic(topic: &str, partitions: impl Iterator<Item = (i32, i64)>) -> ListOffsetsTopic {
    let partitions = partitions.map(|(index, timestamp)| {
        ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
    });
    ListOffsetsTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions.collect())
}

fn list_request(isolation: i8, topics: Vec<ListOffsetsTopic>) -> ListOffsetsRequest {
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_topics(topics)
}

/// An offset of a partition of a topic.
pub(crate) type Position = (String, i32, i64);

/// What was found at an offset of a partition; `None` when the broker gave nothing (the first
/// batch is larger than what was asked for, or nothing is there).
pub(crate) type FoundAt = (Position, Result<Option<Found>, i16>);

/// Looks at the record batches at an offset each of some partitions that this broker leads.
pub(crate) async fn look(
    connection: &Connection,
    wanted: &[Position],
    partition_bytes: i32,
    answer_bytes: i32,
) -> Result<Vec<FoundAt>, WireError> {
    let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
    let mut asked: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for (topic, partition, offset) in wanted {
        asked.insert((topic, *partition), *offset);
        topics.entry(topic).or_default().push(
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(partition_bytes),
        );
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        FetchTopic::default().with_topic(TopicName(text(topic))).with_partitions(partitions)
    });
    let mut request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(answer_bytes)
        .with_topics(topics.collect());
    if connection.version::<FetchRequest>()? >= 7 {
        // No fetch session: these partitions are asked for once.
        request = request.with_session_id(0).with_session_epoch(-1);
    }
    let answer = connection.call(&request).await?;
    if answer.error_code != 0 {
        let code = answer.error_code;
        let refused = asked.into_iter().map(|((t, p), at)| ((t.to_owned(), p, at), Err(code)));
        return Ok(refused.collect());
    }
    let mut found = Vec::new();
    for topic in answer.responses {
        for partition in topic.partitions {
            let key = (topic.topic.as_str(), partition.partition_index);
            let Some(&offset) = asked.get(&key) else { continue };
            let result = match partition.error_code {
                0 => Ok(partition
                    .records
                    .as_deref()
                    .filter(|records| !records.is_empty())
                    .map(|records| batch::find(records, offset))),
                code => Err(code),
            };
            found.push(((topic.topic.to_string(), partition.partition_index, offset), result));
        }
    }
    Ok(found)
}
