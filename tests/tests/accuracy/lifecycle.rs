//! Topics that go, come again, grow, or lose their leader.

use anyhow::{Context, Result, ensure};
use collector::cluster::Watcher;
use collector::cluster::snapshot::{GroupSnapshot, Unknown};
use lab::{Joining, Kafka, KafkaOptions, Member, Signal};
use rdkafka::admin::NewPartitions;

use super::{Age, RIGHT, Right, Scene, TIMEOUT, admin, admin_options, group, now_ms, place};

const HOUR_MS: i64 = 3_600_000;

/// Ten records an hour old, four of them read.
async fn scene(name: &str) -> Result<(Scene, Right)> {
    let mut scene = Scene::new(name, 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 10, at).await?;
    scene.commit(&[(0, 4)]).await?;
    let age = Age::Since(at, 0.0);
    Ok((scene, Right { committed: Some(4), log: (0, 10, 10), lag: Some((6, 6)), age, ..RIGHT }))
}

async fn delete(scene: &Scene) -> Result<()> {
    lab::delete_topic(&scene.brokers, &scene.topic).await?;
    lab::eventually("the topic is deleted", TIMEOUT, async || {
        let snapshot = scene.look().await?;
        ensure!(!snapshot.topics.contains_key(&scene.topic), "not yet");
        Ok(())
    })
    .await
}

/// Deletes the topic and makes it again; the broker forgets its commits, as it does with a topic's.
async fn recreate(scene: &mut Scene, partitions: i32, records: usize) -> Result<()> {
    delete(scene).await?;
    lab::create_topic(&scene.brokers, &scene.topic, partitions, &[]).await?;
    scene.append(0, records, now_ms()?).await?;
    Ok(())
}

/// Until the topic is gone from the group, or said to be gone; meanwhile its figures are the last ones.
async fn until_gone(watcher: &mut Watcher, scene: &Scene, before: Right) -> Result<()> {
    lab::eventually("the topic is known to be gone", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let left = snapshot.groups.get(&scene.group).and_then(|g| g.topics.get(scene.topic.as_str()));
        for partition in left.iter().flat_map(|p| p.values()) {
            if partition.unknown != Some(Unknown::TopicGone) {
                before.of(&snapshot, &scene.group, &scene.topic, 0)?;
                anyhow::bail!("its last figures are shown");
            }
            ensure!(partition.lag_records.is_none() && partition.lag_seconds.is_none(), "{partition:?}");
        }
        ensure!(!snapshot.topics.contains_key(&scene.topic), "the topic itself is shown");
        Ok(())
    })
    .await
}

/// Neither the last lag for ever, nor 0.
#[tokio::test]
async fn a_topic_that_is_deleted() -> Result<()> {
    let (scene, right) = scene("dropped").await?;
    let mut watcher = scene.watcher()?;
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    delete(&scene).await?;
    until_gone(&mut watcher, &scene, right).await
}

/// A member that goes on holding a topic that is gone.
#[tokio::test]
async fn a_topic_that_is_deleted_under_its_member() -> Result<()> {
    let (scene, right) = scene("under").await?;
    let other = scene.another_topic("kept", 1).await?;
    let topics = [scene.topic.as_str(), other.as_str()];
    let joining = Joining::classic(&scene.group, &topics, 2);
    let _member = Member::join(&scene.brokers, joining).await?;
    let mut watcher = scene.watcher()?;
    let right = Right { assigned: true, ..right };
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    delete(&scene).await?;
    until_gone(&mut watcher, &scene, right).await?;
    // The group may have to settle that first.
    lab::eventually("the other topic is as before", TIMEOUT, async || {
        let unknown = Some(Unknown::Uncommitted);
        let right = Right { unknown, assigned: true, ..RIGHT };
        right.of(&watcher.refresh_once().await?, &scene.group, &other, 0)
    })
    .await
}

