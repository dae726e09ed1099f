//! The variables of an expression, borrowed from the record.

use std::collections::HashMap;

use cel::Context;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp,
    CelUInt,
};
use cel::common::value::Val;

use super::names::{Names, Want};
use crate::record::RecordView;
use crate::tape::{Data, Value};

type Bound<'v> = Box<dyn Val + 'v>;
type Entries<'v> = HashMap<CelMapKey<'v>, Bound<'v>>;

/// Values that may be bound without macros over lists, and with one, two, three of them within
/// each other: about a million steps at the most.
const VALUES: [usize; 4] = [100_000, 100_000, 1_000, 100];

pub(super) fn variables<'v>(
    context: &mut Context<'_, 'v>,
    names: &Names,
    record: &RecordView<'v>,
    value: Value<'v>,
) -> Result<(), String> {
    if names.value != Want::default() {
        let most = VALUES.get(names.loops).copied().unwrap_or(0);
        let mut left = most;
        let bound = part(value, &names.value, &mut left)
            .ok_or_else(|| format!("the expression looks at more than {most} values of this record"))?;
        context.add_variable_as_val("value", bound);
    }
    if names.key {
        context.add_variable_as_val("key", bytes(record.key));
    }
    if names.headers {
        let headers: Entries<'v> = record.headers.iter().map(|h| (h.name.into(), bytes(h.value))).collect();
        context.add_variable_as_val("headers", Box::new(CelMap::from(headers)));
    }
    if names.meta {
        context.add_variable_as_val("meta", meta(record));
    }
    Ok(())
}

/// The needed part of a value; `None` if it has too many values.
fn part<'v>(value: Value<'v>, want: &Want, left: &mut usize) -> Option<Bound<'v>> {
    if want.whole || !matches!(value.data(), Data::Object { .. } | Data::Array { .. }) {
        return whole(value, left);
    }
    // An array where members are wanted: any selection from it is the error it should be.
    let mut entries = Entries::new();
    if matches!(value.data(), Data::Array { .. }) {
        return Some(Box::new(CelList::from(Vec::new())));
    }
    for (key, want) in &want.members {
        if let Some((name, member)) = value.members().find(|(name, _)| name == key) {
            entries.insert(name.into(), part(member, want, left)?);
        }
    }
    Some(Box::new(CelMap::from(entries)))
}

fn whole<'v>(value: Value<'v>, left: &mut usize) -> Option<Bound<'v>> {
    *left = left.checked_sub(1)?;
    Some(match value.data() {
        Data::Null => Box::new(CelNull),
        Data::Bool(b) => Box::new(CelBool::from(b)),
        Data::I64(n) => Box::new(CelInt::from(n)),
        Data::U64(n) => Box::new(CelUInt::from(n)),
        Data::F64(n) => Box::new(CelDouble::from(n)),
        Data::Str(s) => Box::new(CelString::from(s)),
        Data::Array { .. } => {
            let elements = value.elements().map(|e| whole(e, left)).collect::<Option<Vec<_>>>()?;
            Box::new(CelList::from(elements))
        }
        Data::Object { .. } => {
            let members = value.members().map(|(key, v)| Some((key.into(), whole(v, left)?)));
            Box::new(CelMap::from(members.collect::<Option<Entries<'v>>>()?))
        }
    })
}

fn bytes(bytes: Option<&[u8]>) -> Bound<'_> {
    match bytes.map(|b| (b, std::str::from_utf8(b))) {
        None => Box::new(CelNull),
        Some((_, Ok(text))) => Box::new(CelString::from(text)),
        Some((bytes, Err(_))) => Box::new(CelBytes::from(bytes)),
    }
}

fn meta<'v>(record: &RecordView<'v>) -> Bound<'v> {
    let mut entries = Entries::new();
    entries.insert("topic".into(), Box::new(CelString::from(record.topic)));
    entries.insert("partition".into(), Box::new(CelInt::from(i64::from(record.partition))));
    entries.insert("offset".into(), Box::new(CelInt::from(record.offset)));
    let time = record.timestamp.ms().and_then(chrono::DateTime::from_timestamp_millis);
    if let Some(time) = time {
        entries.insert("timestamp".into(), Box::new(CelTimestamp::from(time.fixed_offset())));
    }
    Box::new(CelMap::from(entries))
}
