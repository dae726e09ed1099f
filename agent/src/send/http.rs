//! Reports by HTTP: `POST …/api/v1/reports` (protobuf, zstd) and `GET …/api/v1/positions`.

use std::sync::Arc;
use std::time::Duration;

use checks::limits::Limits;
use checks::report::Report;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};

use super::{BoxFuture, Positions, SendError, Transport};
use crate::remote;

/// Topics asked for in one request: addresses have a limit of their own.
const TOPICS_A_REQUEST: usize = 100;
/// What of a refusal is repeated.
const REFUSAL_BYTES: usize = 300;

/// The way to a collector by HTTP.
#[derive(Debug)]
pub struct HttpTransport {
    client: Client,
    reports: Url,
    positions: Url,
    shown: String,
    body_bytes_max: usize,
}

impl HttpTransport {
    /// To the collector at this address (`http://collector:9464`).
    ///
    /// # Errors
    /// Not an address of HTTP, in words that do not repeat it.
    pub fn new(collector: &str, limits: &Limits) -> Result<Self, String> {
        let wrong = || "the collector's address must be like http://collector:9464".to_owned();
        remote::check(collector, "").map_err(|_| wrong())?;
        let base = collector.trim_end_matches('/');
        let url = |path: &str| Url::parse(&format!("{base}{path}")).map_err(|_| wrong());
        Ok(Self {
            client: remote::client(Duration::from_millis(limits.remote_timeout_ms.saturating_mul(2)), None)?,
            reports: url("/api/v1/reports")?,
            positions: url("/api/v1/positions")?,
            shown: remote::shown(base),
            body_bytes_max: limits.http_body_bytes,
        })
    }

    async fn post(&self, report: Arc<Report>) -> Result<(), SendError> {
        let body = report.encode_zstd().map_err(|e| SendError::Refused(e.to_string()))?;
        let request = self
            .client
            .post(self.reports.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "zstd")
            .body(body);
        let response = request.send().await.map_err(|e| self.away(&remote::cause(&e)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let why = remote::body(response, self.body_bytes_max).await.unwrap_or_default();
        let why = String::from_utf8_lossy(&why[..why.len().min(REFUSAL_BYTES)]).trim().replace('\n', " ");
        Err(match status {
            // What is wrong with the report itself will be wrong with it again.
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => SendError::Refused(format!("{status}: {why}")),
            _ => self.away(&format!("{status} {why}")),
        })
    }

    async fn get(&self, topics: &[String]) -> Result<Positions, SendError> {
        let mut all = Positions::new();
        for some in topics.chunks(TOPICS_A_REQUEST) {
            let mut url = self.positions.clone();
            url.query_pairs_mut().extend_pairs(some.iter().map(|topic| ("topic", topic)));
            let response = self.client.get(url).send().await.map_err(|e| self.away(&remote::cause(&e)))?;
            let status = response.status();
            if !status.is_success() {
                return Err(self.away(&status.to_string()));
            }
            let body = remote::body(response, self.body_bytes_max).await.map_err(|e| self.away(&e))?;
            let answer: PositionsAnswer = serde_json::from_slice(&body)
                .map_err(|e| self.away(&format!("its positions are not readable: {e}")))?;
            all.extend(answer.positions.into_iter().map(|p| ((p.topic, p.partition), p.next)));
        }
        Ok(all)
    }

    fn away(&self, why: &str) -> SendError {
        SendError::Retry(format!("collector {}: {}", self.shown, why.trim()))
    }
}

/// The answer's shape, version 1.
#[derive(serde::Deserialize)]
struct PositionsAnswer {
    positions: Vec<PositionAnswer>,
}

#[derive(serde::Deserialize)]
struct PositionAnswer {
    topic: String,
    partition: i32,
    next: i64,
}

impl Transport for HttpTransport {
    fn send(&self, report: Arc<Report>) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(self.post(report))
    }

    fn positions(&self, topics: &[String]) -> BoxFuture<'_, Result<Positions, SendError>> {
        let topics = topics.to_vec();
        Box::pin(async move { self.get(&topics).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_in_words() {
        for bad in ["collector:9464", "", "ftp://collector", "http://"] {
            let error = HttpTransport::new(bad, &Limits::default()).expect_err(bad);
            assert!(error.contains("http://collector:9464"), "{error}");
        }
        let transport = HttpTransport::new("http://collector:9464/base/", &Limits::default()).expect("valid");
        assert_eq!(transport.reports.as_str(), "http://collector:9464/base/api/v1/reports");
    }
}
