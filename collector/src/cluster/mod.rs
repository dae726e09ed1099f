//! The cluster watcher: groups of every kind, their commits, and the ends of every partition.
//!
//! It speaks the Kafka protocol itself ([`wire`]), reads at an interval ([`refresh`]), keeps the
//! last known value of everything ([`state`]) and publishes an immutable [`snapshot`]. Lag is
//! defined in [`lag`], and nowhere else.

mod activity;
mod aside;
mod ask;
mod batch;
pub mod config;
mod denied;
mod ends;
mod history;
pub mod json;
mod lag;
mod look;
mod partition;
mod places;
mod pool;
mod properties;
mod refresh;
mod search;
pub mod snapshot;
mod sorted;
mod state;
mod topic;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use config::Config;
pub use properties::{PropertyError, normalized};
pub use wire::WireError;

use aside::Aside;
use denied::Denied;
use pool::Pool;
use snapshot::{ClusterSnapshot, WatchStats};
use state::State;

/// Why a refresh could read nothing at all.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// The brokers refuse the credentials, or there is no token.
    #[error(transparent)]
    Authentication(WireError),
    /// No broker could be used.
    #[error("{}", unreachable(tried))]
    Unreachable {
        /// What went wrong with each that was tried.
        tried: Vec<WireError>,
    },
    /// Certificates or keys cannot be used.
    #[error("{0}")]
    Configuration(String),
}

impl ClusterError {
    /// A short name for counters: one of a bounded set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Authentication(error) => error.reason(),
            Self::Unreachable { .. } => "unreachable",
            Self::Configuration(_) => "configuration",
        }
    }
}

fn unreachable(tried: &[WireError]) -> String {
    match tried {
        [] => "no broker could be used".to_owned(),
        [only] => only.to_string(),
        [first, ..] => format!("none of {} brokers could be used; the first: {first}", tried.len()),
    }
}

/// Watches one cluster. One task owns it; readers get snapshots.
pub struct Watcher {
    config: Config,
    pool: Pool,
    state: State,
    aside: Aside,
    stats: WatchStats,
    denied: Denied,
    complete_once: bool,
}

/// The first pause after a refresh that failed altogether; it doubles up to the interval.
const RETRY_FIRST: Duration = Duration::from_millis(500);

impl Watcher {
    /// A watcher that has read nothing yet, and opens no connection before its first refresh.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            pool: Pool::new(),
            state: State::default(),
            aside: Aside::default(),
            stats: WatchStats::default(),
            denied: Denied::default(),
            complete_once: false,
        }
    }

    /// The same as [`Self::run`], on a thread of its own: what it reads for a moment does not spread over the heaps of
    /// all threads, and nobody who is served waits for it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn spawn(
        self,
        publish: tokio::sync::watch::Sender<Arc<ClusterSnapshot>>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ending, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new().name("tapline-watch".to_owned()).spawn(move || {
            let _ending = ending;
            runtime.block_on(self.run(publish, shutdown));
        })?;
        Ok(tokio::spawn(async move {
            let _ = ended.await;
        }))
    }

    /// Refreshes at the interval and publishes what it knows after each, until `shutdown`.
    ///
    /// It never ends for an error: the snapshot says what failed in `last_error`, keeps the last
    /// values with their age, and the next try comes sooner than the interval.
    pub async fn run(
        mut self,
        publish: tokio::sync::watch::Sender<Arc<ClusterSnapshot>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        tokio::pin!(shutdown);
        let mut retry = RETRY_FIRST;
        loop {
            let began = Instant::now();
            let result = tokio::select! {
                result = self.refresh_once() => result,
                () = &mut shutdown => return,
            };
            let next = match result {
                Ok(snapshot) => {
                    retry = RETRY_FIRST;
                    publish.send_replace(Arc::new(snapshot));
                    // A cluster whose refresh takes longer than the interval gets a rest all the same.
                    let rest = Instant::now() + self.config.interval / 10;
                    (began + self.config.interval).max(rest)
                }
                Err(error) => {
                    tracing::warn!(%error, "the cluster cannot be read; trying again");
                    let snapshot = self.snapshot(refresh::now_ms(), Some(error.to_string()));
                    publish.send_replace(Arc::new(snapshot));
                    let pause = retry.min(self.config.interval);
                    retry = retry.saturating_mul(2).min(self.config.interval);
                    Instant::now() + pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = &mut shutdown => return,
            }
        }
    }
}
