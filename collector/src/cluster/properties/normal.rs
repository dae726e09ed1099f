//! One set of names: librdkafka's. What Java clients call otherwise, or put into a JAAS line, is
//! written as librdkafka writes it, so that both clients are told the same.

use std::collections::BTreeMap;

use super::{PropertyError, wrong};

/// A token that is given as it is; our own name, librdkafka has none.
pub(super) const TOKEN: &str = "sasl.oauthbearer.token";
/// The file of a token; our own name, librdkafka has none.
pub(super) const TOKEN_FILE: &str = "sasl.oauthbearer.token.file";
/// Where tokens are fetched.
pub(super) const TOKEN_URL: &str = "sasl.oauthbearer.token.endpoint.url";
/// Who fetches them.
pub(super) const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
/// That client's secret.
pub(super) const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
/// The scope to ask for.
pub(super) const SCOPE: &str = "sasl.oauthbearer.scope";
/// What goes to the broker beside the token (KIP-342).
pub(super) const EXTENSIONS: &str = "sasl.oauthbearer.extensions";
/// The password of an encrypted private key.
pub(super) const KEY_PASSWORD: &str = "ssl.key.password";
const ALGORITHM: &str = "ssl.endpoint.identification.algorithm";
const JAAS: &str = "sasl.jaas.config";

/// Other names of the same: Java's (KIP-1258 among them), and librdkafka's old ones.
const ALIASES: [(&str, &str); 6] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.client.credentials.client.id", CLIENT_ID),
    ("sasl.oauthbearer.client.credentials.client.secret", CLIENT_SECRET),
    // Java's clients in KIP-651's form.
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
];

/// Names that only Java clients know, and that change nothing once the above is read.
const JAVA_ONLY: [&str; 6] = [
    "sasl.login.callback.handler.class",
    "sasl.client.callback.handler.class",
    "sasl.login.class",
    "ssl.truststore.type",
    "ssl.truststore.password",
    "ssl.keystore.type",
];

