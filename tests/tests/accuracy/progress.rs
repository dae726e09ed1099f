//! What moves: rates, resets, and readings while everything is in motion.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lab::{Entry, Wire};

use super::{Age, RIGHT, Right, Scene, now_ms, place};

const HOUR_MS: i64 = 3_600_000;

/// A reset is a commit like any other: the lag grows at once, and nothing is negative.
#[tokio::test]
async fn a_reset_backwards() -> Result<()> {
    let mut scene = Scene::new("rewound", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 50, at).await?;
    scene.append(0, 50, at + 60_000).await?;
    scene.commit(&[(0, 100)]).await?;
    let mut watcher = scene.watcher()?;
    let right =
        Right { committed: Some(100), log: (0, 100, 100), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    scene.commit(&[(0, 50)]).await?;
    let age = Age::Since(at + 60_000, 0.0);
    let rewound = Right { committed: Some(50), lag: Some((50, 50)), age, ..right };
    scene.right(&watcher.refresh_once().await?, 0, rewound)?;
    scene.commit(&[(0, 0)]).await?;
    let age = Age::Since(at, 0.0);
    let further = Right { committed: Some(0), lag: Some((100, 100)), age, ..right };
    scene.right(&watcher.refresh_once().await?, 0, further)
}

/// Skipped by choice is neither lost nor lag.
#[tokio::test]
async fn a_reset_forwards() -> Result<()> {
    let mut scene = Scene::new("skipped", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 100, at).await?;
    scene.commit(&[(0, 10)]).await?;
    let mut watcher = scene.watcher()?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(10), log: (0, 100, 100), lag: Some((90, 90)), age, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    scene.commit(&[(0, 100)]).await?;
    let skipped = Right { committed: Some(100), lag: Some((0, 0)), age: Age::CaughtUp, ..right };
    scene.right(&watcher.refresh_once().await?, 0, skipped)
}

/// Records over the time between the two readings that they were counted by, to the record.
#[tokio::test]
async fn a_topics_rate() -> Result<()> {
    let mut scene = Scene::new("rate", 1).await?;
    scene.append(0, 50, now_ms()?).await?;
    let mut watcher = scene.watcher()?;
    let topic = scene.topic.clone();
    let first = watcher.refresh_once().await?;
    assert_eq!(first.topics[&topic].records_per_second, None, "one reading is no rate");
    assert_eq!(first.topics[&topic].records_total, 0);
    scene.append(0, 30, now_ms()?).await?;
    let second = watcher.refresh_once().await?;
    let read_at = |snapshot: &collector::cluster::snapshot::ClusterSnapshot| {
        snapshot.topics[&topic].partitions[&0].read_at_ms
    };
    let seconds = (read_at(&second) - read_at(&first)) as f64 / 1000.0;
    let rate = second.topics[&topic].records_per_second.context("a rate")?;
    ensure!((rate * seconds - 30.0).abs() < 1e-6, "{rate}/s over {seconds} s");
    assert_eq!(second.topics[&topic].records_total, 30);
    let third = watcher.refresh_once().await?;
    assert_eq!(third.topics[&topic].records_per_second, Some(0.0), "nothing came");
    assert_eq!(third.topics[&topic].records_total, 30);
    Ok(())
}

/// A reader at the end of a log in motion: whoever reads the ends before the commits sees it ahead of them.
#[tokio::test]
async fn commits_and_ends_in_motion() -> Result<()> {
    let mut scene = Scene::new("racing", 1).await?;
    scene.commit(&[(0, 0)]).await?;
    // What is surely stored, what may be, and whether it is over.
    let (stored, sent, over) = (Cell::new(0), Cell::new(0), Cell::new(false));
    let mut wire = Wire::connect(&scene.brokers).await?;
    let racing = async {
        while !over.get() {
            sent.set(sent.get() + 20);
            let base = wire.append(&scene.topic, 0, &vec![Entry::at(now_ms()?); 20]).await?;
            stored.set(base + 20);
            wire.commit(&scene.group, &scene.topic, &[(0, base + 20)]).await?;
        }
        anyhow::Ok(())
    };
    let mut watcher = scene.watcher()?;
    let watching = async {
        let mut moved = BTreeSet::new();
        for _ in 0..150 {
            let before = stored.get();
            let snapshot = watcher.refresh_once().await?;
            let after = sent.get();
            let seen = place(&snapshot, &scene.group, &scene.topic, 0)?;
            ensure!(seen.unknown.is_none(), "never ahead of the end: {seen:?}");
            let (committed, end) = (seen.committed.context("a commit")?, seen.end.context("an end")?);
            ensure!((before..=after).contains(&end), "{before} to {after}: {seen:?}");
            // The commit follows its records by one step.
            ensure!((before - 20..=after).contains(&committed), "{before} to {after}: {seen:?}");
            ensure!(seen.lag_records == Some(end - committed), "{seen:?}");
            moved.insert(end);
        }
        over.set(true);
        anyhow::Ok((watcher, moved))
    };
    let ((), (mut watcher, moved)) = tokio::try_join!(racing, watching)?;
    ensure!(moved.len() > 20, "it hardly moved: {moved:?}");
    let end = stored.get();
    let right =
        Right { committed: Some(end), log: (0, end, end), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, right)
}
