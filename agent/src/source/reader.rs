//! The thread that polls the client, and hands over what it gives: records in batches, and behind them what else
//! happened, all of it in order.
//!
//! It spares the thread that examines what the client costs a record, and serves the client's callbacks whatever a
//! record costs. What the client fetches is changed by others, but only while the reader *rests*: then all that was
//! polled before has been taken, and nothing of before can come after. It rests when it is asked to, and of itself
//! when the group gives or takes, until it is told to [go on](Reader::go_on).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::TopicPartition;
use super::batch::Batch;
use super::context::{Context, Rebalance};
use crate::worker::now_ms;

/// How long the client is waited for when there is nothing to read.
const POLL: Duration = Duration::from_millis(20);
/// How long a batch that is not full waits for more: waking a thread costs as much as a few records.
const GATHER: Duration = Duration::from_millis(5);
/// Deliveries that wait, and one more that is being filled.
const WAITING: usize = 2;

/// What the client gave, in order: first the records.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) batch: Batch,
    pub(crate) error: Option<KafkaError>,
    /// Nothing came, in a wait that was long enough to say so.
    pub(crate) is_quiet: bool,
    /// The latest statistics, if there were any.
    pub(crate) ends_reached: Option<Vec<(TopicPartition, i64)>>,
    /// What the group changed.
    pub(crate) rebalances: Vec<Rebalance>,
    /// Nothing more comes until the reader is told to go on.
    is_last: bool,
}

/// What to read until the next rest.
struct Order {
    client: Arc<BaseConsumer<Context>>,
    /// Topics whose headers are looked at.
    headers_of: BTreeSet<Arc<str>>,
}

/// The side of the thread that examines.
#[derive(Debug)]
pub(crate) struct Reader {
    orders: Sender<Order>,
    deliveries: Receiver<Delivery>,
    emptied: Sender<Batch>,
    is_asked_to_rest: Arc<AtomicBool>,
    is_resting: bool,
    has_ended: bool,
}

impl Reader {
    /// Starts the thread of this name, which rests.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(name: String) -> Result<Self, String> {
        let (orders, ordered) = channel();
        let (delivers, deliveries) = sync_channel(WAITING);
        let (emptied, empty) = channel();
        let is_asked_to_rest = Arc::new(AtomicBool::new(false));
        let polling = Polling {
            ordered,
            delivers,
            empty,
            in_flight: 0,
            is_asked_to_rest: is_asked_to_rest.clone(),
            arrival: Arrival::default(),
        };
        std::thread::Builder::new()
            .name(name)
            .spawn(move || polling.run())
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        Ok(Self { orders, deliveries, emptied, is_asked_to_rest, is_resting: true, has_ended: false })
    }

    /// All that was polled has been taken, and nothing more is until it goes on.
    pub(crate) fn is_resting(&self) -> bool {
        self.is_resting
    }

    /// The thread is gone: it was told to go on in vain.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Reads, or reads on, with this client.
    pub(crate) fn go_on(&mut self, client: Arc<BaseConsumer<Context>>, headers_of: BTreeSet<Arc<str>>) {
        if self.is_resting {
            self.is_asked_to_rest.store(false, Ordering::Release);
            self.has_ended = self.orders.send(Order { client, headers_of }).is_err();
            self.is_resting = self.has_ended;
        }
    }

    /// It shall rest: it does once a [delivery](Self::next) said so.
    pub(crate) fn ask_to_rest(&self) {
        self.is_asked_to_rest.store(true, Ordering::Release);
    }

    /// What came next, if anything does by then.
    pub(crate) fn next(&mut self, at_most: Duration) -> Option<Delivery> {
        match self.deliveries.recv_timeout(at_most) {
            Ok(delivery) => {
                self.is_resting = delivery.is_last;
                Some(delivery)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                (self.is_resting, self.has_ended) = (true, true);
                None
            }
        }
    }

    /// Takes back a batch that was read.
    pub(crate) fn take_back(&self, batch: Batch) {
        let _ = self.emptied.send(batch.emptied());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ask_to_rest();
    }
}

/// The side of the thread that polls.
struct Polling {
    ordered: Receiver<Order>,
    delivers: SyncSender<Delivery>,
    empty: Receiver<Batch>,
    /// Batches that were handed over and have not come back.
    in_flight: usize,
    is_asked_to_rest: Arc<AtomicBool>,
    arrival: Arrival,
}

impl Polling {
    fn run(mut self) {
        while let Ok(order) = self.ordered.recv() {
            // The client is let go of before anybody hears that nobody polls it.
            let Some(last) = self.read(order) else { return };
            if !self.hand_over(Delivery { is_last: true, ..last }) {
                return;
            }
        }
    }

    /// Reads until it is to rest: gives what came last. `None` if nobody takes it any more.
    fn read(&mut self, order: Order) -> Option<Delivery> {
        loop {
            let delivery = self.gather(&order);
            if !delivery.rebalances.is_empty() || self.is_asked_to_rest.load(Ordering::Acquire) {
                return Some(delivery);
            }
            if !self.hand_over(delivery) {
                return None;
            }
        }
    }