/// The properties under librdkafka's names, with Tapline's own where librdkafka has none
/// (`sasl.oauthbearer.token`, `sasl.oauthbearer.token.file`). Values are trimmed; empty ones are
/// left out.
///
/// # Errors
/// A property that neither client can use, by its name; never its value if that is secret.
pub fn normalized(given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, PropertyError> {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in given {
        // A password may begin with a space; everything else was only written with one.
        let value = if key.ends_with("password") { value.as_str() } else { value.trim() };
        if !value.is_empty() {
            properties.insert(key.clone(), value.to_owned());
        } else if key == ALGORITHM {
            // Java says "none" by an empty value.
            properties.insert(key.clone(), "none".to_owned());
        }
    }
    for (alias, name) in ALIASES {
        if let Some(value) = properties.remove(alias) {
            properties.entry(name.to_owned()).or_insert(value);
        }
    }
    stores(&mut properties)?;
    jaas(&mut properties)?;
    if let Some(path) = properties.get(TOKEN_URL).and_then(|url| url.strip_prefix("file://")) {
        let path = path.to_owned();
        properties.remove(TOKEN_URL);
        properties.entry(TOKEN_FILE.to_owned()).or_insert(path);
    }
    let is_oauth = properties.get("sasl.mechanism").is_some_and(|m| m.eq_ignore_ascii_case("OAUTHBEARER"));
    if is_oauth && !properties.contains_key(TOKEN) && !properties.contains_key(TOKEN_FILE) {
        // librdkafka fetches tokens only when it is told so.
        properties.insert("sasl.oauthbearer.method".to_owned(), "oidc".to_owned());
    }
    for name in JAVA_ONLY {
        properties.remove(name);
    }
    Ok(properties)
}

/// Java's key stores, where they are PEM (KIP-651).
fn stores(properties: &mut BTreeMap<String, String>) -> Result<(), PropertyError> {
    for (store, kind, instead, targets) in [
        ("ssl.truststore.location", "ssl.truststore.type", "ssl.ca.location", &["ssl.ca.location"][..]),
        (
            "ssl.keystore.location",
            "ssl.keystore.type",
            "ssl.certificate.location and ssl.key.location",
            // One file holds the key and its chain.
            &["ssl.certificate.location", "ssl.key.location"][..],
        ),
    ] {
        let is_pem = properties.get(kind).is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
        let Some(path) = properties.get(store).cloned() else { continue };
        if is_pem {
            properties.remove(store);
            for target in targets {
                properties.entry((*target).to_owned()).or_insert_with(|| path.clone());
            }
        } else if targets.iter().all(|target| properties.contains_key(*target)) {
            // Written for both kinds of clients: ours is the PEM.
            properties.remove(store);
        } else {
            return wrong(store, format!("Java key stores are not read: export it as PEM and set {instead}"));
        }
    }
    properties.remove("ssl.keystore.password");
    if let Some(key) = properties.remove("ssl.keystore.key") {
        properties.entry("ssl.key.pem".to_owned()).or_insert(key);
    }
    Ok(())
}

/// What stands in a JAAS line, under the names of its own properties; those win.
fn jaas(properties: &mut BTreeMap<String, String>) -> Result<(), PropertyError> {
    let Some(line) = properties.remove(JAAS) else { return Ok(()) };
    let mechanism = properties.get("sasl.mechanism").map(|m| m.to_ascii_uppercase());
    let (module, names): (&str, &[(&str, &str)]) = match mechanism.as_deref() {
        Some("PLAIN") => {
            ("PlainLoginModule", &[("username", "sasl.username"), ("password", "sasl.password")])
        }
        Some("SCRAM-SHA-256" | "SCRAM-SHA-512") => {
            ("ScramLoginModule", &[("username", "sasl.username"), ("password", "sasl.password")])
        }
        Some("OAUTHBEARER") => (
            "OAuthBearerLoginModule",
            &[("clientId", CLIENT_ID), ("clientSecret", CLIENT_SECRET), ("scope", SCOPE)],
        ),
        // Whoever asks for the mechanism says what is wrong with it.
        _ => return Ok(()),
    };
    let options = jaas_options(&line, module)
        .map_err(|reason| PropertyError { key: JAAS, reason: reason.to_owned() })?;
    let mut extensions = Vec::new();
    for (option, value) in options {
        if let Some((_, name)) = names.iter().find(|(known, _)| *known == option) {
            properties.entry((*name).to_owned()).or_insert(value);
        } else if let Some(extension) = option.strip_prefix("extension_") {
            extensions.push(format!("{extension}={value}"));
        }
    }
    if !extensions.is_empty() && module == "OAuthBearerLoginModule" {
        properties.entry(EXTENSIONS.to_owned()).or_insert(extensions.join(","));
    }
    Ok(())
}

/// The options of one JAAS line: `package.Module required key="value" …;`.
pub(super) fn jaas_options(line: &str, module: &str) -> Result<BTreeMap<String, String>, &'static str> {
    const FORM: &str = "write: org.apache.kafka.common.security.….LoginModule required \
                        username=\"…\" password=\"…\";";
    let mut words = line.trim_start().splitn(2, char::is_whitespace);
    if !words.next().is_some_and(|class| class.ends_with(module)) {
        return Err(
            "the login module does not fit sasl.mechanism (PlainLoginModule, ScramLoginModule or OAuthBearerLoginModule)",
        );
    }
    let rest = words.next().unwrap_or("").trim_start();
    let mut rest = rest.strip_prefix("required").ok_or(FORM)?;
    let mut options = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(';') {
            return Ok(options);
        }
        let (key, after) = rest.split_once('=').ok_or(FORM)?;
        let mut chars = after.char_indices();
        let quote = match chars.next() {
            Some((_, quote @ ('"' | '\''))) => Some(quote),
            Some(_) => None,
            None => return Err(FORM),
        };
        let mut value = String::new();
        let mut end = None;
        if quote.is_none() {
            chars = after.char_indices();
        }
        while let Some((at, c)) = chars.next() {
            match (c, quote) {
                ('\\', Some(_)) => value.push(chars.next().ok_or(FORM)?.1),
                (c, Some(quote)) if c == quote => {
                    end = Some(at + c.len_utf8());
                    break;
                }
                (c, None) if c.is_whitespace() || c == ';' => {
                    end = Some(at);
                    break;
                }
                (c, _) => value.push(c),
            }
        }
        let end = match (end, quote) {
            (Some(end), _) => end,
            (None, None) => after.len(),
            (None, Some(_)) => return Err("a quote is not closed"),
        };
        options.insert(key.trim().to_owned(), value);
        rest = &after[end..];
    }
}
