//! The shared hash: one per scalar, for distinct counts, frequent values and uniqueness.
//!
//! Fixed for [`HASH_VERSION`](crate::report::HASH_VERSION), whatever the machine: agents' sketches
//! merge only because the same value has the same hash everywhere. It folds 128-bit products as
//! wyhash and rapidhash do (Wang Yi, 2019); it is not keyed, so a producer that wants to can craft
//! collisions and spoil the counts of its own values, nothing else.

use crate::tape::Data;

const SEED: u64 = 0x7461_706c_696e_6531;
const A: u64 = 0x2d35_8dcc_aa6c_78a5;
const B: u64 = 0x8bb8_4b93_962e_acc9;
const C: u64 = 0x4b33_a62e_d433_d4a3;

/// Values of different kinds never share a hash by being written alike: 1 is not "1".
#[derive(Clone, Copy)]
enum Tag {
    Integer = 1,
    Unsigned = 2,
    Float = 3,
    Boolean = 4,
    Text = 5,
    Several = 6,
}

/// Hash of a scalar; `None` for null, objects and arrays. Numbers go by value: 1 and 1.0 are the
/// same, -0 is 0, integers keep all their digits.
pub fn scalar(data: Data<'_>) -> Option<u64> {
    match data {
        Data::Bool(b) => Some(boolean(b)),
        Data::I64(n) => Some(integer(n)),
        Data::U64(n) => Some(unsigned(n)),
        Data::F64(n) => Some(float(n)),
        Data::Str(s) => Some(text(s)),
        Data::Null | Data::Object { .. } | Data::Array { .. } => None,
    }
}

/// Hash of an integer.
#[inline]
pub fn integer(n: i64) -> u64 {
    word(n as u64, Tag::Integer)
}

/// Hash of an integer that may be above `i64::MAX`.
pub fn unsigned(n: u64) -> u64 {
    i64::try_from(n).map_or_else(|_| word(n, Tag::Unsigned), integer)
}

/// Hash of a number: that of the integer if it is one.
#[inline]
pub fn float(n: f64) -> u64 {
    match as_integer(n) {
        Some(Integer::Signed(n)) => integer(n),
        Some(Integer::Unsigned(n)) => unsigned(n),
        None if n.is_nan() => word(f64::NAN.to_bits(), Tag::Float),
        None => word(n.to_bits(), Tag::Float),
    }
}

/// Hash of a boolean.
pub fn boolean(b: bool) -> u64 {
    word(u64::from(b), Tag::Boolean)
}

/// Hash of a record's key.
pub fn key(key: &[u8]) -> u64 {
    bytes(key, Tag::Text)
}

/// Hash of a string.
#[inline]
pub fn text(s: &str) -> u64 {
    bytes(s.as_bytes(), Tag::Text)
}

/// What leaves so many of 16 bytes.
const FIRST_BYTES: [u128; 16] = {
    let mut masks = [0; 16];
    let mut count = 0;
    while count < 16 {
        masks[count] = (1 << (8 * count)) - 1;
        count += 1;
    }
    masks
};

/// The same of a string that `beyond` begins with: by what follows it a short one is read at once, however long it is.
#[inline]
pub(super) fn text_within(s: &str, beyond: &[u8]) -> u64 {
    match beyond.first_chunk::<16>() {
        Some(window) if s.len() < 16 => {
            let both = u128::from_le_bytes(*window) & FIRST_BYTES[s.len() % 16];
            last((both as u64, (both >> 64) as u64), SEED ^ Tag::Text as u64, s.len())
        }
        _ => text(s),
    }
}

/// A float that is a whole number of 64 bits.
pub(super) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

#[inline]
pub(super) fn as_integer(n: f64) -> Option<Integer> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if n.abs() < TWO_63 {
        let whole = n as i64;
        return (whole as f64 == n).then_some(Integer::Signed(whole));
    }
    match n {
        // All of them are whole.
        n if n == -TWO_63 => Some(Integer::Signed(i64::MIN)),
        n if (TWO_63..2.0 * TWO_63).contains(&n) => Some(Integer::Unsigned(n as u64)),
        _ => None,
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn word(value: u64, tag: Tag) -> u64 {
    finish(fold(value ^ A, SEED ^ B ^ tag as u64), value, 8)
}

/// Most values that make one.
pub const SEVERAL_MAX: usize = 8;

/// Hash of several values together, in their order, from the hash of each (the first eight of them); `None` where one
/// of them has none.
pub fn several(hashes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let mut all = [0; SEVERAL_MAX * 8];
    let mut length = 0;
    for hash in hashes.take(SEVERAL_MAX) {
        all[length..length + 8].copy_from_slice(&hash?.to_le_bytes());
        length += 8;
    }
    Some(bytes(&all[..length], Tag::Several))
}

fn finish(state: u64, last: u64, len: u64) -> u64 {
    fold(fold(state ^ C, last ^ A) ^ len, B)
}

#[inline]
fn bytes(bytes: &[u8], tag: Tag) -> u64 {
    let mut state = SEED ^ tag as u64;
    let (pairs, tail) = bytes.as_chunks::<16>();
    for pair in pairs {
        let (low, high) = halves(pair);
        state = fold(low ^ A, high ^ state ^ B);
    }
    last(padded(bytes, tail.len()), state, bytes.len())
}

/// The hash, by the last bytes of so many.
#[inline]
fn last((low, high): (u64, u64), state: u64, len: usize) -> u64 {
    finish(fold(low ^ B, high ^ state ^ C), high, len as u64)
}

#[inline]
fn halves(pair: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*pair);
    (both as u64, (both >> 64) as u64)
}

