//! Every version of every answer, whole and damaged.

use super::*;
use crate::cluster::wire::messages::{
    Ask as _, DescribeShareGroupOffsetsRequest, StreamsGroupDescribeRequest, tests as golden,
};
use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

const ELEMENTS: usize = 10_000;

fn text(s: &'static str) -> StrBytes {
    StrBytes::from_static_str(s)
}

/// A message with something in every array, for every version that we ask for.
fn full_answers() -> Vec<(i16, i16, BytesMut)> {
    use kafka_protocol::messages::{
        consumer_group_describe_response as kip848, describe_configs_response as configs,
        describe_groups_response as classic, describe_log_dirs_response as log_dirs,
        describe_producers_response as producers, describe_transactions_response as transactions,
        fetch_response as fetch, find_coordinator_response as coordinator, list_groups_response as list,
        list_offsets_response as offsets, list_transactions_response as open, metadata_response as metadata,
        offset_fetch_response as commits, share_group_describe_response as share,
    };
    let mut all = Vec::new();
    let mut put = |key: ApiKey, encode: &dyn Fn(i16) -> BytesMut| {
        let shape = of(key as i16).expect("a shape");
        for version in shape.min..=shape.max {
            all.push((key as i16, version, encode(version)));
        }
    };
    fn encoded<M: Encodable>(message: &M, version: i16) -> BytesMut {
        let mut buffer = BytesMut::new();
        message.encode(&mut buffer, version).expect("encodes");
        buffer
    }
    put(ApiKey::ApiVersions, &|v| {
        encoded(
            &ApiVersionsResponse::default()
                .with_api_keys(vec![api_versions_response::ApiVersion::default(); 3]),
            v,
        )
    });
    put(ApiKey::Metadata, &|v| {
        let partition = metadata::MetadataResponsePartition::default()
            .with_replica_nodes(vec![1.into(), 2.into()])
            .with_isr_nodes(vec![1.into()]);
        let topic = metadata::MetadataResponseTopic::default()
            .with_name(Some(TopicName(text("orders"))))
            .with_partitions(vec![partition; 3]);
        let broker = metadata::MetadataResponseBroker::default().with_host(text("b1"));
        encoded(
            &MetadataResponse::default()
                .with_brokers(vec![broker; 2])
                .with_cluster_id(if v >= 2 { Some(text("id")) } else { None })
                .with_topics(vec![topic; 2]),
            v,
        )
    });
    put(ApiKey::FindCoordinator, &|v| {
        let one = coordinator::Coordinator::default().with_key(text("g"));
        let message = FindCoordinatorResponse::default();
        if v >= 4 {
            encoded(&message.with_coordinators(vec![one; 2]), v)
        } else {
            encoded(&message.with_host(text("b1")), v)
        }
    });
    put(ApiKey::ListGroups, &|v| {
        let mut group = list::ListedGroup::default().with_group_id(GroupId(text("g")));
        if v >= 4 {
            group = group.with_group_state(text("Stable"));
        }
        if v >= 5 {
            group = group.with_group_type(text("consumer"));
        }
        encoded(&ListGroupsResponse::default().with_groups(vec![group; 2]), v)
    });
    put(ApiKey::DescribeGroups, &|v| {
        let member = classic::DescribedGroupMember::default()
            .with_member_id(text("m"))
            .with_member_assignment(bytes::Bytes::from_static(b"abc"));
        let group = classic::DescribedGroup::default()
            .with_group_id(GroupId(text("g")))
            .with_members(vec![member; 2]);
        encoded(&DescribeGroupsResponse::default().with_groups(vec![group; 2]), v)
    });
    put(ApiKey::ConsumerGroupDescribe, &|v| {
        let partitions = kip848::TopicPartitions::default()
            .with_topic_name(TopicName(text("orders")))
            .with_partitions(vec![0, 1]);
        let assignment = kip848::Assignment::default().with_topic_partitions(vec![partitions; 2]);
        let member = kip848::Member::default()
            .with_subscribed_topic_names(vec![TopicName(text("orders"))])
            .with_assignment(assignment.clone())
            .with_target_assignment(assignment);
        let group = kip848::DescribedGroup::default().with_members(vec![member; 2]);
        encoded(&ConsumerGroupDescribeResponse::default().with_groups(vec![group; 2]), v)
    });
    put(ApiKey::ShareGroupDescribe, &|v| {
        let member = share::Member::default().with_subscribed_topic_names(vec![TopicName(text("orders"))]);
        let group = share::DescribedGroup::default().with_members(vec![member; 2]);
        encoded(&ShareGroupDescribeResponse::default().with_groups(vec![group; 2]), v)
    });
    put(ApiKey::OffsetFetch, &|v| {
        let message = OffsetFetchResponse::default();
        if v >= 8 {
            let topic = commits::OffsetFetchResponseTopics::default()
                .with_partitions(vec![commits::OffsetFetchResponsePartitions::default(); 2]);
            let group = commits::OffsetFetchResponseGroup::default().with_topics(vec![topic; 2]);
            encoded(&message.with_groups(vec![group; 2]), v)
        } else {
            let topic = commits::OffsetFetchResponseTopic::default()
                .with_partitions(vec![commits::OffsetFetchResponsePartition::default(); 2]);
            encoded(&message.with_topics(vec![topic; 2]), v)
        }
    });
    put(ApiKey::ListOffsets, &|v| {
        let topic = offsets::ListOffsetsTopicResponse::default()
            .with_partitions(vec![offsets::ListOffsetsPartitionResponse::default(); 2]);
        encoded(&ListOffsetsResponse::default().with_topics(vec![topic; 2]), v)
    });
    put(ApiKey::Fetch, &|v| {
        let partition = fetch::PartitionData::default()
            .with_aborted_transactions(Some(vec![fetch::AbortedTransaction::default(); 2]))
            .with_records(Some(bytes::Bytes::from_static(b"batch")));
        let topic = fetch::FetchableTopicResponse::default().with_partitions(vec![partition]);
        encoded(&FetchResponse::default().with_responses(vec![topic; 2]), v)
    });
    put(ApiKey::DescribeConfigs, &|v| {
        let synonym = configs::DescribeConfigsSynonym::default().with_name(text("log.cleanup.policy"));
        let config = configs::DescribeConfigsResourceResult::default()
            .with_name(text("cleanup.policy"))
            .with_value(Some(text("compact")))
            .with_synonyms(vec![synonym; 2]);
        let topic = configs::DescribeConfigsResult::default()
            .with_resource_name(text("orders"))
            .with_configs(vec![config; 2]);
        encoded(&DescribeConfigsResponse::default().with_results(vec![topic; 2]), v)
    });
    put(ApiKey::DescribeLogDirs, &|v| {
        let partition = log_dirs::DescribeLogDirsPartition::default().with_partition_size(7);
        let topic = log_dirs::DescribeLogDirsTopic::default()
            .with_name(TopicName(text("orders")))
            .with_partitions(vec![partition; 2]);
        let folder = log_dirs::DescribeLogDirsResult::default()
            .with_log_dir(text("/data"))
            .with_topics(vec![topic; 2]);
        encoded(&DescribeLogDirsResponse::default().with_results(vec![folder; 2]), v)
    });
    put(ApiKey::DescribeProducers, &|v| {
        let partition = producers::PartitionResponse::default()
            .with_active_producers(vec![producers::ProducerState::default(); 2]);
        let topic = producers::TopicResponse::default()
            .with_name(TopicName(text("orders")))
            .with_partitions(vec![partition; 2]);
        encoded(&DescribeProducersResponse::default().with_topics(vec![topic; 2]), v)
    });
    put(ApiKey::ListTransactions, &|v| {
        let one = open::TransactionState::default()
            .with_transactional_id(TransactionalId(text("t")))
            .with_transaction_state(text("Ongoing"));
        encoded(
            &ListTransactionsResponse::default()
                .with_unknown_state_filters(vec![text("odd"); 2])
                .with_transaction_states(vec![one; 2]),
            v,
        )
    });
    put(ApiKey::DescribeTransactions, &|v| {
        let topic = transactions::TopicData::default()
            .with_topic(TopicName(text("orders")))
            .with_partitions(vec![0, 1]);
        let one = transactions::TransactionState::default()
            .with_transactional_id(TransactionalId(text("t")))
            .with_topics(vec![topic; 2]);
        encoded(&DescribeTransactionsResponse::default().with_transaction_states(vec![one; 2]), v)
    });
    put(ApiKey::SaslHandshake, &|v| {
        encoded(&SaslHandshakeResponse::default().with_mechanisms(vec![text("PLAIN"); 2]), v)
    });
    put(ApiKey::SaslAuthenticate, &|v| encoded(&SaslAuthenticateResponse::default(), v));
    put(ApiKey::DescribeShareGroupOffsets, &|v| BytesMut::from(golden::SHARE_OFFSETS[v as usize]));
    all.push((StreamsGroupDescribeRequest::KEY, 0, BytesMut::from(golden::STREAMS_GROUPS)));
    all
}

