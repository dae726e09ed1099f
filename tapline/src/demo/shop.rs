//! The demo's shop on the embedded cluster: a source of orders, and services that consume and
//! produce as services do, each in its consumer group and on a thread of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::events::{self, OrderFaults, TraceContext};
use super::faults::{self, Fault};

/// Orders a second, on average.
const RATE: f64 = 60.0;
/// How often services commit.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What every part of the shop needs.
#[derive(Clone)]
struct Shared {
    brokers: String,
    /// When the first order came: the schedule of faults begins then.
    started: Arc<OnceLock<Instant>>,
    /// Services that have their partitions.
    joined: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn is_on(&self, fault: Fault) -> bool {
        self.started.get().is_some_and(|started| faults::is_on(fault, started.elapsed()))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn producer(&self) -> anyhow::Result<BaseProducer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("linger.ms", "5")
            .create()
            .context("the demo's producer")
    }

    fn consumer(&self, group: &str, topic: &str) -> anyhow::Result<BaseConsumer> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10")
            .create()
            .context("a consumer of the demo")?;
        consumer.subscribe(&[topic])?;
        Ok(consumer)
    }
}

/// How long the services may take to join their groups.
const JOIN: Duration = Duration::from_secs(30);

/// The shop at work; it stops when dropped.
pub(crate) struct Shop {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What a service does with a record once its time has come.
type Work = fn(&Shared, &str, &mut StdRng) -> Option<(&'static str, Value)>;

/// A service: consumes one topic, and produces to another after a while.
struct Service {
    group: &'static str,
    topic: &'static str,
    /// How long a record takes.
    delay: fn(&Shared, &mut StdRng) -> Duration,
    /// Records it takes in a second, at most.
    pace: fn(&Shared) -> Option<f64>,
    work: Work,
}

const SERVICES: [Service; 4] = [
    Service {
        group: "payment-service",
        topic: "orders",
        delay: |shop, rng| {
            if shop.is_on(Fault::LatencySpike) {
                Duration::from_millis(rng.random_range(2_800..3_400))
            } else {
                Duration::from_millis(rng.random_range(40..160))
            }
        },
        pace: |_| None,
        work: |shop, order, rng| {
            let factor = if shop.is_on(Fault::DistributionShift) { 3.0 } else { 1.0 };
            Some(("payments", events::payment(order, &now(), factor, rng)))
        },
    },
    Service {
        group: "shipping-service",
        topic: "payments",
        delay: |_, rng| Duration::from_millis(rng.random_range(80..300)),
        pace: |_| None,
        work: |shop, order, rng| {
            let lost = shop.is_on(Fault::LostRecords) && rng.random_bool(0.2);
            (!lost).then(|| ("shipments", events::shipment(order, &now(), rng)))
        },
    },
    Service {
        group: "fraud-scoring",
        topic: "payments",
        delay: |_, _| Duration::ZERO,
        pace: |shop| shop.is_on(Fault::SlowConsumer).then_some(RATE / 10.0),
        work: |_, _, _| None,
    },
    Service {
        group: "notifications",
        topic: "shipments",
        delay: |_, _| Duration::ZERO,
        pace: |_| None,
        work: |_, _, _| None,
    },
];

/// Topics of the shop, in the order of the flow, with their partitions.
pub(crate) const TOPICS: [(&str, i32); 3] = [("orders", 3), ("payments", 3), ("shipments", 3)];

/// The consumer groups of the shop.
pub(crate) fn groups() -> Vec<String> {
    SERVICES.iter().map(|s| s.group.to_owned()).collect()
}

impl Shop {
    /// Opens the shop once its services are there; the moment is when the schedule of faults
    /// begins.
    pub(crate) fn open(brokers: &str) -> anyhow::Result<(Self, Instant)> {
        let shared = Shared {
            brokers: brokers.to_owned(),
            started: Arc::default(),
            joined: Arc::default(),
            stop: Arc::default(),
        };
        let mut shop = Self { stop: shared.stop.clone(), threads: Vec::new() };
        for service in SERVICES {
            let consumer = shared.consumer(service.group, service.topic)?;
            let producer = shared.producer()?;
            let shared = shared.clone();
            shop.spawn(service.group, move || service.run(&shared, &consumer, &producer))?;
        }
        let deadline = Instant::now() + JOIN;
        while shared.joined.load(Ordering::Relaxed) < SERVICES.len() {
            anyhow::ensure!(Instant::now() < deadline, "the shop's services did not join their groups");
            std::thread::sleep(Duration::from_millis(20));
        }
        let started = *shared.started.get_or_init(Instant::now);
        let producer = shared.producer()?;
        shop.spawn("order-source", move || take_orders(&shared, &producer))?;
        Ok((shop, started))
    }

    fn spawn(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = body() {
                tracing::error!("the demo's {name} stopped: {error:#}");
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a demo thread was printed by then; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn produce(
    producer: &BaseProducer,
    topic: &str,
    key: &str,
    value: &Value,
    trace: TraceContext,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let payload = value.to_string();
    let header = trace.header(rng);
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(&header) });
    let record = BaseRecord::to(topic).key(key).payload(&payload).headers(headers);
    producer.send(record).map_err(|(error, _)| error).with_context(|| format!("producing to {topic}"))
}

/// Orders arrive as a Poisson process.
fn take_orders(shop: &Shared, producer: &BaseProducer) -> anyhow::Result<()> {
    let mut rng = StdRng::from_os_rng();
    let mut id = 0u64;
    let mut due = Instant::now();
    while !shop.stopped() {
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            producer.poll(wait.min(Duration::from_millis(50)));
            continue;
        }
        id += 1;
        let faults = OrderFaults {
            without_email: shop.is_on(Fault::NullBurst) && rng.random_bool(0.33),
            amount_as_text: shop.is_on(Fault::SchemaBreak) && rng.random_bool(0.1),
        };
        let order = events::order(id, &now(), faults, &mut rng);
        let trace = TraceContext::start(&mut rng);
        produce(producer, "orders", &format!("o-{id}"), &order, trace, &mut rng)?;
        due += Duration::from_secs_f64(-(1.0 - rng.random::<f64>()).ln() / RATE);
    }
    producer.flush(Duration::from_secs(1)).context("flushing the last orders")
}

/// A record that a service has in hand, ordered by when it is done.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InHand {
    due: Instant,
    partition: i32,
    offset: i64,
    key: String,
    trace_id: u128,
}

impl Service {
    fn run(&self, shop: &Shared, consumer: &BaseConsumer, producer: &BaseProducer) -> anyhow::Result<()> {
        let mut rng = StdRng::from_os_rng();
        let mut in_hand: BinaryHeap<Reverse<InHand>> = BinaryHeap::new();
        let mut next_take = Instant::now();
        let mut next_commit = Instant::now() + COMMIT_EVERY;
        let mut positions = std::collections::BTreeMap::new();
        let mut joined = false;
        while !shop.stopped() {
            if !joined && consumer.assignment()?.count() > 0 {
                joined = true;
                shop.joined.fetch_add(1, Ordering::Relaxed);
            }
            let now = Instant::now();
            let due = in_hand.peek().map_or(now + Duration::from_millis(20), |r| r.0.due);
            let wait = due.saturating_duration_since(now).min(Duration::from_millis(20));
            if now >= next_take {
                if let Some(record) = consumer.poll(wait) {
                    let record = record.with_context(|| format!("{} reading {}", self.group, self.topic))?;
                    let trace = record.headers().and_then(|headers| {
                        headers
                            .iter()
                            .find(|h| h.key == "traceparent")
                            .and_then(|h| h.value.map(<[u8]>::to_vec))
                    });
                    in_hand.push(Reverse(InHand {
                        due: Instant::now() + (self.delay)(shop, &mut rng),
                        partition: record.partition(),
                        offset: record.offset(),
                        key: String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned(),
                        trace_id: trace.and_then(|t| TraceContext::of_header(&t)).map_or(1, |t| t.trace_id),
                    }));
                    if let Some(pace) = (self.pace)(shop) {
                        next_take = Instant::now() + Duration::from_secs_f64(1.0 / pace);
                    }
                }
            } else {
                // Paced: stay a member of the group without taking a record.
                std::thread::sleep(wait.min(Duration::from_millis(10)));
            }
            while in_hand.peek().is_some_and(|r| r.0.due <= Instant::now()) {
                let Some(Reverse(done)) = in_hand.pop() else { break };
                if let Some((topic, value)) = (self.work)(shop, &done.key, &mut rng) {
                    let trace = TraceContext { trace_id: done.trace_id };
                    produce(producer, topic, &done.key, &value, trace, &mut rng)?;
                }
                let position: &mut i64 = positions.entry(done.partition).or_default();
                *position = (*position).max(done.offset + 1);
            }
            producer.poll(Duration::ZERO);
            if Instant::now() >= next_commit {
                self.commit(consumer, &mut positions)?;
                next_commit = Instant::now() + COMMIT_EVERY;
            }
        }
        self.commit(consumer, &mut positions)
    }

    fn commit(
        &self,
        consumer: &BaseConsumer,
        positions: &mut std::collections::BTreeMap<i32, i64>,
    ) -> anyhow::Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in std::mem::take(positions) {
            offsets.add_partition_offset(self.topic, partition, Offset::Offset(next))?;
        }
        consumer.commit(&offsets, CommitMode::Async).with_context(|| format!("{} committing", self.group))
    }
}
