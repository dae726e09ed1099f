use super::normal::jaas_options;
use super::*;

fn config(pairs: &[(&str, &str)]) -> Result<Config, PropertyError> {
    let mut map: BTreeMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    map.entry("bootstrap.servers".to_owned()).or_insert_with(|| "b1:9092,b2".to_owned());
    Config::from_properties(&map)
}

fn refused(pairs: &[(&str, &str)]) -> String {
    config(pairs).expect_err("refused").to_string()
}

#[test]
fn brokers_alone_are_enough() {
    let config = config(&[("fetch.min.bytes", "1"), ("auto.offset.reset", "latest")])
        .expect("unknown keys are another client's");
    assert_eq!(config.bootstrap.len(), 2);
    assert_eq!(config.bootstrap[1].port, 9092);
    assert!(config.tls.is_none() && config.sasl.is_none());
    assert!(refused(&[("bootstrap.servers", " ")]).contains("bootstrap.servers"));
    assert!(refused(&[("bootstrap.servers", "b1:x")]).contains("b1:x"));
}

#[test]
fn passwords_come_from_properties_or_jaas() {
    let expected = SaslMechanism::ScramSha512(Credentials {
        username: "alice".to_owned(),
        password: Secret::from("se\"cret; x=y"),
    });
    let direct = config(&[
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.username", "alice"),
        ("sasl.password", "se\"cret; x=y"),
    ]);
    assert_eq!(direct.expect("sound").sasl.expect("sasl").mechanism, expected);
    let jaas = config(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        (
            "sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required \
             username='alice'\n password=\"se\\\"cret; x=y\" tokenauth=false;",
        ),
    ])
    .expect("sound");
    assert_eq!(jaas.sasl.expect("sasl").mechanism, expected);
    assert!(jaas.tls.expect("tls").verify_hostname);
}

#[test]
fn what_cannot_work_says_so() {
    let sasl = ("security.protocol", "SASL_PLAINTEXT");
    assert!(refused(&[("security.protocol", "TLS")]).contains("SASL_SSL"));
    assert!(refused(&[sasl]).contains("sasl.mechanism"));
    assert!(refused(&[sasl, ("sasl.mechanism", "GSSAPI")]).contains("Kerberos"));
    assert!(refused(&[sasl, ("sasl.mechanism", "PLAIN")]).contains("sasl.username"));
    let scram_for_plain = [
        sasl,
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", "x.ScramLoginModule required username=a password=hunter2;"),
    ];
    let text = refused(&scram_for_plain);
    assert!(text.contains("login module") && !text.contains("hunter2"), "{text}");
    assert!(refused(&[sasl, ("sasl.mechanism", "OAUTHBEARER")]).contains("sasl.oauthbearer.token.file"));
    let tls = ("security.protocol", "SSL");
    assert!(refused(&[tls, ("ssl.truststore.location", "t.jks")]).contains("PEM"));
    assert!(refused(&[tls, ("ssl.key.location", "k.pem")]).contains("ssl.certificate"));
    assert!(refused(&[("request.timeout.ms", "soon")]).contains("milliseconds"));
}

#[test]
fn host_names_can_go_unchecked_on_demand() {
    for (value, verified) in [("none", false), ("", false), ("https", true)] {
        let config =
            config(&[("security.protocol", "SSL"), ("ssl.endpoint.identification.algorithm", value)]);
        assert_eq!(config.expect("sound").tls.expect("tls").verify_hostname, verified);
    }
}

#[test]
fn a_token_comes_from_a_file() {
    let config = config(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", "file:///run/secrets/token"),
        ("sasl.oauthbearer.extensions", "logicalCluster=lkc-1, identityPoolId=pool"),
    ]);
    let SaslMechanism::OAuthBearer { token, extensions } =
        config.expect("sound").sasl.expect("sasl").mechanism
    else {
        panic!("another mechanism");
    };
    assert_eq!(token, TokenSource::File(PathBuf::from("/run/secrets/token")));
    assert_eq!(extensions.len(), 2);
}

