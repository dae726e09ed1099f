//! OffsetFetch of all topics of many groups (versions 8 and 9, KIP-709 and KIP-848).
//!
//! By far the largest answer of a refresh, and most of it is what it was: a group's part is kept as it stands, and read
//! only where it is another than before. (The generic decoder makes an object of ninety bytes for every partition.)

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;

use super::messages::{Ask, Read, write_len, write_text};
use crate::cluster::sorted::{Named, Sorted};

/// By topic and partition the committed offset, or the error code in its place. Where there is no commit, nothing.
pub(crate) type Committed = Named<Sorted<i32, Commit>>;

/// A committed offset, or the error code in its place; no larger than an offset, since there are so many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit(i64);

impl Commit {
    /// `None` where there is no commit: −1 says so.
    pub(crate) fn new(offset: i64, code: i16) -> Option<Self> {
        match (code, offset) {
            (0, ..0) => None,
            (0, offset) => Some(Self(offset)),
            // Offsets are not negative.
            (code, _) => Some(Self(i64::from(code) + i64::MIN / 2)),
        }
    }

    /// An offset, which is not negative.
    #[cfg(test)]
    pub(crate) fn at(offset: i64) -> Self {
        Self(offset)
    }

    /// The offset, or the code.
    pub(crate) fn get(self) -> Result<i64, i16> {
        if self.0 >= 0 { Ok(self.0) } else { Err((self.0 - i64::MIN / 2) as i16) }
    }
}

/// The commits of these groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OffsetFetchAllRequest<'a> {
    pub(crate) group_ids: &'a [String],
}

/// What a broker says of one group, as it stands in the answer: most of it is what it said the last time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told(Bytes);

impl Told {
    /// The very bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What they say. Names that are known already are shared.
    ///
    /// # Errors
    /// Where they do not hold what they claim; the walk along the shape has made sure that they do.
    pub(crate) fn read(&self, names: &mut HashSet<Arc<str>>) -> Result<Committed, String> {
        let mut read = Read::new(&self.0);
        let mut committed = Committed::default();
        read.each(|read| {
            let topic = read.str()?;
            let mut known = Vec::new();
            read.each(|read| {
                known.extend(partition(read)?);
                Ok(())
            })?;
            let known: Sorted<_, _> = known.into_iter().collect();
            if !known.is_empty() {
                let name = names.get(topic).map_or_else(|| Arc::from(topic), Arc::clone);
                names.insert(Arc::clone(&name));
                // Should it speak of a topic twice, the last word holds.
                committed.insert(name, known);
            }
            read.tagged_fields()
        })?;
        Ok(committed)
    }
}

impl Ask for OffsetFetchAllRequest<'_> {
    const KEY: i16 = ApiKey::OffsetFetch as i16;
    /// A group that was asked for, with its commits or its error code.
    type Answer = Vec<(String, Result<Told, i16>)>;

    fn header_versions(_: i16) -> (i16, i16) {
        (2, 1)
    }

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), String> {
        write_len(frame, self.group_ids.len())?;
        for group in self.group_ids {
            write_text(frame, group)?;
            if version >= 9 {
                // Nobody's member: no id, no epoch.
                frame.put_u8(0);
                frame.put_i32(-1);
            }
            // Null is all topics; no tagged fields.
            frame.put_slice(&[0, 0]);
        }
        // Commits of open transactions do not hold ours up; no tagged fields.
        frame.put_slice(&[0, 0]);
        Ok(())
    }

    fn read(body: &mut Bytes, _: i16) -> Result<Self::Answer, String> {
        let mut read = Read::new(body);
        read.i32()?;
        let groups = read.each(|read| {
            let group_id = read.str()?.to_owned();
            let from = body.len() - read.left();
            read.each(|read| {
                read.skip_text()?;
                read.each(|read| partition(read).map(drop))?;
                read.tagged_fields()
            })?;
            let told = Told(body.slice(from..body.len() - read.left()));
            let code = read.i16()?;
            read.tagged_fields()?;
            Ok((group_id, if code == 0 { Ok(told) } else { Err(code) }))
        })?;
        read.tagged_fields()?;
        let left = read.left();
        body.advance(body.len() - left);
        Ok(groups)
    }
}

