//! What a collector keeps: marks that a restart does not forget, and a disk that is full for a while.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message, Tapline, eventually};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(90);
/// Records of a second of the stream.
const RATE: i64 = 60;

/// Produces seconds of a stream of orders; with `nulls`, every third has no note.
async fn feed(
    bootstrap: &str,
    topic: &str,
    start_ms: i64,
    seconds: std::ops::Range<i64>,
    nulls: bool,
) -> Result<()> {
    let order = |n: i64| {
        let is_null = if nulls { n % 3 == 0 } else { n % 101 == 0 };
        let note = if is_null { "null".to_owned() } else { format!("\"note {}\"", n % 7) };
        Message::value(format!("{{\"id\": \"o-{n}\", \"note\": {note}}}")).at(start_ms + n * 1_000 / RATE)
    };
    lab::produce(bootstrap, topic, (seconds.start * RATE..seconds.end * RATE).map(order)).await?;
    Ok(())
}

/// Messages of what detectors have found, and whether it is over.
async fn found(tapline: &Tapline) -> Result<Vec<(String, bool)>> {
    let all = tapline.json("/api/v1/findings").await?;
    let list = all["findings"].as_array().with_context(|| format!("findings in {all}"))?;
    let of_nulls = list.iter().filter(|finding| finding["detector"] == "null_values");
    let of_nulls = of_nulls
        .map(|f| (f["message"].as_str().unwrap_or_default().to_owned(), f["resolved_at"].is_string()));
    Ok(of_nulls.collect())
}

async fn until_found(tapline: &Tapline, what: &str, fits: impl Fn(&[(String, bool)]) -> bool) -> Result<()> {
    eventually(what, TIMEOUT, async || {
        let found = found(tapline).await?;
        ensure!(fits(&found), "{found:?}");
        Ok(())
    })
    .await
}

async fn read_to(tapline: &Tapline, topic: &str, records: i64) -> Result<()> {
    eventually(&format!("{records} records to be read"), TIMEOUT, async || {
        let read = tapline.metrics().await?.sum("tapline_records_read_total", &[("topic", topic)]);
        ensure!(read == Some(records as f64), "{read:?}");
        Ok(())
    })
    .await
}

/// `tapline mark` with these arguments, told to this collector.
async fn mark(url: &str, args: &[&str]) -> Result<lab::Finished> {
    Launch::new("mark")?.args(args).args(["--collector", url]).finish().await
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn rfc3339(ms: i64) -> Result<String> {
    let date = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{}", ms / 1_000)])
        .output()?;
    Ok(String::from_utf8(date.stdout)?.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_event_is_left_out_and_a_restart_does_not_forget_it() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, bootstrap) = (lab::unique("marked"), kafka.bootstrap());
    lab::create_topic(&bootstrap, &topic, 1, &[]).await?;
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: [{topic}] }}, report_every: 500ms, idle: 10m, catch_up: 2h }}\n\
         detect: {{ window: 10s, learn: 2m, adopt: 24h }}\n"
    );
    let checks = format!(
        "version: 1\ntopic: {topic}\nwindow: {{ size: 10s, allowed_lateness: 1s }}\nchecks:\n  \
         - {{ id: ids, metric: missingValues, field: $.id, mustBe: 0 }}\n"
    );
    let launch = Launch::new("run")?
        .args(["--brokers", &bootstrap])
        .config(&config)?
        .checks(&[("orders.yaml", &checks)])?;
    let tapline = launch.start().await?;
    // Half an hour ago, at the beginning of a window.
    let start_ms = (now_ms()? - 1_800_000) / 10_000 * 10_000;
    let at = |second: i64| rfc3339(start_ms + second * 1_000);
    feed(&bootstrap, &topic, start_ms, 0..180, false).await?;
    read_to(&tapline, &topic, 180 * RATE).await?;
    ensure!(found(&tapline).await?.is_empty(), "{:?}", found(&tapline).await?);
    feed(&bootstrap, &topic, start_ms, 180..260, true).await?;
    until_found(&tapline, "the nulls to be found", |found| found.len() == 1 && !found[0].1).await?;

    // Told, shown, and what can't be is refused.
    let url = tapline.url().to_owned();
    let (from, to) = (at(270)?, at(400)?);
    let told =
        mark(&url, &["--topic", &topic, "--from", &from, "--to", &to, "--note", "load test", "--json"])
            .await?;
    ensure!(told.code == Some(0), "{told:?}");
    let told = told.json()?;
    ensure!(told["topics"][0] == topic.as_str() && told["kept"] == true, "{told}");
    let id = told["mark"]["id"].to_string();
    let past =
        mark(&url, &["--topic", "mark.*", "--from", &at(0)?, "--for", "1m", "--note", "trial"]).await?;
    ensure!(past.code == Some(0) && past.stdout.contains("can't be taken back"), "{past:?}");
    let refused = mark(&url, &["--topic", "(", "--for", "1m", "--note", "x"]).await?;
    ensure!(refused.code == Some(2) && refused.stderr.contains("no regular expression"), "{refused:?}");
    let listed = mark(&url, &["--list"]).await?;
    ensure!(listed.stdout.contains("load test") && listed.stdout.contains("trial"), "{listed:?}");
    let nobody = mark("http://127.0.0.1:9", &["--list"]).await?;
    ensure!(nobody.code == Some(2) && nobody.stderr.contains("--collector"), "{nobody:?}");

    // What was found ends with it.
    feed(&bootstrap, &topic, start_ms, 260..330, true).await?;
    until_found(&tapline, "the mark to end it", |found| {
        found.len() == 1 && found[0].1 && found[0].0.ends_with("known event: load test")
    })
    .await?;

    // Killed, it is still there and still in force.
    tapline.kill().await?;
    let tapline = launch.start().await?;
    ensure!(tapline.url() == url, "on the same port");
    let listed = mark(&url, &["--list", "--json"]).await?.json()?;
    let notes: Vec<&str> =
        listed["marks"].as_array().into_iter().flatten().filter_map(|m| m["note"].as_str()).collect();
    ensure!(notes == ["load test", "trial"], "{listed}");
    feed(&bootstrap, &topic, start_ms, 330..390, true).await?;
    feed(&bootstrap, &topic, start_ms, 390..460, false).await?;
    read_to(&tapline, &topic, 460 * RATE).await?;
    until_found(&tapline, "nothing more", |found| found.len() == 1 && found[0].1).await?;
    let page = tapline.text(&format!("/topics/{topic}")).await?;
    ensure!(page.contains("load test"), "the topic's page shows it");

    // Taken back it is gone; what it left out was not learned.
    let removed = mark(&url, &["--remove", &id]).await?;
    ensure!(removed.code == Some(0), "{removed:?}");
    let again = mark(&url, &["--remove", &id]).await?;
    ensure!(again.code == Some(2) && again.stderr.contains("no mark"), "{again:?}");
    let listed = mark(&url, &["--list"]).await?;
    ensure!(!listed.stdout.contains("load test"), "{listed:?}");
    feed(&bootstrap, &topic, start_ms, 460..530, true).await?;
    until_found(&tapline, "the nulls to be found again", |found| found.iter().filter(|f| !f.1).count() == 1)
        .await?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

