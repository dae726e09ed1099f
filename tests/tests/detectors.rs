//! Detectors on a real stream: one finding each for what changes, and none else.
//!
//! `TAPLINE_DETECTORS=30m` makes the run so long; by default the stream is of twenty minutes that are past, and goes by
//! in a sixth of that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message, Tapline, eventually};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

/// What is done to the stream, in this order.
const FAULTS: [(Fault, &str, Option<&str>); 5] = [
    (Fault::Drift, "distribution", Some("$.amount")),
    (Fault::Nulls, "null_values", Some("$.note")),
    (Fault::Drop, "volume", None),
    (Fault::Category, "new_value", Some("$.status")),
    (Fault::Rename, "renamed_field", Some("$.quantity")),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Drift = 1,
    Nulls,
    Drop,
    Category,
    Rename,
}

/// Records a second, when all is well.
const RATE: f64 = 400.0;
/// Of a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);
const BATCH: Duration = Duration::from_millis(200);

fn order(random: &mut StdRng, n: u64, fault: u8) -> Value {
    let is = |what: Fault| fault == what as u8;
    // Log-normal, by the sum of uniform numbers.
    let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let amount =
        ((3.0 + 0.6 * normal).exp() * if is(Fault::Drift) { 1.6 } else { 1.0 } * 100.0).round() / 100.0;
    let status = match random.random_range(0..100) {
        0..5 if is(Fault::Category) => "lost",
        0..60 => "new",
        60..90 => "paid",
        _ => "shipped",
    };
    let null = random.random_bool(if is(Fault::Nulls) { 0.2 } else { 0.01 });
    let note = if null { Value::Null } else { format!("note {}", random.random_range(0..5_000)).into() };
    let country = ["DE", "FR", "NL", "PL"][random.random_range(0..4)];
    let quantity = if is(Fault::Rename) { "qty" } else { "quantity" };
    let mut order = serde_json::json!({
        "id": format!("o-{n:08}"), "amount": amount, "status": status, "note": note,
        "country": country,
        "customer": { "vip": random.random_bool(0.1), "age": random.random_range(18..90) },
    });
    order[quantity] = random.random_range(1..9).into();
    order
}

/// Time of the stream.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    start_ms: i64,
    /// Times as fast as ours.
    speed: f64,
}

impl Clock {
    /// Ends in the present, or some minutes ago.
    fn new(total: Duration, speed: f64) -> Result<Self> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let ahead_ms = if speed > 1.0 {
            (total.as_secs_f64() * 1000.0 * (1.0 - 1.0 / speed)) as i64 + 1_200_000
        } else {
            0
        };
        Ok(Self { began: Instant::now(), start_ms: now_ms - ahead_ms, speed })
    }

    fn seconds(self) -> f64 {
        self.began.elapsed().as_secs_f64() * self.speed
    }

    async fn sleep(self, span: Duration) {
        tokio::time::sleep(span.div_f64(self.speed)).await;
    }
}

/// Produces until it is stopped; `fault` says what is wrong just now.
async fn feed(bootstrap: String, topic: String, fault: Arc<AtomicU8>, clock: Clock) -> Result<()> {
    let mut random = StdRng::seed_from_u64(1);
    let (mut n, mut due) = (0u64, 0.0);
    let mut ticks = tokio::time::interval(BATCH);
    let mut last = 0.0;
    loop {
        ticks.tick().await;
        let fault = fault.load(Ordering::Relaxed);
        let rate = if fault == Fault::Drop as u8 { RATE * 0.3 } else { RATE };
        let now = clock.seconds();
        due += (now - last) * rate;
        let mut batch = Vec::new();
        while due >= 1.0 {
            due -= 1.0;
            n += 1;
            let at_ms = clock.start_ms + ((now - due / rate) * 1000.0) as i64;
            batch.push(Message::value(order(&mut random, n, fault).to_string()).key(n.to_string()).at(at_ms));
        }
        last = now;
        lab::produce(&bootstrap, &topic, batch).await?;
    }
}

