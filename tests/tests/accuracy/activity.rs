//! What a group is doing: stuck, slow, stopped, settling, or only rare.

use std::time::Duration;

use anyhow::{Result, ensure};
use collector::cluster::Watcher;
use collector::cluster::snapshot::{Activity, ClusterSnapshot, TopicProgress};
use lab::{Joining, Member};

use super::{Scene, TIMEOUT, config, group, now_ms};

/// A watcher that is quick to call a reader stuck: after a second of its own silence at least, where it takes five
/// minutes by default.
fn hasty(scene: &Scene) -> Result<Watcher> {
    let mut config = config(&scene.brokers, &scene.topic)?;
    config.activity.stuck_after = Duration::from_secs(1);
    Ok(Watcher::new(config))
}

async fn scene(name: &str, partitions: i32, records: usize) -> Result<Scene> {
    let mut scene = Scene::new(name, partitions).await?;
    for partition in 0..partitions {
        scene.append(partition, records, now_ms()?).await?;
    }
    Ok(scene)
}

async fn join(scene: &Scene, partitions: usize, commits: &[(i32, i64)]) -> Result<Member> {
    let topics = [scene.topic.as_str()];
    let commits: Vec<_> = commits.iter().map(|&(p, offset)| (scene.topic.as_str(), p, offset)).collect();
    Member::join(&scene.brokers, Joining::classic(&scene.group, &topics, partitions).commits(&commits)).await
}

fn progress(scene: &Scene, snapshot: &ClusterSnapshot) -> Result<TopicProgress> {
    Ok(TopicProgress::clone(&group(snapshot, &scene.group)?.progress[scene.topic.as_str()]))
}

/// In one of its two partitions it stands still with a member there, while the other is read to its end: the sum moves,
/// the partition does not.
#[tokio::test]
async fn stuck_in_one_partition() -> Result<()> {
    let scene = scene("stuck", 2, 100).await?;
    let member = join(&scene, 2, &[(0, 40), (1, 100)]).await?;
    let mut watcher = hasty(&scene)?;
    let first = progress(&scene, &watcher.refresh_once().await?)?;
    ensure!(first.activity == Activity::Unknown, "one look says nothing: {first:?}");
    let stuck = lab::eventually("it is called stuck", TIMEOUT, async || {
        let progress = progress(&scene, &watcher.refresh_once().await?)?;
        ensure!(progress.activity == Activity::Stuck, "{progress:?}");
        Ok(progress)
    })
    .await?;
    ensure!(stuck.stuck.iter().map(|s| s.partition).eq([0]), "{stuck:?}");
    // Fifteen times the least silence: what pauses once in that time has been seen to.
    ensure!(stuck.stuck[0].silent_seconds >= 15.0, "{stuck:?}");
    ensure!((stuck.consumed_records_total, stuck.rewinds_total) == (0, 0), "{stuck:?}");
    drop(member);
    // A new member moves on in the one, and back in the other.
    let member = join(&scene, 2, &[(0, 70), (1, 90)]).await?;
    let moved = progress(&scene, &watcher.refresh_once().await?)?;
    ensure!((moved.consumed_records_total, moved.rewinds_total) == (30, 1), "{moved:?}");
    ensure!(moved.stuck.is_empty(), "{moved:?}");
    drop(member);
    Ok(())
}

/// Members are away and records wait.
#[tokio::test]
async fn stopped() -> Result<()> {
    let scene = scene("stopped", 1, 100).await?;
    drop(join(&scene, 1, &[(0, 40)]).await?);
    let mut watcher = hasty(&scene)?;
    lab::eventually("nobody is left", TIMEOUT, async || {
        let progress = progress(&scene, &watcher.refresh_once().await?)?;
        ensure!(progress.activity == Activity::Stopped, "{progress:?}");
        ensure!(progress.catch_up_seconds.is_none(), "nobody will catch up: {progress:?}");
        Ok(())
    })
    .await
}

/// Nothing to read is nothing wrong, members or not.
#[tokio::test]
async fn idle_with_and_without_members() -> Result<()> {
    let scene = scene("idle", 1, 100).await?;
    let member = join(&scene, 1, &[(0, 100)]).await?;
    let mut watcher = hasty(&scene)?;
    for _ in 0..20 {
        let there = progress(&scene, &watcher.refresh_once().await?)?;
        ensure!(there.activity == Activity::CaughtUp && there.stuck.is_empty(), "{there:?}");
        ensure!(there.catch_up_seconds == Some(0.0), "{there:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(member);
    let away = progress(&scene, &watcher.refresh_once().await?)?;
    ensure!(away.activity == Activity::CaughtUp, "{away:?}");
    Ok(())
}

/// A consumer that assigns itself is never seen to be there: neither stuck nor stopped at once.
#[tokio::test]
async fn only_commits() -> Result<()> {
    let mut scene = scene("plain", 1, 10).await?;
    scene.commit(&[(0, 4)]).await?;
    let first = progress(&scene, &scene.look().await?)?;
    ensure!(first.activity == Activity::Unknown, "{first:?}");
    scene.commit(&[(0, 10)]).await?;
    let done = progress(&scene, &scene.look().await?)?;
    ensure!(done.activity == Activity::CaughtUp, "{done:?}");
    Ok(())
}

/// A reader that commits in steps longer than the least silence is neither stuck nor stopped.
#[tokio::test]
async fn a_rare_committer() -> Result<()> {
    let mut scene = scene("rare", 1, 1_000).await?;
    // It assigns itself, so that only its commits show it; between them it is silent for more than a second.
    let mut watcher = hasty(&scene)?;
    for step in 1..=10 {
        scene.commit(&[(0, step * 10)]).await?;
        for _ in 0..5 {
            let seen = progress(&scene, &watcher.refresh_once().await?)?;
            let calm = !matches!(seen.activity, Activity::Stuck | Activity::Stopped);
            ensure!(calm && seen.stuck.is_empty(), "step {step}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// It reads twice as fast as is written: the time to catch up is lag by the difference of the rates.
#[tokio::test]
async fn the_time_to_catch_up() -> Result<()> {
    let mut scene = scene("catching", 1, 2_000).await?;
    let mut watcher = scene.watcher()?;
    let (mut committed, mut end) = (0, 2_000);
    let (mut last, mut looked_ms) = (None, Vec::new());
    for _ in 0..12 {
        committed += 100;
        scene.append(0, 50, now_ms()?).await?;
        end += 50;
        scene.commit(&[(0, committed)]).await?;
        let snapshot = watcher.refresh_once().await?;
        looked_ms.push(group(&snapshot, &scene.group)?.read_at_ms);
        last = Some(progress(&scene, &snapshot)?);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let last = last.unwrap_or_default();
    let seconds = (looked_ms[11] - looked_ms[0]) as f64 / 1000.0;
    let rate = 1_100.0 / seconds;
    let consumed = last.consumed_records_per_second.unwrap_or_default();
    ensure!((consumed / rate - 1.0).abs() < 0.05, "{consumed} a second, not {rate}: {last:?}");
    let right = (end - committed) as f64 / (rate / 2.0);
    let catch_up = last.catch_up_seconds.unwrap_or_default();
    ensure!((catch_up / right - 1.0).abs() < 0.1, "{catch_up} s, not {right} s: {last:?}");
    ensure!(last.consumed_records_total == 1_100, "the first commit is where counting begins: {last:?}");
    Ok(())
}
