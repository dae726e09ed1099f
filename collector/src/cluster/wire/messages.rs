//! Requests that `kafka-protocol` lacks, by hand: streams groups (KIP-1071), and the offsets of
//! share groups in the version that has their lag (KIP-1226).
//!
//! Only what the watcher uses is kept of an answer. Field orders are those of Apache Kafka 4.3's
//! own message schemas; the tests hold bytes that its Java classes wrote.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut, TryGetError};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _, Request};

/// What a connection must know of a request: how it is written, and how its answer is read.
pub(crate) trait Ask {
    /// Kafka's number for it.
    const KEY: i16;
    /// What comes back.
    type Answer;

    /// Version of the header that goes before the request, and of the one before its answer.
    fn header_versions(version: i16) -> (i16, i16);

    /// Writes the body.
    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), String>;

    /// Reads the body of an answer, which has been walked along its shape before.
    fn read(body: &mut Bytes, version: i16) -> Result<Self::Answer, String>;
}

impl<R: Request> Ask for R {
    const KEY: i16 = <R as Request>::KEY;
    type Answer = R::Response;

    fn header_versions(version: i16) -> (i16, i16) {
        (R::header_version(version), R::Response::header_version(version))
    }

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), String> {
        self.encode(frame, version).map_err(|error| error.to_string())
    }

    fn read(body: &mut Bytes, version: i16) -> Result<R::Response, String> {
        R::Response::decode(body, version).map_err(|error| error.to_string())
    }
}

/// StreamsGroupDescribe, version 0 (KIP-1071).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamsGroupDescribeRequest {
    pub(crate) group_ids: Vec<String>,
}

/// A streams group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamsGroup {
    pub(crate) error_code: i16,
    pub(crate) group_id: String,
    pub(crate) state: String,
    /// Empty while no member has told its topology yet.
    pub(crate) subtopologies: Vec<Subtopology>,
    pub(crate) members: Vec<StreamsMember>,
}

/// A part of a topology, and the topics it reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Subtopology {
    pub(crate) id: String,
    /// Of others, and written by another part of the same topology.
    pub(crate) source_topics: Vec<String>,
}

/// A member, by the tasks that it works on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamsMember {
    /// (subtopology, partitions): standby and warm-up tasks read no source topics.
    pub(crate) active_tasks: Vec<(String, Vec<i32>)>,
}

impl StreamsGroupDescribeRequest {
    /// Kafka's number for it.
    pub(in crate::cluster::wire) const KEY: i16 = 89;
}

impl Ask for StreamsGroupDescribeRequest {
    const KEY: i16 = Self::KEY;
    type Answer = Vec<StreamsGroup>;

    fn header_versions(_: i16) -> (i16, i16) {
        (2, 1)
    }

    fn write(&self, frame: &mut BytesMut, _: i16) -> Result<(), String> {
        write_len(frame, self.group_ids.len())?;
        for group in &self.group_ids {
            write_text(frame, group)?;
        }
        // Authorized operations are not asked for; no tagged fields.
        frame.put_slice(&[0, 0]);
        Ok(())
    }

    fn read(body: &mut Bytes, _: i16) -> Result<Self::Answer, String> {
        let mut read = Read::new(body);
        read.i32()?;
        let groups = read.each(|read| {
            let error_code = read.i16()?;
            read.text()?;
            let (group_id, state) = (read.text()?, read.text()?);
            read.i32()?;
            read.i32()?;
            let subtopologies = read.maybe(|read| {
                read.i32()?;
                let subtopologies = read.each(Read::subtopology)?;
                read.tagged_fields().map(|()| subtopologies)
            })?;
            let members = read.each(Read::streams_member)?;
            read.i32()?;
            read.tagged_fields()?;
            let subtopologies = subtopologies.unwrap_or_default();
            Ok(StreamsGroup { error_code, group_id, state, subtopologies, members })
        })?;
        read.tagged_fields()?;
        let left = read.left();
        body.advance(body.len() - left);
        Ok(groups)
    }
}

/// DescribeShareGroupOffsets of all topics of some groups (KIP-932): version 0 says where the
/// groups are, version 1 (KIP-1226, Kafka 4.2) how far behind as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DescribeShareGroupOffsetsRequest {
    pub(crate) group_ids: Vec<String>,
}

/// The progress of a share group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShareGroupOffsets {
    pub(crate) group_id: String,
    pub(crate) error_code: i16,
    /// (topic, its partitions)
    pub(crate) topics: Vec<(String, Vec<SharePartition>)>,
}

/// The progress of a share group in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SharePartition {
    pub(crate) partition: i32,
    /// The share-partition start offset: everything before it is done with. −1: not set yet.
    pub(crate) start_offset: i64,
    /// Records from there to the end that are not done with; −1: not known.
    pub(crate) lag: i64,
    pub(crate) error_code: i16,
}

impl Ask for DescribeShareGroupOffsetsRequest {
    const KEY: i16 = ApiKey::DescribeShareGroupOffsets as i16;
    type Answer = Vec<ShareGroupOffsets>;

    fn header_versions(_: i16) -> (i16, i16) {
        (2, 1)
    }

    fn write(&self, frame: &mut BytesMut, _: i16) -> Result<(), String> {
        write_len(frame, self.group_ids.len())?;
        for group in &self.group_ids {
            write_text(frame, group)?;
            // Null is all topics; no tagged fields.
            frame.put_slice(&[0, 0]);
        }
        frame.put_u8(0);
        Ok(())
    }

