//! The process `tapline agent` beside a topic that is busy.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{Kafka, KafkaOptions, Launch, eventually};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use crate::{cpu_seconds, orders, say};

/// Records a second.
const RATE: usize = 10_000;
/// So many parts of a second, each with its share of the records.
const TICKS: usize = 100;
const WARM_UP: Duration = Duration::from_secs(10);

const CHECKS: &str = "version: 1\ntopic: TOPIC\ndecode: { value: json }\nsample: { examine: 5% }\nchecks:\n  \
    - { id: amount-range, metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 1 }\n";

pub(crate) async fn run(seconds: usize) -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    let topic = lab::unique("orders");
    lab::create_topic(&kafka.bootstrap(), &topic, 4, &[]).await?;
    let config = format!("version: 1\nagent: {{ topics: {{ include: ['{topic}'] }} }}\n");
    let checks = CHECKS.replace("TOPIC", &topic);
    let launch = |what: &str| -> Result<Launch> {
        Launch::new(what)?
            .args(["--brokers", &kafka.bootstrap()])
            .config(&config)?
            .checks(&[("orders.yaml", checks.as_str())])
    };
    let collector = launch("collector")?.start().await?;
    let agent = launch("agent")?.args(["--collector", collector.url()]).start().await?;
    let (bootstrap, of) = (kafka.bootstrap(), topic.clone());
    let producing = tokio::task::spawn_blocking(move || {
        produce(&bootstrap, &of, seconds + WARM_UP.as_secs() as usize + 2)
    });
    tokio::time::sleep(WARM_UP).await;

    let process = format!("/proc/{}", agent.pid());
    let (begun, before) = (Instant::now(), cpu_seconds(&process)?);
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let share = (cpu_seconds(&process)? - before) / begun.elapsed().as_secs_f64();
    let (resident, peak) = (memory_kib(&process, "VmRSS")?, memory_kib(&process, "VmHWM")?);

    let produced = producing.await??;
    let labels = [("topic", topic.as_str())];
    let metrics = eventually("all is read", Duration::from_secs(60), async || {
        let metrics = collector.metrics().await?;
        let read = metrics.sum("tapline_records_read_total", &labels);
        ensure!(read == Some(produced as f64), "{read:?} of {produced}");
        Ok(metrics)
    })
    .await?;
    let examined = metrics.sum("tapline_records_examined_total", &labels).context("examined")?;
    let of_read = examined / produced as f64;
    ensure!((0.045..0.055).contains(&of_read), "{of_read} examined");
    say(&format!(
        "\n{RATE} orders a second for {seconds} s, {:.1}% examined: the agent takes {:.2}% of a core, {:.1} MiB resident \
         ({:.1} MiB at most)",
        of_read * 100.0,
        share * 100.0,
        resident / 1024.0,
        peak / 1024.0
    ));
    agent.stop().await?;
    collector.stop().await?;
    Ok(())
}

fn memory_kib(process: &str, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()).context("memory")?.parse().context("KiB")
}

/// So many records a second, evenly; returns how many.
fn produce(bootstrap: &str, topic: &str, seconds: usize) -> Result<usize> {
    let producer: ThreadedProducer<DefaultProducerContext> = lab::clients::config(bootstrap)
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let orders = orders::orders(20_000);
    let (begun, ticks) = (Instant::now(), seconds * TICKS);
    let mut sent = 0;
    for tick in 0..ticks {
        for _ in 0..RATE / TICKS {
            let order = &orders[sent % orders.len()];
            let record = BaseRecord::<(), str>::to(topic).payload(order).partition((sent % 4) as i32);
            producer.send(record).map_err(|(error, _)| error)?;
            sent += 1;
        }
        let next = begun + Duration::from_secs(1) * (tick as u32 + 1) / TICKS as u32;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    producer.flush(Duration::from_secs(30))?;
    Ok(sent)
}
