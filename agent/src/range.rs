//! A bounded range of a topic, read once: for gates, profiles and comparisons.
//!
//! The end is fixed before the first record is read, so that a topic that is still written to ends
//! too. Nothing is committed, no group is joined, no topic is created. Every offset of the range is
//! accounted for: a record was handed over, or the offset holds none (a transaction marker, an aborted
//! or compacted record).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use checks::limits::Limits;
use checks::offline::Piece;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Config;
use crate::decode::registry::Registry;
use crate::decode::{Decoder, How};
use crate::pane::effective_time;
use crate::source::batch::{headers, view};
use crate::source::consumer::Consumer;
use crate::source::properties;
use crate::status::Shared;
use crate::worker::now_ms;

/// How long a question to the brokers may take, the first one with its connection.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long nothing may come while there is something to read.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one poll waits: progress is told at least as often.
const POLL: Duration = Duration::from_millis(100);

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The first offset that is still there.
    Beginning,
    /// The end as it is when reading begins (the last stable offset: open transactions are not read).
    End,
    /// This offset, in every partition.
    Offset(i64),
    /// The first record of this time or later, ms since the epoch.
    Time(i64),
    /// So many offsets before the end, of all partitions together: the latest, wherever they are.
    Last(u64),
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Range {
    /// Topic name.
    pub topic: String,
    /// First.
    pub from: Edge,
    /// First that is not meant any more.
    pub to: Edge,
}

/// Why a range can't be read. Every message names the topic.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// The configuration, or an address, can't be used.
    #[error("{0}")]
    Config(String),
    /// There is no such topic, or it may not be described.
    #[error("the topic {0} is not there, or may not be described")]
    NoTopic(String),
    /// The brokers did not answer, or refused.
    #[error("{what} of {topic}: {why}")]
    Broker {
        /// What was asked.
        what: &'static str,
        /// Topic or partition.
        topic: String,
        /// What the client says.
        why: String,
    },
    /// The range begins with records that retention has removed.
    #[error(
        "{topic}[{partition}] begins at offset {start} by now: --from {from} is gone (write --from beginning)"
    )]
    Gone {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// First offset there is.
        start: i64,
        /// First offset wanted.
        from: i64,
    },
}

/// A partition's part of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Partition number.
    pub partition: i32,
    /// First offset.
    pub first: i64,
    /// One after the last.
    pub end: i64,
    next: i64,
}

impl Part {
    fn is_done(&self) -> bool {
        self.next >= self.end
    }
}

/// A range that is open to be read.
pub struct Reader {
    topic: Arc<str>,
    consumer: Consumer,
    shared: Arc<Shared>,
    decoder: Decoder,
    limits: Limits,
    parts: BTreeMap<i32, Part>,
    opened_ms: i64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader of {}, {:?}", self.topic, self.parts)
    }
}

impl Reader {
    /// Looks up where the range begins and ends in each partition. Must be called within a tokio
    /// runtime if there is a registry, and not on one of its threads.
    ///
    /// # Errors
    /// [`RangeError`]: nothing was read.
    pub fn open(
        config: &Config,
        range: &Range,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, RangeError> {
        let shared = Arc::new(Shared::default());
        let (mut properties, warnings) = properties::of_consumer(config);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        for (name, value) in [
            ("enable.partition.eof", "true"),
            ("statistics.interval.ms", "0"),
            // Waits for a fetch that a bounded read has no use for.
            ("fetch.wait.max.ms", "50"),
        ] {
            properties.insert(name.to_owned(), value.to_owned());
        }
        let consumer = Consumer::new(&properties, Arc::clone(&shared)).map_err(RangeError::Config)?;
        let opened_ms = now_ms();
        let registry = match &config.registry {
            Some(registry) => Some(
                Registry::new(registry, &config.limits, runtime.clone(), Arc::clone(&shared), opened_ms)
                    .map_err(RangeError::Config)?,
            ),
            None => None,
        };
        let mut reader = Self {
            topic: Arc::from(range.topic.as_str()),
            consumer,
            shared,
            decoder: Decoder::new(&config.limits, registry),
            limits: config.limits.clone(),
            parts: BTreeMap::new(),
            opened_ms,
        };
        reader.place(range)?;
        Ok(reader)
    }

    /// Offsets of the range, at most so many records.
    pub fn offsets(&self) -> u64 {
        self.parts.values().map(|part| part.end.abs_diff(part.first)).sum()
    }

    /// The range by partition.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.values()
    }

    /// When it was opened, ms since the epoch: the moment of [`Edge::End`].
    pub fn opened_ms(&self) -> i64 {
        self.opened_ms
    }

