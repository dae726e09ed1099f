//! Manners on a terminal and in pipes: progress where somebody sees it, exit codes whoever reads.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::Launch;

use super::{ORDERS, order};

/// Runs a line of shell in a folder with a check file and data; `tapline` is the built command.
fn shell(line: &str, data: &str) -> Result<Output> {
    let launch = Launch::new("check")?;
    launch.write("orders.yaml", ORDERS)?;
    launch.write("orders.jsonl", data)?;
    let tapline = lab::tapline::binary()?;
    Command::new("sh")
        .args(["-c", line])
        .current_dir(launch.folder())
        .env("tapline", tapline)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .context("sh")
}

/// More records than progress is told after, and then a wait that makes them worth telling.
const SLOWLY: &str = "(cat orders.jsonl; sleep 1.2; cat orders.jsonl) | $tapline check orders.yaml --data -";

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() -> Result<()> {
    let data: String = (0..4_000).map(|id| order(id, 5)).collect();
    // `script` (of util-linux, essential everywhere) gives it a terminal, and writes what is shown there.
    let line = format!("script -q -e -c '{SLOWLY}' /dev/null");
    let seen = shell(&line, &data)?;
    let said = String::from_utf8_lossy(&seen.stdout);
    ensure!(seen.status.code() == Some(1), "the exit code is that of the check: {seen:?}");
    ensure!(said.contains(" records (") && said.contains(" a second)"), "no progress: {said:?}");
    ensure!(said.contains("\r\x1b[K"), "it is written over: {said:?}");
    let (_, after) = said.rsplit_once(" a second)").context("progress")?;
    ensure!(after.contains("\x1b[K") && after.contains("orders: 8,000 records"), "it is wiped out: {said:?}");
    ensure!(after.contains("\x1b[1;31mFAIL"), "a terminal has colours: {said:?}");

    let piped = shell(SLOWLY, &data)?;
    ensure!(piped.status.code() == Some(1) && piped.stderr.is_empty(), "{piped:?}");
    let said = String::from_utf8_lossy(&piped.stdout);
    ensure!(said.contains("orders: 8,000 records") && !said.contains('\x1b'), "{said:?}");

    // What takes no time needs no progress.
    let quick = shell("script -q -e -c '$tapline check orders.yaml --data orders.jsonl' /dev/null", &data)?;
    ensure!(quick.status.code() == Some(0), "{quick:?}");
    ensure!(!String::from_utf8_lossy(&quick.stdout).contains(" a second)"), "{quick:?}");
    Ok(())
}

#[test]
fn a_reader_that_went_away_changes_no_exit_code() -> Result<()> {
    let good: String = (0..100).map(|id| order(id, 5)).collect();
    let bad = format!("{good}{}", order(7, 5));
    let half = good.trim_end().trim_end_matches('}').to_owned();
    for arguments in ["", "--json"] {
        for (data, code) in [(&good, "0"), (&bad, "1"), (&half, "1")] {
            let line = format!(
                "(sleep 0.3; $tapline check orders.yaml --data orders.jsonl {arguments}; echo $? >code) | true; cat code"
            );
            let seen = shell(&line, data)?;
            ensure!(String::from_utf8_lossy(&seen.stdout).trim() == code, "{arguments} {code}: {seen:?}");
            ensure!(seen.stderr.is_empty(), "{seen:?}");
        }
    }
    // The others that are gates.
    for (command, code) in [
        ("lint orders.yaml", "0"),
        ("lint orders.jsonl", "1"),
        ("test orders.yaml", "0"),
        ("diff orders.jsonl orders.jsonl", "0"),
        ("check orders.yaml --data absent.jsonl", "2"),
    ] {
        let line = format!("(sleep 0.3; $tapline {command} 2>/dev/null; echo $? >code) | true; cat code");
        let seen = shell(&line, &good)?;
        ensure!(String::from_utf8_lossy(&seen.stdout).trim() == code, "{command}: {seen:?}");
    }
    Ok(())
}
