//! Kafka client properties, as every Kafka user knows them, into the watcher's configuration.
//!
//! The same map goes to librdkafka for the agent's consumer, both under librdkafka's names
//! ([`normalized`]). Keys that concern only that client are left alone here; a key that would
//! change how we connect and is not supported is an error, not a surprise.

mod normal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{
    Address, ClientIdentity, Config, Credentials, Pem, Sasl, SaslMechanism, Secret, Tls, TokenEndpoint,
    TokenSource,
};
pub use normal::normalized;
use normal::{CLIENT_ID, CLIENT_SECRET, EXTENSIONS, KEY_PASSWORD, SCOPE, TOKEN, TOKEN_FILE, TOKEN_URL};

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
    /// `sasl.password`, `sasl.oauthbearer.token.endpoint.url` with `sasl.oauthbearer.client.id`,
    /// `sasl.oauthbearer.client.secret` and `sasl.oauthbearer.scope`, `sasl.oauthbearer.token`,
    /// `sasl.oauthbearer.token.file`, `sasl.oauthbearer.extensions`, `https.ca.location`,
    /// `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location` and their `.pem` forms,
    /// `ssl.key.password`, `ssl.endpoint.identification.algorithm`, `client.id` and
    /// `request.timeout.ms`, with the other names that Java and librdkafka have for them
    /// ([`normalized`]; `sasl.jaas.config` among them).
    ///
    /// # Errors
    /// The first property that is wrong, missing, or not supported.
    pub fn from_properties(properties: &BTreeMap<String, String>) -> Result<Self, PropertyError> {
        let properties = &normalized(properties)?;
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
        if !sasl && (properties.has("sasl.username") || properties.has(CLIENT_ID)) {
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
        let Some(text) = self.get(KEY) else {
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
        if self.get("enable.ssl.certificate.verification") == Some("false") {
            return wrong(
                "enable.ssl.certificate.verification",
                "certificates are always verified here: name their authority in ssl.ca.location",
            );
        }
        let certificate = self.pem("ssl.certificate.location", "ssl.certificate.pem");
        let client = match (certificate, self.pem("ssl.key.location", "ssl.key.pem")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let key_password = self.0.get(KEY_PASSWORD).map(|text| Secret::from(text.as_str()));
                Some(ClientIdentity { certificate, key, key_password })
            }
            (Some(_), None) => return wrong("ssl.key.location", "is needed with a certificate"),
            (None, Some(_)) => return wrong("ssl.certificate.location", "is needed with a key"),
        };
        const ALGORITHM: &str = "ssl.endpoint.identification.algorithm";
        let verify_hostname = match self.get(ALGORITHM).map(str::to_ascii_lowercase).as_deref() {
            Some("none") => false,
            None | Some("https") => true,
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
        let Some(name) = self.get(KEY) else {
            return wrong(KEY, "is needed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER");
        };
        let mechanism = match name.to_ascii_uppercase().as_str() {
            "PLAIN" => SaslMechanism::Plain(self.credentials()?),
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256(self.credentials()?),
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512(self.credentials()?),
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

    fn credentials(&self) -> Result<Credentials, PropertyError> {
        match (self.get("sasl.username"), self.0.get("sasl.password")) {
            (Some(username), Some(password)) => {
                Ok(Credentials { username: username.to_owned(), password: Secret::from(password.as_str()) })
            }
            (Some(_), None) => wrong("sasl.password", "is needed with sasl.username"),
            (None, _) => wrong(
                "sasl.username",
                "is needed, with sasl.password (or username=\"…\" password=\"…\" in sasl.jaas.config)",
            ),
        }
    }

    fn oauthbearer(&self) -> Result<SaslMechanism, PropertyError> {
        let token = if let Some(token) = self.get(TOKEN) {
            TokenSource::Static(Secret::from(token))
        } else if let Some(path) = self.get(TOKEN_FILE) {
            TokenSource::File(PathBuf::from(path))
        } else if let Some(url) = self.get(TOKEN_URL) {
            TokenSource::Endpoint(Box::new(self.token_endpoint(url)?))
        } else {
            return wrong(
                TOKEN_URL,
                "is needed, with sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret; or \
                 have a token put into a file and name that in sasl.oauthbearer.token.file",
            );
        };
        Ok(SaslMechanism::OAuthBearer { token, extensions: self.extensions()? })
    }

    fn token_endpoint(&self, url: &str) -> Result<TokenEndpoint, PropertyError> {
        let parsed = reqwest::Url::parse(url).ok();
        let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let Some(parsed) = parsed.filter(is_http) else {
            return wrong(TOKEN_URL, "is no address like https://host/path (or file:///path of a token)");
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return wrong(
                TOKEN_URL,
                "holds credentials: write them into sasl.oauthbearer.client.id and \
                 sasl.oauthbearer.client.secret",
            );
        }
        if let Some(grant) = self.get("sasl.oauthbearer.grant.type")
            && !matches!(grant, "client_credentials")
        {
            return wrong("sasl.oauthbearer.grant.type", "only client_credentials is supported");
        }
        let Some(client_id) = self.get(CLIENT_ID) else {
            return wrong(CLIENT_ID, "is needed with sasl.oauthbearer.token.endpoint.url");
        };
        let Some(client_secret) = self.get(CLIENT_SECRET) else {
            return wrong(CLIENT_SECRET, "is needed with sasl.oauthbearer.client.id");
        };
        let is_here = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if parsed.scheme() == "http" && !is_here {
            tracing::warn!("{TOKEN_URL} is http: the client's secret and the tokens travel in the clear");
        }
        Ok(TokenEndpoint {
            url: url.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: Secret::from(client_secret),
            scope: self.get(SCOPE).map(str::to_owned),
            ca: self.pem("https.ca.location", "https.ca.pem"),
        })
    }

    fn extensions(&self) -> Result<Vec<(String, String)>, PropertyError> {
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
        Ok(extensions)
    }
}

#[cfg(test)]
mod tests;
