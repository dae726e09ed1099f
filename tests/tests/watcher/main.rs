//! The cluster watcher against real brokers: every figure against what is known to be true.

mod access;
mod failing;
mod figures;
mod moving;
#[path = "../seen/mod.rs"]
mod seen;
mod time;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use checks::filter::Filter;
use collector::cluster::snapshot::ClusterSnapshot;
use collector::cluster::{Config, Watcher};
use seen::{group, place};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A configuration from properties, restricted to the names that begin so.
fn config(properties: &[(&str, &str)], prefixes: &[&str]) -> Result<Config> {
    let map: BTreeMap<String, String> =
        properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut config = Config::from_properties(&map)?;
    let include: Vec<String> = prefixes.iter().map(|name| format!("^{name}")).collect();
    config.topics = Filter::new(&include, &["^__".to_owned()])?;
    config.groups = Filter::new(&include, &[])?;
    Ok(config)
}

/// A watcher of one broker's topics and groups whose names begin so.
fn watcher(bootstrap: &str, prefixes: &[&str]) -> Result<Watcher> {
    Ok(Watcher::new(config(&[("bootstrap.servers", bootstrap)], prefixes)?))
}

async fn look(bootstrap: &str, prefixes: &[&str]) -> Result<ClusterSnapshot> {
    Ok(watcher(bootstrap, prefixes)?.refresh_once().await?)
}
