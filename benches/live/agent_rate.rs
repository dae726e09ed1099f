//! One agent thread that examines everything, beside a consumer that only counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent::config::Config;
use agent::send::{BoxFuture, Positions, SendError, Transport};
use anyhow::{Context as _, Result, ensure};
use checks::filter::Filter;
use checks::limits::Limits;
use checks::report::Report;
use checks::rules::CheckSet;
use lab::{Kafka, KafkaOptions, Message};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::{cpu_seconds, orders, say};

/// Different orders; they come again and again.
const ORDERS: usize = 50_000;
/// Each is measured so often, in turns.
const ROUNDS: usize = 5;
/// How the topic keeps its batches.
const COMPRESSIONS: [&str; 3] = ["uncompressed", "lz4", "zstd"];
const TIMEOUT: Duration = Duration::from_secs(120);

/// Records a second by the clock, and CPU seconds of a million.
type Rate = (f64, f64);

pub(crate) async fn run(records: usize) -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    let orders = orders::orders(ORDERS);
    say(&format!("\n{records} orders of 612 bytes in one partition, medians of {ROUNDS}\n"));
    say(
        "| topic | bare librdkafka consumer, records a second | CPU s a million | agent, everything examined | CPU s a million | ratio |",
    );
    say("|---|---|---|---|---|---|");
    for compression in COMPRESSIONS {
        let topic = lab::unique("orders");
        let settings = [("compression.type", compression)];
        lab::create_topic(&kafka.bootstrap(), &topic, 1, &settings).await?;
        for part in (0..records).step_by(100_000) {
            let messages =
                (part..records.min(part + 100_000)).map(|i| Message::value(orders[i % ORDERS].as_str()));
            lab::produce(&kafka.bootstrap(), &topic, messages).await?;
        }
        let (mut bare, mut examined) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (bootstrap, of) = (kafka.bootstrap(), topic.clone());
            bare.push(tokio::task::spawn_blocking(move || consume(&bootstrap, &of, records)).await??);
            examined.push(examine(&kafka.bootstrap(), &topic, records).await?);
        }
        let median = |all: &mut Vec<Rate>| {
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            all[all.len() / 2]
        };
        let (bare, examined) = (median(&mut bare), median(&mut examined));
        say(&format!(
            "| {compression} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} |",
            bare.0,
            bare.1,
            examined.0,
            examined.1,
            examined.0 / bare.0
        ));
    }
    Ok(())
}

fn consume(bootstrap: &str, topic: &str, records: usize) -> Result<Rate> {
    let consumer: BaseConsumer = lab::clients::config(bootstrap)
        .set("group.id", lab::unique("bare"))
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    let (mut seen, mut bytes) = (0usize, 0usize);
    let mut begun: Option<(Instant, f64)> = None;
    let deadline = Instant::now() + TIMEOUT;
    while seen < records {
        ensure!(Instant::now() < deadline, "{seen} of {records}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        if begun.is_none() {
            begun = Some((Instant::now(), cpu_seconds("/proc/self")?));
        }
        bytes += message?.payload().map_or(0, <[u8]>::len);
        seen += 1;
    }
    let (since, cpu) = begun.context("records")?;
    let (wall, cpu) = (since.elapsed().as_secs_f64(), cpu_seconds("/proc/self")? - cpu);
    ensure!(bytes > records, "{bytes} bytes");
    Ok((records as f64 / wall, cpu * 1e6 / records as f64))
}

/// Counts what is reported, and says that nothing was before.
#[derive(Default)]
struct Counting {
    topic: String,
    /// Examined, by start of the pane; reports are snapshots.
    panes: Mutex<BTreeMap<i64, u64>>,
}

impl Counting {
    fn examined(&self) -> u64 {
        self.panes.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Transport for Counting {
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>> {
        let mut panes = self.panes.lock().unwrap_or_else(PoisonError::into_inner);
        for pane in &report.panes {
            panes.insert(pane.start_ms, pane.summary.as_ref().map_or(0, |summary| summary.examined));
        }
        drop(panes);
        Box::pin(async { Ok(()) })
    }

    fn positions(&self, _: &[String]) -> BoxFuture<'_, Result<Positions, SendError>> {
        let positions = Positions::from([((self.topic.clone(), 0), 0)]);
        Box::pin(async { Ok(positions) })
    }
}

async fn examine(bootstrap: &str, topic: &str, records: usize) -> Result<Rate> {
    // As if it had been stopped before the first record: who has never committed begins at the end.
    let group = lab::unique("examines");
    lab::commit(bootstrap, &group, topic, &[(0, 0)]).await?;
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let config = Config {
        cluster: "bench".to_owned(),
        name: "bench".to_owned(),
        properties,
        topics: Filter::new(&[topic], &[])?,
        group,
        catch_up_ms: 86_400_000,
        threads: 1,
        report_every_ms: 100,
        idle_ms: 15_000,
        discover_every_ms: 60_000,
        registry: None,
        checks: Arc::new(CheckSet::default()),
        pipelines: Vec::new(),
        limits: Limits::default(),
    };
    let counting = Arc::new(Counting { topic: topic.to_owned(), ..Counting::default() });
    let transport: Arc<dyn Transport> = Arc::clone(&counting) as Arc<dyn Transport>;
    let agent = agent::Agent::start(config, transport);
    let deadline = Instant::now() + TIMEOUT;
    // From the moment that it has its partition.
    let mut begun = None;
    while counting.examined() < records as u64 {
        ensure!(Instant::now() < deadline, "{} of {records}: {:?}", counting.examined(), agent.status());
        if begun.is_none() && agent.status().partitions > 0 {
            begun = Some((Instant::now(), cpu_seconds("/proc/self")?));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (since, cpu) = begun.context("a partition")?;
    let (wall, cpu) = (since.elapsed().as_secs_f64(), cpu_seconds("/proc/self")? - cpu);
    ensure!(counting.examined() == records as u64, "{} of {records}", counting.examined());
    agent.stop(Duration::from_secs(10)).await;
    Ok((records as f64 / wall, cpu * 1e6 / records as f64))
}
