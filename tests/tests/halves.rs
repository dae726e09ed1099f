//! Agent and collector apart give the same numbers as `run`, whatever happens to either.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use lab::{Kafka, Launch, Message, Metrics, Tapline, eventually};

const TIMEOUT: Duration = Duration::from_secs(120);

const CHECKS: &str = r#"
version: 1
topic: TOPIC
decode: { value: json }
window: { size: 10s, allowed_lateness: 1h }
checks:
  - { id: amount-range, metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 1 }
  - { id: id-present,   metric: missingValues, field: $.id, mustBe: 0 }
  - { id: ids-unique,   metric: duplicateValues, field: $.id, mustBe: 0 }
"#;

/// What must be the same, whoever counted.
const COUNTERS: [&str; 7] = [
    "tapline_records_read_total",
    "tapline_records_examined_total",
    "tapline_decode_failures_total",
    "tapline_check_checked_records_total",
    "tapline_check_failed_records_total",
    "tapline_observed_delay_seconds_count",
    "tapline_records_skipped_total",
];

fn messages(from: usize, to: usize) -> Vec<Message> {
    (from..to)
        .map(|i| match i % 10 {
            3 => Message::value(format!("{{\"id\":{i},\"amount\":-1}}")),
            5 => Message::value("{\"amount\":1}"),
            7 => Message::value("{\"id\":"),
            _ => Message::value(format!("{{\"id\":{i},\"amount\":{i}}}")),
        })
        .collect()
}

/// `failed` and `checked` of the messages 0 to n (n a multiple of 10).
fn truth(n: u64) -> [(&'static str, &'static str, u64); 6] {
    let documents = n / 10 * 9;
    [
        ("tapline_check_checked_records_total", "amount-range", documents),
        ("tapline_check_failed_records_total", "amount-range", n / 10),
        ("tapline_check_checked_records_total", "id-present", documents),
        ("tapline_check_failed_records_total", "id-present", n / 10),
        ("tapline_check_checked_records_total", "ids-unique", n / 10 * 8),
        ("tapline_check_failed_records_total", "ids-unique", 0),
    ]
}

struct Set {
    topic: String,
    brokers: String,
}

impl Set {
    async fn new(kafka: &Kafka, name: &str) -> Result<Self> {
        let topic = lab::unique(name);
        lab::create_topic(&kafka.bootstrap(), &topic, 3, &[]).await?;
        Ok(Self { topic, brokers: kafka.bootstrap() })
    }

    fn launch(&self, subcommand: &str, agent: &str) -> Result<Launch> {
        let config = format!(
            "version: 1\nagent: {{ name: {agent}, topics: {{ include: ['{topic}'] }}, group: 'tapline-{topic}-{agent}', \
             report_every: 500ms, catch_up: 10m }}\nwatch: {{ interval: 1s }}\n",
            topic = self.topic
        );
        Launch::new(subcommand)?
            .args(["--brokers", &self.brokers])
            .config(&config)?
            .checks(&[("checks.yaml", &CHECKS.replace("TOPIC", &self.topic))])
    }

    fn agent_of(&self, collector: &str, name: &str) -> Result<Launch> {
        Ok(self.launch("agent", name)?.args(["--collector", collector]))
    }

    async fn produce(&self, from: usize, to: usize) -> Result<()> {
        lab::produce(&self.brokers, &self.topic, messages(from, to)).await?;
        Ok(())
    }

