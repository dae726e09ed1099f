//! Check files on the real broker: the same checks over the same records as a test of the file, by
//! `tapline check` on the topic and by `tapline run` say the same, word for word.

mod along;
mod past;
mod segments;
mod values;
mod windows;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message, Tapline, eventually};
use serde_json::Value;

/// Long enough for a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The moment at which the window of a file's tests begins: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// What is said of a check: its verdict and the sentence with its counts.
type Said = BTreeMap<String, (String, String)>;

/// Records of one window: milliseconds after its start, and the value at that start.
type Records = Vec<(i64, String)>;

/// Judges the records three ways. `head` and `checks` are parts of a check file, without topic and tests;
/// `records` gives the records of a window that begins at this moment.
async fn three_ways(head: &str, checks: &str, records: impl Fn(i64) -> Records) -> Result<Said> {
    let kafka = lab::broker().await?;
    let (brokers, topic) = (kafka.bootstrap(), lab::unique("language"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    // A window of an hour: wherever it ends, it holds all of them.
    let window = if head.contains("window:") { "" } else { "window: { size: 1h }\n" };
    let file = format!("version: 1\ntopic: {topic}\n{window}{head}\nchecks:\n{checks}");
    let tested = by_test(&file, &records(START_MS)).await?;

    let tapline = live(&brokers, &[&topic], &file).await?;
    // In the past, so that no record is from the future.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let start_ms = (now_ms - 20_000) / 1_000 * 1_000;
    let given = records(start_ms);
    let count = given.len();
    let messages = given.into_iter().map(|(at_ms, value)| Message::value(value).at(start_ms + at_ms));
    lab::produce(&brokers, &topic, messages).await?;

    let launch = Launch::new("check")?.args(["checks.yaml", "--json", "--topic", &topic, "-b", &brokers]);
    launch.write("checks.yaml", &file)?;
    let finished = launch.finish().await?;
    let report = finished.json().with_context(|| format!("{finished:?}"))?;
    ensure!(report["records"] == count, "{report:#}");
    let checked = said(report["checks"].as_array().context("no checks")?, "id", "message")?;
    ensure!(checked == tested, "a test of the file says\n{tested:#?}\nand the topic\n{checked:#?}");

    is_live(&tapline, &tested).await?;
    Ok(tested)
}

/// Waits until the live verdicts are those of the file's test.
async fn is_live(tapline: &Tapline, tested: &Said) -> Result<()> {
    eventually("the live verdicts are those of the file's test", TIMEOUT, async || {
        let view = tapline.json("/api/v1/checks").await?;
        let live = said(view["checks"].as_array().context("no checks")?, "id", "message")?;
        ensure!(live == *tested, "a test of the file says\n{tested:#?}\nand the live topic\n{live:#?}");
        Ok(())
    })
    .await
}

/// `tapline run` on these topics, by this file.
async fn live(brokers: &str, topics: &[&str], file: &str) -> Result<Tapline> {
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: [{}] }}, group: 'tapline-{}', report_every: 500ms, \
         idle: 2s, catch_up: 1h }}\nwatch: {{ interval: 1s }}\n",
        topics.join(", "),
        topics.concat(),
    );
    let launch = Launch::new("run")?.args(["--brokers", brokers]).config(&config)?;
    launch.checks(&[("checks.yaml", file)])?.start().await
}

/// By `tapline test`, which expects nothing of the verdicts: what it got is what counts.
async fn by_test(file: &str, records: &Records) -> Result<Said> {
    let mut text = format!("{file}tests:\n  - name: t\n    given:\n");
    for (at_ms, value) in records {
        writeln!(text, "      - {{ at: {at_ms}ms, raw: '{value}' }}")?;
    }
    let ids = file.split("{ id: ").skip(1).filter_map(|rest| rest.split(',').next());
    let expect: Vec<String> = ids.map(|id| format!("{id}: pass")).collect();
    writeln!(text, "    expect: {{ {} }}", expect.join(", "))?;
    tested(&text).await
}

/// What `tapline test` says of the one test of this file.
async fn tested(text: &str) -> Result<Said> {
    let launch = Launch::new("test")?.args(["checks.yaml", "--json"]);
    launch.write("checks.yaml", text)?;
    let finished = launch.finish().await?;
    let report = finished.json().with_context(|| format!("{finished:?}"))?;
    let results = report["results"].as_array().context("no results")?;
    let results: Vec<Value> = results
        .iter()
        .map(|result| serde_json::json!({ "id": result["check"], "status": result["got"], "message": result["message"] }))
        .collect();
    said(&results, "id", "message")
}

fn said(checks: &[Value], id: &str, message: &str) -> Result<Said> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    checks
        .iter()
        .map(|check| Ok((text(&check[id])?, (text(&check["status"])?, text(&check[message])?))))
        .collect()
}
