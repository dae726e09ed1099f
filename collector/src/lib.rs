//! The collector: ingest -> state -> judge -> export, and the cluster watcher beside it.

pub mod cluster;
pub mod config;
pub mod export;
mod history;
pub mod ingest;
pub mod state;
pub mod view;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use cluster::snapshot::ClusterSnapshot;
use config::Config;
use history::History;
use ingest::{IngestHandle, Outlets, Owner};
use state::{State, TraceOutcome};
use view::{Finding, View};

/// Findings kept for a listener that lags behind; older ones it misses, the view has them.
const FINDINGS_QUEUE: usize = 1_024;
/// Traces that wait for the exporter; beyond it they are counted and dropped.
const TRACES_QUEUE: usize = 16_384;

/// The collector without its sockets: ingest, state, judge, history.
pub struct Collector;

impl Collector {
    /// Starts the owner of the state on a thread of its own. `cluster` is what the watcher
    /// publishes. A history that can't be used is no
    /// failure: the view says so. Fails only if no thread can be had.
    pub fn start(
        config: Config,
        cluster: watch::Receiver<Arc<ClusterSnapshot>>,
    ) -> std::io::Result<CollectorHandle> {
        let (state, history, error) = history::restore(&config);
        Self::with(config, cluster, state, history, error)
    }

    /// Goes on from a state, with the history it is kept in.
    fn with(
        config: Config,
        cluster: watch::Receiver<Arc<ClusterSnapshot>>,
        state: State,
        history: Option<History>,
        history_error: Option<String>,
    ) -> std::io::Result<CollectorHandle> {
        let (queue, commands) = std::sync::mpsc::sync_channel(config.limits.queue.max(1));
        let (findings, _) = broadcast::channel(FINDINGS_QUEUE);
        let (traces, outcomes) = mpsc::channel(TRACES_QUEUE);
        let history = (history, config.history_keep_ms);
        let view = Arc::new(ArcSwap::from_pointee(View { cluster: config.cluster, ..View::default() }));
        let outlets = Outlets { view: Arc::clone(&view), findings: findings.clone(), traces };
        let owner = Owner::new(state, history, history_error, commands, cluster, outlets);
        std::thread::Builder::new().name("tapline-state".to_owned()).spawn(move || owner.run())?;
        Ok(CollectorHandle { ingest: IngestHandle::new(queue), view, findings, traces: Some(outcomes) })
    }
}

/// A running collector.
pub struct CollectorHandle {
    ingest: IngestHandle,
    view: Arc<ArcSwap<View>>,
    findings: broadcast::Sender<Finding>,
    traces: Option<mpsc::Receiver<TraceOutcome>>,
}

/// Reads the last published view: cheap to clone and to ask.
#[derive(Clone)]
pub struct ViewReader(Arc<ArcSwap<View>>);

impl ViewReader {
    /// The last published view.
    pub fn load(&self) -> Arc<View> {
        self.0.load_full()
    }
}

impl CollectorHandle {
    /// The way in for reports.
    pub fn ingest(&self) -> IngestHandle {
        self.ingest.clone()
    }

    /// The last published view: at most a second old, or a verdict.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// For whoever reads views later and elsewhere.
    pub fn views(&self) -> ViewReader {
        ViewReader(Arc::clone(&self.view))
    }

    /// Findings as they open (`resolved_ms` is `None`) and as they are resolved.
    pub fn findings(&self) -> broadcast::Receiver<Finding> {
        self.findings.subscribe()
    }

    /// Traces that ended, for OTLP; to be had once.
    pub fn take_traces(&mut self) -> Option<mpsc::Receiver<TraceOutcome>> {
        self.traces.take()
    }

    /// Stops the owner, with everything that was queued before applied and kept.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        let ingest = self.ingest.clone();
        // A full queue may take a moment: not on the runtime's threads.
        let sent = tokio::task::spawn_blocking(move || ingest.stop(done)).await;
        if matches!(sent, Ok(Ok(()))) {
            // The answer fails only if the owner is gone already.
            let _ = stopped.await;
        }
    }
}
