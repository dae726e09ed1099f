//! Why a value could not be decoded.

/// A decode failure: a reason from a bounded set, and a detail for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct DecodeFailure {
    /// One of [`reason`]; a label value of `tapline_decode_failures_total`.
    pub reason: &'static str,
    /// What and where (byte offset); never the whole payload.
    pub detail: String,
}

impl DecodeFailure {
    /// A failure for this reason.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The reasons of [`DecodeFailure`].
pub mod reason {
    /// Longer than `limits.message_bytes`, or more values than a tape holds.
    pub const TOO_LARGE: &str = "too_large";
    /// Not JSON.
    pub const NOT_JSON: &str = "not_json";
    /// JSON that ends in the middle.
    pub const TRUNCATED: &str = "truncated";
    /// Not UTF-8, or an escape that is no Unicode character (a lone surrogate).
    pub const INVALID_UTF8: &str = "invalid_utf8";
    /// Starts with a byte-order mark, which JSON forbids (RFC 8259, section 8.1).
    pub const BYTE_ORDER_MARK: &str = "byte_order_mark";
    /// Nests deeper than `limits.nesting`.
    pub const TOO_DEEP: &str = "too_deep";
    /// A number that no 64-bit float can hold, such as 1e400.
    pub const NUMBER_OUT_OF_RANGE: &str = "number_out_of_range";
    /// A whole value, and more bytes behind it.
    pub const TRAILING_BYTES: &str = "trailing_bytes";
    /// No bytes, or white space alone.
    pub const EMPTY: &str = "empty";
    /// Avro that does not fit its writer's schema.
    pub const AVRO_MALFORMED: &str = "avro_malformed";
    /// Not framed as the registry's clients do (magic byte 0, schema id).
    pub const NOT_FRAMED: &str = "not_framed";
    /// The registry does not know the schema id.
    pub const UNKNOWN_SCHEMA: &str = "unknown_schema";
    /// The registry could not be asked, or its schema could not be used.
    pub const SCHEMA_UNAVAILABLE: &str = "schema_unavailable";
    /// A framed value, and no registry configured.
    pub const NO_REGISTRY: &str = "no_registry";
    /// A decoder that broke the builder's rules: a defect of Tapline.
    pub const INTERNAL: &str = "internal";

    /// All of them.
    pub const ALL: [&str; 15] = [
        TOO_LARGE,
        NOT_JSON,
        TRUNCATED,
        INVALID_UTF8,
        BYTE_ORDER_MARK,
        TOO_DEEP,
        NUMBER_OUT_OF_RANGE,
        TRAILING_BYTES,
        EMPTY,
        AVRO_MALFORMED,
        NOT_FRAMED,
        UNKNOWN_SCHEMA,
        SCHEMA_UNAVAILABLE,
        NO_REGISTRY,
        INTERNAL,
    ];
}
