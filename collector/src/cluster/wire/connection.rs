//! One connection: requests go out as they come, answers find their way by correlation id.
//!
//! A request that stays unanswered for the request timeout ends the connection: a broker answers in
//! order, so everything behind the late answer would be late too. Whoever asks next opens a new one.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::{Encodable as _, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::messages::Ask;
use super::pace::Pace;
use super::{Settings, Tokens, WireError, sasl, shape, tls};
use crate::cluster::config::Address;

/// A byte stream to a broker, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An answer this many times the limit is read and thrown away; a larger one ends the connection.
const DISCARD_FACTOR: u64 = 4;

type Answer = Result<Bytes, WireError>;

/// Requests that wait, and why no more can.
#[derive(Default)]
struct Pending {
    waiting: HashMap<i32, Waiting>,
    closed: Option<String>,
}

/// A request without its answer yet.
struct Waiting {
    what: &'static str,
    asked: Instant,
    sender: oneshot::Sender<Answer>,
}

/// A connection to one broker, ready for requests from any number of tasks.
///
/// Whoever asks gives up when nothing has come over the connection for `patience`; the request
/// stays under way, and until something comes the connection is *stuck*: requests fail at once,
/// so that one broker that hangs costs a refresh its patience once. A request that stays
/// unanswered for the request timeout ends the connection.
pub(crate) struct Connection {
    broker: Arc<str>,
    settings: Arc<Settings>,
    /// What the broker serves: by API key, oldest and newest version.
    versions: OnceLock<HashMap<i16, (i16, i16)>>,
    writer: tokio::sync::Mutex<WriteHalf<Box<dyn Stream>>>,
    pending: Arc<Mutex<Pending>>,
    next_id: AtomicI32,
    reader: AbortHandle,
    pace: Arc<Pace>,
    patience: Duration,
    session_lifetime_ms: AtomicI64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Connection {
    /// Connects, agrees on versions and authenticates, all within the connect timeout.
    pub(super) async fn open(
        address: &Address,
        settings: Arc<Settings>,
        patience: Duration,
    ) -> Result<Self, WireError> {
        let broker: Arc<str> = address.to_string().into();
        let limit = settings.connect_timeout;
        let opening = Self::open_unbounded(address, Arc::clone(&broker), settings, patience);
        match tokio::time::timeout(limit, opening).await {
            Ok(result) => result,
            Err(_) => Err(timeout(&broker, "the connection", limit)),
        }
    }

    async fn open_unbounded(
        address: &Address,
        broker: Arc<str>,
        settings: Arc<Settings>,
        patience: Duration,
    ) -> Result<Self, WireError> {
        let refused = |error: std::io::Error| WireError::Connect {
            broker: Arc::clone(&broker),
            reason: error.to_string(),
        };
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        let stream: Box<dyn Stream> = match &settings.tls {
            None => Box::new(tcp),
            Some(tls) => tls.wrap(tcp, &address.host, &broker).await?,
        };
        let (read, write) = tokio::io::split(stream);
        let pending = Arc::new(Mutex::new(Pending::default()));
        let pace = Arc::new(Pace::new());
        let reader = tokio::spawn(read_answers(
            read,
            Arc::clone(&broker),
            Arc::clone(&settings),
            Arc::clone(&pending),
            Arc::clone(&pace),
        ));
        // Until it is open, the connect timeout alone counts.
        let mut connection = Self {
            broker,
            versions: OnceLock::new(),
            writer: tokio::sync::Mutex::new(write),
            pending,
            next_id: AtomicI32::new(0),
            reader: reader.abort_handle(),
            pace,
            patience: settings.request_timeout,
            session_lifetime_ms: AtomicI64::new(0),
            settings,
        };
        connection.agree_on_versions().await?;
        if let Some(sasl) = &connection.settings.sasl {
            sasl::authenticate(&connection, sasl).await?;
        }
        connection.patience = patience;
        Ok(connection)
    }

    async fn agree_on_versions(&self) -> Result<(), WireError> {
        let answer = self.exchange(&ApiVersionsRequest::default(), Ok(0)).await?;
        if answer.error_code != 0 {
            return Err(WireError::Unsupported { broker: self.broker(), what: "ApiVersions" });
        }
        let served = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        // Set once, here; a second caller cannot exist before `open` returns.
        let _ = self.versions.set(served.collect());
        Ok(())
    }

    /// Address of the broker, for messages.
    pub(crate) fn broker(&self) -> Arc<str> {
        Arc::clone(&self.broker)
    }

    /// May it still be used? False after any failure, and shortly before the broker would end
    /// an authenticated session for its age (KIP-368).
    pub(crate) fn is_usable(&self) -> bool {
        let lifetime_ms = self.session_lifetime_ms.load(Ordering::Relaxed);
        let expired = u64::try_from(lifetime_ms)
            .is_ok_and(|ms| ms > 0 && self.pace.age() > Duration::from_millis(ms / 10 * 8));
        // Nobody may be waiting any more who would notice.
        if self.oldest_request().is_some_and(|asked| asked.elapsed() > self.settings.request_timeout) {
            self.close("a request went unanswered");
        }
        !expired && lock(&self.pending).closed.is_none()
    }

    /// Who fetches this cluster's tokens, if they are fetched.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        self.settings.tokens.as_deref()
    }

