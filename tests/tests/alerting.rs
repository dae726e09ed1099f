//! The shipped rules and dashboards in a real Prometheus with a real Alertmanager: a burst of nulls
//! fires one alert, which resolves; every panel's query is accepted, and the overview shows data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::extract::{Json, State};
use axum::routing::post;
use lab::{Alertmanager, Kafka, Launch, Message, Prometheus, PrometheusOptions, eventually};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(150);

const CHECKS: &str = r#"
version: 1
topic: TOPIC
window: { size: 5s, allowed_lateness: 1s }
checks:
  - { id: email-present, metric: nullValues,    field: $.email, unit: percent, mustBeLessThan: 20, severity: error }
  - { id: id-present,    metric: missingValues, field: $.id, mustBe: 0 }
  - { id: status-known,  metric: invalidValues, field: $.status, arguments: { validValues: [new, paid] }, mustBe: 0 }
"#;

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_burst_fires_one_alert_that_resolves() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("alerting");
    lab::create_topic(&kafka.bootstrap(), &topic, 2, &[]).await?;
    let config = format!(
        "version: 1\ncluster: {{ name: lab }}\nagent: {{ topics: {{ include: ['{topic}'] }} }}\n\
         watch: {{ interval: 1s, topics: {{ include: ['{topic}'] }} }}\n"
    );
    let tapline = Launch::new("run")?
        .args(["--brokers", &kafka.bootstrap()])
        .config(&config)?
        .checks(&[("orders.yaml", &CHECKS.replace("TOPIC", &topic))])?
        .start()
        .await?;

    let (receiver, notified) = receiver().await?;
    let alertmanager = Alertmanager::with_config(&format!(
        "route: {{ receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s }}\n\
         receivers: [ {{ name: test, webhook_configs: [ {{ url: '{receiver}' }} ] }} ]\n"
    ))
    .await?;
    let prometheus = Prometheus::start(PrometheusOptions {
        targets: vec![tapline.url().trim_start_matches("http://").to_owned()],
        rules: vec![dashboards().join("alerts/tapline.rules.yaml").canonicalize()?],
        alertmanagers: vec![alertmanager.address()],
    })
    .await?;
    prometheus.scraped().await?;

    let nulls = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(kafka, topic.clone(), Arc::clone(&nulls)));
    let group = lab::unique("half-way");
    lab::commit(&kafka.bootstrap(), &group, &topic, &[(0, 0)]).await?;
    let status = |status: &str| {
        format!("tapline_check_status{{topic=\"{topic}\",check=\"email-present\",status=\"{status}\"}} == 1")
    };
    let passes = status("pass");
    eventually("the check passes", TIMEOUT, async || {
        ensure!(!producing.is_finished(), "the producer has ended");
        ensure!(
            !prometheus.vector(&passes).await?.is_empty(),
            "{}",
            prometheus.query("tapline_check_status").await?
        );
        Ok(())
    })
    .await?;
    ensure!(seen(&notified).is_empty(), "nothing is wrong yet: {:?}", seen(&notified));

    nulls.store(true, Ordering::Relaxed);
    let fired = vec![("firing".to_owned(), "TaplineCheckFailing".to_owned(), "email-present".to_owned())];
    eventually("the alert fires", TIMEOUT, async || {
        ensure!(
            seen(&notified) == fired,
            "{:?}; {}",
            seen(&notified),
            prometheus.api("/api/v1/alerts").await?
        );
        Ok(())
    })
    .await?;
    let held = alertmanager.alerts().await?;
    ensure!(held.len() == 1, "exactly one alert: {held:#?}");
    ensure!(held[0]["labels"]["severity"] == "error" && held[0]["labels"]["topic"] == topic, "{held:#?}");
    panels_are_answered(&prometheus).await?;

    nulls.store(false, Ordering::Relaxed);
    let mut resolved = fired;
    resolved.push(("resolved".to_owned(), "TaplineCheckFailing".to_owned(), "email-present".to_owned()));
    eventually("the alert resolves", TIMEOUT, async || {
        ensure!(
            seen(&notified) == resolved,
            "{:?}; {}",
            seen(&notified),
            prometheus.api("/api/v1/alerts").await?
        );
        ensure!(alertmanager.alerts().await?.is_empty(), "Alertmanager still holds it");
        Ok(())
    })
    .await?;
    producing.abort();
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

/// Orders, 20 a second until aborted, in a burst half of them with a null.
async fn produce(kafka: &'static Kafka, topic: String, nulls: Arc<AtomicBool>) -> Result<()> {
    let mut id = 0u64;
    loop {
        let burst = nulls.load(Ordering::Relaxed);
        let orders: Vec<Message> = (0..10)
            .map(|i| {
                id += 1;
                let email = if burst && i % 2 == 0 { Value::Null } else { json!("a@b.example") };
                let order =
                    json!({"id": id, "email": email, "status": if i % 3 == 0 { "paid" } else { "new" }});
                Message::value(order.to_string()).key(id.to_string())
            })
            .collect();
        lab::produce(&kafka.bootstrap(), &topic, orders).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// (status, alert, check), in the order in which Alertmanager told them.
type Notified = Arc<Mutex<Vec<(String, String, String)>>>;

fn seen(notified: &Notified) -> Vec<(String, String, String)> {
    notified.lock().map(|all| all.clone()).unwrap_or_default()
}

/// A receiver of Alertmanager's webhooks, and what it was told.
async fn receiver() -> Result<(String, Notified)> {
    async fn take(State(notified): State<Notified>, Json(message): Json<Value>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut all = notified.lock().expect("no test panics while it holds this");
        for alert in message["alerts"].as_array().into_iter().flatten() {
            let labels = &alert["labels"];
            all.push((text(&alert["status"]), text(&labels["alertname"]), text(&labels["check"])));
        }
    }
    let notified = Notified::default();
    let router = axum::Router::new().route("/", post(take)).with_state(Arc::clone(&notified));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((format!("http://{address}/"), notified))
}

/// Every query of every panel is accepted; every panel of the overview has data.
async fn panels_are_answered(prometheus: &Prometheus) -> Result<()> {
    for name in ["overview", "lag", "quality", "latency"] {
        let path = dashboards().join(format!("grafana/{name}.json"));
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let panels = dashboard["panels"].as_array().with_context(|| path.display().to_string())?;
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let queries: Vec<String> = panel["targets"]
                .as_array()
                .with_context(|| panel.to_string())?
                .iter()
                .filter_map(|target| Some(filled_in(target["expr"].as_str()?)))
                .collect();
            let title = format!("{name}: {}", panel["title"]);
            ensure!(!queries.is_empty(), "{title} asks nothing");
            let has_data = async || -> Result<()> {
                let mut series = 0;
                for query in &queries {
                    series += prometheus.vector(query).await.with_context(|| title.clone())?.len();
                }
                ensure!(series > 0 || name != "overview", "{title} shows nothing: {queries:?}");
                Ok(())
            };
            // Rates need two scrapes.
            eventually(&title, Duration::from_secs(20), has_data).await?;
        }
    }
    Ok(())
}

/// What Grafana does with its variables.
fn filled_in(query: &str) -> String {
    let mut query =
        query.replace("$cluster", "lab").replace("$__rate_interval", "1m").replace("$__range", "1h");
    for all in ["$group", "$topic", "$field", "$pipeline"] {
        query = query.replace(all, ".*");
    }
    query
}
