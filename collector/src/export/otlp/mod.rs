//! Traces to an OTLP backend: the observer's own spans of what passed through a pipeline.
//!
//! `spans` makes them of a [`TraceOutcome`]; this module sends them, in batches, off everybody's
//! path. The queue in front is bounded: while a backend hangs, the state counts what found no place
//! (`tapline_otlp_traces_dropped_total`) and goes on.

mod spans;

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use checks::limits::Limits;
use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::metrics::SpanCounts;
use crate::config::{OtlpConfig, OtlpProtocol};
use crate::state::TraceOutcome;

/// Traces in one request.
const BATCH: usize = 256;
/// How long a batch that is not full waits for more.
const GATHER: Duration = Duration::from_millis(500);
/// Attempts at one batch before it is given up.
const ATTEMPTS: u32 = 4;
/// Pause after the first failure; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// Why there can be no exporter.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A header's name or value is not one.
    #[error("export.otlp: the header {0:?} can't be sent: names and values are visible ASCII")]
    Header(String),
    /// The address, or TLS.
    #[error("export.otlp: {0}")]
    Build(String),
}

/// A running exporter.
pub struct Running {
    /// Ends when the collector is gone and everything has been tried.
    pub task: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Running {
    /// For /metrics.
    pub fn counts(&self) -> Arc<dyn Fn() -> SpanCounts + Send + Sync> {
        let counts = Arc::clone(&self.counts);
        Arc::new(move || SpanCounts {
            sent: counts.sent.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
        })
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Starts sending; within a runtime, with a TLS provider installed as the process' default.
///
/// # Errors
/// [`OtlpError`] for settings that can never work; a backend that is away is waited for.
pub fn start(
    config: &OtlpConfig,
    limits: &Limits,
    cluster: &str,
    traces: mpsc::Receiver<TraceOutcome>,
) -> Result<Running, OtlpError> {
    let timeout = Duration::from_millis(limits.remote_timeout_ms);
    let mut exporter = exporter(config, timeout)?;
    let attributes = [
        KeyValue::new("service.name", "tapline"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("tapline.cluster", cluster.to_owned()),
    ];
    exporter.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
    let counts = Arc::new(Counts::default());
    let sender = Sender { exporter, share: config.traces, timeout, counts: Arc::clone(&counts) };
    Ok(Running { task: tokio::spawn(sender.run(traces)), counts })
}

fn exporter(config: &OtlpConfig, timeout: Duration) -> Result<SpanExporter, OtlpError> {
    let build = |e: opentelemetry_otlp::ExporterBuildError| OtlpError::Build(e.to_string());
    match config.protocol {
        OtlpProtocol::Grpc => {
            let mut headers = HeaderMap::new();
            for (name, value) in &config.headers {
                let key = HeaderName::from_str(name).map_err(|_| OtlpError::Header(name.clone()))?;
                let mut value = HeaderValue::from_str(value).map_err(|_| OtlpError::Header(name.clone()))?;
                value.set_sensitive(true);
                headers.append(key, value);
            }
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&config.endpoint)
                .with_timeout(timeout)
                .with_metadata(MetadataMap::from_headers(headers))
                .build()
                .map_err(build)
        }
        OtlpProtocol::HttpProtobuf => {
            let headers: HashMap<String, String> = config.headers.iter().cloned().collect();
            let client = reqwest::Client::builder()
                .timeout(timeout)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|e| OtlpError::Build(e.to_string()))?;
            SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_endpoint(traces_address(&config.endpoint))
                .with_timeout(timeout)
                .with_headers(headers)
                .build()
                .map_err(build)
        }
    }
}

/// `http://host:4318` means its path for traces (OTLP specification, "OTLP/HTTP Request").
fn traces_address(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with("/v1/traces") { endpoint.to_owned() } else { format!("{endpoint}/v1/traces") }
}

struct Sender {
    exporter: SpanExporter,
    share: f64,
    timeout: Duration,
    counts: Arc<Counts>,
}

impl Sender {
    async fn run(self, mut traces: mpsc::Receiver<TraceOutcome>) {
        let mut pause = PAUSE_FIRST;
        let mut outcomes = Vec::with_capacity(BATCH);
        while traces.recv_many(&mut outcomes, BATCH).await > 0 {
            if outcomes.len() < BATCH {
                tokio::time::sleep(GATHER).await;
                while outcomes.len() < BATCH {
                    let Ok(more) = traces.try_recv() else { break };
                    outcomes.push(more);
                }
            }
            let batch: Vec<SpanData> = outcomes
                .drain(..)
                .filter(|o| spans::is_exported(o, self.share))
                .flat_map(|o| spans::of(&o))
                .collect();
            if !batch.is_empty() {
                self.send(batch, &mut pause).await;
            }
        }
    }

    /// Tries a few times; what fails then is counted and given up, for the traces behind it.
    async fn send(&self, batch: Vec<SpanData>, pause: &mut Duration) {
        let spans = batch.len() as u64;
        for attempt in 1..=ATTEMPTS {
            // The exporter has a timeout of its own; this one also holds if it does not keep it.
            let sent = tokio::time::timeout(self.timeout * 2, self.exporter.export(batch.clone())).await;
            let why = match sent {
                Ok(Ok(())) => {
                    self.counts.sent.fetch_add(spans, Ordering::Relaxed);
                    *pause = PAUSE_FIRST;
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            tracing::warn!(attempt, spans, "the OTLP backend did not take a batch: {why}");
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(PAUSE_LONGEST);
        }
        self.counts.failed.fetch_add(spans, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn config(endpoint: String, protocol: OtlpProtocol) -> OtlpConfig {
        let headers = vec![("authorization".to_owned(), "Bearer s3cret".to_owned())];
        OtlpConfig { endpoint, protocol, headers, traces: 1.0 }
    }

    fn install_tls() {
        // Only the first of the tests can.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    #[test]
    fn the_path_for_traces_is_added_once() {
        for endpoint in ["http://h:4318", "http://h:4318/", "http://h:4318/v1/traces"] {
            assert_eq!(traces_address(endpoint), "http://h:4318/v1/traces");
        }
        assert_eq!(traces_address("https://h/otlp"), "https://h/otlp/v1/traces");
    }

    #[tokio::test]
    async fn a_header_that_is_none_is_refused_without_its_value() {
        let mut config = config("http://localhost:1".to_owned(), OtlpProtocol::Grpc);
        config.headers = vec![("api key".to_owned(), "s3cret".to_owned())];
        let error = exporter(&config, Duration::from_secs(1)).map(|_| ()).expect_err("a space in a name");
        assert!(error.to_string().contains("api key") && !error.to_string().contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn spans_reach_an_http_backend_with_the_headers() {
        install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (traces, outcomes) = mpsc::channel(8);
        let config = config(format!("http://{address}"), OtlpProtocol::HttpProtobuf);
        let running = start(&config, &Limits::default(), "prod", outcomes).expect("it starts");
        traces.send(spans::tests::outcome()).await.expect("it listens");
        let (mut stream, _) = listener.accept().await.expect("it connects");
        let mut request = vec![0; 64 * 1024];
        let n = stream.read(&mut request).await.expect("a request");
        let head = String::from_utf8_lossy(&request[..n]).into_owned();
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        assert!(head.contains("authorization: Bearer s3cret"), "{head}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await
            .expect("answered");
        drop(traces);
        tokio::time::timeout(Duration::from_secs(20), running.task)
            .await
            .expect("it ends")
            .expect("no panic");
        assert_eq!(running.counts.sent.load(Ordering::Relaxed), 3, "a passage and two hops");
    }

    #[tokio::test]
    async fn a_backend_that_hangs_blocks_nobody() {
        install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let limits = Limits { remote_timeout_ms: 50, ..Limits::default() };
        let (traces, outcomes) = mpsc::channel(4);
        let config = config(format!("http://{address}"), OtlpProtocol::Grpc);
        let running = start(&config, &limits, "prod", outcomes).expect("it starts");
        // Nobody accepts: the queue fills, and trying to add says so at once.
        let full = async {
            while traces.try_send(spans::tests::outcome()).is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), full).await.expect("it is full before long");
        let failed = async {
            while running.counts.failed.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), failed).await.expect("given up and counted");
        running.task.abort();
    }
}
