//! Check files that change while they are in force.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message, Tapline, eventually};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);

fn checks(topic: &str, more: &str) -> String {
    format!(
        "version: 1\ntopic: {topic}\nwindow: {{ size: 5s, allowed_lateness: 1s }}\nchecks:\n  \
         - {{ id: known, metric: invalidValues, field: $.status, arguments: {{ validValues: [new] }}, mustBe: 0 }}\n{more}"
    )
}

/// The check of this id, as /api/v1/checks shows it.
async fn check(tapline: &Tapline, id: &str) -> Result<Value> {
    let all = tapline.json("/api/v1/checks").await?;
    let checks = all["checks"].as_array().context("checks")?;
    checks.iter().find(|check| check["id"] == id).cloned().with_context(|| format!("`{id}` in {all}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_take_effect_as_a_whole_or_not_at_all() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("reload");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let launch = Launch::new("run")?
        .args(["--brokers", &kafka.bootstrap()])
        .env("TAPLINE_AGENT_TOPICS_INCLUDE", format!("[{topic}]"))
        .checks(&[("orders.yaml", &checks(&topic, ""))])?;
    let tapline = launch.start().await?;
    let bootstrap = kafka.bootstrap();
    let feeding = topic.clone();
    let feeder = tokio::spawn(async move {
        loop {
            let records = [r#"{"status": "new", "n": 1}"#, r#"{"status": "odd", "n": -1}"#];
            lab::produce(&bootstrap, &feeding, records.map(Message::value)).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        #[allow(unreachable_code, reason = "it gives the loop's errors their type")]
        anyhow::Ok(())
    });
    let failing = eventually("the first check to fail", TIMEOUT, async || {
        let known = check(&tapline, "known").await?;
        ensure!(known["status"] == "fail", "{known}");
        Ok(known)
    })
    .await?;

    // A second check comes; the first goes on as it was.
    let positive =
        "  - { id: positive, metric: invalidValues, field: $.n, arguments: { min: 0 }, mustBe: 0 }\n";
    launch.write("checks/orders.yaml", checks(&topic, positive))?;
    eventually("the new check to fail", TIMEOUT, async || {
        let positive = check(&tapline, "positive").await?;
        ensure!(positive["status"] == "fail", "{positive}");
        Ok(())
    })
    .await?;
    let known = check(&tapline, "known").await?;
    ensure!(known["status"] == "fail" && known["since"] == failing["since"], "{failing} was, {known} is");

    // A broken one changes nothing, and is told of.
    launch.write("checks/orders.yaml", checks(&topic, "  - { id: half"))?;
    eventually("the broken file to be told of", TIMEOUT, async || {
        let broken = tapline.metrics().await?.one("tapline_config_reload_broken", &[])?;
        ensure!(broken == 1.0, "{broken}");
        Ok(())
    })
    .await?;
    ensure!(check(&tapline, "positive").await?["status"] == "fail", "the old files are in force");
    ensure!(check(&tapline, "known").await?["since"] == failing["since"]);

    // Mended, and the check that came is gone again.
    launch.write("checks/orders.yaml", checks(&topic, ""))?;
    eventually("the mended file to be in force", TIMEOUT, async || {
        let broken = tapline.metrics().await?.one("tapline_config_reload_broken", &[])?;
        ensure!(broken == 0.0, "{broken}");
        ensure!(check(&tapline, "positive").await.is_err(), "the check is still there");
        Ok(())
    })
    .await?;
    ensure!(check(&tapline, "known").await?["since"] == failing["since"]);
    ensure!(!feeder.is_finished(), "the feeder stopped");
    feeder.abort();
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
