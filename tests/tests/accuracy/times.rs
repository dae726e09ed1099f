//! Lag in seconds: whose clock, which record, and how wrong it may be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Entry;

use super::{Age, RIGHT, Right, Scene, now_ms, place};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// Topics whose records may have any time, and keep it.
const ANY_TIME: [(&str, &str); 3] = [
    ("message.timestamp.after.max.ms", "9223372036854775807"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("retention.ms", "-1"),
];

/// The broker's own clock is exact, whatever the producer claims, and in the middle of a batch too.
#[tokio::test]
async fn log_append_time() -> Result<()> {
    let mut scene = Scene::with("appended", 1, &[("message.timestamp.type", "LogAppendTime")]).await?;
    let before = now_ms()?;
    scene.append(0, 20, before - 5 * YEAR_MS).await?;
    let after = now_ms()?;
    scene.commit(&[(0, 7)]).await?;
    let age = Age::Between(before, after, 0.0);
    let right = Right { committed: Some(7), log: (0, 20, 20), lag: Some((13, 13)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// At a first look the record's own time is all there is to go by.
#[tokio::test]
async fn a_record_of_long_ago() -> Result<()> {
    let mut scene = Scene::with("ancient", 1, &ANY_TIME).await?;
    let at = now_ms()? - 20 * YEAR_MS;
    scene.append(0, 3, at).await?;
    scene.commit(&[(0, 1)]).await?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(1), log: (0, 3, 3), lag: Some((2, 2)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// Old news appended now has waited since now: an hour of it is not an hour of lag.
#[tokio::test]
async fn old_records_appended_between_two_looks() -> Result<()> {
    let mut scene = Scene::with("replayed", 1, &ANY_TIME).await?;
    scene.commit(&[(0, 0)]).await?;
    let mut watcher = scene.watcher()?;
    watcher.refresh_once().await?;
    let before = now_ms()?;
    scene.append(0, 100, before - 3 * YEAR_MS).await?;
    let after = now_ms()?;
    let age = Age::Between(before, after, 30.0);
    let right = Right { committed: Some(0), log: (0, 100, 100), lag: Some((100, 100)), age, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, right)
}

/// A time that cannot be the moment of appending gives no age, and the lag in records stands.
async fn without_age(name: &str, times: &[i64]) -> Result<()> {
    for &at in times {
        let mut scene = Scene::with(name, 1, &ANY_TIME).await?;
        scene.append(0, 5, at).await.with_context(|| format!("a record at {at}"))?;
        scene.commit(&[(0, 2)]).await?;
        let right = Right { committed: Some(2), log: (0, 5, 5), lag: Some((3, 3)), ..RIGHT };
        scene.right(&scene.look().await?, 0, right).with_context(|| format!("a record at {at}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_from_the_future() -> Result<()> {
    without_age("future", &[now_ms()? + HOUR_MS, now_ms()? + 100 * YEAR_MS]).await
}

#[tokio::test]
async fn a_record_without_a_time() -> Result<()> {
    without_age("timeless", &[-1]).await
}

#[tokio::test]
async fn a_record_before_1970() -> Result<()> {
    without_age("negative", &[-5, -YEAR_MS]).await
}

/// Clocks differ by a little: such a record is new, and its age is small, not negative.
#[tokio::test]
async fn a_producers_clock_that_is_ahead() -> Result<()> {
    let mut scene = Scene::with("ahead", 1, &ANY_TIME).await?;
    let before = now_ms()?;
    scene.append(0, 5, before + 20_000).await?;
    scene.commit(&[(0, 2)]).await?;
    let snapshot = scene.look().await?;
    let seen = place(&snapshot, &scene.group, &scene.topic, 0)?;
    ensure!(seen.lag_records == Some(3), "{seen:?}");
    // It was appended between `before` and the look: 20 s of error at most, and they must be admitted.
    let truth = (now_ms()? - before) as f64 / 1000.0;
    let (age, error) = (seen.lag_seconds.context("an age")?, seen.lag_seconds_error);
    ensure!(age > 0.0 && age <= truth && age + error >= 0.0, "{age} s, give or take {error}");
    Ok(())
}

/// The record at the commit counts, not the oldest or the newest of those that wait.
#[tokio::test]
async fn times_out_of_order() -> Result<()> {
    let mut scene = Scene::new("shuffled", 1).await?;
    let at = now_ms()? - 10 * HOUR_MS;
    for minutes in [50, 10, 90, 20, 70] {
        scene.append(0, 10, at + minutes * 60_000).await?;
    }
    for (committed, minutes) in [(10, 10), (20, 90), (30, 20), (40, 70)] {
        scene.commit(&[(0, committed)]).await?;
        let lag = 50 - committed;
        let age = Age::Since(at + minutes * 60_000, 0.0);
        let committed = Some(committed);
        let right = Right { committed, log: (0, 50, 50), lag: Some((lag, lag)), age, ..RIGHT };
        scene.right(&scene.look().await?, 0, right)?;
    }
    Ok(())
}

/// One batch whose first record is neither the oldest nor the newest.
#[tokio::test]
async fn times_out_of_order_within_a_batch() -> Result<()> {
    let mut scene = Scene::new("mixed", 1).await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 10 * HOUR_MS;
    let minutes = [50, 10, 90, 20, 70];
    let entries: Vec<Entry> = minutes.iter().map(|m| Entry::at(at + m * 60_000)).collect();
    scene.wire.append(&topic, 0, &entries).await?;
    for (committed, minutes) in (0..).zip(minutes) {
        scene.commit(&[(0, committed)]).await?;
        let lag = 5 - committed;
        let age = Age::Since(at + minutes * 60_000, 3600.0);
        let committed = Some(committed);
        let right = Right { committed, log: (0, 5, 5), lag: Some((lag, lag)), age, ..RIGHT };
        scene.right(&scene.look().await?, 0, right)?;
    }
    Ok(())
}

/// A batch of a thousand records over an hour: wherever the commit stands in it, the error covers the truth.
#[tokio::test]
async fn a_long_batch() -> Result<()> {
    let mut scene = Scene::new("long", 1).await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 10 * HOUR_MS;
    let time = |n: i64| at + n * n * HOUR_MS / 1_000_000;
    let entries: Vec<Entry> = (0..1000).map(|n| Entry::at(time(n))).collect();
    scene.wire.append(&topic, 0, &entries).await?;
    for committed in [0, 1, 500, 999] {
        scene.commit(&[(0, committed)]).await?;
        let lag = 1000 - committed;
        let age = Age::Since(time(committed), 1801.0);
        let committed = Some(committed);
        let right = Right { committed, log: (0, 1000, 1000), lag: Some((lag, lag)), age, ..RIGHT };
        scene.right(&scene.look().await?, 0, right)?;
    }
    Ok(())
}

/// Records that come one by one, each seen by a look: wherever the group stands, the error covers the truth.
#[tokio::test]
async fn a_slow_producer() -> Result<()> {
    let mut scene = Scene::new("slow", 1).await?;
    scene.commit(&[(0, 0)]).await?;
    let mut watcher = scene.watcher()?;
    watcher.refresh_once().await?;
    let mut appended = Vec::new();
    for _ in 0..8 {
        let before = now_ms()?;
        // No time of its own: the history of the ends is all there is.
        scene.append(0, 1, -1).await?;
        appended.push((before, now_ms()?));
        watcher.refresh_once().await?;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    for (committed, (before, after)) in (0..).zip(appended) {
        scene.commit(&[(0, committed)]).await?;
        let lag = 8 - committed;
        let age = Age::Between(before, after, 30.0);
        let committed = Some(committed);
        let right = Right { committed, log: (0, 8, 8), lag: Some((lag, lag)), age, ..RIGHT };
        scene.right(&watcher.refresh_once().await?, 0, right)?;
    }
    Ok(())
}

/// While nobody reads, the age grows with the clock.
#[tokio::test]
async fn nobody_reads_and_time_goes_by() -> Result<()> {
    let mut scene = Scene::new("waiting", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 10, at).await?;
    scene.commit(&[(0, 4)]).await?;
    let mut watcher = scene.watcher()?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(4), log: (0, 10, 10), lag: Some((6, 6)), age, ..RIGHT };
    let mut last = 0.0;
    for _ in 0..5 {
        let snapshot = watcher.refresh_once().await?;
        scene.right(&snapshot, 0, right)?;
        let age = place(&snapshot, &scene.group, &scene.topic, 0)?.lag_seconds.context("an age")?;
        ensure!(age > last, "{age} s after {last} s");
        last = age;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}
