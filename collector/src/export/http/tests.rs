//! Over a real socket, by hand: what a client sends may be anything.

use std::net::SocketAddr;
use std::time::Duration;

use checks::report::{HASH_VERSION, REPORT_VERSION, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::export::fixture;
use crate::view::View;

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    ready: Arc<AtomicBool>,
    _collector: crate::CollectorHandle,
    _cluster: watch::Sender<Arc<ClusterSnapshot>>,
}

async fn server(view: View) -> Server {
    let (publish, cluster) = watch::channel(Arc::new(fixture::cluster()));
    let config = crate::config::Config {
        cluster: "prod-eu".to_owned(),
        checks: Arc::default(),
        pipelines: Vec::new(),
        history: None,
        history_keep_ms: 1,
        series_budget: 1_000,
        group_lag_seconds_max: None,
        agent_group: "tapline-agent".to_owned(),
        detect: crate::config::DetectConfig::default(),
        otlp: None,
        limits: Limits { http_body_bytes: 64 * 1024, ..Limits::default() },
    };
    let limits = config.limits.clone();
    let collector = crate::Collector::start(config, cluster.clone()).expect("a thread");
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let app = App::new(Parts {
        views: ViewReader(Arc::new(arc_swap::ArcSwap::from_pointee(view))),
        ingest: collector.ingest(),
        cluster,
        readiness: Readiness::new(Arc::new(move || {
            (!asked.load(Ordering::Relaxed)).then(|| "broker 1 is away".to_owned())
        })),
        spans: None,
        build: BuildInfo::default(),
        series_budget: 1_000,
        compat: Default::default(),
        limits,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(serve(listener, router(app), stopping));
    Server { address, stop, task, ready, _collector: collector, _cluster: publish }
}

impl Server {
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        // A server that refuses early may close before all is written.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _ = read.await.expect("it answers in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: tapline\r\nConnection: close\r\n\r\n").as_bytes())
            .await
    }

    async fn post(&self, headers: &str, body: &[u8]) -> String {
        let head = format!(
            "POST /api/v1/reports HTTP/1.1\r\nHost: tapline\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }
}

#[track_caller]
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

fn report() -> Report {
    Report {
        version: REPORT_VERSION,
        hash_version: HASH_VERSION,
        agent: "a1".to_owned(),
        boot: 7,
        sequence: 1,
        cluster: "prod-eu".to_owned(),
        as_of_ms: fixture::NOW_MS,
        ..Report::default()
    }
}

#[tokio::test]
async fn every_page_answers_with_the_headers_that_protect_it() {
    let server = server(fixture::view()).await;
    for path in [
        "/",
        "/metrics",
        "/healthz",
        "/topics/orders",
        "/api/v1/lag",
        "/api/v1/topics",
        "/api/v1/topics/orders/profile",
        "/api/v1/checks",
        "/api/v1/findings",
        "/api/v1/findings/f3a9c1d2",
        "/findings/f3a9c1d2",
        "/api/v1/pipelines",
        "/api/v1/agents",
        "/api/v1/marks",
        "/api/v1/positions?topic=orders",
    ] {
        let answer = server.get(path).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.contains(header), "{path} lacks {header}");
        }
    }
    assert_eq!(status(&server.get("/nowhere").await), 404);
    let missing = server.get("/api/v1/topics/%3Cscript%3E/profile").await;
    assert_eq!(status(&missing), 404);
    assert!(missing.contains("/api/v1/topics lists"), "{missing}");
    for path in ["/findings/%3Cscript%3E", "/api/v1/findings/%3Cscript%3E"] {
        let missing = server.get(path).await;
        assert_eq!(status(&missing), 404);
        assert!(missing.contains("no finding has this id") && !missing.contains("<script>"), "{missing}");
    }
}

#[tokio::test]
async fn readiness_says_why_not_and_then_stays() {
    let server = server(View::default()).await;
    let answer = server.get("/readyz").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("not ready: broker 1 is away"), "{answer}");
    server.ready.store(true, Ordering::Relaxed);
    assert_eq!(status(&server.get("/readyz").await), 200);
    server.ready.store(false, Ordering::Relaxed);
    assert_eq!(status(&server.get("/readyz").await), 200, "latched");
}

