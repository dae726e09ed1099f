//! Real data with known broken records mixed in: every count on /metrics equals the truth.

mod truth;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Launch, Metrics, Tapline, eventually};
use truth::{BROKEN_JSON, Broken, INCOMPLETE, INCOMPLETE_COUNT, Truth};

const TIMEOUT: Duration = Duration::from_secs(240);

const CHECKS: &str = r#"
version: 1
topic: TOPIC
DECODE
window: { size: 10s }
checks:
  - { id: departed,    metric: nullValues,    field: $.dep_time, unit: percent, mustBeLessThan: 50 }
  - { id: has-origin,  metric: missingValues, field: $.origin, mustBeLessThan: 1000000 }
  - { id: newark-only, metric: invalidValues, field: $.origin, arguments: { validValues: [EWR, LGA] }, unit: percent, mustBeLessThan: 90 }
  - { id: long,        metric: invalidValues, field: $.distance, arguments: { min: 100, max: 4000 }, unit: percent, mustBeLessThan: 50 }
  - { id: carrier,     metric: invalidValues, field: $.carrier, arguments: { pattern: "^[A-Z0-9]{2}$", minLength: 2, maxLength: 2 }, mustBe: 0 }
  - { id: far,         metric: failedRows,    expr: "has(value.distance) && value.distance > 500", unit: percent, mustBeLessThan: 99 }
  - { id: volume,      metric: rowCount, mustBeGreaterThan: 0 }
"#;

const JSON_SCHEMA: &str = r#"{
  "type": "object",
  "required": ["year", "origin", "dest", "dep_time"],
  "properties": { "dep_time": { "type": "integer" }, "origin": { "type": "string" } }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_count_of_the_json_flights_is_exact() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("flights");
    lab::create_topic(&kafka.bootstrap(), &topic, 4, &[]).await?;
    let checks = CHECKS
        .replace("TOPIC", &topic)
        .replace("DECODE", "decode: { value: json, schema: { file: flight.schema.json } }");
    let tapline = start(kafka, &topic, &checks, "")?;
    let tapline = tapline.start().await?;

    let (lines, truth) = truth::json_lines(&lab::flights().await?)?;
    produce_with_kcat(&kafka.bootstrap(), &topic, &lines)?;
    let total = truth.total();
    expect_read(&tapline, &topic, total).await?;
    let metrics = tapline.metrics().await?;
    truth.hold(&metrics, &topic)?;
    let sum = |name: &str| metrics.sum(name, &[("topic", &topic)]);
    ensure!(
        sum("tapline_schema_violations_total") == Some((truth.null_departures + INCOMPLETE_COUNT) as f64)
    );
    for Broken { reason, count, .. } in BROKEN_JSON {
        let labels = [("topic", topic.as_str()), ("reason", reason)];
        let counted = metrics.one("tapline_decode_failures_total", &labels)?;
        ensure!(counted == count as f64, "{reason}: {counted}, not {count}");
    }

    // A group that stops half way lags by the other half.
    let half = (total / 2) as usize;
    let group = lab::unique("half-way");
    lab::consume(&kafka.bootstrap(), &group, &topic, half).await?;
    let lag = (total - half as u64) as f64;
    eventually("the lag of the group that stopped half way", Duration::from_secs(60), async || {
        let metrics = tapline.metrics().await?;
        let labels = [("group", group.as_str()), ("topic", topic.as_str())];
        let shown = metrics.one("tapline_group_topic_lag_records", &labels)?;
        ensure!(shown == lag, "lag {shown}, not {lag}");
        let by_partition = metrics.sum("tapline_group_lag_records", &labels);
        ensure!(by_partition == Some(lag), "partitions add up to {by_partition:?}, not {lag}");
        Ok(())
    })
    .await?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_avro_flights_have_the_same_counts() -> Result<()> {
    let kafka = lab::broker().await?;
    let registry = lab::registry().await?;
    let topic = lab::unique("flights-avro");
    lab::create_topic(&kafka.bootstrap(), &topic, 4, &[]).await?;
    let checks = CHECKS.replace("TOPIC", &topic).replace("DECODE", "decode: { value: avro }");
    let config = format!("registry: {{ url: \"{}\" }}\n", registry.url());
    let tapline = start(kafka, &topic, &checks, &config)?.start().await?;

    let (records, mut truth) = truth::avro_records(&lab::flights().await?, &registry.url(), &topic).await?;
    let total = records.len() as u64;
    lab::produce(&kafka.bootstrap(), &topic, records.into_iter().map(lab::Message::value)).await?;
    expect_read(&tapline, &topic, total).await?;
    let metrics = tapline.metrics().await?;
    // The incomplete documents of the JSON test can't be written with this schema.
    truth.incomplete = 0;
    truth.hold(&metrics, &topic)?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

fn start(kafka: &lab::Kafka, topic: &str, checks: &str, config: &str) -> Result<Launch> {
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: ['{topic}'] }}, group: 'tapline-{topic}' }}\n\
         watch: {{ interval: 1s }}\n{config}"
    );
    let brokers = kafka.bootstrap();
    Launch::new("run")?
        .args(["--brokers", &brokers])
        .config(&config)?
        .checks(&[("flights.yaml", checks), ("flight.schema.json", JSON_SCHEMA)])
}

