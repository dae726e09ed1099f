//! TLS by rustls, set up from the properties that Kafka users know.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::WireError;
use super::connection::Stream;
use crate::cluster::config::{Pem, Tls as TlsConfig};

/// A PEM file larger than this is not a certificate bundle.
const PEM_BYTES_MAX: u64 = 16 << 20;

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
                let key = private_key(&identity.key)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    format!("ssl.certificate.location and ssl.key.location do not fit: {error}")
                })?
            }
        };
        Ok(Self { config: Arc::new(config) })
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

fn explain(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let advice = match inner {
        // A bad signature is an authority of the same name with another key: a renewed one.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "; name the issuing authority's certificate in ssl.ca.location",
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            "; connect by a name that the certificate has (ssl.endpoint.identification.algorithm=none skips this check)"
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

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(pem, "ssl.key.location")?;
    if text.windows(9).any(|w| w == b"ENCRYPTED") {
        return Err(format!(
            "ssl.key.location: {pem} is encrypted, which is not supported: decrypt it \
             (openssl pkey) and guard the file instead"
        ));
    }
    // The error of the PEM reader says nothing of the key's content.
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| format!("ssl.key.location: {pem} holds no private key in PEM: {error}"))
}

fn read(pem: &Pem, property: &str) -> Result<Vec<u8>, String> {
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