/// A reader that doesn't notice commits where it stood in the old topic: beyond the new one's end.
#[tokio::test]
async fn recreated_with_its_end_below_the_commit() -> Result<()> {
    let (mut scene, right) = scene("shorter").await?;
    let mut watcher = scene.watcher()?;
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    recreate(&mut scene, 1, 2).await?;
    scene.commit(&[(0, 5)]).await?;
    let unknown = Some(Unknown::AheadOfEnd);
    let beyond = Right { committed: Some(5), log: (0, 2, 2), unknown, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, beyond)
}

/// Recreated between two looks: new ends, not those that were remembered, and a history that starts anew.
#[tokio::test]
async fn recreated_between_two_looks() -> Result<()> {
    let (mut scene, right) = scene("replaced").await?;
    scene.append(0, 90, now_ms()? - HOUR_MS / 2).await?;
    let mut watcher = scene.watcher()?;
    let first = Right { log: (0, 100, 100), lag: Some((96, 96)), ..right };
    scene.right(&watcher.refresh_once().await?, 0, first)?;
    let before = now_ms()?;
    recreate(&mut scene, 1, 20).await?;
    scene.commit(&[(0, 5)]).await?;
    let age = Age::Between(before, now_ms()?, 30.0);
    let second = Right { committed: Some(5), log: (0, 20, 20), lag: Some((15, 15)), age, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, second)
}

#[tokio::test]
async fn recreated_with_fewer_partitions() -> Result<()> {
    let mut scene = Scene::new("fewer", 4).await?;
    let at = now_ms()? - HOUR_MS;
    for partition in 0..4 {
        scene.append(partition, 10, at).await?;
    }
    scene.commit(&[(0, 1), (1, 1), (2, 1), (3, 1)]).await?;
    let mut watcher = scene.watcher()?;
    let snapshot = watcher.refresh_once().await?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(36));
    let before = now_ms()?;
    recreate(&mut scene, 2, 10).await?;
    scene.commit(&[(0, 3)]).await?;
    let snapshot = watcher.refresh_once().await?;
    let age = Age::Between(before, now_ms()?, 30.0);
    let right = Right { committed: Some(3), log: (0, 10, 10), lag: Some((7, 7)), age, ..RIGHT };
    scene.right(&snapshot, 0, right)?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(7));
    assert_eq!(snapshot.topics[&scene.topic].partitions.len(), 2);
    Ok(())
}

/// The counter of a topic's records goes on; it falls for nobody, and counts nothing twice.
#[tokio::test]
async fn counters_over_a_recreation() -> Result<()> {
    let (mut scene, _) = scene("counted").await?;
    let mut watcher = scene.watcher()?;
    let total = async |watcher: &mut Watcher, scene: &Scene| -> Result<Option<u64>> {
        Ok(watcher.refresh_once().await?.topics.get(&scene.topic).map(|topic| topic.records_total))
    };
    assert_eq!(total(&mut watcher, &scene).await?, Some(0), "what was there before it looked is not counted");
    scene.append(0, 7, now_ms()?).await?;
    assert_eq!(total(&mut watcher, &scene).await?, Some(7));
    // Within one interval, so that the watcher never sees it gone; with more records than before.
    recreate(&mut scene, 1, 30).await?;
    assert_eq!(total(&mut watcher, &scene).await?, Some(37));
    scene.append(0, 3, now_ms()?).await?;
    assert_eq!(total(&mut watcher, &scene).await?, Some(40));
    Ok(())
}

