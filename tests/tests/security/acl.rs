//! The rights that docs/security.md names: with them everything works, and what each is for shows when it is missing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use checks::filter::Filter;
use collector::cluster::snapshot::{ClusterSnapshot, Unknown};
use collector::cluster::{Config, Watcher};
use lab::{Kafka, KafkaOptions, eventually};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{PATIENCE, both_see, lag, lag_records, produce, run, three_records};

const PASSWORD: &str = "acl-password-4718";
const USERS: [&str; 9] = [
    "watch",
    "exact",
    "run",
    "no-topic",
    "some-topics",
    "no-group",
    "no-cluster",
    "run-no-topic",
    "run-no-group",
];

/// A broker that allows nothing to anybody but those who come without encryption: the lab itself.
async fn broker() -> Result<Kafka> {
    let users: String = USERS.iter().map(|user| format!(" user_{user}=\"{PASSWORD}\"")).collect();
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let properties = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
        ("super.users", "User:ANONYMOUS".to_owned()),
        ("listener.name.sasl.plain.sasl.jaas.config", format!("{plain}{users};")),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value)).into();
    Kafka::start(KafkaOptions { properties, ..KafkaOptions::default() }).await
}

/// The `kafka-acls` commands of the document, as words, in its order.
fn documented() -> Result<Vec<Vec<String>>> {
    let path = lab::place::workspace().join("docs/security.md");
    let text = std::fs::read_to_string(path)?.replace("\\\n", " ");
    let commands = text.lines().filter_map(|line| line.strip_prefix("kafka-acls "));
    Ok(commands.map(|line| line.split_whitespace().map(|word| word.replace('\'', "")).collect()).collect())
}

/// A command of the document for these users, without one of its resources.
async fn grant(kafka: &Kafka, command: &[String], users: &[&str], without: &str) -> Result<()> {
    let bootstrap = kafka.bootstrap();
    let mut args: Vec<&str> = Vec::new();
    let mut words = command.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--bootstrap-server" => {
                words.next();
                args.extend([word, &bootstrap]);
            }
            "--allow-principal" => {
                words.next();
            }
            word if word == without => {
                if word != "--cluster" {
                    words.next();
                }
            }
            word => args.push(word),
        }
    }
    let principals: Vec<String> = users.iter().map(|user| format!("User:{user}")).collect();
    args.extend(principals.iter().flat_map(|principal| ["--allow-principal", principal]));
    kafka.command("org.apache.kafka.tools.AclCommand", &args).await.with_context(|| format!("{args:?}"))?;
    Ok(())
}

fn properties<'a>(brokers: &'a str, user: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("bootstrap.servers", brokers),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", PASSWORD),
    ]
}

async fn look(kafka: &Kafka, user: &str) -> Result<ClusterSnapshot> {
    let brokers = kafka.sasl_bootstrap();
    let map: BTreeMap<String, String> =
        properties(&brokers, user).iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut config = Config::from_properties(&map)?;
    config.topics = Filter::new(&[".*".to_owned()], &["^__".to_owned()])?;
    Ok(Watcher::new(config).refresh_once().await?)
}

