//! Records on their way from the thread that polls the client to the one that examines them: copied, one behind the
//! other, so that the client's memory is given back where it was taken, and the next record is where the processor
//! looks for it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use checks::record::{Header, RecordView, Timestamp};
use rdkafka::message::{Headers, Message};

/// Records of a batch at most.
const RECORDS: usize = 512;
/// A batch of so many bytes takes no more; one record may be larger.
const BYTES: usize = 256 << 10;
/// What a batch keeps of its memory for the next records.
const KEPT_BYTES: usize = 2 * BYTES;

/// Records, in the order in which the client handed them out.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Names of topics, keys, values, headers.
    bytes: Vec<u8>,
    runs: Vec<RunAt>,
    entries: Vec<Entry>,
    headers: Vec<HeaderAt>,
}

/// Where something lies in the bytes of a batch.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug)]
struct RunAt {
    topic: Span,
    partition: i32,
    has_headers: bool,
    entries: Range<usize>,
}

/// A record of a batch: [`Run::view`] shows it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) arrival_ms: i64,
    offset: i64,
    timestamp: Timestamp,
    key: Option<Span>,
    value: Option<Span>,
    headers: Range<usize>,
}

#[derive(Debug)]
struct HeaderAt {
    name: Span,
    value: Option<Span>,
}

/// Records of one partition that came one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) entries: &'a [Entry],
    batch: &'a Batch,
}

impl Batch {
    /// Copies a record; its headers only if somebody `looks_at_headers` of its topic.
    pub(crate) fn push<M: Message>(
        &mut self,
        message: &M,
        arrival_ms: i64,
        looks_at_headers: impl FnOnce(&str) -> bool,
    ) {
        let (topic, partition) = (message.topic(), message.partition());
        let goes_on = self.runs.last().is_some_and(|run| {
            run.partition == partition
                && self.bytes.get(run.topic.start..run.topic.end) == Some(topic.as_bytes())
        });
        if !goes_on {
            let (topic, has_headers) = (self.copy(topic.as_bytes()), looks_at_headers(topic));
            let entries = self.entries.len()..self.entries.len();
            self.runs.push(RunAt { topic, partition, has_headers, entries });
        }
        let first_header = self.headers.len();
        if self.runs.last().is_some_and(|run| run.has_headers) {
            for header in headers(message) {
                let name = self.copy(header.name.as_bytes());
                let value = header.value.map(|value| self.copy(value));
                self.headers.push(HeaderAt { name, value });
            }
        }
        let entry = Entry {
            arrival_ms,
            offset: message.offset(),
            timestamp: timestamp(message),
            key: message.key().map(|key| self.copy(key)),
            value: message.payload().map(|value| self.copy(value)),
            headers: first_header..self.headers.len(),
        };
        self.entries.push(entry);
        if let Some(run) = self.runs.last_mut() {
            run.entries.end = self.entries.len();
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes no more records.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= RECORDS || self.bytes.len() >= BYTES
    }

    /// It holds more than its memory would be kept for.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.capacity() > KEPT_BYTES
    }

    /// Empty, with the memory that it had, within bounds.
    pub(crate) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.runs.clear();
        self.entries.clear();
        self.headers.clear();
        self
    }

    /// Its records by partition.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.runs.iter().map(|run| Run {
            topic: self.text(run.topic),
            partition: run.partition,
            entries: self.entries.get(run.entries.clone()).unwrap_or_default(),
            batch: self,
        })
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        // It was copied from a text.
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }
}

impl<'a> Run<'a> {
    /// A record, with its [`headers`](Self::headers).
    pub(crate) fn view<'v>(&self, entry: &'v Entry, headers: &'v [Header<'v>]) -> RecordView<'v>
    where
        'a: 'v,
    {
        RecordView {
            topic: self.topic,
            partition: self.partition,
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: entry.key.map(|key| self.batch.slice(key)),
            value: entry.value.map(|value| self.batch.slice(value)),
            headers,
        }
    }

    /// The headers of a record, none if nobody looks at those of its topic.
    pub(crate) fn headers(&self, entry: &Entry) -> Vec<Header<'a>> {
        let headers = self.batch.headers.get(entry.headers.clone()).unwrap_or_default();
        let shown = |header: &HeaderAt| Header {
            name: self.batch.text(header.name),
            value: header.value.map(|value| self.batch.slice(value)),
        };
        headers.iter().map(shown).collect()
    }
}

