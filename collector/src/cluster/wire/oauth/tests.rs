//! Token endpoints that answer, refuse, lie and hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::*;

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn life(body: &str) -> Result<f64, String> {
    read(body.as_bytes(), 1_000.0).map(|(_, life)| life.as_secs_f64())
}

#[test]
fn a_token_says_how_long_it_lives_or_is_not_trusted_for_long() {
    assert_eq!(life(r#"{"access_token":"a","expires_in":60}"#), Ok(60.0));
    assert_eq!(life(r#"{"access_token":"a","expires_in":"60"}"#), Ok(60.0));
    assert_eq!(life(r#"{"access_token":"a"}"#), Ok(300.0));
    assert_eq!(life(r#"{"access_token":"a","expires_in":1e300}"#), Ok(86_400.0));
    let of = |claims: &str| life(&format!(r#"{{"access_token":"{}"}}"#, jwt(claims)));
    assert_eq!(of(r#"{"exp":1060}"#), Ok(60.0));
    assert_eq!(of(r#"{"exp":9060,"iat":9000}"#), Ok(60.0), "by the provider's own clock");
    assert!(of(r#"{"exp":900}"#).is_err_and(|why| why.contains("expired")));
    assert_eq!(of("nonsense"), Ok(300.0));
}

#[test]
fn what_is_no_token_is_refused_without_being_shown() {
    for body in [
        "",
        "[]",
        "token",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":5}"#,
        r#"{"access_token":"hunter2 x"}"#,
        r#"{"access_token":"hunter2\u0001auth"}"#,
        r#"{"access_token":"a","expires_in":-1}"#,
    ] {
        let why = read(body.as_bytes(), 0.0).expect_err(body);
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn a_refusal_is_one_short_line_without_the_secret() {
    let told = |body: &str| refusal(body.as_bytes(), &Secret::from("hunter2"));
    assert_eq!(told(r#"{"error":"invalid_client"}"#), " (invalid_client)");
    let long = told(&format!(r#"{{"error":"e","error_description":"hunter2\nis{}"}}"#, "x".repeat(999)));
    assert!(long.starts_with(" (e: *** is") && long.len() < 320, "{long}");
    assert_eq!(told("<html>"), "");
}

/// An endpoint that knows one client; tokens live for `seconds`, and count up.
async fn endpoint(seconds: u64, works: Arc<AtomicUsize>) -> (TokenEndpoint, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |headers: HeaderMap, body: String| async move {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let known = headers.get("authorization").is_some_and(|h| h == "Basic d2F0Y2g6aHVudGVyMg==");
        let sound = body == "grant_type=client_credentials&scope=kafka+read";
        if !known || !sound || works.load(Ordering::Relaxed) == 0 {
            return (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#.to_owned());
        }
        (StatusCode::OK, format!(r#"{{"access_token":"token-{number}","expires_in":{seconds}}}"#))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/token", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let endpoint = TokenEndpoint {
        url: format!("http://{address}/token?key=hidden"),
        client_id: "watch".to_owned(),
        client_secret: Secret::from("hunter2"),
        scope: Some("kafka read".to_owned()),
        ca: None,
    };
    (endpoint, asked)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_anew_before_it_expires() {
    let works = Arc::new(AtomicUsize::new(1));
    let (endpoint, asked) = endpoint(100, Arc::clone(&works)).await;
    let tokens = Tokens::new(endpoint);
    let began = Instant::now();
    let at = |seconds: u64| tokens.token_at(began + Duration::from_secs(seconds));
    let first = at(0).await.expect("a token");
    assert_eq!(at(79).await.expect("a token"), first);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // Past 80% of its life, and the endpoint is away: the old one does.
    works.store(0, Ordering::Relaxed);
    assert_eq!(at(98).await.expect("the old one"), first);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // The endpoint is left alone for a while.
    assert_eq!(at(99).await.expect("the old one"), first);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // Now it has expired.
    let why = at(101).await.expect_err("no token");
    assert!(why.contains("/token: no token, it answers 401") && why.contains("invalid_client"), "{why}");
    assert!(why.contains("client.secret") && !why.contains("hunter2") && !why.contains("hidden"), "{why}");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    works.store(1, Ordering::Relaxed);
    let next = at(104).await.expect("a new one");
    assert_ne!(next, first);
    assert_eq!(at(110).await.expect("kept"), next);
    tokens.forget().await;
    assert_ne!(at(111).await.expect("one more"), next, "the broker refused it");
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_named() {
    let (mut endpoint, _) = endpoint(60, Arc::new(AtomicUsize::new(1))).await;
    endpoint.url = "http://127.0.0.1:1/token".to_owned();
    let why = Tokens::new(endpoint.clone()).token().await.expect_err("nobody there");
    assert!(why.contains("http://127.0.0.1:1/token"), "{why}");
    // One that never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    endpoint.url = format!("http://{}/token", silent.local_addr().expect("an address"));
    let why = Tokens::new(endpoint).token().await.expect_err("no answer");
    assert!(why.contains("no answer within"), "{why}");
}