/// The lag of a group in a topic by partition 0, or why there is none; `None` when the topic is not shown.
fn place(snapshot: &ClusterSnapshot, group: &str, topic: &str) -> Option<(Option<i64>, Option<Unknown>)> {
    let partition = snapshot.groups.get(group)?.topics.get(topic)?.get(0)?;
    Some((partition.lag_records, partition.unknown))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_suffice_and_each_is_missed() -> Result<()> {
    let kafka = broker().await?;
    let commands = documented()?;
    let [watch, exact, configs, transactions, agent] = commands.as_slice() else { panic!("{commands:?}") };
    let (open, hidden) = (lab::unique("open"), lab::unique("hidden"));
    let (readers, members) = (lab::unique("readers"), lab::unique("members"));
    three_records(&kafka, &open, &readers).await?;
    three_records(&kafka, &hidden, &readers).await?;
    let _member = member(&kafka, &members, &hidden).await?;

    let one_topic: Vec<String> =
        watch.iter().map(|word| if word == "*" { open.clone() } else { word.clone() }).collect();
    let one_topic: Vec<String> = {
        // Only the topic: groups stay as they are.
        let at = one_topic.iter().position(|word| word == "--group").context("no --group")?;
        [&one_topic[..at], &one_topic[at + 2..]].concat()
    };
    tokio::try_join!(
        grant(&kafka, watch, &["watch", "exact", "run", "run-no-topic", "run-no-group"], ""),
        grant(&kafka, watch, &["no-topic", "some-topics"], "--topic"),
    )?;
    tokio::try_join!(
        grant(&kafka, watch, &["no-group"], "--group"),
        grant(&kafka, watch, &["no-cluster"], "--cluster"),
    )?;
    tokio::try_join!(
        grant(&kafka, &one_topic, &["some-topics"], "--cluster"),
        grant(&kafka, exact, &["exact"], ""),
    )?;
    tokio::try_join!(grant(&kafka, configs, &["exact"], ""), grant(&kafka, transactions, &["exact"], ""),)?;
    tokio::try_join!(grant(&kafka, agent, &["run"], ""), grant(&kafka, agent, &["run-no-topic"], "--topic"))?;
    grant(&kafka, agent, &["run-no-group"], "--group").await?;

    // The least: all of it, in records.
    for user in ["watch", "no-cluster", "exact"] {
        let snapshot = look(&kafka, user).await?;
        for topic in [&open, &hidden] {
            assert_eq!(place(&snapshot, &readers, topic), Some((Some(2), None)), "{user}");
        }
        assert_eq!(place(&snapshot, &members, &hidden), Some((Some(1), None)), "{user}");
        assert_eq!((snapshot.stats.groups_unreadable, snapshot.stats.topics_unreadable), (0, 0), "{user}");
        let age = snapshot.groups[&readers].topics[open.as_str()].at(0).lag_seconds;
        // With READ the record itself says how old it is.
        ensure!(user != "exact" || age.is_some_and(|age| age > 0.0), "{user}: {age:?}");
    }

    // Without a right: what is missing is unknown, counted, and never 0.
    let snapshot = look(&kafka, "no-topic").await?;
    assert_eq!(snapshot.topics.len(), 0);
    assert_eq!(place(&snapshot, &readers, &open), None, "brokers leave it out");
    assert_eq!(place(&snapshot, &members, &hidden), Some((None, Some(Unknown::Unreadable))));
    assert_eq!((snapshot.stats.groups_unreadable, snapshot.stats.topics_unreadable), (0, 1));

    let snapshot = look(&kafka, "some-topics").await?;
    assert_eq!(place(&snapshot, &readers, &open), Some((Some(2), None)));
    assert_eq!(place(&snapshot, &readers, &hidden), None, "brokers leave it out");
    assert_eq!(place(&snapshot, &members, &hidden), Some((None, Some(Unknown::Unreadable))));
    assert_eq!(snapshot.stats.topics_unreadable, 1);

    let snapshot = look(&kafka, "no-group").await?;
    assert_eq!(snapshot.topics.len(), 2);
    assert_eq!((snapshot.stats.groups_unreadable, snapshot.stats.topics_unreadable), (2, 0));
    assert_eq!(place(&snapshot, &readers, &open), None);
    assert_eq!(snapshot.groups[&readers].members, None);

    // People are told, by name.
    let brokers = kafka.sasl_bootstrap();
    let finished = lag(&properties(&brokers, "no-group")).await?;
    ensure!(finished.code == Some(0), "{finished:?}");
    for text in [readers.as_str(), members.as_str(), "DESCRIBE"] {
        ensure!(finished.stderr.contains(text), "{text}: {}", finished.stderr);
    }
    assert_eq!(finished.json()?["unreadable"]["groups"], 2);
    let finished = lag(&properties(&brokers, "some-topics")).await?;
    assert_eq!(lag_records(&finished, &readers, &open)?, Some(2));
    assert_eq!(lag_records(&finished, &members, &hidden)?, None);
    ensure!(finished.stderr.contains(&hidden), "{}", finished.stderr);
    assert_eq!(finished.json()?["unreadable"]["topics"], 1);

    the_agent(&kafka, &brokers, &open, &readers).await
}

/// The agent's part, by `tapline run` with the agent's group as documented.
async fn the_agent(kafka: &Kafka, brokers: &str, topic: &str, group: &str) -> Result<()> {
    let launch = |user| {
        anyhow::Ok(run(&properties(brokers, user), topic)?.env("TAPLINE_AGENT_GROUP", "tapline-agent"))
    };
    let tapline = launch("run")?.start().await?;
    produce(kafka, topic, 2).await?;
    both_see(&tapline, topic, group, 2.0, 4.0).await?;
    ensure!(tapline.stop().await? == 0);

    // Who commits nothing has nothing to say of it afterwards.
    for (user, reason, says) in [
        ("run-no-group", "group_not_allowed", "READ on the group tapline-agent"),
        ("run-no-topic", "topic_not_allowed", "READ on"),
    ] {
        let tapline = launch(user)?.start_alive().await?;
        produce(kafka, topic, 2).await?;
        eventually(&format!("{user} says what is missing"), PATIENCE, async || {
            let metrics = tapline.metrics().await?;
            let count = metrics.sum("tapline_agent_errors_total", &[("reason", reason)]).unwrap_or_default();
            ensure!(count >= 1.0, "{reason} is not counted");
            ensure!(tapline.log().contains(says), "{says:?} is not said");
            let lag = metrics.sum("tapline_group_topic_lag_records", &[("topic", topic), ("group", group)]);
            ensure!(lag.is_some(), "the watcher goes on");
            let read = metrics.sum("tapline_records_read_total", &[("topic", topic)]).unwrap_or_default();
            ensure!(read == 0.0, "{read} were read");
            Ok(())
        })
        .await
        .with_context(|| tapline.log())?;
        tapline.stop().await?;
    }
    Ok(())
}

/// A member of a group that is assigned to a topic's one partition and has read two records; it leaves when dropped.
async fn member(kafka: &Kafka, group: &str, topic: &str) -> Result<Member> {
    let consumer: BaseConsumer = lab::clients::config(&kafka.bootstrap())
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let topic = topic.to_owned();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let mut ready = Some(ready);
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            drop(consumer.poll(std::time::Duration::from_millis(50)));
            if ready.is_some() && consumer.assignment().is_ok_and(|assigned| assigned.count() == 1) {
                let mut place = TopicPartitionList::new();
                let added = place.add_partition_offset(&topic, 0, Offset::Offset(2));
                if added.and_then(|()| consumer.commit(&place, CommitMode::Sync)).is_ok() {
                    let _ = ready.take().map(|ready| ready.send(()));
                }
            }
        }
    });
    tokio::time::timeout(PATIENCE, is_ready).await.context("the member gets no assignment")??;
    Ok(Member { stop, thread: Some(thread) })
}

struct Member {
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
