//! The resolved settings and their defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use agent::config::RegistryConfig;
use checks::filter::Filter;
use checks::limits::Limits;
use checks::pipeline::Pipeline;
use checks::rules::CheckSet;
use collector::config::{DetectConfig, OtlpConfig};
use collector::export::metrics::compat::Peer;

use super::{ConfigError, properties};

/// Where the collector's state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// In the platform's folder for state.
    Default,
    /// Here.
    Path(PathBuf),
    /// Nowhere.
    Memory,
}

/// Everything, resolved.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) cluster: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) registry: Option<RegistryConfig>,
    pub(crate) checks: Vec<PathBuf>,
    pub(crate) watch_interval_ms: i64,
    pub(crate) watch_groups: Filter,
    pub(crate) watch_groups_named: Vec<String>,
    pub(crate) watch_topics: Filter,
    pub(crate) watch_lag_seconds_max: Option<f64>,
    pub(crate) agent_name: String,
    pub(crate) agent_topics: Filter,
    pub(crate) agent_group: String,
    pub(crate) agent_catch_up_ms: i64,
    pub(crate) agent_threads: usize,
    pub(crate) agent_report_every_ms: i64,
    pub(crate) agent_idle_ms: i64,
    pub(crate) agent_collector: String,
    pub(crate) agent_listen: SocketAddr,
    pub(crate) pipelines: Vec<Arc<Pipeline>>,
    pub(crate) listen: SocketAddr,
    pub(crate) otlp: Option<OtlpConfig>,
    pub(crate) series_budget: usize,
    pub(crate) compat: BTreeSet<Peer>,
    pub(crate) history: History,
    pub(crate) history_keep_ms: i64,
    pub(crate) detect: DetectConfig,
    pub(crate) limits: Limits,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Default for Settings {
    fn default() -> Self {
        let topics = || filter(&[".*"], &["^__", r"^tapline\."]);
        Self {
            cluster: "default".to_owned(),
            properties: BTreeMap::new(),
            registry: None,
            checks: Vec::new(),
            watch_interval_ms: 15_000,
            watch_groups: filter(&[".*"], &[]),
            watch_groups_named: Vec::new(),
            watch_topics: filter(&[".*"], &["^__"]),
            watch_lag_seconds_max: None,
            agent_name: host_name(),
            agent_topics: topics(),
            agent_group: "tapline-agent".to_owned(),
            agent_catch_up_ms: 60_000,
            agent_threads: 1,
            agent_report_every_ms: 2_000,
            agent_idle_ms: 15_000,
            agent_collector: "http://127.0.0.1:9464".to_owned(),
            agent_listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
            pipelines: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            otlp: None,
            series_budget: 100_000,
            compat: BTreeSet::new(),
            history: History::Default,
            history_keep_ms: 35 * DAY_MS,
            detect: DetectConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// The defaults' own patterns compile: a unit test holds that.
fn filter(include: &[&str], exclude: &[&str]) -> Filter {
    Filter::new(include, exclude).unwrap_or_else(|_| Filter::everything())
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "agent".to_owned())
}

/// `host:port`, resolved.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|e| {
            format!("`{text}` is no address to listen at ({e}): write host:port, as in 127.0.0.1:9464")
        })?
        .next()
        .ok_or_else(|| format!("`{text}` has no address"))
}

/// `http://host:port`, without the last slash.
pub(super) fn parse_url(text: &str) -> Result<String, String> {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(format!("`{text}` has no scheme: write http:// or https://"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl Settings {
    /// `--listen` of an agent.
    pub(crate) fn set_agent_listen(&mut self, text: &str) -> Result<(), ConfigError> {
        self.agent_listen = parse_listen(text).map_err(ConfigError::Other)?;
        Ok(())
    }

    /// `--collector` of an agent.
    pub(crate) fn set_collector(&mut self, url: &str) -> Result<(), ConfigError> {
        self.agent_collector = parse_url(url).map_err(ConfigError::Other)?;
        Ok(())
    }

    /// The brokers, which most commands can't do without.
    pub(crate) fn brokers(&self) -> Result<&str, ConfigError> {
        self.properties.get(properties::BOOTSTRAP).map(String::as_str).filter(|b| !b.trim().is_empty()).ok_or_else(
            || {
                ConfigError::Other(
                    "no brokers given: use --brokers host:port, or `cluster.properties.\"bootstrap.servers\"` \
                     in the configuration"
                        .to_owned(),
                )
            },
        )
    }

    /// The check files, read and resolved.
    pub(crate) fn load_checks(&self) -> Result<Arc<CheckSet>, ConfigError> {
        CheckSet::load(&self.checks, &self.limits)
            .map(Arc::new)
            .map_err(|error| ConfigError::Other(error.to_string()))
    }

    /// The file of the history; `None` keeps it in memory.
    pub(crate) fn history_path(&self) -> Result<Option<PathBuf>, ConfigError> {
        let folder = match &self.history {
            History::Memory => return Ok(None),
            History::Path(path) => return Ok(Some(path.clone())),
            History::Default => default_state_folder()?,
        };
        // Two clusters without a name must not share a history.
        let brokers = self.properties.get(properties::BOOTSTRAP).map(String::as_str).unwrap_or_default();
        let hash = brokers.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let name: String = self
            .cluster
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .take(64)
            .collect();
        Ok(Some(folder.join(format!("{name}-{hash:08x}.db", hash = hash as u32))))
    }

    pub(crate) fn agent_config(&self, checks: Arc<CheckSet>) -> Result<agent::config::Config, ConfigError> {
        Ok(agent::config::Config {
            cluster: self.cluster.clone(),
            name: self.agent_name.clone(),
            properties: properties::of_agent(&self.properties)?,
            topics: self.agent_topics.clone(),
            group: self.agent_group.clone(),
            catch_up_ms: self.agent_catch_up_ms,
            threads: self.agent_threads,
            report_every_ms: self.agent_report_every_ms,
            idle_ms: self.agent_idle_ms,
            discover_every_ms: 10_000,
            registry: self.registry.clone(),
            checks,
            pipelines: self.pipelines.clone(),
            limits: self.limits.clone(),
        })
    }

    pub(crate) fn collector_config(
        &self,
        checks: Arc<CheckSet>,
    ) -> Result<collector::config::Config, ConfigError> {
        Ok(collector::config::Config {
            cluster: self.cluster.clone(),
            checks,
            pipelines: self.pipelines.clone(),
            history: self.history_path()?,
            history_keep_ms: self.history_keep_ms,
            series_budget: self.series_budget,
            group_lag_seconds_max: self.watch_lag_seconds_max,
            agent_group: self.agent_group.clone(),
            detect: self.detect.clone(),
            otlp: self.otlp.clone(),
            limits: self.limits.clone(),
        })
    }
}

/// systemd's StateDirectory, else XDG's.
fn default_state_folder() -> Result<PathBuf, ConfigError> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = from("STATE_DIRECTORY") {
        return Ok(folder);
    }
    let base = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("tapline")).ok_or_else(|| {
        ConfigError::Other(
            "no folder for the history: set `history.path` (or HOME, or XDG_STATE_HOME)".to_owned(),
        )
    })
}
