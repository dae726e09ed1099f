//! The agent's settings, resolved by the root.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::filter::Filter;
use checks::limits::Limits;
use checks::pipeline::Pipeline;
use checks::rules::CheckSet;

/// Settings of one agent.
#[derive(Clone)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// The agent's name, unique among the agents of the cluster.
    pub name: String,
    /// Kafka client properties, as librdkafka and every Kafka user know them; secrets among them.
    pub properties: BTreeMap<String, String>,
    /// Topics followed.
    pub topics: Filter,
    /// Consumer group.
    pub group: String,
    /// After a restart the agent resumes where it was if that is at most this long ago, ms; else
    /// it jumps to the end and counts what it passed over as skipped.
    pub catch_up_ms: i64,
    /// Consumers, each on a thread of its own.
    pub threads: usize,
    /// How often open panes are reported, ms.
    pub report_every_ms: i64,
    /// A partition without records for this long does not hold back the watermark, ms.
    pub idle_ms: i64,
    /// How often new topics are looked for, ms.
    pub discover_every_ms: i64,
    /// Schema registry.
    pub registry: Option<RegistryConfig>,
    /// The rules.
    pub checks: Arc<CheckSet>,
    /// Pipelines whose traces are followed.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Bounds.
    pub limits: Limits,
}

/// `registry:`.
#[derive(Clone)]
pub struct RegistryConfig {
    /// Base address of a Confluent-compatible API (`…/apis/ccompat/v7` for Apicurio).
    pub url: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// CA certificate in PEM, beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}
