//! The shape of `tapline diff --json`, version 1, and profiles that were saved to be compared.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, Comparison};
use crate::merge::{FIELDS_MAX, count_reason, total};
use crate::report::{FieldSummary, HASH_VERSION, PaneSummary};

/// All of it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The shape is documented in docs/checks.md, by the same names.
pub struct DiffJson<'a> {
    pub version: u32,
    pub a: SideJson<'a>,
    pub b: SideJson<'a>,
    pub matters: bool,
    pub fields_compared: usize,
    pub fields_with_few_values: usize,
    pub changes: &'a [Change],
}

/// One side.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct SideJson<'a> {
    pub source: &'a str,
    pub records: u64,
}

/// A comparison of two sides.
pub fn diff<'a>(a: SideJson<'a>, b: SideJson<'a>, comparison: &'a Comparison) -> DiffJson<'a> {
    DiffJson {
        version: 1,
        a,
        b,
        matters: comparison.matters(),
        fields_compared: comparison.compared,
        fields_with_few_values: comparison.too_few,
        changes: &comparison.changes,
    }
}

#[derive(Deserialize)]
struct Saved {
    version: u32,
    records: u64,
    documents: u64,
    decode_failures: std::collections::BTreeMap<String, u64>,
    sketches: Option<Sketches>,
}

#[derive(Deserialize)]
struct Sketches {
    hash_version: u32,
    fields: Vec<FieldSummary>,
}

/// Is this text a profile that was saved, rather than a record?
pub fn is_profile(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| {
        value["version"].is_u64() && value["records"].is_u64() && value["fields"].is_array()
    })
}

/// The profile that `tapline profile --json --sketches` saved.
///
/// # Errors
/// No such profile, one without sketches, or of another version, in words.
pub fn read_profile(text: &str) -> Result<PaneSummary, String> {
    let saved: Saved = serde_json::from_str(text).map_err(|e| format!("not a saved profile: {e}"))?;
    if saved.version != 1 {
        return Err(format!("a profile of version {}: version 1 is read", saved.version));
    }
    let Some(sketches) = saved.sketches else {
        return Err(
            "a profile without its sketches: save it with `tapline profile … --json --sketches`".to_owned()
        );
    };
    if sketches.hash_version != HASH_VERSION || sketches.fields.len() > FIELDS_MAX {
        return Err("its sketches are of another version of Tapline: save it again".to_owned());
    }
    let mut summary = PaneSummary { read: saved.records, fields: sketches.fields, ..PaneSummary::default() };
    for (reason, count) in &saved.decode_failures {
        count_reason(&mut summary.decode_failures, reason, *count);
    }
    summary.examined = saved.documents.saturating_add(total(&summary.decode_failures));
    summary.fields.sort_by(|a, b| a.path.cmp(&b.path));
    summary.fields.dedup_by(|a, b| a.path == b.path);
    Ok(summary)
}
