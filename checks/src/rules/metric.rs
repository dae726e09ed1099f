//! What checks measure, resolved.

use super::FieldPath;

/// `metric:` with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// Records in the window, from offsets: not sampled.
    RowCount,
    /// Records (or parents, for nested and array paths) without the field.
    MissingValues {
        /// Which.
        field: FieldPath,
        /// Values that stand for a missing one (scalars and null).
        stand_ins: Vec<serde_json::Value>,
    },
    /// Those where it is null.
    NullValues {
        /// Which.
        field: FieldPath,
    },
    /// Values outside the allowed ones; null and missing are not invalid.
    InvalidValues {
        /// Which.
        field: FieldPath,
        /// What is allowed.
        valid: Box<ValidValues>,
    },
    /// Extra copies: records less distinct values, within the window.
    DuplicateValues {
        /// Which.
        field: FieldPath,
        /// Fields that make one value with it, of a record that has them all; members of members.
        with: Vec<FieldPath>,
    },
    /// Records for which the CEL expression is not true.
    FailedRows {
        /// Its source; it compiles (the linter saw to that).
        expr: String,
    },
    /// Documents that do not fit the schema.
    SchemaViolations,
    /// Values that could not be decoded.
    DecodeFailures,
    /// Now minus the time of the latest record.
    Freshness,
    /// Distribution against the baseline.
    Drift {
        /// Which.
        field: FieldPath,
    },
    /// A figure of a field's numbers.
    Aggregate {
        /// Which.
        field: FieldPath,
        /// Which figure.
        function: Function,
    },
    /// How many different scalars, within the window.
    DistinctCount {
        /// Which.
        field: FieldPath,
    },
    /// Record time minus the payload's own time.
    Delay {
        /// The payload's own.
        time: EventTime,
        /// Which figure of the delays.
        function: Function,
    },
    /// How far behind the greatest event time that was seen in the partition.
    Lateness {
        /// The payload's own time.
        time: EventTime,
        /// Which figure.
        function: Function,
    },
    /// Records whose event time is before the greatest that was seen in the partition.
    OutOfOrder {
        /// The payload's own time.
        time: EventTime,
    },
    /// Numbers missing from sequences that go up by one.
    SequenceGaps {
        /// The numbers.
        field: FieldPath,
        /// What has a sequence of its own.
        by: KeyBy,
    },
    /// Records read, in percent of those of another topic in the same window.
    Ratio {
        /// The other topic.
        of: String,
    },
    /// Values that no window before had.
    NewValues {
        /// Which.
        field: FieldPath,
    },
    /// Fields that no window before had.
    FieldsAdded,
    /// Fields that the windows before had, and this one should have had by now.
    FieldsRemoved,
    /// Fields with values of a type that no window before had.
    TypeChanged,
    /// Records that `when` picks with none of the same key that `then` picks soon enough after.
    NotFollowedBy {
        /// The first record, and how long after it.
        pattern: Box<Pattern>,
        /// CEL: the record that must follow.
        then: String,
    },
    /// Records that `when` picks beyond so many of the same key within a time.
    TooMany {
        /// The records, and within which time.
        pattern: Box<Pattern>,
        /// As many are allowed.
        most: u64,
    },
}

/// A figure of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Function {
    Min,
    Max,
    Mean,
    /// Of the population.
    Stddev,
    Sum,
    /// The number that this share (between 0 and 1) of the numbers do not exceed.
    Quantile(f64),
}

impl Function {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Stddev => "stddev",
            Self::Sum => "sum",
            Self::Quantile(_) => "quantile",
        }
    }
}

/// What belongs together.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyBy {
    /// Records of the same key; those without one are not looked at.
    Key,
    /// Records of the same partition.
    Partition,
    /// Records with the same value of a field.
    Field(FieldPath),
}

impl KeyBy {
    /// As written in files.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key => "key",
            Self::Partition => "partition",
            Self::Field(field) => &field.text,
        }
    }
}

/// Where a payload carries its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTime {
    /// Members of members: no elements, no wildcards.
    pub field: FieldPath,
    /// How it is written.
    pub format: TimeFormat,
}

/// `time.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// A text with an offset: `2026-01-31T12:00:00.250Z`.
    Rfc3339,
    /// A number, or a text of one, of so many in a second since 1970-01-01T00:00:00Z.
    Epoch {
        /// 1, 1,000, 1,000,000 or 1,000,000,000.
        per_second: u64,
    },
}

