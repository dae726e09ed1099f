//! The sections of the configuration, read into the settings. What is absent changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::config::RegistryConfig;
use checks::detect::Sensitivity;
use checks::filter::Filter;
use checks::pipeline::{Correlate, LatencyObjective, Pipeline};
use checks::yaml::{Map, Node, Reader};
use collector::config::{OtlpConfig, OtlpProtocol};
use collector::export::metrics::compat::Peer;

use super::settings::{History, Settings, parse_listen, parse_url};
use super::{properties, read_secret, read_text};

const SECTIONS: [&str; 11] = [
    "version",
    "cluster",
    "registry",
    "checks",
    "watch",
    "agent",
    "pipelines",
    "export",
    "history",
    "detect",
    "limits",
];

pub(super) const LIMITS: [&str; 19] = [
    "message_bytes",
    "batch_bytes",
    "nesting",
    "fields",
    "string_bytes",
    "open_panes",
    "report_bytes",
    "schema_bytes",
    "schemas",
    "remote_timeout",
    "http_body_bytes",
    "queue",
    "agent_memory_bytes",
    "uniqueness_values",
    "top_values",
    "examples",
    "open_traces",
    "sightings_per_second",
    "spool_bytes",
];

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Reads a document; mistakes are collected by the reader. Relative paths start from `base`.
pub(super) fn read(reader: &Reader<'_>, node: &Node, base: &Path, settings: &mut Settings) {
    // A file in which everything is commented out.
    if node.is_null() {
        return;
    }
    let Some(file) = reader.map(node, &SECTIONS) else { return };
    if let Some(version) = file.opt_integer("version", 0..=i64::MAX)
        && version != 1
    {
        reader.error_help(
            file.key_span("version"),
            format!("version {version} of the configuration is not known to this Tapline"),
            "write `version: 1`",
        );
    }
    cluster(&file, base, settings);
    registry(&file, base, settings);
    if let Some(paths) = file.opt_str_list("checks") {
        settings.checks = paths.into_iter().map(|path| base.join(path)).collect();
    }
    watch(&file, settings);
    agent(&file, settings);
    pipelines(&file, settings);
    export(&file, base, settings);
    history(&file, base, settings);
    detect(&file, settings);
    limits(&file, settings);
}

fn cluster(file: &Map<'_, '_, '_>, base: &Path, settings: &mut Settings) {
    let Some(cluster) = file.opt_map("cluster", &["name", "properties", "properties_file"]) else { return };
    set(&mut settings.cluster, cluster.opt_str("name"));
    if let Some(path) = cluster.opt_str("properties_file") {
        match properties::read_file(&base.join(path), settings.limits.file_bytes) {
            Ok(read) => settings.properties.extend(read),
            Err(error) => file.reader().error(cluster.key_span("properties_file"), error.to_string()),
        }
    }
    if let Some(given) = cluster.opt_str_map("properties") {
        settings.properties.extend(given);
    }
}

fn registry(file: &Map<'_, '_, '_>, base: &Path, settings: &mut Settings) {
    let known = ["url", "username", "password", "password_file", "ca_file"];
    let Some(section) = file.opt_map("registry", &known) else { return };
    let reader = file.reader();
    let mut registry = settings.registry.take().unwrap_or(RegistryConfig {
        url: String::new(),
        credentials: None,
        ca_pem: None,
    });
    if let Some(url) = section.opt_str("url") {
        match parse_url(&url) {
            Ok(url) => registry.url = url,
            Err(message) => reader.error(section.key_span("url"), message),
        }
    }
    let (mut user, mut password) = registry.credentials.take().unwrap_or_default();
    set(&mut user, section.opt_str("username"));
    set(&mut password, section.opt_str("password"));
    if let Some(path) = section.opt_str("password_file") {
        match read_secret(&base.join(path)) {
            Ok(secret) => password = secret,
            Err(error) => reader.error(section.key_span("password_file"), error.to_string()),
        }
    }
    if !user.is_empty() || !password.is_empty() {
        registry.credentials = Some((user, password));
    }
    if let Some(path) = section.opt_str("ca_file") {
        match read_text(&base.join(path), settings.limits.file_bytes) {
            Ok(pem) => registry.ca_pem = Some(pem.into_bytes()),
            Err(error) => reader.error(section.key_span("ca_file"), error.to_string()),
        }
    }
    settings.registry = Some(registry);
}

