//! HTTP to what is not ours: bounded in time and size, and silent about secrets.

use std::time::Duration;

use reqwest::{Client, Response};

/// A client whose every request ends within the timeout. Redirects are not followed: credentials
/// must not travel to where a peer points.
pub(crate) fn client(timeout: Duration, ca_pem: Option<&[u8]>) -> Result<Client, String> {
    // The first one installed stays: whoever composes the process may have its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tapline/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = ca_pem {
        let certificates =
            reqwest::Certificate::from_pem_bundle(pem).map_err(|e| format!("the CA certificate: {e}"))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|e| format!("cannot set up HTTP: {}", cause(&e)))
}

/// Is it an address of HTTP?
///
/// # Errors
/// What it should be like, without repeating it.
pub(crate) fn check(address: &str, key: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(url) if url.has_host() => Ok(()),
        _ => Err(format!("{key} must be an address like https://host:8081")),
    }
}

/// The address without what may be secret in it.
pub(crate) fn shown(address: &str) -> String {
    match reqwest::Url::parse(address) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "(not an address)".to_owned(),
    }
}

/// What went wrong, down to the first cause; never the address, which may hold credentials.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    if std::ptr::addr_eq(source, error) { "the request failed".to_owned() } else { source.to_string() }
}

/// Reads a body of at most so many bytes.
pub(crate) async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| cause(&e))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(format!("the answer is larger than {bytes_max} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_secrets() {
        assert_eq!(shown("http://user:secret@host:1/a?token=secret"), "http://host:1/a");
        assert_eq!(shown("user:secret"), shown("user:secret"));
        assert!(!shown("no address with a secret").contains("secret"));
    }
}
