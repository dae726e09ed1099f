//! Detectors as they are kept across restarts. Weeks of learning are in them, so that what they look
//! like has a format of its own, which changes only when they do.

use serde::Deserialize;

use super::contents::Contents;
use super::volume::Volume;
use super::{Detectors, Gathered};
use crate::report::PaneSummary;

/// The format of serialised [`Detectors`]: any change of what they keep makes a new one, with a way
/// from the one before. 1 was part of a checkpoint; 2 holds what is gathered as agents report it,
/// which other versions can read.
pub const FORMAT: i64 = 2;

/// [`Detectors`] as format 1 had them.
#[derive(Debug, Deserialize)]
pub struct FormatOne {
    begun_ms: Option<i64>,
    open_ms: i64,
    open_read: u64,
    unsure_to_ms: Option<i64>,
    volume: Volume,
    contents: Contents,
    gathered: GatheredOne,
}

#[derive(Debug, Deserialize)]
struct GatheredOne {
    from_ms: i64,
    windows: u32,
    summary: Box<PaneSummary>,
}

impl From<FormatOne> for Detectors {
    fn from(one: FormatOne) -> Self {
        let GatheredOne { from_ms, windows, summary } = one.gathered;
        Self {
            begun_ms: one.begun_ms,
            open_ms: one.open_ms,
            open_read: one.open_read,
            unsure_to_ms: one.unsure_to_ms,
            volume: one.volume,
            contents: one.contents,
            gathered: Gathered { from_ms, windows, summary },
        }
    }
}

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