/// A message as a record of this topic; its headers are read apart, as few topics need them.
pub(crate) fn view<'a, M: Message>(
    message: &'a M,
    topic: &'a str,
    headers: &'a [Header<'a>],
) -> RecordView<'a> {
    RecordView {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp: timestamp(message),
        key: message.key(),
        value: message.payload(),
        headers,
    }
}

fn timestamp(message: &impl Message) -> Timestamp {
    match message.timestamp() {
        rdkafka::Timestamp::NotAvailable => Timestamp::Missing,
        rdkafka::Timestamp::CreateTime(ms) => Timestamp::Created(ms),
        rdkafka::Timestamp::LogAppendTime(ms) => Timestamp::Appended(ms),
    }
}

/// The headers of a message. The client panics on names that are not UTF-8, which a producer is
/// free to send: then none can be looked at.
pub(crate) fn headers<M: Message>(message: &M) -> Vec<Header<'_>> {
    let all = || {
        let headers = message.headers()?;
        Some(headers.iter().map(|header| Header { name: header.key, value: header.value }).collect())
    };
    catch_unwind(AssertUnwindSafe(all)).ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header as Written, OwnedHeaders, OwnedMessage};

    use super::*;

    fn message(topic: &str, partition: i32, offset: i64, value: Option<&[u8]>) -> OwnedMessage {
        let written = [("a", Some("1")), ("b", None), ("a", Some(""))];
        let headers = written
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Written { key, value }));
        OwnedMessage::new(
            value.map(<[u8]>::to_vec),
            (offset % 2 == 0).then(|| format!("key {offset}").into_bytes()),
            topic.to_owned(),
            rdkafka::Timestamp::CreateTime(offset),
            partition,
            offset,
            Some(headers),
        )
    }

    #[test]
    fn a_record_comes_out_as_it_went_in() {
        let sent = [
            ("orders", 0, 7, Some(&b"seven"[..])),
            ("orders", 0, 8, None),
            ("orders", 1, 3, Some(b"")),
            ("payments", 1, 4, Some(b"\xff\0")),
            ("orders", 1, 5, Some(b"five")),
        ];
        let mut batch = Batch::default();
        // Again in the memory of a batch that was emptied.
        for _ in 0..2 {
            batch = batch.emptied();
            assert!(batch.is_empty());
            for (topic, partition, offset, value) in sent {
                batch.push(&message(topic, partition, offset, value), offset + 100, |topic| {
                    topic == "payments"
                });
            }
            let runs: Vec<_> =
                batch.runs().map(|run| (run.topic, run.partition, run.entries.len())).collect();
            assert_eq!(runs, [("orders", 0, 2), ("orders", 1, 1), ("payments", 1, 1), ("orders", 1, 1)]);
            let mut expected = sent.iter();
            for run in batch.runs() {
                for entry in run.entries {
                    let &(topic, partition, offset, value) = expected.next().unwrap();
                    let headers = run.headers(entry);
                    let record = run.view(entry, &headers);
                    let direct = message(topic, partition, offset, value);
                    let all = super::headers(&direct);
                    let seen = if topic == "payments" { &all[..] } else { &[] };
                    assert_eq!(format!("{record:?}"), format!("{:?}", view(&direct, topic, seen)));
                    assert_eq!(entry.arrival_ms, offset + 100);
                }
            }
            assert!(expected.next().is_none());
        }
    }

    #[test]
    fn it_takes_no_more_than_its_share_and_keeps_no_more() {
        let mut batch = Batch::default();
        for offset in 0..RECORDS as i64 {
            assert!(!batch.is_full());
            batch.push(&message("orders", 0, offset, Some(b"{}")), 0, |_| false);
        }
        assert!(batch.is_full() && !batch.is_large());
        let mut batch = batch.emptied();
        assert!(!batch.is_full());
        batch.push(&message("orders", 0, 0, Some(&vec![b' '; 8 << 20])), 0, |_| false);
        assert!(batch.is_full() && batch.is_large());
        assert!(!batch.emptied().is_large());
    }
}