#[tokio::test]
async fn a_report_is_taken_and_taken_again() {
    let server = server(View::default()).await;
    let body = report().encode_zstd().expect("it encodes");
    for _ in 0..2 {
        assert_eq!(status(&server.post("Content-Encoding: zstd\r\n", &body).await), 200);
    }
}

#[tokio::test]
async fn a_broken_report_is_refused_with_its_reason() {
    let server = server(View::default()).await;
    let answer = server.post("", b"no zstd at all").await;
    assert_eq!(status(&answer), 400);
    assert!(answer.contains("not zstd"), "{answer}");
    let other = Report { version: 9, ..report() }.encode_zstd().expect("it encodes");
    let answer = server.post("", &other).await;
    assert_eq!(status(&answer), 400);
    assert!(answer.contains("version 9"), "{answer}");
    assert_eq!(status(&server.post("Content-Encoding: gzip\r\n", b"x").await), 415);
}

#[tokio::test]
async fn sizes_are_bounded_compressed_and_not() {
    let server = server(View::default()).await;
    assert_eq!(status(&server.post("", &vec![0; 65 * 1024]).await), 413, "by its length");
    let chunked = b"POST /api/v1/reports HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n";
    let body = [chunked.as_slice(), &vec![0; 0x20000], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(status(&server.raw(&body).await), 413, "without a length");
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).expect("it compresses");
    assert!(bomb.len() < 1024);
    // Its window alone is over the bound (400), or its content is (413).
    let refused = status(&server.post("", &bomb).await);
    assert!([400, 413].contains(&refused), "decompressed: {refused}");
}

#[tokio::test]
async fn hostile_names_are_text_on_the_page() {
    let mut view = fixture::view();
    let hostile = "<img src=x onerror=alert(1)>\"'&";
    let topic = view.topics["orders"].clone();
    view.topics.insert(hostile.to_owned(), topic);
    for finding in &mut view.findings {
        finding.topic = hostile.to_owned();
        finding.message = hostile.to_owned();
    }
    let server = server(view).await;
    let page = server.get("/").await;
    assert!(!page.contains("<img") && !page.contains("<script>alert"), "a name became markup");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    let topic = server.get("/topics/%3Cimg%20src=x%20onerror=alert(1)%3E%22'&").await;
    assert_eq!(status(&topic), 200);
    assert!(!topic.contains("<img") && !topic.contains("<script>alert"));
}

#[tokio::test]
async fn it_stops_though_a_client_hangs() {
    let server = server(View::default()).await;
    let mut hanging = TcpStream::connect(server.address).await.expect("it listens");
    hanging
        .write_all(b"POST /api/v1/reports HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf")
        .await
        .expect("sent");
    server.stop.send(true).expect("it runs");
    tokio::time::timeout(Duration::from_secs(4), server.task)
        .await
        .expect("it stops")
        .expect("no panic")
        .expect("no error");
}

#[tokio::test]
async fn an_agent_serves_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (_stop, stopping) = watch::channel(false);
    let page = Arc::new(|| AgentPage { name: "a1".to_owned(), ..AgentPage::default() });
    tokio::spawn(serve(listener, agent_router(Readiness::new(Arc::new(|| None)), page), stopping));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    assert!(answer.contains("tapline_agent_up{cluster=\"\",agent=\"a1\"} 1"), "{answer}");
}

