//! What lies at an offset, by the record batches there: a record, or only transaction markers; and
//! how old the record is. Nothing is decompressed: of a compressed batch only the header speaks.
//!
//! Format: Kafka's record batch, magic 2 (KIP-98).

use super::lag::When;
use super::search::Search;

/// What was found from an offset onwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// No record is delivered from the offset asked for up to here (exclusive).
    pub(crate) empty_until: Option<i64>,
    /// The first record that is delivered was found; its time, where that says anything.
    pub(crate) record: Option<Option<When>>,
    /// A transactional or control batch was seen: this topic may end in markers.
    pub(crate) transactional: bool,
    /// The records themselves were read, not only times asked for.
    pub(crate) looked: bool,
    /// A search by time that is not at its end yet.
    pub(crate) unfinished: Option<Box<Search>>,
}

const HEADER_BYTES: usize = 61;
const MAGIC_AT: usize = 16;
const COMPRESSION: i16 = 7;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The first timestamp is not a record's, but when tombstones may go (KIP-534); the records' own
/// are still counted from it.
const DELETE_HORIZON: i16 = 1 << 6;

/// Reads batches until the first record at or beyond `from`.
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
                let body = &records[HEADER_BYTES..size.min(records.len())];
                let inside = match attributes & COMPRESSION {
                    0 => walk(body, count, |delta| base.saturating_add(delta) >= from),
                    _ => Inside::Unseen,
                };
                let when = match inside {
                    // Compaction has taken the batch's last records; it keeps its offsets all the same.
                    Inside::Nothing => {
                        found.empty_until = Some(next);
                        None
                    }
                    _ if attributes & LOG_APPEND_TIME != 0 => Some(Some(When { at_ms: max_ms, error_ms: 0 })),
                    Inside::After(delta_ms) => {
                        Some(first_ms.checked_add(delta_ms).map(|at_ms| When { at_ms, error_ms: 0 }))
                    }
                    Inside::Unseen if attributes & DELETE_HORIZON != 0 => Some(None),
                    Inside::Unseen if base >= from => Some(Some(When { at_ms: first_ms, error_ms: 0 })),
                    Inside::Unseen => Some(between(first_ms, max_ms)),
                };
                if let Some(when) = when {
                    found.record = Some(when.filter(|when| when.at_ms >= 0));
                    return found;
                }
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

/// What the records of a batch say.
enum Inside {
    /// The record looked for, so many milliseconds after the batch's first timestamp.
    After(i64),
    /// Every record was seen, and none is the one looked for.
    Nothing,
    /// Cut off before it, or not to be read.
    Unseen,
}

/// Goes through uncompressed records to the first whose offset, counted from the batch's, is wanted.
fn walk(mut body: &[u8], count: i32, wanted: impl Fn(i64) -> bool) -> Inside {
    for _ in 0..count {
        let Some(length) = varint(&mut body) else { return Inside::Unseen };
        let mut record = body;
        // Its attributes, then both differences.
        let difference = record.split_off_first().and_then(|_| {
            let delta_ms = varint(&mut record)?;
            Some((delta_ms, varint(&mut record)?))
        });
        match difference {
            Some((delta_ms, delta)) if wanted(delta) => return Inside::After(delta_ms),
            Some(_) => {}
            None => return Inside::Unseen,
        }
        let rest = usize::try_from(length).ok().and_then(|length| body.get(length..));
        let Some(rest) = rest else { return Inside::Unseen };
        body = rest;
    }
    Inside::Nothing
}

