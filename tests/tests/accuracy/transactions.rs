//! Transactions: markers, what is open, what was aborted, and commits that travel in them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Age, RIGHT, Right, Scene, TIMEOUT, group, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// A transactional producer, kept off the async threads.
#[derive(Clone)]
struct Transactions(Arc<BaseProducer>);

impl Transactions {
    async fn new(scene: &Scene) -> Result<Self> {
        let config = {
            let mut config = lab::clients::config(&scene.brokers);
            config.set("transactional.id", lab::unique("accuracy")).set("linger.ms", "0");
            config
        };
        let producer: BaseProducer = config.create()?;
        let this = Self(Arc::new(producer));
        this.run(|producer| producer.init_transactions(TIMEOUT)).await?;
        Ok(this)
    }

    async fn run(
        &self,
        work: impl FnOnce(&BaseProducer) -> rdkafka::error::KafkaResult<()> + Send + 'static,
    ) -> Result<()> {
        let producer = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&producer)).await??;
        Ok(())
    }

    /// Begins, and stores so many records in partition 0.
    async fn begin(&self, scene: &Scene, records: usize) -> Result<()> {
        let topic = scene.topic.clone();
        self.run(move |producer| {
            producer.begin_transaction()?;
            for _ in 0..records {
                let record: BaseRecord<'_, [u8], [u8]> =
                    BaseRecord::to(&topic).payload(&b"x"[..]).partition(0);
                producer.send(record).map_err(|(error, _)| error)?;
            }
            producer.flush(TIMEOUT)
        })
        .await
    }

    async fn commit(&self) -> Result<()> {
        self.run(|producer| producer.commit_transaction(TIMEOUT)).await
    }

    async fn abort(&self) -> Result<()> {
        self.run(|producer| producer.abort_transaction(TIMEOUT)).await
    }
}

/// The broker writes markers after it has answered: waits until the log ends there, last stable offset included.
async fn ends_at(scene: &Scene, end: i64) -> Result<()> {
    lab::eventually(&format!("{} ends at {end}", scene.topic), TIMEOUT, async || {
        let snapshot = scene.look().await?;
        let log = snapshot.topics[&scene.topic].partitions[&0];
        ensure!((log.stable_end, log.end) == (Some(end), Some(end)), "{log:?}");
        Ok(())
    })
    .await
}

/// The marker has an offset and is never delivered: a reader that commits what it read stands before it for ever.
#[tokio::test]
async fn a_trailing_commit_marker() -> Result<()> {
    let mut scene = Scene::new("marked", 1).await?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 10).await?;
    transactions.commit().await?;
    ends_at(&scene, 11).await?;
    scene.commit(&[(0, 10)]).await?;
    let right =
        Right { committed: Some(10), log: (0, 11, 11), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)?;
    // One that commits its position behind the marker is caught up as well.
    scene.commit(&[(0, 11)]).await?;
    scene.right(&scene.look().await?, 0, Right { committed: Some(11), ..right })
}

