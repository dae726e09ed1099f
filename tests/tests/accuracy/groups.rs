//! Groups without members, and groups that go.

use anyhow::{Result, ensure};
use collector::cluster::snapshot::{ClusterSnapshot, GroupType};
use collector::cluster::{Config, Watcher};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetDeleteRequest, TopicName};
use lab::{Commit, Entry, Joining, Member};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Age, RIGHT, Right, Scene, TIMEOUT, admin, admin_options, config, group, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// Ten records, an hour old.
async fn scene(name: &str) -> Result<(Scene, Right)> {
    let mut scene = Scene::new(name, 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 10, at).await?;
    let right = Right { log: (0, 10, 10), age: Age::Since(at, 0.0), ..RIGHT };
    Ok((scene, right))
}

/// A consumer that assigns itself and commits (as Flink and Spark do): no members, ever, and lag all the same.
#[tokio::test]
async fn a_group_that_only_commits() -> Result<()> {
    let (scene, right) = scene("simple").await?;
    let (brokers, group_name, topic) = (scene.brokers.clone(), scene.group.clone(), scene.topic.clone());
    let consumer = tokio::task::spawn_blocking(move || -> Result<BaseConsumer> {
        let consumer: BaseConsumer = lab::clients::config(&brokers).set("group.id", &group_name).create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(6))?;
        consumer.assign(&list)?;
        consumer.commit(&list, CommitMode::Sync)?;
        Ok(consumer)
    })
    .await??;
    let snapshot = scene.look().await?;
    scene.who(&snapshot, GroupType::Classic, "Empty", 0)?;
    scene.right(&snapshot, 0, Right { committed: Some(6), lag: Some((4, 4)), ..right })?;
    drop(consumer);
    Ok(())
}

/// Nobody is there to read, which is when lag matters most.
#[tokio::test]
async fn a_group_whose_members_have_left() -> Result<()> {
    for (protocol, kind) in [("classic", GroupType::Classic), ("consumer", GroupType::Consumer)] {
        let (mut scene, right) = scene("left").await?;
        let (topics, commits) = ([scene.topic.clone()], [(scene.topic.as_str(), 0, 6)]);
        let topics = [topics[0].as_str()];
        let joining = Joining::classic(&scene.group, &topics, 1).protocol(protocol).commits(&commits);
        let member = Member::join(&scene.brokers, joining).await?;
        let mut watcher = scene.watcher()?;
        let there = Right { committed: Some(6), lag: Some((4, 4)), assigned: true, ..right };
        scene.right(&watcher.refresh_once().await?, 0, there)?;
        drop(member);
        lab::eventually("the group is empty", TIMEOUT, async || {
            let snapshot = watcher.refresh_once().await?;
            let state = &group(&snapshot, &scene.group)?.state;
            ensure!(state == "Empty", "{state}");
            scene.who(&snapshot, kind, "Empty", 0)?;
            scene.right(&snapshot, 0, Right { assigned: false, ..there })
        })
        .await?;
        // And it grows while nobody is there.
        scene.append(0, 5, now_ms()?).await?;
        let grown = Right { log: (0, 15, 15), lag: Some((9, 9)), assigned: false, ..there };
        scene.right(&watcher.refresh_once().await?, 0, grown)?;
    }
    Ok(())
}

/// Until the watcher no longer knows the group; meanwhile it says the same as before, or nothing.
async fn until_gone(watcher: &mut Watcher, scene: &Scene, before: Right) -> Result<()> {
    lab::eventually("the group is gone", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let Some(group) = snapshot.groups.get(&scene.group) else { return Ok(()) };
        if group.topics.contains_key(scene.topic.as_str()) {
            before.of(&snapshot, &scene.group, &scene.topic, 0)?;
        }
        anyhow::bail!("still there, {}", group.state)
    })
    .await
}

#[tokio::test]
async fn a_group_that_is_deleted() -> Result<()> {
    let (mut scene, right) = scene("deleted").await?;
    scene.commit(&[(0, 4)]).await?;
    let mut watcher = scene.watcher()?;
    let right = Right { committed: Some(4), lag: Some((6, 6)), ..right };
    scene.right(&watcher.refresh_once().await?, 0, right)?;
    admin(&scene.brokers)?.delete_groups(&[&scene.group], &admin_options()).await?;
    until_gone(&mut watcher, &scene, right).await
}

