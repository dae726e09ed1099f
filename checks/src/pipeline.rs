//! Pipelines: topics that one event passes through, joined by its trace id.

/// One entry of `pipelines:` in the configuration, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Unique; `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// Topic names in the order of the flow; at least two, all different.
    pub stages: Vec<String>,
    /// How records are recognised as the same event.
    pub correlate: Correlate,
    /// A trace that entered and has not reached the last stage after this long is incomplete, ms.
    pub deadline_ms: i64,
    /// What whole-pipeline latency is promised.
    pub latency: Option<LatencyObjective>,
    /// Share of the traces that is followed, 0 to 1, by hash of the trace id: the same at every
    /// agent.
    pub follow: f64,
}

/// `correlate:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correlate {
    /// The W3C `traceparent` header; the last one wins.
    #[default]
    Traceparent,
}

/// `latency: { p99: 2s }`: the share `quantile` of the events takes at most `ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyObjective {
    /// 0.99 for p99.
    pub quantile: f64,
    /// Milliseconds from the first stage's record time to the last one's.
    pub ms: i64,
}

/// Is this trace followed, at this share? A function of the trace id alone, so that all agents
/// pick the same ones. W3C trace ids carry their randomness in the right-most bytes
/// (Trace Context Level 2, random flag).
pub fn follows(trace_id: &[u8; 16], share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    let mut tail = [0u8; 8];
    tail.copy_from_slice(&trace_id[8..]);
    // Mixed (splitmix64), since some producers fill the id with counters.
    let mut x = u64::from_be_bytes(tail);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x as f64) < share * u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_followed_is_the_share_asked_for() {
        let followed = (0u128..20_000).filter(|i| follows(&i.to_be_bytes(), 0.1)).count();
        assert!((1_800..2_200).contains(&followed), "{followed}");
        assert!(!follows(&1u128.to_be_bytes(), 0.0));
        assert!(follows(&u128::MAX.to_be_bytes(), 1.0));
    }
}