    fn read(body: &mut Bytes, version: i16) -> Result<Self::Answer, String> {
        let mut read = Read::new(body);
        read.i32()?;
        let groups = read.each(|read| {
            let group_id = read.text()?;
            let topics = read.each(|read| {
                let topic = read.text()?;
                read.uuid()?;
                let partitions = read.each(|read| read.share_partition(version))?;
                read.tagged_fields().map(|()| (topic, partitions))
            })?;
            let error_code = read.i16()?;
            read.text()?;
            read.tagged_fields()?;
            Ok(ShareGroupOffsets { group_id, error_code, topics })
        })?;
        read.tagged_fields()?;
        let left = read.left();
        body.advance(body.len() - left);
        Ok(groups)
    }
}

/// A compact length: one more than it is, as an unsigned varint (KIP-482).
pub(super) fn write_len(frame: &mut BytesMut, len: usize) -> Result<(), String> {
    let mut left = u32::try_from(len + 1).map_err(|error| error.to_string())?;
    while left >= 0x80 {
        frame.put_u8((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    frame.put_u8(left as u8);
    Ok(())
}

pub(super) fn write_text(frame: &mut BytesMut, text: &str) -> Result<(), String> {
    write_len(frame, text.len())?;
    frame.put_slice(text.as_bytes());
    Ok(())
}

fn short(_: TryGetError) -> String {
    "it ends too early".to_owned()
}

/// Reads a flexible body field by field.
pub(super) struct Read<'a>(&'a [u8]);

impl<'a> Read<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// How many bytes have not been read.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    fn i8(&mut self) -> Result<i8, String> {
        self.0.try_get_i8().map_err(short)
    }

    pub(super) fn i16(&mut self) -> Result<i16, String> {
        self.0.try_get_i16().map_err(short)
    }

    pub(super) fn i32(&mut self) -> Result<i32, String> {
        self.0.try_get_i32().map_err(short)
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        self.0.try_get_i64().map_err(short)
    }

    /// As the walk along the shape reads it, overlong encodings included.
    fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.0.try_get_u8().map_err(short)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn bytes(&mut self, len: u32) -> Result<&'a [u8], String> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.0.split_off(..len).ok_or_else(|| "it ends too early".to_owned())
    }

    fn uuid(&mut self) -> Result<(), String> {
        self.i64()?;
        self.i64().map(|_| ())
    }

    /// Null is as good as empty here.
    fn text(&mut self) -> Result<String, String> {
        self.str().map(str::to_owned)
    }

    /// The same, where it stands.
    pub(super) fn str(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.skip_text()?).map_err(|_| "a name is not UTF-8".to_owned())
    }

    /// A text that nobody looks at.
    pub(super) fn skip_text(&mut self) -> Result<&'a [u8], String> {
        let len = self.varint()?.saturating_sub(1);
        self.bytes(len)
    }

    /// Null is as good as empty here.
    pub(super) fn each<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let len = self.varint()?;
        (1..len).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, then: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<Option<T>, String> {
        if self.i8()? < 0 { Ok(None) } else { then(self).map(Some) }
    }

    pub(super) fn tagged_fields(&mut self) -> Result<(), String> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let len = self.varint()?;
            self.bytes(len)?;
        }
        Ok(())
    }

    fn subtopology(&mut self) -> Result<Subtopology, String> {
        let id = self.text()?;
        let mut source_topics = self.each(Self::text)?;
        // What it writes to, and where it keeps its state.
        self.each(Self::text)?;
        self.each(Self::topic_info)?;
        source_topics.extend(self.each(Self::topic_info)?);
        self.tagged_fields().map(|()| Subtopology { id, source_topics })
    }

    fn topic_info(&mut self) -> Result<String, String> {
        let name = self.text()?;
        self.i32()?;
        self.i16()?;
        self.each(Self::pair)?;
        self.tagged_fields().map(|()| name)
    }

    fn pair(&mut self) -> Result<(), String> {
        self.text()?;
        self.text()?;
        self.tagged_fields()
    }

    fn streams_member(&mut self) -> Result<StreamsMember, String> {
        self.text()?;
        self.i32()?;
        for _instance_rack_client_host in 0..4 {
            self.text()?;
        }
        self.i32()?;
        self.text()?;
        self.maybe(|read| {
            read.text()?;
            read.i16()?;
            read.tagged_fields()
        })?;
        self.each(Self::pair)?;
        for _reached_and_end in 0..2 {
            self.each(|read| {
                read.text()?;
                read.i32()?;
                read.i64()?;
                read.tagged_fields()
            })?;
        }
        let active_tasks = self.assignment()?;
        let _target = self.assignment()?;
        self.i8()?;
        self.tagged_fields().map(|()| StreamsMember { active_tasks })
    }

    /// Of an assignment its active tasks.
    fn assignment(&mut self) -> Result<Vec<(String, Vec<i32>)>, String> {
        let active = self.each(Self::tasks)?;
        let _standby = self.each(Self::tasks)?;
        let _warm_up = self.each(Self::tasks)?;
        self.tagged_fields().map(|()| active)
    }

    fn tasks(&mut self) -> Result<(String, Vec<i32>), String> {
        let subtopology = self.text()?;
        let partitions = self.each(Self::i32)?;
        self.tagged_fields().map(|()| (subtopology, partitions))
    }

    fn share_partition(&mut self, version: i16) -> Result<SharePartition, String> {
        let (partition, start_offset) = (self.i32()?, self.i64()?);
        self.i32()?;
        let lag = if version >= 1 { self.i64()? } else { -1 };
        let error_code = self.i16()?;
        self.text()?;
        self.tagged_fields()?;
        Ok(SharePartition { partition, start_offset, lag, error_code })
    }
}

#[cfg(test)]
pub(in crate::cluster::wire) mod tests;
