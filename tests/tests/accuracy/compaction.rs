//! Compacted topics: offsets stay, records go.

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};
use kafka_protocol::records::RecordBatchDecoder;
use lab::Entry;

use super::{Age, RIGHT, Right, Scene, TIMEOUT, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// A topic that is compacted as soon as a segment is closed, which a record a day younger does.
async fn compacted(name: &str) -> Result<Scene> {
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "3600000"),
        ("delete.retention.ms", "86400000"),
    ];
    Scene::with(name, 1, &settings).await
}

/// Offsets of the records that are left, as a reader gets them.
async fn left(scene: &mut Scene) -> Result<Vec<i64>> {
    let mut offsets = Vec::new();
    let mut from = 0;
    loop {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_fetch_offset(from)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic(TopicName(lab::wire::text(&scene.topic)))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = scene.wire.call(&request, 11).await?;
        let data = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let data = data.context("a partition")?;
        ensure!(data.error_code == 0, "fetch: code {}", data.error_code);
        let mut bytes = data.records.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(offsets);
        }
        for batch in RecordBatchDecoder::decode_all(&mut bytes)? {
            offsets.extend(batch.records.iter().map(|r| r.offset).filter(|offset| *offset >= from));
        }
        match offsets.last() {
            Some(last) => from = last + 1,
            None => bail!("batches without records"),
        }
    }
}

async fn compacted_to(scene: &mut Scene, expected: &[i64]) -> Result<()> {
    lab::eventually("the log is compacted", TIMEOUT, async || {
        let left = left(scene).await?;
        ensure!(left == expected, "left are {left:?}, not yet {expected:?}");
        Ok(())
    })
    .await
}

/// Lag is counted in offsets, gaps included, for nobody could say how many records the gaps still hold without reading
/// them; the age is that of the next record there is.
#[tokio::test]
async fn a_gap_at_the_commit() -> Result<()> {
    let mut scene = compacted("gaps").await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 24 * HOUR_MS;
    // Ten updates of a, one of b, ten of a, then a record that closes the segment.
    let a = vec![Entry::at(at).key("a"); 10];
    scene.wire.append(&topic, 0, &a).await?;
    scene.wire.append(&topic, 0, &[Entry::at(at + 1000).key("b")]).await?;
    scene.wire.append(&topic, 0, &a).await?;
    let last = at + 10 * HOUR_MS;
    scene.wire.append(&topic, 0, &[Entry::at(last).key("c")]).await?;
    compacted_to(&mut scene, &[10, 20, 21]).await?;
    scene.commit(&[(0, 4)]).await?;
    let age = Age::Since(at + 1000, 0.0);
    let right = Right { committed: Some(4), log: (0, 22, 22), lag: Some((18, 18)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)?;
    // In the gap between b and the last a.
    scene.commit(&[(0, 13)]).await?;
    let age = Age::Since(at, 0.0);
    scene.right(&scene.look().await?, 0, Right { committed: Some(13), lag: Some((9, 9)), age, ..right })
}

/// A compacted batch keeps the offsets that it had: its last records may be gone, and what waits is in the next batch.
#[tokio::test]
async fn a_gap_at_the_end_of_a_batch() -> Result<()> {
    let mut scene = compacted("inner").await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 24 * HOUR_MS;
    let mut batch = vec![Entry::at(at).key("a"); 10];
    batch[0] = Entry::at(at).key("b");
    scene.wire.append(&topic, 0, &batch).await?;
    let next = at + 20 * 60_000;
    scene.wire.append(&topic, 0, &[Entry::at(next).key("a")]).await?;
    scene.wire.append(&topic, 0, &[Entry::at(at + 10 * HOUR_MS).key("c")]).await?;
    compacted_to(&mut scene, &[0, 10, 11]).await?;
    scene.commit(&[(0, 5)]).await?;
    let age = Age::Since(next, 0.0);
    let right = Right { committed: Some(5), log: (0, 12, 12), lag: Some((7, 7)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}

#[tokio::test]
async fn all_compacted_around_the_commit() -> Result<()> {
    let mut scene = compacted("behind").await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 24 * HOUR_MS;
    scene.wire.append(&topic, 0, &vec![Entry::at(at).key("a"); 20]).await?;
    let last = at + 5 * HOUR_MS;
    scene.wire.append(&topic, 0, &vec![Entry::at(last).key("a"); 5]).await?;
    scene.wire.append(&topic, 0, &[Entry::at(at + 10 * HOUR_MS).key("c")]).await?;
    compacted_to(&mut scene, &[24, 25]).await?;
    scene.commit(&[(0, 20)]).await?;
    let age = Age::Since(last, 0.0);
    let right = Right { committed: Some(20), log: (0, 26, 26), lag: Some((6, 6)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)?;
    // Compaction moves no start of the log, so nothing is lost for one that stands before the gap.
    scene.commit(&[(0, 3)]).await?;
    scene.right(&scene.look().await?, 0, Right { committed: Some(3), lag: Some((23, 23)), ..right })?;
    scene.commit(&[(0, 26)]).await?;
    let caught_up = Right { committed: Some(26), lag: Some((0, 0)), age: Age::CaughtUp, ..right };
    scene.right(&scene.look().await?, 0, caught_up)
}

/// Tombstones are records, and are read; in a compacted batch their time must not be taken for the moment at which
/// they may go (KIP-534).
#[tokio::test]
async fn tombstones() -> Result<()> {
    let mut scene = compacted("stones").await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - 24 * HOUR_MS;
    let batch =
        [Entry::at(at).key("a"), Entry::at(at + 1000).key("b"), Entry::at(at + 2000).key("a").tombstone()];
    scene.wire.append(&topic, 0, &batch).await?;
    scene.wire.append(&topic, 0, &[Entry::at(at + 10 * HOUR_MS).key("c")]).await?;
    compacted_to(&mut scene, &[1, 2, 3]).await?;
    scene.commit(&[(0, 2)]).await?;
    let age = Age::Since(at + 2000, 5.0);
    let right = Right { committed: Some(2), log: (0, 4, 4), lag: Some((2, 2)), age, ..RIGHT };
    scene.right(&scene.look().await?, 0, right)
}
