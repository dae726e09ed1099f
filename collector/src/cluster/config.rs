//! What the watcher is told: whom to ask, how, how often, and about what.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use checks::filter::Filter;

use super::activity;

/// The watcher's configuration; [`Config::from_properties`] makes one from Kafka properties.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the cluster is called in labels; without it, the id that Kafka gave it.
    pub name: Option<String>,
    /// Where to begin; the brokers name each other from there.
    pub bootstrap: Vec<Address>,
    /// TLS, for `SSL` and `SASL_SSL`.
    pub tls: Option<Tls>,
    /// Authentication, for `SASL_PLAINTEXT` and `SASL_SSL`.
    pub sasl: Option<Sasl>,
    /// How the watcher calls itself to brokers (their quotas and logs go by it).
    pub client_id: String,
    /// From the start of one refresh to the start of the next.
    pub interval: Duration,
    /// For connecting, TLS and authentication together.
    pub connect_timeout: Duration,
    /// For one request.
    pub request_timeout: Duration,
    /// How long a refresh waits for a broker that says nothing, once; from then on the broker
    /// counts as away until it speaks again, and is tried in the background.
    pub patience: Duration,
    /// How long a refresh waits for what it can do without: how old records are, configurations,
    /// sizes. What comes later is part of the next one.
    pub aside_for: Duration,
    /// A transaction that keeps the last stable offset in place for so long is looked into, and
    /// reported as hanging.
    pub transaction_hangs_after: Duration,
    /// How long answers of a coordinator that is moving or loading are asked for again within
    /// one refresh, before the last values are served with their age.
    pub retry_for: Duration,
    /// Which groups to watch.
    pub groups: Filter,
    /// Which topics to watch, by themselves and within groups.
    pub topics: Filter,
    /// Groups to watch on clusters that cannot list theirs.
    pub named_groups: Vec<String>,
    /// When a reader is called stuck.
    pub activity: activity::Rules,
    /// What is too much.
    pub limits: Limits,
}

/// What the watcher holds and reads at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one answer.
    pub frame_bytes: usize,
    /// Elements in all arrays of one answer.
    pub elements: usize,
    /// Groups watched; further ones are counted in the watcher's errors.
    pub groups: usize,
    /// Partitions watched, over all topics; topics beyond it are counted in the watcher's errors.
    pub partitions: usize,
    /// Positions whose record is looked at in one refresh, to tell a record from a transaction
    /// marker, or how old it is.
    pub probes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 16 << 20,
            elements: 1_000_000,
            groups: 100_000,
            partitions: 200_000,
            probes: 1_000,
        }
    }
}

impl Default for Config {
    /// No brokers, everything else at its default.
    fn default() -> Self {
        Self {
            name: None,
            bootstrap: Vec::new(),
            tls: None,
            sasl: None,
            client_id: "tapline".to_owned(),
            interval: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(3),
            aside_for: Duration::from_secs(2),
            transaction_hangs_after: Duration::from_secs(60),
            retry_for: Duration::from_secs(2),
            groups: Filter::everything(),
            topics: Filter::everything(),
            named_groups: Vec::new(),
            activity: activity::Rules::default(),
            limits: Limits::default(),
        }
    }
}

/// Host and port of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// Reads `host`, `host:port`, `[v6]:port`, with or without a leading `PROTOCOL://`; the port
    /// is 9092 unless given.
    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let bare = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
        let wrong = || format!("{trimmed:?} is not an address: write host:port");
        let (host, port) = match bare.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host, rest.strip_prefix(':'))
            }
            None => match bare.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (bare, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?,
            None => 9092,
        };
        let sound = !host.is_empty() && !host.contains(char::is_whitespace) && !host.contains('/');
        if !sound {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// A secret: never shown by `Debug`, and without `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// PEM text, in a file or in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// A file, read when connections are opened.
    File(PathBuf),
    /// The text itself.
    Inline(Secret),
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(_) => f.write_str("the PEM text in the properties"),
        }
    }
}

/// TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities; the system's when absent.
    pub ca: Option<Pem>,
    /// Who we are, where the broker asks for a certificate.
    pub client: Option<ClientIdentity>,
    /// Must the certificate name the host that was asked for?
    pub verify_hostname: bool,
}

/// A client certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The chain, leaf first.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// Opens the key if that is encrypted (PKCS#8).
    pub key_password: Option<Secret>,
}

/// SASL settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How, and with which credentials.
    pub mechanism: SaslMechanism,
}

/// The SASL mechanisms that are spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// `PLAIN` (RFC 4616).
    Plain(Credentials),
    /// `SCRAM-SHA-256` (RFC 7677).
    ScramSha256(Credentials),
    /// `SCRAM-SHA-512`.
    ScramSha512(Credentials),
    /// `OAUTHBEARER` (RFC 7628).
    OAuthBearer {
        /// Where the token is.
        token: TokenSource,
        /// Extensions that go with it (KIP-342).
        extensions: Vec<(String, String)>,
    },
}

impl SaslMechanism {
    /// Its registered name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
            Self::OAuthBearer { .. } => "OAUTHBEARER",
        }
    }
}

/// A name with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Where a bearer token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The token itself.
    Static(Secret),
    /// A file that holds it, read anew for every connection.
    File(PathBuf),
    /// An identity provider hands them out.
    Endpoint(Box<TokenEndpoint>),
}

/// Where tokens are fetched by client credentials (RFC 6749, section 4.4; KIP-768).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// Its address, http or https, without credentials.
    pub url: String,
    /// Who asks.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: Secret,
    /// The scope asked for.
    pub scope: Option<String>,
    /// Authorities of the endpoint's certificate; the system's when absent.
    pub ca: Option<Pem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kafka_clients_read_them() {
        let parse = |text: &str| text.parse::<Address>().map(|a| a.to_string());
        assert_eq!(parse("b1:9093"), Ok("b1:9093".to_owned()));
        assert_eq!(parse(" b1 "), Ok("b1:9092".to_owned()));
        assert_eq!(parse("SASL_SSL://b1.example:9094"), Ok("b1.example:9094".to_owned()));
        assert_eq!(parse("[::1]:9092"), Ok("[::1]:9092".to_owned()));
        for wrong in ["", ":9092", "b1:", "b1:port", "b1:0", "b1:70000", "a b:1", "[::1", "b/1"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let sasl = Sasl {
            mechanism: SaslMechanism::Plain(Credentials {
                username: "alice".to_owned(),
                password: Secret::from("hunter2"),
            }),
        };
        let shown = format!("{sasl:?}");
        assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
        let pem = Pem::Inline(Secret::from("PRIVATE"));
        assert!(!format!("{pem:?} {pem}").contains("PRIVATE"));
    }
}