async fn expect_read(tapline: &Tapline, topic: &str, total: u64) -> Result<()> {
    let labels = [("topic", topic)];
    eventually(&format!("all {total} records are read and examined"), TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        let examined = metrics.sum("tapline_records_examined_total", &labels);
        ensure!(examined == Some(total as f64), "examined {examined:?} of {total}");
        Ok(())
    })
    .await
}

/// kcat is a client of another make than the agent's test helpers.
fn produce_with_kcat(bootstrap: &str, topic: &str, lines: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lines");
    std::fs::write(&file, lines)?;
    let output = Command::new("kcat")
        .args(["-P", "-b", bootstrap, "-t", topic, "-X", "message.max.bytes=2000000", "-l"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .context("kcat (install the package kcat)")?;
    ensure!(output.status.success(), "kcat: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Truth {
    fn hold(&self, metrics: &Metrics, topic: &str) -> Result<()> {
        let sum = |name: &str| metrics.sum(name, &[("topic", topic)]).map(|v| v as u64);
        let total = self.total();
        let mut wrong = String::new();
        let mut expect = |what: &str, seen: Option<u64>, truth: u64| {
            // A counter that never counted may be absent: that is no number, but no wrong one.
            if seen.unwrap_or(0) != truth || (truth > 0 && seen.is_none()) {
                let _ = writeln!(wrong, "{what}: {seen:?} instead of {truth}");
            }
        };
        expect("read", sum("tapline_records_read_total"), total);
        expect("examined", sum("tapline_records_examined_total"), total);
        expect("decode failures", sum("tapline_decode_failures_total"), self.broken.values().sum());
        for (reason, count) in &self.broken {
            let labels = [("topic", topic), ("reason", reason.as_str())];
            expect(reason, metrics.sum("tapline_decode_failures_total", &labels).map(|v| v as u64), *count);
        }
        let documents = self.flights + self.incomplete;
        let checks: BTreeMap<&str, (u64, u64)> = BTreeMap::from([
            ("departed", (documents, self.null_departures)),
            ("has-origin", (documents, self.incomplete)),
            ("newark-only", (self.flights, self.jfk)),
            ("long", (self.flights, self.outside_100_4000)),
            ("carrier", (self.flights, 0)),
            ("far", (documents, self.at_most_500 + self.incomplete)),
        ]);
        for (check, (checked, failed)) in checks {
            let labels = [("topic", topic), ("check", check)];
            let of = |name: &str| metrics.sum(name, &labels).map(|v| v as u64);
            expect(&format!("{check}: checked"), of("tapline_check_checked_records_total"), checked);
            expect(&format!("{check}: failed"), of("tapline_check_failed_records_total"), failed);
        }
        ensure!(wrong.is_empty(), "{wrong}");
        Ok(())
    }
}

#[test]
fn the_incomplete_document_is_what_the_truth_takes_it_for() {
    let document: serde_json::Value = serde_json::from_str(INCOMPLETE).expect("JSON");
    assert!(document.get("origin").is_none() && document.get("distance").is_none());
}
