//! OAUTHBEARER: tokens by client credentials from an identity provider, verified by the broker against its keys.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::identity::{AUDIENCE, ISSUER};
use lab::{Authority, IdentityProvider, Kafka, KafkaOptions, eventually};

use super::{PATIENCE, both_see, hidden, lag, lag_records, produce, refused, run, three_records};

const SECRET: &str = "oauth-client-secret-4711";
/// Of a token: short, so that several are needed in a test.
const LIFE: Duration = Duration::from_secs(8);

/// A broker whose SASL listener takes the provider's tokens, and ends a session with its token.
async fn broker(provider: &IdentityProvider, folder: &Path) -> Result<Kafka> {
    let keys = folder.join("jwks.json");
    std::fs::write(&keys, provider.jwks())?;
    let keys = format!("file://{}", keys.display());
    let security = "org.apache.kafka.common.security.oauthbearer";
    let listener = "listener.name.sasl";
    let properties = [
        (format!("{listener}.sasl.enabled.mechanisms"), "OAUTHBEARER".to_owned()),
        (
            format!("{listener}.oauthbearer.sasl.jaas.config"),
            format!("{security}.OAuthBearerLoginModule required;"),
        ),
        (
            format!("{listener}.oauthbearer.sasl.server.callback.handler.class"),
            format!("{security}.OAuthBearerValidatorCallbackHandler"),
        ),
        (format!("{listener}.oauthbearer.connections.max.reauth.ms"), "60000".to_owned()),
        ("sasl.oauthbearer.jwks.endpoint.url".to_owned(), keys.clone()),
        ("sasl.oauthbearer.expected.audience".to_owned(), AUDIENCE.to_owned()),
        ("sasl.oauthbearer.expected.issuer".to_owned(), ISSUER.to_owned()),
    ];
    let java = vec![
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}"),
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={}", &keys["file://".len()..]),
    ];
    Kafka::start(KafkaOptions { properties: properties.into(), java, ..KafkaOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_fetched_renewed_and_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new("lab")?;
    let provider = IdentityProvider::start(&authority, &[("tapline", SECRET)], LIFE).await?;
    let kafka = broker(&provider, folder.path()).await?;
    let (topic, group) = (lab::unique("tokens"), lab::unique("token-readers"));
    three_records(&kafka, &topic, &group).await?;

    let write = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let ca = write("idp-ca.pem", authority.pem())?;
    let other_ca = write("other-ca.pem", Authority::new("other")?.pem())?;
    let (bootstrap, url) = (kafka.sasl_bootstrap(), provider.url());
    let base = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
    ];
    let by = |url, secret, ca| {
        let own = [
            ("sasl.oauthbearer.token.endpoint.url", url),
            ("sasl.oauthbearer.client.id", "tapline"),
            ("sasl.oauthbearer.client.secret", secret),
            ("sasl.oauthbearer.scope", "kafka"),
            ("https.ca.location", ca),
        ];
        [&base[..], &own[..]].concat()
    };

    // As a Java client writes it.
    let jaas = format!(
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"tapline\" \
         clientSecret=\"{SECRET}\" scope=\"kafka\";"
    );
    let java = [
        ("sasl.oauthbearer.token.endpoint.url", url.as_str()),
        ("sasl.jaas.config", jaas.as_str()),
        ("https.ca.location", ca.as_str()),
    ];
    let java = [&base[..], &java[..]].concat();
    for properties in [&java, &by(&url, SECRET, &ca)] {
        let finished = lag(properties).await?;
        assert_eq!(lag_records(&finished, &group, &topic)?, Some(2));
    }
    assert_eq!(provider.scopes(), ["kafka", "kafka"]);

    let finished = lag(&by(&url, "wrong-secret-4712", &ca)).await?;
    refused(&finished, &[&url, "401", "invalid_client", "sasl.oauthbearer.client.secret"])?;
    hidden(&["wrong-secret-4712"], &[&finished.stderr, &finished.stdout])?;
    refused(&lag(&by(&url, SECRET, &other_ca)).await?, &[&url, "https.ca.location"])?;
    refused(&lag(&by("https://127.0.0.1:1/token", SECRET, &ca)).await?, &["https://127.0.0.1:1/token"])?;
    // A token that the broker does not accept: signed by somebody else's key.
    let stranger = IdentityProvider::start(&authority, &[], LIFE).await?.token("tapline")?;
    let finished = lag(&[&base[..], &[("sasl.oauthbearer.token", stranger.as_str())]].concat()).await?;
    refused(&finished, &["refused the credentials (OAUTHBEARER)"])?;
    hidden(&[&stranger], &[&finished.stderr])?;

    // Both halves, through the lives of several tokens, and an endpoint that is away for a while.
    let before = provider.issued();
    let tapline = run(&by(&url, SECRET, &ca), &topic)?.start().await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 5.0, 7.0).await?;
    let several = async |more: usize| {
        let from = provider.issued();
        eventually("tokens are fetched anew", PATIENCE, async || {
            ensure!(provider.issued() >= from + more, "{} since {from}", provider.issued());
            Ok(())
        })
        .await
    };
    several(4).await?;
    provider.answers(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    provider.answers(true);
    several(4).await?;
    produce(&kafka, &topic, 5).await?;
    both_see(&tapline, &topic, &group, 10.0, 12.0).await?;
    ensure!(provider.issued() > before + 8);
    let log = tapline.log();
    hidden(&[SECRET], &[&log, &tapline.text("/metrics").await?])?;
    ensure!(!log.contains("refused the credentials"), "a session outlived its token: {log}");
    ensure!(tapline.stop().await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_is_read_again_by_both_halves() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new("lab")?;
    let provider = IdentityProvider::start(&authority, &[], LIFE).await?;
    let kafka = broker(&provider, folder.path()).await?;
    let (topic, group) = (lab::unique("token-file"), lab::unique("token-file-readers"));
    three_records(&kafka, &topic, &group).await?;
    let file = folder.path().join("token");
    let (bootstrap, path) = (kafka.sasl_bootstrap(), file.display().to_string());
    let properties = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.file", path.as_str()),
    ];
    refused(&lag(&properties).await?, &["token file", &path])?;

    // Renewed by somebody else, well before it expires.
    let renewals = async {
        loop {
            let next = folder.path().join("token.new");
            std::fs::write(&next, provider.token("tapline")?)?;
            std::fs::rename(&next, &file)?;
            tokio::time::sleep(LIFE / 4).await;
        }
        #[expect(unreachable_code)]
        anyhow::Ok(())
    };
    let watched = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let tapline = run(&properties, &topic)?.start().await?;
        produce(&kafka, &topic, 5).await?;
        both_see(&tapline, &topic, &group, 5.0, 7.0).await?;
        tokio::time::sleep(LIFE * 2).await;
        produce(&kafka, &topic, 5).await?;
        both_see(&tapline, &topic, &group, 10.0, 12.0).await?;
        ensure!(!tapline.log().contains("refused the credentials"), "{}", tapline.log());
        ensure!(tapline.stop().await? == 0);
        Ok(())
    };
    tokio::select! {
        result = renewals => result,
        result = watched => result,
    }
}
