//! Groups of the other kinds, with Kafka's own commands and Kafka Streams as witnesses.

use anyhow::{Context, Result, ensure};
use collector::cluster::snapshot::{Activity, GroupType, Unknown};
use lab::{Joining, Kafka, Member, Signal};

use super::members::scene;
use super::{Age, RIGHT, Right, Scene, TIMEOUT, broker, group, place};

/// Start offset and lag of a partition, as `kafka-share-groups --describe` shows them.
async fn described(kafka: &Kafka, name: &str, topic: &str, partition: i32) -> Result<[String; 2]> {
    let table = kafka
        .command(
            "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
            &["--bootstrap-server", &kafka.bootstrap(), "--describe", "--offsets", "--group", name],
        )
        .await?;
    let rows = || table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let head = rows().find(|row| row.first() == Some(&"GROUP")).with_context(|| table.clone())?;
    let column = |title: &str| {
        head.iter().position(|cell| *cell == title).with_context(|| format!("no {title} in {table}"))
    };
    let (start, lag) = (column("START-OFFSET")?, column("LAG")?);
    let number = partition.to_string();
    let row = rows()
        .find(|row| row.get(1) == Some(&topic) && row.get(2) == Some(&number.as_str()))
        .with_context(|| format!("no row of {topic}-{partition} in\n{table}"))?;
    Ok([row[start].to_owned(), row[lag].to_owned()])
}

/// Lets a share consumer take so many records from the beginning, and leave.
async fn share(kafka: &Kafka, scene: &Scene, count: usize) -> Result<()> {
    let brokers = ["--bootstrap-server", &scene.brokers];
    let earliest = "share.auto.offset.reset=earliest";
    let settings =
        ["--alter", "--entity-type", "groups", "--entity-name", &scene.group, "--add-config", earliest];
    kafka.command("kafka.admin.ConfigCommand", &[&brokers[..], &settings[..]].concat()).await?;
    let count = count.to_string();
    let from = ["--topic", &scene.topic, "--group", &scene.group];
    let until = ["--max-messages", &count, "--timeout-ms", "60000"];
    let consumer = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
    kafka.command(consumer, &[&brokers[..], &from[..], &until[..]].concat()).await?;
    Ok(())
}

#[tokio::test]
async fn a_share_group() -> Result<()> {
    let kafka = broker().await?;
    let (scene, right) = scene("shared", 1).await?;
    share(kafka, &scene, 4).await?;
    let mut watcher = scene.watcher()?;
    let right = Right { committed: Some(4), lag: Some((6, 6)), ..right };
    let snapshot = lab::eventually("the group is done with four records", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        scene.right(&snapshot, 0, right)?;
        Ok(snapshot)
    })
    .await?;
    scene.who(&snapshot, GroupType::Share, "Empty", 0)?;
    let readers = group(&snapshot, &scene.group)?;
    ensure!(!readers.lag_is_bound, "Kafka 4.3 counts the lag itself");
    ensure!(readers.progress[scene.topic.as_str()].activity == Activity::Stopped, "{readers:?}");
    ensure!(described(kafka, &scene.group, &scene.topic, 0).await? == ["4", "6"]);
    Ok(())
}

/// Its members are there, and its start is not set before it is at the end: no lag is made up meanwhile.
#[tokio::test]
async fn a_share_group_without_a_start() -> Result<()> {
    let kafka = broker().await?;
    let (scene, _) = scene("unset", 1).await?;
    // It leaves after a while without records; its group stays.
    let arguments = [
        "--bootstrap-server",
        &scene.brokers,
        "--topic",
        &scene.topic,
        "--group",
        &scene.group,
        "--timeout-ms",
        "15000",
    ];
    let consumer = kafka.command("org.apache.kafka.tools.consumer.ConsoleShareConsumer", &arguments);
    let seen = lab::eventually("the share group has a member", TIMEOUT, async || {
        let snapshot = scene.look().await?;
        let shared = group(&snapshot, &scene.group)?;
        ensure!(shared.members == Some(1), "{shared:?}");
        Ok(snapshot)
    });
    let (consumed, snapshot) = tokio::join!(consumer, seen);
    let snapshot = snapshot.context(format!("the consumer said {consumed:?}"))?;
    scene.who(&snapshot, GroupType::Share, "Stable", 1)?;
    let shared = group(&snapshot, &scene.group)?;
    // It begins at the end, once its start is set.
    for partition in shared.topics.values().flat_map(|p| p.values()) {
        let known = (partition.committed, partition.lag_records, partition.unknown);
        let begun = [(None, None, Some(Unknown::Uninitialized)), (Some(10), Some(0), None)];
        ensure!(begun.contains(&known), "{partition:?}");
    }
    Ok(())
}

