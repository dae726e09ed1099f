//! What is answered from the last snapshots.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use crate::export::json as shapes;
use crate::export::metrics::format::{self, Format};
use crate::export::metrics::{Extra, Source};
use crate::export::page;
use crate::state::Stretch;

/// A topic's name is at most this long (Kafka's own bound).
const TOPIC_BYTES_MAX: usize = 249;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn answer(document: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// An error in JSON.
pub(super) fn refuse(status: StatusCode, why: impl Into<String>) -> Response {
    let document = json!({"version": 1, "error": why.into()});
    (status, [(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// Takes long answers off the threads that serve sockets.
async fn made<T: IntoResponse + Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(make).await {
        Ok(made) => made.into_response(),
        Err(error) => {
            tracing::error!("an answer could not be made: {error}");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made; the log says why")
        }
    }
}

pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let parts = &app.parts;
    let source = Source::Collector {
        view: parts.views.load(),
        cluster: parts.cluster.borrow().clone(),
        extra: Extra {
            now_ms: now_ms(),
            build: parts.build.clone(),
            otlp: parts.spans.as_ref().map(|spans| spans()),
            series_budget: parts.series_budget,
            compat: parts.compat.clone(),
        },
    };
    exposition(source, &headers).await
}

pub(super) async fn exposition(source: Source, headers: &HeaderMap) -> Response {
    let accept =
        headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
    let format = Format::negotiate(&accept);
    made(move || match format::encode(source, format) {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the series could not be encoded"),
    })
    .await
}

pub(super) async fn lag(State(app): State<App>) -> Response {
    let cluster = app.parts.cluster.borrow().clone();
    made(move || answer(&crate::cluster::json::to_json(&cluster))).await
}

pub(super) async fn topics(State(app): State<App>) -> Response {
    let (view, cluster) = (app.parts.views.load(), app.parts.cluster.borrow().clone());
    made(move || answer(&shapes::topics(&view, &cluster))).await
}

pub(super) async fn checks(State(app): State<App>) -> Response {
    let view = app.parts.views.load();
    made(move || answer(&shapes::checks(&view))).await
}

pub(super) async fn findings(State(app): State<App>) -> Response {
    let view = app.parts.views.load();
    made(move || answer(&shapes::findings(&view))).await
}

pub(super) async fn finding(State(app): State<App>, Path(id): Path<String>) -> Response {
    let view = app.parts.views.load();
    made(move || match shapes::finding_explained(&view, &id) {
        Some(found) => answer(&found),
        None => refuse(StatusCode::NOT_FOUND, NO_SUCH_FINDING),
    })
    .await
}

pub(super) async fn pipelines(State(app): State<App>) -> Response {
    answer(&shapes::pipelines(&app.parts.views.load()))
}

pub(super) async fn agents(State(app): State<App>) -> Response {
    answer(&shapes::agents(&app.parts.views.load()))
}

/// Of the last closed window; with `?window=5m`, or `?from=…&to=…`, of that stretch of time.
pub(super) async fn profile(
    State(app): State<App>,
    Path(topic): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    match stretch(&query) {
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
        Ok(Some(stretch)) => {
            return match app.parts.ingest.profile(topic.clone(), stretch).await {
                Ok(Some(known)) => made(move || answer(&shapes::profile_of(&topic, &known))).await,
                Ok(None) => refuse(StatusCode::NOT_FOUND, no_such(&topic)),
                Err(error) => super::reports::unavailable(&error),
            };
        }
        Ok(None) => {}
    }
    let view = app.parts.views.load();
    made(move || match view.topics.get(&topic) {
        Some(found) => answer(&shapes::profile(&topic, found)),
        None => refuse(StatusCode::NOT_FOUND, no_such(&topic)),
    })
    .await
}

/// The stretch of time that is asked for; `None` where none is.
fn stretch(query: &[(String, String)]) -> Result<Option<Stretch>, String> {
    let (mut window, mut from, mut to) = (None, None, None);
    for (name, value) in query {
        let place = match name.as_str() {
            "window" => &mut window,
            "from" => &mut from,
            "to" => &mut to,
            other => return Err(format!("`{other}` is no parameter of a profile: window, or from and to")),
        };
        if place.replace(value).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    match (window, from, to) {
        (None, None, None) => Ok(None),
        (Some(window), None, None) => {
            let ms = checks::yaml::parse_duration_ms(window)
                .map_err(|e| format!("window: `{window}` is {}: {}", e.message, e.help))?;
            if ms == 0 { Err("window: nothing lies in 0s".to_owned()) } else { Ok(Some(Stretch::Last(ms))) }
        }
        (None, Some(from), Some(to)) => {
            let (from, to) = (moment("from", from)?, moment("to", to)?);
            if from >= to {
                return Err("`to` must be later than `from`".to_owned());
            }
            Ok(Some(Stretch::Between(from, to)))
        }
        _ => Err("give either window, or both from and to".to_owned()),
    }
}

fn moment(name: &str, text: &str) -> Result<i64, String> {
    // In a query a plus sign that is not encoded is read as a space.
    let plain = text.replace(' ', "+");
    chrono::DateTime::parse_from_rfc3339(&plain).map(|at| at.timestamp_millis()).or_else(|_| {
        text.parse::<i64>().map_err(|_| {
            format!("{name}: `{text}` is no time: write 2026-01-31T12:00:00Z, or milliseconds since 1970")
        })
    })
}
/// What it was is not known: the id says nothing, and is not repeated.
const NO_SUCH_FINDING: &str =
    "no finding has this id, or it was resolved long ago: /api/v1/findings lists those that are kept";

fn no_such(topic: &str) -> String {
    if topic.len() > TOPIC_BYTES_MAX {
        return format!("no topic has a name of {} bytes", topic.len());
    }
    format!("no agent observes a topic {topic:?}: /api/v1/topics lists those that are known")
}

pub(super) async fn page(State(app): State<App>) -> Response {
    shown(app, |seen| html(StatusCode::OK, |nonce| page::overview(seen, nonce))).await
}

pub(super) async fn finding_page(State(app): State<App>, Path(id): Path<String>) -> Response {
    shown(app, move |seen| match seen.view.findings.iter().find(|f| f.id == id) {
        Some(found) => html(StatusCode::OK, |nonce| page::finding(seen, found, nonce)),
        None => html(StatusCode::NOT_FOUND, |nonce| page::missing(seen, NO_SUCH_FINDING, nonce)),
    })
    .await
}

pub(super) async fn topic_page(State(app): State<App>, Path(topic): Path<String>) -> Response {
    shown(app, move |seen| match seen.view.topics.get(&topic) {
        Some(found) => html(StatusCode::OK, |nonce| page::topic(seen, &topic, found, nonce)),
        None => html(StatusCode::NOT_FOUND, |nonce| page::missing(seen, &no_such(&topic), nonce)),
    })
    .await
}

/// A page of what is known now.
async fn shown(app: App, make: impl FnOnce(&page::Seen<'_>) -> Response + Send + 'static) -> Response {
    let (view, cluster) = (app.parts.views.load(), app.parts.cluster.borrow().clone());
    let not_ready = app.parts.readiness.why_not();
    let version = app.parts.build.version.clone();
    made(move || {
        let (view, cluster, version) = (&*view, &*cluster, version.as_str());
        make(&page::Seen { view, cluster, not_ready, version, now_ms: now_ms() })
    })
    .await
}

/// A page whose own script and style are the only ones a browser runs.
fn html(status: StatusCode, make: impl FnOnce(&str) -> String) -> Response {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (status, headers, make(&nonce)).into_response()
}

/// 128 bits that nobody can guess: SipHash under keys that the standard library draws from the
/// system's randomness.
fn nonce() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let draw = || RandomState::new().hash_one(SystemTime::now());
    format!("{:016x}{:016x}", draw(), draw())
}
