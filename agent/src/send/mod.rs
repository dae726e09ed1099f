//! Reports to the collector: a queue that is bounded, a sender that does not give up, and two ways
//! to get there (HTTP here; in one process the command brings its own).

mod http;
mod queue;
mod sender;
mod split;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use checks::report::Report;

pub use http::HttpTransport;
pub(crate) use queue::Outbox;
pub(crate) use sender::{Sender, random};

/// A future that a thread may take elsewhere.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// By topic and partition, the next offset that the collector does not know of yet.
pub type Positions = BTreeMap<(String, i32), i64>;

/// The way to a collector.
pub trait Transport: Send + Sync + 'static {
    /// Hands over a report. `Ok` means that the collector has applied it, or had before.
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>>;

    /// Up to where the collector knows these topics.
    fn positions(&self, topics: &[String]) -> BoxFuture<'_, Result<Positions, SendError>>;
}

/// Why a report did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may arrive later.
    #[error("{0}")]
    Retry(String),
    /// The collector says never.
    #[error("the collector refuses the report: {0}")]
    Refused(String),
}