/// A Kafka Streams application in the streams group protocol (KIP-1071).
#[tokio::test]
async fn a_streams_group() -> Result<()> {
    let kafka = broker().await?;
    let (scene, _) = scene("streams", 2).await?;
    let to = scene.another_topic("copies", 2).await?;
    let mut app = kafka.copy_by_streams(&scene.group, &scene.topic, &to).await?;
    let mut watcher = scene.watcher()?;
    let done =
        Right { committed: Some(10), log: (0, 10, 10), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    let snapshot = lab::eventually("the application has committed all", TIMEOUT * 2, async || {
        if let Some(code) = app.exited()? {
            return Ok(Err(anyhow::anyhow!("the application ended with {code}: {}", app.log_tail())));
        }
        let snapshot = watcher.refresh_once().await?;
        for partition in [0, 1] {
            scene.right(&snapshot, partition, Right { assigned: true, ..done })?;
        }
        ensure!(group(&snapshot, &scene.group)?.state == "Stable", "{:?}", group(&snapshot, &scene.group)?);
        Ok(Ok(snapshot))
    })
    .await??;
    scene.who(&snapshot, GroupType::Streams, "Stable", 1)?;
    let readers = group(&snapshot, &scene.group)?;
    ensure!(readers.progress[scene.topic.as_str()].activity == Activity::CaughtUp, "{readers:?}");

    app.signal(Signal::Term)?;
    app.wait(TIMEOUT).await?;
    let brokers = scene.brokers.clone();
    let more = (0..5).map(|n| lab::Message::value(format!("{n}")).to(0));
    lab::produce(&brokers, &scene.topic, more).await?;
    lab::eventually("the application is gone and lags", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let readers = group(&snapshot, &scene.group)?;
        ensure!((readers.state.as_str(), readers.members) == ("Empty", Some(0)), "{readers:?}");
        let left = place(&snapshot, &scene.group, &scene.topic, 0)?;
        ensure!((left.lag_records, left.assigned) == (Some(5), false), "{left:?}");
        ensure!(readers.progress[scene.topic.as_str()].activity == Activity::Stopped, "{readers:?}");
        Ok(())
    })
    .await
}

/// What was counted of a classic group goes on when the same name is a consumer group (KIP-848).
#[tokio::test]
async fn counters_of_a_group_that_changes_its_protocol() -> Result<()> {
    let (scene, _) = scene("upgraded", 1).await?;
    let topics = [scene.topic.as_str()];
    let mut watcher = scene.watcher()?;
    let commits = [(scene.topic.as_str(), 0, 2)];
    drop(Member::join(&scene.brokers, Joining::classic(&scene.group, &topics, 1).commits(&commits)).await?);
    let before = watcher.refresh_once().await?;
    ensure!(group(&before, &scene.group)?.group_type == GroupType::Classic);
    let commits = [(scene.topic.as_str(), 0, 5)];
    let joining = Joining::classic(&scene.group, &topics, 1).protocol("consumer").commits(&commits);
    let member = Member::join(&scene.brokers, joining).await?;
    let after = lab::eventually("it is a consumer group", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let readers = group(&snapshot, &scene.group)?;
        ensure!(readers.group_type == GroupType::Consumer && readers.members == Some(1), "{readers:?}");
        Ok(snapshot)
    })
    .await?;
    let progress = &group(&after, &scene.group)?.progress[scene.topic.as_str()];
    ensure!((progress.consumed_records_total, progress.rewinds_total) == (3, 0), "{progress:?}");
    ensure!(place(&after, &scene.group, &scene.topic, 0)?.lag_records == Some(5));
    drop(member);
    Ok(())
}
