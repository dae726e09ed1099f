//! The watcher alone in a process: refreshes and scrapes, measured; JSON lines on stdout.
//!
//! `watch-probe BOOTSTRAP REFRESHES PAUSE_MS SCRAPES`, run by the bench `watch`. The runtime is
//! that of the watcher's thread in `tapline run`. Memory is read before the first page is made, since a page is as large
//! as its series are many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use collector::cluster::snapshot::ClusterSnapshot;
use collector::cluster::{Config, Watcher};
use collector::export::metrics::format::{self, Format};
use collector::export::metrics::{Extra, Source};
use collector::view::View;
use serde_json::{Value, json};

/// CPU time of the threads of this process, to the nanosecond (`/proc/self/stat` has hundredths of
/// a second). The runtime's threads stay, so none is missed.
fn cpu_seconds() -> Result<f64> {
    // The kernel brings a thread's time up to date when it leaves the CPU.
    std::thread::yield_now();
    let mut nanoseconds = 0u64;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu = stat.split(' ').next().context("/proc/self/task/*/schedstat")?;
        nanoseconds += on_cpu.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// `VmRSS` (resident now) or `VmHWM` (at most so far), in KiB.
fn memory_kib(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.with_context(|| format!("{name} in /proc/self/status"))?.parse().context("a number")
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, refreshes, pause_ms, scrapes] = args.as_slice() else {
        anyhow::bail!("watch-probe BOOTSTRAP REFRESHES PAUSE_MS SCRAPES")
    };
    let (refreshes, scrapes): (usize, usize) = (refreshes.parse()?, scrapes.parse()?);
    let pause = Duration::from_millis(pause_ms.parse()?);
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.clone())]);
    let mut config = Config::from_properties(&properties)?;
    config.request_timeout = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let snapshot = runtime.block_on(watch(Watcher::new(config), refreshes, pause))?;
    say(&json!({"memory": {"resident_kib": memory_kib("VmRSS")?, "peak_kib": memory_kib("VmHWM")?}}));
    say(&contents(&snapshot));
    for (name, format) in
        [("plain", Format::Plain), ("openmetrics", Format::OpenMetrics), ("protobuf", Format::Protobuf)]
    {
        for budget in [usize::MAX, 100_000] {
            for _ in 0..scrapes {
                scrape(&snapshot, name, format, budget)?;
            }
        }
    }
    say(&json!({"after_scrapes": {"peak_kib": memory_kib("VmHWM")?}}));
    Ok(())
}

async fn watch(mut watcher: Watcher, refreshes: usize, pause: Duration) -> Result<Arc<ClusterSnapshot>> {
    let mut published = Arc::new(ClusterSnapshot::default());
    for _ in 0..refreshes {
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        published = Arc::new(watcher.refresh_once().await?);
        let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let stats = &published.stats;
        ensure!(stats.errors_total.is_empty(), "a refresh had errors: {:?}", stats.errors_total);
        say(&json!({"refresh": {
            "wall": wall, "cpu": cpu, "requests": stats.last_requests, "bytes": stats.last_bytes,
            "resident_kib": memory_kib("VmRSS")?,
        }}));
        tokio::time::sleep(pause).await;
    }
    Ok(published)
}

/// What was read, for the bench to hold against what it wrote.
fn contents(snapshot: &ClusterSnapshot) -> Value {
    let figures = || snapshot.groups.values().flat_map(|g| g.topics.values().flat_map(|t| t.values()));
    json!({"contents": {
        "groups": snapshot.groups.len(),
        "members": snapshot.groups.values().filter_map(|g| g.members).sum::<u32>(),
        "group_partitions": figures().count(),
        "lag_known": figures().filter(|f| f.lag_records.is_some()).count(),
        "lag_sum": figures().filter_map(|f| f.lag_records).sum::<i64>(),
        "partitions": snapshot.topics.values().map(|t| t.partitions.len()).sum::<usize>(),
    }})
}

fn scrape(snapshot: &Arc<ClusterSnapshot>, name: &str, format: Format, series_budget: usize) -> Result<()> {
    let extra = Extra { now_ms: snapshot.taken_at_ms, series_budget, ..Extra::default() };
    let source = Source::Collector { view: Arc::new(View::default()), cluster: Arc::clone(snapshot), extra };
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let page = format::encode(source, format)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let lines = page.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"tapline_"));
    let series = (format != Format::Protobuf).then(|| lines.count());
    say(&json!({"scrape": {
        "format": name, "folded": series_budget != usize::MAX, "wall": wall, "cpu": cpu,
        "bytes": page.len(), "series": series,
    }}));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "its output is what it is for")]
fn say(line: &Value) {
    println!("{line}");
}
