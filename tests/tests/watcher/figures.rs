//! Figures with known answers, and Kafka's own command as a second witness.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use collector::cluster::json::to_json;
use collector::cluster::snapshot::{GroupType, Unknown};
use lab::{Joining, Member, Message};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{TIMEOUT, group, look, place, watcher};

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// As many records to partition 0 as told, an hour old.
async fn fill(bootstrap: &str, topic: &str, count: usize) -> Result<()> {
    let at = now_ms()? - 3_600_000;
    let records = (0..count).map(|n| Message::value(format!("{n}")).at(at).to(0));
    lab::produce(bootstrap, topic, records).await?;
    Ok(())
}

#[tokio::test]
async fn a_classic_group_half_way_agrees_with_kafkas_own_command() -> Result<()> {
    let kafka = lab::broker().await?;
    let brokers = kafka.bootstrap();
    let (topic, name) = (lab::unique("half"), lab::unique("half-readers"));
    lab::create_topic(&brokers, &topic, 2, &[]).await?;
    let at = now_ms()? - 3_600_000;
    let records = (0..100).map(|n| Message::value(format!("{n}")).at(at + n).to((n % 2) as i32));
    lab::produce(&brokers, &topic, records).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 25), (1, 50)]).await?;

    let snapshot = look(&brokers, &[&topic, &name]).await?;
    let readers = group(&snapshot, &name)?;
    assert_eq!(readers.group_type, GroupType::Classic);
    assert_eq!(readers.state, "Empty");
    assert_eq!(readers.members, Some(0));
    let behind = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((behind.committed, behind.start, behind.end), (Some(25), Some(0), Some(50)));
    assert_eq!((behind.lag_records, behind.stable_lag_records), (Some(25), Some(25)));
    assert_eq!((behind.lost_records, behind.unknown), (0, None));
    // The watcher has no history yet: the age comes from the record itself, in the middle of a
    // batch that spans 98 ms.
    let age = behind.lag_seconds.context("the age of the record at the commit")?;
    ensure!((3595.0..3700.0).contains(&age), "{age} s, not an hour and a little");
    ensure!(behind.lag_seconds_error < 1.0, "error {} s", behind.lag_seconds_error);
    let done = place(&snapshot, &name, &topic, 1)?;
    assert_eq!((done.lag_records, done.lag_seconds), (Some(0), Some(0.0)));

    let table = kafka.describe_group(&name).await?;
    for partition in [0, 1] {
        let row = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|row| {
                row.get(1) == Some(&topic.as_str()) && row.get(2) == Some(&partition.to_string().as_str())
            })
            .with_context(|| format!("no row of partition {partition} in\n{table}"))?;
        let ours = place(&snapshot, &name, &topic, partition)?;
        let ours = [ours.committed, ours.end, ours.lag_records].map(|n| n.unwrap_or(-1).to_string());
        assert_eq!(row[3..6], ours.each_ref().map(String::as_str), "{table}");
    }

    let json = to_json(&snapshot);
    assert_eq!(json["version"], 1);
    assert_eq!(json["groups"][0]["group"], name.as_str());
    assert_eq!(json["groups"][0]["topics"][0]["lag_records"], 25);
    assert!(json["groups"][0]["stale_seconds"].as_f64().is_some_and(|s| s < 60.0));
    Ok(())
}

#[tokio::test]
async fn members_of_both_protocols_are_seen_and_what_they_never_committed_is_unknown() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    for (protocol, group_type) in [("classic", GroupType::Classic), ("consumer", GroupType::Consumer)] {
        let (topic, name) = (lab::unique("joined"), lab::unique("joined-readers"));
        lab::create_topic(&brokers, &topic, 2, &[]).await?;
        fill(&brokers, &topic, 40).await?;
        let (topics, commits) = ([topic.as_str()], [(topic.as_str(), 0, 20)]);
        let joining = Joining::classic(&name, &topics, 2).protocol(protocol).commits(&commits);
        let member = Member::join(&brokers, joining).await?;

        let snapshot = look(&brokers, &[&topic, &name]).await?;
        let readers = group(&snapshot, &name)?;
        assert_eq!(readers.group_type, group_type);
        assert_eq!((readers.state.as_str(), readers.members), ("Stable", Some(1)));
        assert!(!readers.protocol.is_empty(), "{protocol}: an assignor");
        let committed = place(&snapshot, &name, &topic, 0)?;
        assert_eq!((committed.lag_records, committed.assigned), (Some(20), true));
        let never = place(&snapshot, &name, &topic, 1)?;
        assert_eq!((never.committed, never.lag_records, never.lag_seconds), (None, None, None));
        assert_eq!((never.unknown, never.assigned), (Some(Unknown::Uncommitted), true));
        assert_eq!(never.end, Some(0));
        drop(member);
    }
    Ok(())
}

