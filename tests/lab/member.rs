//! Members of consumer groups that stay as long as a test wants them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(60);

/// What a member does.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// `classic`, or `consumer` (KIP-848).
    pub protocol: &'a str,
    /// The group.
    pub group: &'a str,
    /// Topics, or regular expressions that begin with `^`.
    pub topics: &'a [&'a str],
    /// A name that outlives a restart (static membership, KIP-345).
    pub instance: Option<&'a str>,
    /// How many partitions it waits for, over all topics, before it is said to have joined.
    pub partitions: usize,
    /// What it commits once it has them: topic, partition, next offset to read.
    pub commits: &'a [(&'a str, i32, i64)],
}

impl<'a> Joining<'a> {
    /// A member of a classic group that gets all `partitions` of a topic and commits nothing.
    pub fn classic(group: &'a str, topic: &'a [&'a str], partitions: usize) -> Self {
        Self { protocol: "classic", group, topics: topic, instance: None, partitions, commits: &[] }
    }

    /// The same by another protocol.
    pub fn protocol(self, protocol: &'a str) -> Self {
        Self { protocol, ..self }
    }

    /// The same that commits.
    pub fn commits(self, commits: &'a [(&'a str, i32, i64)]) -> Self {
        Self { commits, ..self }
    }

    /// The same as a static member.
    pub fn instance(self, instance: &'a str) -> Self {
        Self { instance: Some(instance), ..self }
    }
}

/// A member that lives until it is dropped. What it reads it forgets; it commits only what it was told to.
#[derive(Debug)]
pub struct Member {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Member {
    /// Joins, waits for its partitions, and commits.
    pub async fn join(bootstrap: &str, joining: Joining<'_>) -> Result<Self> {
        let mut config: ClientConfig = crate::clients::config(bootstrap);
        config
            .set("group.id", joining.group)
            .set("group.protocol", joining.protocol)
            .set("enable.auto.commit", "false")
            .set("topic.metadata.refresh.interval.ms", "500")
            .set("auto.offset.reset", "earliest");
        if let Some(instance) = joining.instance {
            config.set("group.instance.id", instance);
        }
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(joining.topics)?;
        let mut commits = TopicPartitionList::new();
        for &(topic, partition, offset) in joining.commits {
            commits.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        }
        let partitions = joining.partitions;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let (sender, ready) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut sender = Some(sender);
            while !seen.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
                    let _ = message.offset();
                }
                let whole = consumer.assignment().is_ok_and(|held| held.count() == partitions);
                if !whole || sender.is_none() {
                    continue;
                }
                // Commits made while the offsets topic comes into being fail: try again.
                let held = commits.count() == 0 || consumer.commit(&commits, CommitMode::Sync).is_ok();
                if held && let Some(sender) = sender.take() {
                    let _ = sender.send(());
                }
            }
        });
        let member = Self { stop, thread: Some(thread) };
        let what = || format!("a member of {} gets no {partitions} partitions", joining.group);
        tokio::time::timeout(TIMEOUT, ready).await.with_context(what)??;
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
