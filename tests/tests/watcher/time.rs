//! Ages and topic facts with all rights, and with the least.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use collector::cluster::Watcher;
use collector::cluster::snapshot::CleanupPolicy;
use lab::Message;

use super::{config, look, place};

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// One record a minute for 100 minutes, the last one a minute old.
async fn minutes(bootstrap: &str, topic: &str) -> Result<i64> {
    let now = now_ms()?;
    let records = (0..100).map(|n| Message::value("x").at(now - (100 - n) * 60_000).to(0));
    lab::produce(bootstrap, topic, records).await?;
    Ok(now)
}

#[tokio::test]
async fn to_describe_a_topic_suffices_for_lag_in_records_and_in_seconds() -> Result<()> {
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let properties = [("authorizer.class.name", authorizer), ("super.users", "User:ANONYMOUS")];
    let kafka = lab::Kafka::start(lab::KafkaOptions {
        properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Default::default()
    })
    .await?;
    let brokers = kafka.bootstrap();
    let (topic, name) = (lab::unique("least"), lab::unique("least-readers"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    let began = minutes(&brokers, &topic).await?;
    lab::commit(&brokers, &name, &topic, &[(0, 40)]).await?;
    for resource in ["--topic", "--group"] {
        let user = format!("User:{}", lab::kafka::SASL_USER);
        let rule = ["--add", "--allow-principal", &user, "--operation", "Describe", resource, "*"];
        let arguments = [&["--bootstrap-server", &brokers][..], &rule[..]].concat();
        kafka.command("org.apache.kafka.tools.AclCommand", &arguments).await?;
    }
    let sasl = kafka.sasl_bootstrap();
    let least = [
        ("bootstrap.servers", sasl.as_str()),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", lab::kafka::SASL_USER),
        ("sasl.password", lab::kafka::SASL_PASSWORD),
    ];
    let mut watcher = Watcher::new(config(&least, &[&topic, &name])?);
    for _ in 0..2 {
        let snapshot = watcher.refresh_once().await?;
        let behind = place(&snapshot, &name, &topic, 0)?;
        assert_eq!((behind.committed, behind.end, behind.lag_records), (Some(40), Some(100), Some(60)));
        let age = behind.lag_seconds.context("its age, by offsets for times")?;
        let truth = (snapshot.topics[&topic].partitions[&0].read_at_ms - began) as f64 / 1000.0 + 3600.0;
        let error = behind.lag_seconds_error;
        ensure!((age - truth).abs() <= error + 0.002, "{age} ± {error}, in truth {truth}");
        ensure!(error <= truth / 15.0, "{error} of {truth}");
        let seen = &snapshot.topics[&topic];
        assert!(seen.tail_unknown, "records may not be read");
        assert_eq!((seen.cleanup_policy, seen.size_bytes, seen.in_sync_min), (None, None, None));
    }

    let all = look(&brokers, &[&topic, &name]).await?;
    let seen = &all.topics[&topic];
    assert_eq!((seen.cleanup_policy, seen.in_sync_min), (Some(CleanupPolicy::Delete), Some(1)));
    assert_eq!((seen.under_in_sync_min(), seen.tail_unknown), (Some(0), false));
    ensure!(seen.size_bytes.is_some_and(|bytes| bytes > 100), "{:?}", seen.size_bytes);
    Ok(())
}

#[tokio::test]
async fn a_compacted_topic_says_so() -> Result<()> {
    let brokers = lab::broker().await?.bootstrap();
    let topic = lab::unique("compacted");
    lab::create_topic(&brokers, &topic, 1, &[("cleanup.policy", "compact"), ("min.insync.replicas", "2")])
        .await?;
    let snapshot = look(&brokers, &[&topic]).await?;
    let seen = &snapshot.topics[&topic];
    assert_eq!(seen.cleanup_policy, Some(CleanupPolicy::Compact));
    // Two are wanted and there is one: no more can be in sync, and none is missing.
    assert_eq!((seen.in_sync_min, seen.under_in_sync_min()), (Some(2), Some(0)));
    Ok(())
}