/// A group that comes back under its name begins anew.
#[tokio::test]
async fn a_group_that_is_deleted_and_comes_back() -> Result<()> {
    let (mut scene, right) = scene("reborn").await?;
    scene.commit(&[(0, 9)]).await?;
    let mut watcher = scene.watcher()?;
    let first = Right { committed: Some(9), lag: Some((1, 1)), ..right };
    scene.right(&watcher.refresh_once().await?, 0, first)?;
    admin(&scene.brokers)?.delete_groups(&[&scene.group], &admin_options()).await?;
    scene.commit(&[(0, 2)]).await?;
    let second = Right { committed: Some(2), lag: Some((8, 8)), ..right };
    scene.right(&watcher.refresh_once().await?, 0, second)
}

/// Commits that have expired: no lag any more, and no group.
#[tokio::test]
async fn commits_that_expire() -> Result<()> {
    let (mut scene, right) = scene("expired").await?;
    let group_name = scene.group.clone();
    let commit = Commit { offset: 4, lifetime_ms: Some(1500), ..Commit::default() };
    let mut watcher = scene.watcher()?;
    scene.wire.commit(&group_name, &scene.topic, &[(0, commit)]).await?;
    let right = Right { committed: Some(4), lag: Some((6, 6)), ..right };
    until_gone(&mut watcher, &scene, right).await
}

/// The group gave up one of its topics, and its commits there were removed: that topic's lag goes, and no other.
#[tokio::test]
async fn commits_deleted_for_one_topic() -> Result<()> {
    let (mut scene, right) = scene("pruned").await?;
    let (group_name, topic) = (scene.group.clone(), scene.topic.clone());
    let other = scene.another_topic("other", 1).await?;
    scene.wire.append(&other, 0, &[Entry::at(now_ms()?)]).await?;
    scene.wire.commit(&group_name, &other, &[(0, 0)]).await?;
    scene.commit(&[(0, 4)]).await?;
    let mut watcher = scene.watcher()?;
    let right = Right { committed: Some(4), lag: Some((6, 6)), ..right };
    let both: ClusterSnapshot = watcher.refresh_once().await?;
    scene.right(&both, 0, right)?;
    assert!(group(&both, &group_name)?.topics.contains_key(other.as_str()));
    let partitions = vec![OffsetDeleteRequestPartition::default().with_partition_index(0)];
    let topics = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(lab::wire::text(&other)))
        .with_partitions(partitions);
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(lab::wire::text(&group_name)))
        .with_topics(vec![topics]);
    let answer = scene.wire.call(&request, 0).await?;
    ensure!(answer.error_code == 0, "code {}", answer.error_code);
    let one = watcher.refresh_once().await?;
    scene.right(&one, 0, right)?;
    let left: Vec<&str> = group(&one, &group_name)?.topics.keys().map(|name| &**name).collect();
    assert_eq!(left, [&topic]);
    Ok(())
}

/// A name that nobody uses is no group: neither dead, nor empty, nor with lag 0.
#[tokio::test]
async fn a_group_that_never_was() -> Result<()> {
    let (scene, _) = scene("nobody").await?;
    let named = Config { named_groups: vec![scene.group.clone()], ..config(&scene.brokers, &scene.topic)? };
    let mut watcher = Watcher::new(named);
    for _ in 0..4 {
        let snapshot = watcher.refresh_once().await?;
        assert_eq!(snapshot.groups.keys().collect::<Vec<_>>(), Vec::<&String>::new());
    }
    Ok(())
}

/// Whatever a group may be called.
#[tokio::test]
async fn awkward_names() -> Result<()> {
    let (mut scene, right) = scene("awkward").await?;
    let (topic, prefix) = (scene.topic.clone(), scene.topic.clone());
    let names = [
        format!("{prefix} with spaces "),
        format!("{prefix}\"quoted\\\"{{a=\"b\"}},"),
        format!("{prefix}back\\slash\\n"),
        format!("{prefix}line\nbreak\ttab\r"),
        format!("{prefix}größe-\u{1F980}-\u{202e}"),
        format!("{prefix}\u{0}\u{7f}"),
        format!("{prefix}{}", "x".repeat(10_000)),
        format!("{prefix}a.b"),
        format!("{prefix}a_b"),
        format!("{prefix}a-b"),
    ];
    for (name, committed) in names.iter().zip(0..) {
        scene.wire.commit(name, &topic, &[(0, committed)]).await?;
    }
    let snapshot = scene.look().await?;
    assert_eq!(snapshot.groups.len(), names.len());
    for (name, committed) in names.iter().zip(0..) {
        let lag = Some((10 - committed, 10 - committed));
        Right { committed: Some(committed), lag, ..right }.of(&snapshot, name, &topic, 0)?;
    }
    Ok(())
}
