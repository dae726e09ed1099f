//! The start of the log, and commits that lie outside of it.

use anyhow::Result;
use collector::cluster::snapshot::Unknown;
use lab::{Joining, Member};

use super::{Age, RIGHT, Right, Scene, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// What retention took can't be read any more: it's lost, and no lag.
#[tokio::test]
async fn a_commit_below_the_start_of_the_log() -> Result<()> {
    let mut scene = Scene::new("lost", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 60, at).await?;
    scene.append(0, 40, at + 60_000).await?;
    scene.commit(&[(0, 10)]).await?;
    scene.delete_before(0, 60).await?;
    let age = Age::Since(at + 60_000, 0.0);
    let right =
        Right { committed: Some(10), log: (60, 100, 100), lag: Some((40, 40)), lost: 50, age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn a_commit_at_the_moved_start_of_the_log() -> Result<()> {
    let mut scene = Scene::new("edge", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 60, at).await?;
    scene.append(0, 40, at).await?;
    scene.commit(&[(0, 60)]).await?;
    scene.delete_before(0, 60).await?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(60), log: (60, 100, 100), lag: Some((40, 40)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// Nothing waits, and that is no comfort: all that was unread is lost.
#[tokio::test]
async fn all_records_gone_unread() -> Result<()> {
    let mut scene = Scene::new("gone", 1).await?;
    scene.append(0, 100, now_ms()? - HOUR_MS).await?;
    scene.commit(&[(0, 10)]).await?;
    scene.delete_before(0, 100).await?;
    let right = Right {
        committed: Some(10),
        log: (100, 100, 100),
        lag: Some((0, 0)),
        lost: 90,
        age: Age::CaughtUp,
        ..RIGHT
    };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn all_records_gone_after_they_were_read() -> Result<()> {
    let mut scene = Scene::new("used", 1).await?;
    scene.append(0, 100, now_ms()? - HOUR_MS).await?;
    scene.commit(&[(0, 100)]).await?;
    scene.delete_before(0, 100).await?;
    let right =
        Right { committed: Some(100), log: (100, 100, 100), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// Between two looks of one watcher, with all it remembers from the first.
#[tokio::test]
async fn records_deleted_between_two_looks() -> Result<()> {
    let mut scene = Scene::new("shrinking", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 80, at).await?;
    scene.append(0, 20, at + 60_000).await?;
    scene.commit(&[(0, 50)]).await?;
    let mut watcher = scene.watcher()?;
    let age = Age::Since(at, 0.0);
    let before = Right { committed: Some(50), log: (0, 100, 100), lag: Some((50, 50)), age, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, before)?;
    scene.delete_before(0, 80).await?;
    let age = Age::Since(at + 60_000, 0.0);
    let after = Right { log: (80, 100, 100), lag: Some((20, 20)), lost: 30, age, ..before };
    scene.right(&watcher.refresh_once().await?, 0, after)?;
    // The reader notices, and goes on at the start: what was lost is history.
    scene.commit(&[(0, 80)]).await?;
    scene.right(&watcher.refresh_once().await?, 0, Right { committed: Some(80), lost: 0, ..after })
}

/// No reader put it there by reading: neither −990 nor 0 is true.
#[tokio::test]
async fn a_commit_beyond_the_end() -> Result<()> {
    let mut scene = Scene::new("beyond", 1).await?;
    scene.append(0, 10, now_ms()?).await?;
    scene.commit(&[(0, 1000)]).await?;
    let unknown = Some(Unknown::AheadOfEnd);
    let right = Right { committed: Some(1000), log: (0, 10, 10), unknown, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// A member that has committed nothing starts wherever its `auto.offset.reset` says, which nobody can read: not at 0,
/// and least of all before the start of the log.
#[tokio::test]
async fn assigned_and_uncommitted_where_records_are_gone() -> Result<()> {
    let mut scene = Scene::new("fresh", 1).await?;
    scene.append(0, 100, now_ms()? - HOUR_MS).await?;
    scene.delete_before(0, 100).await?;
    let topics = [scene.topic.as_str()];
    let _member = Member::join(&scene.brokers, Joining::classic(&scene.group, &topics, 1)).await?;
    let unknown = Some(Unknown::Uncommitted);
    let right = Right { log: (100, 100, 100), unknown, assigned: true, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}
