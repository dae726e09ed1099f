//! What agents send and ask.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use checks::report::{Report, ReportError};

use super::api::refuse;
use super::{App, guard};
use crate::export::json as shapes;
use crate::ingest::IngestError;

/// Topics asked for in one request.
const TOPICS_MAX: usize = 1_000;

/// `POST /api/v1/reports`: 200 once the report is written ahead (or was before), 400, 413, 415 or
/// 422 when it never can be, 503 when it may be sent again.
pub(super) async fn take(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap_or_default());
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("zstd")) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a report is protobuf under zstd: Content-Encoding: zstd",
        );
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    let Ok(place) = Arc::clone(&app.reports).try_acquire_owned() else {
        return guard::busy("other reports are being taken\n");
    };
    let limits = app.parts.limits.clone();
    let decoded = tokio::task::spawn_blocking(move || Report::decode_bounded(&body, &limits)).await;
    let report = match decoded {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            tracing::warn!("a report was refused: {error}");
            let status = match error {
                ReportError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            return refuse(status, error.to_string());
        }
        Err(error) => {
            tracing::error!("a report could not be decoded: {error}");
            return refuse(StatusCode::BAD_REQUEST, "the report could not be decoded");
        }
    };
    let taken = app.parts.ingest.apply(report).await;
    drop(place);
    match taken {
        Ok(()) => (StatusCode::OK, "taken\n").into_response(),
        Err(error) => unavailable(&error),
    }
}

/// `GET /api/v1/positions?topic=…&topic=…`.
pub(super) async fn positions(
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let topics: Vec<String> =
        query.into_iter().filter(|(name, _)| name == "topic").map(|(_, topic)| topic).collect();
    if topics.len() > TOPICS_MAX {
        return refuse(StatusCode::BAD_REQUEST, format!("at most {TOPICS_MAX} topics in one request"));
    }
    match app.parts.ingest.positions(topics).await {
        Ok(known) => ([(header::CONTENT_TYPE, "application/json")], shapes::positions(&known).to_string())
            .into_response(),
        Err(error) => unavailable(&error),
    }
}

pub(super) fn unavailable(error: &IngestError) -> Response {
    match error {
        IngestError::Refused(_) => refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        // Text: agents show it as it is.
        IngestError::Unkept(_) => {
            let mut answer = guard::busy("");
            *answer.body_mut() = format!("{error}\n").into();
            answer
        }
        IngestError::Busy => guard::busy("the queue of reports is full\n"),
        IngestError::Stopped => guard::busy("the collector is stopping\n"),
    }
}
