//! Agent and collector put together, and the manners of a long-running process: readiness,
//! reload, a clean stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::send::{BoxFuture, HttpTransport, Positions, SendError, Transport};
use agent::{Agent, AgentHandle, StatusReader};
use anyhow::Context as _;
use checks::report::Report;
use checks::rules::CheckSet;
use collector::cluster::snapshot::ClusterSnapshot;
use collector::cluster::{self, Watcher};
use collector::export::http::{self, Readiness, WhyNotReady};
use collector::export::metrics::{AgentPage, BuildInfo};
use collector::export::otlp;
use collector::ingest::{IngestError, IngestHandle};
use collector::view::Finding;
use collector::{Collector, CollectorHandle};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::commands::Outcome;
use crate::config::Settings;
use crate::reload::Changes;

/// How long an agent may take to report its last panes.
const AGENT_STOP: Duration = Duration::from_millis(3_500);
/// How long everything else may take.
const REST_STOP: Duration = Duration::from_millis(1_000);

/// The process-wide TLS provider; a second call changes nothing.
pub(crate) fn install_tls() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs a long-running command on a runtime of its own.
pub(crate) fn block_on(body: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    install_tls();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(body)
}

/// What the watcher is told.
pub(crate) fn watch_config(settings: &Settings) -> anyhow::Result<cluster::Config> {
    settings.brokers()?;
    let mut config = cluster::Config::from_properties(&settings.properties)?;
    config.name = Some(settings.cluster.clone());
    config.interval = Duration::from_millis(settings.watch_interval_ms.unsigned_abs());
    config.groups = settings.watch_groups.clone();
    config.topics = settings.watch_topics.clone();
    config.named_groups = settings.watch_groups_named.clone();
    Ok(config)
}

/// The agent's way to the collector of the same process.
struct InProcess(IngestHandle);

impl Transport for InProcess {
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async move { self.0.apply(Arc::unwrap_or_clone(report)).await.map_err(send_error) })
    }

    fn positions(&self, topics: &[String]) -> BoxFuture<'_, Result<Positions, SendError>> {
        let topics = topics.to_vec();
        Box::pin(async move {
            let known = self.0.positions(topics).await.map_err(send_error)?;
            Ok(known.into_iter().map(|p| ((p.topic, p.partition), p.next)).collect())
        })
    }
}

fn send_error(error: IngestError) -> SendError {
    match error {
        IngestError::Refused(why) => SendError::Refused(why),
        retry => SendError::Retry(retry.to_string()),
    }
}

/// The running halves, one or both.
pub(crate) struct Service {
    agent: Option<AgentHandle>,
    collector: Option<CollectorHandle>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Of the check files, since it began.
    changes: Changes,
    /// Asked until it is `None` once.
    why_not_ready: WhyNotReady,
}

impl Service {
    /// `tapline run`: both halves.
    pub(crate) async fn start_both(settings: &Settings) -> anyhow::Result<Self> {
        Self::start(settings, true).await
    }

    /// `tapline collector`.
    pub(crate) async fn start_collector(settings: &Settings) -> anyhow::Result<Self> {
        Self::start(settings, false).await
    }

    async fn start(settings: &Settings, with_agent: bool) -> anyhow::Result<Self> {
        let checks = settings.load_checks()?;
        let changes = Changes::new(&settings.checks, Arc::clone(&checks));
        let watcher = Watcher::new(watch_config(settings)?);
        let (address, listener) = listen(settings.listen).await?;
        let (stop, stopping) = watch::channel(false);
        let first = ClusterSnapshot { cluster: settings.cluster.clone(), ..ClusterSnapshot::default() };
        let (publish, cluster) = watch::channel(Arc::new(first));
        let mut collector =
            Collector::start(settings.collector_config(Arc::clone(&checks))?, cluster.clone())?;
        let mut tasks = vec![watcher.spawn(publish, stopped(stopping.clone()))?];
        let spans = match (&settings.otlp, collector.take_traces()) {
            (Some(config), Some(traces)) => {
                let exporter = otlp::start(config, &settings.limits, &settings.cluster, traces)?;
                let counts = exporter.counts();
                tasks.push(exporter.task);
                Some(counts)
            }
            _ => None,
        };
        let agent = if with_agent {
            let transport = Arc::new(InProcess(collector.ingest()));
            Some(start_agent(settings, checks, transport)?)
        } else {
            None
        };
        let why_not_ready = why_not_ready(Some(cluster.clone()), agent.as_ref().map(AgentHandle::reader));
        let app = http::App::new(http::Parts {
            views: collector.views(),
            ingest: collector.ingest(),
            cluster,
            readiness: Readiness::new(Arc::clone(&why_not_ready)),
            spans,
            build: build(),
            series_budget: settings.series_budget,
            compat: settings.compat.clone(),
            limits: settings.limits.clone(),
        });
        tasks.push(serve(listener, http::router(app), stopping));
        tracing::info!("http://{address}/ serves the status page, /metrics and /api/v1");
        Ok(Self { agent, collector: Some(collector), address, stop, tasks, changes, why_not_ready })
    }