    /// Has the broker left a request unanswered, and said nothing else, for too long to wait for
    /// it? Nothing is asked over this connection until it has spoken again.
    pub(crate) fn is_stuck(&self) -> bool {
        self.oldest_request().is_some_and(|asked| self.pace.silent_since(asked).elapsed() > self.patience)
    }

    fn oldest_request(&self) -> Option<Instant> {
        lock(&self.pending).waiting.values().map(|w| w.asked).min()
    }

    pub(super) fn session_lifetime_ms(&self) -> i64 {
        self.session_lifetime_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_session_lifetime_ms(&self, ms: i64) {
        self.session_lifetime_ms.store(ms, Ordering::Relaxed);
    }

    /// The newest version of `R` that both sides speak.
    ///
    /// # Errors
    /// `Unsupported` when there is none.
    pub(crate) fn version<R: Ask>(&self) -> Result<i16, WireError> {
        let what = shape::of(R::KEY).map_or("a request", |s| s.name);
        let unsupported = || WireError::Unsupported { broker: self.broker(), what };
        let ours = shape::of(R::KEY).ok_or_else(unsupported)?;
        let (min, max) = *self.versions.get().and_then(|v| v.get(&R::KEY)).ok_or_else(unsupported)?;
        let version = ours.max.min(max);
        if version < ours.min.max(min) { Err(unsupported()) } else { Ok(version) }
    }

    /// Sends a request in the newest version that both sides speak, and awaits its answer. The request is not needed
    /// any more once this has returned.
    pub(crate) fn call<'a, R: Ask>(
        &'a self,
        request: &R,
    ) -> impl Future<Output = Result<R::Answer, WireError>> + Send + use<'a, R> {
        self.exchange(request, self.version::<R>())
    }

    /// Like [`Self::call`], but in no version newer than `newest`: where a newer one asks in
    /// another form.
    pub(crate) fn call_up_to<'a, R: Ask>(
        &'a self,
        request: &R,
        newest: i16,
    ) -> impl Future<Output = Result<R::Answer, WireError>> + Send + use<'a, R> {
        self.exchange(request, self.version::<R>().map(|version| version.min(newest)))
    }

    fn exchange<'a, R: Ask>(
        &'a self,
        request: &R,
        version: Result<i16, WireError>,
    ) -> impl Future<Output = Result<R::Answer, WireError>> + Send + use<'a, R> {
        let question = version.and_then(|version| self.question(request, version));
        async move { self.answer::<R>(question?).await }
    }

    fn question<R: Ask>(&self, request: &R, version: i16) -> Result<Question, WireError> {
        let shape = shape::of(R::KEY)
            .ok_or_else(|| WireError::Unsupported { broker: self.broker(), what: "a request" })?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = self.encode(request, version, id).map_err(|error| WireError::Malformed {
            broker: self.broker(),
            what: shape.name,
            version,
            reason: format!("our own request does not encode: {error}"),
        })?;
        Ok(Question { shape, version, id, frame })
    }

    async fn answer<R: Ask>(&self, question: Question) -> Result<R::Answer, WireError> {
        let Question { shape, version, id, frame } = question;
        let malformed = |reason: String| WireError::Malformed {
            broker: self.broker(),
            what: shape.name,
            version,
            reason,
        };
        self.wait_while_throttled().await;
        let mut body = self.send(shape.name, id, frame).await?;
        if R::header_versions(version).1 >= 1 {
            let header = shape::tagged_fields_len(&body).map_err(malformed)?;
            body.advance(header);
        }
        let throttle_ms =
            shape::check(shape, version, &body, self.settings.elements_max).map_err(malformed)?;
        let held_back_ms = self.pace.hold_back(throttle_ms);
        self.settings.traffic.add_throttled_ms(held_back_ms);
        // The walk has made sure of every length; should the decoder panic none the less, then
        // this answer is lost and the watcher lives.
        std::panic::catch_unwind(AssertUnwindSafe(|| R::read(&mut body, version)))
            .map_err(|_| malformed("the decoder gave up".to_owned()))?
            .map_err(malformed)
    }

    fn encode<R: Ask>(&self, request: &R, version: i16, id: i32) -> Result<Bytes, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(StrBytes::from_string(self.settings.client_id.clone())));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_versions(version).0).map_err(|e| e.to_string())?;
        request.write(&mut frame, version)?;
        let length = i32::try_from(frame.len() - 4).map_err(|e| e.to_string())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame.freeze())
    }

    async fn send(&self, what: &'static str, id: i32, frame: Bytes) -> Answer {
        if self.is_stuck() {
            return Err(timeout(&self.broker, what, self.patience));
        }
        let asked = Instant::now();
        let (sender, receiver) = oneshot::channel();
        {
            let mut pending = lock(&self.pending);
            if let Some(reason) = &pending.closed {
                return Err(closed(&self.broker, what, reason));
            }
            pending.waiting.insert(id, Waiting { what, asked, sender });
        }
        self.settings.traffic.add_request();
        let limit = self.settings.request_timeout.min(self.patience);
        // A request that was written in part cannot be given up without its connection.
        match tokio::time::timeout(limit, self.write(what, &frame)).await {
            Ok(written) => written?,
            Err(_) => {
                self.close("it takes no more requests");
                return Err(timeout(&self.broker, what, limit));
            }
        }
        self.await_answer(what, asked, receiver).await
    }

    async fn write(&self, what: &'static str, frame: &Bytes) -> Result<(), WireError> {
        let mut writer = self.writer.lock().await;
        // Closed meanwhile: what was written before may have been cut off.
        if let Some(reason) = &lock(&self.pending).closed {
            return Err(closed(&self.broker, what, reason));
        }
        let written = match writer.write_all(frame).await {
            Ok(()) => writer.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(|error| {
            self.close(&error.to_string());
            closed(&self.broker, what, &error.to_string())
        })
    }

    async fn await_answer(
        &self,
        what: &'static str,
        asked: Instant,
        mut receiver: oneshot::Receiver<Answer>,
    ) -> Answer {
        let limit = self.settings.request_timeout;
        loop {
            // A broker that answers others of our requests is at work.
            let patient_until = self.pace.silent_since(asked) + self.patience;
            let until = patient_until.min(asked + limit);
            match tokio::time::timeout_at(until.into(), &mut receiver).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) => return Err(closed(&self.broker, what, "the connection was dropped")),
                Err(_) if asked.elapsed() >= limit => {
                    self.close("a request went unanswered");
                    return Err(timeout(&self.broker, what, limit));
                }
                Err(_) if self.pace.silent_since(asked).elapsed() >= self.patience => {
                    return Err(timeout(&self.broker, what, self.patience));
                }
                Err(_) => {}
            }
        }
    }

    /// Brokers read no further from a connection that they throttle: what is sent meanwhile would
    /// only look unanswered.
    async fn wait_while_throttled(&self) {
        while let Some(left) = self.pace.held_back_for() {
            if lock(&self.pending).closed.is_some() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    fn close(&self, reason: &str) {
        self.reader.abort();
        fail_all(&self.broker, &self.pending, reason, |broker, what| closed(broker, what, reason));
    }
}

fn timeout(broker: &Arc<str>, what: &'static str, after: Duration) -> WireError {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    WireError::Timeout { broker: Arc::clone(broker), what, after_ms }
}

fn closed(broker: &Arc<str>, what: &'static str, reason: &str) -> WireError {
    WireError::Closed { broker: Arc::clone(broker), what, reason: reason.to_owned() }
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    // Nothing panics while it is held, and a map is never half-written.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fail_all(
    broker: &Arc<str>,
    pending: &Mutex<Pending>,
    reason: &str,
    error: impl Fn(&Arc<str>, &'static str) -> WireError,
) {
    let waiting = {
        let mut pending = lock(pending);
        pending.closed.get_or_insert_with(|| reason.to_owned());
        std::mem::take(&mut pending.waiting)
    };
    for Waiting { what, sender, .. } in waiting.into_values() {
        // Whoever does not wait any more does not need the news.
        let _ = sender.send(Err(error(broker, what)));
    }
}

/// Reads frames until the connection ends, and hands each to whoever waits for it.
async fn read_answers(
    mut read: ReadHalf<Box<dyn Stream>>,
    broker: Arc<str>,
    settings: Arc<Settings>,
    pending: Arc<Mutex<Pending>>,
    pace: Arc<Pace>,
) {
    loop {
        match read_frame(&mut read, &broker, &settings, &pace).await {
            Ok((id, answer)) => {
                if let Some(waiting) = lock(&pending).waiting.remove(&id) {
                    let _ = waiting.sender.send(answer);
                }
            }
            Err(ReadError::TooLarge(error)) => {
                fail_all(&broker, &pending, &error.to_string(), |_, _| error.clone());
                return;
            }
            Err(ReadError::Ended(reason)) => {
                fail_all(&broker, &pending, &reason, |broker, what| closed(broker, what, &reason));
                return;
            }
            // Whether our certificate will do is known only after the handshake (TLS 1.3).
            Err(ReadError::Tls(reason)) => {
                let error = |broker: &Arc<str>, _| WireError::Tls {
                    broker: Arc::clone(broker),
                    reason: reason.clone(),
                };
                fail_all(&broker, &pending, &reason, error);
                return;
            }
        }
    }
}

/// Room that is made for a frame before it is there: answers of some hundred groups have less.
const FRAME_BYTES_USUAL: u64 = 512 << 10;

/// A request as it is sent.
struct Question {
    shape: &'static shape::Shape,
    version: i16,
    id: i32,
    frame: Bytes,
}

enum ReadError {
    TooLarge(WireError),
    Ended(String),
    Tls(String),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        if let Some(reason) = tls::explained(&error) {
            return Self::Tls(reason);
        }
        Self::Ended(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "end of stream".to_owned(),
            _ => error.to_string(),
        })
    }
}