#[tokio::test]
async fn a_profile_of_a_stretch_of_time_is_asked_for_in_words_that_are_understood() {
    let server = server(fixture::view()).await;
    let asked = async |query: &str| server.get(&format!("/api/v1/topics/orders/profile?{query}")).await;
    for (query, says) in [
        ("window=5x", "window: `5x` is"),
        ("window=0s", "nothing lies in 0s"),
        ("from=2026-01-31T12:00:00Z", "give either window, or both from and to"),
        ("window=5m&from=1&to=2", "give either window, or both from and to"),
        ("from=yesterday&to=2", "`yesterday` is no time: write 2026-01-31T12:00:00Z"),
        ("from=2&to=2", "`to` must be later than `from`"),
        ("window=1m&window=2m", "`window` is given twice"),
        ("windows=1m", "`windows` is no parameter of a profile"),
    ] {
        let answer = asked(query).await;
        assert_eq!(status(&answer), 400, "{query}: {answer}");
        assert!(answer.contains(says), "{query}: {answer}");
    }
    // The collector behind this server has no topics of its own.
    for query in ["window=5m", "from=1&to=2", "from=2026-01-31T12:00:00%2B01:00&to=2026-01-31T12:00:00Z"] {
        assert_eq!(status(&asked(query).await), 404, "{query}");
    }
}

const MARK: &str =
    r#"{"topics":["orders"],"from":"2126-11-27T00:00:00Z","to":"2126-11-28T00:00:00Z","note":"sale"}"#;

impl Server {
    async fn mark(&self, headers: &str, body: &[u8]) -> String {
        let head = format!(
            "POST /api/v1/marks HTTP/1.1\r\nHost: tapline\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    async fn unmark(&self, id: &str) -> String {
        let head =
            format!("DELETE /api/v1/marks/{id} HTTP/1.1\r\nHost: tapline\r\nConnection: close\r\n\r\n");
        self.raw(head.as_bytes()).await
    }
}

const JSON: &str = "Content-Type: application/json; charset=utf-8\r\n";

#[tokio::test]
async fn a_mark_is_told_and_taken_back() {
    let server = server(fixture::view()).await;
    let told = server.mark(JSON, MARK.as_bytes()).await;
    assert_eq!(status(&told), 201, "{told}");
    for part in
        [r#""id":1"#, r#""from":"2126-11-27T00:00:00.000Z""#, r#""kept":false"#, r#""topics_total":0"#]
    {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(status(&server.unmark("1").await), 200);
    assert_eq!(status(&server.unmark("1").await), 404);
    let listed = server.get("/api/v1/marks").await;
    assert!(listed.contains(r#""note":"Black Friday <b>""#), "{listed}");
    let page = server.get("/topics/orders").await;
    assert!(page.contains("Black Friday &lt;b&gt;") && !page.contains("Friday <b>"), "{page}");
}

#[tokio::test]
async fn what_is_no_mark_is_refused_in_words() {
    let server = server(fixture::view()).await;
    for headers in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"]
    {
        assert_eq!(status(&server.mark(headers, MARK.as_bytes()).await), 415, "{headers}");
    }
    let with = |from: &str, to: &str| MARK.replace(from, to);
    for (body, why) in [
        (String::new(), "not a mark"),
        ("[]".to_owned(), "not a mark"),
        ("[".repeat(10_000), "not a mark"),
        (with("note", "notes"), "unknown field `notes`"),
        (with(r#","note":"sale""#, ""), "missing field `note`"),
        (with("2126-11-27T00:00:00Z", "yesterday"), "`from`"),
        (with("2126-11-28", "2126-11-26"), "`to` must come after `from`"),
        (with("orders", "("), "no regular expression"),
        (with("sale", r"\u0007"), "`note`"),
        (with(r#""orders""#, ""), "1 to 10 topics"),
        (with("sale", &"x".repeat(201)), "1 to 200 characters"),
    ] {
        let answer = server.mark(JSON, body.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains(why), "{why}: {answer}");
    }
    assert_eq!(status(&server.mark(JSON, &[0xff; 64]).await), 400);
    assert_eq!(status(&server.mark(JSON, &[b' '; 20_000]).await), 413);
    for id in ["x", "-1", "1.5", "99999999999999999999", "%00", "0"] {
        assert_eq!(status(&server.unmark(id).await), 404, "{id}");
    }
    for _ in 0..200 {
        assert_eq!(status(&server.mark(JSON, MARK.as_bytes()).await), 201);
    }
    let answer = server.mark(JSON, MARK.as_bytes()).await;
    assert_eq!(status(&answer), 409, "{answer}");
}
