//! The HTTP server: /metrics, health, the JSON API, the status page, and the way in for reports.
//!
//! `listener` bounds connections, `guard` bounds requests and sets the headers, `api` answers from
//! snapshots, `reports` takes what agents send, `marks` what people tell.

mod api;
mod guard;
mod listener;
mod marks;
mod reports;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use checks::limits::Limits;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::metrics::compat::Peer;
use super::metrics::{AgentPage, BuildInfo, SpanCounts};
use crate::ViewReader;
use crate::cluster::snapshot::ClusterSnapshot;
use crate::ingest::IngestHandle;

pub use axum::Router;

/// How long open requests may take to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(1);
/// Reports decoded at once: each may take `limits.http_body_bytes` several times over.
const REPORTS_AT_ONCE: usize = 4;
/// A mark is small.
const MARK_BYTES: usize = 16 << 10;

/// Says what is missing, `None` when nothing is.
pub type WhyNotReady = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What /readyz answers: latched, so that a broker's restart takes no Tapline out of service.
#[derive(Clone)]
pub struct Readiness {
    why_not: WhyNotReady,
    was_ready: Arc<AtomicBool>,
}

impl Readiness {
    /// Ready from the first time that nothing is missing.
    pub fn new(why_not: WhyNotReady) -> Self {
        Self { why_not, was_ready: Arc::new(AtomicBool::new(false)) }
    }

    /// What is missing; `None` once ready.
    pub fn why_not(&self) -> Option<String> {
        if self.was_ready.load(Ordering::Relaxed) {
            return None;
        }
        let why = (self.why_not)();
        if why.is_none() {
            self.was_ready.store(true, Ordering::Relaxed);
        }
        why
    }
}

/// What the collector's server is made of.
pub struct Parts {
    /// Where views are read.
    pub views: ViewReader,
    /// The way in for reports.
    pub ingest: IngestHandle,
    /// What the watcher publishes.
    pub cluster: watch::Receiver<Arc<ClusterSnapshot>>,
    /// For /readyz.
    pub readiness: Readiness,
    /// The OTLP exporter's counts, if there is one.
    pub spans: Option<Arc<dyn Fn() -> SpanCounts + Send + Sync>>,
    /// What runs.
    pub build: BuildInfo,
    /// Most series of groups, partitions and fields on /metrics.
    pub series_budget: usize,
    /// Whose names are served on /metrics too.
    pub compat: BTreeSet<Peer>,
    /// Bounds.
    pub limits: Limits,
}

/// The collector's server: cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
    reports: Arc<Semaphore>,
    marks: Arc<Semaphore>,
}

impl App {
    /// From its parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            reports: Arc::new(Semaphore::new(REPORTS_AT_ONCE)),
            marks: Arc::new(Semaphore::new(1)),
        }
    }
}

/// All routes of the collector.
pub fn router(app: App) -> Router {
    let body_bytes = app.parts.limits.http_body_bytes;
    let readiness = app.parts.readiness.clone();
    let routes = Router::new()
        .route("/", get(api::page))
        .route("/topics/{topic}", get(api::topic_page))
        .route("/findings/{id}", get(api::finding_page))
        .route("/metrics", get(api::metrics))
        .route("/api/v1/lag", get(api::lag))
        .route("/api/v1/topics", get(api::topics))
        .route("/api/v1/topics/{topic}/profile", get(api::profile))
        .route("/api/v1/checks", get(api::checks))
        .route("/api/v1/findings", get(api::findings))
        .route("/api/v1/findings/{id}", get(api::finding))
        .route("/api/v1/pipelines", get(api::pipelines))
        .route("/api/v1/agents", get(api::agents))
        .route("/api/v1/positions", get(reports::positions))
        .route("/api/v1/marks", get(marks::list).post(marks::tell).layer(DefaultBodyLimit::max(MARK_BYTES)))
        .route("/api/v1/marks/{id}", delete(marks::remove))
        .route("/api/v1/reports", post(reports::take).layer(DefaultBodyLimit::max(body_bytes)))
        .with_state(app);
    guard::around(routes.merge(health(readiness)))
}

/// The routes of an agent on its own: health, and /metrics about itself.
pub fn agent_router(readiness: Readiness, page: Arc<dyn Fn() -> AgentPage + Send + Sync>) -> Router {
    let ready = readiness.clone();
    let metrics = get(move |headers| async move {
        let mut page = page();
        page.ready = ready.why_not().is_none();
        api::exposition(super::metrics::Source::Agent(page), &headers).await
    });
    guard::around(Router::new().route("/metrics", metrics).merge(health(readiness)))
}

fn health(readiness: Readiness) -> Router {
    let ready = move || async move {
        match readiness.why_not() {
            None => (StatusCode::OK, "ready\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// Serves until `stopping` turns true (or its sender is gone), then lets open requests end within
/// a second.
///
/// # Errors
/// None today: a socket's errors are logged and waited out.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut told = stopping.clone();
    let stopped = async move {
        // An error says that nobody is left to tell us.
        let _ = told.wait_for(|stop| *stop).await;
    };
    let server = axum::serve(listener::Bounded::new(listener), router).with_graceful_shutdown(stopped);
    tokio::select! {
        result = server.into_future() => result,
        () = async {
            let _ = stopping.wait_for(|stop| *stop).await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}
