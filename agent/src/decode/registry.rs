//! Schemas by id, from a registry with Confluent's API: cached, and never waited for twice in vain.
//!
//! A schema id comes from a payload, so anybody who can produce can make the agent ask: ids that
//! the registry does not know are remembered for a while, the requests a second are capped, and
//! after a failure the registry is left alone for a while (its records are decode failures
//! meanwhile, and counted).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use checks::limits::Limits;
use checks::schema::Schema;
use checks::tape::{DecodeFailure, reason};
use reqwest::{Client, StatusCode, Url};

use super::avro_schema::Plan;
use crate::config::RegistryConfig;
use crate::remote;
use crate::sample::RateCap;
use crate::status::Shared;

/// How long an id that is not known is not asked for again, ms: it may be registered yet.
const UNKNOWN_MS: i64 = 10_000;
/// How long a schema that cannot be used is not asked for again, ms.
const UNUSABLE_MS: i64 = 300_000;
/// First and longest time that a failing registry is left alone, ms.
const AWAY_FIRST_MS: i64 = 2_000;
const AWAY_MAX_MS: i64 = 60_000;
/// Requests a second.
const REQUESTS_A_SECOND: u64 = 20;

/// A schema as far as it is used.
#[derive(Debug)]
pub(crate) enum Fetched {
    Avro(Plan),
    /// The rest of the value is JSON; of this schema, if it could be compiled.
    Json(Option<Schema>),
    Protobuf,
}

/// What is known of an id.
enum Known {
    Schema(Fetched),
    Not { failure: DecodeFailure, until_ms: i64 },
}

/// The registry.
pub(crate) struct Registry {
    client: Client,
    base: Url,
    shown: String,
    credentials: Option<(String, String)>,
    runtime: tokio::runtime::Handle,
    limits: Limits,
    shared: Arc<Shared>,
    known: HashMap<u32, Known, ahash::RandomState>,
    cap: RateCap,
    away: Option<Away>,
}

/// The registry failed.
struct Away {
    why: String,
    until_ms: i64,
    for_ms: i64,
}

/// Why a request did not give a schema.
#[derive(Debug)]
enum Miss {
    /// There is no such id.
    Unknown,
    /// It is there, and of no use.
    Unusable(String),
    /// The registry does not answer as it should.
    Away(String),
}

