//! What tests of this crate share.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::filter::Filter;
use checks::limits::Limits;

use crate::config::Config;

/// Settings with short intervals, for a broker at this address.
pub(crate) fn config(brokers: &str, group: &str) -> Config {
    Config {
        cluster: "test".into(),
        name: "agent".into(),
        properties: BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]),
        topics: Filter::new(&[".*"], &["^__"]).expect("valid patterns"),
        group: group.into(),
        catch_up_ms: 60_000,
        threads: 1,
        report_every_ms: 100,
        idle_ms: 15_000,
        discover_every_ms: 300,
        registry: None,
        checks: Arc::default(),
        pipelines: Vec::new(),
        limits: Limits::default(),
    }
}
