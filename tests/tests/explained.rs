//! A finding on a real stream is explained: what began upstream stands before it, what followed from it
//! after it, in order of onset, and the segment that contributes most is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message, Tapline, eventually};
use serde_json::{Value, json};

/// Records a second and topic.
const RATE: f64 = 150.0;
/// What is known of the stream before, and the time between the faults.
const QUIET: Duration = Duration::from_secs(150);
const APART: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(120);

const CHECKS: &str = r#"
version: 1
topic: ORDERS
window: { size: 10s, allowed_lateness: 5s }
segment_by: $.country
checks:
  - { id: email-present, metric: nullValues, field: $.email, unit: percent, mustBeLessThan: 5 }
"#;

/// When the faults begin, ms; never, until they do.
struct Faults {
    /// Carts come by another schema, without coupons.
    carts: AtomicI64,
    /// Orders without an email address, most of them German.
    orders: AtomicI64,
    /// The group does not read any more.
    group: AtomicI64,
}

impl Faults {
    fn begin(fault: &AtomicI64) -> Result<i64> {
        let at_ms = now_ms()?;
        fault.store(at_ms, Ordering::Relaxed);
        Ok(at_ms)
    }
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn cart(n: u64, is_faulty: bool) -> Value {
    let coupon = if n.is_multiple_of(50) || (is_faulty && n.is_multiple_of(3)) {
        Value::Null
    } else {
        json!(format!("c{}", n % 90))
    };
    json!({ "cart": n, "coupon": coupon })
}

fn order(n: u64, is_faulty: bool) -> Value {
    let country = ["DE", "FR", "NL", "PL"][(n % 4) as usize];
    // Every German order, and one in thirty of the others.
    let lacks = n % 100 == 7 || (is_faulty && (n.is_multiple_of(4) || n % 40 == 1));
    let email = if lacks { Value::Null } else { json!(format!("{n}@example.org")) };
    json!({ "order": n, "country": country, "email": email })
}

/// Produces until it is stopped; records have the times that they were due at, however busy the machine is.
async fn feed(
    bootstrap: String,
    [carts, orders]: [String; 2],
    [old, new]: [u32; 2],
    faults: Arc<Faults>,
) -> Result<()> {
    let (began, start_ms) = (Instant::now(), now_ms()?);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut n = 0u64;
    loop {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * RATE) as u64;
        let mut batches = [Vec::new(), Vec::new()];
        for n in n..due {
            let at_ms = start_ms + (n as f64 / RATE * 1_000.0) as i64;
            let is_on = |fault: &AtomicI64| at_ms >= fault.load(Ordering::Relaxed);
            let schema = if is_on(&faults.carts) { new } else { old };
            let cart = cart(n, is_on(&faults.carts)).to_string();
            let framed = [&[0][..], &schema.to_be_bytes(), cart.as_bytes()].concat();
            batches[0].push(Message::value(framed).at(at_ms));
            batches[1].push(Message::value(order(n, is_on(&faults.orders)).to_string()).at(at_ms));
        }
        n = due;
        let [first, second] = batches;
        lab::produce(&bootstrap, &carts, first).await?;
        lab::produce(&bootstrap, &orders, second).await?;
    }
}

