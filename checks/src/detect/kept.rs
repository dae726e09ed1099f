//! Detectors as they are kept across restarts. Weeks of learning are in them, so that what they look
//! like has a format of its own, which changes only when they do.

/// The format of serialised [`Detectors`](super::Detectors): any change of what they keep makes a new one. 1 was
/// part of a checkpoint; 2 holds what is gathered as agents report it, which other versions can read.
pub const FORMAT: i64 = 2;

/// A summary in the wire format of reports: it may gain fields without what was kept being lost.
pub(super) mod as_report {
    use prost::Message as _;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::report::PaneSummary;

    pub(in super::super) fn serialize<S: Serializer>(
        summary: &PaneSummary,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        summary.encode_to_vec().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Box<PaneSummary>, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        PaneSummary::decode(bytes.as_slice()).map(Box::new).map_err(D::Error::custom)
    }
}
