//! Keys that are encrypted, and files that change.

use super::*;

/// `openssl genpkey -algorithm EC …` and `openssl pkcs8 -topk8 -v2 aes256`, password `opensesame`.
const ENCRYPTED: &str = include_str!("encrypted.pem");

fn opened(text: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.map(Secret::from);
    private_key(&Pem::Inline(Secret::from(text)), password.as_ref())
}

#[test]
fn an_encrypted_key_is_opened_by_its_password_alone() {
    let key = opened(ENCRYPTED, Some("opensesame")).expect("opened");
    rustls::crypto::ring::sign::any_supported_type(&key).expect("a key that signs");
    // Beside its certificate in one file, as Java's PEM key stores have it.
    let beside = format!("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n{ENCRYPTED}\n");
    assert_eq!(opened(&beside, Some("opensesame")), Ok(key));
    let why = opened(ENCRYPTED, None).expect_err("no password");
    assert!(why.contains("ssl.key.password"), "{why}");
    let why = opened(ENCRYPTED, Some("hunter2")).expect_err("another password");
    assert!(why.contains("ssl.key.password does not open it") && !why.contains("hunter2"), "{why}");
    for cut in [30, 60, 200] {
        assert!(opened(&ENCRYPTED[..cut], Some("opensesame")).is_err());
    }
    let old =
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END EC PRIVATE KEY-----\n";
    let why = opened(old, Some("opensesame")).expect_err("another form");
    assert!(why.contains("openssl pkcs8 -topk8"), "{why}");
}

#[test]
fn a_change_in_any_file_changes_the_fingerprint() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let config = TlsConfig {
        ca: Some(Pem::File(path("ca"))),
        client: Some(crate::cluster::config::ClientIdentity {
            certificate: Pem::File(path("cert")),
            key: Pem::File(path("key")),
            key_password: None,
        }),
        verify_hostname: true,
    };
    let mut seen = vec![Tls::fingerprint(&config)];
    for (name, text) in [("ca", "1"), ("cert", "1"), ("key", "1"), ("cert", "2")] {
        std::fs::write(path(name), text).expect("written");
        let now = Tls::fingerprint(&config);
        assert!(!seen.contains(&now), "{name}");
        assert_eq!(Tls::fingerprint(&config), now);
        seen.push(now);
    }
}