/// New partitions that the group doesn't know yet have no lag; the counter counts them from their first record.
#[tokio::test]
async fn partitions_added_after_the_commits() -> Result<()> {
    let (mut scene, right) = scene("grown").await?;
    let mut watcher = scene.watcher()?;
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    let new = NewPartitions::new(&scene.topic, 3);
    let results = admin(&scene.brokers)?.create_partitions([&new], &admin_options()).await?;
    for result in results {
        result.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
    }
    lab::eventually("the partitions take records", TIMEOUT, async || {
        scene.append(2, 8, now_ms()?).await.map(drop)
    })
    .await?;
    let snapshot = watcher.refresh_once().await?;
    scene.right(&snapshot, 0, right)?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(partitions.len(), 1);
    let topic = &snapshot.topics[&scene.topic];
    assert_eq!((topic.partitions.len(), topic.records_total), (3, 8));
    // As soon as a member has them they are unknown, and the topic's known lag stands beside it.
    let topics = [scene.topic.as_str()];
    let _member = Member::join(&scene.brokers, Joining::classic(&scene.group, &topics, 3)).await?;
    let snapshot = watcher.refresh_once().await?;
    let unknown = Some(Unknown::Uncommitted);
    let fresh = Right { unknown, assigned: true, ..RIGHT };
    scene.right(&snapshot, 1, fresh)?;
    scene.right(&snapshot, 2, Right { log: (0, 8, 8), ..fresh })?;
    let partitions = &group(&snapshot, &scene.group)?.topics[scene.topic.as_str()];
    assert_eq!(GroupSnapshot::topic_lag_records(partitions), Some(6));
    Ok(())
}

/// Partitions whose only replica is down keep what was last known, others go on, and nothing is 0 that was not.
#[tokio::test]
async fn partitions_without_a_leader() -> Result<()> {
    let kafka = Kafka::start(KafkaOptions { nodes: 2, ..KafkaOptions::default() }).await?;
    let brokers = kafka.bootstrap();
    let mut scene = Scene::at(&brokers, "headless", 4, &[]).await?;
    let records = (0..40).map(|n| lab::Message::value("x").to(n % 4));
    lab::produce(&brokers, &scene.topic, records).await?;
    lab::commit(&brokers, &scene.group, &scene.topic, &[(0, 3), (1, 3), (2, 3), (3, 3)]).await?;
    let mut watcher = scene.watcher()?;
    let snapshot = watcher.refresh_once().await?;
    let led_by_second: Vec<i32> = (0..4)
        .filter(|p| snapshot.topics[&scene.topic].partitions[p].leader == Some(Kafka::broker_id(1)))
        .collect();
    ensure!(!led_by_second.is_empty() && led_by_second.len() < 4, "{led_by_second:?}");
    let led = (0..4).find(|p| !led_by_second.contains(p)).context("a partition on the first node")?;
    kafka.stop_node(1, Signal::Kill).await?;
    let snapshot = lab::eventually("they have no leader", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        for partition in 0..4 {
            let seen = place(&snapshot, &scene.group, &scene.topic, partition)?;
            assert_eq!((seen.committed, seen.lag_records, seen.end), (Some(3), Some(7), Some(10)));
        }
        let partitions = &snapshot.topics[&scene.topic].partitions;
        ensure!(led_by_second.iter().all(|p| partitions[p].leader.is_none()), "they still have one");
        Ok(snapshot)
    })
    .await?;
    let partitions = &snapshot.topics[&scene.topic].partitions;
    for partition in &led_by_second {
        ensure!(partitions[partition].read_at_ms < partitions[&led].read_at_ms, "with its age");
    }
    // The others are as fresh as ever.
    scene.wire = lab::Wire::connect(&brokers).await?;
    scene.append(led, 5, now_ms()?).await?;
    let snapshot = watcher.refresh_once().await?;
    assert_eq!(place(&snapshot, &scene.group, &scene.topic, led)?.lag_records, Some(12));
    kafka.start_node(1).await?;
    lab::eventually("all is fresh again", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let partitions = &snapshot.topics[&scene.topic].partitions;
        let stale =
            partitions.values().filter(|p| p.leader.is_none() || p.read_at_ms + 5_000 < snapshot.taken_at_ms);
        ensure!(stale.count() == 0, "not yet");
        let lags = (0..4).map(|p| Ok(place(&snapshot, &scene.group, &scene.topic, p)?.lag_records));
        let lags: Vec<Option<i64>> = lags.collect::<Result<_>>()?;
        let right: Vec<Option<i64>> = (0..4).map(|p| Some(if p == led { 12 } else { 7 })).collect();
        assert_eq!(lags, right);
        Ok(())
    })
    .await
}
