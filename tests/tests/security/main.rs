//! Getting in and seeing no more than one may, on real brokers: every mechanism, wrong credentials, missing rights,
//! certificates that are renewed while Tapline runs, and secrets that show nowhere.

mod acl;
mod certificates;
mod oauth;
mod secrets;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Finished, Kafka, Launch, Message, Tapline, eventually};
use serde_json::Value;

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

type Properties<'a> = [(&'a str, &'a str)];

fn lines(properties: &Properties<'_>) -> String {
    properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// `tapline lag --json` with these properties.
async fn lag(properties: &Properties<'_>) -> Result<Finished> {
    let launch = Launch::new("lag")?;
    let file = launch.write("client.properties", lines(properties))?;
    launch.arg("--json").arg("--properties-file").arg(file).finish().await
}

/// The lag in records of a group in a topic; `None` where it is not known.
fn lag_records(finished: &Finished, group: &str, topic: &str) -> Result<Option<i64>> {
    ensure!(finished.code == Some(0), "{finished:?}");
    let all = finished.json()?;
    let group = named(&all["groups"], "group", group)?.clone();
    Ok(named(&group["topics"], "topic", topic)?["lag_records"].as_i64())
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> Result<&'a Value> {
    let found = list.as_array().into_iter().flatten().find(|one| one[key] == name);
    found.with_context(|| format!("no {key} {name} in {list}"))
}

/// It could not run (exit code 2), and says all of this on stderr.
fn refused(finished: &Finished, says: &[&str]) -> Result<()> {
    ensure!(finished.code == Some(2), "{finished:?}");
    for text in says {
        ensure!(finished.stderr.contains(text), "{text:?} is not said: {}", finished.stderr);
    }
    Ok(())
}

/// A launch of `tapline run` on these properties, following one topic, looking every half second.
fn run(properties: &Properties<'_>, topic: &str) -> Result<Launch> {
    let launch = Launch::new("run")?;
    let file = launch.write("client.properties", lines(properties))?;
    launch.config(&format!(
        "version: 1\ncluster: {{ name: lab, properties_file: {} }}\nwatch: {{ interval: 500ms }}\n\
         agent: {{ topics: {{ include: [{topic}] }}, report_every: 500ms }}\nhistory: {{ path: memory }}\n",
        file.display()
    ))
}

/// A topic of one partition with three records, and a group that has read one of them.
async fn three_records(kafka: &Kafka, topic: &str, group: &str) -> Result<()> {
    lab::create_topic(&kafka.bootstrap(), topic, 1, &[]).await?;
    produce(kafka, topic, 3).await?;
    lab::commit(&kafka.bootstrap(), group, topic, &[(0, 1)]).await
}

async fn produce(kafka: &Kafka, topic: &str, count: usize) -> Result<()> {
    lab::produce(&kafka.bootstrap(), topic, (0..count).map(|n| Message::value(format!("{{\"n\":{n}}}"))))
        .await?;
    Ok(())
}

/// Both halves have come so far: the agent has read so many records and skipped none, and the watcher sees this lag.
async fn both_see(tapline: &Tapline, topic: &str, group: &str, read: f64, lag: f64) -> Result<()> {
    eventually(
        &format!("{read} records of {topic} are read, and {group} lags by {lag}"),
        PATIENCE,
        async || {
            let metrics = tapline.metrics().await?;
            let labels = [("topic", topic)];
            let seen = metrics.sum("tapline_records_read_total", &labels);
            ensure!(seen == Some(read), "read: {seen:?}");
            let skipped = metrics.sum("tapline_records_skipped_total", &labels).unwrap_or_default();
            ensure!(skipped == 0.0, "skipped: {skipped}");
            let seen = metrics.sum("tapline_group_topic_lag_records", &[("topic", topic), ("group", group)]);
            ensure!(seen == Some(lag), "lag: {seen:?}");
            Ok(())
        },
    )
    .await
    .with_context(|| tapline.log())
}

/// None of these texts shows any of these secrets.
fn hidden(secrets: &[&str], texts: &[&str]) -> Result<()> {
    for secret in secrets {
        for text in texts {
            let at = text.find(secret);
            ensure!(
                at.is_none(),
                "a secret shows: …{}…",
                &text[at.unwrap_or(0).saturating_sub(200)..][..200.min(text.len())]
            );
        }
    }
    Ok(())
}
