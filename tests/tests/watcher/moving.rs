//! Brokers that come late, go, and hand over: nothing drops to zero, nothing vanishes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::cluster::Watcher;
use collector::cluster::snapshot::ClusterSnapshot;
use lab::{Message, Signal};
use tokio::sync::{oneshot, watch};

use super::{TIMEOUT, config, place};

#[tokio::test]
async fn a_broker_that_comes_late_and_goes_again_keeps_its_last_values() -> Result<()> {
    let kafka = lab::Kafka::start(lab::KafkaOptions::default()).await?;
    let (topic, name) = (lab::unique("late"), lab::unique("late-readers"));
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    lab::produce(&kafka.bootstrap(), &topic, (0..10).map(|_| Message::value("x"))).await?;
    lab::commit(&kafka.bootstrap(), &name, &topic, &[(0, 4)]).await?;
    kafka.stop_node(0, Signal::Term).await?;

    let brokers = kafka.bootstrap();
    let mut often = config(&[("bootstrap.servers", &brokers)], &[&topic, &name])?;
    often.interval = Duration::from_millis(500);
    let (publish, mut seen) = watch::channel(Arc::new(ClusterSnapshot::default()));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(Watcher::new(often).run(publish, async {
        let _ = stopped.await;
    }));
    let snapshot = seen.wait_for(|s| s.last_error.is_some()).await?.clone();
    ensure!(!snapshot.complete_once && snapshot.taken_at_ms == 0, "{snapshot:?}");
    let error = snapshot.last_error.as_deref().unwrap_or_default();
    ensure!(error.contains(&brokers), "it names the broker: {error}");

    kafka.start_node(0).await?;
    let up = |s: &Arc<ClusterSnapshot>| s.complete_once && s.groups.contains_key(&name);
    let snapshot = tokio::time::timeout(TIMEOUT, seen.wait_for(up)).await??.clone();
    assert_eq!(place(&snapshot, &name, &topic, 0)?.lag_records, Some(6));

    kafka.stop_node(0, Signal::Kill).await?;
    let down = |s: &Arc<ClusterSnapshot>| s.complete_once && s.last_error.is_some();
    let snapshot = tokio::time::timeout(TIMEOUT, seen.wait_for(down)).await??.clone();
    let kept = place(&snapshot, &name, &topic, 0)?;
    assert_eq!((kept.lag_records, kept.end), (Some(6), Some(10)));
    let group = &snapshot.groups[&name];
    ensure!(group.read_at_ms < snapshot.taken_at_ms, "with its age");
    ensure!(snapshot.stats.errors_total.contains_key("unreachable"), "{:?}", snapshot.stats);

    let _ = stop.send(());
    tokio::time::timeout(Duration::from_secs(5), running).await.context("it stops at once")??;
    Ok(())
}

#[tokio::test]
async fn coordinators_and_leaders_that_move_leave_no_gap_and_no_zero() -> Result<()> {
    let options = lab::KafkaOptions { nodes: 2, ..Default::default() };
    let kafka = lab::Kafka::start(options).await?;
    let brokers = kafka.bootstrap();
    let topic = lab::unique("moved");
    lab::clients::create_replicated_topic(&brokers, &topic, 4, 2, &[]).await?;
    lab::produce(&brokers, &topic, (0..40).map(|n| Message::value("x").to(n % 4))).await?;
    let names: BTreeSet<String> = (0..12).map(|n| lab::unique(&format!("moved-{n}"))).collect();
    for name in &names {
        lab::commit(&brokers, name, &topic, &[(0, 3), (1, 3), (2, 3), (3, 3)]).await?;
    }
    let mut often = config(&[("bootstrap.servers", &brokers)], &["moved"])?;
    often.interval = Duration::from_millis(300);
    often.connect_timeout = Duration::from_secs(3);
    let mut watcher = Watcher::new(often);
    let check = |snapshot: &ClusterSnapshot| -> Result<()> {
        for name in &names {
            for partition in 0..4 {
                let place = place(snapshot, name, &topic, partition)?;
                assert_eq!(place.lag_records, Some(7), "{name} {partition}: {place:?}");
            }
        }
        Ok(())
    };
    check(&watcher.refresh_once().await?)?;

    // In good order, so that everything is handed over; then back.
    let watching = async {
        let mut whole = 0;
        for _ in 0..60 {
            let snapshot = watcher.refresh_once().await?;
            check(&snapshot)?;
            whole += usize::from(snapshot.brokers == 1);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(whole > 0, "the broker was never seen to be gone");
        anyhow::Ok(watcher)
    };
    let stopping = kafka.stop_node(1, Signal::Term);
    let (watched, stopped) = tokio::join!(watching, stopping);
    stopped?;
    let mut watcher = watched?;
    kafka.start_node(1).await?;
    lab::eventually("both brokers are back, all is fresh", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        check(&snapshot)?;
        ensure!(snapshot.brokers == 2, "{} brokers", snapshot.brokers);
        let stale = snapshot.groups.values().filter(|g| snapshot.taken_at_ms - g.read_at_ms > 5000);
        ensure!(stale.count() == 0, "stale groups");
        Ok(())
    })
    .await
}