    /// What the client has, and gets within a moment, as much as a batch takes.
    fn gather(&mut self, order: &Order) -> Delivery {
        let mut delivery = Delivery { batch: self.empty_batch(), ..Delivery::default() };
        let context = order.client.context();
        let asked_at = Instant::now();
        let mut gathers_until = None;
        let mut wait = POLL;
        while !delivery.batch.is_full() {
            match order.client.poll(wait) {
                Some(Ok(message)) => {
                    let arrival_ms = self.arrival.of(&message, !wait.is_zero());
                    delivery.batch.push(&message, arrival_ms, |topic| order.headers_of.contains(topic));
                    wait = Duration::ZERO;
                    continue;
                }
                Some(Err(error)) => delivery.error = Some(error),
                // The client also returns at once when it has served something else.
                None if delivery.batch.is_empty() => delivery.is_quiet = asked_at.elapsed() >= POLL / 2,
                None => {
                    delivery.rebalances = context.take_rebalances();
                    let until = *gathers_until.get_or_insert_with(|| Instant::now() + GATHER);
                    wait = until.saturating_duration_since(Instant::now());
                    if !wait.is_zero() && delivery.rebalances.is_empty() {
                        continue;
                    }
                }
            }
            break;
        }
        delivery.rebalances.append(&mut context.take_rebalances());
        delivery.ends_reached = context.take_ends_reached();
        delivery
    }

    /// False if nobody takes it any more.
    fn hand_over(&mut self, delivery: Delivery) -> bool {
        let is_large = delivery.batch.is_large();
        self.in_flight += 1;
        if self.delivers.send(delivery).is_err() {
            return false;
        }
        // Of large records there is one copy at a time.
        while is_large && self.in_flight > 0 {
            if self.empty.recv().is_err() {
                return false;
            }
            self.in_flight -= 1;
        }
        true
    }

    fn empty_batch(&mut self) -> Batch {
        let Ok(batch) = self.empty.try_recv() else { return Batch::default() };
        self.in_flight -= 1;
        batch
    }
}

/// When records arrive. Of those that lay ready together the clock is read for one in a few: so often it costs as much as
/// the client.
#[derive(Debug, Default)]
struct Arrival {
    ms: i64,
    records: u32,
    bytes: usize,
}

impl Arrival {
    /// Records, and bytes of their values, for which the clock is read once: far less than a millisecond's.
    const RECORDS: u32 = 16;
    const BYTES: usize = 64 << 10;

    /// When a record arrived that was waited for, or that lay ready; ms since the epoch.
    fn of(&mut self, message: &BorrowedMessage<'_>, was_awaited: bool) -> i64 {
        if was_awaited || self.records >= Self::RECORDS || self.bytes >= Self::BYTES {
            *self = Self { ms: now_ms(), ..Self::default() };
        }
        self.records += 1;
        self.bytes = self.bytes.saturating_add(message.payload_len());
        self.ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::consumer::Consumer;
    use crate::status::Shared;
    use std::collections::BTreeMap;

    /// Of a broker that is not there.
    fn client() -> Consumer {
        let properties = [("bootstrap.servers", "127.0.0.1:1"), ("group.id", "reader")];
        let properties: BTreeMap<_, _> =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Consumer::new(&properties, Arc::new(Shared::default())).expect("a client")
    }

    fn until_it_rests(reader: &mut Reader) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !reader.is_resting() {
            assert!(Instant::now() < deadline, "it does not rest");
            reader.ask_to_rest();
            reader.next(POLL);
        }
    }

    #[test]
    fn while_it_rests_it_holds_no_client_and_hands_over_nothing() {
        let consumer = client();
        let mut reader = Reader::start("test-poll".to_owned()).expect("a thread");
        for _ in 0..3 {
            assert!(reader.is_resting());
            assert!(reader.next(POLL).is_none());
            reader.go_on(consumer.client.clone(), BTreeSet::new());
            let mut quiet = 0;
            while quiet < 2 {
                let delivery = reader.next(Duration::from_secs(30)).expect("a delivery");
                assert!(delivery.batch.is_empty());
                quiet += u32::from(delivery.is_quiet);
            }
            assert!(!reader.is_resting());
            until_it_rests(&mut reader);
            assert_eq!(Arc::strong_count(&consumer.client), 1);
        }
        assert!(!reader.has_ended());
    }

    #[test]
    fn it_ends_with_whoever_reads() {
        let consumer = client();
        for reads in [false, true] {
            let mut reader = Reader::start("test-poll".to_owned()).expect("a thread");
            let asked = Arc::downgrade(&reader.is_asked_to_rest);
            if reads {
                reader.go_on(consumer.client.clone(), BTreeSet::new());
            }
            drop(reader);
            let deadline = Instant::now() + Duration::from_secs(30);
            while asked.strong_count() > 0 {
                assert!(Instant::now() < deadline, "the thread goes on");
                std::thread::sleep(POLL);
            }
        }
    }
}
