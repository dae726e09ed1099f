//! TLS by rustls, set up from the properties that Kafka users know.

use std::hash::{Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::WireError;
use super::connection::Stream;
use crate::cluster::config::{Pem, Secret, Tls as TlsConfig};

/// A PEM file larger than this is not a certificate bundle.
const PEM_BYTES_MAX: u64 = 16 << 20;

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// How to speak TLS with the brokers of one cluster.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// Names the property and the file that is wrong.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(config.ca.as_ref())?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if config.verify_hostname {
            builder.with_root_certificates(roots)
        } else {
            let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| error.to_string())?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName { inner }))
        };
        let config = match &config.client {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(&identity.certificate, "ssl.certificate.location")?;
                let key = private_key(&identity.key, identity.key_password.as_ref())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    format!("ssl.certificate.location and ssl.key.location do not fit: {error}")
                })?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// What stands in the files of a configuration, in short: another value says that one of
    /// them has changed. A file that cannot be read counts as empty.
    pub(crate) fn fingerprint(config: &TlsConfig) -> u64 {
        let identity = config.client.as_ref();
        let files = [config.ca.as_ref(), identity.map(|i| &i.certificate), identity.map(|i| &i.key)];
        let mut hasher = std::hash::DefaultHasher::new();
        for pem in files.into_iter().flatten() {
            if let Pem::File(_) = pem {
                read(pem, "").unwrap_or_default().hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    pub(super) async fn wrap(
        &self,
        tcp: TcpStream,
        host: &str,
        broker: &Arc<str>,
    ) -> Result<Box<dyn Stream>, WireError> {
        let failed = |reason: String| WireError::Tls { broker: Arc::clone(broker), reason };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(format!("{host:?} is not a host name")))?;
        match TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(explain(&error))),
        }
    }
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>())
}

/// What an error of an open connection means, if it is one of TLS.
pub(super) fn explained(error: &std::io::Error) -> Option<String> {
    tls_error(error).map(|_| explain(error))
}

fn explain(error: &std::io::Error) -> String {
    let advice = match tls_error(error) {
        // A bad signature is an authority of the same name with another key: a renewed one.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "; name the issuing authority's certificate in ssl.ca.location",
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            "; connect by a name that the certificate has (ssl.endpoint.identification.algorithm=none skips this check)"
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        )) => {
            "; the broker wants a certificate that it trusts: check ssl.certificate.location and ssl.key.location"
        }
        Some(rustls::Error::InvalidMessage(_)) => "; this listener does not speak TLS",
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "; this listener does not speak TLS, or wants a client certificate"
        }
        _ => "",
    };
    format!("{error}{advice}")
}

fn roots(ca: Option<&Pem>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in certificates(pem, "ssl.ca.location")? {
                store.add(certificate).map_err(|error| {
                    format!("ssl.ca.location: {pem} holds an unusable certificate: {error}")
                })?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (usable, _) = store.add_parsable_certificates(found.certs);
            if usable == 0 {
                return Err("this system has no certificate authorities: name yours in \
                            ssl.ca.location (a PEM file)"
                    .to_owned());
            }
        }
    }
    Ok(store)
}

fn certificates(pem: &Pem, property: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(pem, property)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| format!("{property}: {pem} is not PEM: {error}"))?;
    if found.is_empty() {
        return Err(format!("{property}: {pem} holds no certificate (PEM is expected)"));
    }
    Ok(found)
}

fn private_key(pem: &Pem, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(pem, "ssl.key.location")?;
    let text = String::from_utf8_lossy(&text);
    if let Some(at) = text.find(ENCRYPTED_BEGIN) {
        let Some(password) = password else {
            return Err(format!(
                "ssl.key.location: {pem} is encrypted: give its password in ssl.key.password"
            ));
        };
        let end = text[at..].find(ENCRYPTED_END).map_or(text.len(), |end| at + end + ENCRYPTED_END.len());
        return decrypt(&text[at..end], password)
            .map_err(|reason| format!("ssl.key.location: {pem}: {reason}"));
    }
    // OpenSSL's own form of before PKCS#8.
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "ssl.key.location: {pem} is encrypted in a form that is not supported: make it PKCS#8 \
             (openssl pkcs8 -topk8 -v2 aes256)"
        ));
    }
    // The error of the PEM reader says nothing of the key's content.
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| format!("ssl.key.location: {pem} holds no private key in PEM: {error}"))
}

/// Opens an encrypted PKCS#8 key (RFC 5958, by PBES2 of RFC 8018).
fn decrypt(pem: &str, password: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let (_, document) = pkcs8::SecretDocument::from_pem(pem)
        .map_err(|error| format!("the encrypted key is not PEM: {error}"))?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| {
        format!("the encrypted key is not PKCS#8 ({error}): make it so (openssl pkcs8 -topk8 -v2 aes256)")
    })?;
    let key = encrypted
        .decrypt(password.expose())
        .map_err(|error| format!("ssl.key.password does not open it ({error})"))?;
    Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into()))
}

/// The text, from wherever it is.
pub(super) fn read(pem: &Pem, property: &str) -> Result<Vec<u8>, String> {
    let path: &Path = match pem {
        Pem::Inline(text) => return Ok(text.expose().as_bytes().to_vec()),
        Pem::File(path) => path,
    };
    let cannot = |error: std::io::Error| format!("{property}: cannot read {pem}: {error}");
    if std::fs::metadata(path).map_err(cannot)?.len() > PEM_BYTES_MAX {
        return Err(format!("{property}: {pem} is larger than any certificate bundle"));
    }
    std::fs::read(path).map_err(cannot)
}

/// Verifies everything but the name (ssl.endpoint.identification.algorithm=none).
#[derive(Debug)]
struct AnyName {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // The name is checked last, after the chain has been found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