impl Registry {
    /// # Errors
    /// The address is none, or the certificate is none; never with secrets.
    pub(crate) fn new(
        config: &RegistryConfig,
        limits: &Limits,
        runtime: tokio::runtime::Handle,
        shared: Arc<Shared>,
        now_ms: i64,
    ) -> Result<Self, String> {
        let base = Url::parse(config.url.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or("registry.url must be like https://registry:8081")?;
        let timeout = Duration::from_millis(limits.remote_timeout_ms.max(1));
        Ok(Self {
            client: remote::client(timeout, config.ca_pem.as_deref())?,
            shown: remote::shown(base.as_str()),
            base,
            credentials: config.credentials.clone(),
            runtime,
            limits: limits.clone(),
            shared,
            known: HashMap::default(),
            cap: RateCap::new(REQUESTS_A_SECOND, now_ms),
            away: None,
        })
    }

    /// The schema of this id. Waits for the registry at most `limits.remote_timeout_ms`, and only
    /// if it has not failed lately.
    pub(crate) fn schema(&mut self, id: u32, now_ms: i64) -> Result<&Fetched, DecodeFailure> {
        if !matches!(self.known.get(&id), Some(Known::Schema(_))) {
            let fetched = self.ask(id, now_ms)?;
            self.make_room();
            self.known.insert(id, Known::Schema(fetched));
        }
        match self.known.get(&id) {
            Some(Known::Schema(schema)) => Ok(schema),
            _ => Err(DecodeFailure::new(reason::INTERNAL, format!("schema {id} was just here"))),
        }
    }

    /// The schema of an id that is not here.
    fn ask(&mut self, id: u32, now_ms: i64) -> Result<Fetched, DecodeFailure> {
        if let Some(Known::Not { failure, until_ms }) = self.known.get(&id)
            && now_ms < *until_ms
        {
            return Err(failure.clone());
        }
        let unavailable =
            |why: String| Err(DecodeFailure::new(reason::SCHEMA_UNAVAILABLE, format!("schema {id}: {why}")));
        if let Some(away) = self.away.as_ref().filter(|away| now_ms < away.until_ms) {
            return unavailable(away.why.clone());
        }
        if !self.cap.take(now_ms) {
            return unavailable(format!("more than {REQUESTS_A_SECOND} new schema ids a second"));
        }
        let fetched = self.runtime.block_on(fetch(
            &self.client,
            &self.base,
            self.credentials.as_ref(),
            id,
            &self.limits,
        ));
        match fetched {
            Ok(schema) => {
                self.works();
                Ok(schema)
            }
            Err(Miss::Unknown) => {
                self.works();
                let detail = format!("registry {} does not know schema {id}", self.shown);
                self.remember(id, DecodeFailure::new(reason::UNKNOWN_SCHEMA, detail), now_ms + UNKNOWN_MS)
            }
            Err(Miss::Unusable(why)) => {
                self.works();
                let detail = format!("schema {id}: {why}");
                tracing::warn!("{detail}");
                self.remember(
                    id,
                    DecodeFailure::new(reason::SCHEMA_UNAVAILABLE, detail),
                    now_ms + UNUSABLE_MS,
                )
            }
            Err(Miss::Away(why)) => {
                let why = format!("registry {}: {why}", self.shown);
                self.shared.error("registry", why.clone());
                let for_ms =
                    self.away.as_ref().map_or(AWAY_FIRST_MS, |away| (away.for_ms * 2).min(AWAY_MAX_MS));
                // From when it was given up, not from when it was asked.
                let until_ms = crate::worker::now_ms().max(now_ms) + for_ms;
                self.away = Some(Away { why: why.clone(), until_ms, for_ms });
                unavailable(why)
            }
        }
    }

    fn works(&mut self) {
        if self.away.take().is_some() {
            self.shared.works("registry");
        }
    }

    fn remember(&mut self, id: u32, failure: DecodeFailure, until_ms: i64) -> Result<Fetched, DecodeFailure> {
        self.make_room();
        self.known.insert(id, Known::Not { failure: failure.clone(), until_ms });
        Err(failure)
    }

    /// What is not a schema goes first.
    fn make_room(&mut self) {
        if self.known.len() >= self.limits.schemas.max(1) {
            self.known.retain(|_, known| matches!(known, Known::Schema(_)));
        }
        if self.known.len() >= self.limits.schemas.max(1)
            && let Some(any) = self.known.keys().next().copied()
        {
            self.known.remove(&any);
        }
    }
}

/// The answer to `GET /schemas/ids/{id}`.
#[derive(serde::Deserialize)]
struct SchemaAnswer {
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

async fn fetch(
    client: &Client,
    base: &Url,
    credentials: Option<&(String, String)>,
    id: u32,
    limits: &Limits,
) -> Result<Fetched, Miss> {
    let mut request = client.get(format!("{}/schemas/ids/{id}", base.as_str().trim_end_matches('/')));
    if let Some((user, password)) = credentials {
        request = request.basic_auth(user, Some(password));
    }
    let response = request.send().await.map_err(|e| Miss::Away(remote::cause(&e)))?;
    match response.status() {
        StatusCode::NOT_FOUND => return Err(Miss::Unknown),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let why = format!("it refuses the credentials ({})", response.status());
            return Err(Miss::Away(why));
        }
        status if !status.is_success() => return Err(Miss::Away(status.to_string())),
        _ => {}
    }
    // The schema stands as a string in the answer: every quote of it takes two bytes.
    let bytes_max = limits.schema_bytes.saturating_mul(2).saturating_add(64 << 10);
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(Miss::Unusable(format!(
            "larger than {} bytes (limits.schema_bytes)",
            limits.schema_bytes
        )));
    }
    let body = remote::body(response, bytes_max).await.map_err(Miss::Away)?;
    let answer: SchemaAnswer =
        serde_json::from_slice(&body).map_err(|e| Miss::Away(format!("its answer is not readable: {e}")))?;
    if answer.schema.len() > limits.schema_bytes {
        let why = format!(
            "{} bytes; at most {} are taken (limits.schema_bytes)",
            answer.schema.len(),
            limits.schema_bytes
        );
        return Err(Miss::Unusable(why));
    }
    match answer.schema_type.as_deref().unwrap_or("AVRO") {
        "PROTOBUF" => Ok(Fetched::Protobuf),
        "JSON" if !answer.references.is_empty() => Ok(Fetched::Json(None)),
        "JSON" => match Schema::compile(&answer.schema, limits) {
            Ok(schema) => Ok(Fetched::Json(Some(schema))),
            Err(error) => {
                tracing::warn!("schema {id}: {error}: its values are decoded, but not held against it");
                Ok(Fetched::Json(None))
            }
        },
        "AVRO" if !answer.references.is_empty() => {
            Err(Miss::Unusable("it refers to other schemas, which is not supported yet".to_owned()))
        }
        "AVRO" => match Plan::compile(&answer.schema) {
            Ok(plan) => Ok(Fetched::Avro(plan)),
            Err(why) => Err(Miss::Unusable(format!("not an Avro schema: {why}"))),
        },
        other => Err(Miss::Unusable(format!("of a type that is not known: {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