/// All findings of detectors: which, of which field, and whether over.
async fn findings(tapline: &Tapline) -> Result<Vec<(String, Option<String>, bool)>> {
    let all = tapline.json("/api/v1/findings").await?;
    let list = all["findings"].as_array().with_context(|| format!("findings in {all}"))?;
    let of_detectors = list.iter().filter_map(|finding| {
        let name = finding["detector"].as_str()?.to_owned();
        let field = finding["evidence"]["field"].as_str().map(str::to_owned);
        Some((name, field, finding["resolved_at"].is_string()))
    });
    Ok(of_detectors.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_stream_is_found_once_and_nothing_else() -> Result<()> {
    let (minutes, speed) = match std::env::var("TAPLINE_DETECTORS") {
        Ok(text) => (text.trim_end_matches('m').parse::<f64>().context("TAPLINE_DETECTORS=30m")?, 1.0),
        Err(_) => (20.0, 6.0),
    };
    // A third of it is learned from; then each fault lasts as long as the quiet behind it.
    let learn = Duration::from_secs_f64(minutes * 60.0 / 3.5);
    let each = Duration::from_secs_f64((minutes * 60.0 - learn.as_secs_f64()) / 10.0);
    let kafka = lab::broker().await?;
    let topic = lab::unique("detected");
    lab::create_topic(&kafka.bootstrap(), &topic, 2, &[]).await?;
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: [{topic}] }}, report_every: 500ms, idle: 10m }}\ndetect: {{ window: 10s, learn: {}s, adopt: 24h }}\n",
        learn.as_secs().max(60)
    );
    let tapline =
        Launch::new("run")?.args(["--brokers", &kafka.bootstrap()]).config(&config)?.start().await?;
    let fault = Arc::new(AtomicU8::new(0));
    let clock = Clock::new(Duration::from_secs_f64(minutes * 60.0 + 60.0), speed)?;
    let feeder = tokio::spawn(feed(kafka.bootstrap(), topic.clone(), Arc::clone(&fault), clock));
    clock.sleep(learn + Duration::from_secs(60)).await;
    ensure!(findings(&tapline).await?.is_empty(), "{:?}", findings(&tapline).await?);

    for (which, name, field) in FAULTS {
        fault.store(which as u8, Ordering::Relaxed);
        clock.sleep(each).await;
        eventually(&format!("{which:?} to be found, and nothing else"), PATIENCE, async || {
            let seen = findings(&tapline).await?;
            let open: Vec<_> = seen.iter().filter(|(.., over)| !over).collect();
            ensure!(open.len() == 1 && open[0].0 == name && open[0].1.as_deref() == field, "{seen:?}");
            Ok(())
        })
        .await?;
        fault.store(0, Ordering::Relaxed);
        clock.sleep(each).await;
        eventually(&format!("{which:?} to be over"), PATIENCE, async || {
            let seen = findings(&tapline).await?;
            ensure!(seen.iter().all(|(.., over)| *over), "{seen:?}");
            Ok(())
        })
        .await?;
        ensure!(!feeder.is_finished(), "the feeder stopped");
    }
    let mut counts: BTreeMap<(String, Option<String>), u32> = BTreeMap::new();
    for (name, field, _) in findings(&tapline).await? {
        *counts.entry((name, field)).or_default() += 1;
    }
    let expected = FAULTS.map(|(_, name, field)| ((name.to_owned(), field.map(str::to_owned)), 1));
    ensure!(counts == BTreeMap::from(expected), "{counts:?}");
    let all = tapline.json("/api/v1/findings").await?;
    let explained = |finding: &Value| finding["message"].as_str().is_some_and(|text| text.len() > 20);
    ensure!(all["findings"].as_array().is_some_and(|list| list.iter().all(explained)), "{all}");
    // Each with what else moved: at least itself, in its place.
    for finding in all["findings"].as_array().context("findings")? {
        let id = finding["id"].as_str().context("an id")?;
        let whole = tapline.json(&format!("/api/v1/findings/{id}")).await?;
        let timeline = whole["finding"]["explanation"]["timeline"].as_array();
        let is_told = timeline.is_some_and(|all| all.iter().any(|moved| moved["what"] == "this_finding"));
        ensure!(is_told, "no explanation of {finding}: {whole}");
    }
    feeder.abort();
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
