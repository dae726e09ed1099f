use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers of a registry to come, and the requests it got.
#[derive(Default)]
struct Script {
    answers: Mutex<Vec<&'static str>>,
    requests: Mutex<Vec<String>>,
}

/// A registry that answers by script (the last answer for ever); an empty answer is none at all.
struct Fake {
    script: Arc<Script>,
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Fake {
    fn new(answers: &[&'static str]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let script = Arc::new(Script { answers: Mutex::new(answers.to_vec()), ..Script::default() });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/apis/v7/", listener.local_addr().expect("an address"));
        let scripted = script.clone();
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let scripted = scripted.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 4_096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let answer = {
                        let text = String::from_utf8_lossy(&request[..read]).into_owned();
                        scripted.requests.lock().expect("not poisoned").push(text);
                        let mut answers = scripted.answers.lock().expect("not poisoned");
                        if answers.len() > 1 { answers.remove(0) } else { answers[0] }
                    };
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(600)).await;
                    }
                    let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
                    let head = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Self { script, url, runtime }
    }

    fn registry(&self, limits: &Limits) -> (Registry, Arc<Shared>) {
        let config = RegistryConfig {
            url: self.url.clone(),
            credentials: Some(("user".into(), "secret-42".into())),
            ca_pem: None,
        };
        let shared = Arc::new(Shared::default());
        let registry = Registry::new(&config, limits, self.runtime.handle().clone(), shared.clone(), 0);
        (registry.expect("a valid address"), shared)
    }

    fn requests(&self) -> usize {
        self.script.requests.lock().expect("not poisoned").len()
    }
}

const AVRO: &str = r#"200 {"schema":"\"long\""}"#;

fn limits() -> Limits {
    Limits { remote_timeout_ms: 2_000, ..Limits::default() }
}

/// A time far from the present: what is decided by the given clock alone shows.
fn now_ms() -> i64 {
    crate::worker::now_ms()
}

#[test]
fn a_schema_is_asked_for_once_and_with_credentials() {
    let fake = Fake::new(&[AVRO]);
    let (mut registry, _) = fake.registry(&limits());
    for _ in 0..3 {
        assert!(matches!(registry.schema(7, now_ms()), Ok(Fetched::Avro(_))));
    }
    let requests = fake.script.requests.lock().expect("not poisoned");
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("GET /apis/v7/schemas/ids/7 HTTP/1.1"), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Basic dXNlcjpzZWNyZXQtNDI="), "{}", requests[0]);
}

#[test]
fn kinds_are_told_apart() {
    let fake = Fake::new(&[
        r#"200 {"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}"#,
        r#"200 {"schema":"{\"type\":\"object\"}","schemaType":"JSON"}"#,
        r#"200 {"schema":"{\"type\":7}","schemaType":"JSON"}"#,
        r#"200 {"schema":"\"a.b\"","references":[{"name":"a.b"}]}"#,
        r#"200 {"schema":"{"}"#,
        r#"200 {"schema":"x","schemaType":"XML"}"#,
        "200 nonsense",
    ]);
    let (mut registry, _) = fake.registry(&limits());
    assert!(matches!(registry.schema(1, now_ms()), Ok(Fetched::Protobuf)));
    assert!(matches!(registry.schema(2, now_ms()), Ok(Fetched::Json(Some(_)))));
    assert!(matches!(registry.schema(3, now_ms()), Ok(Fetched::Json(None))));
    let mut detail = |id, part: &str| {
        let failure = registry.schema(id, now_ms()).expect_err("of no use");
        assert_eq!(failure.reason, reason::SCHEMA_UNAVAILABLE);
        assert!(failure.detail.contains(part), "{failure}");
    };
    detail(4, "refers to other schemas");
    detail(5, "not an Avro schema");
    detail(6, "XML");
    detail(7, "not readable");
}

#[test]
fn an_unknown_id_is_asked_for_again_after_a_while() {
    let fake = Fake::new(&["404 {}", "404 {}", AVRO]);
    let (mut registry, shared) = fake.registry(&limits());
    let now = now_ms();
    for _ in 0..5 {
        assert_eq!(registry.schema(9, now).expect_err("unknown").reason, reason::UNKNOWN_SCHEMA);
    }
    assert_eq!(fake.requests(), 1);
    assert_eq!(registry.schema(9, now + UNKNOWN_MS).expect_err("unknown").reason, reason::UNKNOWN_SCHEMA);
    assert!(registry.schema(9, now + 2 * UNKNOWN_MS).is_ok());
    assert_eq!(shared.status(1).last_error, None, "the registry is well");
}

#[test]
fn a_registry_that_hangs_is_waited_for_once_and_then_left_alone() {
    let fake = Fake::new(&[""]);
    let (mut registry, shared) = fake.registry(&Limits { remote_timeout_ms: 300, ..limits() });
    let before = std::time::Instant::now();
    for id in 0..1_000 {
        let failure = registry.schema(id, now_ms()).expect_err("it hangs");
        assert_eq!(failure.reason, reason::SCHEMA_UNAVAILABLE);
    }
    assert!(before.elapsed() < Duration::from_secs(30));
    assert!(fake.requests() <= 3, "{} requests", fake.requests());
    let error = shared.status(1).last_error.expect("it is said");
    assert!(error.contains("no answer in time") && error.contains("127.0.0.1"), "{error}");
    *fake.script.answers.lock().expect("not poisoned") = vec![AVRO];
    assert!(registry.schema(1, now_ms() + AWAY_MAX_MS).is_ok());
    assert_eq!(shared.status(1).last_error, None);
}

#[test]
fn credentials_that_are_refused_are_not_repeated() {
    let fake = Fake::new(&["401 secret-42"]);
    let (mut registry, shared) = fake.registry(&limits());
    let failure = registry.schema(1, now_ms()).expect_err("refused").to_string();
    let status = shared.status(1).last_error.expect("it is said");
    assert!(status.contains("refuses the credentials"), "{status}");
    assert!(!failure.contains("secret-42") && !status.contains("secret-42"), "{failure} {status}");
}

#[test]
fn answers_and_the_cache_are_bounded() {
    let fake = Fake::new(&[r#"200 {"schema":"\"looooooooooooooooooooooong\""}"#, AVRO]);
    let (mut registry, _) = fake.registry(&Limits { schema_bytes: 20, schemas: 3, ..limits() });
    let failure = registry.schema(0, now_ms()).expect_err("too large");
    assert!(failure.detail.contains("limits.schema_bytes"), "{failure}");
    for id in 1..10 {
        assert!(registry.schema(id, now_ms()).is_ok());
        assert!(registry.known.len() <= 3);
    }
}

#[test]
fn ids_out_of_payloads_cannot_flood_the_registry() {
    let fake = Fake::new(&["404 {}"]);
    let (mut registry, _) = fake.registry(&limits());
    let now = now_ms();
    let mut capped = 0;
    for id in 0..200 {
        let failure = registry.schema(id, now).expect_err("unknown");
        capped += u64::from(failure.reason == reason::SCHEMA_UNAVAILABLE);
    }
    assert_eq!((fake.requests() as u64, capped), (REQUESTS_A_SECOND, 200 - REQUESTS_A_SECOND));
}
