//! Fills a cluster: topics, records, groups with and without members, and their commits.
//!
//! Everything is a function of the sizes, so that what is read can be held against what was
//! written.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    CreateTopicsRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest, MetadataRequest,
    OffsetCommitRequest, ProduceRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use lab::Entry;
use lab::wire::text;
use tokio::runtime::Handle;

use crate::client::Client;

/// Records in each partition.
const RECORDS: usize = 10;
/// Partitions created, or produced to, by one request.
const PARTITIONS_A_REQUEST: usize = 2_000;
/// Commits wait for the broker's log, one a connection: many connections.
const CONNECTIONS: usize = 64;
/// Members send no heartbeats: as long as brokers allow.
const SESSION_MS: i32 = 1_800_000;
/// For what takes the broker a while: leaders, coordinators.
const PATIENCE: Duration = Duration::from_secs(300);

/// What there is to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) groups: usize,
    /// Of these, groups with a member.
    pub(crate) active: usize,
    pub(crate) partitions: usize,
    pub(crate) topic_partitions: usize,
    pub(crate) commits_per_group: usize,
}

impl Sizes {
    pub(crate) fn group_partitions(&self) -> usize {
        self.groups * self.commits_per_group
    }

    /// The sum of all lags, by what is committed.
    pub(crate) fn lag_sum(&self) -> usize {
        (0..self.groups)
            .map(|g| self.places(g).map(|place| RECORDS - committed(g, place)).sum::<usize>())
            .sum()
    }

    fn topics(&self) -> impl Iterator<Item = (String, usize)> + '_ {
        (0..self.partitions.div_ceil(self.topic_partitions))
            .map(|t| (topic_name(t), self.topic_partitions.min(self.partitions - t * self.topic_partitions)))
    }

    /// The partitions that a group reads, counted through all topics.
    fn places(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.commits_per_group).map(move |n| (group * self.commits_per_group + n) % self.partitions)
    }

    /// The same by topic.
    fn places_by_topic(&self, group: usize) -> BTreeMap<String, Vec<(usize, i32)>> {
        let mut by_topic: BTreeMap<String, Vec<(usize, i32)>> = BTreeMap::new();
        for place in self.places(group) {
            let index = (place % self.topic_partitions) as i32;
            by_topic.entry(topic_name(place / self.topic_partitions)).or_default().push((place, index));
        }
        by_topic
    }
}

fn topic_name(topic: usize) -> String {
    format!("bench.topic-{topic:05}")
}

fn group_name(group: usize) -> String {
    format!("bench-consumers-{group:06}")
}

fn committed(group: usize, place: usize) -> usize {
    (group + place) % (RECORDS + 1)
}

/// Addresses of the brokers by id.
type Brokers = BTreeMap<i32, String>;

/// Makes everything; gives how long it took.
pub(crate) fn fill(bootstrap: &str, sizes: &Sizes) -> Result<Duration> {
    let began = Instant::now();
    let first = bootstrap.split(',').next().context("an address")?;
    let runtime = Handle::current();
    let mut client = Client::connect(first, &runtime)?;
    create_topics(&mut client, sizes)?;
    let (brokers, leaders) = leaders(&mut client, sizes.partitions)?;
    produce(&brokers, leaders, &runtime)?;
    let coordinators = coordinators(&mut client, sizes.groups)?;
    commit(&brokers, &coordinators, sizes, &runtime)?;
    Ok(began.elapsed())
}

fn create_topics(client: &mut Client, sizes: &Sizes) -> Result<()> {
    let topics: Vec<CreatableTopic> = sizes
        .topics()
        .map(|(name, partitions)| {
            CreatableTopic::default()
                .with_name(TopicName(text(&name)))
                .with_num_partitions(partitions as i32)
                .with_replication_factor(1)
        })
        .collect();
    for chunk in topics.chunks((PARTITIONS_A_REQUEST / sizes.topic_partitions).max(1)) {
        let request = CreateTopicsRequest::default().with_topics(chunk.to_vec()).with_timeout_ms(120_000);
        for topic in client.call(&request, 5)?.topics {
            ensure!(topic.error_code == 0, "create {:?}: error {}", topic.name, topic.error_code);
        }
    }
    Ok(())
}

