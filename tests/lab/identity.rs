//! An identity provider: a token endpoint over HTTPS (RFC 6749, section 4.4) that signs JWTs with a throw-away key,
//! and the key's public half for a broker to verify them by (RFC 7517).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;

/// Who issues the tokens.
pub const ISSUER: &str = "https://lab.example";
/// Whom they are for.
pub const AUDIENCE: &str = "kafka";

/// A running provider, until it is dropped.
pub struct IdentityProvider {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    key: EcdsaKeyPair,
    clients: Vec<(String, String)>,
    seconds: AtomicU64,
    answers: AtomicBool,
    issued: AtomicUsize,
    scopes: Mutex<Vec<String>>,
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl IdentityProvider {
    /// Starts one whose certificate is signed by `authority`, and which knows these clients (id, secret).
    pub async fn start(authority: &Authority, clients: &[(&str, &str)], life: Duration) -> Result<Self> {
        let random = SystemRandom::new();
        let failed = |_| anyhow!("a key can be made");
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .map_err(|error| anyhow!("{error}"))?;
        let shared = Arc::new(Shared {
            key,
            clients: clients.iter().map(|(id, secret)| ((*id).to_owned(), (*secret).to_owned())).collect(),
            seconds: AtomicU64::new(life.as_secs()),
            answers: AtomicBool::new(true),
            issued: AtomicUsize::new(0),
            scopes: Mutex::default(),
        });
        let identity = authority.issue("identity-provider")?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(
            vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
        )?;
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let address = tcp.local_addr()?;
        let listener = Listener { tcp, tls: TlsAcceptor::from(Arc::new(config)) };
        let app = Router::new().route("/token", post(token)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // It ends only with this task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { shared, address, task })
    }

    /// The token endpoint's address.
    pub fn url(&self) -> String {
        format!("https://{}/token", self.address)
    }

    /// The public key, as a JWK set.
    pub fn jwks(&self) -> String {
        // 4, x, y: an uncompressed point.
        let point = self.shared.key.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "lab",
            "x": coordinate(&point[1..33]), "y": coordinate(&point[33..65]),
        }] })
        .to_string()
    }

    /// Tokens handed out so far.
    pub fn issued(&self) -> usize {
        self.shared.issued.load(Ordering::Relaxed)
    }

    /// Scopes asked for so far, one a token.
    pub fn scopes(&self) -> Vec<String> {
        self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does it hand out tokens, or answer that it is unwell?
    pub fn answers(&self, answers: bool) {
        self.shared.answers.store(answers, Ordering::Relaxed);
    }

    /// A token for somebody, as the endpoint would give it.
    pub fn token(&self, client: &str) -> Result<String> {
        self.shared.sign(client)
    }
}

impl Shared {
    fn sign(&self, client: &str) -> Result<String> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "lab" });
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": client, "scope": "kafka", "jti": number.to_string(),
            "iat": now, "exp": now + self.seconds.load(Ordering::Relaxed),
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| anyhow!("a signature can be made"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn client(&self, headers: &HeaderMap) -> Option<String> {
        let basic = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
        let given = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
        let known = |(id, secret): &&(String, String)| format!("{id}:{secret}") == given;
        self.clients.iter().find(known).map(|(id, _)| id.clone())
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<serde_json::Value>) {
    let refused = |status, error: &str| (status, Json(json!({ "error": error })));
    if !shared.answers.load(Ordering::Relaxed) {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "unwell");
    }
    if !body.contains("grant_type=client_credentials") {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let Some(client) = shared.client(&headers) else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let scope = body.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
    shared.scopes.lock().unwrap_or_else(PoisonError::into_inner).push(scope.to_owned());
    match shared.sign(&client) {
        Ok(token) => {
            let seconds = shared.seconds.load(Ordering::Relaxed);
            let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds });
            (StatusCode::OK, Json(answer))
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // One that cannot be accepted, or does not speak TLS, is its own concern.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
