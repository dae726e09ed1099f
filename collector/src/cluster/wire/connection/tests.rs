//! Brokers that hang, lie, and mix up their answers.

use super::*;
use crate::cluster::Config;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, ListGroupsRequest, ListGroupsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::Encodable;
use tokio::net::TcpListener;

/// What a test's broker does with each request after ApiVersions: correlation id, key, and what
/// to write.
type Behaviour = fn(Vec<(i32, i16)>) -> Vec<u8>;

fn frame(id: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("small");
    [&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat()
}

fn encoded<M: Encodable>(message: &M, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("encodes");
    bytes.to_vec()
}

async fn request(stream: &mut TcpStream) -> Option<(i32, i16)> {
    let length = stream.read_i32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let key = i16::from_be_bytes([body[0], body[1]]);
    Some((i32::from_be_bytes([body[4], body[5], body[6], body[7]]), key))
}

/// A broker with ListGroups v2 and Metadata v1 that reads `batch` requests, then answers by
/// `behaviour`, again and again.
async fn broker(batch: usize, behaviour: Behaviour) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let Some((id, key)) = request(&mut stream).await else { return };
        assert_eq!(key, ApiKey::ApiVersions as i16);
        let api = |key: ApiKey, max| {
            ApiVersion::default().with_api_key(key as i16).with_min_version(0).with_max_version(max)
        };
        let versions = ApiVersionsResponse::default()
            .with_api_keys(vec![api(ApiKey::ListGroups, 2), api(ApiKey::Metadata, 1)]);
        let mut answer = frame(id, &encoded(&versions, 0));
        loop {
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            let mut requests = Vec::new();
            while requests.len() < batch {
                match request(&mut stream).await {
                    Some(request) => requests.push(request),
                    None => return,
                }
            }
            answer = behaviour(requests);
            if answer.is_empty() {
                return;
            }
        }
    });
    Address { host: "127.0.0.1".to_owned(), port }
}

async fn connect(address: &Address) -> Connection {
    let limit = Duration::from_millis(300);
    connect_with(address, limit, limit).await
}

async fn connect_with(address: &Address, request_timeout: Duration, patience: Duration) -> Connection {
    let config = Config::default();
    let settings = Settings {
        client_id: "test".to_owned(),
        connect_timeout: Duration::from_secs(20),
        request_timeout,
        frame_bytes_max: 1000,
        elements_max: config.limits.elements,
        tls: None,
        sasl: None,
        tokens: None,
        traffic: Arc::default(),
    };
    Connection::open(address, Arc::new(settings), patience).await.expect("it opens")
}

