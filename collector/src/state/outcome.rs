//! What became of a trace: what the OTLP exporter works from.

use std::sync::Arc;

use checks::pipeline::Pipeline;

/// A trace that was followed from its first stage to its end, good or bad.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceOutcome {
    /// The pipeline it was followed in.
    pub pipeline: Arc<Pipeline>,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// At most one a stage, in the order of the stages; the first stage is always among them.
    pub sightings: Vec<StageSighting>,
    /// From the first stage's record time to the last one's, ms (negative: clock skew); `None` if it
    /// did not reach the last stage within the deadline.
    pub whole_ms: Option<i64>,
    /// It broke the pipeline's latency objective, or never arrived.
    pub breached: bool,
}

/// A record of a trace at one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSighting {
    /// Index into [`Pipeline::stages`].
    pub stage: usize,
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// W3C parent id: the producer's span.
    pub span_id: [u8; 8],
    /// W3C trace flags.
    pub flags: u32,
    /// Record time, ms.
    pub record_ms: i64,
    /// When the agent got it, ms.
    pub arrival_ms: i64,
}
