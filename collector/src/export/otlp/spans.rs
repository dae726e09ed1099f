//! The spans of one trace: docs/tracing.md, docs/adr/0004-otlp-spans.md.
//!
//! They carry the event's own trace id, so that they stand in its trace; span ids are functions of
//! what they describe, so that a trace exported twice is the same; producers are linked, never made
//! parents, since nothing of theirs waits for us and they may not have been sampled.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checks::pipeline::follows;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::state::{StageSighting, TraceOutcome};

/// Every breach, and the sampled share of the rest: the same traces at every collector.
pub(super) fn is_exported(outcome: &TraceOutcome, share: f64) -> bool {
    outcome.breached || follows(&outcome.trace_id, share)
}

/// The passage through the pipeline and, under it, a span a hop. Nothing without a sighting.
pub(super) fn of(outcome: &TraceOutcome) -> Vec<SpanData> {
    let (Some(first), Some(last)) = (outcome.sightings.first(), outcome.sightings.last()) else {
        return Vec::new();
    };
    let passage = passage(outcome, first, last);
    let parent = passage.span_context.span_id();
    let mut spans = vec![passage];
    spans.extend(outcome.sightings.windows(2).map(|pair| hop(outcome, parent, &pair[0], &pair[1])));
    spans
}

fn passage(outcome: &TraceOutcome, first: &StageSighting, last: &StageSighting) -> SpanData {
    let pipeline = &outcome.pipeline;
    let result = match (outcome.whole_ms, outcome.breached) {
        (None, _) => "incomplete",
        (Some(_), true) => "breached",
        (Some(_), false) => "complete",
    };
    let mut attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", "observe"),
        KeyValue::new("tapline.pipeline", pipeline.name.clone()),
        KeyValue::new("tapline.outcome", result),
        KeyValue::new("tapline.from", first.topic.clone()),
        KeyValue::new("tapline.to", last.topic.clone()),
    ];
    if let Some(objective) = pipeline.latency {
        attributes.push(KeyValue::new("tapline.objective_ms", objective.ms));
    }
    let status = match (outcome.whole_ms, pipeline.latency) {
        (None, _) => Status::error(format!(
            "last seen at {}, and not at {} within {} ms",
            last.topic,
            pipeline.stages.last().map_or("", String::as_str),
            pipeline.deadline_ms
        )),
        (Some(ms), Some(objective)) if outcome.breached => {
            Status::error(format!("took {ms} ms, {} ms are promised", objective.ms))
        }
        _ => Status::Unset,
    };
    SpanData {
        links: links(outcome, &outcome.sightings),
        status,
        ..span(
            outcome,
            SpanId::INVALID,
            (0, 0),
            format!("observe {}", pipeline.name),
            attributes,
            (first.record_ms, last.record_ms),
        )
    }
}

fn hop(outcome: &TraceOutcome, parent: SpanId, from: &StageSighting, to: &StageSighting) -> SpanData {
    let attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", "observe"),
        KeyValue::new("messaging.destination.name", to.topic.clone()),
        KeyValue::new("messaging.destination.partition.id", to.partition.to_string()),
        KeyValue::new("messaging.kafka.offset", to.offset),
        KeyValue::new("tapline.pipeline", outcome.pipeline.name.clone()),
        KeyValue::new("tapline.from", from.topic.clone()),
        KeyValue::new("tapline.from.partition.id", from.partition.to_string()),
        KeyValue::new("tapline.from.offset", from.offset),
        KeyValue::new("tapline.to", to.topic.clone()),
    ];
    SpanData {
        links: links(outcome, &[from.clone(), to.clone()]),
        ..span(
            outcome,
            parent,
            (from.stage as u64 + 1, to.stage as u64 + 1),
            format!("observe {}", to.topic),
            attributes,
            (from.record_ms, to.record_ms),
        )
    }
}