#[tokio::test]
async fn a_trailing_abort_marker() -> Result<()> {
    let mut scene = Scene::new("undone", 1).await?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 10).await?;
    transactions.abort().await?;
    ends_at(&scene, 11).await?;
    // A read_uncommitted reader has read them all.
    scene.commit(&[(0, 10)]).await?;
    let right =
        Right { committed: Some(10), log: (0, 11, 11), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn several_markers_in_a_row() -> Result<()> {
    let mut scene = Scene::new("markers", 1).await?;
    let mut open = Vec::new();
    for _ in 0..5 {
        let transactions = Transactions::new(&scene).await?;
        transactions.begin(&scene, 2).await?;
        open.push(transactions);
    }
    for (number, transactions) in open.iter().enumerate() {
        if number % 2 == 0 { transactions.commit().await? } else { transactions.abort().await? }
    }
    ends_at(&scene, 15).await?;
    let right =
        Right { committed: Some(10), log: (0, 15, 15), lag: Some((0, 0)), age: Age::CaughtUp, ..RIGHT };
    // At the first marker, and between two of them.
    for committed in [10, 12] {
        scene.commit(&[(0, committed)]).await?;
        scene.right(&scene.look().await?, 0, Right { committed: Some(committed), ..right })?;
    }
    Ok(())
}

/// Markers that more records follow are offsets like compaction's gaps: they count, until the reader is past them.
#[tokio::test]
async fn a_marker_that_records_follow() -> Result<()> {
    let mut scene = Scene::new("between", 1).await?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 10).await?;
    transactions.commit().await?;
    ends_at(&scene, 11).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 4, at).await?;
    scene.commit(&[(0, 10)]).await?;
    // The oldest unread record is the one behind the marker.
    let age = Age::Since(at, 0.0);
    let right = Right { committed: Some(10), log: (0, 15, 15), lag: Some((5, 5)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// What is not committed yet waits for those who read uncommitted, and for nobody else.
#[tokio::test]
async fn an_open_transaction() -> Result<()> {
    let mut scene = Scene::new("open", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 20, at).await?;
    let began = now_ms()?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 5).await?;
    scene.commit(&[(0, 20)]).await?;
    let age = Age::Between(began, now_ms()?, 1.0);
    let right = Right { committed: Some(20), log: (0, 20, 25), lag: Some((5, 0)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)?;
    // Behind it, committed or not, a read_committed reader sees nothing either.
    let age = Age::Since(at, 0.0);
    scene.commit(&[(0, 17)]).await?;
    let behind = Right { committed: Some(17), lag: Some((8, 3)), age, ..right };
    scene.right(&scene.look().await?, 0, behind)?;
    // A read_uncommitted reader may stand inside it: then nothing stable waits, and nothing negative.
    let age = Age::Between(began, now_ms()?, 1.0);
    scene.commit(&[(0, 23)]).await?;
    let inside = Right { committed: Some(23), lag: Some((2, 0)), age, ..right };
    scene.right(&scene.look().await?, 0, inside)?;
    transactions.commit().await
}

#[tokio::test]
async fn an_open_transaction_that_is_aborted() -> Result<()> {
    let mut scene = Scene::new("given-up", 1).await?;
    scene.append(0, 20, now_ms()? - HOUR_MS).await?;
    let began = now_ms()?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 5).await?;
    scene.commit(&[(0, 20)]).await?;
    let mut watcher = scene.watcher()?;
    let age = Age::Between(began, now_ms()?, 1.0);
    let open = Right { committed: Some(20), log: (0, 20, 25), lag: Some((5, 0)), age, ..RIGHT };
    scene.right(&watcher.refresh_once().await?, 0, open)?;
    transactions.abort().await?;
    ends_at(&scene, 26).await?;
    // Five aborted records and the marker are offsets that a reader has to pass.
    let aborted = Right { log: (0, 26, 26), lag: Some((6, 6)), ..open };
    scene.right(&watcher.refresh_once().await?, 0, aborted)?;
    // A read_committed reader passes them as soon as it fetches.
    scene.commit(&[(0, 26)]).await?;
    let passed = Right { committed: Some(26), lag: Some((0, 0)), age: Age::CaughtUp, ..aborted };
    scene.right(&watcher.refresh_once().await?, 0, passed)
}

/// Nothing but aborted records: a reader that commits what it was given never moves, as it is given nothing.
#[tokio::test]
async fn aborted_records_only() -> Result<()> {
    let mut scene = Scene::new("nothing", 1).await?;
    let began = now_ms()?;
    let transactions = Transactions::new(&scene).await?;
    transactions.begin(&scene, 3).await?;
    transactions.abort().await?;
    ends_at(&scene, 4).await?;
    scene.commit(&[(0, 0)]).await?;
    let age = Age::Between(began, now_ms()?, 1.0);
    let right = Right { committed: Some(0), log: (0, 4, 4), lag: Some((4, 4)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

/// A commit within a transaction holds when the transaction does, and not before.
#[tokio::test]
async fn offsets_committed_in_a_transaction() -> Result<()> {
    let mut scene = Scene::new("exactly", 1).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 10, at).await?;
    scene.append(0, 10, at + 60_000).await?;
    scene.commit(&[(0, 10)]).await?;
    let output = scene.another_topic("out", 1).await?;
    let transactions = Transactions::new(&scene).await?;
    let send = |offset: i64| {
        let (brokers, group_name) = (scene.brokers.clone(), scene.group.clone());
        let (input, output) = (scene.topic.clone(), output.clone());
        transactions.run(move |producer| {
            let consumer: BaseConsumer =
                lab::clients::config(&brokers).set("group.id", &group_name).create()?;
            let metadata = consumer.group_metadata().ok_or(rdkafka::error::KafkaError::Canceled)?;
            producer.begin_transaction()?;
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&output).payload(&b"x"[..]);
            producer.send(record).map_err(|(error, _)| error)?;
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&input, 0, Offset::Offset(offset))?;
            producer.send_offsets_to_transaction(&offsets, &metadata, TIMEOUT)?;
            producer.flush(TIMEOUT)
        })
    };
    let age = Age::Since(at + 60_000, 0.0);
    let before = Right { committed: Some(10), log: (0, 20, 20), lag: Some((10, 10)), age, ..RIGHT };
    send(15).await?;
    scene.right(&scene.look().await?, 0, before).context("while it is pending")?;
    transactions.abort().await?;
    scene.right(&scene.look().await?, 0, before).context("after it was aborted")?;
    send(20).await?;
    scene.right(&scene.look().await?, 0, before).context("while the second is pending")?;
    transactions.commit().await?;
    let after = Right { committed: Some(20), lag: Some((0, 0)), age: Age::CaughtUp, ..before };
    lab::eventually("the commit holds", TIMEOUT, async || {
        let snapshot = scene.look().await?;
        ensure!(
            group(&snapshot, &scene.group)?.topics[scene.topic.as_str()].at(0).committed == Some(20),
            "not yet"
        );
        scene.right(&snapshot, 0, after)
    })
    .await
}
