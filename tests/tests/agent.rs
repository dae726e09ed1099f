//! The agent on a real broker and a real registry: what the mock cluster cannot show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::config::{Config, RegistryConfig};
use agent::send::{BoxFuture, Positions, SendError, Transport};
use agent::{Agent, AgentHandle};
use anyhow::{Context, Result, ensure};
use checks::filter::Filter;
use checks::limits::Limits;
use checks::report::{PaneSummary, ReasonCount, Report};
use lab::{Message, Signal, eventually};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(5);

/// A collector that keeps what it is told.
#[derive(Default)]
struct Collector {
    reports: Mutex<Vec<Arc<Report>>>,
}

impl Transport for Collector {
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>> {
        // As it would arrive: encoded, decoded and checked.
        let arrived = report
            .encode_zstd()
            .and_then(|bytes| Report::decode_bounded(&bytes, &Limits::default()))
            .map_err(|e| SendError::Refused(e.to_string()));
        let told = arrived.map(|report| self.reports().push(Arc::new(report)));
        Box::pin(std::future::ready(told))
    }

    fn positions(&self, topics: &[String]) -> BoxFuture<'_, Result<Positions, SendError>> {
        let mut positions = self.all_positions();
        positions.retain(|(topic, _), _| topics.contains(topic));
        Box::pin(std::future::ready(Ok(positions)))
    }
}

impl Collector {
    fn reports(&self) -> MutexGuard<'_, Vec<Arc<Report>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_positions(&self) -> Positions {
        let mut positions = Positions::new();
        for report in self.reports().iter() {
            for topic in &report.topics {
                positions
                    .extend(topic.positions.iter().map(|p| ((topic.topic.clone(), p.partition), p.next)));
            }
        }
        positions
    }

    fn position(&self, topic: &str) -> i64 {
        self.all_positions().iter().filter(|((name, _), _)| name == topic).map(|(_, next)| next).sum()
    }

    fn skipped(&self, topic: &str, reason: &str) -> i64 {
        let reports = self.reports();
        let ranges =
            reports.iter().flat_map(|r| &r.skipped).filter(|s| s.topic == topic && s.reason == reason);
        ranges.map(|s| s.to - s.from).sum()
    }

    /// What the last snapshots of a topic's panes say, of all boots.
    fn panes(&self, topic: &str) -> Vec<PaneSummary> {
        let mut panes = BTreeMap::new();
        for report in self.reports().iter() {
            for pane in report.panes.iter().filter(|pane| pane.topic == topic) {
                panes.insert((report.boot, pane.start_ms), pane.summary.clone().unwrap_or_default());
            }
        }
        panes.into_values().collect()
    }

    fn sum(&self, topic: &str, of: impl Fn(&PaneSummary) -> u64) -> u64 {
        self.panes(topic).iter().map(of).sum()
    }

    fn read(&self, topic: &str) -> u64 {
        self.sum(topic, |s| s.read)
    }

    fn reasons(&self, topic: &str, of: impl Fn(&PaneSummary) -> &Vec<ReasonCount>) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for pane in self.panes(topic) {
            for reason in of(&pane) {
                *reasons.entry(reason.reason.clone()).or_default() += reason.count;
            }
        }
        reasons
    }
}

fn config(brokers: &str, topics: &[&str]) -> Result<Config> {
    Ok(Config {
        cluster: "lab".into(),
        name: "agent".into(),
        properties: BTreeMap::from([
            ("bootstrap.servers".to_owned(), brokers.to_owned()),
            ("session.timeout.ms".to_owned(), "6000".to_owned()),
        ]),
        topics: Filter::new(topics, &[])?,
        group: lab::unique("tapline-agent"),
        catch_up_ms: 3_600_000,
        threads: 1,
        report_every_ms: 200,
        idle_ms: 15_000,
        discover_every_ms: 500,
        registry: None,
        checks: Arc::default(),
        pipelines: Vec::new(),
        limits: Limits::default(),
    })
}

async fn ready(agent: &AgentHandle, partitions: usize) -> Result<()> {
    eventually("the agent reads", PATIENCE, async || {
        let status = agent.status();
        ensure!(status.connected && status.caught_up && status.partitions == partitions, "{status:?}");
        Ok(())
    })
    .await
}

async fn until(what: &str, mut is_so: impl FnMut() -> Result<()>) -> Result<()> {
    eventually(what, PATIENCE, async || is_so()).await
}

fn same<T: PartialEq + std::fmt::Debug>(is: T, is_due: T) -> Result<()> {
    ensure!(is == is_due, "{is:?}, not {is_due:?}");
    Ok(())
}

