//! The demo shows what it promises.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Launch;

#[tokio::test(flavor = "multi_thread")]
async fn two_minutes_of_the_demo_show_every_scheduled_fault() -> Result<()> {
    let mut demo = Launch::new("demo")?.args(["--for", "2m"]).start_unseen()?;
    let code = demo.wait(Duration::from_secs(170)).await?;
    let log = demo.log();
    ensure!(log.contains("6 of 6 faults found"), "{log}");
    ensure!(!log.contains("MISSED"), "{log}");
    ensure!(code == 0, "exit code {code}: {log}");
    Ok(())
}
