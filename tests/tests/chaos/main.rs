//! A cluster of three whose brokers are killed, stopped and hung in turn, under load, while `/metrics` is scraped every
//! second: every lag and offset shown is one that can have been true, nothing shown once vanishes, no counter falls,
//! and the ages tell what is old. Before and after, Kafka's own command says the same to the record.
//!
//! `TAPLINE_CHAOS` says for how long: `75s` unless it is set, `10m` for the real thing.

mod books;
mod load;
mod observer;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::{Kafka, KafkaOptions, Launch, Signal, Tapline};
use rdkafka::consumer::{BaseConsumer, Consumer};

use books::{Partition, Place};
use load::{Control, Reader};
use observer::{Observer, SETTLING};

const TIMEOUT: Duration = Duration::from_secs(120);
/// How many partitions each topic has.
const TOPICS: [(&str, i32); 2] = [("chaos-orders", 6), ("chaos-clicks", 3)];
/// It commits once and never reads: its lag is never 0.
const STUCK: &str = "chaos-stuck";
const GROUPS: [&str; 4] = ["chaos-classic", "chaos-consumer", "chaos-slow", STUCK];

/// What is done to a broker.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// `kill -9`, and a start after a while.
    Kill { node: usize, down: Duration },
    /// A shutdown in good order, and a start after a while.
    Stop { node: usize, down: Duration },
    /// It stands still, and goes on.
    Hang { node: usize, still: Duration },
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// In this order, again and again. Node 0 holds the only controller: while it is away nobody elects leaders.
const BLOWS: [Blow; 8] = [
    Blow::Kill { node: 1, down: seconds(4) },
    Blow::Hang { node: 2, still: seconds(14) },
    Blow::Stop { node: 1, down: seconds(3) },
    Blow::Kill { node: 2, down: seconds(0) },
    Blow::Hang { node: 1, still: seconds(4) },
    Blow::Stop { node: 0, down: seconds(4) },
    Blow::Stop { node: 2, down: seconds(8) },
    Blow::Hang { node: 0, still: seconds(8) },
];

impl Blow {
    async fn strike(self, kafka: &Kafka) -> Result<()> {
        match self {
            Self::Kill { node, down } => {
                kafka.stop_node(node, Signal::Kill).await?;
                tokio::time::sleep(down).await;
                kafka.start_node(node).await
            }
            Self::Stop { node, down } => {
                kafka.stop_node(node, Signal::Term).await?;
                tokio::time::sleep(down).await;
                kafka.start_node(node).await
            }
            Self::Hang { node, still } => {
                kafka.signal_node(node, Signal::Stop)?;
                tokio::time::sleep(still).await;
                kafka.signal_node(node, Signal::Cont)
            }
        }
    }
}

