//! Transactions that hang open: who has them, since when, and that ending one ends the report.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::cluster::Watcher;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Scene, TIMEOUT, broker, config, now_ms};

const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";

/// A producer with a transaction open that nobody will end.
fn open(bootstrap: &str, id: &str, topic: &str) -> Result<BaseProducer> {
    let producer: BaseProducer = lab::clients::config(bootstrap).set("transactional.id", id).create()?;
    producer.init_transactions(TIMEOUT)?;
    producer.begin_transaction()?;
    for _ in 0..3 {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(&b"x"[..]).partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    Ok(producer)
}

#[tokio::test]
async fn a_transaction_that_nobody_ends() -> Result<()> {
    let kafka = broker().await?;
    let mut scene = Scene::new("hanging", 1).await?;
    scene.append(0, 5, now_ms()?).await?;
    let (brokers, topic, id) = (scene.brokers.clone(), scene.topic.clone(), lab::unique("hanging-id"));
    let (at, name, records) = (brokers.clone(), id.clone(), topic.clone());
    let producer = tokio::task::spawn_blocking(move || open(&at, &name, &records)).await??;

    let mut impatient = config(&brokers, &topic)?;
    impatient.transaction_hangs_after = Duration::from_secs(1);
    let mut watcher = Watcher::new(impatient);
    let hanging = lab::eventually("the transaction is known with its coordinator", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        let open = snapshot.topics[&topic].open_transactions.get(&0).cloned();
        let open = open.context("none hangs yet")?;
        ensure!(open.coordinator.is_some(), "{open:?}");
        Ok(open)
    })
    .await?;
    assert_eq!(hanging.start_offset, 5);
    let coordinator = hanging.coordinator.context("a coordinator")?;
    assert_eq!((coordinator.transactional_id.as_str(), coordinator.state.as_str()), (id.as_str(), "Ongoing"));
    let known = hanging.producer.context("a producer")?;
    let described = kafka
        .command(
            TRANSACTIONS,
            &["--bootstrap-server", &brokers, "describe-producers", "--topic", &topic, "--partition", "0"],
        )
        .await?;
    // ProducerId ProducerEpoch LatestCoordinatorEpoch LastSequence LastTimestamp CurrentTransactionStartOffset
    let row = described
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.last() == Some(&"5"))
        .with_context(|| described.clone())?;
    assert_eq!(row[0], known.producer_id.to_string());
    assert_eq!(row[1], known.producer_epoch.to_string());
    assert_eq!(Some(row[4].to_owned()), known.last_ms.map(|ms| ms.to_string()));

    // As the finding says to.
    let abort = ["--bootstrap-server", &brokers, "abort", "--topic", &topic, "--partition", "0"];
    kafka.command(TRANSACTIONS, &[&abort[..], &["--start-offset", "5"]].concat()).await?;
    lab::eventually("it is over", TIMEOUT, async || {
        let snapshot = watcher.refresh_once().await?;
        ensure!(snapshot.topics[&topic].open_transactions.is_empty(), "still open");
        Ok(())
    })
    .await?;
    drop(producer);
    Ok(())
}
