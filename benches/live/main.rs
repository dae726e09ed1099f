//! Tapline at work on a real broker, and on a file, beside what is bare.
//!
//! `cargo bench --workspace --bench live -- [agent|sidecar|file] [N]`; see docs/performance.md.
//!
//! - `agent`: one thread that examines every record of a topic of N orders, beside a librdkafka consumer that only
//!   counts them.
//! - `sidecar`: the process `tapline agent` beside a topic of 10,000 orders a second, of which it examines 5%, for N
//!   seconds.
//! - `file`: `tapline check` with ten checks on N orders in a file, whole command on one core, beside Python's `orjson`.

#[path = "../examine/orders.rs"]
mod orders;

mod agent_rate;
mod file;
mod sidecar;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let count = wanted.get(1).map(|n| n.parse().context("a number")).transpose()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match wanted.first().map(String::as_str) {
            None => {
                agent_rate::run(1_000_000).await?;
                file::run(500_000).await?;
                sidecar::run(60).await
            }
            Some("agent") => agent_rate::run(count.unwrap_or(1_000_000)).await,
            Some("sidecar") => sidecar::run(count.unwrap_or(60)).await,
            Some("file") => file::run(count.unwrap_or(500_000)).await,
            Some(other) => bail!("{other}: agent, sidecar or file"),
        }
    })
}

/// CPU time of all threads of a process that still run, in seconds.
fn cpu_seconds(process: impl AsRef<Path>) -> Result<f64> {
    // The kernel brings a thread's time up to date when it leaves the CPU.
    std::thread::yield_now();
    let mut ns = 0u64;
    for thread in std::fs::read_dir(process.as_ref().join("task"))? {
        // A thread may have ended meanwhile.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        ns += stat.split(' ').next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(ns as f64 / 1e9)
}

#[allow(clippy::print_stdout, reason = "its output is what it is for")]
fn say(line: &str) {
    println!("{line}");
}
