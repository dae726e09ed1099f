//! The accuracy suite: scenarios with known answers on a real broker. Every test here is a scenario; docs/lag.md lists
//! them all, with who gets them wrong, and [`table`] holds the two together.
//!
//! A scenario makes a topic and a group of its own, does to them what its name says, and then demands *every* figure
//! that the watcher gives of them: committed offset, log start, last stable offset, end, lag, stable lag, lost records,
//! the reason why something is unknown, the age of the oldest unread record within its error, members and state.

mod activity;
mod arithmetic;
mod compaction;
mod groups;
mod hanging;
mod kinds;
mod lifecycle;
mod lost;
mod members;
mod outside;
mod progress;
#[path = "../seen/mod.rs"]
mod seen;
mod table;
mod times;
mod transactions;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use checks::filter::Filter;
use collector::cluster::snapshot::{ClusterSnapshot, GroupPartition, GroupType, Unknown};
use collector::cluster::{Config, Watcher};
use lab::{Entry, Kafka, KafkaOptions, Wire};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use seen::{group, place};
use tokio::sync::OnceCell;

const TIMEOUT: Duration = Duration::from_secs(60);

/// The broker of all scenarios: as any other, but it compacts and expires at once.
async fn broker() -> Result<&'static Kafka> {
    static BROKER: OnceCell<Kafka> = OnceCell::const_new();
    let properties = [("log.cleaner.backoff.ms", "200"), ("offsets.retention.check.interval.ms", "500")];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    BROKER
        .get_or_try_init(|| {
            Kafka::start(KafkaOptions { nodes: 1, properties: properties.into(), ..KafkaOptions::default() })
        })
        .await
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn admin(brokers: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(lab::clients::config(brokers).create()?)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT))
}

/// A topic and a group that belong to one scenario.
struct Scene {
    brokers: String,
    topic: String,
    group: String,
    wire: Wire,
}

impl Scene {
    /// A topic of so many partitions; the group does not exist yet.
    async fn new(name: &str, partitions: i32) -> Result<Self> {
        Self::with(name, partitions, &[]).await
    }

