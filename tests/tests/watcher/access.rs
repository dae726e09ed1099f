//! Getting in: credentials, certificates, and clusters that can less.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::cluster::snapshot::GroupType;
use collector::cluster::{ClusterError, Watcher, WireError};
use lab::Message;
use lab::kafka::{SASL_PASSWORD, SASL_USER};
use rdkafka::mocking::MockCluster;

use super::{config, place};

#[tokio::test]
async fn every_sasl_mechanism_lets_in_who_knows_the_password_and_nobody_else() -> Result<()> {
    let kafka = lab::broker().await?;
    let (topic, name) = (lab::unique("secret"), lab::unique("secret-readers"));
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    lab::produce(&kafka.bootstrap(), &topic, (0..3).map(|_| Message::value("x"))).await?;
    lab::commit(&kafka.bootstrap(), &name, &topic, &[(0, 1)]).await?;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let access = |password| {
            let brokers = kafka.sasl_bootstrap();
            let properties = [
                ("bootstrap.servers", brokers.as_str()),
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", mechanism),
                ("sasl.username", SASL_USER),
                ("sasl.password", password),
            ];
            config(&properties, &[&topic, &name])
        };
        let snapshot = Watcher::new(access(SASL_PASSWORD)?).refresh_once().await?;
        assert_eq!(place(&snapshot, &name, &topic, 0)?.lag_records, Some(2), "{mechanism}");

        let refused = Watcher::new(access("hunter2")?).refresh_once().await;
        let Err(error @ ClusterError::Authentication(_)) = refused else {
            panic!("{mechanism}: {refused:?}");
        };
        let text = error.to_string();
        ensure!(text.contains(mechanism) && text.contains("sasl.username"), "{text}");
        ensure!(!format!("{text} {error:?}").contains("hunter2"), "the password shows: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_wrong_security_protocol_says_what_to_set() -> Result<()> {
    let kafka = lab::broker().await?;
    let sasl = kafka.sasl_bootstrap();
    let refused = Watcher::new(config(&[("bootstrap.servers", &sasl)], &["x"])?).refresh_once().await;
    let text = refused.expect_err("the listener wants SASL").to_string();
    ensure!(text.contains("security.protocol") && text.contains(&sasl), "{text}");

    let plain = kafka.bootstrap();
    let properties = [("bootstrap.servers", plain.as_str()), ("security.protocol", "SSL")];
    let mut over_tls = config(&properties, &["x"])?;
    over_tls.connect_timeout = Duration::from_secs(3);
    let refused = Watcher::new(over_tls).refresh_once().await;
    let text = refused.expect_err("the listener does not speak TLS").to_string();
    ensure!(text.contains("TLS") || text.contains("security.protocol"), "{text}");
    Ok(())
}

#[tokio::test]
async fn nobody_at_the_address_is_told_at_once() -> Result<()> {
    // Port 1 is nobody's.
    let mut nobody = config(&[("bootstrap.servers", "127.0.0.1:1,127.0.0.1:2")], &["x"])?;
    nobody.connect_timeout = Duration::from_secs(5);
    let error = Watcher::new(nobody).refresh_once().await.expect_err("nothing listens");
    let ClusterError::Unreachable { tried } = &error else { panic!("{error:?}") };
    assert_eq!(tried.len(), 2);
    assert!(matches!(tried[0], WireError::Connect { .. }));
    ensure!(error.to_string().contains("127.0.0.1:1"), "{error}");
    Ok(())
}

fn keytool(args: &[&str]) -> Result<()> {
    let done = Command::new("keytool").args(args).output().context("keytool comes with Java")?;
    ensure!(done.status.success(), "keytool {args:?}: {}", String::from_utf8_lossy(&done.stdout));
    Ok(())
}

/// A key store with a self-signed certificate for a host, and that certificate as PEM.
fn certificate(folder: &Path, name: &str, subject: &str) -> Result<(String, String)> {
    let path = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    let (store, pem) = (path("p12"), path("pem"));
    let access = ["-keystore", &store, "-storepass", "changeit", "-alias", name];
    let make = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-storetype", "PKCS12"];
    let about = ["-dname", "CN=lab", "-ext", subject, "-validity", "30"];
    keytool(&[&make[..], &about[..], &access[..]].concat())?;
    let export = ["-exportcert", "-rfc", "-file", &pem];
    keytool(&[&export[..], &access[..]].concat())?;
    Ok((store, pem))
}

#[tokio::test]
async fn tls_verifies_the_authority_and_the_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, right) = certificate(folder.path(), "broker", "san=dns:broker.example")?;
    let (_, other) = certificate(folder.path(), "other", "san=ip:127.0.0.1")?;
    // The lab's SASL listener, over TLS.
    let properties = [
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SASL_SSL,SASL:SASL_SSL".to_owned(),
        ),
        ("listener.name.sasl.ssl.keystore.location", store),
        ("listener.name.sasl.ssl.keystore.password", "changeit".to_owned()),
        ("listener.name.sasl.ssl.keystore.type", "PKCS12".to_owned()),
    ];
    let kafka = lab::Kafka::start(lab::KafkaOptions {
        properties: properties.map(|(k, v)| (k.to_owned(), v)).into(),
        ..Default::default()
    })
    .await?;
    let (topic, name) = (lab::unique("tls"), lab::unique("tls-readers"));
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    lab::produce(&kafka.bootstrap(), &topic, (0..3).map(|_| Message::value("x"))).await?;
    lab::commit(&kafka.bootstrap(), &name, &topic, &[(0, 1)]).await?;

    let access = |ca: &str, algorithm| {
        let brokers = kafka.sasl_bootstrap();
        let properties = [
            ("bootstrap.servers", brokers.as_str()),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", SASL_USER),
            ("sasl.password", SASL_PASSWORD),
            ("ssl.ca.location", ca),
            ("ssl.endpoint.identification.algorithm", algorithm),
        ];
        config(&properties, &[&topic, &name])
    };
    let snapshot = Watcher::new(access(&right, "none")?).refresh_once().await?;
    assert_eq!(place(&snapshot, &name, &topic, 0)?.lag_records, Some(2));

    let error = Watcher::new(access(&right, "https")?).refresh_once().await.expect_err("its name");
    ensure!(error.to_string().contains("ssl.endpoint.identification.algorithm"), "{error}");
    for algorithm in ["https", "none"] {
        let refused = Watcher::new(access(&other, algorithm)?).refresh_once().await;
        let error = refused.expect_err("another authority");
        ensure!(error.to_string().contains("ssl.ca.location"), "{error}");
    }
    let missing = Watcher::new(access("/nowhere/ca.pem", "https")?).refresh_once().await;
    let error = missing.expect_err("no such file");
    ensure!(matches!(error, ClusterError::Configuration(_)), "{error:?}");
    ensure!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_lists_no_groups_is_watched_by_name() -> Result<()> {
    let mock = MockCluster::new(2)?;
    let brokers = mock.bootstrap_servers();
    mock.create_topic("mocked", 2, 1)?;
    lab::produce(&brokers, "mocked", (0..20).map(|n| Message::value("x").to(n % 2))).await?;
    lab::commit(&brokers, "mocked-readers", "mocked", &[(0, 4), (1, 10)]).await?;
    let mut by_name = config(&[("bootstrap.servers", &brokers)], &["mocked"])?;
    by_name.named_groups = vec!["mocked-readers".to_owned(), "mocked-nobody".to_owned()];
    let mut watcher = Watcher::new(by_name);
    for _ in 0..2 {
        let snapshot = watcher.refresh_once().await?;
        assert_eq!(snapshot.groups.len(), 1, "{:?}", snapshot.groups.keys());
        assert_eq!(snapshot.groups["mocked-readers"].group_type, GroupType::Unknown);
        assert_eq!(snapshot.groups["mocked-readers"].members, None);
        let behind = place(&snapshot, "mocked-readers", "mocked", 0)?;
        assert_eq!((behind.committed, behind.end, behind.lag_records), (Some(4), Some(10), Some(6)));
        assert_eq!(place(&snapshot, "mocked-readers", "mocked", 1)?.lag_records, Some(0));
        assert_eq!(snapshot.brokers, 2);
        assert_eq!(snapshot.stats.errors_total, [].into());
    }
    Ok(())
}
