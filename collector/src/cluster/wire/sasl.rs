//! Saying who we are: SASL inside SaslHandshake and SaslAuthenticate (KIP-43, KIP-152).

use std::path::Path;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, MessageSent, SASLClient, SASLConfig, Session, SessionError, State};
use rsasl::property::{AuthId, OAuthBearerKV, OAuthBearerToken, Password};

use super::WireError;
use super::connection::Connection;
use super::oauth::Tokens;
use crate::cluster::config::{Sasl, SaslMechanism, Secret, TokenSource};

/// More rounds than any mechanism has; a broker that asks for more plays for time.
const ROUNDS_MAX: usize = 8;
/// A token larger than this is a mistake in the file's name.
const TOKEN_BYTES_MAX: u64 = 256 << 10;

/// Authenticates a fresh connection.
///
/// Gives how long the broker lets the session live, in milliseconds (0: no limit; KIP-368).
pub(super) async fn authenticate(connection: &Connection, sasl: &Sasl) -> Result<i64, WireError> {
    let mechanism = sasl.mechanism.name();
    let refused = |reason: String| WireError::Authentication {
        broker: connection.broker(),
        mechanism: mechanism.to_owned(),
        reason,
    };

    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let handshake = connection.call(&request).await?;
    if handshake.error_code != 0 {
        let offered: Vec<&str> = handshake.mechanisms.iter().map(StrBytes::as_str).collect();
        return Err(refused(format!("it offers only {}", offered.join(", "))));
    }

    let callback = Credentials::of(sasl, connection.tokens())
        .await
        .map_err(|reason| WireError::Token { broker: connection.broker(), reason })?;
    let mut session = start(callback, mechanism).map_err(&refused)?;
    let mut input: Option<Bytes> = None;
    for _ in 0..ROUNDS_MAX {
        let mut output = Vec::new();
        // The library's own errors say what the server sent, not what we know.
        let state = match session.step(input.as_deref(), &mut output) {
            Ok(state) => state,
            Err(error) => {
                let told = input.as_deref().map(printable).filter(|told| !told.is_empty());
                let told = told.map(|told| format!(" (the broker says {told})")).unwrap_or_default();
                return Err(refused(format!("{error}{told}")));
            }
        };
        if matches!(state, State::Finished(MessageSent::No)) {
            return Ok(connection.session_lifetime_ms());
        }
        let answer = send(connection, output).await?;
        if answer.error_code != 0 {
            let reason = answer.error_message.as_deref().map(|m| printable(m.as_bytes()));
            return Err(refused(reason.unwrap_or_else(|| format!("error {}", answer.error_code))));
        }
        connection.set_session_lifetime_ms(answer.session_lifetime_ms);
        if state.is_finished() {
            return Ok(answer.session_lifetime_ms);
        }
        input = Some(answer.auth_bytes);
    }
    Err(refused(format!("no end after {ROUNDS_MAX} rounds")))
}

async fn send(connection: &Connection, output: Vec<u8>) -> Result<SaslAuthenticateResponse, WireError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(output));
    connection.call(&request).await
}

fn start(callback: Credentials, mechanism: &str) -> Result<Session, String> {
    let config = SASLConfig::builder()
        .with_default_mechanisms()
        .with_callback(callback)
        .map_err(|error| error.to_string())?;
    let name = Mechname::parse(mechanism.as_bytes()).map_err(|error| error.to_string())?;
    SASLClient::new(config).start_suggested(&[name]).map_err(|error| error.to_string())
}

/// What a broker says, fit for a log: one line, bounded.
fn printable(told: &[u8]) -> String {
    let text = String::from_utf8_lossy(told);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

struct Credentials {
    username: String,
    password: Secret,
    token: Option<Secret>,
    extensions: Vec<(String, String)>,
}

impl Credentials {
    /// The error says why there is no token.
    async fn of(sasl: &Sasl, tokens: Option<&Tokens>) -> Result<Self, String> {
        let nothing = || (String::new(), Secret::default());
        let (username, password) = match &sasl.mechanism {
            SaslMechanism::Plain(c) | SaslMechanism::ScramSha256(c) | SaslMechanism::ScramSha512(c) => {
                (c.username.clone(), c.password.clone())
            }
            SaslMechanism::OAuthBearer { .. } => nothing(),
        };
        let (token, extensions) = match &sasl.mechanism {
            SaslMechanism::OAuthBearer { token, extensions } => {
                let token = match (token, tokens) {
                    (TokenSource::Static(token), _) => token.clone(),
                    (TokenSource::File(path), _) => read_token(path)?,
                    (TokenSource::Endpoint(_), Some(tokens)) => tokens.token().await?,
                    (TokenSource::Endpoint(_), None) => return Err("nobody fetches tokens".to_owned()),
                };
                (Some(token), extensions.clone())
            }
            _ => (None, Vec::new()),
        };
        Ok(Self { username, password, token, extensions })
    }
}

/// Read anew for every connection, so that a token which is renewed in its file is found.
fn read_token(path: &Path) -> Result<Secret, String> {
    let size = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    if size > TOKEN_BYTES_MAX {
        return Err(format!("the token file {} has {size} bytes, not a token", path.display()));
    }
    let token = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the token file {}: {error}", path.display()))?;
    if token.trim().is_empty() {
        return Err(format!("the token file {} is empty", path.display()));
    }
    Ok(Secret::from(token.trim()))
}

impl SessionCallback for Credentials {
    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        if let Some(token) = &self.token {
            let pairs: Vec<(&str, &str)> =
                self.extensions.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            request
                .satisfy::<OAuthBearerToken>(token.expose())?
                .satisfy::<OAuthBearerKV>(pairs.as_slice())?;
        } else {
            request
                .satisfy::<AuthId>(self.username.as_str())?
                .satisfy::<Password>(self.password.expose().as_bytes())?;
        }
        Ok(())
    }
}