    /// `tapline agent`.
    pub(crate) async fn start_agent(settings: &Settings) -> anyhow::Result<Self> {
        settings.brokers()?;
        let checks = settings.load_checks()?;
        let changes = Changes::new(&settings.checks, Arc::clone(&checks));
        let (address, listener) = listen(settings.agent_listen).await?;
        let (stop, stopping) = watch::channel(false);
        let transport = Arc::new(
            HttpTransport::new(&settings.agent_collector, &settings.limits).map_err(anyhow::Error::msg)?,
        );
        let agent = start_agent(settings, checks, transport)?;
        let why_not_ready = why_not_ready(None, Some(agent.reader()));
        let (reader, cluster, name) = (agent.reader(), settings.cluster.clone(), settings.agent_name.clone());
        let page = move || AgentPage {
            cluster: cluster.clone(),
            name: name.clone(),
            ready: false,
            catching_up: !reader.status().caught_up,
            stats: reader.stats(),
            build: build(),
        };
        let router = http::agent_router(Readiness::new(Arc::clone(&why_not_ready)), Arc::new(page));
        let tasks = vec![serve(listener, router, stopping)];
        tracing::info!("http://{address}/ serves /healthz, /readyz and /metrics of this agent");
        Ok(Self { agent: Some(agent), collector: None, address, stop, tasks, changes, why_not_ready })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Findings as they come and go; of a service with a collector.
    pub(crate) fn findings(&self) -> broadcast::Receiver<Finding> {
        match &self.collector {
            Some(collector) => collector.findings(),
            None => broadcast::channel(1).1,
        }
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self, within: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        while let Some(why) = (self.why_not_ready)() {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "not ready within {within:?}: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs until a signal says stop. Check files are read anew when they have changed, and at SIGHUP.
    pub(crate) async fn until_stopped(mut self, settings: &Settings) -> anyhow::Result<Outcome> {
        let mut shutdown = Shutdown::listen()?;
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                _ = hangup.recv() => {}
                () = self.changes.come_to_rest() => {}
            }
            let Self { agent, collector, changes, .. } = &mut self;
            changes.read(|| reload(agent.as_ref(), collector.as_ref(), settings));
        }
        tracing::info!("stopping");
        self.stop().await;
        Ok(Outcome::Good)
    }

    /// Stops: the agent first, so that its last panes still find the collector.
    pub(crate) async fn stop(self) {
        if let Some(agent) = self.agent
            && !agent.stop(AGENT_STOP).await
        {
            tracing::warn!("the last panes were not all acknowledged in time; what was not is read again");
        }
        // Nobody may be listening any more.
        let _ = self.stop.send(true);
        if let Some(collector) = self.collector
            && tokio::time::timeout(REST_STOP, collector.stop()).await.is_err()
        {
            tracing::warn!(
                "the collector's state did not stop in time; its history has what was acknowledged"
            );
        }
        for task in self.tasks {
            task.abort();
        }
    }
}

/// Reads the check files anew, as a whole or not at all; gives what is taken over.
fn reload(
    agent: Option<&AgentHandle>,
    collector: Option<&CollectorHandle>,
    settings: &Settings,
) -> Option<Arc<CheckSet>> {
    let mut taken = None;
    let error = match settings.load_checks() {
        Ok(checks) => {
            if let Some(agent) = agent {
                agent.set_checks(&checks);
            }
            let ingest = collector.map(CollectorHandle::ingest);
            match ingest.map(|ingest| ingest.set_checks(Arc::clone(&checks))) {
                Some(Err(error)) => Some(error.to_string()),
                Some(Ok(())) | None => {
                    tracing::info!("the check files were read anew");
                    taken = Some(checks);
                    None
                }
            }
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = &error {
        tracing::error!("the check files were not taken over, the old ones stay in force:\n{error}");
    }
    if let Some(collector) = collector
        && let Err(busy) = collector.ingest().set_reload_error(error)
    {
        tracing::warn!("the outcome of the reload is not shown: {busy}");
    }
    taken
}

async fn listen(address: SocketAddr) -> anyhow::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("can't listen at {address}: set `export.listen` (an agent: `agent.listen`) or --listen")
    })?;
    Ok((listener.local_addr()?, listener))
}

fn serve(listener: TcpListener, router: http::Router, stopping: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = http::serve(listener, router, stopping).await {
            tracing::error!("the HTTP server ended: {error}");
        }
    })
}

fn build() -> BuildInfo {
    BuildInfo { version: env!("CARGO_PKG_VERSION").to_owned(), commit: env!("TAPLINE_COMMIT").to_owned() }
}

fn start_agent(
    settings: &Settings,
    checks: Arc<checks::rules::CheckSet>,
    transport: Arc<dyn Transport>,
) -> anyhow::Result<AgentHandle> {
    let config = settings.agent_config(checks)?;
    Agent::check(&config).map_err(anyhow::Error::msg)?;
    Ok(Agent::start(config, transport))
}

/// The first thing that is missing.
fn why_not_ready(
    cluster: Option<watch::Receiver<Arc<ClusterSnapshot>>>,
    agent: Option<StatusReader>,
) -> WhyNotReady {
    Arc::new(move || {
        if let Some(cluster) = &cluster {
            let snapshot = cluster.borrow();
            if !snapshot.complete_once {
                let why = snapshot.last_error.clone();
                return Some(
                    why.unwrap_or_else(|| "the first look at the cluster is not complete".to_owned()),
                );
            }
        }
        let status = agent.as_ref()?.status();
        if status.connected && status.settled {
            return None;
        }
        let what = if status.connected { "waits for its partitions" } else { "is not connected" };
        Some(match status.last_error {
            Some(error) => format!("the agent {what}: {error}"),
            None => format!("the agent {what}"),
        })
    })
}

/// Until `stop` turns true, or nobody is left to turn it.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error says that nobody is left.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// SIGTERM or SIGINT.
pub(crate) struct Shutdown {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Shutdown {
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
