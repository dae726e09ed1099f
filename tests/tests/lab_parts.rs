//! The lab's other parts: each comes up, answers, and goes away.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

#[tokio::test]
async fn the_registry_keeps_schemas() -> Result<()> {
    let registry = lab::registry().await?;
    let subject = lab::unique("lab-orders-value");
    let schema = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}"#;
    let id = registry.register(&subject, "AVRO", schema).await?;
    let kept = lab::get_json(&format!("{}/schemas/ids/{id}", registry.url())).await?;
    assert_eq!(kept["schema"], schema);
    assert!(registry.register(&subject, "AVRO", "{").await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_opentelemetry_collector_shows_the_spans_it_got() -> Result<()> {
    let collector = lab::OtelCollector::start().await?;
    let (trace, span) = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174");
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "lab"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": trace, "spanId": span, "name": "observe orders", "kind": 1,
            "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000000000002",
            "attributes": [{"key": "messaging.kafka.offset", "value": {"intValue": "42"}}],
            "links": [{"traceId": trace, "spanId": "00f067aa0ba902b7"}],
        }]}],
    }]});
    let url = format!("{}/v1/traces", collector.http_url());
    let answer = lab::http().post(url).json(&body).send().await?;
    ensure!(answer.status().is_success(), "{answer:?}");
    let spans = lab::eventually("the span is in the file", Duration::from_secs(30), async || {
        let spans = collector.spans()?;
        ensure!(spans.len() == 1, "{spans:?}");
        Ok(spans)
    })
    .await?;
    assert_eq!((spans[0].trace_id.as_str(), spans[0].span_id.as_str()), (trace, span));
    assert_eq!(spans[0].start_ns, 1_700_000_000_000_000_001);
    assert_eq!(spans[0].attributes["messaging.kafka.offset"], 42);
    assert_eq!(spans[0].resource["service.name"], "lab");
    assert_eq!(spans[0].links, [(trace.to_owned(), "00f067aa0ba902b7".to_owned())]);
    assert_gone(collector.pid(), || drop(collector));
    Ok(())
}

#[tokio::test]
async fn prometheus_fires_into_the_alertmanager() -> Result<()> {
    let alertmanager = lab::Alertmanager::start().await?;
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.yaml");
    std::fs::write(
        &rules,
        "groups: [ { name: lab, rules: [ { alert: Always, expr: 'vector(1) > 0', labels: { severity: page } } ] } ]\n",
    )?;
    let prometheus = lab::Prometheus::start(lab::PrometheusOptions {
        targets: vec![alertmanager.address()],
        rules: vec![rules],
        alertmanagers: vec![alertmanager.address()],
    })
    .await?;
    prometheus.scraped().await?;
    assert_eq!(prometheus.vector("vector(1) + 1").await?[0].1, 2.0);
    assert!(prometheus.query("sum(").await.is_err());
    let alerts = lab::eventually("the alert arrives", Duration::from_secs(60), async || {
        let alerts = alertmanager.alerts().await?;
        ensure!(!alerts.is_empty(), "none");
        Ok(alerts)
    })
    .await?;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["labels"]["alertname"], "Always");
    assert_gone(prometheus.pid(), || drop(prometheus));
    assert_gone(alertmanager.pid(), || drop(alertmanager));
    Ok(())
}

#[tokio::test]
async fn the_flights_and_the_second_client_are_there() -> Result<()> {
    let text = std::fs::read_to_string(lab::flights().await?)?;
    assert_eq!(text.lines().count(), lab::FLIGHTS);
    let first: Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
    assert_eq!((&first["dep_time"], &first["carrier"]), (&json!(517), &json!("UA")));
    let cancelled = text.lines().filter(|line| line.contains("\"dep_time\":null")).count();
    assert_eq!(cancelled, 8_255, "what the data set's own documentation counts");
    let version = lab::run_python("import confluent_kafka as k, fastavro; print(k.__version__)", &[]);
    assert!(version.await?.starts_with("2."));
    Ok(())
}

fn assert_gone(pid: Option<u32>, stop: impl FnOnce()) {
    let pid = pid.expect("it runs");
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    assert!(alive());
    stop();
    assert!(!alive(), "{pid} still runs");
}
