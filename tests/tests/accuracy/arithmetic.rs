//! Offsets against ends: the plain cases, which everybody gets right, and those that only look plain.

use anyhow::{Context, Result, ensure};
use collector::cluster::snapshot::{GroupSnapshot, GroupType};
use lab::Commit;

use super::{Age, RIGHT, Right, Scene, group, now_ms};

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn half_way() -> Result<()> {
    let mut scene = Scene::new("half", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 25, at).await?;
    scene.append(0, 25, at + 60_000).await?;
    scene.commit(&[(0, 25)]).await?;
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Empty", 0)?;
    let age = Age::Since(at + 60_000, 0.0);
    scene.right(
        &snapshot,
        0,
        Right { committed: Some(25), log: (0, 50, 50), lag: Some((25, 25)), age, ..RIGHT },
    )
}

#[tokio::test]
async fn caught_up() -> Result<()> {
    let mut scene = Scene::new("done", 1).await?;
    scene.append(0, 50, now_ms()?).await?;
    scene.commit(&[(0, 50)]).await?;
    let right =
        Right { committed: Some(50), log: (0, 50, 50), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn a_single_record_unread_and_read() -> Result<()> {
    let mut scene = Scene::new("single", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 1, at).await?;
    scene.commit(&[(0, 0)]).await?;
    let unread = Right { committed: Some(0), log: (0, 1, 1), lag: Some((1, 1)), ..RIGHT };
    scene.right(&scene.look().await?, 0, Right { age: Age::Since(at, 0.0), ..unread })?;
    scene.commit(&[(0, 1)]).await?;
    let read = Right { committed: Some(1), lag: Some((0, 0)), age: Age::CaughtUp, ..unread };
    scene.right(&scene.look().await?, 0, read)
}

#[tokio::test]
async fn a_commit_at_the_start_of_the_log() -> Result<()> {
    let mut scene = Scene::new("start", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 30, at).await?;
    scene.commit(&[(0, 0)]).await?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(0), log: (0, 30, 30), lag: Some((30, 30)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn an_empty_topic() -> Result<()> {
    let mut scene = Scene::new("empty", 1).await?;
    scene.commit(&[(0, 0)]).await?;
    let right = Right { committed: Some(0), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// An old last record says nothing about a reader that has read it.
#[tokio::test]
async fn an_idle_topic_read_and_unread() -> Result<()> {
    let mut scene = Scene::with("idle", 1, &[("retention.ms", "-1")]).await?;
    let at = now_ms()? - 30 * 24 * HOUR_MS;
    scene.append(0, 9, at).await?;
    scene.append(0, 1, at + HOUR_MS).await?;
    scene.commit(&[(0, 10)]).await?;
    let read =
        Right { committed: Some(10), log: (0, 10, 10), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, read)?;
    scene.commit(&[(0, 9)]).await?;
    let age = Age::Since(at + HOUR_MS, 0.0);
    scene.right(&scene.look().await?, 0, Right { committed: Some(9), lag: Some((1, 1)), age, ..read })
}

/// A partition where a group neither commits nor is assigned is none of its partitions: no lag, no unknown, no row.
#[tokio::test]
async fn partitions_never_committed_and_not_assigned() -> Result<()> {
    let mut scene = Scene::new("elsewhere", 3).await?;
    let at = now_ms()? - HOUR_MS;
    for partition in 0..3 {
        scene.append(partition, 10, at).await?;
    }
    scene.commit(&[(1, 4)]).await?;
    let snapshot = scene.look().await?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(4), log: (0, 10, 10), lag: Some((6, 6)), age, ..RIGHT };
    scene.right(&snapshot, 1, right)?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(partitions.keys().collect::<Vec<_>>(), [1]);
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(6));
    Ok(())
}

#[tokio::test]
async fn two_groups_on_one_topic() -> Result<()> {
    let mut scene = Scene::new("shared", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 20, at).await?;
    let (fast, slow) = (scene.group.clone(), format!("{}slow", scene.topic));
    scene.wire.commit(&fast, &scene.topic, &[(0, 20)]).await?;
    scene.wire.commit(&slow, &scene.topic, &[(0, 5)]).await?;
    let snapshot = scene.look().await?;
    let caught_up =
        Right { committed: Some(20), log: (0, 20, 20), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    caught_up.of(&snapshot, &fast, &scene.topic, 0)?;
    let behind = Right { committed: Some(5), lag: Some((15, 15)), age: Age::Since(at, 0.0), ..caught_up };
    behind.of(&snapshot, &slow, &scene.topic, 0)
}

#[tokio::test]
async fn one_group_on_many_topics() -> Result<()> {
    let mut scene = Scene::new("many", 1).await?;
    let at = now_ms()? - HOUR_MS;
    let group_name = scene.group.clone();
    let mut topics = vec![scene.topic.clone()];
    for number in 1..6 {
        topics.push(scene.another_topic(&format!("t{number}"), 1).await?);
    }
    for (topic, committed) in topics.iter().zip(0..) {
        scene.wire.append(topic, 0, &vec![lab::Entry::at(at); 10]).await?;
        scene.wire.commit(&group_name, topic, &[(0, committed)]).await?;
    }
    let snapshot = scene.look().await?;
    for (topic, committed) in topics.iter().zip(0..) {
        let lag = Some((10 - committed, 10 - committed));
        let age = Age::Since(at, 0.0);
        let right = Right { committed: Some(committed), log: (0, 10, 10), lag, age, ..RIGHT };
        right.of(&snapshot, &group_name, topic, 0)?;
    }
    assert_eq!(group(&snapshot, &group_name)?.topics.len(), 6);
    Ok(())
}

/// The sum over partitions in records; in seconds the oldest counts, not the sum, nor the mean.
#[tokio::test]
async fn a_topics_lag_is_the_sum_and_its_age_the_maximum() -> Result<()> {
    let mut scene = Scene::new("sums", 4).await?;
    let now = now_ms()?;
    for partition in 0..4 {
        scene.append(partition, 10, now - HOUR_MS * i64::from(partition + 1)).await?;
    }
    scene.commit(&[(0, 0), (1, 10), (2, 3), (3, 10)]).await?;
    let snapshot = scene.look().await?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(17));
    let (age, error) = GroupSnapshot::topic_lag_seconds(partitions).context("an age")?;
    // Partition 2, three hours old; 1 and 3 are older, and read.
    let (least, most) = (3.0 * 3600.0, 3.0 * 3600.0 + 120.0);
    ensure!(age + error >= least && age - error <= most, "{age} s, give or take {error}");
    ensure!(error < 1.0, "error {error} s");
    Ok(())
}

#[tokio::test]
async fn a_thousand_partitions_add_up() -> Result<()> {
    const PARTITIONS: i32 = 1000;
    let mut scene = Scene::new("wide", PARTITIONS).await?;
    let at = now_ms()? - HOUR_MS;
    // Records in every tenth, commits in all; the lag of partition p is p % 7 of its 10.
    for partition in (0..PARTITIONS).step_by(10) {
        scene.append(partition, 10, at).await?;
    }
    let left = |partition: i32| if partition % 10 == 0 { i64::from(partition % 7) } else { 0 };
    let committed = |partition: i32| if partition % 10 == 0 { 10 - left(partition) } else { 0 };
    let offsets: Vec<(i32, i64)> = (0..PARTITIONS).map(|p| (p, committed(p))).collect();
    scene.commit(&offsets).await?;
    let snapshot = scene.look().await?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(partitions.len(), 1000);
    for partition in 0..PARTITIONS {
        let end = if partition % 10 == 0 { 10 } else { 0 };
        let lag = left(partition);
        let age = if lag == 0 { Age::CaughtUp } else { Age::Since(at, 0.0) };
        let committed = Some(committed(partition));
        let right = Right { committed, log: (0, end, end), lag: Some((lag, lag)), age, ..RIGHT };
        scene.right(&snapshot, partition, right)?;
    }
    // 100 numbers of 0 to 6: fourteen rounds of 21, and 980 % 7 = 0 and 990 % 7 = 3.
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(14 * 21 + 3));
    Ok(())
}

/// What a commit carries beside its offset changes nothing.
#[tokio::test]
async fn a_commit_with_metadata_and_a_leader_epoch() -> Result<()> {
    let mut scene = Scene::new("noted", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 12, at).await?;
    let metadata = Some("{\"host\":\"a\\b\n\u{1F980}\"}".repeat(20));
    let commit = Commit { offset: 5, leader_epoch: Some(0), metadata, lifetime_ms: None };
    let group = scene.group.clone();
    scene.wire.commit(&group, &scene.topic, &[(0, commit)]).await?;
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(5), log: (0, 12, 12), lag: Some((7, 7)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}
