//! The collector's settings, resolved by the root.

use std::path::PathBuf;
use std::sync::Arc;

use checks::detect;
use checks::filter::Filter;
use checks::limits::Limits;
use checks::pipeline::Pipeline;
use checks::rules::CheckSet;

/// Settings of state, judge, history and export. (The watcher has its own:
/// [`crate::cluster`].)
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's name, the label `cluster`.
    pub cluster: String,
    /// The rules.
    pub checks: Arc<CheckSet>,
    /// The pipelines.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Where the state is kept; `None` keeps it in memory.
    pub history: Option<PathBuf>,
    /// How long history is kept, ms.
    pub history_keep_ms: i64,
    /// Most series of partitions, fields and groups on /metrics.
    pub series_budget: usize,
    /// A group whose topic lag in seconds stays above this is a finding; `None` is never.
    pub group_lag_seconds_max: Option<f64>,
    /// The consumer group of the agents: Tapline's own, which explains nothing.
    pub agent_group: String,
    /// What is found without check files.
    pub detect: DetectConfig,
    /// Traces to an OTLP backend.
    pub otlp: Option<OtlpConfig>,
    /// Bounds.
    pub limits: Limits,
}

/// `detect`.
#[derive(Clone, Debug)]
pub struct DetectConfig {
    /// At all.
    pub enabled: bool,
    /// On which topics.
    pub topics: Filter,
    /// How.
    pub settings: detect::Settings,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self { enabled: true, topics: Filter::everything(), settings: detect::Settings::default() }
    }
}

impl DetectConfig {
    /// How a topic is looked at; `None`: it is not.
    pub(crate) fn of(&self, topic: &str) -> Option<&detect::Settings> {
        (self.enabled && self.topics.matches(topic)).then_some(&self.settings)
    }
}

/// `export.otlp`.
#[derive(Clone)]
pub struct OtlpConfig {
    /// `http://host:4317`.
    pub endpoint: String,
    /// Protocol.
    pub protocol: OtlpProtocol,
    /// Headers, secrets among them: never printed.
    pub headers: Vec<(String, String)>,
    /// Share of the complete traces that is exported, 0 to 1; breaches always are.
    pub traces: f64,
}

impl std::fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &format_args!("{} (hidden)", self.headers.len()))
            .field("traces", &self.traces)
            .finish()
    }
}

/// `export.otlp.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf bodies (`/v1/traces`).
    HttpProtobuf,
}
