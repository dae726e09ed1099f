//! The invariants of ARCHITECTURE.md that a test can hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Normal dependencies of every workspace crate, by name.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    Ok(packages
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect();
            (package["name"].as_str().unwrap_or_default().to_owned(), names)
        })
        .collect())
}

#[test]
fn dependencies_point_one_way() -> Result<()> {
    let all = dependencies()?;
    let of = |name: &str| all.get(name).with_context(|| format!("no crate {name}"));
    ensure!(!of("tapline-agent")?.contains("tapline-collector"), "agent must not know collector");
    ensure!(!of("tapline-collector")?.contains("tapline-agent"), "collector must not know agent");
    for outward in [
        "tokio",
        "axum",
        "reqwest",
        "rdkafka",
        "kafka-protocol",
        "rusqlite",
        "tracing",
        "tapline-agent",
        "tapline-collector",
    ] {
        ensure!(
            !of("tapline-checks")?.contains(outward),
            "checks is a leaf: it must not depend on {outward}"
        );
    }
    Ok(())
}

/// The files of a folder and those below it, without their tests.
fn sources(folder: &Path, into: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.file_name().is_none_or(|n| n != "tests.rs")
        {
            let text = std::fs::read_to_string(&path)?;
            into.push((path, text));
        }
    }
    Ok(())
}

#[test]
fn checks_has_no_clock_no_socket_and_no_globals() -> Result<()> {
    let mut files = Vec::new();
    sources(&root().join("checks/src"), &mut files)?;
    ensure!(files.len() > 10, "the sources of checks were found");
    for (path, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // docs/adr/0007: what an evaluation has left to spend.
        let may_be_of_a_thread = path.ends_with("examine/cel/budget.rs");
        for word in [
            "SystemTime::now",
            "Instant::now",
            "Utc::now",
            "std::net",
            "TcpStream",
            "static mut",
            "thread_local!",
        ] {
            let allowed = may_be_of_a_thread && word == "thread_local!";
            ensure!(allowed || !code.contains(word), "{} uses {word}", path.display());
        }
    }
    Ok(())
}

#[test]
fn the_state_reads_no_clock() -> Result<()> {
    let mut files = Vec::new();
    sources(&root().join("collector/src/state"), &mut files)?;
    for (path, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["SystemTime::now", "Instant::now", "Utc::now"] {
            ensure!(!code.contains(word), "{} uses {word}", path.display());
        }
    }
    Ok(())
}
