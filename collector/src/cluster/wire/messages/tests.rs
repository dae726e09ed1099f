//! Bytes that the Java classes of Apache Kafka 4.3.0 wrote.

use super::*;

/// An application with one subtopology, which reads `in`, `by` and its own `r`, and one that is
/// not there (69).
pub(in crate::cluster::wire) const STREAMS_GROUPS: &[u8] =
    b"\x00\x00\x00\x01\x03\x00\x00\x00\x04app\x07Stable\x00\x00\x00\x04\x00\x00\x00\x04\x01\x00\
    \x00\x00\x01\x02\x020\x03\x03in\x03by\x02\x02s\x02\x02r\x00\x00\x00\x02\x00\x01\x02\x02k\x02\
    v\x00\x00\x02\x02r\x00\x00\x00\x02\x00\x01\x02\x02k\x02v\x00\x00\x00\x00\x02\x02m\x00\x00\
    \x00\x03\x02i\x00\x02c\x03/h\x00\x00\x00\x01\x02p\x01\x02e\x00P\x00\x02\x02k\x02v\x00\x02\
    \x020\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x02\x020\x00\x00\x00\x01\x00\x00\
    \x00\x00\x00\x00\x00\x05\x00\x02\x020\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x020\x02\
    \x00\x00\x00\x07\x00\x02\x020\x02\x00\x00\x00\x07\x00\x00\x02\x020\x03\x00\x00\x00\x00\x00\
    \x00\x00\x01\x00\x02\x020\x02\x00\x00\x00\x07\x00\x02\x020\x02\x00\x00\x00\x07\x00\x00\x00\
    \x00\xff\xff\xff\xff\x00\x00E\x03no\x05gone\x01\x00\x00\x00\x00\x00\x00\x00\x00\xff\x01\x80\
    \x00\x00\x00\x00\x00";

/// A group at 40 of partition 0 (with 55 to go in version 1), not yet set in 1, not allowed in 2
/// (29); and a group that is not allowed (30). By version.
pub(in crate::cluster::wire) const SHARE_OFFSETS: [&[u8]; 2] = [
    b"\x00\x00\x00\x01\x03\x03sg\x02\x02t\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x00\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00(\x00\x00\x00\x02\x00\x00\x00\x00\
    \x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1d\x03no\x00\x00\x00\x00\x00\x00\
    \x03no\x01\x00\x1e\x03no\x00\x00",
    b"\x00\x00\x00\x01\x03\x03sg\x02\x02t\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x00\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00(\x00\x00\x00\x02\x00\x00\x00\x00\
    \x00\x00\x007\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\
    \x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x1d\x03no\x00\x00\x00\x00\x00\
    \x00\x03no\x01\x00\x1e\x03no\x00\x00",
];

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn written<R: Ask>(request: &R, version: i16) -> BytesMut {
    let mut frame = BytesMut::new();
    request.write(&mut frame, version).expect("it encodes");
    frame
}

#[test]
fn requests_are_written_as_kafkas_own_client_writes_them() {
    let streams = StreamsGroupDescribeRequest { group_ids: groups(&["g1", "g2"]) };
    assert_eq!(written(&streams, 0)[..], b"\x03\x03g1\x03g2\x00\x00"[..]);
    let share = DescribeShareGroupOffsetsRequest { group_ids: groups(&["g1", "g2"]) };
    for version in [0, 1] {
        assert_eq!(written(&share, version)[..], b"\x03\x03g1\x00\x00\x03g2\x00\x00\x00"[..]);
    }
}

#[test]
fn a_streams_group_is_read_with_its_topology_and_its_active_tasks() {
    let mut body = Bytes::from_static(STREAMS_GROUPS);
    let read = StreamsGroupDescribeRequest::read(&mut body, 0).expect("it decodes");
    assert!(body.is_empty(), "{} bytes are left", body.len());
    let app = StreamsGroup {
        error_code: 0,
        group_id: "app".to_owned(),
        state: "Stable".to_owned(),
        subtopologies: vec![Subtopology { id: "0".to_owned(), source_topics: groups(&["in", "by", "r"]) }],
        members: vec![StreamsMember { active_tasks: vec![("0".to_owned(), vec![0, 1])] }],
    };
    let gone = StreamsGroup { error_code: 69, group_id: "gone".to_owned(), ..StreamsGroup::default() };
    assert_eq!(read, [app, gone]);
}

#[test]
fn share_offsets_are_read_with_their_lag_where_the_version_has_it() {
    for (version, lag) in [(0, -1), (1, 55)] {
        let mut body = Bytes::from_static(SHARE_OFFSETS[version]);
        let read = DescribeShareGroupOffsetsRequest::read(&mut body, version as i16).expect("it decodes");
        assert!(body.is_empty(), "{} bytes are left", body.len());
        let at = |partition, start_offset, lag, error_code| SharePartition {
            partition,
            start_offset,
            lag,
            error_code,
        };
        let partitions = vec![at(0, 40, lag, 0), at(1, -1, -1, 0), at(2, 0, -1, 29)];
        let known = ShareGroupOffsets {
            group_id: "sg".to_owned(),
            error_code: 0,
            topics: vec![("t".to_owned(), partitions)],
        };
        let refused = ShareGroupOffsets { group_id: "no".to_owned(), error_code: 30, topics: Vec::new() };
        assert_eq!(read, [known, refused]);
    }
}
