//! The agent on librdkafka's mock cluster: whatever happens, every offset is read or skipped, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::config::Config;
use agent::send::{BoxFuture, Positions, SendError, Transport};
use agent::{Agent, AgentHandle};
use checks::filter::Filter;
use checks::limits::Limits;
use checks::report::{Pane, Report};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector that keeps what it is told, and can be away.
#[derive(Default)]
struct Collector {
    inner: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    is_away: bool,
    refuses_next: bool,
    /// Takes reports with panes and does not say so.
    is_mute: bool,
    reports: Vec<Arc<Report>>,
}

impl Transport for Collector {
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>> {
        let mut told = self.inner.lock().expect("not poisoned");
        let answer = if told.is_away {
            Err(SendError::Retry("away".into()))
        } else if std::mem::take(&mut told.refuses_next) {
            Err(SendError::Refused("no".into()))
        } else {
            let is_mute = told.is_mute && !report.panes.is_empty();
            told.reports.push(report);
            if is_mute { Err(SendError::Retry("mute".into())) } else { Ok(()) }
        };
        Box::pin(std::future::ready(answer))
    }

    fn positions(&self, topics: &[String]) -> BoxFuture<'_, Result<Positions, SendError>> {
        let told = self.inner.lock().expect("not poisoned");
        let answer = if told.is_away {
            Err(SendError::Retry("away".into()))
        } else {
            Ok(told.positions().into_iter().filter(|((topic, _), _)| topics.contains(topic)).collect())
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Told {
    fn positions(&self) -> Positions {
        let mut positions = Positions::new();
        for report in &self.reports {
            for topic in &report.topics {
                for p in &topic.positions {
                    let known = positions.entry((topic.topic.clone(), p.partition)).or_insert(p.next);
                    *known = p.next.max(*known);
                }
            }
        }
        positions
    }

    /// The last snapshot of every pane of every boot.
    fn panes(&self) -> Vec<Pane> {
        let mut panes = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for report in &self.reports {
            if seen.insert((report.agent.clone(), report.boot, report.sequence)) {
                for pane in &report.panes {
                    panes.insert(
                        (report.agent.clone(), report.boot, pane.topic.clone(), pane.start_ms),
                        pane.clone(),
                    );
                }
            }
        }
        panes.into_values().collect()
    }

    fn read(&self, topic: &str) -> u64 {
        self.panes()
            .iter()
            .filter(|p| p.topic == topic)
            .map(|p| p.summary.as_ref().map_or(0, |s| s.read))
            .sum()
    }

    fn skipped(&self, topic: &str, reason: &str) -> i64 {
        let mut seen = BTreeSet::new();
        let mut skipped = 0;
        for report in &self.reports {
            if seen.insert((report.agent.clone(), report.boot, report.sequence)) {
                let of_topic = report.skipped.iter().filter(|s| s.topic == topic && s.reason == reason);
                skipped += of_topic.map(|s| s.to - s.from).sum::<i64>();
            }
        }
        skipped
    }
}

impl Collector {
    fn told<T>(&self, ask: impl FnOnce(&mut Told) -> T) -> T {
        ask(&mut self.inner.lock().expect("not poisoned"))
    }
}

fn config(brokers: &str, group: &str) -> Config {
    Config {
        cluster: "test".into(),
        name: "agent".into(),
        properties: BTreeMap::from([
            ("bootstrap.servers".to_owned(), brokers.to_owned()),
            // The mock waits this long for a member that was killed.
            ("session.timeout.ms".to_owned(), "3000".to_owned()),
            ("heartbeat.interval.ms".to_owned(), "500".to_owned()),
        ]),
        topics: Filter::new(&[".*"], &["^__"]).expect("valid patterns"),
        group: group.into(),
        catch_up_ms: 60_000,
        threads: 1,
        report_every_ms: 100,
        idle_ms: 15_000,
        discover_every_ms: 300,
        registry: None,
        checks: Arc::default(),
        pipelines: Vec::new(),
        limits: Limits::default(),
    }
}

struct Lab {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    collector: Arc<Collector>,
}

impl Lab {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("linger.ms", "0")
            .create()
            .expect("a producer");
        Self { cluster, producer, collector: Arc::default() }
    }

    fn topic(&self, name: &str, partitions: i32) {
        self.cluster.create_topic(name, partitions, 1).expect("a topic");
    }

    fn produce(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = String>, at_ms: i64) {
        for value in values {
            let record =
                BaseRecord::<(), str>::to(topic).partition(partition).payload(&value).timestamp(at_ms);
            self.producer.send(record).map_err(|(e, _)| e).expect("queued");
        }
        self.producer.flush(PATIENCE).expect("delivered");
    }

    fn config(&self, group: &str) -> Config {
        config(&self.cluster.bootstrap_servers(), group)
    }

    fn start(&self, config: Config) -> AgentHandle {
        Agent::start(config, self.collector.clone())
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.collector.told(|told| is_so(told)) {
            let seen = self.collector.told(|t| (t.reports.len(), t.positions(), t.panes().len()));
            assert!(Instant::now() < deadline, "{what}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

fn json(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|i| format!("{{\"id\":{i}}}"))
}

async fn ready(agent: &AgentHandle, partitions: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = agent.status();
        if status.connected && status.caught_up && status.partitions == partitions {
            return;
        }
        assert!(Instant::now() < deadline, "not ready: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_reads_from_the_end_and_counts_what_came() {
    let lab = Lab::new();
    lab.topic("orders", 3);
    lab.produce("orders", 0, json(0..50), now_ms());
    let agent = lab.start(lab.config("it-reads"));
    ready(&agent, 3).await;
    for partition in 0..3 {
        lab.produce("orders", partition, json(0..100), now_ms());
    }
    lab.produce("orders", 1, ["{broken".to_owned(), "words".to_owned()], now_ms());
    lab.until("all is read", |told| told.read("orders") == 302).await;
    let panes = lab.collector.told(|told| told.panes());
    let count = |of: fn(&checks::report::PaneSummary) -> u64| -> u64 {
        panes.iter().filter_map(|p| p.summary.as_ref()).map(of).sum()
    };
    assert_eq!(count(|s| s.examined), 302);
    assert_eq!(count(|s| s.decode_failures.iter().map(|f| f.count).sum()), 1);
    assert_eq!(count(|s| s.not_decoded.iter().map(|f| f.count).sum()), 1);
    let positions = lab.collector.told(|told| told.positions());
    assert_eq!(positions.values().sum::<i64>(), 352);
    assert!(agent.stop(Duration::from_secs(5)).await, "it stops in time");
}

/// A crash, as far as a process can do that to itself: nothing after this moment arrives or is
/// committed.
async fn kill(lab: &Lab, agent: AgentHandle) {
    lab.collector.told(|told| told.is_away = true);
    drop(agent);
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.collector.told(|told| told.is_away = false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_crash_nothing_is_lost_or_counted_twice() {
    let lab = Lab::new();
    lab.topic("orders", 2);
    let agent = lab.start(lab.config("crash"));
    ready(&agent, 2).await;
    lab.produce("orders", 0, json(0..1_000), now_ms());
    lab.until("some was read", |told| told.read("orders") >= 1_000).await;
    // Reported and never acknowledged: the collector knows more than the group.
    lab.collector.told(|told| told.is_mute = true);
    lab.produce("orders", 0, json(0..500), now_ms());
    lab.produce("orders", 1, json(0..500), now_ms());
    lab.until("more was read", |told| told.read("orders") > 1_000).await;
    kill(&lab, agent).await;
    lab.collector.told(|told| told.is_mute = false);
    lab.produce("orders", 1, json(0..700), now_ms());

    let agent = lab.start(lab.config("crash"));
    lab.until("all was read", |told| told.positions().values().sum::<i64>() == 2_700).await;
    lab.produce("orders", 0, json(0..10), now_ms());
    lab.until("it goes on", |told| told.positions().values().sum::<i64>() == 2_710).await;
    let (read, skipped) =
        lab.collector.told(|told| (told.read("orders"), told.skipped("orders", "catch_up")));
    assert_eq!((read, skipped), (2_710, 0));
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crash_before_the_first_report_leaves_a_place_to_go_on_from() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    lab.produce("orders", 0, json(0..5), now_ms());
    lab.collector.told(|told| told.is_away = true);
    let agent = lab.start(lab.config("early-crash"));
    ready(&agent, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.produce("orders", 0, json(0..20), now_ms());
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(&lab, agent).await;
    let agent = lab.start(lab.config("early-crash"));
    lab.until("all was read", |told| told.read("orders") == 20).await;
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_too_long_it_jumps_to_the_end_and_counts_what_it_passed_over() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    let agent = lab.start(lab.config("jump"));
    ready(&agent, 1).await;
    lab.produce("orders", 0, json(0..100), now_ms());
    lab.until("it is read", |told| told.read("orders") == 100).await;
    assert!(agent.stop(Duration::from_secs(5)).await);

    lab.produce("orders", 0, json(0..300), now_ms() - 120_000);
    let agent = lab.start(lab.config("jump"));
    lab.until("it has jumped", |told| told.skipped("orders", "catch_up") > 0).await;
    lab.produce("orders", 0, json(0..40), now_ms());
    lab.until("it goes on", |told| told.positions().values().sum::<i64>() == 440).await;
    let told = lab.collector.told(|told| (told.read("orders"), told.skipped("orders", "catch_up")));
    assert_eq!(told, (140, 300));
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_topic_made_while_it_runs_is_read_from_its_beginning() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    let agent = lab.start(lab.config("new-topic"));
    ready(&agent, 1).await;
    lab.topic("payments", 2);
    lab.produce("payments", 1, json(0..100), now_ms());
    lab.until("the new topic is read", |told| told.read("payments") == 100).await;
    assert_eq!(agent.status().topics, 2);
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_report_is_told_of_as_skipped() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    let agent = lab.start(lab.config("refused"));
    ready(&agent, 1).await;
    lab.produce("orders", 0, json(0..50), now_ms() - 20_000);
    lab.until("it is read", |told| told.read("orders") == 50).await;
    lab.collector.told(|told| told.refuses_next = true);
    lab.until("the next one arrives", |told| !told.refuses_next).await;
    lab.produce("orders", 0, json(0..50), now_ms());
    lab.until("all is read", |told| told.read("orders") == 100).await;
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broker_that_is_away_is_waited_for() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    lab.cluster.broker_down(1).expect("down");
    let agent = lab.start(lab.config("away"));
    let deadline = Instant::now() + PATIENCE;
    while agent.status().last_error.is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!agent.status().connected);
    lab.cluster.broker_up(1).expect("up");
    ready(&agent, 1).await;
    assert_eq!(agent.status().last_error, None);
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_agents_share_the_partitions_and_hand_them_over() {
    let lab = Lab::new();
    lab.topic("orders", 4);
    let first = lab.start(lab.config("two"));
    ready(&first, 4).await;
    for partition in 0..4 {
        lab.produce("orders", partition, json(0..100), now_ms());
    }
    let second = lab.start(Config { name: "other".into(), ..lab.config("two") });
    ready(&first, 2).await;
    ready(&second, 2).await;
    for partition in 0..4 {
        lab.produce("orders", partition, json(0..100), now_ms());
    }
    lab.until("all is read", |told| told.positions().values().sum::<i64>() == 800).await;
    assert!(second.stop(Duration::from_secs(5)).await);
    ready(&first, 4).await;
    for partition in 0..4 {
        lab.produce("orders", partition, json(0..100), now_ms());
    }
    lab.until("all is read", |told| told.positions().values().sum::<i64>() == 1_200).await;
    assert_eq!(lab.collector.told(|told| told.read("orders")), 1_200, "nothing was read by both");
    assert!(first.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn threads_share_the_partitions_as_agents_do() {
    let lab = Lab::new();
    lab.topic("orders", 4);
    let agent = lab.start(Config { threads: 2, ..lab.config("threads") });
    ready(&agent, 4).await;
    for partition in 0..4 {
        lab.produce("orders", partition, json(0..100), now_ms());
    }
    lab.until("all is read", |told| told.read("orders") == 400).await;
    let names: BTreeSet<String> =
        lab.collector.told(|told| told.reports.iter().map(|r| r.agent.clone()).collect());
    assert_eq!(names, BTreeSet::from(["agent".to_owned(), "agent-2".to_owned()]));
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_the_collector_away_it_keeps_what_it_may_and_counts_the_rest() {
    let lab = Lab::new();
    lab.topic("orders", 1);
    let mut config = lab.config("spool");
    config.limits.spool_bytes = 20_000;
    let agent = lab.start(config);
    ready(&agent, 1).await;
    lab.until("it reports", |told| !told.reports.is_empty()).await;
    lab.collector.told(|told| told.is_away = true);
    // A pane a record: no bound of 20 kB holds them all.
    for i in 0..60 {
        lab.produce(
            "orders",
            0,
            [format!("{{\"id\":{i},\"text\":\"{}\"}}", "x".repeat(200))],
            now_ms() - 600_000 + i * 10_000,
        );
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.collector.told(|told| told.is_away = false);
    lab.until("all is accounted for", |told| told.positions().values().sum::<i64>() == 60).await;
    let (read, spool) = lab.collector.told(|told| (told.read("orders"), told.skipped("orders", "spool")));
    assert_eq!(read as i64 + spool, 60, "read {read}, skipped {spool}");
    assert!(spool > 0, "the bound was never met");
    assert!(agent.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bad_property_is_named_before_anything_starts() {
    let mut config = config("127.0.0.1:1", "bad");
    assert_eq!(Agent::check(&config), Ok(()));
    config.properties.insert("sasl.mechanismus".into(), "secret-42".into());
    let error = Agent::check(&config).expect_err("no such property");
    assert!(error.contains("sasl.mechanismus") && !error.contains("secret-42"), "{error}");
}