/// A partition with its commit, if it has one.
fn partition(read: &mut Read<'_>) -> Result<Option<(i32, Commit)>, String> {
    let (index, offset) = (read.i32()?, read.i64()?);
    let _leader_epoch = read.i32()?;
    let _metadata = read.skip_text()?;
    let code = read.i16()?;
    read.tagged_fields()?;
    Ok(Commit::new(offset, code).map(|commit| (index, commit)))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };
    use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
    use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};
    use proptest::prelude::*;

    use super::*;

    fn text(s: &str) -> StrBytes {
        StrBytes::from_string(s.to_owned())
    }

    #[test]
    fn no_commit_is_no_offset() {
        let read = |offset, code| Commit::new(offset, code).map(Commit::get);
        assert_eq!((read(-1, 0), read(i64::MIN, 0)), (None, None));
        for offset in [0, 1, i64::MAX] {
            assert_eq!(read(offset, 0), Some(Ok(offset)));
        }
        for code in [29, -1, 1, i16::MAX, i16::MIN] {
            assert_eq!([read(-1, code), read(5, code)], [Some(Err(code)); 2]);
        }
        assert_eq!(size_of::<(i32, Commit)>(), 16);
    }

    #[test]
    fn the_request_is_that_of_the_library() {
        let group_ids = ["a".to_owned(), "größer".repeat(30)];
        for version in [8, 9] {
            let mut ours = BytesMut::new();
            OffsetFetchAllRequest { group_ids: &group_ids }.write(&mut ours, version).expect("it is written");
            let request = OffsetFetchRequest::decode(&mut ours.freeze(), version).expect("it is read");
            let groups: Vec<&str> = request.groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!(groups, group_ids);
            assert!(request.groups.iter().all(|group| group.topics.is_none()), "all topics");
            assert!(!request.require_stable);
        }
    }

    type Partition = (i32, i64, i16, Option<String>);
    type Topic = (String, Vec<Partition>);

    fn answer(groups: &[(String, i16, Vec<Topic>)]) -> OffsetFetchResponse {
        let partition = |(index, offset, code, metadata): &Partition| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_error_code(*code)
                .with_metadata(metadata.as_deref().map(text))
        };
        let topic = |(name, partitions): &Topic| {
            OffsetFetchResponseTopics::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions.iter().map(partition).collect())
        };
        let group = |(group, code, topics): &(String, i16, Vec<Topic>)| {
            OffsetFetchResponseGroup::default()
                .with_group_id(GroupId(text(group)))
                .with_error_code(*code)
                .with_topics(topics.iter().map(topic).collect())
        };
        OffsetFetchResponse::default().with_groups(groups.iter().map(group).collect())
    }

    proptest! {
        #[test]
        fn the_answer_is_what_the_library_wrote(
            groups in prop::collection::vec(
                ("[a-zé]{0,9}", prop_oneof![4 => Just(0i16), 1 => Just(30)], prop::collection::vec(
                    ("[a-c]{1,2}", prop::collection::vec(
                        (0i32..9, -1i64..5, prop_oneof![4 => Just(0i16), 1 => Just(29)],
                         prop::option::of("[x-z]{0,200}")), 0..5)), 0..4)), 0..4),
            version in 8i16..=9, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = BytesMut::new();
            answer(&groups).encode(&mut bytes, version).expect("it is written");
            let bytes = bytes.freeze();
            let mut body = bytes.clone();
            let read = OffsetFetchAllRequest::read(&mut body, version).expect("it is read");
            prop_assert!(body.is_empty());
            let mut names = HashSet::new();
            let read: Vec<_> = read.into_iter().map(|(group, told)| {
                (group, told.map(|told| told.read(&mut names).expect("what it claims")))
            }).collect();
            let expected: Vec<_> = groups.iter().map(|(group, code, topics)| {
                let mut committed = Committed::default();
                for (topic, partitions) in topics {
                    let known: Sorted<_, _> =
                        partitions.iter().filter_map(|p| Some((p.0, Commit::new(p.1, p.2)?))).collect();
                    if !known.is_empty() {
                        committed.insert(topic.as_str(), known);
                    }
                }
                (group.clone(), if *code == 0 { Ok(committed) } else { Err(*code) })
            }).collect();
            prop_assert_eq!(read, expected);
            let mut cut = bytes.slice(..cut.index(bytes.len()));
            prop_assert!(OffsetFetchAllRequest::read(&mut cut, version).is_err());
        }
    }
}
