//! The load: producers that want every replica's word, and consumers that write down what they commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::books::{Books, Partition};

/// What all parts of the load share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control {
    pub(crate) books: Arc<Books>,
    /// Produce nothing for the moment; consumers go on to the end.
    pub(crate) pause: Arc<AtomicBool>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Control {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Sends a record to every partition in turn, so many a second in all, until it is stopped.
pub(crate) async fn produce(
    brokers: String,
    partitions: Vec<Partition>,
    per_second: u32,
    control: Control,
) -> Result<()> {
    let producer: FutureProducer = lab::clients::config(&brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "900000")
        .set("socket.timeout.ms", "5000")
        .create()?;
    let pause = Duration::from_secs(1) / per_second;
    for partition in partitions.iter().cycle() {
        if control.stopped() {
            break;
        }
        tokio::time::sleep(pause).await;
        if control.pause.load(Ordering::Relaxed) {
            continue;
        }
        let record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&partition.0).partition(partition.1).payload(b"chaos");
        let number = control.books.send(partition);
        // A full queue is a record that was never sent: the books allow for it.
        let Ok(delivery) = producer.send_result(record) else { continue };
        let (books, partition) = (Arc::clone(&control.books), partition.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stored)) = delivery.await {
                books.store(&partition, number, stored.offset);
            }
        });
    }
    Ok(())
}

/// The next offsets to read, of the partitions that are assigned.
#[derive(Default)]
struct Positions(Mutex<BTreeMap<Partition, i64>>);

impl Positions {
    fn open(&self) -> MutexGuard<'_, BTreeMap<Partition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Positions {}

impl ConsumerContext for Positions {
    /// What comes and what goes has no position: to commit an old one would turn the group back.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) | Rebalance::Revoke(list) = rebalance {
            let mut positions = self.open();
            for element in list.elements() {
                positions.remove(&(element.topic().to_owned(), element.partition()));
            }
        }
    }
}

/// A member of a group.
pub(crate) struct Reader<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) group: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) topics: &'a [&'a str],
    /// It rests so long after every record.
    pub(crate) rest: Duration,
}

impl Reader<'_> {
    /// Reads on a thread of its own until it is stopped, and commits what it has read, four times a second.
    pub(crate) fn start(&self, control: &Control) -> Result<JoinHandle<u64>> {
        let mut config = lab::clients::config(self.brokers);
        config
            .set("group.id", self.group)
            .set("group.protocol", self.protocol)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("socket.timeout.ms", "5000");
        if self.protocol == "classic" {
            config
                .set("session.timeout.ms", "10000")
                .set("partition.assignment.strategy", "cooperative-sticky");
        }
        let consumer: BaseConsumer<Positions> = config.create_with_context(Positions::default())?;
        consumer.subscribe(self.topics)?;
        let (control, group, rest) = (control.clone(), self.group.to_owned(), self.rest);
        Ok(std::thread::spawn(move || {
            let (mut refused, mut last) = (0, Instant::now());
            while !control.stopped() {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
                    let partition = (message.topic().to_owned(), message.partition());
                    consumer.context().open().insert(partition, message.offset() + 1);
                    std::thread::sleep(rest);
                }
                if last.elapsed() > Duration::from_millis(250) {
                    last = Instant::now();
                    refused += u64::from(!commit(&consumer, &group, &control.books));
                }
            }
            refused
        }))
    }
}

fn commit(consumer: &BaseConsumer<Positions>, group: &str, books: &Books) -> bool {
    let positions = consumer.context().open().clone();
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in &positions {
        if list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).is_err() {
            return false;
        }
    }
    if list.count() == 0 {
        return true;
    }
    let place = |partition: &Partition| (group.to_owned(), partition.clone());
    positions.iter().for_each(|(partition, offset)| books.attempt(&place(partition), *offset));
    // What was refused, or not answered, may hold all the same: then the books say so.
    let held = consumer.commit(&list, CommitMode::Sync).is_ok();
    if held {
        positions.iter().for_each(|(partition, offset)| books.hold(&place(partition), *offset));
    }
    held
}