#[test]
fn jaas_lines_that_are_broken_are_refused() {
    for line in ["", "M", "M optional x=y", "M required x", "M required x=\"y", "M required x=\"\\"] {
        assert!(jaas_options(line, "M").is_err(), "{line:?}");
    }
}

#[test]
fn tokens_are_fetched_by_client_credentials() {
    let base = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", "https://idp.example/token"),
    ];
    let expected = |config: Config| {
        let SaslMechanism::OAuthBearer { token: TokenSource::Endpoint(endpoint), extensions } =
            config.sasl.expect("sasl").mechanism
        else {
            panic!("another mechanism");
        };
        assert_eq!((endpoint.client_id.as_str(), endpoint.scope.as_deref()), ("watch", Some("kafka")));
        assert_eq!(endpoint.client_secret.expose(), "s3cret");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        assert_eq!(extensions, [("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    };
    let with = |more: &[(&str, &str)]| config(&[&base[..], more].concat());
    for (id, secret) in [
        ("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"),
        (
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.client.credentials.client.secret",
        ),
    ] {
        let properties = [
            (id, "watch"),
            (secret, "s3cret"),
            ("sasl.oauthbearer.scope", "kafka"),
            ("sasl.oauthbearer.extensions", "logicalCluster=lkc-1"),
        ];
        expected(with(&properties).expect("sound"));
    }
    let line = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                clientId='watch' clientSecret='s3cret' scope=\"kafka\" extension_logicalCluster='lkc-1';";
    expected(with(&[("sasl.jaas.config", line)]).expect("sound"));

    let wrong = |more: &[(&str, &str)]| with(more).expect_err("refused").to_string();
    assert!(wrong(&[]).contains("sasl.oauthbearer.client.id"));
    assert!(wrong(&[("sasl.oauthbearer.client.id", "watch")]).contains("client.secret"));
    for url in ["ftp://idp/token", "idp/token", "https://watch:s3cret@idp/token"] {
        let text = wrong(&[("sasl.oauthbearer.token.endpoint.url", url)]);
        assert!(text.contains("token.endpoint.url") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn both_clients_are_told_the_same_under_the_same_names() {
    let of = |pairs: &[(&str, &str)]| {
        let given = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        normalized(&given).map(|properties| {
            properties.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
        })
    };
    let line = "x.ScramLoginModule required username=a password=b;";
    let scram = [("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", line)];
    assert_eq!(of(&scram), Ok("sasl.mechanism=SCRAM-SHA-512 sasl.password=b sasl.username=a".to_owned()));
    let oauth = [
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", "https://idp/token"),
        ("sasl.login.callback.handler.class", "x.OAuthBearerLoginCallbackHandler"),
        ("sasl.jaas.config", "x.OAuthBearerLoginModule required clientId=a clientSecret=b;"),
    ];
    assert_eq!(
        of(&oauth),
        Ok("sasl.mechanism=OAUTHBEARER sasl.oauthbearer.client.id=a sasl.oauthbearer.client.secret=b \
            sasl.oauthbearer.method=oidc sasl.oauthbearer.token.endpoint.url=https://idp/token"
            .to_owned())
    );
    let file = [("sasl.mechanism", "OAUTHBEARER"), ("sasl.oauthbearer.token.endpoint.url", "file:///t")];
    assert_eq!(of(&file), Ok("sasl.mechanism=OAUTHBEARER sasl.oauthbearer.token.file=/t".to_owned()));
    let pem = [
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", "ca.pem"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", "me.pem"),
        ("ssl.endpoint.identification.algorithm", ""),
        ("ssl.key.password", ""),
    ];
    assert_eq!(
        of(&pem),
        Ok("ssl.ca.location=ca.pem ssl.certificate.location=me.pem \
            ssl.endpoint.identification.algorithm=none ssl.key.location=me.pem"
            .to_owned())
    );
    let both = [("ssl.truststore.location", "t.jks"), ("ssl.ca.location", "ca.pem")];
    assert_eq!(of(&both), Ok("ssl.ca.location=ca.pem".to_owned()));
}
