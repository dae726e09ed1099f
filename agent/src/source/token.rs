//! A token for OAUTHBEARER that is given, or put into a file by somebody else. Those of a token
//! endpoint are fetched by librdkafka itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;

/// A token larger than this is a mistake in the file's name.
const BYTES_MAX: u64 = 256 << 10;
/// A token that does not say how long it lives is read again after about so long, ms.
const LIFE_UNSAID_MS: i64 = 300_000;

/// Where the token is. Debug is left out: it may be the token itself.
#[derive(Clone)]
pub(crate) enum Token {
    Given(String),
    File(PathBuf),
}

impl Token {
    /// Takes the token's properties, which are not librdkafka's, out of the others.
    pub(crate) fn take(properties: &mut BTreeMap<String, String>) -> Option<Self> {
        let given = properties.remove("sasl.oauthbearer.token").map(Self::Given);
        let file = properties.remove("sasl.oauthbearer.token.file").map(|path| Self::File(path.into()));
        given.or(file)
    }

    /// The token as it is now.
    pub(crate) fn read(&self, now_ms: i64) -> Result<OAuthToken, String> {
        let token = match self {
            Self::Given(token) => token.clone(),
            Self::File(path) => {
                let cannot =
                    |e: std::io::Error| format!("cannot read the token file {}: {e}", path.display());
                let size = std::fs::metadata(path).map_err(cannot)?.len();
                if size > BYTES_MAX {
                    return Err(format!("the token file {} has {size} bytes, not a token", path.display()));
                }
                std::fs::read_to_string(path).map_err(cannot)?
            }
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("what should be a token for OAUTHBEARER is none (RFC 6750)".to_owned());
        }
        let claims = claims(token);
        let ends_ms = claims.exp.map(|seconds| (seconds * 1000.0) as i64);
        if ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) {
            return Err("the token for OAUTHBEARER has expired".to_owned());
        }
        Ok(OAuthToken {
            token: token.to_owned(),
            principal_name: claims.sub.unwrap_or_else(|| "tapline".to_owned()),
            lifetime_ms: ends_ms.unwrap_or(now_ms + LIFE_UNSAID_MS),
        })
    }
}

#[derive(Default, serde::Deserialize)]
struct Claims {
    sub: Option<String>,
    /// Seconds since the epoch.
    exp: Option<f64>,
}

/// Those of a JWT; none of anything else.
fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn it_lives_as_long_as_it_says() {
        let token = |text: String| Token::Given(text).read(1_000_000);
        let read = token(jwt(r#"{"sub":"watch","exp":2000}"#)).expect("a token");
        assert_eq!((read.principal_name.as_str(), read.lifetime_ms), ("watch", 2_000_000));
        let opaque = token(" opaque\n".to_owned()).expect("a token");
        assert_eq!((opaque.token.as_str(), opaque.lifetime_ms), ("opaque", 1_300_000));
        assert!(token(jwt(r#"{"exp":999}"#)).is_err_and(|why| why.contains("expired")));
        for wrong in ["", " \n", "a b", "a\u{1}b"] {
            assert!(token(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn its_properties_do_not_reach_the_client() {
        let mut properties = BTreeMap::from([
            ("sasl.oauthbearer.token.file".to_owned(), "/run/token".to_owned()),
            ("client.id".to_owned(), "x".to_owned()),
        ]);
        assert!(matches!(Token::take(&mut properties), Some(Token::File(path)) if path.ends_with("token")));
        assert_eq!(properties.len(), 1);
        assert!(Token::take(&mut properties).is_none());
    }
}