/// How long the brokers are to suffer.
fn length() -> Result<Duration> {
    let Ok(text) = std::env::var("TAPLINE_CHAOS") else { return Ok(Duration::from_secs(75)) };
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().with_context(|| format!("TAPLINE_CHAOS={text}: write 75s or 10m"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        _ => bail!("TAPLINE_CHAOS={text}: write 75s or 10m"),
    }
}

async fn cluster() -> Result<Kafka> {
    let properties = [
        ("min.insync.replicas", "2"),
        ("broker.session.timeout.ms", "6000"),
        // Leaders go back to where they came from, so that every blow hits some.
        ("leader.imbalance.check.interval.seconds", "5"),
        ("leader.imbalance.per.broker.percentage", "0"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let kafka =
        Kafka::start(KafkaOptions { nodes: 3, properties: properties.into(), ..KafkaOptions::default() })
            .await?;
    for (topic, partitions) in TOPICS {
        lab::clients::create_replicated_topic(&kafka.bootstrap(), topic, partitions, 3, &[]).await?;
    }
    Ok(kafka)
}

fn partitions() -> Vec<Partition> {
    TOPICS.iter().flat_map(|(topic, count)| (0..*count).map(|p| ((*topic).to_owned(), p))).collect()
}

/// Waits until every replica of every partition is in sync, the internal topics' too.
async fn whole(kafka: &Kafka) -> Result<()> {
    let bootstrap = kafka.bootstrap();
    lab::eventually("every replica is in sync", TIMEOUT, async || {
        let bootstrap = bootstrap.clone();
        let lacking = tokio::task::spawn_blocking(move || -> Result<Vec<String>> {
            let client: BaseConsumer = lab::clients::config(&bootstrap).create()?;
            let metadata = client.fetch_metadata(None, Duration::from_secs(10))?;
            let all =
                metadata.topics().iter().flat_map(|t| t.partitions().iter().map(move |p| (t.name(), p)));
            let lacking = all.filter(|(_, p)| p.leader() < 0 || p.isr().len() < 3);
            Ok(lacking.map(|(topic, p)| format!("{topic}-{}", p.id())).collect())
        })
        .await??;
        ensure!(lacking.is_empty(), "not yet: {lacking:?}");
        Ok(())
    })
    .await
}

/// Nothing moves any more: what is shown equals the books and what Kafka's own command says, to the record.
async fn at_rest(kafka: &Kafka, tapline: &Tapline, control: &Control) -> Result<()> {
    control.pause.store(true, Ordering::Relaxed);
    let books = &control.books;
    let moving: Vec<&str> = GROUPS.into_iter().filter(|group| *group != STUCK).collect();
    lab::eventually("the books are closed", TIMEOUT, async || {
        ensure!(books.in_flight() == 0, "{} records are under way", books.in_flight());
        let now = Instant::now();
        for partition in books.partitions() {
            let (end, _) = books.end(&partition, now, now);
            for group in &moving {
                let place: Place = ((*group).to_owned(), partition.clone());
                let commit = books.commit(&place, now, now);
                ensure!(commit == Some((end, end)), "{place:?} ends at {end} and holds {commit:?}");
            }
        }
        Ok(())
    })
    .await?;
    let mut arguments = vec!["--bootstrap-server".to_owned(), kafka.bootstrap(), "--describe".to_owned()];
    GROUPS.iter().for_each(|group| arguments.extend(["--group".to_owned(), (*group).to_owned()]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let table = kafka.command(class, &arguments).await?;
    let rows: BTreeMap<Place, Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.first().is_some_and(|group| GROUPS.contains(group)))
        .filter_map(|row| {
            let partition = (row.get(1)?.to_string(), row.get(2)?.parse().ok()?);
            Some(((row[0].to_owned(), partition), row))
        })
        .collect();
    lab::eventually("what is shown is what is true", TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        let now = Instant::now();
        for place in books.places() {
            let (group, (topic, partition)) = &place;
            let (end, _) = books.end(&place.1, now, now);
            let (committed, _) = books.commit(&place, now, now).context("a commit")?;
            let row = rows.get(&place).with_context(|| format!("no row of {place:?} in\n{table}"))?;
            let truth = [committed, end, end - committed];
            ensure!(row[3..6] == truth.map(|n| n.to_string()), "{truth:?}: {row:?}");
            let partition = partition.to_string();
            let labels = [("group", group.as_str()), ("topic", topic), ("partition", &partition)];
            let shown = [
                metrics.one("tapline_group_committed_offset", &labels)?,
                metrics.one("tapline_partition_end_offset", &labels[1..])?,
                metrics.one("tapline_group_lag_records", &labels)?,
            ];
            ensure!(shown == truth.map(|n| n as f64), "{place:?}: shown {shown:?}, true {truth:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[allow(clippy::print_stderr, reason = "what was done and seen is the result of a long run")]
async fn nothing_wrong_is_shown_while_brokers_come_and_go() -> Result<()> {
    let length = length()?;
    let kafka = cluster().await?;
    let brokers = kafka.bootstrap();
    let control = Control::default();
    let producing = tokio::spawn(load::produce(brokers.clone(), partitions(), 300, control.clone()));
    let all: Vec<&str> = TOPICS.iter().map(|(topic, _)| *topic).collect();
    let reader = |group, protocol, rest| {
        let rest = Duration::from_millis(rest);
        Reader { brokers: &brokers, group, protocol, topics: &all, rest }.start(&control)
    };
    let readers = [
        reader(GROUPS[0], "classic", 0)?,
        reader(GROUPS[0], "classic", 0)?,
        reader(GROUPS[1], "consumer", 0)?,
        reader(GROUPS[1], "consumer", 0)?,
        reader(GROUPS[2], "classic", 2)?,
    ];
    for (topic, partitions) in TOPICS {
        for partition in 0..partitions {
            control.books.attempt(&(STUCK.to_owned(), (topic.to_owned(), partition)), 0);
        }
        let offsets: Vec<(i32, i64)> = (0..partitions).map(|partition| (partition, 0)).collect();
        lab::commit(&brokers, STUCK, topic, &offsets).await?;
        for partition in 0..partitions {
            control.books.hold(&(STUCK.to_owned(), (topic.to_owned(), partition)), 0);
        }
    }
    let config = "version: 1\nwatch: { interval: 1s, groups: { include: ['chaos-.*'] } }\n";
    let tapline = Launch::new("collector")?.config(config)?.args(["--brokers", &brokers]).start().await?;
    whole(&kafka).await?;
    at_rest(&kafka, &tapline, &control).await.context("before")?;
    control.pause.store(false, Ordering::Relaxed);

    let observer = Observer::new(control.books.clone());
    let struck = async {
        // First how it is in quiet times, load and all.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let began = Instant::now();
        let mut blows = 0;
        for blow in BLOWS.iter().cycle() {
            if began.elapsed() > length {
                break;
            }
            observer.disturb(&format!("{blow:?}"));
            blow.strike(&kafka).await.with_context(|| format!("{blow:?}"))?;
            whole(&kafka).await.with_context(|| format!("after {blow:?}"))?;
            observer.calm();
            blows += 1;
            // Now and then so long that all must have settled, and is judged by what holds in quiet times.
            let rest =
                if blows % 3 == 0 { SETTLING + Duration::from_secs(8) } else { Duration::from_secs(8) };
            tokio::time::sleep(rest).await;
        }
        anyhow::Ok((blows, began.elapsed()))
    };
    let watched = observer.watch(&tapline);
    let (blows, took) = tokio::select! {
        struck = struck => struck?,
        wrong = watched => { wrong?; bail!("the observer ended") }
    };
    let seen = observer.summary();
    let twice = control.books.twice();
    eprintln!("{blows} blows in {took:?}; {seen}; {twice} records stored twice by their producer");
    at_rest(&kafka, &tapline, &control).await.context("after")?;
    control.stop.store(true, Ordering::Relaxed);
    producing.await??;
    let mut refused = 0;
    for reader in readers {
        refused += reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))?;
    }
    eprintln!("commits refused or unanswered: {refused}");
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