fn watch(file: &Map<'_, '_, '_>, settings: &mut Settings) {
    let Some(watch) = file.opt_map("watch", &["interval", "groups", "topics", "lag_seconds_max"]) else {
        return;
    };
    set(&mut settings.watch_interval_ms, watch.opt_duration_ms_in("interval", 500..=60 * MINUTE_MS));
    set_filter(&watch, "groups", &["named"], &mut settings.watch_groups);
    set_filter(&watch, "topics", &[], &mut settings.watch_topics);
    let groups = watch.get("groups").filter(|node| !node.is_null());
    if let Some(named) =
        groups.and_then(|node| file.reader().any_map(node)).and_then(|groups| groups.opt_str_list("named"))
    {
        settings.watch_groups_named = named;
    }
    if let Some(ms) = watch.opt_duration_ms("lag_seconds_max") {
        settings.watch_lag_seconds_max = Some(ms as f64 / 1000.0);
    }
}

fn agent(file: &Map<'_, '_, '_>, settings: &mut Settings) {
    let known =
        ["name", "topics", "group", "catch_up", "threads", "report_every", "idle", "collector", "listen"];
    let Some(agent) = file.opt_map("agent", &known) else { return };
    let reader = file.reader();
    set(&mut settings.agent_name, agent.opt_str("name"));
    set_filter(&agent, "topics", &[], &mut settings.agent_topics);
    set(&mut settings.agent_group, agent.opt_str("group"));
    set(&mut settings.agent_catch_up_ms, agent.opt_duration_ms("catch_up"));
    set(&mut settings.agent_threads, agent.opt_usize("threads", 1..=64));
    set(&mut settings.agent_report_every_ms, agent.opt_duration_ms_in("report_every", 100..=MINUTE_MS));
    set(&mut settings.agent_idle_ms, agent.opt_duration_ms_in("idle", 1_000..=60 * MINUTE_MS));
    if let Some(url) = agent.opt_str("collector") {
        match parse_url(&url) {
            Ok(url) => settings.agent_collector = url,
            Err(message) => reader.error(agent.key_span("collector"), message),
        }
    }
    set_listen(&agent, &mut settings.agent_listen);
}

fn pipelines(file: &Map<'_, '_, '_>, settings: &mut Settings) {
    let Some(list) = file.opt_list("pipelines") else { return };
    let read: Vec<Arc<Pipeline>> =
        list.iter().filter_map(|node| pipeline(file.reader(), node)).map(Arc::new).collect();
    for (index, one) in read.iter().enumerate() {
        if read[..index].iter().any(|other| other.name == one.name) {
            file.reader()
                .error(file.key_span("pipelines"), format!("two pipelines are called `{}`", one.name));
        }
    }
    settings.pipelines = read;
}

fn pipeline(reader: &Reader<'_>, node: &Node) -> Option<Pipeline> {
    let known = ["name", "stages", "correlate", "deadline", "latency", "follow"];
    let map = reader.map(node, &known)?;
    let name = map.required_str("name")?;
    if name.is_empty()
        || name.len() > 64
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    {
        reader.error(map.key_span("name"), "a pipeline's name has 1 to 64 letters, digits, `_` and `-`");
    }
    let stages = reader.str_list(map.required("stages")?)?;
    let has_twins = stages.iter().enumerate().any(|(i, stage)| stages[..i].contains(stage));
    if stages.len() < 2 || has_twins {
        reader.error(map.key_span("stages"), "a pipeline has at least two stages, all different topics");
    }
    if stages.len() > 32 {
        reader.error(map.key_span("stages"), "a pipeline has at most 32 stages");
    }
    let correlate =
        map.opt_choice("correlate", &[("traceparent", Correlate::Traceparent)]).unwrap_or_default();
    let deadline_ms = map.opt_duration_ms_in("deadline", 1_000..=7 * DAY_MS).unwrap_or(5 * MINUTE_MS);
    Some(Pipeline {
        latency: map.get("latency").and_then(|node| objective(reader, node)),
        follow: map.opt_percent("follow").unwrap_or(1.0),
        name,
        stages,
        correlate,
        deadline_ms,
    })
}

