//! Around every request: a place among those answered at once, a time limit, and the headers that
//! keep a browser from doing with our pages what we did not mean.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

/// Requests answered at once.
const REQUESTS: usize = 64;
/// How long one may take, its body included.
const TIME: Duration = Duration::from_secs(15);

/// Set where the handler has set none.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) fn around(routes: Router) -> Router {
    routes.layer(from_fn_with_state(Arc::new(Semaphore::new(REQUESTS)), guard))
}

async fn guard(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let mut response = match places.try_acquire() {
        Err(_) => busy("too many requests at once\n"),
        Ok(_place) => match tokio::time::timeout(TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// 503, try again in a second.
pub(super) fn busy(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], why).into_response()
}
