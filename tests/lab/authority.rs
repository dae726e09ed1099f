//! Throw-away certificate authorities, and certificates that they sign: all PEM, made in a moment.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its private key (PKCS#8), both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, signed by the authority.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Identity {
    /// Both in one text, the key first: a key store in PEM, as Kafka's brokers take it (KIP-651).
    pub fn store(&self) -> String {
        format!("{}{}", self.key, self.certificate)
    }
}

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = named(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for 127.0.0.1 and localhost whose subject is `CN=<name>`; good for servers and clients.
    pub fn issue(&self, name: &str) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = named(name, &["127.0.0.1", "localhost"])?.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