/// `{ p99: 2s }`.
fn objective(reader: &Reader<'_>, node: &Node) -> Option<LatencyObjective> {
    let map = reader.any_map(node)?;
    let [entry] = map.entries() else {
        reader.error_help(node.span, "a pipeline has one latency objective", "write `latency: { p99: 2s }`");
        return None;
    };
    let digits =
        entry.key.text.strip_prefix('p').filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    // p99 is 0.99, p999 is 0.999, p50 is 0.5.
    let quantile = digits.and_then(|d| format!("0.{d}").parse::<f64>().ok()).filter(|q| *q > 0.0 && *q < 1.0);
    let Some(quantile) = quantile else {
        reader.error_help(entry.key.span, "not a quantile", "write p50, p90, p99, p999, …");
        return None;
    };
    Some(LatencyObjective { quantile, ms: reader.duration_ms(&entry.value)? })
}

fn export(file: &Map<'_, '_, '_>, base: &Path, settings: &mut Settings) {
    let Some(export) = file.opt_map("export", &["listen", "otlp", "series_budget", "compat"]) else { return };
    set_listen(&export, &mut settings.listen);
    set(&mut settings.series_budget, export.opt_usize("series_budget", 100..=10_000_000));
    if let Some(list) = export.opt_list("compat") {
        let names = Peer::ALL.map(|peer| (peer.name(), peer));
        settings.compat = list.iter().filter_map(|node| file.reader().choice(node, &names)).collect();
    }
    let Some(otlp) = export.opt_map("otlp", &["endpoint", "protocol", "headers_file", "traces"]) else {
        return;
    };
    let reader = file.reader();
    let mut config = settings.otlp.take().unwrap_or(OtlpConfig {
        endpoint: "http://127.0.0.1:4317".to_owned(),
        protocol: OtlpProtocol::Grpc,
        headers: Vec::new(),
        traces: 0.01,
    });
    if let Some(endpoint) = otlp.opt_str("endpoint") {
        match parse_url(&endpoint) {
            Ok(endpoint) => config.endpoint = endpoint,
            Err(message) => reader.error(otlp.key_span("endpoint"), message),
        }
    }
    let protocols = [("grpc", OtlpProtocol::Grpc), ("http/protobuf", OtlpProtocol::HttpProtobuf)];
    set(&mut config.protocol, otlp.opt_choice("protocol", &protocols));
    set(&mut config.traces, otlp.opt_percent("traces"));
    if let Some(path) = otlp.opt_str("headers_file") {
        match properties::read_file(&base.join(path), settings.limits.file_bytes) {
            Ok(headers) => config.headers = headers.into_iter().collect(),
            Err(error) => reader.error(otlp.key_span("headers_file"), error.to_string()),
        }
    }
    settings.otlp = Some(config);
}

fn history(file: &Map<'_, '_, '_>, base: &Path, settings: &mut Settings) {
    let Some(history) = file.opt_map("history", &["path", "keep"]) else { return };
    if let Some(path) = history.opt_str("path") {
        settings.history =
            if path == "memory" { History::Memory } else { History::Path(base.join(PathBuf::from(path))) };
    }
    set(&mut settings.history_keep_ms, history.opt_duration_ms_in("keep", 60 * MINUTE_MS..=3_650 * DAY_MS));
}

