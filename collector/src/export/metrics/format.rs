//! The exposition formats: which one a scraper asks for, and how the series become its bytes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::prometheus_protobuf::{self, prometheus_data_model as model};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use prost::Message as _;

use super::family::{Exemplars, PlacedExemplar};
use super::{Exposition, Source};

/// The formats served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' protobuf: the only one with native histograms.
    Protobuf,
    /// OpenMetrics text 1.0: classic histograms with exemplars.
    OpenMetrics,
    /// Prometheus' text 0.0.4, for everything else: classic histograms without exemplars.
    Plain,
}

impl Format {
    /// The header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format that a header `Accept` asks for (RFC 9110, 12.5.1): the highest `q`, the first
    /// named among equals; plain text when nothing is known.
    pub fn negotiate(accept: &str) -> Self {
        let mut best: Option<(Self, f32)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            let has = |parameter: &str| parameters.iter().any(|p| p == parameter);
            let format = match media.as_str() {
                "application/vnd.google.protobuf"
                    if has("proto=io.prometheus.client.metricfamily") && has("encoding=delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Plain,
                _ => continue,
            };
            let q = parameters.iter().find_map(|p| p.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if q > 0.0 && best.is_none_or(|(_, best)| q > best) {
                best = Some((format, q));
            }
        }
        best.map_or(Self::Plain, |(format, _)| format)
    }
}

/// Encodes a page.
///
/// # Errors
/// Only if the encoder itself fails, which no value of a snapshot makes it do.
pub fn encode(source: Source, format: Format) -> Result<Vec<u8>, std::fmt::Error> {
    let exemplars = Arc::new(Mutex::new(Exemplars::new()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { source, exemplars: Arc::clone(&exemplars) }));
    let exemplars = || std::mem::take(&mut *exemplars.lock().unwrap_or_else(PoisonError::into_inner));
    match format {
        Format::Protobuf => {
            let mut families = prometheus_protobuf::encode(&registry)?;
            put_into_families(&mut families, &exemplars());
            let mut bytes = Vec::new();
            for family in families {
                family.encode_length_delimited(&mut bytes).map_err(|_| std::fmt::Error)?;
            }
            Ok(bytes)
        }
        Format::OpenMetrics => {
            let mut page = String::new();
            text::encode(&mut page, &registry)?;
            Ok(put_into_text(&page, &exemplars())?.into_bytes())
        }
        Format::Plain => {
            let mut page = String::new();
            text::encode(&mut page, &registry)?;
            Ok(plain(&page)?.into_bytes())
        }
    }
}

/// Puts exemplars to their buckets: Prometheus takes them from the classic buckets of a histogram
/// that has both kinds.
fn put_into_families(families: &mut [model::MetricFamily], exemplars: &Exemplars) {
    for family in families {
        for placed in exemplars.get(family.name.as_str()).into_iter().flatten() {
            let bucket = family
                .metric
                .get_mut(placed.sample)
                .and_then(|m| m.histogram.as_mut())
                .and_then(|h| h.bucket.get_mut(placed.bucket));
            if let Some(bucket) = bucket {
                bucket.exemplar = Some(model::Exemplar {
                    label: vec![model::LabelPair {
                        name: "trace_id".to_owned(),
                        value: placed.trace_id.clone(),
                    }],
                    value: placed.seconds,
                    timestamp: Some(
                        std::time::SystemTime::UNIX_EPOCH
                            .checked_add(std::time::Duration::from_millis(placed.at_ms.max(0) as u64))
                            .unwrap_or(std::time::SystemTime::UNIX_EPOCH)
                            .into(),
                    ),
                });
            }
        }
    }
}

/// The same in OpenMetrics text: the buckets of a family stand in the order in which they were
/// written, one to a line (names are escaped, so no label holds a line break).
fn put_into_text(page: &str, exemplars: &Exemplars) -> Result<String, std::fmt::Error> {
    if exemplars.is_empty() {
        return Ok(page.to_owned());
    }
    let mut out = String::with_capacity(page.len() + 4096);
    let mut family: Option<(&str, &[PlacedExemplar])> = None;
    // Of the family's histograms the how manieth this line is in, and of its buckets.
    let (mut histograms, mut bucket) = (0usize, 0usize);
    for line in page.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap_or_default();
            family = exemplars.get_key_value(name).map(|(name, placed)| (*name, placed.as_slice()));
            histograms = 0;
        }
        let part = family.and_then(|(name, _)| line.strip_prefix(name)).unwrap_or_default();
        if part.starts_with("_sum") {
            (histograms, bucket) = (histograms + 1, 0);
        }
        let placed = if part.starts_with("_bucket") {
            bucket += 1;
            let here = |p: &&PlacedExemplar| p.sample + 1 == histograms && p.bucket + 1 == bucket;
            family.and_then(|(_, placed)| placed.iter().find(here))
        } else {
            None
        };
        match placed {
            Some(p) => {
                out.push_str(line.trim_end_matches('\n'));
                let seconds = p.at_ms as f64 / 1000.0;
                writeln!(out, " # {{trace_id=\"{}\"}} {} {seconds:.3}", p.trace_id, p.seconds)?;
            }
            None => out.push_str(line),
        }
    }
    Ok(out)
}

/// Text 0.0.4 from OpenMetrics text: a counter's family has its full name there, an info is a gauge,
/// and units and the end mark are unknown to it.
fn plain(page: &str) -> Result<String, std::fmt::Error> {
    let mut out = String::with_capacity(page.len());
    let mut lines = page.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line.starts_with("# EOF") {
            continue;
        }
        let Some(help) = line.strip_prefix("# HELP ") else {
            out.push_str(line);
            continue;
        };
        let (name, help) = help.split_once(' ').unwrap_or((help, "\n"));
        // The type is on the next line.
        let kind = lines.next().and_then(|l| l.trim_end().rsplit_once(' ')).map_or("untyped", |(_, k)| k);
        let (suffix, kind) = match kind {
            "counter" => ("_total", kind),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            _ => ("", kind),
        };
        writeln!(out, "# HELP {name}{suffix} {help}# TYPE {name}{suffix} {kind}")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_asked_for_is_the_one_served() {
        let protobuf =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, expected) in [
            ("", Format::Plain),
            ("*/*", Format::Plain),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Plain),
            // Prometheus 2.42, and the same with native histograms switched on.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                &format!("{protobuf},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"),
                Format::Protobuf,
            ),
            ("application/vnd.google.protobuf;encoding=text, text/plain", Format::Plain),
            ("application/openmetrics-text;q=0", Format::Plain),
            ("text/plain;q=0.1, application/openmetrics-text; Q=0.9", Format::OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }
}
