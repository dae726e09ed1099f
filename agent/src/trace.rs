//! Sightings: records of traced pipelines, by their W3C Trace Context header
//! (<https://www.w3.org/TR/trace-context-2/#traceparent-header>). Pure: the clock is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::pipeline::{Pipeline, follows};
use checks::record::{Header, RecordView};
use checks::report::Sighting;

/// Names of header findings in [`checks::report::PaneSummary::header_notes`].
pub mod note {
    /// The header that counts is not a traceparent.
    pub const MALFORMED: &str = "traceparent_malformed";
    /// It occurs more than once; the last one counts.
    pub const DUPLICATE: &str = "traceparent_duplicate";
    /// A record of a pipeline without it.
    pub const MISSING: &str = "traceparent_missing";
}

/// A parsed `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// The producer's span; never all zero.
    pub span_id: [u8; 8],
    /// Trace flags.
    pub flags: u8,
}

impl TraceParent {
    /// Parses a header's value; `None` if it is malformed. Of a later version than 00, what follows
    /// the flags is ignored; version ff is forbidden.
    pub fn parse(value: &[u8]) -> Option<Self> {
        const LEN: usize = 55;
        let (head, rest) = value.split_at_checked(LEN)?;
        let version = hex::<1>(head.get(..2)?)?[0];
        let is_whole = match version {
            0xff => false,
            0 => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let has_dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
        let trace_id = hex::<16>(head.get(3..35)?)?;
        let span_id = hex::<8>(head.get(36..52)?)?;
        let flags = hex::<1>(head.get(53..55)?)?[0];
        let is_valid = is_whole && has_dashes && trace_id != [0; 16] && span_id != [0; 8];
        is_valid.then_some(Self { trace_id, span_id, flags })
    }
}

/// Lower-case hexadecimal, as the specification insists on.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// What the headers of one record say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The context, unless it is missing or malformed.
    pub context: Option<TraceParent>,
    /// A finding about it, one of [`note`].
    pub note: Option<&'static str>,
}