/// What all of them have. `part` tells the spans of a trace and pipeline apart.
fn span(
    outcome: &TraceOutcome,
    parent: SpanId,
    part: (u64, u64),
    name: String,
    mut attributes: Vec<KeyValue>,
    (from_ms, to_ms): (i64, i64),
) -> SpanData {
    if to_ms < from_ms {
        // A span can't end before it begins; the clocks' difference is told instead.
        attributes.push(KeyValue::new("tapline.clock_skew_ms", from_ms.saturating_sub(to_ms)));
    }
    let context = SpanContext::new(
        TraceId::from_bytes(outcome.trace_id),
        span_id(&outcome.trace_id, &outcome.pipeline.name, part),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    SpanData {
        span_context: context,
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: time(from_ms),
        end_time: time(to_ms.max(from_ms)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("tapline")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// To the producers' contexts, as they stand in the records' headers.
fn links(outcome: &TraceOutcome, sightings: &[StageSighting]) -> SpanLinks {
    let mut links = SpanLinks::default();
    for s in sightings {
        let context = SpanContext::new(
            TraceId::from_bytes(outcome.trace_id),
            SpanId::from_bytes(s.span_id),
            TraceFlags::new(s.flags as u8),
            true,
            TraceState::NONE,
        );
        let attributes = vec![
            KeyValue::new("messaging.destination.name", s.topic.clone()),
            KeyValue::new("messaging.destination.partition.id", s.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", s.offset),
        ];
        links.links.push(Link::new(context, attributes, 0));
    }
    links
}

fn time(ms: i64) -> SystemTime {
    // Before 1970 there was no Kafka: the agent has replaced such times by the arrival's.
    UNIX_EPOCH.checked_add(Duration::from_millis(ms.max(0).unsigned_abs())).unwrap_or(UNIX_EPOCH)
}

/// FNV-1a over what the span is about, mixed (splitmix64): the same whenever and wherever it is
/// exported, never zero.
fn span_id(trace_id: &[u8; 16], pipeline: &str, part: (u64, u64)) -> SpanId {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let bytes = trace_id.iter().chain(pipeline.as_bytes()).copied();
    for byte in bytes.chain(part.0.to_be_bytes()).chain(part.1.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    SpanId::from_bytes(hash.max(1).to_be_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use checks::pipeline::{Correlate, LatencyObjective, Pipeline};

    use super::*;

    fn sighting(stage: usize, topic: &str, record_ms: i64) -> StageSighting {
        StageSighting {
            stage,
            topic: topic.to_owned(),
            partition: stage as i32,
            offset: 100 + stage as i64,
            span_id: [stage as u8 + 1; 8],
            flags: 1,
            record_ms,
            arrival_ms: record_ms + 5,
        }
    }

    pub(crate) fn outcome() -> TraceOutcome {
        TraceOutcome {
            pipeline: Arc::new(Pipeline {
                name: "checkout".to_owned(),
                stages: ["orders", "payments", "shipments"].map(str::to_owned).to_vec(),
                correlate: Correlate::Traceparent,
                deadline_ms: 60_000,
                latency: Some(LatencyObjective { quantile: 0.99, ms: 2_000 }),
                follow: 1.0,
            }),
            trace_id: [7; 16],
            sightings: vec![
                sighting(0, "orders", 1_000),
                sighting(1, "payments", 1_250),
                sighting(2, "shipments", 4_000),
            ],
            whole_ms: Some(3_000),
            breached: true,
        }
    }

    fn attribute(span: &SpanData, key: &str) -> Option<String> {
        span.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string())
    }

    #[test]
    fn a_passage_and_its_hops() {
        let spans = of(&outcome());
        assert_eq!(spans.len(), 3);
        let names: Vec<&str> = spans.iter().map(|s| s.name.as_ref()).collect();
        assert_eq!(names, ["observe checkout", "observe payments", "observe shipments"]);
        for span in &spans {
            assert_eq!(span.span_context.trace_id(), TraceId::from_bytes([7; 16]));
            assert_eq!(span.span_kind, SpanKind::Internal);
            assert_eq!(attribute(span, "messaging.operation.name").as_deref(), Some("observe"));
        }
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
        assert_eq!(spans[0].links.len(), 3);
        assert!(
            matches!(&spans[0].status, Status::Error { description } if description.contains("took 3000 ms"))
        );
        assert_eq!(spans[2].parent_span_id, spans[0].span_context.span_id());
        assert_eq!(spans[2].start_time, UNIX_EPOCH + Duration::from_millis(1_250));
        assert_eq!(spans[2].end_time, UNIX_EPOCH + Duration::from_millis(4_000));
        assert_eq!(attribute(&spans[2], "messaging.kafka.offset").as_deref(), Some("102"));
        let linked: Vec<SpanId> = spans[2].links.iter().map(|l| l.span_context.span_id()).collect();
        assert_eq!(linked, [SpanId::from_bytes([2; 8]), SpanId::from_bytes([3; 8])]);
    }

    #[test]
    fn ids_are_the_same_every_time_and_differ_within() {
        let ids = |o: &TraceOutcome| of(o).iter().map(|s| s.span_context.span_id()).collect::<Vec<_>>();
        assert_eq!(ids(&outcome()), ids(&outcome()));
        let mut all = ids(&outcome());
        all.extend(ids(&TraceOutcome { trace_id: [8; 16], ..outcome() }));
        all.sort_by_key(|id| id.to_bytes());
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn what_never_arrived_says_where_it_was_last() {
        let lost =
            TraceOutcome { sightings: vec![sighting(0, "orders", 1_000)], whole_ms: None, ..outcome() };
        let spans = of(&lost);
        assert_eq!(spans.len(), 1);
        assert!(
            matches!(&spans[0].status, Status::Error { description } if description.contains("last seen at orders"))
        );
        assert_eq!(attribute(&spans[0], "tapline.outcome").as_deref(), Some("incomplete"));
    }

    #[test]
    fn clocks_that_disagree_are_told_and_not_turned_round() {
        let skewed = TraceOutcome {
            sightings: vec![sighting(0, "orders", 1_000), sighting(2, "shipments", 990)],
            whole_ms: Some(-10),
            breached: false,
            ..outcome()
        };
        let hop = &of(&skewed)[1];
        assert_eq!(hop.start_time, hop.end_time);
        assert_eq!(attribute(hop, "tapline.clock_skew_ms").as_deref(), Some("10"));
    }

    #[test]
    fn breaches_are_always_exported_and_the_rest_by_share() {
        assert!(is_exported(&outcome(), 0.0));
        let fine = TraceOutcome { breached: false, ..outcome() };
        assert!(!is_exported(&fine, 0.0));
        assert!(is_exported(&fine, 1.0));
    }
}