    /// The same with settings of the topic.
    async fn with(name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<Self> {
        Self::at(&broker().await?.bootstrap(), name, partitions, settings).await
    }

    /// The same on a certain cluster.
    async fn at(brokers: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<Self> {
        // A name that no other begins with.
        let topic = format!("{}.", lab::unique(name));
        lab::create_topic(brokers, &topic, partitions, settings).await?;
        let group = format!("{topic}readers");
        Ok(Self { brokers: brokers.to_owned(), wire: Wire::connect(brokers).await?, topic, group })
    }

    /// Another topic of the scenario.
    async fn another_topic(&self, name: &str, partitions: i32) -> Result<String> {
        let topic = format!("{}{name}", self.topic);
        lab::create_topic(&self.brokers, &topic, partitions, &[]).await?;
        Ok(topic)
    }

    /// Appends records to a partition, all of one time, as one batch.
    async fn append(&mut self, partition: i32, count: usize, at_ms: i64) -> Result<i64> {
        self.wire.append(&self.topic, partition, &vec![Entry::at(at_ms); count]).await
    }

    /// Commits for the group, which has no members.
    async fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<()> {
        self.wire.commit(&self.group, &self.topic, offsets).await
    }

    /// Removes the records of a partition below an offset, as retention does.
    async fn delete_before(&self, partition: i32, offset: i64) -> Result<()> {
        let mut before = rdkafka::TopicPartitionList::new();
        before.add_partition_offset(&self.topic, partition, rdkafka::Offset::Offset(offset))?;
        admin(&self.brokers)?.delete_records(&before, &admin_options()).await?;
        Ok(())
    }

    /// A watcher of this scenario's topics and groups, which has seen nothing yet.
    fn watcher(&self) -> Result<Watcher> {
        watcher(&self.brokers, &self.topic)
    }

    /// What a watcher sees at its first look.
    async fn look(&self) -> Result<ClusterSnapshot> {
        let snapshot = self.watcher()?.refresh_once().await?;
        ensure!(snapshot.stats.errors_total.is_empty(), "{:?}", snapshot.stats.errors_total);
        Ok(snapshot)
    }

    /// Demands every figure of the group's place in a partition.
    fn right(&self, snapshot: &ClusterSnapshot, partition: i32, right: Right) -> Result<()> {
        right.of(snapshot, &self.group, &self.topic, partition)
    }

    /// Demands the group's kind, state and members.
    fn who(&self, snapshot: &ClusterSnapshot, kind: GroupType, state: &str, members: u32) -> Result<()> {
        let group = group(snapshot, &self.group)?;
        assert_eq!((group.group_type, group.state.as_str(), group.members), (kind, state, Some(members)));
        Ok(())
    }
}

/// A watcher of the topics and groups whose names begin so.
fn watcher(brokers: &str, prefix: &str) -> Result<Watcher> {
    Ok(Watcher::new(config(brokers, prefix)?))
}

fn config(brokers: &str, prefix: &str) -> Result<Config> {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
    let mut config = Config::from_properties(&properties)?;
    let include = [format!("^{}", prefix.replace('.', "\\."))];
    config.topics = Filter::new(&include, &[])?;
    config.groups = Filter::new(&include, &[])?;
    Ok(config)
}

/// How old the oldest unread record is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Age {
    /// It must not be said.
    Unknown,
    /// Caught up: exactly 0, without error.
    CaughtUp,
    /// Appended at this moment, in milliseconds since 1970: the age must be right within the error that is given with
    /// it, and the error itself no larger than this, in seconds.
    Since(i64, f64),
    /// The same, appended at some moment of these two.
    Between(i64, i64, f64),
}

/// All that is right to say of a group's place in a partition. What a scenario leaves out must be absent.
#[derive(Clone, Copy, Debug)]
struct Right {
    committed: Option<i64>,
    /// Log start, last stable offset, high watermark.
    log: (i64, i64, i64),
    /// Records that wait; of these, what a read_committed reader can see.
    lag: Option<(i64, i64)>,
    lost: i64,
    unknown: Option<Unknown>,
    age: Age,
    assigned: bool,
}

/// Nothing is known; for a scenario to say what is.
const RIGHT: Right = Right {
    committed: None,
    log: (0, 0, 0),
    lag: None,
    lost: 0,
    unknown: None,
    age: Age::Unknown,
    assigned: false,
};

impl Right {
    /// Demands it of a snapshot.
    fn of(self, snapshot: &ClusterSnapshot, group: &str, topic: &str, partition: i32) -> Result<()> {
        let seen = place(snapshot, group, topic, partition)?;
        let what = format!("{group} in {topic}-{partition}: {seen:?}");
        let (start, stable, end) = self.log;
        let log = (seen.start, seen.stable_end, seen.end);
        ensure!(log == (Some(start), Some(stable), Some(end)), "the log is {:?}; {what}", self.log);
        ensure!(seen.committed == self.committed, "committed is {:?}; {what}", self.committed);
        ensure!(seen.unknown == self.unknown, "unknown for {:?}; {what}", self.unknown);
        ensure!(seen.lag_records == self.lag.map(|l| l.0), "lag is {:?}; {what}", self.lag);
        ensure!(seen.stable_lag_records == self.lag.map(|l| l.1), "stable lag is {:?}; {what}", self.lag);
        ensure!(seen.lost_records == self.lost, "lost are {}; {what}", self.lost);
        ensure!(seen.assigned == self.assigned, "assigned is {}; {what}", self.assigned);
        let read = snapshot.topics.get(topic).and_then(|t| t.partitions.get(&partition));
        let read_at_ms = read.with_context(|| format!("{topic}-{partition} is unknown"))?.read_at_ms;
        self.age.of(&seen, read_at_ms).context(what)
    }
}

impl Age {
    fn of(self, seen: &GroupPartition, read_at_ms: i64) -> Result<()> {
        let (from_ms, to_ms, error_max) = match self {
            Self::Unknown => {
                ensure!(seen.lag_seconds.is_none(), "its age cannot be known");
                return Ok(());
            }
            Self::CaughtUp => {
                ensure!((seen.lag_seconds, seen.lag_seconds_error) == (Some(0.0), 0.0), "nothing waits");
                return Ok(());
            }
            Self::Since(at_ms, error_max) => (at_ms, at_ms, error_max),
            Self::Between(from_ms, to_ms, error_max) => (from_ms, to_ms, error_max),
        };
        let (age, error) = (seen.lag_seconds.context("an age")?, seen.lag_seconds_error);
        ensure!(error >= 0.0 && error <= error_max, "an error of {error} s, more than {error_max} s");
        // Times are whole milliseconds; a record that waits is at least one old.
        let least = (read_at_ms - to_ms) as f64 / 1000.0 - 0.002;
        let most = ((read_at_ms - from_ms) as f64 / 1000.0).max(0.0) + 0.002;
        ensure!(age > 0.0, "a record waits, so its age is not 0");
        ensure!(
            age + error >= least && age - error <= most,
            "{age} s, give or take {error} s, does not hold {least} to {most} s"
        );
        Ok(())
    }
}
