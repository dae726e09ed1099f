//! The cluster watcher against real brokers: every figure against what is known to be true.

mod access;
mod failing;
mod figures;
mod hanging;
mod kinds;
mod moving;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use checks::filter::Filter;
use collector::cluster::snapshot::{ClusterSnapshot, GroupPartition, GroupSnapshot};
use collector::cluster::{Config, Watcher};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A configuration from properties, restricted to the names that begin so.
fn config(properties: &[(&str, &str)], prefixes: &[&str]) -> Result<Config> {
    let map: BTreeMap<String, String> =
        properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut config = Config::from_properties(&map)?;
    let include: Vec<String> = prefixes.iter().map(|name| format!("^{name}")).collect();
    config.topics = Filter::new(&include, &["^__".to_owned()])?;
    config.groups = Filter::new(&include, &[])?;
    Ok(config)
}

/// A watcher of one broker's topics and groups whose names begin so.
fn watcher(bootstrap: &str, prefixes: &[&str]) -> Result<Watcher> {
    Ok(Watcher::new(config(&[("bootstrap.servers", bootstrap)], prefixes)?))
}

async fn look(bootstrap: &str, prefixes: &[&str]) -> Result<ClusterSnapshot> {
    Ok(watcher(bootstrap, prefixes)?.refresh_once().await?)
}

fn group<'a>(snapshot: &'a ClusterSnapshot, name: &str) -> Result<&'a GroupSnapshot> {
    let known = || snapshot.groups.keys().cloned().collect::<Vec<_>>();
    snapshot.groups.get(name).with_context(|| format!("group {name:?} is not among {:?}", known()))
}

fn place<'a>(
    snapshot: &'a ClusterSnapshot,
    name: &str,
    topic: &str,
    partition: i32,
) -> Result<&'a GroupPartition> {
    let group = group(snapshot, name)?;
    let found = group.topics.get(topic).and_then(|p| p.get(&partition));
    found.with_context(|| format!("{name} has no {topic}-{partition}: {group:?}"))
}

/// A group member that lives until it is dropped: assigned to all it subscribes to, it reads
/// nothing beyond what it is told to commit.
struct Member {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Member {
    /// Joins, waits until it has all `partitions` of the topic, and commits these (partition,
    /// offset) places.
    async fn join(
        bootstrap: &str,
        protocol: &str,
        group: &str,
        topic: &str,
        partitions: usize,
        commits: &[(i32, i64)],
    ) -> Result<Self> {
        let consumer: BaseConsumer = lab::clients::config(bootstrap)
            .set("group.id", group)
            .set("group.protocol", protocol)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()?;
        consumer.subscribe(&[topic])?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, ready) = tokio::sync::oneshot::channel();
        let (seen, topic, commits) = (Arc::clone(&stop), topic.to_owned(), commits.to_vec());
        let thread = std::thread::spawn(move || {
            let mut sender = Some(sender);
            while !seen.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                    // One of its partitions is being read; the rest of the assignment is whole.
                    let _ = message.offset();
                }
                let whole = consumer.assignment().is_ok_and(|a| a.count() == partitions);
                if whole && sender.is_some() {
                    let mut list = TopicPartitionList::new();
                    let added = commits.iter().try_for_each(|&(partition, offset)| {
                        list.add_partition_offset(&topic, partition, Offset::Offset(offset))
                    });
                    let result = match added {
                        Ok(()) if list.count() > 0 => consumer.commit(&list, CommitMode::Sync),
                        other => other,
                    };
                    // Commits made while the offsets topic comes into being fail: try again.
                    if result.is_ok()
                        && let Some(sender) = sender.take()
                    {
                        let _ = sender.send(());
                    }
                }
            }
        });
        let member = Self { stop, thread: Some(thread) };
        tokio::time::timeout(TIMEOUT, ready).await.context("the member gets no assignment")??;
        Ok(member)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
