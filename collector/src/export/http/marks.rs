//! What people tell of known events (`tapline mark`).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::DateTime;
use serde::Deserialize;

use super::App;
use super::api::{answer, refuse};
use super::reports::unavailable;
use crate::export::json as shapes;
use crate::state::{MarkError, NewMark};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    topics: Vec<String>,
    from: String,
    to: String,
    note: String,
}

/// `GET /api/v1/marks`.
pub(super) async fn list(State(app): State<App>) -> Response {
    answer(&shapes::marks(&app.parts.views.load()))
}

/// `POST /api/v1/marks`: 201 once it is in force and kept, 400, 409, 413 or 415 when it can't be, 503
/// when it may be told again.
pub(super) async fn tell(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A page of another origin can't say this without asking first, and is told no.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a mark is JSON: Content-Type: application/json");
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    let what = match read(&body) {
        Ok(what) => what,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    // One at a time: each is written to the disk.
    let Ok(place) = Arc::clone(&app.marks).acquire_owned().await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the collector is stopping");
    };
    let told = app.parts.ingest.mark(what).await;
    drop(place);
    match told {
        Ok(Ok(marked)) => (StatusCode::CREATED, answer(&shapes::marked(&marked))).into_response(),
        Ok(Err(error)) => refused(&error),
        Err(error) => unavailable(&error),
    }
}

/// `DELETE /api/v1/marks/{id}`: 200 once it is taken back, 404 if there is none.
pub(super) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Response {
    let Ok(number) = id.parse() else {
        let shown: String = id.escape_debug().take(40).collect();
        return refuse(
            StatusCode::NOT_FOUND,
            format!("a mark has a number, not {shown:?}: /api/v1/marks lists them"),
        );
    };
    let Ok(place) = Arc::clone(&app.marks).acquire_owned().await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the collector is stopping");
    };
    let removed = app.parts.ingest.unmark(number).await;
    drop(place);
    match removed {
        Ok(Ok(())) => answer(&serde_json::json!({"version": 1, "removed": number})),
        Ok(Err(error)) => refused(&error),
        Err(error) => unavailable(&error),
    }
}

fn read(body: &[u8]) -> Result<NewMark, String> {
    let told: Told = serde_json::from_slice(body).map_err(|e| {
        format!("not a mark: {e}; as in {{\"topics\":[\"orders\"],\"from\":\"2026-11-27T00:00:00Z\",\"to\":\"2026-11-28T00:00:00Z\",\"note\":\"Black Friday\"}}")
    })?;
    let time = |name: &str, text: &str| {
        DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_millis()).map_err(|_| {
            let shown: String = text.escape_debug().take(40).collect();
            format!("`{name}`: \"{shown}\" is no time as RFC 3339 has them (2026-11-27T00:00:00Z)")
        })
    };
    Ok(NewMark {
        from_ms: time("from", &told.from)?,
        to_ms: time("to", &told.to)?,
        topics: told.topics,
        note: told.note,
    })
}

fn refused(error: &MarkError) -> Response {
    let status = match error {
        MarkError::Invalid(_) => StatusCode::BAD_REQUEST,
        MarkError::TooMany => StatusCode::CONFLICT,
        MarkError::Unknown(_) => StatusCode::NOT_FOUND,
        MarkError::Unkept(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, error.to_string())
}