/// A file system of a few megabytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tapline-test"]).arg(at).output()?;
        let said = String::from_utf8_lossy(&mounted.stderr).into_owned();
        ensure!(mounted.status.success(), "this test mounts a small file system, which takes root: {said}");
        Ok(Self(at.to_owned()))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> Result<()> {
        let ballast = std::fs::File::create(self.0.join("ballast"))?;
        for length in [4_096usize, 1] {
            while std::io::Write::write_all(&mut &ballast, &vec![0; length]).is_ok() {}
        }
        Ok(())
    }

    fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.0.join("ballast"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is still open in it goes with its process.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

async fn broken(tapline: &Tapline, expected: f64) -> Result<()> {
    eventually(&format!("tapline_ingest_history_broken to be {expected}"), TIMEOUT, async || {
        let broken = tapline.metrics().await?.one("tapline_ingest_history_broken", &[])?;
        ensure!(broken == expected, "{broken}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_acknowledged_is_lost_and_it_goes_on_by_itself() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, bootstrap) = (lab::unique("fulldisk"), kafka.bootstrap());
    lab::create_topic(&bootstrap, &topic, 1, &[]).await?;
    let config = format!(
        "version: 1\nagent: {{ topics: {{ include: [{topic}] }}, report_every: 200ms, catch_up: 10m }}\n"
    );
    let launch = Launch::new("run")?.args(["--brokers", &bootstrap]).config(&config)?;
    let disk = SmallDisk::mount(&launch.folder().join("disk"))?;
    let launch = launch.env("TAPLINE_HISTORY_PATH", disk.0.join("h.db"));
    let tapline = launch.start().await?;
    let start_ms = now_ms()? - 60_000;
    feed(&bootstrap, &topic, start_ms, 0..10, false).await?;
    read_to(&tapline, &topic, 10 * RATE).await?;

    disk.fill()?;
    let mut second = 10;
    for _ in 0..4 {
        feed(&bootstrap, &topic, start_ms, second..second + 5, false).await?;
        second += 5;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    broken(&tapline, 1.0).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    ensure!(tapline.text("/healthz").await? == "ok\n");
    let complaints = tapline.log().matches("the history can't be written").count();
    ensure!(complaints == 1, "said once, not {complaints} times");
    let refused = mark(tapline.url(), &["--topic", &topic, "--for", "1h", "--note", "x"]).await?;
    ensure!(refused.code == Some(2) && refused.stderr.contains("can't be kept"), "{refused:?}");

    // Room again: all is there, and is kept.
    disk.make_room()?;
    broken(&tapline, 0.0).await?;
    read_to(&tapline, &topic, second * RATE).await?;
    tapline.kill().await?;
    let tapline = launch.start().await?;
    read_to(&tapline, &topic, second * RATE).await?;

    // Killed while it is full: what was not kept was not acknowledged, and is read again.
    disk.fill()?;
    for _ in 0..4 {
        feed(&bootstrap, &topic, start_ms, second..second + 5, false).await?;
        second += 5;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    broken(&tapline, 1.0).await?;
    tapline.kill().await?;
    disk.make_room()?;
    let tapline = launch.start().await?;
    read_to(&tapline, &topic, second * RATE).await?;
    let skipped = tapline.metrics().await?.sum("tapline_records_skipped_total", &[("topic", &topic)]);
    ensure!(skipped.unwrap_or(0.0) == 0.0, "{skipped:?} records were passed over");
    let findings: Value = tapline.json("/api/v1/findings").await?;
    ensure!(findings["findings"].as_array().is_some_and(Vec::is_empty), "{findings}");
    ensure!(tapline.stop().await? == 0, "a clean stop");
    // Before its folder goes.
    drop(disk);
    Ok(())
}
