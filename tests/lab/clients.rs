//! Small Kafka clients for tests: producers, consumers and topics, by librdkafka.
//!
//! Each call makes a client of its own and is done when the broker has confirmed; for anything special use `rdkafka`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::wait::eventually;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A client configuration with the addresses set.
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// One record to produce.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// `None` is a record without a key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In this order; a name may come twice, a value may be absent.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; `None` lets the client take the present.
    pub timestamp_ms: Option<i64>,
    /// `None` lets the key's hash choose.
    pub partition: Option<i32>,
}

impl Message {
    /// A record with a value alone.
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// The same with a key.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// The same at a time, in milliseconds since 1970.
    pub fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// The same to a partition.
    pub fn to(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}

/// Produces records and waits until all are stored; returns each one's partition and offset, in their order.
pub async fn produce(
    bootstrap: &str,
    topic: &str,
    messages: impl IntoIterator<Item = Message>,
) -> Result<Vec<(i32, i64)>> {
    let mut config = config(bootstrap);
    config
        .set("linger.ms", "5")
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "104857600")
        .set("queue.buffering.max.messages", "200000");
    produce_with(&config, topic, messages).await
}

/// Like [`produce`], with a client's configuration of your own (transactions, compression, credentials).
pub async fn produce_with(
    config: &ClientConfig,
    topic: &str,
    messages: impl IntoIterator<Item = Message>,
) -> Result<Vec<(i32, i64)>> {
    let producer: FutureProducer = config.create()?;
    let mut sent = Vec::new();
    for message in messages {
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic);
        record.key = message.key.as_deref();
        record.payload = message.value.as_deref();
        record.timestamp = message.timestamp_ms;
        record.partition = message.partition;
        if !message.headers.is_empty() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &message.headers {
                headers = headers.insert(Header { key, value: value.as_deref() });
            }
            record.headers = Some(headers);
        }
        loop {
            match producer.send_result(record) {
                Ok(delivery) => break sent.push(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err((error, _)) => {
                    return Err(error).with_context(|| format!("produce to {topic}"));
                }
            }
        }
    }
    let mut stored = Vec::with_capacity(sent.len());
    for delivery in sent {
        let delivery = delivery
            .await
            .map_err(|_| anyhow!("the producer ended before delivery to {topic}"))?
            .map_err(|(error, _)| error)
            .with_context(|| format!("deliver to {topic}"))?;
        stored.push((delivery.partition, delivery.offset));
    }
    Ok(stored)
}

fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(bootstrap).create()?)
}

/// Creates a topic with one replica and waits until every partition has a leader.
pub async fn create_topic(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    create_replicated_topic(bootstrap, topic, partitions, 1, settings).await
}

/// Like [`create_topic`], with several replicas.
pub async fn create_replicated_topic(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    replicas: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    let results = admin(bootstrap)?
        .create_topics([&new], &AdminOptions::new().operation_timeout(Some(TIMEOUT)))
        .await?;
    for result in results {
        result.map_err(|(topic, error)| anyhow!("create topic {topic}: {error}"))?;
    }
    let what = format!("every partition of {topic} has a leader");
    eventually(&what, TIMEOUT, async || {
        let bootstrap = bootstrap.to_owned();
        let topic = topic.to_owned();
        let led = blocking(move || {
            let consumer: BaseConsumer = config(&bootstrap).create()?;
            let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
            let topics = metadata.topics();
            Ok(topics
                .iter()
                .flat_map(|topic| topic.partitions())
                .filter(|partition| partition.leader() >= 0)
                .count())
        })
        .await?;
        ensure!(i32::try_from(led)? == partitions, "{led} of {partitions}");
        Ok(())
    })
    .await
}

/// Deletes a topic.
pub async fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    let results = admin(bootstrap)?
        .delete_topics(&[topic], &AdminOptions::new().operation_timeout(Some(TIMEOUT)))
        .await?;
    for result in results {
        result.map_err(|(topic, error)| anyhow!("delete topic {topic}: {error}"))?;
    }
    Ok(())
}