/// Looks for `traceparent`; the last header of that name counts. Names of other case are the same
/// header, as in HTTP, where some producers take them from.
pub fn find(headers: &[Header<'_>]) -> Found {
    let mut of_that_name = headers.iter().rev().filter(|h| h.name.eq_ignore_ascii_case("traceparent"));
    let Some(last) = of_that_name.next() else {
        return Found { context: None, note: Some(note::MISSING) };
    };
    let context = last.value.and_then(TraceParent::parse);
    let note = match (context, of_that_name.next()) {
        (None, _) => Some(note::MALFORMED),
        (Some(_), Some(_)) => Some(note::DUPLICATE),
        (Some(_), None) => None,
    };
    Found { context, note }
}

/// The sightings of one agent between two reports.
#[derive(Debug)]
pub struct Sightings {
    /// The largest share that any pipeline follows of a topic.
    follow: BTreeMap<String, f64>,
    per_second_max: usize,
    second: i64,
    this_second: usize,
    seen: Vec<Sighting>,
    dropped: u64,
}

impl Sightings {
    /// Follows the stages of these pipelines; at most so many sightings a second.
    pub fn new(pipelines: &[Arc<Pipeline>], per_second_max: usize) -> Self {
        let mut follow = BTreeMap::new();
        for pipeline in pipelines {
            for stage in &pipeline.stages {
                let share: &mut f64 = follow.entry(stage.clone()).or_insert(0.0);
                *share = share.max(pipeline.follow);
            }
        }
        Self { follow, per_second_max, second: i64::MIN, this_second: 0, seen: Vec::new(), dropped: 0 }
    }

    /// The share followed of a topic's traces; `None` if it is no stage of a pipeline.
    pub fn share(&self, topic: &str) -> Option<f64> {
        self.follow.get(topic).copied()
    }

    /// Notes a record of a stage of which `share` is followed. The result is for its pane.
    pub fn see(
        &mut self,
        record: &RecordView<'_>,
        share: f64,
        record_ms: i64,
        arrival_ms: i64,
    ) -> Option<&'static str> {
        let found = find(record.headers);
        if let Some(context) = found.context.filter(|c| follows(&c.trace_id, share)) {
            let second = arrival_ms.div_euclid(1_000);
            if second != self.second {
                self.second = second;
                self.this_second = 0;
            }
            if self.this_second >= self.per_second_max {
                self.dropped += 1;
            } else {
                self.this_second += 1;
                self.seen.push(Sighting {
                    trace_id: context.trace_id.to_vec(),
                    span_id: context.span_id.to_vec(),
                    flags: context.flags.into(),
                    topic: record.topic.to_owned(),
                    partition: record.partition,
                    offset: record.offset,
                    record_ms,
                    arrival_ms,
                });
            }
        }
        found.note
    }

    /// Those since the last call, in the order of reading.
    pub fn take(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.seen)
    }

    /// How many wait to be taken.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// None waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Dropped over the limit a second, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checks::pipeline::Correlate;
    use checks::record::Timestamp;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name, value: Some(value.as_bytes()) }
    }

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let parsed = TraceParent::parse(GOOD.as_bytes()).expect("valid");
        assert_eq!(parsed.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(parsed.span_id[7], 0x31);
        assert_eq!(parsed.flags, 1);
        for good in [
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what-the-future-will-be-like",
        ] {
            assert!(TraceParent::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(TraceParent::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_last_header_wins_and_what_is_odd_is_said() {
        let other = "00-11111111111111111111111111111111-2222222222222222-00";
        assert_eq!(find(&[header("a", "b")]), Found { context: None, note: Some(note::MISSING) });
        let one = find(&[header("Traceparent", GOOD), header("x", "")]);
        assert_eq!((one.context, one.note), (TraceParent::parse(GOOD.as_bytes()), None));
        let two = find(&[header("traceparent", other), header("traceparent", GOOD)]);
        assert_eq!((two.context, two.note), (TraceParent::parse(GOOD.as_bytes()), Some(note::DUPLICATE)));
        let bad = find(&[header("traceparent", GOOD), header("traceparent", "nonsense")]);
        assert_eq!((bad.context, bad.note), (None, Some(note::MALFORMED)));
        let null = find(&[Header { name: "traceparent", value: None }]);
        assert_eq!((null.context, null.note), (None, Some(note::MALFORMED)));
    }

    #[test]
    fn sightings_are_of_pipelines_only_and_capped_a_second() {
        let pipeline = |name: &str, stages: [&str; 2], follow| {
            Arc::new(Pipeline {
                name: name.into(),
                stages: stages.map(String::from).to_vec(),
                correlate: Correlate::Traceparent,
                deadline_ms: 1,
                latency: None,
                follow,
            })
        };
        let pipelines =
            [pipeline("p", ["orders", "payments"], 0.1), pipeline("q", ["payments", "mail"], 1.0)];
        let mut sightings = Sightings::new(&pipelines, 2);
        assert_eq!(sightings.share("orders"), Some(0.1));
        assert_eq!(sightings.share("payments"), Some(1.0), "the larger of the two");
        assert_eq!(sightings.share("other"), None);
        let headers = [header("traceparent", GOOD)];
        for offset in 0..3 {
            let record = RecordView {
                topic: "payments",
                partition: 3,
                offset,
                timestamp: Timestamp::Created(5),
                key: None,
                value: None,
                headers: &headers,
            };
            assert_eq!(sightings.see(&record, 1.0, 5, 1_000 + offset), None);
        }
        assert_eq!((sightings.len(), sightings.dropped()), (2, 1));
        let taken = sightings.take();
        assert_eq!(
            (taken[1].partition, taken[1].offset, taken[1].record_ms, taken[1].arrival_ms),
            (3, 1, 5, 1_001)
        );
        assert!(sightings.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_panics(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceParent::parse(&value);
        }

        #[test]
        fn a_formatted_context_is_read_back(trace in 1u128.., span in 1u64.., flags: u8) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let parsed = TraceParent::parse(text.as_bytes()).expect("valid");
            prop_assert_eq!(u128::from_be_bytes(parsed.trace_id), trace);
            prop_assert_eq!(u64::from_be_bytes(parsed.span_id), span);
            prop_assert_eq!(parsed.flags, flags);
        }
    }
}