type Leaders = BTreeMap<(String, i32), i32>;

/// The leader of every partition, once all have one.
fn leaders(client: &mut Client, expected: usize) -> Result<(Brokers, Leaders)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.call(&MetadataRequest::default().with_topics(None), 9)?;
        let mut leaders = BTreeMap::new();
        for topic in answer.topics {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            if name.starts_with("bench.") {
                let led = topic.partitions.iter().filter(|p| p.leader_id.0 >= 0);
                leaders.extend(led.map(|p| ((name.clone(), p.partition_index), p.leader_id.0)));
            }
        }
        if leaders.len() == expected {
            let brokers =
                answer.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host.as_str(), b.port)));
            return Ok((brokers.collect(), leaders));
        }
        ensure!(Instant::now() < deadline, "{} of {expected} partitions have a leader", leaders.len());
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn produce(brokers: &Brokers, leaders: BTreeMap<(String, i32), i32>, runtime: &Handle) -> Result<()> {
    let at_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let entry = Entry { value: Some(b"a record of the bench".to_vec()), ..Entry::at(at_ms) };
    let batch = lab::wire::batch(&vec![entry; RECORDS])?;
    let deadline = Instant::now() + PATIENCE;
    let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
    for (partition, leader) in leaders {
        by_leader.entry(leader).or_default().push(partition);
    }
    for (leader, partitions) in by_leader {
        let mut client = Client::connect(&brokers[&leader], runtime)?;
        for chunk in partitions.chunks(PARTITIONS_A_REQUEST) {
            let mut left = chunk.to_vec();
            while !left.is_empty() {
                left = produce_once(&mut client, &left, &batch)?;
                ensure!(Instant::now() < deadline, "{} partitions take no records", left.len());
            }
        }
    }
    Ok(())
}

