//! Every bound of Tapline, with its default, in one place (DESIGN.md, Limits).

/// Bounds on what peers may make us hold or do. All configurable; sizes in bytes unless named
/// otherwise.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Largest message that is decoded.
    pub message_bytes: usize,
    /// Largest decompressed batch.
    pub batch_bytes: usize,
    /// Deepest nesting of a document.
    pub nesting: usize,
    /// Fields profiled a topic; what lies beyond is counted as folded.
    pub fields: usize,
    /// Segments a topic.
    pub segments: usize,
    /// Longest string kept as a top value or example.
    pub string_bytes: usize,
    /// Open panes a topic.
    pub open_panes: usize,
    /// Largest report, encoded and before compression.
    pub report_bytes: usize,
    /// Largest schema.
    pub schema_bytes: usize,
    /// Schemas cached.
    pub schemas: usize,
    /// Timeout of the registry and the OTLP backend, in milliseconds.
    pub remote_timeout_ms: u64,
    /// Largest HTTP body accepted, compressed and decompressed.
    pub http_body_bytes: usize,
    /// Places in a queue between threads.
    pub queue: usize,
    /// Memory of an agent.
    pub agent_memory_bytes: usize,
    /// Largest check or configuration file.
    pub file_bytes: usize,
    /// Hashes kept a rule and pane to count duplicates exactly; beyond it, they are estimated from
    /// a sample by key hash.
    pub uniqueness_values: usize,
    /// Values tracked a field and pane for the top values.
    pub top_values: usize,
    /// Examples kept a rule and pane.
    pub examples: usize,
    /// Traces in flight a pipeline.
    pub open_traces: usize,
    /// Sightings an agent reports a second.
    pub sightings_per_second: usize,
    /// Reports (by encoded bytes) an agent keeps while the collector is away.
    pub spool_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            message_bytes: 8 * MIB,
            batch_bytes: 64 * MIB,
            nesting: 64,
            fields: 2_000,
            segments: 20,
            string_bytes: 256,
            open_panes: 64,
            report_bytes: 4 * MIB,
            schema_bytes: MIB,
            schemas: 5_000,
            remote_timeout_ms: 5_000,
            http_body_bytes: 8 * MIB,
            queue: 1_024,
            agent_memory_bytes: 256 * MIB,
            file_bytes: MIB,
            uniqueness_values: 65_536,
            top_values: 64,
            examples: 5,
            open_traces: 200_000,
            sightings_per_second: 20_000,
            spool_bytes: 64 * MIB,
        }
    }
}
