//! International bank account numbers (ISO 13616-1).

use super::codes::IBAN_LENGTHS;

/// As machines exchange it: capitals and digits without spaces, as long as its country has it, with
/// check digits that hold (ISO 7064, MOD 97-10).
pub(super) fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(country) = text.get(..2) else { return false };
    let Ok(at) = IBAN_LENGTHS.binary_search_by(|(code, _)| (*code).cmp(country)) else { return false };
    // 00, 01 and 99 leave the remainder of other digits: none computes them.
    bytes.len() == IBAN_LENGTHS[at].1
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && (b"02".as_slice()..=b"98").contains(&&bytes[2..4])
        && remainder(bytes[4..].iter().chain(&bytes[..4])) == Some(1)
}

/// Of the number that the characters spell (A is 10, Z is 35), by 97.
fn remainder<'a>(characters: impl Iterator<Item = &'a u8>) -> Option<u32> {
    characters.copied().try_fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => Some((remainder * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((remainder * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}
