//! The Kafka protocol, as far as the watcher speaks it: one pipelined connection a broker.
//!
//! Message types come from `kafka-protocol`; this layer adds what that crate leaves to its user:
//! sockets, TLS, SASL, versions agreed with each broker, deadlines, and protection against
//! answers that lie about their size. Nothing above this module sees a socket or a version.

mod connection;
mod messages;
mod oauth;
mod offset_fetch;
mod pace;
mod sasl;
mod shape;
mod tls;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use connection::Connection;
pub(crate) use messages::{
    DescribeShareGroupOffsetsRequest, ShareGroupOffsets, StreamsGroup, StreamsGroupDescribeRequest,
};
#[cfg(test)]
pub(crate) use messages::{SharePartition, StreamsMember, Subtopology};
pub(crate) use oauth::Tokens;
pub(crate) use offset_fetch::{Commit, Committed, OffsetFetchAllRequest, Told};
pub(crate) use pace::Traffic;
pub(crate) use shape::check_assignment;
pub(crate) use tls::Tls as TlsContext;

use super::config::{Address, Sasl};

/// Why a broker could not be spoken to. Every message names the broker and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WireError {
    /// No TCP connection: wrong address, nothing listening, a firewall.
    #[error(
        "cannot connect to broker {broker}: {reason}; check bootstrap.servers, and the address that the broker advertises"
    )]
    Connect {
        /// Address of the broker.
        broker: Arc<str>,
        /// What the system says.
        reason: String,
    },
    /// No answer in time.
    #[error(
        "broker {broker} did not answer {what} within {after_ms} ms; is it overloaded, or is the listener of another security.protocol?"
    )]
    Timeout {
        /// Address of the broker.
        broker: Arc<str>,
        /// The request, or the step of connecting.
        what: &'static str,
        /// The deadline that passed, in milliseconds.
        after_ms: u64,
    },
    /// TLS failed: a certificate, a key, or a listener that does not speak TLS.
    #[error("TLS with broker {broker} failed: {reason}")]
    Tls {
        /// Address of the broker.
        broker: Arc<str>,
        /// Why, and what to do.
        reason: String,
    },
    /// The broker refused who we say we are.
    #[error(
        "broker {broker} refused the credentials ({mechanism}): {reason}; check sasl.mechanism, sasl.username and the password or token"
    )]
    Authentication {
        /// Address of the broker.
        broker: Arc<str>,
        /// SASL mechanism.
        mechanism: String,
        /// What the broker says; never a secret.
        reason: String,
    },
    /// There is no token to authenticate with.
    #[error("no token for broker {broker} (OAUTHBEARER): {reason}")]
    Token {
        /// Address of the broker.
        broker: Arc<str>,
        /// Why; names the file or the endpoint, never a secret.
        reason: String,
    },
    /// The connection ended while an answer was awaited.
    #[error(
        "broker {broker} closed the connection during {what} ({reason}); if the listener wants TLS or SASL, set security.protocol to match it"
    )]
    Closed {
        /// Address of the broker.
        broker: Arc<str>,
        /// The request, or the step of connecting.
        what: &'static str,
        /// What ended it.
        reason: String,
    },
    /// An answer is larger than allowed.
    #[error("broker {broker} sent a frame of {bytes} bytes, of which at most {limit} are allowed{hint}")]
    TooLarge {
        /// Address of the broker.
        broker: Arc<str>,
        /// Length that the frame claims.
        bytes: u64,
        /// The limit.
        limit: u64,
        /// What the bytes look like, if they look like anything.
        hint: &'static str,
    },
    /// An answer is not what the protocol says it is.
    #[error("broker {broker} sent an answer to {what} (version {version}) that cannot be read: {reason}")]
    Malformed {
        /// Address of the broker.
        broker: Arc<str>,
        /// The request.
        what: &'static str,
        /// Its version.
        version: i16,
        /// Where it goes wrong.
        reason: String,
    },
    /// The broker has no version of this request that we can speak.
    #[error("broker {broker} does not serve {what} in any version that is understood here")]
    Unsupported {
        /// Address of the broker.
        broker: Arc<str>,
        /// The request.
        what: &'static str,
    },
}

impl WireError {
    /// A short name for counters: one of a bounded set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Tls { .. } => "tls",
            Self::Authentication { .. } => "authentication",
            Self::Token { .. } => "token",
            Self::Closed { .. } => "closed",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed { .. } => "malformed",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}

/// What every connection of one cluster shares.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) client_id: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) frame_bytes_max: usize,
    pub(crate) elements_max: usize,
    pub(crate) tls: Option<TlsContext>,
    pub(crate) sasl: Option<Sasl>,
    /// Kept by whoever makes settings anew: a token outlives a renewed certificate.
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Opens connections in a known state: through TLS and SASL, with the versions agreed. `patience`:
/// for how long nothing may come before whoever waits gives up ([`Connection`]).
pub(crate) async fn open(
    address: &Address,
    settings: &Arc<Settings>,
    patience: Duration,
) -> Result<Arc<Connection>, WireError> {
    Connection::open(address, Arc::clone(settings), patience).await.map(Arc::new)
}