    fn place(&mut self, range: &Range) -> Result<(), RangeError> {
        let broken = |what: &'static str, why: String| RangeError::Broker {
            what,
            topic: range.topic.clone(),
            why: self.reason(why),
        };
        let client = &self.consumer.client;
        let metadata = client
            .fetch_metadata(Some(&range.topic), TIMEOUT)
            .map_err(|e| broken("the partitions", e.to_string()))?;
        let topic = metadata.topics().iter().find(|t| t.name() == range.topic);
        let partitions: Vec<i32> = match topic {
            Some(topic) if topic.error().is_none() => topic.partitions().iter().map(|p| p.id()).collect(),
            _ => Vec::new(),
        };
        if partitions.is_empty() {
            return Err(RangeError::NoTopic(range.topic.clone()));
        }
        let look_up = |offset: Offset| -> Result<BTreeMap<i32, Offset>, RangeError> {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in &partitions {
                list.add_partition_offset(&range.topic, *partition, offset)
                    .map_err(|e| broken("an offset", e.to_string()))?;
            }
            let answer =
                client.offsets_for_times(list, TIMEOUT).map_err(|e| broken("the offsets", e.to_string()))?;
            let mut found = BTreeMap::new();
            for element in answer.elements() {
                element.error().map_err(|e| broken("the offsets", e.to_string()))?;
                found.insert(element.partition(), element.offset());
            }
            Ok(found)
        };
        let starts = look_up(Offset::Beginning)?;
        let ends = look_up(Offset::End)?;
        let edge = |edge: Edge| match edge {
            Edge::Time(ms) => look_up(Offset::Offset(ms)),
            _ => Ok(BTreeMap::new()),
        };
        let (from_times, to_times) = (edge(range.from)?, edge(range.to)?);
        let number = |offsets: &BTreeMap<i32, Offset>, partition: i32, which: &'static str| match offsets
            .get(&partition)
        {
            Some(Offset::Offset(offset)) => Ok(*offset),
            other => Err(broken(which, format!("the broker says {other:?} for partition {partition}"))),
        };
        let mut parts = BTreeMap::new();
        let count = partitions.len() as u64;
        for partition in partitions {
            let start = number(&starts, partition, "the beginning")?;
            let end = number(&ends, partition, "the end")?;
            let at = |edge: Edge, times: &BTreeMap<i32, Offset>| match edge {
                Edge::Beginning => Ok(start),
                Edge::End => Ok(end),
                Edge::Offset(offset) => Ok(offset),
                Edge::Last(most) => {
                    let share = (most / count).max(1);
                    Ok(end.saturating_sub(i64::try_from(share).unwrap_or(i64::MAX)).max(start))
                }
                // No record so late: the end.
                Edge::Time(_) if matches!(times.get(&partition), Some(Offset::End)) => Ok(end),
                Edge::Time(_) => number(times, partition, "a time's offset"),
            };
            let from = at(range.from, &from_times)?;
            if from < start {
                return Err(RangeError::Gone { topic: range.topic.clone(), partition, start, from });
            }
            let end = at(range.to, &to_times)?.min(end);
            let first = from.min(end);
            parts.insert(partition, Part { partition, first, end, next: first });
        }
        self.parts = parts;
        Ok(())
    }

    /// Reads all of it into `piece`, or the first `most` records; `progress` is told how many offsets
    /// are behind, now and then. Returns how many records there were.
    ///
    /// # Errors
    /// The brokers stopped answering, or refused: what was read is not the range.
    pub fn read(
        mut self,
        piece: &mut Piece,
        most: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, RangeError> {
        let how = How::new(piece.rules()).map_err(RangeError::Config)?;
        let broken = |reader: &Self, why: String| RangeError::Broker {
            what: "the records",
            topic: reader.topic.to_string(),
            why: reader.reason(why),
        };
        let mut wanted = TopicPartitionList::new();
        for part in self.parts.values().filter(|part| !part.is_done()) {
            wanted
                .add_partition_offset(&self.topic, part.partition, Offset::Offset(part.first))
                .map_err(|e| broken(&self, e.to_string()))?;
        }
        let client = Arc::clone(&self.consumer.client);
        client.assign(&wanted).map_err(|e| broken(&self, e.to_string()))?;
        let (mut records, mut behind) = (0u64, 0u64);
        let mut heard = Instant::now();
        while records < most && self.parts.values().any(|part| !part.is_done()) {
            match client.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let Some(part) = self.parts.get_mut(&message.partition()) else { continue };
                    let passed = message.offset().saturating_add(1).min(part.end).max(part.next);
                    behind += passed.abs_diff(part.next);
                    part.next = passed;
                    let is_meant = message.offset() < part.end;
                    if part.is_done() {
                        self.finish(message.partition());
                    }
                    if is_meant {
                        records += 1;
                        self.take(&message, &how, piece);
                    }
                    if records % 1_024 == 0 {
                        progress(behind);
                    }
                }
                // Behind the last record there are markers at most.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    if let Some(part) = self.parts.get_mut(&partition) {
                        behind += part.end.abs_diff(part.next);
                        part.next = part.end;
                    }
                    self.finish(partition);
                }
                Some(Err(error)) if is_fatal(&error) => return Err(broken(&self, error.to_string())),
                Some(Err(error)) => tracing::debug!(%error, "reading"),
                None => {
                    progress(behind);
                    if heard.elapsed() > SILENCE {
                        let why = format!("nothing came for {} s", SILENCE.as_secs());
                        return Err(broken(&self, why));
                    }
                }
            }
        }
        progress(behind);
        self.consumer.close(Duration::from_secs(5));
        Ok(records)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, how: &How, piece: &mut Piece) {
        let headers = headers(message);
        let topic = Arc::clone(&self.topic);
        let record = view(message, &topic, &headers);
        let window = piece.rules().window;
        let (record_ms, is_bad) =
            effective_time(record.timestamp, self.opened_ms, &window, self.limits.open_panes);
        let (decoded, verdict) = self.decoder.decode(record.value, how, piece.shape_mut(), now_ms());
        piece.take(&record, record_ms, is_bad, decoded, verdict);
    }

    /// Fetches a partition no more.
    fn finish(&self, partition: i32) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        if let Err(error) = self.consumer.client.pause(&list) {
            tracing::debug!(%error, "pausing a partition that is read");
        }
    }

    /// The client's own reason, where it told one.
    fn reason(&self, why: String) -> String {
        match self.shared.status(1).last_error {
            Some(said) if !why.contains(&said) => format!("{why} ({said})"),
            _ => why,
        }
    }
}

/// Errors that do not go away by waiting.
fn is_fatal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::Fatal
        )
    )
}
