//! docs/lag.md and this suite name the same scenarios.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The scenarios that this binary holds, as its own test runner lists them.
fn held() -> Result<BTreeSet<String>> {
    let listed = Command::new(std::env::current_exe()?).args(["--list", "--format", "terse"]).output()?;
    ensure!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout)?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.filter(|name| !name.starts_with("table::")).map(str::to_owned).collect())
}

/// The first cells of the rows of docs/lag.md that name a scenario: `` | `theme::name` | ``.
fn documented() -> Result<Vec<String>> {
    let file = lab::place::workspace().join("docs/lag.md");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    Ok(cells.map(|(name, _)| name.to_owned()).filter(|name| name.contains("::")).collect())
}

#[test]
fn the_document_lists_every_scenario_and_no_other() -> Result<()> {
    let (held, documented) = (held()?, documented()?);
    let rows: BTreeSet<String> = documented.iter().cloned().collect();
    ensure!(rows.len() == documented.len(), "a scenario stands twice in docs/lag.md");
    let missing: Vec<_> = held.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&held).collect();
    ensure!(
        missing.is_empty() && stale.is_empty(),
        "docs/lag.md lacks {missing:?} and has {stale:?}, which is no scenario"
    );
    ensure!(held.len() >= 40, "{} scenarios", held.len());
    Ok(())
}