/// The first and the next offset of every partition of a topic, by partition.
pub async fn end_offsets(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    blocking(move || {
        let consumer: BaseConsumer = config(&bootstrap).create()?;
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
        let mut offsets = BTreeMap::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let marks = consumer.fetch_watermarks(&topic, partition.id(), TIMEOUT)?;
            offsets.insert(partition.id(), marks);
        }
        Ok(offsets)
    })
    .await
}

/// Commits offsets for a group that has no members, and sees to it that they hold.
///
/// `offsets` are (partition, next offset to read).
pub async fn commit(bootstrap: &str, group: &str, topic: &str, offsets: &[(i32, i64)]) -> Result<()> {
    let mut wanted = TopicPartitionList::new();
    for &(partition, offset) in offsets {
        wanted.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    // A commit made while __consumer_offsets is being created is lost without an error: read it back.
    eventually(&format!("{group} holds its commits"), TIMEOUT, async || {
        let (bootstrap, group) = (bootstrap.to_owned(), group.to_owned());
        let wanted = wanted.clone();
        blocking(move || {
            let consumer: BaseConsumer = config(&bootstrap).set("group.id", &group).create()?;
            consumer.commit(&wanted, CommitMode::Sync)?;
            let held = consumer.committed_offsets(wanted.clone(), TIMEOUT)?;
            ensure!(
                held.to_topic_map() == wanted.to_topic_map(),
                "the broker holds {held:?}, not {wanted:?}"
            );
            Ok(())
        })
        .await
    })
    .await
}

/// The committed offsets of a group in a topic, by partition; partitions without a commit are left out.
pub async fn committed(bootstrap: &str, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let partitions = end_offsets(bootstrap, topic).await?;
    let (bootstrap, group) = (bootstrap.to_owned(), group.to_owned());
    let topic = topic.to_owned();
    blocking(move || {
        let mut asked = TopicPartitionList::new();
        for &partition in partitions.keys() {
            asked.add_partition(&topic, partition);
        }
        let consumer: BaseConsumer = config(&bootstrap).set("group.id", &group).create()?;
        let held = consumer.committed_offsets(asked, TIMEOUT)?;
        let mut offsets = BTreeMap::new();
        for element in held.elements() {
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    })
    .await
}

/// A record that [`consume`] read: topic, partition, offset and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The partition it came from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Reads exactly `count` records of a topic as a member of a group, from where the group stood or else from the
/// start, commits them, leaves, and returns them.
pub async fn consume(bootstrap: &str, group: &str, topic: &str, count: usize) -> Result<Vec<Consumed>> {
    let (bootstrap, group) = (bootstrap.to_owned(), group.to_owned());
    let topic = topic.to_owned();
    blocking(move || {
        let consumer: BaseConsumer = config(&bootstrap)
            .set("group.id", &group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()?;
        consumer.subscribe(&[&topic])?;
        let deadline = Instant::now() + TIMEOUT;
        let mut read = Vec::new();
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        while read.len() < count {
            if Instant::now() > deadline {
                bail!("{group} got {} of {count} records of {topic}", read.len());
            }
            let Some(message) = consumer.poll(Duration::from_millis(200)) else {
                continue;
            };
            let message = message.with_context(|| format!("{group} reads {topic}"))?;
            next.insert(message.partition(), message.offset() + 1);
            read.push(Consumed {
                partition: message.partition(),
                offset: message.offset(),
                value: message.payload().map(<[u8]>::to_vec),
            });
        }
        let mut offsets = TopicPartitionList::new();
        for (&partition, &offset) in &next {
            offsets.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
        }
        if count > 0 {
            consumer.commit(&offsets, CommitMode::Sync)?;
        }
        Ok(read)
    })
    .await
}

/// librdkafka's consumer blocks: off the async threads with it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}
