//! What leaves the collector: /metrics, the JSON API, the status page, traces. Everything here
//! reads the last published [`View`](crate::view::View) and
//! [`ClusterSnapshot`](crate::cluster::snapshot::ClusterSnapshot); nothing computes what is judged,
//! and no request touches a broker.

#[cfg(test)]
pub(crate) mod fixture;
pub mod http;
pub mod json;
pub mod metrics;
pub mod otlp;
mod page;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// RFC 3339 in UTC with milliseconds; `None` for a time that has none.
pub(crate) fn rfc3339(ms: i64) -> Option<String> {
    chrono::DateTime::from_timestamp_millis(ms)
        .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
