//! Dashboards and rules ask for series that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every word of a text that is the name of a series of ours.
fn series(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("tapline_"))
        .map(str::to_owned)
        .collect()
}

/// What docs/metrics.md lists; a test beside the code holds that it is what the code serves.
fn documented() -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).context("docs/metrics.md")?;
    let names = series(&text);
    ensure!(names.len() > 50, "only {} series in docs/metrics.md", names.len());
    Ok(names)
}

fn is_known(name: &str, documented: &BTreeSet<String>) -> bool {
    let part_of = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    documented.contains(name) || part_of.is_some_and(|base| documented.contains(base))
}

fn files(folder: &str, extension: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).with_context(|| folder.to_owned())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    ensure!(!found.is_empty(), "no {extension} files in {folder}");
    Ok(found)
}

#[test]
fn every_series_of_dashboards_and_rules_exists() -> Result<()> {
    let documented = documented()?;
    let mut all = files("dashboards/grafana", "json")?;
    all.extend(files("dashboards/alerts", "yaml")?);
    all.extend(files("dashboards/alerts/tests", "yaml")?);
    for (path, text) in all {
        for name in series(&text) {
            ensure!(is_known(&name, &documented), "{}: {name} is no series of Tapline", path.display());
        }
    }
    Ok(())
}

#[test]
fn dashboards_are_whole() -> Result<()> {
    let mut uids = BTreeSet::new();
    for (path, text) in files("dashboards/grafana", "json")? {
        let dashboard: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let uid = dashboard["uid"].as_str().context("a uid")?.to_owned();
        ensure!(uids.insert(uid), "{}: another dashboard has this uid", path.display());
        let panels = dashboard["panels"].as_array().context("panels")?;
        let mut places = BTreeSet::new();
        for panel in panels {
            let place = &panel["gridPos"];
            ensure!(
                places.insert((place["x"].as_i64(), place["y"].as_i64())),
                "{}: two panels at one place: {}",
                path.display(),
                panel["title"]
            );
            let is_row = panel["type"] == "row";
            let has_query =
                panel["targets"].as_array().is_some_and(|t| t.iter().all(|t| t["expr"].is_string()));
            ensure!(is_row || has_query, "{}: a panel without a query: {}", path.display(), panel["title"]);
        }
    }
    ensure!(uids.len() == 4, "overview, lag, quality and latency");
    Ok(())
}

#[test]
fn every_alert_has_tests_a_severity_and_a_runbook() -> Result<()> {
    let rules = std::fs::read_to_string(root().join("dashboards/alerts/tapline.rules.yaml"))?;
    let runbooks = std::fs::read_to_string(root().join("docs/alerts.md"))?;
    let tests: String = files("dashboards/alerts/tests", "yaml")?.into_iter().map(|(_, text)| text).collect();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(alerts.len() > 10, "{} alerts", alerts.len());
    for alert in alerts {
        ensure!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
        ensure!(runbooks.contains(&format!("## {alert}\n")), "{alert} has no entry in docs/alerts.md");
        let anchor = format!("docs/alerts.md#{}", alert.to_lowercase());
        ensure!(rules.contains(&anchor), "{alert} does not name {anchor}");
    }
    Ok(())
}