/// A zigzag varint of at most ten bytes.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// A record inside a batch that is not seen: if times ascend there, its time is somewhere between
/// the first and the largest.
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

    /// A batch whose records cannot be looked at.
    fn batch(base: i64, last_delta: i32, attributes: i16, first_ms: i64, max_ms: i64) -> Vec<u8> {
        const ZSTD: i16 = 4;
        let header = (base, last_delta, last_delta + 1, attributes | ZSTD);
        bytes(header, (first_ms, max_ms), &[7; 10])
    }

    /// An uncompressed batch of these records: offset and time, each counted from the batch's.
    fn plain(base: i64, last_delta: i32, attributes: i16, first_ms: i64, records: &[(i64, i64)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (delta, delta_ms) in records {
            let mut record = vec![0];
            record.extend(zigzag(*delta_ms));
            record.extend(zigzag(*delta));
            record.extend([1, 2, b'x', 0]);
            body.extend(zigzag(record.len() as i64));
            body.extend(record);
        }
        let max_ms =
            records.iter().map(|(_, delta_ms)| first_ms.saturating_add(*delta_ms)).max().unwrap_or(first_ms);
        bytes((base, last_delta, records.len() as i32, attributes), (first_ms, max_ms), &body)
    }

    fn zigzag(value: i64) -> Vec<u8> {
        let (mut rest, mut bytes) = (((value << 1) ^ (value >> 63)) as u64, Vec::new());
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    fn bytes(header: (i64, i32, i32, i16), (first_ms, max_ms): (i64, i64), body: &[u8]) -> Vec<u8> {
        let (base, last_delta, count, attributes) = header;
        let mut bytes = Vec::new();
        bytes.extend(base.to_be_bytes());
        bytes.extend((HEADER_BYTES as i32 - 12 + body.len() as i32).to_be_bytes());
        bytes.extend(0i32.to_be_bytes());
        bytes.push(2);
        bytes.extend(0i32.to_be_bytes());
        bytes.extend(attributes.to_be_bytes());
        bytes.extend(last_delta.to_be_bytes());
        bytes.extend(first_ms.to_be_bytes());
        bytes.extend(max_ms.to_be_bytes());
        bytes.extend([0; 14]);
        bytes.extend(count.to_be_bytes());
        assert_eq!(bytes.len(), HEADER_BYTES);
        bytes.extend(body);
        bytes
    }

    const MARKER: i16 = TRANSACTIONAL | CONTROL;

    #[test]
    fn markers_alone_are_empty() {
        let tail = [batch(10, 0, MARKER, 5, 5), batch(11, 0, MARKER, 6, 6)].concat();
        let found = find(&tail, 10);
        assert_eq!(found, Found { empty_until: Some(12), transactional: true, ..Found::default() });
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

    fn at(at_ms: i64) -> Option<Option<When>> {
        Some(Some(When { at_ms, error_ms: 0 }))
    }

    #[test]
    fn a_record_that_is_seen_has_its_own_time() {
        let log = plain(10, 3, 0, 1000, &[(0, 0), (1, -400), (2, 70_000), (3, 5)]);
        for (from, at_ms) in [(5, 1000), (10, 1000), (11, 600), (12, 71_000), (13, 1005)] {
            assert_eq!(find(&log, from).record, at(at_ms), "{from}");
        }
        // Cut off before it, the header is all there is.
        let cut = &log[..log.len() - 9];
        assert_eq!(find(cut, 13).record, Some(Some(When { at_ms: 36_000, error_ms: 35_000 })));
        assert_eq!(find(cut, 11).record, at(600));
    }

    #[test]
    fn a_horizon_is_no_time_but_what_times_are_counted_from() {
        let log = plain(0, 2, DELETE_HORIZON, 90_000, &[(1, -80_000), (2, -79_000)]);
        assert_eq!(find(&log, 0).record, at(10_000));
        assert_eq!(find(&log, 2).record, at(11_000));
    }

    #[test]
    fn a_batch_whose_last_records_are_compacted_away_is_passed() {
        let log = [plain(0, 9, 0, 1000, &[(0, 0), (3, 7)]), plain(10, 0, 0, 5000, &[(0, 0)])].concat();
        assert_eq!(find(&log, 3).record, at(1007));
        let found = find(&log, 4);
        assert_eq!((found.record, found.empty_until), (at(5000), Some(10)));
        let tail = plain(0, 9, 0, 1000, &[(0, 0)]);
        assert_eq!(find(&tail, 4), Found { empty_until: Some(10), ..Found::default() });
    }

    #[test]
    fn a_time_that_is_none_is_none() {
        assert_eq!(find(&batch(0, 0, 0, -1, -1), 0).record, Some(None));
        assert_eq!(find(&batch(0, 0, DELETE_HORIZON, 99, 99), 0).record, Some(None));
        assert_eq!(find(&plain(0, 1, 0, 5, &[(0, 0), (1, -9)]), 1).record, Some(None));
        assert_eq!(find(&plain(0, 0, 0, i64::MAX, &[(0, i64::MAX)]), 0).record, Some(None));
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
