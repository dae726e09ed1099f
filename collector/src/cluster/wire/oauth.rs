//! Tokens by client credentials (RFC 6749, section 4.4; KIP-768), fetched when a connection needs
//! one, kept, and fetched anew before they expire.
//!
//! Connections are renewed well before their session ends (KIP-368), which is when a broker's
//! sessions need a new token: so nothing runs in the background, and an identity provider is
//! asked once in a token's life however many brokers there are.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Mutex;

use super::tls;
use crate::cluster::config::{Secret, TokenEndpoint};

/// For one request to the endpoint, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer larger than this holds no token.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// A token is fetched anew after this share of its life.
const REFRESH_SHARE: f64 = 0.8;
/// The life of a token that does not say it.
const LIFE_UNSAID: Duration = Duration::from_secs(300);
/// Longer lives are not believed: nothing is gained by them.
const LIFE_MAX: Duration = Duration::from_secs(86_400);
/// After a failure the endpoint is left alone for so long.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The tokens of one client.
pub(crate) struct Tokens {
    endpoint: TokenEndpoint,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    failed: Option<(Instant, String)>,
}

struct Token {
    secret: Secret,
    refresh_at: Instant,
    expires_at: Instant,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    pub(crate) fn new(endpoint: TokenEndpoint) -> Self {
        Self { endpoint, held: Mutex::default() }
    }

    /// A token that is good for a while yet.
    ///
    /// # Errors
    /// Names the endpoint and what it says; never the client's secret.
    pub(crate) async fn token(&self) -> Result<Secret, String> {
        self.token_at(Instant::now()).await
    }

    async fn token_at(&self, now: Instant) -> Result<Secret, String> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.token.as_ref().filter(|token| now < token.refresh_at) {
            return Ok(token.secret.clone());
        }
        // An old token does until it expires, should the endpoint be away meanwhile.
        let old = held.token.as_ref().filter(|token| now < token.expires_at).map(|t| t.secret.clone());
        let failed = held.failed.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < RETRY_AFTER);
        if let Some((_, reason)) = failed {
            return old.ok_or_else(|| reason.clone());
        }
        match self.fetch(now).await {
            Ok(token) => {
                let secret = token.secret.clone();
                *held = Held { token: Some(token), failed: None };
                Ok(secret)
            }
            Err(reason) => {
                let reason = format!("{}: {reason}", shown(&self.endpoint.url));
                held.failed = Some((now, reason.clone()));
                let Some(old) = old else { return Err(reason) };
                tracing::warn!("no new token for OAUTHBEARER yet, the old one is used on: {reason}");
                Ok(old)
            }
        }
    }

    /// A broker refused what was handed out: the next one is fetched.
    pub(crate) async fn forget(&self) {
        self.held.lock().await.token = None;
    }

    async fn fetch(&self, asked: Instant) -> Result<Token, String> {
        let TokenEndpoint { url, client_id, client_secret, scope, ca } = &self.endpoint;
        // The first one installed stays: whoever composes the process may have its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A client each time: it is needed once in a token's life, and finds a renewed authority.
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // The secret must not travel to where a peer points.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tapline/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            let pem = tls::read(ca, "https.ca.location")?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| format!("https.ca.location: {ca} is not PEM: {error}"))?;
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder.build().map_err(|error| cause(&error))?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let mut answer = client
            .post(url)
            .basic_auth(client_id, Some(client_secret.expose()))
            .header(reqwest::header::ACCEPT, "application/json")
            .form(&form)
            .send()
            .await
            .map_err(|error| cause(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let told = refusal(&body, client_secret);
            let advice = match status.as_u16() {
                400 | 401 | 403 => {
                    "; check sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and \
                     sasl.oauthbearer.scope"
                }
                _ => "",
            };
            return Err(format!("no token, it answers {status}{told}{advice}"));
        }
        let (secret, life) = read(&body, now_seconds())?;
        Ok(Token { secret, refresh_at: asked + life.mul_f64(REFRESH_SHARE), expires_at: asked + life })
    }
}

/// The token of an answer (RFC 6749, section 5.1), and how long it lives.
fn read(body: &[u8], now: f64) -> Result<(Secret, Duration), String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        access_token: String,
        /// Seconds; some providers write it as text.
        expires_in: Option<serde_json::Value>,
    }
    // The error of the reader may quote what it read.
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| "the answer is no JSON object with an access_token".to_owned())?;
    let token = answer.access_token;
    // RFC 6750, section 2.1; anything else could end the message to the broker early.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the access_token is no bearer token".to_owned());
    }
    let said = answer.expires_in.as_ref().and_then(|seconds| match seconds {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    });
    let life = match said.or_else(|| life_of(&token, now)) {
        None => LIFE_UNSAID,
        Some(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(LIFE_MAX).min(LIFE_MAX)
        }
        Some(_) => return Err("the token has expired already; do the clocks agree?".to_owned()),
    };
    Ok((Secret::from(token.as_str()), life))
}

/// Seconds that a token has by its own claims, if it is a JWT: from when it was issued, so that
/// the provider's clock need not agree with ours.
fn life_of(token: &str, now: f64) -> Option<f64> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: f64,
        iat: Option<f64>,
    }
    let payload = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.exp - claims.iat.unwrap_or(now))
}

/// What the endpoint gives as its reason (RFC 6749, section 5.2), fit for a log.
fn refusal(body: &[u8], secret: &Secret) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
        error_description: Option<String>,
    }
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return String::new() };
    let told = match refusal.error_description {
        Some(description) => format!("{}: {description}", refusal.error),
        None => refusal.error,
    };
    // It was sent the secret, and may well repeat it.
    let told = told.replace(secret.expose(), "***");
    let told: String = told.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    format!(" ({told})")
}

/// The address without what may be secret in it.
fn shown(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut url) => {
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "the token endpoint".to_owned(),
    }
}

/// What went wrong, down to the first cause, without the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} ms", TIMEOUT.as_millis());
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    if std::ptr::addr_eq(source, error) {
        return "the request failed".to_owned();
    }
    let told = source.to_string();
    let advice = if told.contains("certificate") { "; name its authority in https.ca.location" } else { "" };
    format!("{told}{advice}")
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
