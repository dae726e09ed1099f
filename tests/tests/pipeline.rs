//! A pipeline of three topics with known delays and known losses: hops, losses and spans are what
//! was produced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::{Launch, Message, OtelCollector, eventually};

const TIMEOUT: Duration = Duration::from_secs(120);

const TRACES: u64 = 2_000;
/// Lost after the first stage, and after the second.
const LOST_AFTER_ORDERS: u64 = 21;
const LOST_AFTER_PAYMENTS: u64 = 34;
/// Take longer than the objective of two seconds.
const SLOW: u64 = 9;
const DEADLINE_S: u64 = 8;

/// An event's way, in milliseconds after its start.
struct Way {
    trace: u128,
    /// Its first record has another context before the one that counts.
    has_two_headers: bool,
    payment_ms: Option<i64>,
    shipment_ms: Option<i64>,
}

fn ways() -> Vec<Way> {
    (0..TRACES)
        .map(|i| {
            // Delays of 20 to 119 and 50 to 249 ms, not in step with each other.
            let hop = 20 + (i * 37 % 100) as i64;
            let slow = if i < SLOW { 2_500 } else { 0 };
            let next = 50 + (i * 53 % 200) as i64 + slow;
            let lost_early = (100..100 + LOST_AFTER_ORDERS).contains(&i);
            let lost_late = (300..300 + LOST_AFTER_PAYMENTS).contains(&i);
            Way {
                has_two_headers: i == 700,
                // Ids as random ones are, and never zero.
                trace: (u128::from(i) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
                payment_ms: (!lost_early).then_some(hop),
                shipment_ms: (!lost_early && !lost_late).then_some(hop + next),
            }
        })
        .collect()
}

fn span_id(trace: u128, stage: u64) -> u64 {
    (trace as u64 ^ (stage + 1)).max(1)
}

fn traced(way: &Way, stage: u64, at_ms: i64) -> Message {
    let header = format!("00-{:032x}-{:016x}-01", way.trace, span_id(way.trace, stage));
    let mut message = Message::value(format!("{{\"trace\":\"{:x}\"}}", way.trace))
        .key(format!("{:x}", way.trace))
        .at(at_ms);
    if way.has_two_headers && stage == 0 {
        message = message.header("traceparent", format!("00-{}-{}-01", "1".repeat(32), "2".repeat(16)));
    }
    message.header("traceparent", header)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_losses_and_spans_are_what_was_produced() -> Result<()> {
    let kafka = lab::broker().await?;
    let otel = OtelCollector::start().await?;
    let topics: Vec<String> = ["orders", "payments", "shipments"].iter().map(|t| lab::unique(t)).collect();
    for topic in &topics {
        lab::create_topic(&kafka.bootstrap(), topic, 3, &[]).await?;
    }
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: ['{0}', '{1}', '{2}'] }}, group: 'tapline-{0}', report_every: 500ms, idle: 2s }}\n\
         watch: {{ interval: 1s }}\n\
         pipelines: [ {{ name: checkout, stages: ['{0}', '{1}', '{2}'], deadline: {DEADLINE_S}s, latency: {{ p99: 2s }} }} ]\n\
         export: {{ otlp: {{ endpoint: '{3}', traces: 5% }} }}\n",
        topics[0],
        topics[1],
        topics[2],
        otel.grpc_url()
    );
    let brokers = kafka.bootstrap();
    let tapline = Launch::new("run")?.args(["--brokers", &brokers]).config(&config)?.start().await?;

    let ways = ways();
    // In the past, so that no record is from the future.
    let start = now_ms() - 4_000;
    let stage = |stage: u64, at: fn(&Way) -> Option<i64>| {
        let mut messages: Vec<(i64, Message)> = ways
            .iter()
            .filter_map(|way| at(way).map(|ms| (start + ms, traced(way, stage, start + ms))))
            .collect();
        messages.sort_by_key(|(ms, _)| *ms);
        messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>()
    };
    // A context that can't be read, two of which the last counts and can't be read, and none.
    let odd = [
        Message::value("{}").header("traceparent", "00-xyz-1-01"),
        Message::value("{}")
            .header("traceparent", format!("00-{}-{}-01", "1".repeat(32), "2".repeat(16)))
            .header("traceparent", "00-00000000000000000000000000000000-0000000000000000-01"),
        Message::value("{}"),
    ];
    lab::produce(&brokers, &topics[0], stage(0, |_| Some(0)).into_iter().chain(odd)).await?;
    lab::produce(&brokers, &topics[1], stage(1, |way| way.payment_ms)).await?;
    lab::produce(&brokers, &topics[2], stage(2, |way| way.shipment_ms)).await?;

    let completed: Vec<&Way> = ways.iter().filter(|way| way.shipment_ms.is_some()).collect();
    let lost = [(&topics[0], LOST_AFTER_ORDERS), (&topics[1], LOST_AFTER_PAYMENTS)];
    let metrics = eventually("hops and losses are counted", TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        for (stage, count) in lost {
            let labels = [("pipeline", "checkout"), ("stage", stage.as_str())];
            let counted = metrics.one("tapline_trace_incomplete_total", &labels)?;
            ensure!(counted == count as f64, "lost after {stage}: {counted}, not {count}");
        }
        let whole = metrics.one("tapline_pipeline_latency_seconds_count", &[("pipeline", "checkout")])?;
        ensure!(whole == completed.len() as f64, "{whole} complete, not {}", completed.len());
        Ok(metrics)
    })
    .await?;

    let hop = |from: usize, to: usize, delays: Vec<i64>| -> Result<()> {
        let labels = [("pipeline", "checkout"), ("from", topics[from].as_str()), ("to", topics[to].as_str())];
        let count = metrics.one("tapline_hop_latency_seconds_count", &labels)?;
        let sum = metrics.one("tapline_hop_latency_seconds_sum", &labels)?;
        ensure!(count == delays.len() as f64, "hop {from} to {to}: {count}, not {}", delays.len());
        let (mean, truth) = (sum / count, delays.iter().sum::<i64>() as f64 / 1_000.0 / delays.len() as f64);
        let tolerance = (truth * 0.01).max(0.002);
        ensure!((mean - truth).abs() <= tolerance, "hop {from} to {to}: mean {mean}, truth {truth}");
        // The classic buckets are cumulative, and exact at their bounds.
        for bound in ["0.1", "0.25"] {
            let at_most =
                delays.iter().filter(|ms| **ms as f64 / 1_000.0 <= bound.parse().unwrap_or(0.0)).count();
            let mut labels = labels.to_vec();
            labels.push(("le", bound));
            let bucket = metrics.one("tapline_hop_latency_seconds_bucket", &labels)?;
            ensure!(
                bucket == at_most as f64,
                "hop {from} to {to}: {bucket} at most {bound} s, not {at_most}"
            );
        }
        Ok(())
    };
    hop(0, 1, ways.iter().filter_map(|way| way.payment_ms).collect())?;
    hop(1, 2, ways.iter().filter_map(|way| Some(way.shipment_ms? - way.payment_ms?)).collect())?;
    let events = |result: &str| {
        metrics.one("tapline_pipeline_events_total", &[("pipeline", "checkout"), ("result", result)])
    };
    ensure!(events("bad")? == SLOW as f64, "{} over the objective", events("bad")?);
    ensure!(events("good")? == (completed.len() as u64 - SLOW) as f64, "{} within it", events("good")?);

    // Every breach is exported: the slow ones and the lost ones.
    let breached: BTreeSet<String> = ways
        .iter()
        .filter(|way| way.shipment_ms.is_none_or(|ms| ms > 2_000))
        .map(|way| format!("{:032x}", way.trace))
        .collect();
    ensure!(breached.len() as u64 == SLOW + LOST_AFTER_ORDERS + LOST_AFTER_PAYMENTS, "the test's own count");
    let spans = eventually("all breaches are exported", TIMEOUT, async || {
        let spans = otel.spans()?;
        let linked: BTreeSet<&String> =
            spans.iter().flat_map(|s| s.links.iter().map(|(trace, _)| trace)).collect();
        let missing = breached.iter().filter(|trace| !linked.contains(trace)).count();
        ensure!(missing == 0, "{missing} of {} breaches are not there yet", breached.len());
        Ok(spans)
    })
    .await?;
    let by_trace: BTreeMap<String, &Way> =
        ways.iter().map(|way| (format!("{:032x}", way.trace), way)).collect();
    let mut sampled = BTreeSet::new();
    for span in &spans {
        ensure!(span.kind == 1, "spans of the observer are INTERNAL: {span:?}");
        let text = serde_json::to_string(&span.attributes)?;
        ensure!(!text.contains("{\\\"trace"), "no payload in {text}");
        for (trace, linked_span) in &span.links {
            let way =
                by_trace.get(trace).with_context(|| format!("a link to a trace of nobody: {span:?}"))?;
            let producers: Vec<String> =
                (0..3).map(|stage| format!("{:016x}", span_id(way.trace, stage))).collect();
            ensure!(
                producers.contains(linked_span),
                "{linked_span} is none of the producers' spans {producers:?}"
            );
            sampled.insert(trace.clone());
        }
        ensure!(span.start_ns / 1_000_000 >= start as u64, "spans have the records' times: {span:?}");
        ensure!(span.end_ns >= span.start_ns, "{span:?}");
    }
    // The sampled share besides the breaches: 5% of 1,936, give or take.
    let sampled = sampled.difference(&breached).count();
    ensure!((40..=180).contains(&sampled), "{sampled} traces sampled");

    let notes = |reason: &str| {
        metrics.sum("tapline_header_notes_total", &[("topic", topics[0].as_str()), ("reason", reason)])
    };
    ensure!(notes("traceparent_malformed") == Some(2.0), "{:?} malformed", notes("traceparent_malformed"));
    ensure!(notes("traceparent_duplicate") == Some(1.0), "{:?} duplicate", notes("traceparent_duplicate"));
    ensure!(notes("traceparent_missing") == Some(1.0), "{:?} missing", notes("traceparent_missing"));
    let bucket = metrics
        .select("tapline_hop_latency_seconds_bucket", &[("pipeline", "checkout")])
        .find_map(|sample| sample.exemplar.clone());
    if let Some(exemplar) = bucket {
        let trace = exemplar.get("trace_id").context("an exemplar names its trace")?;
        ensure!(by_trace.contains_key(trace), "{trace} is a trace of the test");
    }
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