/// The last bytes, fewer than 16, as two words, padded with zeros (the length tells them apart): read over what comes
/// before them where there is something, which no loop is needed for.
#[inline]
fn padded(bytes: &[u8], count: usize) -> (u64, u64) {
    if count == 0 {
        return (0, 0);
    }
    if let Some(last) = bytes.last_chunk::<16>() {
        let both = u128::from_le_bytes(*last) >> (8 * (16 - count));
        return (both as u64, (both >> 64) as u64);
    }
    // Fewer than 16 in all: all of them.
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let high = (u128::from(u64::from_le_bytes(*last)) >> (8 * (16 - count))) as u64;
            (u64::from_le_bytes(*first), high)
        }
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                let low = u64::from(u32::from_le_bytes(*first));
                (low | u64::from(u32::from_le_bytes(*last)) << (8 * (count - 4)), 0)
            }
            _ => (bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sketches on disk and on the wire depend on these: another value is another HASH_VERSION.
    #[test]
    fn the_hash_never_changes() {
        let got = [
            integer(0),
            integer(-1),
            unsigned(u64::MAX),
            float(0.5),
            boolean(true),
            text(""),
            text("orders"),
        ];
        assert_eq!(crate::report::HASH_VERSION, 1);
        const PINNED: [u64; 7] = [
            0xc79e_08dd_ecc5_139c,
            0x8726_1d99_a03e_75d8,
            0x1525_1e30_01d5_7646,
            0x74f7_98e2_fbf5_cf19,
            0xc505_6bf0_75fb_1ed3,
            0x9811_a665_5ef2_74fb,
            0xc9b3_00e6_9217_6c07,
        ];
        assert_eq!(got, PINNED, "{got:#x?}");
    }

    #[test]
    fn several_values_are_one_in_their_order() {
        let of = |values: &[i64]| several(values.iter().map(|n| Some(integer(*n)))).unwrap();
        assert_eq!(of(&[1, 2]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1]), of(&[1, 1]));
        assert_ne!(of(&[1]), integer(1));
        // As the others, for ever.
        assert_eq!(of(&[1, 2]), PINNED_SEVERAL, "{:#x}", of(&[1, 2]));
    }

    const PINNED_SEVERAL: u64 = 0xcf74_5cab_98e1_0af3;

    /// Read byte by byte, as the hash is defined.
    #[test]
    fn the_last_bytes_are_read_as_they_lie() {
        let all: Vec<u8> = (1..=80).map(|n| n + 40).collect();
        for length in 0..=all.len() {
            let bytes = &all[..length];
            let tail = &bytes[length - length % 16..];
            let word = |part: &[u8]| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            let (low, high) = tail.split_at(tail.len().min(8));
            assert_eq!(padded(bytes, tail.len()), (word(low), word(high)), "{length}");
            let text = std::str::from_utf8(bytes).unwrap();
            for beyond in [&all[..], bytes] {
                assert_eq!(text_within(text, beyond), super::text(text), "{length}");
            }
        }
    }

    #[test]
    fn numbers_go_by_value() {
        assert_eq!(float(1.0), integer(1));
        assert_eq!(float(-0.0), integer(0));
        assert_eq!(float(9_007_199_254_740_992.0), integer(1 << 53));
        assert_ne!(integer((1 << 53) + 1), integer(1 << 53));
        assert_eq!(float(1e19), unsigned(10_000_000_000_000_000_000));
        assert_ne!(float(f64::INFINITY), float(f64::NEG_INFINITY));
        assert_eq!(float(f64::NAN), float(-f64::NAN));
        assert_ne!(text("1"), integer(1));
        assert_ne!(boolean(true), integer(1));
        assert_ne!(text("a"), text("a\0"));
        assert_ne!(text("12345678"), text("12345678\0\0"));
    }

    /// Both ends of the hash are used as if drawn at random: the top bits choose registers, the
    /// order decides which values are sampled.
    #[test]
    fn hashes_of_similar_values_are_spread_evenly() {
        type Make = fn(i64) -> u64;
        let sets: [(&str, Make); 4] = [
            ("consecutive", |i| integer(i)),
            ("multiples", |i| integer(i * 1_000_000)),
            ("fractions", |i| float(i as f64 / 8.0 + 0.01)),
            ("names", |i| text(&format!("user-{i:08}"))),
        ];
        for (name, hash) in sets {
            for shift in [52, 26, 0] {
                let mut buckets = [0f64; 4_096];
                (0..409_600).for_each(|i| buckets[(hash(i) >> shift & 0xfff) as usize] += 1.0);
                let chi2: f64 = buckets.iter().map(|n| (n - 100.0) * (n - 100.0) / 100.0).sum();
                // 4095 degrees of freedom: mean 4095, deviation 90.5; six of them are never chance.
                assert!((chi2 - 4_095.0).abs() < 6.0 * 90.5, "{name} >> {shift}: {chi2}");
            }
        }
    }
}
