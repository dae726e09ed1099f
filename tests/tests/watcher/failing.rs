//! Brokers that hang, and topics that are recreated: what is known stays, what is not is said.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use collector::cluster::Watcher;
use collector::cluster::snapshot::Unknown;
use lab::{Message, Signal};

use super::{TIMEOUT, config, place, watcher};

#[tokio::test]
async fn a_broker_that_hangs_costs_its_own_partitions_and_little_time() -> Result<()> {
    let kafka = lab::Kafka::start(lab::KafkaOptions { nodes: 2, ..Default::default() }).await?;
    let brokers = kafka.bootstrap();
    let topic = lab::unique("hung");
    lab::create_topic(&brokers, &topic, 4, &[]).await?;
    lab::produce(&brokers, &topic, (0..40).map(|n| Message::value("x").to(n % 4))).await?;
    let mut patient = config(&[("bootstrap.servers", &brokers)], &[&topic])?;
    patient.patience = Duration::from_secs(1);
    patient.request_timeout = Duration::from_secs(25);
    patient.connect_timeout = Duration::from_secs(25);
    let mut watcher = Watcher::new(patient);
    let before = watcher.refresh_once().await?;
    let hung = lab::Kafka::broker_id(1);
    let led: Vec<i32> = {
        let partitions = before.topics[&topic].partitions.iter();
        partitions.filter(|(_, p)| p.leader == Some(hung)).map(|(id, _)| *id).collect()
    };
    ensure!(!led.is_empty() && led.len() < 4, "both lead some: {led:?}");

    kafka.signal_node(1, Signal::Stop)?;
    let mut hung_for = 0;
    for _ in 0..6 {
        let began = Instant::now();
        let snapshot = watcher.refresh_once().await?;
        ensure!(began.elapsed() < Duration::from_secs(12), "a refresh took {:?}", began.elapsed());
        let seen = &snapshot.topics[&topic];
        assert_eq!(seen.records_total, before.topics[&topic].records_total);
        for (id, partition) in seen.partitions.iter() {
            assert_eq!(partition.end, Some(10), "partition {id} keeps its end");
            let fresh = partition.unread.is_none();
            assert_eq!(fresh, !led.contains(id), "partition {id}: {partition:?}");
            hung_for += usize::from(!fresh);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ensure!(hung_for > 0, "it never hung");

    kafka.signal_node(1, Signal::Cont)?;
    lab::produce(&brokers, &topic, (0..4).map(|n| Message::value("x").to(n))).await?;
    lab::eventually("all is fresh again", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let seen = &snapshot.topics[&topic];
        let unread = seen.partitions.values().filter(|p| p.unread.is_some()).count();
        ensure!(unread == 0, "{unread} partitions unread");
        ensure!(seen.partitions.values().all(|p| p.end == Some(11)), "{:?}", seen.partitions);
        ensure!(seen.records_total == before.topics[&topic].records_total + 4, "{}", seen.records_total);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_commit_of_a_former_topic_is_never_turned_into_lag() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let (topic, name) = (lab::unique("former"), lab::unique("former-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    lab::produce(&brokers, &topic, (0..50).map(|_| Message::value("x").to(0))).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 40)]).await?;
    let mut watcher = watcher(&brokers, &[&topic, &name])?;
    let snapshot = watcher.refresh_once().await?;
    assert_eq!(place(&snapshot, &name, &topic, 0)?.lag_records, Some(10));

    lab::delete_topic(&brokers, &topic).await?;
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    lab::produce(&brokers, &topic, (0..90).map(|_| Message::value("x").to(0))).await?;
    // A member that has not noticed commits its old place once more.
    lab::commit(&brokers, &name, &topic, &[(0, 40)]).await?;
    let snapshot = watcher.refresh_once().await?;
    let stale = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((stale.committed, stale.end), (Some(40), Some(90)));
    assert_eq!((stale.lag_records, stale.unknown), (None, Some(Unknown::Recreated)));
    lab::commit(&brokers, &name, &topic, &[(0, 60)]).await?;
    let snapshot = watcher.refresh_once().await?;
    let anew = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((anew.lag_records, anew.unknown), (Some(30), None));
    Ok(())
}