async fn read_frame(
    read: &mut ReadHalf<Box<dyn Stream>>,
    broker: &Arc<str>,
    settings: &Settings,
    pace: &Pace,
) -> Result<(i32, Answer), ReadError> {
    let mut head = [0u8; 8];
    read.read_exact(&mut head[..4]).await?;
    let length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
    let limit = settings.frame_bytes_max as u64;
    // A TLS alert or handshake record where a length should be.
    let tls = matches!(head[..2], [0x15 | 0x16, 3]);
    let hint = if tls { ": the listener speaks TLS, set security.protocol=SSL or SASL_SSL" } else { "" };
    let too_large = || WireError::TooLarge { broker: Arc::clone(broker), bytes: length, limit, hint };
    if length < 4 {
        return Err(ReadError::Ended(format!("a frame of {length} bytes, which is no answer")));
    }
    if length > limit.saturating_mul(DISCARD_FACTOR) {
        return Err(ReadError::TooLarge(too_large()));
    }
    read.read_exact(&mut head[4..]).await?;
    pace.heard();
    let id = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let rest = length - 4;
    settings.traffic.add_received(length + 4);
    if length > limit {
        let thrown = tokio::io::copy(&mut read.take(rest), &mut tokio::io::sink()).await?;
        if thrown < rest {
            return Err(ReadError::Ended("end of stream".to_owned()));
        }
        return Ok((id, Err(too_large())));
    }
    // Beyond what an answer has as a rule, it grows with what arrives, not with what is claimed.
    let mut body = BytesMut::with_capacity(rest.min(FRAME_BYTES_USUAL) as usize);
    let mut limited = read.take(rest);
    while (body.len() as u64) < rest {
        if limited.read_buf(&mut body).await? == 0 {
            return Err(ReadError::Ended("end of stream".to_owned()));
        }
        pace.heard();
    }
    Ok((id, Ok(body.freeze())))
}

#[cfg(test)]
mod tests;
