//! `--compat` on a real broker: the peers' names with the true values, and the queries of their
//! dashboards and alerts answered by a real Prometheus.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::export::metrics::compat::Peer;
use lab::{Launch, Message, Metrics, Prometheus, PrometheusOptions, Tapline, eventually};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(150);
const CLUSTER: &str = "lab";

/// Four partitions of 60 records, of which partition 2 has lost its first 10; a group that is half
/// way, and one that lives and has read everything.
struct Stage {
    topic: String,
    half: String,
    live: String,
    tapline: Tapline,
    /// Ends the member.
    stop: Arc<AtomicBool>,
    member: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(member) = self.member.take() {
            let _ = member.join();
        }
    }
}

impl Stage {
    async fn set() -> Result<Self> {
        let kafka = lab::broker().await?;
        let bootstrap = kafka.bootstrap();
        let topic = lab::unique("compat");
        lab::create_topic(&bootstrap, &topic, 4, &[]).await?;
        let records = (0..240).map(|n| Message::value(format!("{{\"n\":{n}}}")).to(n % 4));
        lab::produce(&bootstrap, &topic, records).await?;
        let admin: AdminClient<DefaultClientContext> = lab::clients::config(&bootstrap).create()?;
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&topic, 2, Offset::Offset(10))?;
        admin.delete_records(&before, &AdminOptions::new()).await?;

        // Half way, at the end, behind the log start, beyond the end.
        let half = lab::unique("compat-half");
        lab::commit(&bootstrap, &half, &topic, &[(0, 30), (1, 60), (2, 0), (3, 99)]).await?;
        let live = lab::unique("compat-live");
        lab::commit(&bootstrap, &live, &topic, &[(0, 60), (1, 60), (2, 60), (3, 60)]).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let member = Some(join(&bootstrap, &live, &topic, Arc::clone(&stop))?);

        let config = format!(
            "version: 1\ncluster: {{ name: {CLUSTER} }}\nagent: {{ topics: {{ include: ['{topic}'] }} }}\n\
             watch: {{ interval: 1s, topics: {{ include: ['{topic}'] }}, groups: {{ include: ['compat-.*'] }} }}\n"
        );
        let tapline = Launch::new("run")?
            .args(["--brokers", &bootstrap])
            .args(Peer::NAMES.iter().flat_map(|name| ["--compat", name]))
            .config(&config)?
            .start()
            .await?;
        Ok(Self { topic, half, live, tapline, stop, member })
    }
}