#[tokio::test]
async fn records_that_retention_took_are_lost_not_lag() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("lost"), lab::unique("lost-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 100).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 10)]).await?;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(60))?;
    let admin: AdminClient<DefaultClientContext> = lab::clients::config(&brokers).create()?;
    admin.delete_records(&before, &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;

    let snapshot = look(&brokers, &[&topic, &name]).await?;
    let behind = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((behind.committed, behind.start, behind.end), (Some(10), Some(60), Some(100)));
    assert_eq!((behind.lag_records, behind.lost_records), (Some(40), 50));
    Ok(())
}

#[tokio::test]
async fn a_commit_beyond_the_end_is_an_anomaly_and_no_lag() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("beyond"), lab::unique("beyond-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 10).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 1000)]).await?;

    let snapshot = look(&brokers, &[&topic, &name]).await?;
    let beyond = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((beyond.committed, beyond.end), (Some(1000), Some(10)));
    assert_eq!((beyond.lag_records, beyond.stable_lag_records), (None, None));
    assert_eq!((beyond.lag_seconds, beyond.unknown), (None, Some(Unknown::AheadOfEnd)));
    Ok(())
}

/// A producer with a transaction open.
fn transaction(bootstrap: &str, topic: &str, records: usize) -> Result<BaseProducer> {
    let producer: BaseProducer =
        lab::clients::config(bootstrap).set("transactional.id", lab::unique("transaction")).create()?;
    producer.init_transactions(TIMEOUT)?;
    producer.begin_transaction()?;
    for _ in 0..records {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(&b"x"[..]).partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    Ok(producer)
}

#[tokio::test]
async fn transaction_markers_and_open_transactions_make_no_phantom_lag() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let topic = lab::unique("marked");
    let names = ["marked-done", "marked-half", "marked-first"].map(lab::unique);
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    let (at, records) = (brokers.clone(), topic.clone());
    tokio::task::spawn_blocking(move || -> Result<()> {
        transaction(&at, &records, 10)?.commit_transaction(TIMEOUT)?;
        Ok(())
    })
    .await??;
    for (name, offset) in names.iter().zip([10, 5, 0]) {
        lab::commit(&brokers, name, &topic, &[(0, offset)]).await?;
    }
    let prefixes = [topic.as_str(), "marked-"];
    let mut watcher = watcher(&brokers, &prefixes)?;
    let snapshot = watcher.refresh_once().await?;
    let done = place(&snapshot, &names[0], &topic, 0)?;
    assert_eq!((done.committed, done.end, done.stable_end), (Some(10), Some(11), Some(11)));
    assert_eq!((done.lag_records, done.stable_lag_records), (Some(0), Some(0)));
    assert_eq!(done.lag_seconds, Some(0.0));
    // Others count offsets, and the marker has one.
    assert_eq!(place(&snapshot, &names[1], &topic, 0)?.lag_records, Some(6));
    assert_eq!(place(&snapshot, &names[2], &topic, 0)?.lag_records, Some(11));

    let (at, records) = (brokers.clone(), topic.clone());
    let open = tokio::task::spawn_blocking(move || transaction(&at, &records, 3)).await??;
    let snapshot = watcher.refresh_once().await?;
    let done = place(&snapshot, &names[0], &topic, 0)?;
    assert_eq!((done.end, done.stable_end), (Some(14), Some(11)));
    assert_eq!((done.lag_records, done.stable_lag_records), (Some(4), Some(0)));

    tokio::task::spawn_blocking(move || open.abort_transaction(TIMEOUT)).await??;
    let snapshot = lab::eventually("the abort is seen", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let stable = place(&snapshot, &names[0], &topic, 0)?.stable_end;
        ensure!(stable == Some(15), "stable end {stable:?}");
        Ok(snapshot)
    })
    .await?;
    assert_eq!(place(&snapshot, &names[0], &topic, 0)?.lag_records, Some(5));
    Ok(())
}

