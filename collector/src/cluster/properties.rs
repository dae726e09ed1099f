//! Kafka client properties, as every Kafka user knows them, into the watcher's configuration.
//!
//! The same map goes to librdkafka for the agent's consumer. Keys that concern only that client
//! are left alone here; a key that would change how we connect and is not supported is an error,
//! not a surprise.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{
    Address, ClientIdentity, Config, Credentials, Pem, Sasl, SaslMechanism, Secret, Tls, TokenSource,
};

/// A property that cannot be used. Values of secret properties are never part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct PropertyError {
    /// The property.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

fn wrong<T>(key: &'static str, reason: impl Into<String>) -> Result<T, PropertyError> {
    Err(PropertyError { key, reason: reason.into() })
}

impl Config {
    /// Understands `bootstrap.servers`, `security.protocol`, `sasl.mechanism`, `sasl.username`,
    /// `sasl.password`, `sasl.jaas.config` (PLAIN and SCRAM), `sasl.oauthbearer.token`,
    /// `sasl.oauthbearer.token.file`, `sasl.oauthbearer.token.endpoint.url` (`file:` only),
    /// `sasl.oauthbearer.extensions`, `ssl.ca.location`, `ssl.certificate.location`,
    /// `ssl.key.location` and their `.pem` forms, `ssl.endpoint.identification.algorithm`,
    /// `client.id` and `request.timeout.ms`, with librdkafka's other names for them.
    ///
    /// # Errors
    /// The first property that is wrong, missing, or not supported.
    pub fn from_properties(properties: &BTreeMap<String, String>) -> Result<Self, PropertyError> {
        let properties = Properties(properties);
        let protocol = properties.get("security.protocol").unwrap_or("PLAINTEXT");
        let (tls, sasl) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                return wrong(
                    "security.protocol",
                    format!("{protocol:?} is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
                );
            }
        };
        if !sasl && (properties.has("sasl.username") || properties.has("sasl.jaas.config")) {
            tracing::warn!(
                "credentials are given, but security.protocol is {protocol}: they will not be used"
            );
        }
        let mut config = Self {
            bootstrap: properties.bootstrap()?,
            tls: if tls { Some(properties.tls()?) } else { None },
            sasl: if sasl { Some(properties.sasl()?) } else { None },
            ..Self::default()
        };
        if let Some(id) = properties.get("client.id") {
            config.client_id = id.to_owned();
        }
        if let Some(timeout) = properties.millis("request.timeout.ms")? {
            config.request_timeout = timeout;
        } else if let Some(timeout) = properties.millis("socket.timeout.ms")? {
            config.request_timeout = timeout;
        }
        if let Some(timeout) = properties.millis("socket.connection.setup.timeout.ms")? {
            config.connect_timeout = timeout;
        }
        Ok(config)
    }
}

struct Properties<'a>(&'a BTreeMap<String, String>);

