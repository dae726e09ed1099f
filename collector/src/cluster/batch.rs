//! What lies at an offset, by the headers of the record batches there: a record, or only
//! transaction markers; and how old the record is. Nothing is decompressed.
//!
//! Format: Kafka's record batch, magic 2 (KIP-98).

use super::lag::When;

/// What was found from an offset onwards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// No record is delivered from the offset asked for up to here (exclusive).
    pub(crate) empty_until: Option<i64>,
    /// The first record that is delivered was found; its time, where that says anything.
    pub(crate) record: Option<Option<When>>,
    /// A transactional or control batch was seen: this topic may end in markers.
    pub(crate) transactional: bool,
}

const HEADER_BYTES: usize = 61;
const MAGIC_AT: usize = 16;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The first timestamp is not a timestamp, but when tombstones may go (KIP-534).
const DELETE_HORIZON: i16 = 1 << 6;

/// Reads batch headers until the first record at or beyond `from`.
///
/// The last batch may be cut off, as brokers cut to the size asked for; a batch that claims
/// nonsense ends the reading.
pub(crate) fn find(mut records: &[u8], from: i64) -> Found {
    let mut found = Found::default();
    while let Some(header) = records.first_chunk::<HEADER_BYTES>() {
        let i64_at = |at: usize| i64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let i32_at = |at: usize| i32::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let base = i64_at(0);
        let last_delta = i32_at(23);
        let size = usize::try_from(i32_at(8)).ok().map(|length| length + 12);
        let Some(size) = size.filter(|size| *size >= HEADER_BYTES) else { break };
        if header[MAGIC_AT] != 2 || base < 0 || last_delta < 0 {
            break;
        }
        let Some(next) = base.checked_add(i64::from(last_delta) + 1) else { break };
        let attributes = i16::from_be_bytes([header[21], header[22]]);
        let (first_ms, max_ms) = (i64_at(27), i64_at(35));
        let count = i32_at(57);
        if next > from {
            found.transactional |= attributes & (TRANSACTIONAL | CONTROL) != 0;
            if attributes & CONTROL == 0 && count != 0 {
                let whole = if attributes & LOG_APPEND_TIME != 0 {
                    Some(When { at_ms: max_ms, error_ms: 0 })
                } else if attributes & DELETE_HORIZON != 0 {
                    None
                } else if base >= from {
                    Some(When { at_ms: first_ms, error_ms: 0 })
                } else {
                    between(first_ms, max_ms)
                };
                found.record = Some(whole.filter(|when| when.at_ms >= 0));
                return found;
            }
            found.empty_until = Some(next);
        }
        if size >= records.len() {
            break;
        }
        records = &records[size..];
    }
    found
}

/// A record inside a batch: its time is somewhere between the first and the largest.
fn between(first_ms: i64, max_ms: i64) -> Option<When> {
    if first_ms < 0 || max_ms < first_ms {
        return None;
    }
    let half = (max_ms - first_ms) / 2;
    Some(When { at_ms: first_ms + half, error_ms: max_ms - first_ms - half })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(base: i64, last_delta: i32, attributes: i16, first_ms: i64, max_ms: i64) -> Vec<u8> {
        let body = 10;
        let mut bytes = Vec::new();
        bytes.extend(base.to_be_bytes());
        bytes.extend((HEADER_BYTES as i32 - 12 + body).to_be_bytes());
        bytes.extend(0i32.to_be_bytes());
        bytes.push(2);
        bytes.extend(0i32.to_be_bytes());
        bytes.extend(attributes.to_be_bytes());
        bytes.extend(last_delta.to_be_bytes());
        bytes.extend(first_ms.to_be_bytes());
        bytes.extend(max_ms.to_be_bytes());
        bytes.extend([0; 14]);
        bytes.extend((last_delta + 1).to_be_bytes());
        assert_eq!(bytes.len(), HEADER_BYTES);
        bytes.extend(vec![7; body as usize]);
        bytes
    }

    const MARKER: i16 = TRANSACTIONAL | CONTROL;

    #[test]
    fn markers_alone_are_empty() {
        let tail = [batch(10, 0, MARKER, 5, 5), batch(11, 0, MARKER, 6, 6)].concat();
        let found = find(&tail, 10);
        assert_eq!(found, Found { empty_until: Some(12), record: None, transactional: true });
    }

    #[test]
    fn a_record_behind_a_marker_is_found() {
        let tail = [batch(10, 0, MARKER, 5, 5), batch(11, 3, 0, 70, 90)].concat();
        let found = find(&tail, 10);
        assert_eq!(found.empty_until, Some(11));
        assert_eq!(found.record, Some(Some(When { at_ms: 70, error_ms: 0 })));
    }

    #[test]
    fn a_batch_that_ends_before_the_offset_does_not_count() {
        let log = [batch(5, 4, 0, 10, 20), batch(10, 0, MARKER, 5, 5)].concat();
        assert_eq!(find(&log, 10).empty_until, Some(11));
        assert_eq!(find(&log, 10).record, None);
    }

    #[test]
    fn inside_a_batch_the_time_has_an_error() {
        let log = batch(0, 9, 0, 1000, 2001);
        let when = find(&log, 5).record.flatten().expect("a time");
        assert_eq!(when, When { at_ms: 1500, error_ms: 501 });
        let appended = batch(0, 9, LOG_APPEND_TIME, 1000, 2001);
        let when = find(&appended, 5).record.flatten().expect("a time");
        assert_eq!(when, When { at_ms: 2001, error_ms: 0 });
    }

    #[test]
    fn a_time_that_is_none_is_none() {
        assert_eq!(find(&batch(0, 0, 0, -1, -1), 0).record, Some(None));
        assert_eq!(find(&batch(0, 0, DELETE_HORIZON, 99, 99), 0).record, Some(None));
    }

    #[test]
    fn a_header_is_enough() {
        let log = batch(0, 9, 0, 1000, 2000);
        assert!(find(&log[..HEADER_BYTES], 0).record.is_some());
        assert_eq!(find(&log[..HEADER_BYTES - 1], 0), Found::default());
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(
            mut log in prop::collection::vec(any::<u8>(), 0..300), from: i64, magic: bool,
        ) {
            if magic && log.len() > MAGIC_AT {
                log[MAGIC_AT] = 2;
            }
            let found = find(&log, from);
            prop_assert!(found.empty_until.is_none_or(|until| until > from));
        }
    }
}
