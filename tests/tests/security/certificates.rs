//! Mutual TLS, and certificates that are renewed while Tapline runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Authority, Identity, Kafka, KafkaOptions, Signal, Tapline, eventually};

use super::{PATIENCE, both_see, hidden, lag, lag_records, produce, refused, run, three_records};

/// A password of a private key.
const KEY_PASSWORD: &str = "key-password-4713";
const STORE_PASSWORD: &str = "changeit";
const LISTENER: &str = "listener.name.tls";

/// The files of both sides.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        // At once, as who renews certificates does it.
        let new = self.0.join(format!("{name}.new"));
        std::fs::write(&new, text)?;
        std::fs::rename(&new, self.0.join(name))?;
        Ok(self.path(name))
    }

    fn client(&self, identity: &Identity) -> Result<()> {
        self.write("client.pem", &identity.certificate)?;
        self.write("client.key", &identity.key)?;
        Ok(())
    }

    /// A key store with a new self-signed certificate for brokers, and that certificate.
    fn broker(&self, name: &str) -> Result<(String, String)> {
        let (store, pem) = (self.path(&format!("{name}.p12")), self.path(&format!("{name}.pem")));
        let access = ["-keystore", &store, "-storepass", STORE_PASSWORD, "-alias", "broker"];
        let make = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-storetype", "PKCS12"];
        // By names of their own: OpenSSL finds an authority by its name.
        let subject = format!("CN={name}");
        let about = ["-dname", &subject, "-ext", "san=ip:127.0.0.1,dns:localhost", "-validity", "30"];
        keytool(&[&make[..], &about[..], &access[..]].concat())?;
        keytool(&[&["-exportcert", "-rfc", "-file", &pem][..], &access[..]].concat())?;
        Ok((store, std::fs::read_to_string(PathBuf::from(pem))?))
    }
}

fn keytool(args: &[&str]) -> Result<()> {
    let done = Command::new("keytool").args(args).output().context("keytool comes with Java")?;
    ensure!(done.status.success(), "keytool {args:?}: {}", String::from_utf8_lossy(&done.stdout));
    Ok(())
}

/// A broker whose TLS listener wants a certificate that this authority has signed.
async fn broker(store: &str, clients: &str) -> Result<Kafka> {
    let properties = [
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL",
        ),
        ("ssl.keystore.location", store),
        ("ssl.keystore.password", STORE_PASSWORD),
        ("ssl.client.auth", "required"),
        ("ssl.allow.dn.changes", "true"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", clients),
    ];
    let name = |key: &str| if key.starts_with("ssl") { format!("{LISTENER}.{key}") } else { key.to_owned() };
    let properties = properties.map(|(key, value)| (name(key), value.to_owned()));
    Kafka::start(KafkaOptions { properties: properties.into(), ..KafkaOptions::default() }).await
}

/// The broker's listener goes over to another key store and other clients, as `kafka-configs` does it.
async fn reconfigure(kafka: &Kafka, store: &str, clients: &str) -> Result<()> {
    let config = format!(
        "{LISTENER}.ssl.keystore.location={store},{LISTENER}.ssl.keystore.password={STORE_PASSWORD},\
         {LISTENER}.ssl.keystore.type=PKCS12,{LISTENER}.ssl.truststore.type=PEM,\
         {LISTENER}.ssl.truststore.location={clients}"
    );
    let broker = Kafka::broker_id(0).to_string();
    let bootstrap = kafka.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--entity-type", "brokers", "--entity-name", &broker];
    let alter = ["--alter", "--add-config", &config];
    kafka.command("kafka.admin.ConfigCommand", &[&args[..], &alter[..]].concat()).await?;
    Ok(())
}

#[tokio::test]
async fn mutual_tls_lets_in_whose_certificate_is_trusted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Files(folder.path());
    let clients = Authority::new("clients")?;
    let trusted = files.write("clients.pem", clients.pem())?;
    let (store, certificate) = files.broker("broker")?;
    let ca = files.write("ca.pem", &certificate)?;
    let kafka = broker(&store, &trusted).await?;
    let (topic, group) = (lab::unique("mtls"), lab::unique("mtls-readers"));
    three_records(&kafka, &topic, &group).await?;

    let me = clients.issue("tapline")?;
    files.client(&me)?;
    // One file with both, as Java's PEM key stores have it; and the key encrypted, as OpenSSL writes it.
    let both = files.write("both.pem", &me.store())?;
    let encrypted = files.path("encrypted.key");
    let done = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes256", "-in", &files.path("client.key"), "-out", &encrypted])
        .args(["-passout", &format!("pass:{KEY_PASSWORD}")])
        .output()
        .context("openssl is needed to encrypt a key")?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let stranger = Authority::new("strangers")?.issue("tapline")?;
    let (their_certificate, their_key) =
        (files.write("stranger.pem", &stranger.certificate)?, files.write("stranger.key", &stranger.key)?);

    let brokers = kafka.sasl_ssl_bootstrap();
    let base = [
        ("bootstrap.servers", brokers.as_str()),
        ("security.protocol", "SSL"),
        ("ssl.ca.location", ca.as_str()),
    ];
    let (certificate, key) = (files.path("client.pem"), files.path("client.key"));
    let plain = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    let java = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", both.as_str())];
    let locked = [
        ("ssl.certificate.location", certificate.as_str()),
        ("ssl.key.location", encrypted.as_str()),
        ("ssl.key.password", KEY_PASSWORD),
    ];
    let mut read = 0.0;
    for (number, own) in [&plain[..], &java[..], &locked[..]].into_iter().enumerate() {
        let properties = [&base[..], own].concat();
        let expected = 2.0 + read;
        assert_eq!(lag_records(&lag(&properties).await?, &group, &topic)?, Some(expected as i64));
        let tapline = run(&properties, &topic)?.start().await?;
        produce(&kafka, &topic, 2).await?;
        both_see(&tapline, &topic, &group, 2.0, expected + 2.0).await.with_context(|| number.to_string())?;
        hidden(&[KEY_PASSWORD], &[&tapline.log(), &tapline.text("/metrics").await?])?;
        ensure!(tapline.stop().await? == 0);
        read += 2.0;
    }

    refused(&lag(&base).await?, &["TLS with broker", "ssl.certificate.location"])?;
    let theirs =
        [("ssl.certificate.location", their_certificate.as_str()), ("ssl.key.location", their_key.as_str())];
    refused(
        &lag(&[&base[..], &theirs[..]].concat()).await?,
        &["TLS with broker", "ssl.certificate.location"],
    )?;
    let mixed =
        [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", their_key.as_str())];
    refused(&lag(&[&base[..], &mixed[..]].concat()).await?, &["do not fit"])?;
    let wrong = [
        ("ssl.certificate.location", certificate.as_str()),
        ("ssl.key.location", encrypted.as_str()),
        ("ssl.key.password", "another-password-4714"),
    ];
    let finished = lag(&[&base[..], &wrong[..]].concat()).await?;
    refused(&finished, &["ssl.key.password does not open it"])?;
    hidden(&["another-password-4714", KEY_PASSWORD], &[&finished.stderr])?;
    refused(&lag(&[&base[..], &locked[..2]].concat()).await?, &["is encrypted", "ssl.key.password"])
}