fn detect(file: &Map<'_, '_, '_>, settings: &mut Settings) {
    let known = ["enabled", "topics", "sensitivity", "time_zone", "window", "learn", "adopt"];
    let Some(detect) = file.opt_map("detect", &known) else { return };
    let config = &mut settings.detect;
    set(&mut config.enabled, detect.opt_boolean("enabled"));
    set_filter(&detect, "topics", &[], &mut config.topics);
    let how = &mut config.settings;
    let names = Sensitivity::ALL.map(|one| (one.name(), one));
    set(&mut how.sensitivity, detect.opt_choice("sensitivity", &names));
    if let Some(name) = detect.opt_str("time_zone") {
        match name.parse() {
            Ok(zone) => how.time_zone = zone,
            Err(message) => {
                let span = detect.get("time_zone").map_or(detect.key_span("time_zone"), |node| node.span);
                file.reader().error(span, message);
            }
        }
    }
    set(&mut how.window_ms, detect.opt_duration_ms_in("window", 10_000..=60 * MINUTE_MS));
    set(&mut how.learn_ms, detect.opt_duration_ms_in("learn", MINUTE_MS..=90 * DAY_MS));
    set(&mut how.adopt_ms, detect.opt_duration_ms_in("adopt", MINUTE_MS..=90 * DAY_MS));
}

fn limits(file: &Map<'_, '_, '_>, settings: &mut Settings) {
    let Some(map) = file.opt_map("limits", &LIMITS) else { return };
    let limits = &mut settings.limits;
    for (key, target) in [
        ("message_bytes", &mut limits.message_bytes),
        ("batch_bytes", &mut limits.batch_bytes),
        ("report_bytes", &mut limits.report_bytes),
        ("schema_bytes", &mut limits.schema_bytes),
        ("http_body_bytes", &mut limits.http_body_bytes),
        ("agent_memory_bytes", &mut limits.agent_memory_bytes),
        ("spool_bytes", &mut limits.spool_bytes),
    ] {
        if let Some(bytes) = map.opt_bytes(key) {
            match usize::try_from(bytes) {
                Ok(bytes) if (1_024..=64 << 30).contains(&bytes) => *target = bytes,
                _ => file.reader().error(map.key_span(key), format!("`{key}` must be from 1KiB to 64GiB")),
            }
        }
    }
    for (key, target, range) in [
        ("nesting", &mut limits.nesting, 1..=256),
        ("fields", &mut limits.fields, 1..=100_000),
        ("string_bytes", &mut limits.string_bytes, 16..=65_536),
        ("open_panes", &mut limits.open_panes, 2..=10_000),
        ("schemas", &mut limits.schemas, 1..=1_000_000),
        ("queue", &mut limits.queue, 1..=1_000_000),
        ("uniqueness_values", &mut limits.uniqueness_values, 64..=10_000_000),
        ("top_values", &mut limits.top_values, 1..=10_000),
        ("examples", &mut limits.examples, 0..=100),
        ("open_traces", &mut limits.open_traces, 1..=100_000_000),
        ("sightings_per_second", &mut limits.sightings_per_second, 1..=10_000_000),
    ] {
        set(target, map.opt_usize(key, range));
    }
    if let Some(ms) = map.opt_duration_ms_in("remote_timeout", 10..=10 * MINUTE_MS) {
        limits.remote_timeout_ms = ms.unsigned_abs();
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn set_listen(map: &Map<'_, '_, '_>, target: &mut std::net::SocketAddr) {
    if let Some(listen) = map.opt_str("listen") {
        match parse_listen(&listen) {
            Ok(address) => *target = address,
            Err(message) => map.reader().error(map.key_span("listen"), message),
        }
    }
}

/// `{ include: […], exclude: […] }`; what is absent stays as it was only if both are.
fn set_filter(map: &Map<'_, '_, '_>, key: &str, more: &[&str], target: &mut Filter) {
    let known: Vec<&str> = ["include", "exclude"].iter().chain(more).copied().collect();
    let Some(section) = map.opt_map(key, &known) else { return };
    let include = section.opt_str_list("include");
    let exclude = section.opt_str_list("exclude");
    if include.is_none() && exclude.is_none() {
        return;
    }
    match target.with(include.as_deref(), exclude.as_deref()) {
        Ok(filter) => *target = filter,
        Err(error) => map.reader().error(section.span(), error.to_string()),
    }
}