fn json(range: std::ops::Range<u32>) -> impl Iterator<Item = Message> {
    range.map(|i| Message::value(format!("{{\"id\":{i}}}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_and_aborted_records_are_skipped_and_a_marker_at_the_end_is_no_lag() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("agent-transactions");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let collector = Arc::new(Collector::default());
    let agent = Agent::start(config(&kafka.bootstrap(), &[&topic])?, collector.clone());
    ready(&agent, 1).await?;

    let (brokers, name) = (kafka.bootstrap(), topic.clone());
    let produced = tokio::task::spawn_blocking(move || -> Result<()> {
        let producer: ThreadedProducer<_> =
            lab::clients::config(&brokers).set("transactional.id", lab::unique("tx")).create()?;
        producer.init_transactions(PATIENCE)?;
        for (count, is_committed) in [(10, true), (5, false), (7, true)] {
            producer.begin_transaction()?;
            for i in 0..count {
                let value = format!("{{\"id\":{i}}}");
                let record = BaseRecord::<str, str>::to(&name).partition(0).key("k").payload(&value);
                producer.send(record).map_err(|(e, _)| e)?;
            }
            producer.flush(PATIENCE)?;
            if is_committed {
                producer.commit_transaction(PATIENCE)?;
            } else {
                producer.abort_transaction(PATIENCE)?;
            }
        }
        Ok(())
    });
    produced.await??;
    // 17 records, 5 aborted ones, 3 markers, the last of them at the end.
    until("it comes to the end", || {
        ensure!(collector.position(&topic) == 25, "at {}", collector.position(&topic));
        ensure!(agent.status().caught_up, "{:?}", agent.status());
        Ok(())
    })
    .await?;
    assert_eq!(collector.read(&topic), 17);
    assert_eq!(collector.skipped(&topic, "gap"), 8);
    assert!(agent.stop(STOP).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removed_before_it_was_read_is_lost_and_counted() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("agent-lost");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let collector = Arc::new(Collector::default());
    let config = config(&kafka.bootstrap(), &[&topic])?;
    let agent = Agent::start(config.clone(), collector.clone());
    ready(&agent, 1).await?;
    lab::produce(&kafka.bootstrap(), &topic, json(0..10)).await?;
    until("it is read", || same(collector.read(&topic), 10)).await?;
    assert!(agent.stop(STOP).await);

    lab::produce(&kafka.bootstrap(), &topic, json(0..90)).await?;
    let admin: rdkafka::admin::AdminClient<_> = lab::clients::config(&kafka.bootstrap()).create()?;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(40))?;
    admin.delete_records(&before, &rdkafka::admin::AdminOptions::new()).await?;

    let agent = Agent::start(config, collector.clone());
    until("the rest is read", || same(collector.position(&topic), 100)).await?;
    assert_eq!((collector.read(&topic), collector.skipped(&topic, "lost")), (70, 30));
    assert!(agent.stop(STOP).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_vanishes_is_let_go_and_one_of_its_name_is_read_from_its_beginning() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, other) = (lab::unique("agent-vanishes"), lab::unique("agent-stays"));
    lab::create_topic(&kafka.bootstrap(), &topic, 2, &[]).await?;
    lab::create_topic(&kafka.bootstrap(), &other, 1, &[]).await?;
    let collector = Arc::new(Collector::default());
    let agent = Agent::start(config(&kafka.bootstrap(), &[&topic, &other])?, collector.clone());
    ready(&agent, 3).await?;
    lab::produce(&kafka.bootstrap(), &topic, json(0..50)).await?;
    until("it is read", || same(collector.read(&topic), 50)).await?;

    lab::delete_topic(&kafka.bootstrap(), &topic).await?;
    ready(&agent, 1).await?;
    lab::produce(&kafka.bootstrap(), &other, json(0..20)).await?;
    until("the other is read on", || same(collector.read(&other), 20)).await?;

    lab::create_topic(&kafka.bootstrap(), &topic, 2, &[]).await?;
    lab::produce(&kafka.bootstrap(), &topic, json(0..30)).await?;
    until("the new one is read", || same(collector.read(&topic), 80)).await?;
    assert!(agent.stop(STOP).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_are_counted_by_reason_and_harm_nothing() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("agent-hostile");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[("max.message.bytes", "104857600")]).await?;
    let collector = Arc::new(Collector::default());
    let agent = Agent::start(config(&kafka.bootstrap(), &[&topic])?, collector.clone());
    ready(&agent, 1).await?;
    let values: Vec<Message> = vec![
        Message::value("{\"id\":1}"),
        Message::value(format!("{{\"text\":\"{}\"}}", "x".repeat(50 << 20))),
        Message::value("[".repeat(100_000)),
        Message::value(b"{\"text\":\"\xff\"}".to_vec()),
        Message::value("{\"id\":"),
        Message::value("{\"id\":1e400}"),
        Message::value("{} {}"),
        Message::value("plain words"),
        Message::value(b"\x0a\xff\xfe".to_vec()),
        Message::value(b"\0\0\0\0\x01x".to_vec()),
        Message { value: None, ..Message::default() },
        Message::value("{\"id\":2}").at(-1),
        Message::value("{\"id\":3}"),
    ];
    lab::produce(&kafka.bootstrap(), &topic, values).await?;
    until("all are read", || same(collector.read(&topic), 13)).await?;
    let failures = collector.reasons(&topic, |s| &s.decode_failures);
    let expected = [
        ("invalid_utf8", 1),
        ("number_out_of_range", 1),
        ("too_deep", 1),
        ("too_large", 1),
        ("trailing_bytes", 1),
        ("truncated", 1),
    ];
    assert_eq!(failures, expected.map(|(reason, n)| (reason.to_owned(), n)).into());
    let not_decoded = collector.reasons(&topic, |s| &s.not_decoded);
    assert_eq!(not_decoded, ["bytes", "framed", "text"].map(|format| (format.to_owned(), 1)).into());
    assert_eq!(collector.sum(&topic, |s| s.tombstones), 1);
    assert_eq!(collector.sum(&topic, |s| s.examined), 13);
    assert!(agent.stop(STOP).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn framed_values_are_decoded_by_the_registry_and_its_absence_is_counted() -> Result<()> {
    let (kafka, registry) = (lab::broker().await?, lab::Registry::start().await?);
    let topic = lab::unique("agent-avro");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let schema = r#"{"type":"record","name":"order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]}]}"#;
    let avro = registry.register(&lab::unique("avro"), "AVRO", schema).await?;
    let object = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["id"]}"#;
    let json_schema = registry.register(&lab::unique("json"), "JSON", object).await?;
    let proto = registry
        .register(&lab::unique("proto"), "PROTOBUF", "syntax = \"proto3\"; message M { int64 id = 1; }")
        .await?;
    let later = registry.register(&lab::unique("later"), "AVRO", "\"long\"").await?;

    let collector = Arc::new(Collector::default());
    let mut config = config(&kafka.bootstrap(), &[&topic])?;
    config.registry = Some(RegistryConfig { url: registry.url(), credentials: None, ca_pem: None });
    config.limits.remote_timeout_ms = 1_000;
    let agent = Agent::start(config, collector.clone());
    ready(&agent, 1).await?;

    let framed = |id: u32, rest: &[u8]| Message::value([&[0][..], &id.to_be_bytes(), rest].concat());
    let order = |id: u8| framed(avro, &[&[id * 2, 2, 6][..], b"abc"].concat());
    let mut values: Vec<Message> = (0..50).map(order).collect();
    values.extend([
        framed(avro, &[2, 0]),
        framed(avro, &[2, 2, 6, b'a']),
        framed(avro, &[2, 0, 9]),
        framed(avro, &[2, 2, 0x80, 0x80, 0x80, 0x80, 0x10]),
        framed(999_999, b"abc"),
        framed(json_schema, b"{\"id\":1}"),
        framed(json_schema, b"{}"),
        framed(json_schema, b"{"),
        framed(proto, b"\0\x08\x01"),
        Message::value("{\"id\":1}"),
    ]);
    lab::produce(&kafka.bootstrap(), &topic, values).await?;
    until("all are read", || same(collector.read(&topic), 60)).await?;
    let failures = collector.reasons(&topic, |s| &s.decode_failures);
    let expected = [("trailing_bytes", 1), ("truncated", 3), ("unknown_schema", 1)];
    assert_eq!(failures, expected.map(|(reason, n)| (reason.to_owned(), n)).into());
    assert_eq!(collector.reasons(&topic, |s| &s.not_decoded), [("protobuf".to_owned(), 1)].into());
    assert_eq!(collector.sum(&topic, |s| s.schema_checked), 53);
    assert_eq!(collector.sum(&topic, |s| s.schema_violations), 1);
    let paths: BTreeSet<String> =
        collector.panes(&topic).iter().flat_map(|s| s.fields.iter().map(|f| f.path.clone())).collect();
    // An empty object is a leaf itself.
    assert_eq!(paths, ["$", "$.id", "$.note"].map(String::from).into());

    // It hangs: what is known goes on being decoded, what is not is counted, and nothing waits long.
    registry.signal(Signal::Stop)?;
    let mut values: Vec<Message> = vec![framed(later, &[2])];
    values.extend((0..20).map(order));
    values.push(framed(later, &[2]));
    lab::produce(&kafka.bootstrap(), &topic, values).await?;
    until("they are read", || same(collector.read(&topic), 82)).await?;
    let failures = collector.reasons(&topic, |s| &s.decode_failures);
    assert_eq!(failures.get("schema_unavailable"), Some(&2), "{failures:?}");
    let error = agent.status().last_error.context("the status says why")?;
    assert!(error.contains("no answer in time"), "{error}");
    registry.signal(Signal::Cont)?;
    assert!(agent.stop(STOP).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_said_in_the_status_and_never_repeated() -> Result<()> {
    let kafka = lab::broker().await?;
    let mut config = config(&kafka.sasl_bootstrap(), &[".*"])?;
    for (name, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", lab::kafka::SASL_USER),
        ("sasl.password", "wrong-secret-42"),
    ] {
        config.properties.insert(name.into(), value.into());
    }
    let agent = Agent::start(config, Arc::new(Collector::default()));
    until("the status says it", || {
        let status = agent.status();
        let error = status.last_error.clone().unwrap_or_default();
        ensure!(!status.connected && error.contains("refuses the credentials"), "{status:?}");
        ensure!(!error.contains("wrong-secret-42"), "{error}");
        Ok(())
    })
    .await?;
    assert!(agent.stop(STOP).await);
    Ok(())
}