#[test]
fn every_version_of_every_answer_walks_to_its_last_byte() {
    for (key, version, body) in full_answers() {
        let shape = of(key).expect("a shape");
        let mut walk = Walk {
            body: &body,
            at: 0,
            version,
            flexible: version >= shape.flexible,
            elements_left: ELEMENTS,
            throttle_ms: 0,
        };
        walk.fields(shape.fields).unwrap_or_else(|why| panic!("{} v{version}: {why}", shape.name));
        assert_eq!(walk.at, body.len(), "{} v{version}", shape.name);
        for cut in 0..body.len() {
            assert!(
                check(shape, version, &body[..cut], ELEMENTS).is_err(),
                "{} v{version} cut at {cut}",
                shape.name
            );
        }
    }
}

#[test]
fn the_throttle_time_of_an_answer_is_told() {
    let mut told = 0;
    for (key, version, mut body) in full_answers() {
        let shape = of(key).expect("a shape");
        let named = shape.fields.first().filter(|f| matches!(f.kind, Throttle) && f.since <= version);
        if named.is_some() {
            body[..4].copy_from_slice(&1234i32.to_be_bytes());
            told += 1;
        }
        let expected = if named.is_some() { 1234 } else { 0 };
        assert_eq!(check(shape, version, &body, ELEMENTS), Ok(expected), "{} v{version}", shape.name);
    }
    assert!(told > 30, "{told}");
}