/// A member that stays until it is told to go.
fn join(
    bootstrap: &str,
    group: &str,
    topic: &str,
    stop: Arc<AtomicBool>,
) -> Result<std::thread::JoinHandle<Result<()>>> {
    let consumer: BaseConsumer = lab::clients::config(bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("partition.assignment.strategy", "range")
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            consumer.poll(Duration::from_millis(50)).transpose()?;
        }
        Ok(())
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_of_the_peers_go_on_working() -> Result<()> {
    let stage = Stage::set().await?;
    eventually("every peer's series are true", TIMEOUT, async || {
        let metrics = stage.tapline.metrics().await?;
        let (topic, half, live) = (stage.topic.as_str(), stage.half.as_str(), stage.live.as_str());
        kminion(&metrics, topic, half, live).context("kminion")?;
        kafka_exporter(&metrics, topic, half, live).context("kafka_exporter")?;
        kafka_lag_exporter(&metrics, topic, half, live).context("kafka-lag-exporter")
    })
    .await?;
    let page = stage.tapline.metrics().await?;
    for row in Peer::ALL.iter().flat_map(|peer| peer.rows()) {
        ensure!(page.select(row.name, &[]).next().is_some(), "no series {}", row.name);
    }

    let instance = stage.tapline.url().trim_start_matches("http://").to_owned();
    let prometheus =
        Prometheus::start(PrometheusOptions { targets: vec![instance.clone()], ..Default::default() })
            .await?;
    prometheus.scraped().await?;
    for peer in Peer::ALL {
        for query in queries(peer)? {
            query.is_satisfied(peer, &stage, &instance, &prometheus).await?;
        }
    }
    Ok(())
}

/// The value of the one series, which must be this.
#[track_caller]
fn is(metrics: &Metrics, name: &str, labels: &[(&str, &str)], expected: f64) -> Result<()> {
    let value = metrics.one(name, labels)?;
    ensure!(value == expected, "{name}{labels:?} is {value}, not {expected}");
    Ok(())
}

#[track_caller]
fn is_absent(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> Result<()> {
    let found: Vec<_> = metrics.select(name, labels).collect();
    ensure!(found.is_empty(), "{name}{labels:?} should be absent: {found:?}");
    Ok(())
}

fn kminion(m: &Metrics, topic: &str, half: &str, live: &str) -> Result<()> {
    let of = |partition| [("topic_name", topic), ("partition_id", partition)];
    is(m, "kminion_kafka_topic_partition_high_water_mark", &of("2"), 60.0)?;
    is(m, "kminion_kafka_topic_partition_low_water_mark", &of("2"), 10.0)?;
    is(m, "kminion_kafka_topic_high_water_mark_sum", &[("topic_name", topic)], 240.0)?;
    is(m, "kminion_kafka_topic_low_water_mark_sum", &[("topic_name", topic)], 10.0)?;
    let info = [("topic_name", topic), ("partition_count", "4"), ("replication_factor", "1")];
    is(m, "kminion_kafka_topic_info", &info, 1.0)?;
    is(m, "kminion_kafka_cluster_info", &[("broker_count", "1")], 1.0)?;
    is(m, "kminion_exporter_up", &[], 1.0)?;
    let lag = "kminion_kafka_consumer_group_topic_partition_lag";
    for (partition, expected) in [("0", 30.0), ("1", 0.0), ("2", 50.0)] {
        is(m, lag, &[("group_id", half), ("topic_name", topic), ("partition_id", partition)], expected)?;
    }
    is_absent(m, lag, &[("group_id", half), ("partition_id", "3")])?;
    let halves = [("group_id", half), ("topic_name", topic)];
    is(m, "kminion_kafka_consumer_group_topic_lag", &halves, 80.0)?;
    is(m, "kminion_kafka_consumer_group_topic_offset_sum", &halves, 189.0)?;
    is(m, "kminion_kafka_consumer_group_info", &[("group_id", half), ("state", "Empty")], 0.0)?;
    is(m, "kminion_kafka_consumer_group_members", &[("group_id", half)], 0.0)?;
    let stable = [("group_id", live), ("state", "Stable"), ("protocol", "range")];
    is(m, "kminion_kafka_consumer_group_info", &stable, 1.0)?;
    is(m, "kminion_kafka_consumer_group_members", &[("group_id", live)], 1.0)?;
    let lives = [("group_id", live), ("topic_name", topic)];
    is(m, "kminion_kafka_consumer_group_topic_assigned_partitions", &lives, 4.0)?;
    is(m, "kminion_kafka_consumer_group_topic_lag", &lives, 0.0)
}

fn kafka_exporter(m: &Metrics, topic: &str, half: &str, live: &str) -> Result<()> {
    is(m, "kafka_brokers", &[], 1.0)?;
    is(m, "kafka_topic_partitions", &[("topic", topic)], 4.0)?;
    let of = |partition| [("topic", topic), ("partition", partition)];
    is(m, "kafka_topic_partition_current_offset", &of("2"), 60.0)?;
    is(m, "kafka_topic_partition_oldest_offset", &of("2"), 10.0)?;
    is(m, "kafka_topic_partition_leader", &of("2"), f64::from(lab::Kafka::broker_id(0)))?;
    is(m, "kafka_topic_partition_replicas", &of("2"), 1.0)?;
    is(m, "kafka_topic_partition_in_sync_replica", &of("2"), 1.0)?;
    is(m, "kafka_topic_partition_under_replicated_partition", &of("2"), 0.0)?;
    let place = |partition| [("consumergroup", half), ("topic", topic), ("partition", partition)];
    for (partition, offset, lag) in [("0", 30.0, 30.0), ("1", 60.0, 0.0), ("2", 0.0, 50.0)] {
        is(m, "kafka_consumergroup_current_offset", &place(partition), offset)?;
        is(m, "kafka_consumergroup_lag", &place(partition), lag)?;
    }
    is(m, "kafka_consumergroup_current_offset", &place("3"), 99.0)?;
    is_absent(m, "kafka_consumergroup_lag", &place("3"))?;
    let halves = [("consumergroup", half), ("topic", topic)];
    is(m, "kafka_consumergroup_lag_sum", &halves, 80.0)?;
    is(m, "kafka_consumergroup_current_offset_sum", &halves, 189.0)?;
    is(m, "kafka_consumergroup_members", &[("consumergroup", half)], 0.0)?;
    is(m, "kafka_consumergroup_members", &[("consumergroup", live)], 1.0)?;
    is(m, "kafka_consumergroup_lag_sum", &[("consumergroup", live)], 0.0)
}

fn kafka_lag_exporter(m: &Metrics, topic: &str, half: &str, live: &str) -> Result<()> {
    let of = [("cluster_name", CLUSTER), ("topic", topic), ("partition", "2")];
    is(m, "kafka_partition_latest_offset", &of, 60.0)?;
    is(m, "kafka_partition_earliest_offset", &of, 10.0)?;
    let group = [("cluster_name", CLUSTER), ("group", half)];
    let place =
        |partition| [group[0], group[1], ("topic", topic), ("partition", partition), ("client_id", "")];
    for (partition, offset, lag) in [("0", 30.0, 30.0), ("1", 60.0, 0.0), ("2", 0.0, 50.0)] {
        is(m, "kafka_consumergroup_group_offset", &place(partition), offset)?;
        is(m, "kafka_consumergroup_group_lag", &place(partition), lag)?;
    }
    is_absent(m, "kafka_consumergroup_group_lag", &place("3"))?;
    is_absent(m, "kafka_consumergroup_group_lag_seconds", &place("3"))?;
    is(m, "kafka_consumergroup_group_lag_seconds", &place("1"), 0.0)?;
    let age = m.one("kafka_consumergroup_group_lag_seconds", &place("0"))?;
    let oldest = m.one("kafka_consumergroup_group_max_lag_seconds", &group)?;
    ensure!(age > 0.0 && age < 3_600.0 && oldest >= age, "aged {age}, at most {oldest} seconds");
    is(m, "kafka_consumergroup_group_max_lag", &group, 50.0)?;
    is(m, "kafka_consumergroup_group_sum_lag", &group, 80.0)?;
    is(m, "kafka_consumergroup_group_topic_sum_lag", &[group[0], group[1], ("topic", topic)], 80.0)?;
    is(m, "kafka_consumergroup_group_max_lag_seconds", &[("group", live)], 0.0)?;
    let poll = m.one("kafka_consumergroup_poll_time_ms", &[("cluster_name", CLUSTER)])?;
    ensure!(poll > 0.0, "a refresh in {poll} ms");
    Ok(())
}

/// What a query must have for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Data,
    Quiet,
    Missing,
}

/// A line of tests/fixtures/compat.
#[derive(Debug)]
struct Query {
    answer: Answer,
    text: String,
}

fn queries(peer: Peer) -> Result<Vec<Query>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/compat/{}.promql", peer.name()));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let queries = lines.map(|line| {
        let (kind, text) = line.split_once(": ").with_context(|| line.to_owned())?;
        let answer = match kind {
            "data" => Answer::Data,
            "quiet" => Answer::Quiet,
            "missing" => Answer::Missing,
            _ => anyhow::bail!("{line}"),
        };
        Ok(Query { answer, text: text.to_owned() })
    });
    let queries: Vec<Query> = queries.collect::<Result<_>>()?;
    ensure!(queries.len() > 10, "{} queries in {}", queries.len(), path.display());
    Ok(queries)
}

