//! Every mechanism with the right and with the wrong credentials, and no secret anywhere that somebody may look.

use std::fs;

use anyhow::{Result, ensure};
use lab::kafka::{SASL_PASSWORD, SASL_USER};
use lab::{Launch, Tapline};

use super::{Properties, both_see, hidden, lag, lag_records, lines, produce, refused, run, three_records};

const WRONG: &str = "wrong-password-4715";
const REGISTRY: &str = "registry-password-4716";
const HEADER: &str = "otlp-header-4717";

#[tokio::test]
async fn every_mechanism_over_both_protocols_with_right_and_wrong_credentials() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, group) = (lab::unique("matrix"), lab::unique("matrix-readers"));
    three_records(kafka, &topic, &group).await?;
    let ca = kafka.ca_file().display().to_string();
    let mut read = 0;
    for (protocol, brokers) in
        [("SASL_PLAINTEXT", kafka.sasl_bootstrap()), ("SASL_SSL", kafka.sasl_ssl_bootstrap())]
    {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let module = if mechanism == "PLAIN" { "plain.Plain" } else { "scram.Scram" };
            let jaas = |password: &str| {
                format!(
                    "org.apache.kafka.common.security.{module}LoginModule required username=\"{SASL_USER}\" \
                     password=\"{password}\";"
                )
            };
            let base = [
                ("bootstrap.servers", brokers.as_str()),
                ("security.protocol", protocol),
                ("sasl.mechanism", mechanism),
                ("ssl.ca.location", ca.as_str()),
            ];
            // As librdkafka's and as Java's users write it.
            let (right, wrong) = (jaas(SASL_PASSWORD), jaas(WRONG));
            let own = |password| [("sasl.username", SASL_USER), ("sasl.password", password)];
            for good in [&own(SASL_PASSWORD)[..], &[("sasl.jaas.config", right.as_str())][..]] {
                let finished = lag(&[&base[..], good].concat()).await?;
                assert_eq!(lag_records(&finished, &group, &topic)?, Some(2 + read), "{protocol} {mechanism}");
            }
            for bad in [&own(WRONG)[..], &[("sasl.jaas.config", wrong.as_str())][..]] {
                let finished = lag(&[&base[..], bad].concat()).await?;
                refused(&finished, &["refused the credentials", mechanism, &brokers])?;
                hidden(&[WRONG], &[&finished.stderr, &finished.stdout])?;
            }
            // The agent's client as well.
            let good = [&base[..], &[("sasl.jaas.config", right.as_str())][..]].concat();
            let tapline = run(&good, &topic)?.start().await?;
            produce(kafka, &topic, 2).await?;
            read += 2;
            both_see(&tapline, &topic, &group, 2.0, (2 + read) as f64).await?;
            ensure!(tapline.stop().await? == 0);
        }
    }
    Ok(())
}

/// Everything that `tapline run` shows to whoever looks.
async fn shown(tapline: &Tapline) -> Result<Vec<String>> {
    let mut texts = vec![tapline.log()];
    texts.push(fs::read_to_string(format!("/proc/{}/cmdline", tapline.pid()))?);
    for path in [
        "/",
        "/metrics",
        "/readyz",
        "/healthz",
        "/api/v1/lag",
        "/api/v1/status",
        "/api/v1/agents",
        "/api/v1/findings",
        "/api/v1/topics",
    ] {
        texts.push(tapline.status(path).await?.1);
    }
    Ok(texts)
}

#[tokio::test]
async fn no_secret_shows_in_logs_metrics_pages_arguments_or_errors() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, group) = (lab::unique("hush"), lab::unique("hush-readers"));
    three_records(kafka, &topic, &group).await?;
    let brokers = kafka.sasl_bootstrap();
    let secrets = [SASL_PASSWORD, WRONG, REGISTRY, HEADER];
    // At the most talkative, librdkafka's own log included; once let in, once refused.
    for password in [SASL_PASSWORD, WRONG] {
        let properties: &Properties<'_> = &[
            ("bootstrap.servers", &brokers),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", SASL_USER),
            ("sasl.password", password),
            ("debug", "security,broker"),
        ];
        let launch = Launch::new("run")?.args(["--log", "trace,librdkafka=trace"]);
        launch.write("client.properties", lines(properties))?;
        launch.write("headers.properties", format!("authorization={HEADER}\n"))?;
        let launch = launch.config(&format!(
            "version: 1\ncluster: {{ name: lab, properties_file: client.properties }}\n\
             registry: {{ url: \"http://127.0.0.1:1\", username: tapline, password: {REGISTRY} }}\n\
             export: {{ otlp: {{ endpoint: \"http://127.0.0.1:1\", headers_file: headers.properties }} }}\n\
             agent: {{ topics: {{ include: [{topic}] }} }}\nhistory: {{ path: memory }}\n"
        ))?;
        let tapline = if password == WRONG { launch.start_alive().await? } else { launch.start().await? };
        produce(kafka, &topic, 2).await?;
        lab::eventually("it has spoken", super::PATIENCE, async || {
            let log = tapline.log();
            let word = if password == WRONG { "refused the credentials" } else { "librdkafka" };
            ensure!(log.contains(word), "{} bytes of log", log.len());
            Ok(())
        })
        .await?;
        let texts = shown(&tapline).await?;
        hidden(&secrets, &texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        tapline.stop().await?;
    }
    // Mistakes beside secrets.
    for text in [
        format!("version: 1\ncluster: {{ properties: {{ sasl.password: [{WRONG}] }} }}\n"),
        format!("version: 1\nregistry: {{ pasword: {WRONG} }}\n"),
        format!(
            "version: 1\ncluster: {{ properties: {{ sasl.password: {WRONG}, sasl.jaas.config: 'x {WRONG}', sasl.mechanism: PLAIN, bootstrap.servers: 'b:1' }} }}\n"
        ),
    ] {
        let finished = Launch::new("lag")?.config(&text)?.finish().await?;
        ensure!(finished.code == Some(2), "{finished:?}");
        hidden(&secrets, &[&finished.stderr, &finished.stdout])?;
    }
    Ok(())
}