impl TimeFormat {
    /// All of them, by their names in files.
    pub const ALL: [(&'static str, Self); 5] = [
        ("rfc3339", Self::Rfc3339),
        ("epoch_seconds", Self::Epoch { per_second: 1 }),
        ("epoch_milliseconds", Self::Epoch { per_second: 1_000 }),
        ("epoch_microseconds", Self::Epoch { per_second: 1_000_000 }),
        ("epoch_nanoseconds", Self::Epoch { per_second: 1_000_000_000 }),
    ];

    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("epoch", |(name, _)| name)
    }
}

/// What the patterns over time have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// What belongs together.
    pub by: KeyBy,
    /// CEL: the records that are meant.
    pub when: String,
    /// How far it reaches, ms.
    pub within_ms: i64,
}

impl Metric {
    /// The pattern over time that it looks for.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::NotFollowedBy { pattern, .. } | Self::TooMany { pattern, .. } => Some(pattern),
            _ => None,
        }
    }

    /// Do the failed records of panes add up to those of all time? What is only known of a whole window
    /// has no such sum.
    pub fn fails_by_pane(&self) -> bool {
        !matches!(self, Self::NewValues { .. } | Self::SequenceGaps { .. }) && self.pattern().is_none()
    }

    /// Is it counted by segment too? Those are that add up document by document.
    pub fn has_segments(&self) -> bool {
        matches!(
            self,
            Self::MissingValues { .. }
                | Self::NullValues { .. }
                | Self::InvalidValues { .. }
                | Self::FailedRows { .. }
                | Self::SchemaViolations
                | Self::OutOfOrder { .. }
        )
    }

    /// Its name in files and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RowCount => "rowCount",
            Self::MissingValues { .. } => "missingValues",
            Self::NullValues { .. } => "nullValues",
            Self::InvalidValues { .. } => "invalidValues",
            Self::DuplicateValues { .. } => "duplicateValues",
            Self::FailedRows { .. } => "failedRows",
            Self::SchemaViolations => "schemaViolations",
            Self::DecodeFailures => "decodeFailures",
            Self::Freshness => "freshness",
            Self::Drift { .. } => "drift",
            Self::Aggregate { .. } => "aggregate",
            Self::DistinctCount { .. } => "distinctCount",
            Self::Delay { .. } => "delay",
            Self::Lateness { .. } => "lateness",
            Self::OutOfOrder { .. } => "outOfOrder",
            Self::SequenceGaps { .. } => "sequenceGaps",
            Self::Ratio { .. } => "ratio",
            Self::NewValues { .. } => "newValues",
            Self::FieldsAdded => "fieldsAdded",
            Self::FieldsRemoved => "fieldsRemoved",
            Self::TypeChanged => "typeChanged",
            Self::NotFollowedBy { .. } => "notFollowedBy",
            Self::TooMany { .. } => "tooMany",
        }
    }
}

/// Arguments of `invalidValues`: a value is valid if it passes all that are given.
#[derive(Clone, Debug, Default)]
pub struct ValidValues {
    /// Smallest number allowed.
    pub min: Option<f64>,
    /// Largest number allowed.
    pub max: Option<f64>,
    /// The only values allowed (scalars).
    pub values: Option<Vec<serde_json::Value>>,
    /// Strings must match (anywhere in the string, as in JSON Schema and ODCS; anchor with ^ and $).
    pub pattern: Option<regex::Regex>,
    /// Fewest characters.
    pub min_length: Option<u64>,
    /// Most characters.
    pub max_length: Option<u64>,
    /// The type a value must have.
    pub value_type: Option<ValueType>,
    /// The form a text must have.
    pub format: Option<crate::format::Format>,
}

impl PartialEq for ValidValues {
    fn eq(&self, o: &Self) -> bool {
        let regex = |r: &Option<regex::Regex>| r.as_ref().map(|r| r.as_str().to_owned());
        self.min == o.min
            && self.max == o.max
            && self.values == o.values
            && regex(&self.pattern) == regex(&o.pattern)
            && self.min_length == o.min_length
            && self.max_length == o.max_length
            && self.value_type == o.value_type
            && self.format == o.format
    }
}

/// `type:` of `invalidValues`. A number of another type is invalid under `min`/`max` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueType {
    Integer,
    Number,
    String,
    Boolean,
    Object,
    Array,
}

impl ValueType {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
        }
    }
}