async fn list(connection: &Connection) -> Result<ListGroupsResponse, WireError> {
    connection.call(&ListGroupsRequest::default()).await
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout_and_ends_the_connection() {
    // A frame for an id that nobody waits for is no answer.
    let address = broker(1, |_| frame(9999, b"who?")).await;
    let connection = connect(&address).await;
    let error = list(&connection).await.expect_err("silence");
    assert!(matches!(error, WireError::Timeout { what: "ListGroups", after_ms: 300, .. }), "{error}");
    assert!(!connection.is_usable());
    let error = list(&connection).await.expect_err("it has ended");
    assert!(matches!(error, WireError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_claim_of_two_billion_groups_costs_nothing() {
    let address = broker(1, |requests| {
        let lie = [&[0u8; 6][..], &i32::MAX.to_be_bytes()].concat();
        frame(requests[0].0, &lie)
    })
    .await;
    let connection = connect(&address).await;
    let error = list(&connection).await.expect_err("a lie");
    let WireError::Malformed { what: "ListGroups", version: 2, reason, .. } = error else {
        panic!("{error}");
    };
    assert!(reason.contains("too early"), "{reason}");
    assert!(connection.is_usable(), "the next answer may be sound");
}

#[tokio::test]
async fn a_frame_beyond_the_limit_is_thrown_away_and_one_far_beyond_ends_it() {
    let address = broker(1, |requests| frame(requests[0].0, &[0; 3000])).await;
    let connection = connect(&address).await;
    for _ in 0..2 {
        let error = list(&connection).await.expect_err("too large");
        assert!(matches!(error, WireError::TooLarge { bytes: 3004, limit: 1000, .. }), "{error}");
        assert!(connection.is_usable());
    }
    let address = broker(1, |_| vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]).await;
    let connection = connect(&address).await;
    assert!(matches!(list(&connection).await, Err(WireError::TooLarge { .. })));
    assert!(!connection.is_usable());
}

#[tokio::test]
async fn a_tls_listener_is_recognised() {
    // A TLS alert: handshake failure.
    let address = broker(1, |_| vec![0x15, 3, 3, 0, 2, 2, 40, 0, 0]).await;
    let error = list(&connect(&address).await).await.expect_err("it speaks TLS");
    assert!(error.to_string().contains("security.protocol=SSL"), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_fails_whoever_waits() {
    let address = broker(2, |_| Vec::new()).await;
    let connection = connect(&address).await;
    let metadata = MetadataRequest::default().with_topics(None);
    let (one, two) = tokio::join!(list(&connection), connection.call(&metadata));
    assert!(matches!(one, Err(WireError::Closed { what: "ListGroups", .. })), "{one:?}");
    assert!(matches!(two, Err(WireError::Closed { what: "Metadata", .. })), "{two:?}");
}

#[tokio::test]
async fn answers_in_another_order_find_their_requests() {
    let address = broker(2, |requests| {
        let answers = requests.iter().rev().map(|&(id, key)| {
            let body = match ApiKey::try_from(key).expect("a key") {
                ApiKey::ListGroups => encoded(&ListGroupsResponse::default().with_throttle_time_ms(7), 2),
                _ => encoded(&MetadataResponse::default().with_controller_id(5.into()), 1),
            };
            frame(id, &body)
        });
        answers.collect::<Vec<_>>().concat()
    })
    .await;
    let connection = connect(&address).await;
    let metadata = MetadataRequest::default().with_topics(None);
    let (one, two) = tokio::join!(list(&connection), connection.call(&metadata));
    assert_eq!(one.expect("an answer").throttle_time_ms, 7);
    assert_eq!(two.expect("an answer").controller_id.0, 5);
    assert_eq!(connection.settings.traffic.take().0, 3);
}

#[tokio::test]
async fn what_a_broker_does_not_serve_is_not_asked() {
    let address = broker(1, |_| Vec::new()).await;
    let connection = connect(&address).await;
    let request = kafka_protocol::messages::ConsumerGroupDescribeRequest::default();
    let error = connection.call(&request).await.expect_err("not served");
    assert!(matches!(error, WireError::Unsupported { what: "ConsumerGroupDescribe", .. }), "{error}");
    assert!(connection.is_usable());
}

#[tokio::test]
async fn whoever_waits_gives_up_before_the_connection_does() {
    // The first request is answered only when the second has come, which is never sent.
    let address = broker(2, |_| Vec::new()).await;
    let connection = connect_with(&address, Duration::from_secs(2), Duration::from_millis(200)).await;
    let error = list(&connection).await.expect_err("silence");
    assert!(matches!(error, WireError::Timeout { after_ms: 200, .. }), "{error}");
    assert!(connection.is_usable() && connection.is_stuck());
    let asked = Instant::now();
    assert!(matches!(list(&connection).await, Err(WireError::Timeout { .. })));
    assert!(asked.elapsed() < Duration::from_millis(150), "nothing is asked of a broker that hangs");
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert!(!connection.is_usable(), "in the end it is given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_speaks_again_is_asked_again() {
    let address = broker(1, |requests| {
        // In place, so that timers go on meanwhile.
        tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(600)));
        frame(requests[0].0, &encoded(&ListGroupsResponse::default(), 2))
    })
    .await;
    let connection = connect_with(&address, Duration::from_secs(20), Duration::from_millis(200)).await;
    assert!(matches!(list(&connection).await, Err(WireError::Timeout { .. })));
    let began = Instant::now();
    while connection.is_stuck() {
        assert!(began.elapsed() < Duration::from_secs(10), "the late answer is heard");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connection.is_usable());
}

#[tokio::test]
async fn a_throttled_connection_waits_before_its_next_request() {
    let address = broker(1, |requests| {
        let answer = ListGroupsResponse::default().with_throttle_time_ms(400);
        frame(requests[0].0, &encoded(&answer, 2))
    })
    .await;
    let connection = connect(&address).await;
    let began = Instant::now();
    list(&connection).await.expect("an answer");
    assert_eq!(connection.settings.traffic.take_throttled_ms(), 400);
    list(&connection).await.expect("another, longer after the first than a request may take");
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}