/// Both halves have noticed, and say, that what stands in the files cannot be used.
async fn both_complain(tapline: &Tapline) -> Result<()> {
    eventually("unusable certificates are counted by both halves", PATIENCE, async || {
        let metrics = tapline.metrics().await?;
        for name in ["tapline_watch_errors_total", "tapline_agent_errors_total"] {
            let count = metrics.sum(name, &[("reason", "certificates")]).unwrap_or_default();
            ensure!(count >= 1.0, "{name}: {count}");
        }
        Ok(())
    })
    .await
    .with_context(|| tapline.log())
}

async fn both_renew(tapline: &Tapline, times: usize) -> Result<()> {
    eventually("both halves use the renewed certificates", PATIENCE, async || {
        let log = tapline.log();
        for line in
            ["renewed certificates are in use", "renewed certificates: going on with a new Kafka client"]
        {
            let said = log.matches(line).count();
            ensure!(said == times, "{line:?}: {said} times");
        }
        Ok(())
    })
    .await
    .with_context(|| tapline.log())
}

#[tokio::test]
async fn renewed_certificates_are_taken_over_without_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Files(folder.path());
    let (first, second) = (Authority::new("clients")?, Authority::new("clients-renewed")?);
    let trusts_first = files.write("first.pem", first.pem())?;
    let trusts_both = files.write("both.pem", &format!("{}{}", first.pem(), second.pem()))?;
    let trusts_second = files.write("second.pem", second.pem())?;
    let (old_store, old_broker) = files.broker("broker")?;
    let (new_store, new_broker) = files.broker("broker-renewed")?;
    let ca = files.write("ca.pem", &old_broker)?;
    files.client(&first.issue("tapline")?)?;
    let kafka = broker(&old_store, &trusts_first).await?;
    let (topic, group) = (lab::unique("rotation"), lab::unique("rotation-readers"));
    three_records(&kafka, &topic, &group).await?;

    let (brokers, certificate, key) =
        (kafka.sasl_ssl_bootstrap(), files.path("client.pem"), files.path("client.key"));
    let properties = [
        ("bootstrap.servers", brokers.as_str()),
        ("security.protocol", "SSL"),
        ("ssl.ca.location", ca.as_str()),
        ("ssl.certificate.location", certificate.as_str()),
        ("ssl.key.location", key.as_str()),
    ];
    let tapline = run(&properties, &topic)?.start().await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 5.0, 7.0).await?;

    // A file that is broken, and a certificate that the broker does not trust: the old ones are on.
    for (certificate, key) in
        [("no certificate".to_owned(), None), (second.issue("tapline")?.certificate, None), {
            let theirs = second.issue("tapline")?;
            (theirs.certificate, Some(theirs.key))
        }]
    {
        files.write("client.pem", &certificate)?;
        if let Some(key) = key {
            files.write("client.key", &key)?;
        }
        both_complain(&tapline).await?;
    }
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 10.0, 12.0).await?;
    both_renew(&tapline, 0).await?;

    // The broker trusts them now, so that they are taken over.
    reconfigure(&kafka, &old_store, &trusts_both).await?;
    both_renew(&tapline, 1).await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 15.0, 17.0).await?;

    // The broker's own certificate, by an overlap of authorities, and in the end the old ones are gone.
    files.write("ca.pem", &format!("{old_broker}{new_broker}"))?;
    both_renew(&tapline, 2).await?;
    reconfigure(&kafka, &new_store, &trusts_second).await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 20.0, 22.0).await?;
    // All connections are new ones from here on.
    kafka.stop_node(0, Signal::Term).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    kafka.start_node(0).await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 25.0, 27.0).await?;
    refused_with_the_old(&files, &first, &properties).await?;
    ensure!(tapline.stop().await? == 0);
    Ok(())
}

/// The renewal was one: what was good before is not any more.
async fn refused_with_the_old(
    files: &Files<'_>,
    first: &Authority,
    properties: &[(&str, &str)],
) -> Result<()> {
    let old = first.issue("tapline")?;
    let (certificate, key) = (files.write("old.pem", &old.certificate)?, files.write("old.key", &old.key)?);
    let own = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    refused(&lag(&[&properties[..3], &own[..]].concat()).await?, &["TLS with broker"])
}
