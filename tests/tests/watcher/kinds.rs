//! Groups of every kind, and what they do; Kafka's own commands and Kafka Streams as witnesses.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::cluster::snapshot::{Activity, GroupType, Unknown};
use collector::cluster::{Config, Watcher};
use lab::{Kafka, Message, Signal};

use super::{Member, TIMEOUT, config, group, look, place, watcher};

async fn fill(bootstrap: &str, topic: &str, partition: i32, count: usize) -> Result<()> {
    let records = (0..count).map(|n| Message::value(format!("{n}")).to(partition));
    lab::produce(bootstrap, topic, records).await?;
    Ok(())
}

/// Start offset and lag of a partition, as `kafka-share-groups --describe` shows them.
async fn described_share(kafka: &Kafka, name: &str, topic: &str, partition: i32) -> Result<[String; 2]> {
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

#[tokio::test]
async fn a_share_group_is_as_far_as_kafkas_own_command_says() -> Result<()> {
    let kafka = lab::broker().await?;
    let brokers = kafka.bootstrap();
    let (topic, name) = (lab::unique("shared"), lab::unique("shared-readers"));
    lab::create_topic(&brokers, &topic, 2, &[]).await?;
    fill(&brokers, &topic, 0, 10).await?;
    let earliest = "share.auto.offset.reset=earliest";
    let settings = ["--alter", "--entity-type", "groups", "--entity-name", &name, "--add-config", earliest];
    kafka
        .command(
            "kafka.admin.ConfigCommand",
            &[&["--bootstrap-server", &brokers][..], &settings[..]].concat(),
        )
        .await?;
    kafka
        .command(
            "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
            &[
                "--bootstrap-server",
                &brokers,
                "--topic",
                &topic,
                "--group",
                &name,
                "--max-messages",
                "4",
                "--timeout-ms",
                "60000",
            ],
        )
        .await?;

    let mut watcher = watcher(&brokers, &[&topic, &name])?;
    let snapshot = lab::eventually("the group is done with four records", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let four = place(&snapshot, &name, &topic, 0)?;
        ensure!(four.committed == Some(4), "{four:?}");
        Ok(snapshot)
    })
    .await?;
    let readers = group(&snapshot, &name)?;
    assert_eq!((readers.group_type, readers.members), (GroupType::Share, Some(0)));
    assert!(!readers.lag_is_bound, "Kafka 4.3 counts the lag itself");
    assert_eq!(readers.progress[&topic].activity, Activity::Stopped);
    let four = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((four.lag_records, four.stable_lag_records, four.unknown), (Some(6), Some(6), None));
    assert_eq!(described_share(kafka, &name, &topic, 0).await?, ["4", "6"]);
    // The other partition: whatever its start is, the command and we agree.
    let ours = readers.topics[&topic].get(&1);
    let [start, lag] = described_share(kafka, &name, &topic, 1).await?;
    match ours.and_then(|p| p.committed) {
        Some(committed) => assert_eq!([start, lag], [committed.to_string(), "0".to_owned()]),
        None => {
            assert_eq!((start.as_str(), lag.as_str()), ("-", "-"));
            assert!(ours.is_none_or(|p| p.unknown == Some(Unknown::Uninitialized)), "{ours:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_kafka_streams_application_is_seen_with_its_tasks_and_commits() -> Result<()> {
    let kafka = lab::broker().await?;
    let brokers = kafka.bootstrap();
    let [from, to, name] = ["streams-in", "streams-out", "streams-app"].map(lab::unique);
    for topic in [&from, &to] {
        lab::create_topic(&brokers, topic, 2, &[]).await?;
    }
    for partition in [0, 1] {
        fill(&brokers, &from, partition, 10).await?;
    }
    let mut app = kafka.copy_by_streams(&name, &from, &to).await?;

    let mut watcher = watcher(&brokers, &[&from, &name])?;
    let snapshot = lab::eventually("the application has committed all", TIMEOUT * 2, async || {
        if let Some(code) = app.exited()? {
            return Ok(Err(anyhow::anyhow!("the application ended with {code}: {}", app.log_tail())));
        }
        let snapshot = watcher.refresh_once().await?;
        for partition in [0, 1] {
            let done = place(&snapshot, &name, &from, partition)?;
            ensure!(done.committed == Some(10) && done.assigned, "{done:?}");
        }
        ensure!(group(&snapshot, &name)?.state == "Stable", "{:?}", group(&snapshot, &name)?);
        Ok(Ok(snapshot))
    })
    .await??;
    let readers = group(&snapshot, &name)?;
    assert_eq!((readers.group_type, readers.members), (GroupType::Streams, Some(1)));
    assert_eq!(readers.progress[&from].activity, Activity::CaughtUp);
    assert_eq!(place(&snapshot, &name, &from, 1)?.lag_records, Some(0));

    app.signal(Signal::Term)?;
    app.wait(Duration::from_secs(60)).await?;
    fill(&brokers, &from, 0, 5).await?;
    lab::eventually("the application is gone and lags", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let readers = group(&snapshot, &name)?;
        ensure!((readers.state.as_str(), readers.members) == ("Empty", Some(0)), "{readers:?}");
        ensure!(place(&snapshot, &name, &from, 0)?.lag_records == Some(5), "{readers:?}");
        ensure!(readers.progress[&from].activity == Activity::Stopped, "{readers:?}");
        Ok(())
    })
    .await
}

/// A watcher that is quick to call a reader stuck.
fn hasty(bootstrap: &str, prefixes: &[&str]) -> Result<Watcher> {
    let mut config: Config = config(&[("bootstrap.servers", bootstrap)], prefixes)?;
    config.activity.stuck_after = Duration::from_secs(1);
    Ok(Watcher::new(config))
}

#[tokio::test]
async fn what_a_group_does_is_told_by_its_commits() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("active"), lab::unique("active-readers"));
    lab::create_topic(&brokers, &topic, 2, &[]).await?;
    for partition in [0, 1] {
        fill(&brokers, &topic, partition, 100).await?;
    }
    let member = Member::join(&brokers, "classic", &name, &topic, 2, &[(0, 40), (1, 100)]).await?;
    let mut watcher = hasty(&brokers, &[&topic, &name])?;
    let first = watcher.refresh_once().await?;
    assert_eq!(group(&first, &name)?.progress[&topic].activity, Activity::Unknown, "one look");

    // It never moves in partition 0: found when it was watched for long enough.
    let stuck = lab::eventually("it is called stuck", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let progress = group(&snapshot, &name)?.progress[&topic].clone();
        ensure!(progress.activity == Activity::Stuck, "{progress:?}");
        Ok(progress)
    })
    .await?;
    assert_eq!(stuck.stuck.iter().map(|s| s.partition).collect::<Vec<_>>(), [0]);
    assert!(stuck.stuck[0].silent_seconds >= 15.0, "{stuck:?}");
    assert_eq!((stuck.consumed_records_total, stuck.rewinds_total), (0, 0));
    drop(member);

    // A new member moves on, and back.
    let member = Member::join(&brokers, "classic", &name, &topic, 2, &[(0, 70), (1, 90)]).await?;
    let moved = watcher.refresh_once().await?;
    let moved = &group(&moved, &name)?.progress[&topic];
    assert_eq!((moved.consumed_records_total, moved.rewinds_total), (30, 1));
    assert!(moved.stuck.is_empty(), "{moved:?}");
    drop(member);
    lab::eventually("nobody is left", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let progress = &group(&snapshot, &name)?.progress[&topic];
        ensure!(progress.activity == Activity::Stopped, "{progress:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_group_that_only_commits_is_not_called_stopped_at_once() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("plain"), lab::unique("plain-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 0, 10).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 4)]).await?;
    let snapshot = look(&brokers, &[&topic, &name]).await?;
    let readers = group(&snapshot, &name)?;
    assert_eq!((readers.group_type, readers.members), (GroupType::Classic, Some(0)));
    assert_eq!(readers.progress[&topic].activity, Activity::Unknown);
    lab::commit(&brokers, &name, &topic, &[(0, 10)]).await?;
    let snapshot = look(&brokers, &[&topic, &name]).await?;
    assert_eq!(group(&snapshot, &name)?.progress[&topic].activity, Activity::CaughtUp);
    Ok(())
}

#[tokio::test]
async fn a_classic_group_that_becomes_a_consumer_group_goes_on_counting() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("upgraded"), lab::unique("upgraded-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 0, 100).await?;
    let mut watcher = watcher(&brokers, &[&topic, &name])?;
    drop(Member::join(&brokers, "classic", &name, &topic, 1, &[(0, 20)]).await?);
    let before = watcher.refresh_once().await?;
    assert_eq!(group(&before, &name)?.group_type, GroupType::Classic);
    let member = Member::join(&brokers, "consumer", &name, &topic, 1, &[(0, 50)]).await?;
    let after = lab::eventually("it is a consumer group", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let readers = group(&snapshot, &name)?;
        ensure!(readers.group_type == GroupType::Consumer && readers.members == Some(1), "{readers:?}");
        Ok(snapshot)
    })
    .await?;
    let progress = &group(&after, &name)?.progress[&topic];
    assert_eq!((progress.consumed_records_total, progress.rewinds_total), (30, 0));
    assert_eq!(place(&after, &name, &topic, 0)?.lag_records, Some(50));
    drop(member);
    Ok(())
}