/// A group that is done with everything at once, until it stops.
async fn read(bootstrap: String, group: String, topic: String, faults: Arc<Faults>) -> Result<()> {
    while now_ms()? < faults.group.load(Ordering::Relaxed) {
        let ends = lab::end_offsets(&bootstrap, &topic).await?;
        let ends: Vec<(i32, i64)> = ends.into_iter().map(|(partition, (_, end))| (partition, end)).collect();
        lab::commit(&bootstrap, &group, &topic, &ends).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

/// The finding of the check, if there is one, with the whole explanation.
async fn found(tapline: &Tapline) -> Result<Option<Value>> {
    let all = tapline.json("/api/v1/findings").await?;
    let list = all["findings"].as_array().with_context(|| format!("findings in {all}"))?;
    let Some(finding) = list.iter().find(|finding| finding["check"] == "email-present") else {
        return Ok(None);
    };
    let id = finding["id"].as_str().context("an id")?;
    Ok(Some(tapline.json(&format!("/api/v1/findings/{id}")).await?["finding"].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_upstream_stands_before_a_finding_and_what_followed_after_it() -> Result<()> {
    let (kafka, registry) = (lab::broker().await?, lab::registry().await?);
    let [carts, orders, group] = ["carts", "orders", "billing"].map(lab::unique);
    for topic in [&carts, &orders] {
        lab::create_topic(&kafka.bootstrap(), topic, 2, &[]).await?;
    }
    let subject = lab::unique("carts-value");
    let old = registry
        .register(
            &subject,
            "JSON",
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","title":"cart"}"#,
        )
        .await?;
    let new = registry
        .register(
            &lab::unique("carts-next"),
            "JSON",
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","title":"cart, later"}"#,
        )
        .await?;
    let config = format!(
        "version: 1\n\
         registry: {{ url: '{}' }}\n\
         agent: {{ topics: {{ include: ['{carts}', '{orders}'] }}, group: 'tapline-{orders}', report_every: 500ms, idle: 10s }}\n\
         watch: {{ interval: 1s }}\n\
         detect: {{ window: 50s }}\n\
         pipelines: [ {{ name: checkout, stages: ['{carts}', '{orders}'], deadline: 60s }} ]\n",
        registry.url()
    );
    let checks = CHECKS.replace("ORDERS", &orders);
    let tapline = Launch::new("run")?
        .args(["--brokers", &kafka.bootstrap()])
        .config(&config)?
        .checks(&[("orders.yaml", &checks)])?
        .start()
        .await?;
    let never = || AtomicI64::new(i64::MAX);
    let faults = Arc::new(Faults { carts: never(), orders: never(), group: never() });
    let topics = [carts.clone(), orders.clone()];
    let feeder = tokio::spawn(feed(kafka.bootstrap(), topics, [old, new], Arc::clone(&faults)));
    let (reading, runtime) = (Arc::clone(&faults), tokio::runtime::Handle::current());
    let (who, what) = (group.clone(), orders.clone());
    let reader =
        tokio::task::spawn_blocking(move || runtime.block_on(read(kafka.bootstrap(), who, what, reading)));
    tokio::time::sleep(QUIET).await;
    ensure!(found(&tapline).await?.is_none(), "nothing is wrong yet");

    let carts_ms = Faults::begin(&faults.carts)?;
    tokio::time::sleep(APART).await;
    let orders_ms = Faults::begin(&faults.orders)?;
    tokio::time::sleep(APART).await;
    Faults::begin(&faults.group)?;
    eventually("the finding to be explained, in order of onset", PATIENCE, async || {
        ensure!(!feeder.is_finished(), "the feeder stopped");
        let finding = found(&tapline).await?.context("no finding yet")?;
        let timeline = finding["explanation"]["timeline"].as_array().context("no explanation yet")?;
        let told: Vec<[&str; 4]> = timeline
            .iter()
            .map(|entry| ["what", "topic", "place", "subject"].map(|key| entry[key].as_str().unwrap_or("")))
            // The machine may be busy.
            .filter(|[what, ..]| *what != "delay")
            .collect();
        let schema = new.to_string();
        let mut expected = [
            ["schema", &carts, "upstream", &schema],
            ["null_values", &carts, "upstream", "$.coupon"],
            ["this_finding", &orders, "here", ""],
            ["group_lag", &orders, "here", &group],
        ];
        // Schema and nulls began together; the latter is known to within a slot.
        if told.first().is_some_and(|[what, ..]| *what == "null_values") {
            expected.swap(0, 1);
        }
        ensure!(told == expected, "{timeline:#?}");
        Ok(())
    })
    .await?;
    let finding = found(&tapline).await?.context("the finding")?;
    let explanation = &finding["explanation"];
    let at_ms = |what: &str| -> Result<i64> {
        let entries = explanation["timeline"].as_array().context("a timeline")?;
        let entry = entries.iter().find(|entry| entry["what"] == what).context("an entry")?;
        let at = entry["at"].as_str().context("a time")?;
        Ok(chrono::DateTime::parse_from_rfc3339(at)?.timestamp_millis())
    };
    ensure!(at_ms("schema")?.abs_diff(carts_ms) < 1_000, "to the record: {explanation}");
    ensure!(at_ms("null_values")?.abs_diff(carts_ms) <= 10_000, "to within a slot: {explanation}");
    ensure!(at_ms("this_finding")?.abs_diff(orders_ms) <= 10_000, "to within a slot: {explanation}");
    let most = &explanation["contributes"][0];
    ensure!(most["name"] == "DE" && most["share"].as_f64().is_some_and(|share| share > 0.8), "{most}");
    let id = finding["id"].as_str().context("an id")?;
    let page = tapline.text(&format!("/findings/{id}")).await?;
    for text in ["upstream", "$.coupon", &group, "What contributes most", "<svg class=\"line\""] {
        ensure!(page.contains(text), "{text} is not on the page");
    }
    feeder.abort();
    reader.await??;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