#[tokio::test]
async fn a_recreated_topic_counts_on_and_never_back() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("again"), lab::unique("again-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 20).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 15)]).await?;
    let mut watcher = watcher(&brokers, &[&topic, &name])?;
    let first = watcher.refresh_once().await?;
    assert_eq!(first.topics[&topic].records_total, 0, "counted from the first sight");
    assert_eq!(first.topics[&topic].records_per_second, None, "one reading is no rate");
    assert_eq!(place(&first, &name, &topic, 0)?.lag_records, Some(5));

    fill(&brokers, &topic, 10).await?;
    let second = watcher.refresh_once().await?;
    assert_eq!(second.topics[&topic].records_total, 10);
    assert!(second.topics[&topic].records_per_second.is_some_and(|rate| rate > 0.0));
    // The records are an hour old by their producer, but were appended between two readings.
    let age = place(&second, &name, &topic, 0)?.lag_seconds.context("an age")?;
    ensure!(age > 3000.0, "offset 15 was there at the first reading: {age}");

    lab::delete_topic(&brokers, &topic).await?;
    lab::eventually("the topic is gone", TIMEOUT, async || {
        let gone = watcher.refresh_once().await?;
        ensure!(!gone.topics.contains_key(&topic), "still there");
        let lag = gone.groups.get(name.as_str()).and_then(|g| g.topics.get(topic.as_str()));
        let lags = lag.iter().flat_map(|p| p.values()).filter_map(|p| p.lag_records).count();
        ensure!(lags == 0, "a topic that is gone has no lag");
        Ok(())
    })
    .await?;
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 4).await?;
    let third = watcher.refresh_once().await?;
    assert_ne!(third.topics[&topic].id, first.topics[&topic].id);
    assert_eq!(third.topics[&topic].partitions[&0].end, Some(4));
    Ok(())
}

#[tokio::test]
async fn names_that_are_awkward_are_names() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let topic = lab::unique("awkward.Topic_1-");
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    fill(&brokers, &topic, 3).await?;
    let prefix = lab::unique("awkward");
    let names = [
        format!("{prefix} with spaces "),
        format!("{prefix}\"quoted\\\"{{a=\"b\"}}"),
        format!("{prefix}\nline\ttab"),
        format!("{prefix}-größe-\u{1F980}"),
        format!("{prefix}-{}", "x".repeat(200)),
    ];
    for name in &names {
        lab::commit(&brokers, name, &topic, &[(0, 1)]).await?;
    }
    let snapshot = look(&brokers, &[&topic, &prefix]).await?;
    for name in &names {
        assert_eq!(place(&snapshot, name, &topic, 0)?.lag_records, Some(2), "{name:?}");
    }
    assert_eq!(snapshot.groups.len(), names.len());
    Ok(())
}

#[tokio::test]
async fn the_age_of_what_waits_follows_from_what_was_seen() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("aged"), lab::unique("aged-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 0)]).await?;
    let mut watcher = watcher(&brokers, &[&topic, &name])?;
    watcher.refresh_once().await?;
    // The producer claims that these are an hour old; they are appended now.
    fill(&brokers, &topic, 50).await?;
    watcher.refresh_once().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let snapshot = watcher.refresh_once().await?;
    let behind = place(&snapshot, &name, &topic, 0)?;
    assert_eq!(behind.lag_records, Some(50));
    let (age, error) = (behind.lag_seconds.context("an age")?, behind.lag_seconds_error);
    ensure!((2.0..60.0).contains(&age), "{age} s");
    ensure!(error > 0.0 && error < 60.0, "error {error} s");
    // From the future, beyond any clock's error: no age, rather than a wrong one.
    let (topic, name) = (lab::unique("aged"), lab::unique("aged-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    lab::produce(&brokers, &topic, [Message::value("x").at(now_ms()? + 3_000_000)]).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 0)]).await?;
    let snapshot = look(&brokers, &[&topic, &name]).await?;
    let future = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((future.lag_records, future.lag_seconds), (Some(1), None));
    Ok(())
}
