//! What the judge says of a rule and a window.

use crate::report::Example;

/// The four verdicts. Unknown is neither pass nor fail: too few records, no baseline yet, nothing
/// examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The value satisfies the rule.
    Pass,
    /// It does not.
    Fail,
    /// Nothing can be said.
    Unknown,
    /// The rule could not be evaluated (a CEL error on every record, for instance).
    Error,
}

impl Status {
    /// All of them, in the order of the state set `tapline_check_status`.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Unknown, Self::Error];

    /// Its name in files, labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Error => "error",
        }
    }
}

/// Verdict of one rule on one window, with its evidence.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// The verdict.
    pub status: Status,
    /// The value in the rule's unit, if one could be computed.
    pub value: Option<f64>,
    /// Wilson interval of a ratio, in the rule's unit.
    pub interval: Option<[f64; 2]>,
    /// Records (or elements) that failed.
    pub failed: Option<u64>,
    /// Records (or elements) that were checked.
    pub checked: Option<u64>,
    /// One sentence with the evidence.
    pub message: String,
    /// Up to `limits.examples`.
    pub examples: Vec<Example>,
    /// With `segment_by`: those with the most records first, the rest last.
    pub segments: Vec<SegmentVerdict>,
    /// The window, ms, end exclusive.
    pub from_ms: i64,
    /// End of the window, ms, exclusive.
    pub to_ms: i64,
}

/// The verdict on the documents of one segment.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SegmentVerdict {
    /// The value that they have in common; `other` for the rest.
    pub segment: String,
    /// The verdict.
    pub status: Status,
    /// The value in the rule's unit, if there is one.
    pub value: Option<f64>,
    /// Records (or elements) that failed.
    pub failed: u64,
    /// Records (or elements) that were checked.
    pub checked: u64,
}

impl Verdict {
    /// A verdict that no figure goes with.
    pub fn without(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            value: None,
            interval: None,
            failed: None,
            checked: None,
            message: message.into(),
            examples: Vec::new(),
            segments: Vec::new(),
            from_ms: 0,
            to_ms: 0,
        }
    }
}