#[test]
fn a_claim_of_two_billion_elements_is_refused() {
    let shape = of(ApiKey::ListGroups as i16).expect("a shape");
    let mut body = vec![0, 0, 0, 0, 0, 0];
    body.extend(i32::MAX.to_be_bytes());
    let why = check(shape, 2, &body, ELEMENTS).expect_err("it lies");
    assert!(why.contains("too early"), "{why}");
}

#[test]
fn the_elements_of_an_answer_are_bounded() {
    let shape = of(ApiKey::ApiVersions as i16).expect("a shape");
    let mut body = vec![0, 0];
    body.extend(50i32.to_be_bytes());
    body.extend([0; 300]);
    assert!(check(shape, 0, &body, 50).is_ok());
    assert!(check(shape, 0, &body, 49).expect_err("too many").contains("more elements"));
}

fn decode(key: i16, version: i16, mut body: bytes::Bytes) {
    if key == StreamsGroupDescribeRequest::KEY {
        return drop(StreamsGroupDescribeRequest::read(&mut body, version));
    }
    if key == DescribeShareGroupOffsetsRequest::KEY {
        return drop(DescribeShareGroupOffsetsRequest::read(&mut body, version));
    }
    macro_rules! decode_as {
        ($($name:ident => $answer:ty),* $(,)?) => {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$name) => drop(<$answer>::decode(&mut body, version)),)*
                other => panic!("no decoder for {other:?}"),
            }
        };
    }
    decode_as! {
        ApiVersions => ApiVersionsResponse,
        Metadata => MetadataResponse,
        FindCoordinator => FindCoordinatorResponse,
        ListGroups => ListGroupsResponse,
        DescribeGroups => DescribeGroupsResponse,
        ConsumerGroupDescribe => ConsumerGroupDescribeResponse,
        ShareGroupDescribe => ShareGroupDescribeResponse,
        OffsetFetch => OffsetFetchResponse,
        ListOffsets => ListOffsetsResponse,
        Fetch => FetchResponse,
        DescribeConfigs => DescribeConfigsResponse,
        DescribeLogDirs => DescribeLogDirsResponse,
        DescribeProducers => DescribeProducersResponse,
        ListTransactions => ListTransactionsResponse,
        DescribeTransactions => DescribeTransactionsResponse,
        SaslHandshake => SaslHandshakeResponse,
        SaslAuthenticate => SaslAuthenticateResponse,
    }
}

proptest! {
    /// Whatever passes the walk can be decoded without harm; whatever else is refused.
    #[test]
    fn damaged_answers_never_panic(
        pick in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let answers = full_answers();
        let (key, version, body) = &answers[pick.index(answers.len())];
        let mut body = body.to_vec();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let shape = of(*key).expect("a shape");
        if check(shape, *version, &body, ELEMENTS).is_ok() {
            decode(*key, *version, bytes::Bytes::from(body));
        }
    }
}
