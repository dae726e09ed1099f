//! Plain HTTP to parts on the loopback interface.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The client of all tests.
///
/// It keeps no idle connections: they would belong to the runtime of the test that opened them.
pub fn http() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // Only the first of a process counts; a test may have installed it before us.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            .build()
            .expect("an HTTP client without TLS roots of its own can be built")
    })
}

/// The body at an address; any status but success is an error with the body.
pub async fn get_text(url: &str) -> Result<String> {
    let response = http().get(url).send().await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "GET {url}: {status}: {body}");
    Ok(body)
}

/// The JSON at an address.
pub async fn get_json(url: &str) -> Result<serde_json::Value> {
    let body = get_text(url).await?;
    serde_json::from_str(&body).with_context(|| format!("GET {url} is not JSON: {body}"))
}