impl<'a> Properties<'a> {
    /// A property that is there and not empty.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn millis(&self, key: &'static str) -> Result<Option<Duration>, PropertyError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(ms) if (1..=3_600_000).contains(&ms) => Ok(Some(Duration::from_millis(ms))),
            _ => wrong(key, format!("{text:?} is not a number of milliseconds up to an hour")),
        }
    }

    fn bootstrap(&self) -> Result<Vec<Address>, PropertyError> {
        const KEY: &str = "bootstrap.servers";
        let Some(text) = self.get(KEY).or_else(|| self.get("metadata.broker.list")) else {
            return wrong(KEY, "no broker is named: write host:port[,host:port…]");
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let addresses: Result<Vec<Address>, String> = parts.map(str::parse).collect();
        match addresses {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => wrong(KEY, "no broker is named: write host:port[,host:port…]"),
            Err(reason) => wrong(KEY, reason),
        }
    }

    fn pem(&self, location: &str, inline: &str) -> Option<Pem> {
        let file = self.get(location).map(|path| Pem::File(PathBuf::from(path)));
        file.or_else(|| self.get(inline).map(|text| Pem::Inline(Secret::from(text))))
    }

    fn tls(&self) -> Result<Tls, PropertyError> {
        for (key, instead) in [
            ("ssl.truststore.location", "ssl.ca.location"),
            ("ssl.keystore.location", "ssl.certificate.location and ssl.key.location"),
        ] {
            if self.has(key) && !self.has("ssl.ca.location") {
                return wrong(
                    key,
                    format!("Java key stores are not read: export it as PEM and set {instead}"),
                );
            }
        }
        if self.has("ssl.key.password") {
            return wrong(
                "ssl.key.password",
                "encrypted keys are not supported: decrypt the key (openssl pkey) and guard its file",
            );
        }
        if self.get("enable.ssl.certificate.verification") == Some("false") {
            return wrong(
                "enable.ssl.certificate.verification",
                "certificates are always verified here: name their authority in ssl.ca.location",
            );
        }
        let certificate = self.pem("ssl.certificate.location", "ssl.certificate.pem");
        let client = match (certificate, self.pem("ssl.key.location", "ssl.key.pem")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate, key }),
            (Some(_), None) => return wrong("ssl.key.location", "is needed with a certificate"),
            (None, Some(_)) => return wrong("ssl.certificate.location", "is needed with a key"),
        };
        const ALGORITHM: &str = "ssl.endpoint.identification.algorithm";
        // Java says "none" by an empty value, librdkafka by the word.
        let empty = self.0.get(ALGORITHM).is_some_and(|value| value.trim().is_empty());
        let verify_hostname = match self.get(ALGORITHM).map(str::to_ascii_lowercase).as_deref() {
            Some("none") => false,
            None => !empty,
            Some("https") => true,
            Some(other) => return wrong(ALGORITHM, format!("{other:?} is neither https nor none")),
        };
        if !verify_hostname {
            tracing::warn!(
                "{ALGORITHM}=none: whoever holds any certificate of this authority can pose as a broker"
            );
        }
        Ok(Tls { ca: self.pem("ssl.ca.location", "ssl.ca.pem"), client, verify_hostname })
    }

    fn sasl(&self) -> Result<Sasl, PropertyError> {
        const KEY: &str = "sasl.mechanism";
        let Some(name) = self.get(KEY).or_else(|| self.get("sasl.mechanisms")) else {
            return wrong(KEY, "is needed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER");
        };
        let mechanism = match name.to_ascii_uppercase().as_str() {
            "PLAIN" => SaslMechanism::Plain(self.credentials("PlainLoginModule")?),
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256(self.credentials("ScramLoginModule")?),
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512(self.credentials("ScramLoginModule")?),
            "OAUTHBEARER" => self.oauthbearer()?,
            "GSSAPI" => return wrong(KEY, "Kerberos (GSSAPI) is not supported"),
            _ => {
                return wrong(
                    KEY,
                    format!("{name:?} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
                );
            }
        };
        Ok(Sasl { mechanism })
    }

    fn credentials(&self, module: &str) -> Result<Credentials, PropertyError> {
        match (self.get("sasl.username"), self.0.get("sasl.password")) {
            (Some(username), Some(password)) => {
                return Ok(Credentials {
                    username: username.to_owned(),
                    password: Secret::from(password.as_str()),
                });
            }
            (Some(_), None) => return wrong("sasl.password", "is needed with sasl.username"),
            (None, _) => {}
        }
        const JAAS: &str = "sasl.jaas.config";
        let Some(jaas) = self.get(JAAS) else {
            return wrong("sasl.username", "is needed, with sasl.password (or sasl.jaas.config)");
        };
        let options = jaas_options(jaas, module)
            .map_err(|reason| PropertyError { key: JAAS, reason: reason.to_owned() })?;
        match (options.get("username"), options.get("password")) {
            (Some(username), Some(password)) => {
                Ok(Credentials { username: username.clone(), password: Secret::from(password.as_str()) })
            }
            _ => wrong(JAAS, "it must give username=\"…\" and password=\"…\""),
        }
    }

    fn oauthbearer(&self) -> Result<SaslMechanism, PropertyError> {
        const URL: &str = "sasl.oauthbearer.token.endpoint.url";
        let token = if let Some(token) = self.get("sasl.oauthbearer.token") {
            TokenSource::Static(Secret::from(token))
        } else if let Some(path) = self.get("sasl.oauthbearer.token.file") {
            TokenSource::File(PathBuf::from(path))
        } else if let Some(path) = self.get(URL).and_then(|url| url.strip_prefix("file://")) {
            TokenSource::File(PathBuf::from(path))
        } else {
            return wrong(
                URL,
                "tokens are not fetched from an identity provider yet: have it put into a file \
                 and name that in sasl.oauthbearer.token.file",
            );
        };
        const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
        let mut extensions = Vec::new();
        for pair in self.get(EXTENSIONS).unwrap_or("").split(',').filter(|p| !p.trim().is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return wrong(EXTENSIONS, "write key=value[,key=value…]");
            };
            // A control character would end the pair early and smuggle in another (RFC 7628).
            if pair.contains(char::is_control) || key.trim() == "auth" {
                return wrong(EXTENSIONS, "a pair has a control character, or the key \"auth\"");
            }
            extensions.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(SaslMechanism::OAuthBearer { token, extensions })
    }
}

/// The options of one JAAS line: `package.Module required key="value" …;`.
fn jaas_options(line: &str, module: &str) -> Result<BTreeMap<String, String>, &'static str> {
    const FORM: &str = "write: org.apache.kafka.common.security.….LoginModule required \
                        username=\"…\" password=\"…\";";
    let mut words = line.trim_start().splitn(2, char::is_whitespace);
    if !words.next().is_some_and(|class| class.ends_with(module)) {
        return Err("the login module does not fit sasl.mechanism (PlainLoginModule or ScramLoginModule)");
    }
    let rest = words.next().unwrap_or("").trim_start();
    let mut rest = rest.strip_prefix("required").ok_or(FORM)?;
    let mut options = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(';') {
            return Ok(options);
        }
        let (key, after) = rest.split_once('=').ok_or(FORM)?;
        let mut chars = after.char_indices();
        let quote = match chars.next() {
            Some((_, quote @ ('"' | '\''))) => Some(quote),
            Some(_) => None,
            None => return Err(FORM),
        };
        let mut value = String::new();
        let mut end = None;
        if quote.is_none() {
            chars = after.char_indices();
        }
        while let Some((at, c)) = chars.next() {
            match (c, quote) {
                ('\\', Some(_)) => value.push(chars.next().ok_or(FORM)?.1),
                (c, Some(quote)) if c == quote => {
                    end = Some(at + c.len_utf8());
                    break;
                }
                (c, None) if c.is_whitespace() || c == ';' => {
                    end = Some(at);
                    break;
                }
                (c, _) => value.push(c),
            }
        }
        let end = match (end, quote) {
            (Some(end), _) => end,
            (None, None) => after.len(),
            (None, Some(_)) => return Err("a quote is not closed"),
        };
        options.insert(key.trim().to_owned(), value);
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
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
        assert!(refused(&[tls, ("ssl.key.password", "hunter2")]).contains("encrypted"));
        assert!(!refused(&[tls, ("ssl.key.password", "hunter2")]).contains("hunter2"));
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
}