impl Query {
    /// The words outside of strings and durations.
    fn words(&self) -> BTreeSet<&str> {
        let outside = self.text.split('"').step_by(2);
        outside
            .flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            .collect()
    }

    /// The series that it asks for.
    fn names(&self) -> BTreeSet<&str> {
        let beginnings = ["kafka_", "kminion_", "jvm_"];
        self.words().into_iter().filter(|word| beginnings.iter().any(|b| word.starts_with(b))).collect()
    }

    /// The words that are no series' names, no functions and no keywords: labels.
    fn labels(&self) -> BTreeSet<&str> {
        const LANGUAGE: [&str; 20] = [
            "sum",
            "max",
            "avg",
            "count",
            "topk",
            "by",
            "on",
            "group_left",
            "and",
            "rate",
            "delta",
            "clamp_min",
            "sort_desc",
            "histogram_quantile",
            "min",
            "or",
            "unless",
            "without",
            "le",
            "ignoring",
        ];
        let names = self.names();
        self.words().into_iter().filter(|w| !names.contains(w) && !LANGUAGE.contains(w)).collect()
    }

    async fn is_satisfied(
        &self,
        peer: Peer,
        stage: &Stage,
        instance: &str,
        prometheus: &Prometheus,
    ) -> Result<()> {
        let names = self.names();
        ensure!(!names.is_empty(), "{self:?} asks for nothing");
        let row = |name: &str| peer.rows().iter().find(|row| row.name == name);
        if self.answer == Answer::Missing {
            let told = |name: &&str| row(name).is_none() && peer.missing().iter().any(|m| m.is(name));
            ensure!(names.iter().any(told), "{self:?}: not told in docs/migrate.md");
            return Ok(());
        }
        // What the scrape adds.
        let mut labels = BTreeSet::from(["job", "instance", "namespace"]);
        for name in &names {
            labels.extend(row(name).with_context(|| format!("{self:?}: {name} is not served"))?.labels);
        }
        for label in self.labels() {
            ensure!(labels.contains(label), "{self:?}: no label {label}");
        }
        let mut query = self.text.clone();
        for (variable, value) in [
            // The longer name first.
            ("$cluster_name", CLUSTER),
            ("$namespace", ""),
            ("$instance", instance),
            ("$job", "tapline"),
            ("$topic", &stage.topic),
            ("$group", &stage.half),
        ] {
            query = query.replace(variable, value);
        }
        // Rates need two scrapes.
        eventually(&query, Duration::from_secs(30), async || {
            let answer = prometheus.vector(&query).await?;
            match self.answer {
                Answer::Quiet => ensure!(answer.is_empty(), "{query}: {answer:?}"),
                _ => ensure!(!answer.is_empty(), "{query} shows nothing"),
            }
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn a_name_that_is_no_peers_is_refused_with_the_nearest() -> Result<()> {
    let finished =
        Launch::new("run")?.args(["--brokers", "127.0.0.1:1", "--compat", "kminon"]).finish().await?;
    ensure!(finished.code == Some(2), "{finished:?}");
    ensure!(
        finished.stderr.contains("kminion") && finished.stderr.contains("kafka-lag-exporter"),
        "{finished:?}"
    );
    let finished =
        Launch::new("agent")?.args(["--brokers", "127.0.0.1:1", "--compat", "kminion"]).finish().await?;
    ensure!(finished.code == Some(2) && finished.stderr.contains("--compat"), "{finished:?}");
    Ok(())
}
