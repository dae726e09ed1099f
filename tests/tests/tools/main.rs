//! The offline tools as their users call them: exit codes, output for people and programs, pipes, memory.

mod bad_input;
mod check;
mod diff;
mod exact;
mod gates;
mod lint;
mod profile;
mod terminal;

use anyhow::{Result, ensure};
use lab::{Finished, Launch};

/// A check file for the topic `orders`.
const ORDERS: &str = r#"
version: 1
topic: orders
checks:
  - { id: amount-range, metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 5 }
  - { id: email-present, metric: missingValues, field: $.email, mustBe: 0, severity: warning }
  - { id: ids-unique, metric: duplicateValues, field: $.id, mustBe: 0 }
  - { id: volume, metric: rowCount, mustBeGreaterThan: 0 }
"#;

fn order(id: usize, amount: i64) -> String {
    format!("{{\"id\":{id},\"amount\":{amount},\"email\":\"a@example.com\"}}\n")
}

/// Runs a tool in a folder with these files, and this on its standard input.
async fn run(tool: &str, args: &[&str], files: &[(&str, &str)], stdin: &str) -> Result<Finished> {
    let launch = Launch::new(tool)?.args(args.iter().copied());
    for (name, text) in files {
        launch.write(name, text)?;
    }
    launch.finish_with(stdin).await
}

fn ends_with(finished: &Finished, code: i32, says: &[&str]) -> Result<()> {
    ensure!(finished.code == Some(code), "exit code {:?}, not {code}: {finished:?}", finished.code);
    for word in says {
        let said = finished.stdout.contains(word) || finished.stderr.contains(word);
        ensure!(said, "says nothing of {word:?}: {finished:?}");
    }
    Ok(())
}
