//! The OpenTelemetry Collector 0.159: takes OTLP and writes the spans into a file that tests read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache;
use crate::process::{Signal, tool};
use crate::server::Server;

/// A running collector. Each test has its own: they are light, and the spans are nobody else's.
#[derive(Debug)]
pub struct OtelCollector {
    server: Server,
}

/// One span as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or empty for a root.
    pub parent_span_id: String,
    /// Its name.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i64,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub end_ns: u64,
    /// Its attributes: strings, numbers, booleans and lists as JSON.
    pub attributes: BTreeMap<String, Value>,
    /// The attributes of what sent it.
    pub resource: BTreeMap<String, Value>,
    /// Trace id and span id of what it links to.
    pub links: Vec<(String, String)>,
    /// OTLP's status code: 0 unset, 1 ok, 2 error.
    pub status: i64,
}

impl OtelCollector {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let binary = binary().await?;
        // Its HTTP receiver answers 404 to a plain GET: that will do.
        let server = Server::start("otelcol", "", |folder, [http, grpc]| {
            let config = folder.join("otelcol.yaml");
            fs::write(
                &config,
                format!(
                    "receivers:
  otlp:
    protocols:
      http: {{ endpoint: '127.0.0.1:{http}' }}
      grpc: {{ endpoint: '127.0.0.1:{grpc}' }}
exporters:
  file: {{ path: '{}', flush_interval: 100ms }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [file] }}
",
                    folder.join("traces.jsonl").display()
                ),
            )?;
            let mut command = Command::new(&binary);
            command.arg("--config").arg(config);
            Ok(command)
        })
        .await?;
        Ok(Self { server })
    }

    /// Where it takes OTLP by gRPC.
    pub fn grpc_url(&self) -> String {
        self.server.url(1)
    }

    /// Where it takes OTLP by HTTP: append `/v1/traces` where a client doesn't itself.
    pub fn http_url(&self) -> String {
        self.server.url(0)
    }

    /// Its process id; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Stops it in its tracks, so that it hangs, or lets it go on: [`Signal::Stop`], [`Signal::Cont`].
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// Ends it at once; [`OtelCollector::restart`] brings it back on the same ports.
    pub async fn kill(&self) -> Result<()> {
        self.server.kill().await
    }

    /// Starts it again after [`OtelCollector::kill`].
    pub async fn restart(&self) -> Result<()> {
        self.server.launch().await
    }

    /// All spans that have arrived so far.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let file = self.server.folder.path().join("traces.jsonl");
        let text = fs::read_to_string(&file).unwrap_or_default();
        // A line without its end is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut spans = Vec::new();
        for line in whole.lines() {
            let batch: Value = serde_json::from_str(line).context("a line of the file exporter")?;
            for resource in items(&batch["resourceSpans"]) {
                let from = attributes(&resource["resource"]["attributes"]);
                for scope in items(&resource["scopeSpans"]) {
                    for span in items(&scope["spans"]) {
                        spans.push(read_span(span, &from)?);
                    }
                }
            }
        }
        Ok(spans)
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_span(span: &Value, resource: &BTreeMap<String, Value>) -> Result<Span> {
    // OTLP's JSON writes 64-bit integers as strings.
    let time = |name: &str| -> Result<u64> {
        let text = span[name].as_str().with_context(|| format!("{name} in {span}"))?;
        Ok(text.parse()?)
    };
    Ok(Span {
        trace_id: text(&span["traceId"]),
        span_id: text(&span["spanId"]),
        parent_span_id: text(&span["parentSpanId"]),
        name: text(&span["name"]),
        kind: span["kind"].as_i64().unwrap_or_default(),
        start_ns: time("startTimeUnixNano")?,
        end_ns: time("endTimeUnixNano")?,
        attributes: attributes(&span["attributes"]),
        resource: resource.clone(),
        links: items(&span["links"])
            .iter()
            .map(|link| (text(&link["traceId"]), text(&link["spanId"])))
            .collect(),
        status: span["status"]["code"].as_i64().unwrap_or_default(),
    })
}

fn attributes(list: &Value) -> BTreeMap<String, Value> {
    items(list).iter().map(|pair| (text(&pair["key"]), plain(&pair["value"]))).collect()
}

/// `{"intValue":"5"}` as 5, `{"stringValue":"a"}` as "a".
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => inner
            .as_str()
            .and_then(|text| text.parse::<i64>().ok())
            .map_or_else(|| inner.clone(), Value::from),
        "arrayValue" => items(&inner["values"]).iter().map(plain).collect(),
        _ => inner.clone(),
    }
}

/// Builds the collector by its own builder: two minutes the first time.
pub(crate) async fn binary() -> Result<PathBuf> {
    let folder = cache::cached_async("otelcol-0.159.0", |folder| {
        let go = tool("go", "golang-go, if it is 1.25 or newer")?;
        fs::write(folder.join("builder.yaml"), include_str!("recipes/otelcol-builder.yaml"))?;
        cache::run(
            Command::new(go)
                .args(["run", "go.opentelemetry.io/collector/cmd/builder@v0.159.0"])
                .args(["--config", "builder.yaml"])
                .current_dir(folder),
        )?;
        Ok(())
    })
    .await?;
    Ok(folder.join("build/otelcol"))
}
