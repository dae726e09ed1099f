//! `tapline check` on a file, the whole command pinned to one core, beside a parser that only parses.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::{cache, process};

use crate::{orders, say};

/// Each is measured so often, in turns.
const ROUNDS: usize = 5;

/// Reads lines, parses each, forgets it.
const PARSE: &str = "
import sys, orjson
n = 0
with open(sys.argv[1], 'rb') as lines:
    for line in lines:
        orjson.loads(line)
        n += 1
print(n)
";

pub(crate) async fn run(records: usize) -> Result<()> {
    let python = cache::cached_async("python-orjson-3.13.0", |folder| {
        let python = process::tool("python3", "python3")?;
        cache::run(Command::new(&python).args(["-m", "venv"]).arg(folder))?;
        let install = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "orjson==3.13.0"];
        cache::run(Command::new(folder.join("bin/python")).args(install))?;
        Ok(())
    })
    .await?
    .join("bin/python");
    let folder = tempfile::tempdir()?;
    let (data, checks) = (folder.path().join("orders.jsonl"), folder.path().join("orders.yaml"));
    let lines = orders::orders(records);
    std::fs::write(&data, lines.join("\n") + "\n")?;
    std::fs::write(folder.path().join("order.json"), orders::SCHEMA)?;
    std::fs::write(&checks, orders::CHECKS)?;
    let tapline = lab::tapline::binary()?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (seconds, output) = pinned(
            Command::new("taskset")
                .args(["-c", "0"])
                .arg(&tapline)
                .arg("check")
                .arg(&checks)
                .arg("--data")
                .arg(&data)
                .arg("--json"),
        )?;
        let verdict: serde_json::Value = serde_json::from_str(&output)?;
        ensure!(verdict["records"] == records && verdict["verdict"] == "pass", "{verdict:#}");
        ensure!(verdict["checks"].as_array().is_some_and(|all| all.len() == 10), "{verdict:#}");
        ours.push(seconds);
        let (seconds, output) =
            pinned(Command::new("taskset").args(["-c", "0"]).arg(&python).args(["-c", PARSE]).arg(&data))?;
        ensure!(output.trim() == records.to_string(), "{output}");
        theirs.push(seconds);
    }
    let bytes = std::fs::metadata(Path::new(&data))?.len();
    say(&format!(
        "\n{records} orders, {} MB, whole command on one core, CPU time, median of {ROUNDS}\n",
        bytes / 1_000_000
    ));
    say("| | seconds | records a second |\n|---|---|---|");
    let middle = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (ours, theirs) = (middle(ours), middle(theirs));
    for (name, seconds) in
        [("`tapline check`, ten checks", ours), ("Python's `orjson`, parsing alone", theirs)]
    {
        say(&format!("| {name} | {seconds:.2} | {:.0} |", records as f64 / seconds));
    }
    say(&format!("\nratio {:.2}", theirs / ours));
    Ok(())
}

/// CPU seconds of a command, and what it printed.
fn pinned(command: &mut Command) -> Result<(f64, String)> {
    let before = children_seconds()?;
    let output = command.stdin(Stdio::null()).output()?;
    let seconds = children_seconds()? - before;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok((seconds, String::from_utf8(output.stdout)?))
}

/// CPU time of children that have ended, to a hundredth (`proc(5)`: `cutime` and `cstime`, in ticks of 10 ms).
fn children_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let mut fields = rest.split_whitespace().skip(13);
    let mut next =
        || -> Result<f64> { Ok(fields.next().context("/proc/self/stat")?.parse::<f64>()? / 100.0) };
    Ok(next()? + next()?)
}
