//! The two clients, each in its process: what they say of themselves, checked and summed up.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::{Kafka, cache, process};
use serde_json::Value;

use crate::Plan;

/// One refresh.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refresh {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
}

/// What one client did.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) first: Refresh,
    /// Each figure the median of the refreshes after the first.
    pub(crate) later: Refresh,
    /// Resident, before anything is scraped; of Java, the most it ever was.
    pub(crate) memory_kib: f64,
    /// The most that was resident with pages being made.
    pub(crate) memory_scraped_kib: Option<f64>,
    pub(crate) scrapes: Vec<Scrape>,
}

/// Scrapes in one format.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) format: String,
    pub(crate) folded: bool,
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    pub(crate) bytes: f64,
    pub(crate) series: Option<u64>,
}

/// The watcher, in the process `watch-probe`.
pub(crate) async fn watcher(bootstrap: &str, plan: &Plan) -> Result<Client> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watch-probe"));
    command.arg(bootstrap);
    command.args([plan.refreshes, plan.pause_ms, plan.scrapes].map(|n| n.to_string()));
    let lines = run(command).await?;
    let contents = find(&lines, "contents").next().context("the probe says what it read")?;
    hold(contents, plan)?;
    ensure!(
        number(contents, "lag_known")? == plan.sizes.group_partitions() as f64,
        "unknown lags: {contents}"
    );
    let mut scrapes: Vec<Scrape> = Vec::new();
    let measured: Vec<&Value> = find(&lines, "scrape").collect();
    for of_format in measured.chunks(plan.scrapes) {
        let last = of_format.last().context("a scrape")?;
        scrapes.push(Scrape {
            format: last["format"].as_str().unwrap_or_default().to_owned(),
            folded: last["folded"] == true,
            cpu: median(of_format, "cpu")?,
            wall: median(of_format, "wall")?,
            bytes: number(last, "bytes")?,
            series: last["series"].as_u64(),
        });
    }
    let memory = |what: &str, key| number(find(&lines, what).next().context("memory")?, key);
    Ok(Client {
        memory_kib: memory("memory", "peak_kib")?,
        memory_scraped_kib: Some(memory("after_scrapes", "peak_kib")?),
        scrapes,
        ..refreshes(&lines)?
    })
}

/// The official client, warm: its JVM goes on from round to round.
pub(crate) async fn java(kafka: &Kafka, plan: &Plan) -> Result<Client> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/AdminBench.java");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin-bench");
    let jars = kafka.jars().join("*");
    let mut compile = Command::new(process::tool("javac", "default-jdk-headless")?);
    compile.arg("-cp").arg(&jars).arg("-d").arg(&folder).arg(source);
    cache::run(&mut compile)?;

    let mut command = Command::new(process::tool("java", "default-jdk-headless")?);
    let path = format!("{}:{}", folder.display(), jars.display());
    command.args(["-Xmx2g", "-Dlog4j2.level=ERROR", "-cp", &path, "AdminBench", &kafka.bootstrap()]);
    command.args([plan.java_rounds, plan.pause_ms].map(|n| n.to_string()));
    let lines = run(command).await?;
    for round in find(&lines, "refresh") {
        hold(round, plan)?;
    }
    let memory = find(&lines, "memory").next().context("the client's memory")?;
    Ok(Client { memory_kib: number(memory, "peak_kib")?, ..refreshes(&lines)? })
}

/// A client that did not read what was written has no figures worth showing.
fn hold(read: &Value, plan: &Plan) -> Result<()> {
    let sizes = &plan.sizes;
    for (key, written) in [
        ("groups", sizes.groups),
        ("members", sizes.active),
        ("group_partitions", sizes.group_partitions()),
        ("lag_sum", sizes.lag_sum()),
    ] {
        ensure!(number(read, key)? == written as f64, "{key} should be {written}: {read}");
    }
    // The broker's own topics come on top.
    ensure!(number(read, "partitions")? >= sizes.partitions as f64, "too few partitions: {read}");
    Ok(())
}

async fn run(mut command: Command) -> Result<Vec<Value>> {
    let output = tokio::task::spawn_blocking(move || cache::run(&mut command)).await??;
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn find<'a>(lines: &'a [Value], what: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter_map(move |line| line.get(what))
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no {key} in {value}"))
}

fn median(values: &[&Value], key: &str) -> Result<f64> {
    let mut numbers = values.iter().map(|value| number(value, key)).collect::<Result<Vec<f64>>>()?;
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().context("nothing was measured")
}

fn refreshes(lines: &[Value]) -> Result<Client> {
    let all: Vec<&Value> = find(lines, "refresh").collect();
    let (first, later) = all.split_first().context("no refresh")?;
    let figures = |of: &[&Value]| -> Result<Refresh> {
        Ok(Refresh {
            wall: median(of, "wall")?,
            cpu: median(of, "cpu")?,
            requests: median(of, "requests")?,
            bytes: median(of, "bytes")?,
        })
    };
    Ok(Client {
        first: figures(&[first])?,
        later: figures(later)?,
        memory_kib: 0.0,
        memory_scraped_kib: None,
        scrapes: Vec::new(),
    })
}