/// Gives the partitions whose leader does not know yet that it is.
fn produce_once(
    client: &mut Client,
    partitions: &[(String, i32)],
    batch: &Bytes,
) -> Result<Vec<(String, i32)>> {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
    for (topic, index) in partitions {
        let data = PartitionProduceData::default().with_index(*index).with_records(Some(batch.clone()));
        topics.entry(topic).or_default().push(data);
    }
    let topics = topics.into_iter().map(|(topic, data)| {
        TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(data)
    });
    let request =
        ProduceRequest::default().with_acks(1).with_timeout_ms(120_000).with_topic_data(topics.collect());
    let mut again = Vec::new();
    for topic in client.call(&request, 9)?.responses {
        for partition in topic.partition_responses {
            match partition.error_code {
                0 => {}
                3 | 5 | 6 => again.push((topic.name.to_string(), partition.index)),
                code => bail!("produce: error {code}"),
            }
        }
    }
    if !again.is_empty() {
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(again)
}

/// The coordinator of every group. The first request makes the broker create `__consumer_offsets`.
fn coordinators(client: &mut Client, groups: usize) -> Result<Vec<i32>> {
    let deadline = Instant::now() + PATIENCE;
    let names: Vec<StrBytes> = (0..groups).map(|g| text(&group_name(g))).collect();
    let mut found = Vec::with_capacity(groups);
    for chunk in names.chunks(1_000) {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(chunk.to_vec());
        loop {
            let answer = client.call(&request, 4)?.coordinators;
            if answer.iter().all(|c| c.error_code == 0) {
                let by_name: BTreeMap<&str, i32> =
                    answer.iter().map(|c| (c.key.as_str(), c.node_id.0)).collect();
                found.extend(chunk.iter().filter_map(|name| by_name.get(name.as_str())));
                break;
            }
            ensure!(Instant::now() < deadline, "some groups have no coordinator");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    ensure!(found.len() == groups, "coordinators of {} groups of {groups}", found.len());
    Ok(found)
}

fn commit(brokers: &Brokers, coordinators: &[i32], sizes: &Sizes, runtime: &Handle) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let work = || -> Result<()> {
        let mut clients = BTreeMap::new();
        for (&id, address) in brokers {
            clients.insert(id, Client::connect(address, runtime)?);
        }
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            let Some(coordinator) = coordinators.get(group) else { return Ok(()) };
            let client = clients.get_mut(coordinator).context("an unknown coordinator")?;
            make_group(client, sizes, group).with_context(|| group_name(group))?;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                if let Err(error) = work() {
                    failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn make_group(client: &mut Client, sizes: &Sizes, group: usize) -> Result<()> {
    let places = sizes.places_by_topic(group);
    // Spread evenly, so that members are not all on the groups that come first by name.
    let has_member = group * sizes.active / sizes.groups != (group + 1) * sizes.active / sizes.groups;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let member = if has_member { join(client, group, &places)? } else { Some((StrBytes::default(), -1)) };
        let done = match member {
            Some((member, generation)) => commit_once(client, group, &places, member, generation)?,
            None => false,
        };
        if done {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the coordinator does not come up");
        std::thread::sleep(Duration::from_millis(200));
    }
}

type Places = BTreeMap<String, Vec<(usize, i32)>>;

/// Is the coordinator still loading or being created? Any other code is an error.
fn passing(code: i16) -> Result<bool> {
    match code {
        0 => Ok(false),
        14..=16 => Ok(true),
        code => bail!("error {code}"),
    }
}

/// A member of the classic protocol that holds everything; `None` while the coordinator moves.
fn join(client: &mut Client, group: usize, places: &Places) -> Result<Option<(StrBytes, i32)>> {
    let mut subscription = BytesMut::new();
    let mut assignment = BytesMut::new();
    for bytes in [&mut subscription, &mut assignment] {
        bytes.put_i16(0);
        bytes.put_i32(places.len() as i32);
    }
    for (topic, partitions) in places {
        for bytes in [&mut subscription, &mut assignment] {
            bytes.put_i16(topic.len() as i16);
            bytes.put_slice(topic.as_bytes());
        }
        assignment.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|(_, index)| assignment.put_i32(*index));
    }
    for bytes in [&mut subscription, &mut assignment] {
        bytes.put_i32(-1);
    }
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(subscription.freeze());
    let id = GroupId(text(&group_name(group)));
    // Version 3: later ones join in two steps (KIP-394).
    let request = JoinGroupRequest::default()
        .with_group_id(id.clone())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    let joined = client.call(&request, 3)?;
    if passing(joined.error_code).context("join")? {
        return Ok(None);
    }
    let assignments = vec![
        SyncGroupRequestAssignment::default()
            .with_member_id(joined.member_id.clone())
            .with_assignment(assignment.freeze()),
    ];
    let request = SyncGroupRequest::default()
        .with_group_id(id)
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(assignments);
    if passing(client.call(&request, 2)?.error_code).context("sync")? {
        return Ok(None);
    }
    Ok(Some((joined.member_id, joined.generation_id)))
}

/// False while the coordinator moves: such a commit is lost.
fn commit_once(
    client: &mut Client,
    group: usize,
    places: &Places,
    member: StrBytes,
    generation: i32,
) -> Result<bool> {
    let topics = places.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|(place, index)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*index)
                .with_committed_offset(committed(group, *place) as i64)
        });
        OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(partitions.collect())
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(&group_name(group))))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(member)
        .with_topics(topics.collect());
    for partition in client.call(&request, 8)?.topics.iter().flat_map(|t| &t.partitions) {
        if passing(partition.error_code).context("commit")? {
            return Ok(false);
        }
    }
    Ok(true)
}
