//! Waiting for what becomes true after a while.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Tries again until `attempt` succeeds; after `timeout` its last error is the result, told with `what`.
///
/// ```no_run
/// # async fn test(tapline: lab::Tapline) -> anyhow::Result<()> {
/// lab::eventually("all records are read", std::time::Duration::from_secs(60), async || {
///     let read = tapline.metrics().await?.sum("tapline_records_read_total", &[("topic", "orders")]);
///     anyhow::ensure!(read == Some(1000.0), "read {read:?}");
///     Ok(())
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match tokio::time::timeout(left.max(Duration::from_secs(1)), attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("the attempt itself hangs"),
        };
        if Instant::now() >= deadline {
            return Err(error).with_context(|| format!("not within {timeout:?}: {what}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
