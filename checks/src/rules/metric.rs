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
}

impl Metric {
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