    fn counters(&self, metrics: &Metrics) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        for name in COUNTERS {
            for sample in metrics.select(name, &[("topic", &self.topic)]) {
                let labels: Vec<String> = sample
                    .labels
                    .iter()
                    .filter(|(key, _)| matches!(key.as_str(), "check" | "reason"))
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                if sample.value != 0.0 {
                    counters.insert(format!("{name}{labels:?}"), sample.value as u64);
                }
            }
        }
        counters
    }

    /// Waits until `n` are read, and holds the counts against the truth.
    async fn expect(&self, collector: &Tapline, n: u64) -> Result<BTreeMap<String, u64>> {
        let labels = [("topic", self.topic.as_str())];
        let metrics = eventually(&format!("{n} records are read"), TIMEOUT, async || {
            let metrics = collector.metrics().await?;
            let read = metrics.sum("tapline_records_read_total", &labels);
            ensure!(read == Some(n as f64), "read {read:?}");
            Ok(metrics)
        })
        .await?;
        for (name, check, expected) in truth(n) {
            let counted = metrics.one(name, &[("topic", &self.topic), ("check", check)])?;
            ensure!(counted == expected as f64, "{name} of {check}: {counted}, not {expected}");
        }
        Ok(self.counters(&metrics))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apart_they_count_as_together() -> Result<()> {
    let kafka = lab::broker().await?;
    let set = Set::new(kafka, "apart").await?;
    let together = set.launch("run", "both")?.start().await?;
    let collector = set.launch("collector", "none")?.start().await?;
    let agent = set.agent_of(collector.url(), "one")?.start().await?;
    set.produce(0, 5_000).await?;
    let apart = set.expect(&collector, 5_000).await?;
    let whole = set.expect(&together, 5_000).await?;
    // Whether a record counts as observed or as catching up depends on when the agent got it.
    let comparable = |mut counters: BTreeMap<String, u64>| {
        counters.retain(|name, _| !name.starts_with("tapline_observed_delay"));
        counters
    };
    ensure!(comparable(apart.clone()) == comparable(whole.clone()), "apart {apart:?}, together {whole:?}");
    for process in [agent, collector, together] {
        ensure!(process.stop().await? == 0, "a clean stop");
    }
    Ok(())
}

/// Passes everything on to the collector, each report twice.
#[derive(Clone)]
struct Twice {
    collector: String,
    reports: Arc<AtomicU64>,
}

async fn pass_on(
    State(to): State<Twice>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let times = if method == Method::POST { 2 } else { 1 };
    let mut last = StatusCode::BAD_GATEWAY.into_response();
    for _ in 0..times {
        let mut request =
            lab::http().request(method.clone(), format!("{}{uri}", to.collector)).body(body.clone());
        for (name, value) in &headers {
            if name != "host" && name != "content-length" {
                request = request.header(name, value);
            }
        }
        if let Ok(answer) = request.send().await {
            to.reports.fetch_add(u64::from(method == Method::POST), Ordering::Relaxed);
            let status = answer.status();
            last = (status, answer.bytes().await.unwrap_or_default()).into_response();
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_twice_changes_nothing() -> Result<()> {
    let kafka = lab::broker().await?;
    let set = Set::new(kafka, "twice").await?;
    let collector = set.launch("collector", "none")?.start().await?;
    let twice = Twice { collector: collector.url().to_owned(), reports: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let proxy = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(pass_on).with_state(twice.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let agent = set.agent_of(&proxy, "one")?.start().await?;
    for part in 0..4 {
        set.produce(part * 1_000, (part + 1) * 1_000).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    set.expect(&collector, 4_000).await?;
    let sent = twice.reports.load(Ordering::Relaxed);
    let duplicates =
        collector.metrics().await?.sum("tapline_ingest_reports_total", &[("result", "duplicate")]);
    ensure!(
        sent > 4 && duplicates >= Some(3.0),
        "{sent} reports passed on, {duplicates:?} known as duplicates"
    );
    ensure!(agent.stop().await? == 0, "a clean stop");
    server.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_away_for_half_a_minute_changes_nothing() -> Result<()> {
    let kafka = lab::broker().await?;
    let set = Set::new(kafka, "away").await?;
    let launch = set.launch("collector", "none")?;
    let collector = launch.start().await?;
    let agent = set.agent_of(&launch.url(), "one")?.start().await?;
    set.produce(0, 2_000).await?;
    set.expect(&collector, 2_000).await?;
    set.produce(2_000, 3_000).await?;
    collector.kill().await?;
    set.produce(3_000, 6_000).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let collector = launch.start().await?;
    set.produce(6_000, 7_000).await?;
    set.expect(&collector, 7_000).await?;
    let skipped = collector.metrics().await?.sum("tapline_records_skipped_total", &[("topic", &set.topic)]);
    ensure!(skipped.unwrap_or(0.0) == 0.0, "nothing was passed over: {skipped:?}");
    ensure!(agent.stop().await? == 0 && collector.stop().await? == 0, "clean stops");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_on_the_same_records_count_once() -> Result<()> {
    let kafka = lab::broker().await?;
    let set = Set::new(kafka, "overlap").await?;
    let collector = set.launch("collector", "none")?.start().await?;
    // Two groups: both read everything.
    let one = set.agent_of(collector.url(), "one")?.start().await?;
    let two = set.agent_of(collector.url(), "two")?.start().await?;
    set.produce(0, 3_000).await?;
    set.expect(&collector, 3_000).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    set.expect(&collector, 3_000).await?;
    ensure!(one.stop().await? == 0 && two.stop().await? == 0, "clean stops");
    set.expect(&collector, 3_000).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_accounts_for_every_offset() -> Result<()> {
    let kafka = lab::broker().await?;
    let set = Set::new(kafka, "killed").await?;
    let collector = set.launch("collector", "none")?.start().await?;
    let launch = set.agent_of(collector.url(), "one")?;
    let mut agent = launch.start().await?;
    let mut produced = 0;
    for round in 0..3 {
        // In mid-stream: records are being produced while it dies.
        let (brokers, topic) = (set.brokers.clone(), set.topic.clone());
        let (from, to) = (produced, produced + 4_000);
        let producing = tokio::spawn(async move {
            for start in (from..to).step_by(500) {
                lab::produce(&brokers, &topic, messages(start, start + 500)).await?;
                tokio::time::sleep(Duration::from_millis(120)).await;
            }
            anyhow::Ok(())
        });
        tokio::time::sleep(Duration::from_millis(400 + 250 * round)).await;
        agent.kill().await?;
        producing.await??;
        produced = to;
        agent = launch.start().await?;
    }
    let labels = [("topic", set.topic.as_str())];
    eventually("read and skipped add up to what was produced", TIMEOUT, async || {
        let metrics = collector.metrics().await?;
        let read = metrics.sum("tapline_records_read_total", &labels).unwrap_or(0.0);
        let skipped = metrics.sum("tapline_records_skipped_total", &labels).unwrap_or(0.0);
        ensure!(read + skipped == produced as f64, "read {read} and skipped {skipped} of {produced}");
        Ok(())
    })
    .await?;
    // It was away for less than `catch_up`: nothing had to be skipped.
    set.expect(&collector, produced as u64).await?;
    Ok(())
}
