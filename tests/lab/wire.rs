//! Kafka's protocol byte by byte, for what client libraries don't let a test do: batches with times of one's choosing,
//! commits with a leader epoch or a lifetime, members that speak another group protocol.
//!
//! One request at a time, to the first broker of the addresses; on a cluster of one that is everybody's leader and
//! coordinator.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, OffsetCommitRequest, ProduceRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::eventually;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A record of a batch: its time in milliseconds since 1970, its key, and its value (`None` is a tombstone).
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Milliseconds since 1970; −1 says that there is none.
    pub timestamp_ms: i64,
    /// `None` is a record without a key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Entry {
    /// A record at a time, whose content doesn't matter.
    pub fn at(timestamp_ms: i64) -> Self {
        Self { timestamp_ms, key: None, value: Some(b"x".to_vec()) }
    }

    /// The same with a key.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same without a value.
    pub fn tombstone(mut self) -> Self {
        self.value = None;
        self
    }
}

/// A commit with all that the protocol knows of it.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The next offset to read.
    pub offset: i64,
    /// The epoch of the leader that the last record came from.
    pub leader_epoch: Option<i32>,
    /// Whatever the consumer wants to remember.
    pub metadata: Option<String>,
    /// How long it holds, in milliseconds; `None` leaves that to the broker. Not with a leader epoch: newer requests
    /// know no lifetime.
    pub lifetime_ms: Option<i64>,
}

impl From<i64> for Commit {
    fn from(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// A connection to one broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    next_id: i32,
}

impl Wire {
    /// Connects to the first of the addresses.
    pub async fn connect(bootstrap: &str) -> Result<Self> {
        let first = bootstrap.split(',').next().unwrap_or_default();
        let stream = TcpStream::connect(first).await.with_context(|| format!("connect to {first}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, next_id: 0 })
    }

    /// Sends a request in a version and awaits its answer.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.next_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next_id)
            .with_client_id(Some(text("lab")));
        let mut frame = BytesMut::new();
        encode_request_header_into_buffer(&mut frame, &header)?;
        request.encode(&mut frame, version)?;
        let mut answer = tokio::time::timeout(TIMEOUT, self.exchange(&frame))
            .await
            .with_context(|| format!("no answer to request {} within {TIMEOUT:?}", R::KEY))??;
        ensure!(answer.try_get_i32()? == self.next_id, "the answer is another request's");
        if R::Response::header_version(version) >= 1 {
            let tags = answer.try_get_u8()?;
            ensure!(tags == 0, "{tags} tagged fields in the header of the answer");
        }
        R::Response::decode(&mut answer, version)
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Bytes> {
        self.stream.write_i32(i32::try_from(frame.len())?).await?;
        self.stream.write_all(frame).await?;
        let length = usize::try_from(self.stream.read_i32().await?)?;
        ensure!(length < 64 << 20, "an answer of {length} bytes");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer.into())
    }

    /// Appends records as one batch, as they are; returns the first one's offset.
    pub async fn append(&mut self, topic: &str, partition: i32, entries: &[Entry]) -> Result<i64> {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch(entries)?));
        let topic_data =
            TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic_data]);
        // A leader may have been chosen, and not know it yet.
        eventually(&format!("{topic}-{partition} takes records"), TIMEOUT, async || {
            let answer = self.call(&request, 9).await?;
            let stored = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
            let stored = stored.context("an answer without partitions")?;
            ensure!(stored.error_code == 0, "code {} {:?}", stored.error_code, stored.error_message);
            Ok(stored.base_offset)
        })
        .await
    }

    /// Commits for a group without members, and sees to it that they hold. Whatever may be a group's name.
    pub async fn commit<C>(&mut self, group: &str, topic: &str, commits: &[(i32, C)]) -> Result<()>
    where
        C: Clone + Into<Commit>,
    {
        let commits: Vec<(i32, Commit)> = commits.iter().map(|(p, c)| (*p, c.clone().into())).collect();
        let lifetime = commits.iter().find_map(|(_, commit)| commit.lifetime_ms);
        let partitions = commits.iter().map(|(partition, commit)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(commit.offset)
                .with_committed_leader_epoch(commit.leader_epoch.unwrap_or(-1))
                .with_committed_metadata(Some(text(commit.metadata.as_deref().unwrap_or_default())))
        });
        let topics = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(partitions.collect());
        let mut request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topics]);
        let mut version = 8;
        if let Some(lifetime_ms) = lifetime {
            request = request.with_retention_time_ms(lifetime_ms);
            version = 4;
        }
        eventually(&format!("{group:?} holds its commits"), TIMEOUT, async || {
            // The offsets topic comes into being when its first group is looked for, and that takes a moment.
            let find = FindCoordinatorRequest::default().with_key(text(group));
            let found = self.call(&find, 2).await?;
            ensure!(found.error_code == 0, "no coordinator: code {}", found.error_code);
            let answer = self.call(&request, version).await?;
            let refused =
                answer.topics.iter().flat_map(|topic| &topic.partitions).find(|p| p.error_code != 0);
            match refused {
                Some(refused) => {
                    bail!("partition {}: code {}", refused.partition_index, refused.error_code)
                }
                None => Ok(()),
            }
        })
        .await
    }
}

/// A string of the protocol.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// One batch, uncompressed, by no producer in particular (magic 2, KIP-98). As clients write it: times are counted
/// from the first record's, whichever is the earliest.
pub fn batch(entries: &[Entry]) -> Result<Bytes> {
    let first_ms = entries.first().context("a batch has records")?.timestamp_ms;
    let max_ms = entries.iter().map(|entry| entry.timestamp_ms).max().unwrap_or(first_ms);
    let mut records = BytesMut::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut record = BytesMut::new();
        record.put_i8(0);
        put_varint(&mut record, entry.timestamp_ms - first_ms);
        put_varint(&mut record, i64::try_from(index)?);
        for field in [&entry.key, &entry.value] {
            match field {
                None => put_varint(&mut record, -1),
                Some(bytes) => {
                    put_varint(&mut record, i64::try_from(bytes.len())?);
                    record.put_slice(bytes);
                }
            }
        }
        put_varint(&mut record, 0);
        put_varint(&mut records, i64::try_from(record.len())?);
        records.put_slice(&record);
    }
    let count = i32::try_from(entries.len())?;
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(count - 1);
    body.put_i64(first_ms);
    body.put_i64(max_ms);
    body.put_i64(-1);
    body.put_i16(-1);
    body.put_i32(-1);
    body.put_i32(count);
    body.put_slice(&records);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(i32::try_from(4 + 1 + 4 + body.len())?);
    batch.put_i32(-1);
    batch.put_u8(2);
    batch.put_u32(crc32c(&body));
    batch.put_slice(&body);
    Ok(batch.freeze())
}

fn put_varint(bytes: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        bytes.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    bytes.put_u8(rest as u8);
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;

    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_batch_is_read_as_it_was_written() -> Result<()> {
        let entries = [Entry::at(1000).key("k"), Entry::at(400), Entry::at(70_000).key("k").tombstone()];
        let mut bytes = batch(&entries)?;
        let read = RecordBatchDecoder::decode(&mut bytes)?.records;
        let times: Vec<i64> = read.iter().map(|record| record.timestamp).collect();
        assert_eq!(times, [1000, 400, 70_000]);
        assert_eq!(read[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!((read[1].value.as_deref(), read[2].value.as_deref()), (Some(&b"x"[..]), None));
        Ok(())
    }
}
