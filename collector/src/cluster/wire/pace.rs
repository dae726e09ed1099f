//! When a connection was last heard, for how long its broker holds it back, and what all
//! connections have sent and received.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A broker that throttles for longer is asked again after this all the same.
const THROTTLE_MAX_MS: u64 = 30_000;

/// What was sent and received over all connections, for the watcher's own figures.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    bytes_received: AtomicU64,
    throttled_ms: AtomicU64,
}

impl Traffic {
    /// Requests sent and bytes received since the last call.
    pub(crate) fn take(&self) -> (u64, u64) {
        (self.requests.swap(0, Ordering::Relaxed), self.bytes_received.swap(0, Ordering::Relaxed))
    }

    /// Milliseconds for which brokers have held us back since the last call.
    pub(crate) fn take_throttled_ms(&self) -> u64 {
        self.throttled_ms.swap(0, Ordering::Relaxed)
    }

    pub(super) fn add_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_received(&self, bytes: u64) {
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_throttled_ms(&self, ms: u64) {
        self.throttled_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What a connection's reader and its users tell each other about time.
#[derive(Debug)]
pub(super) struct Pace {
    opened: Instant,
    /// When bytes last came, in milliseconds since `opened`.
    heard_ms: AtomicU64,
    /// Until when the broker holds this connection back, likewise.
    held_back_until_ms: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), heard_ms: AtomicU64::new(0), held_back_until_ms: AtomicU64::new(0) }
    }

    /// How long the connection has been open.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Since when the broker has had reason to say something and has not, after a question.
    pub(super) fn silent_since(&self, asked: Instant) -> Instant {
        let heard_ms = self.heard_ms.load(Ordering::Relaxed);
        let last_ms = heard_ms.max(self.held_back_until_ms.load(Ordering::Relaxed));
        asked.max(self.opened + Duration::from_millis(last_ms))
    }

    /// Takes over the throttle time of an answer (KIP-219); gives for how many milliseconds it is
    /// heeded.
    pub(super) fn hold_back(&self, throttle_ms: i32) -> u64 {
        let heeded_ms = u64::try_from(throttle_ms).unwrap_or(0).min(THROTTLE_MAX_MS);
        if heeded_ms > 0 {
            self.held_back_until_ms.fetch_max(self.now_ms() + heeded_ms, Ordering::Relaxed);
        }
        heeded_ms
    }

    /// For how long nothing should be sent yet.
    pub(super) fn held_back_for(&self) -> Option<Duration> {
        let left_ms = self.held_back_until_ms.load(Ordering::Relaxed).saturating_sub(self.now_ms());
        (left_ms > 0).then(|| Duration::from_millis(left_ms))
    }
}
