//! What gives itself away: email addresses, card numbers, tokens.
//!
//! Each finder goes over a text once, without a regular expression, and rather hides too much: an
//! excerpt without a trace id still says what is wrong.

use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a text that are looked through: what is shown of one is far shorter.
pub(super) const LOOKED_AT: usize = 64 * 1024;
/// Bytes before an `@` that may be part of an address.
const ADDRESS_BYTES_MAX: usize = 256;
/// Digits of a card (ISO/IEC 7812-1).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Letters and digits in a row that no word has.
const RANDOM_BYTES_MIN: usize = 32;
/// With what, and how long at the least, tokens of well-known issuers begin.
const TOKENS: [(&str, usize); 22] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("AROA", 20),
    ("AIDA", 20),
    ("AGPA", 20),
    ("ABIA", 20),
    ("ACCA", 20),
    ("AIza", 30),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xapp-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("sk-", 24),
];

/// Is something in the text that must not be shown?
pub(crate) fn is_sensitive(text: &str) -> bool {
    !find(text).is_empty()
}

/// The text with what must not be shown replaced by what it is: `[email]`, `[card]`, `[token]`.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let found = find(text);
    let looked_at = bounded(text).len();
    if found.is_empty() && looked_at == text.len() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut from) = (String::new(), 0);
    for (range, what) in found {
        // Of what overlaps, the rest is hidden too.
        if range.end <= from {
            continue;
        }
        if range.start >= from {
            out.push_str(&text[from..range.start]);
            out.push_str(what);
        }
        from = range.end;
    }
    out.push_str(text.get(from..looked_at).unwrap_or_default());
    Cow::Owned(out)
}

/// Is this whole number a card's?
pub(crate) fn is_card(number: f64) -> bool {
    // Beyond 2^53 a float still shows the digits that it was read from, but for the last ones.
    number.fract() == 0.0 && (1e12..1e19).contains(&number) && {
        let digits = format!("{number:.0}");
        is_card_number(digits.as_bytes()) || (number > 9.0e15 && has_issuer(digits.as_bytes()))
    }
}

fn bounded(text: &str) -> &str {
    if text.len() <= LOOKED_AT {
        return text;
    }
    let end = (0..=LOOKED_AT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// Places in order of their beginnings.
fn find(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let text = bounded(text);
    // Nothing shorter is an address, a card or a token.
    if text.len() < 3 {
        return Vec::new();
    }
    let mut found = Vec::new();
    emails(text, &mut found);
    cards(text.as_bytes(), &mut found);
    tokens(text, &mut found);
    bearers(text.as_bytes(), &mut found);
    found.sort_unstable_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    found
}

/// Everything around an `@` (or `%40`, as links write it) that an address may hold.
fn emails(text: &str, found: &mut Vec<(Range<usize>, &'static str)>) {
    let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_domain = |c: char| c.is_alphanumeric() || "-._".contains(c);
    for (sign, length) in [("@", 1), ("%40", 3)] {
        for (at, _) in text.match_indices(sign) {
            let near = (at.saturating_sub(ADDRESS_BYTES_MAX)..=at).find(|from| text.is_char_boundary(*from));
            let first = near.unwrap_or(at);
            let (before, after) = (&text[first..at], &text[at + length..]);
            let start = match before.strip_suffix('"').and_then(|quoted| quoted.rfind('"')) {
                Some(quote) => quote,
                None => before
                    .rfind(|c| !is_local(c))
                    .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8)),
            };
            let end = match after.strip_prefix('[').and_then(|literal| literal.find(']')) {
                Some(bracket) => bracket + 2,
                None => after.find(|c| !is_domain(c)).unwrap_or(after.len()),
            };
            if first + start < at && end > 0 {
                found.push((first + start..at + length + end, "[email]"));
            }
        }
    }
}

/// Runs of digits, with a space or hyphen between them at most, in which a card's number stands.
fn cards(bytes: &[u8], found: &mut Vec<(Range<usize>, &'static str)>) {
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let mut digits: Vec<(usize, u8)> = Vec::new();
        while let Some(byte) = bytes.get(at) {
            let is_between = matches!(byte, b' ' | b'-') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            if byte.is_ascii_digit() {
                digits.push((at, *byte));
            } else if !is_between {
                break;
            }
            at += 1;
        }
        let only: Vec<u8> = digits.iter().map(|(_, digit)| *digit).collect();
        let mut from = 0;
        while from + CARD_DIGITS.start() <= only.len() {
            let card =
                CARD_DIGITS.rev().find(|length| only.get(from..from + length).is_some_and(is_card_number));
            match card {
                Some(length) => {
                    found.push((digits[from].0..digits[from + length - 1].0 + 1, "[card]"));
                    from += length;
                }
                None => from += 1,
            }
        }
    }
}

fn is_card_number(digits: &[u8]) -> bool {
    has_issuer(digits) && luhn(digits)
}

/// By the ranges and lengths that the networks issue: a time in milliseconds is no card.
fn has_issuer(digits: &[u8]) -> bool {
    let number = |of: usize| digits.iter().take(of).fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    match digits.len() {
        13 => number(1) == 4,
        14 => matches!(number(2), 30 | 36 | 38 | 39),
        15 => matches!(number(2), 34 | 37),
        16..=19 => {
            matches!(number(1), 4 | 6)
                || matches!(number(2), 50..=58)
                || matches!(number(4), 2_221..=2_720 | 3_528..=3_589)
        }
        _ => false,
    }
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(digit - b'0')) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Words that are JSON Web Tokens, begin as those of a well-known issuer do, or are random.
fn tokens(text: &str, found: &mut Vec<(Range<usize>, &'static str)>) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/_=-.~".contains(c);
    let mut at = 0;
    for word in text.split(|c| !is_part(c)) {
        let place = at..at + word.len();
        // What splits words may be of several bytes.
        at = place.end + text[place.end..].chars().next().map_or(1, char::len_utf8);
        // Behind `key=` or a path too.
        let mut begin = 0;
        for part in word.split(['=', '/', '.', '+', '~']) {
            let tail = &word[begin..];
            let is_token =
                TOKENS.iter().any(|(prefix, least)| part.starts_with(prefix) && part.len() >= *least)
                    || (part.starts_with("eyJ") && tail.len() >= 16 && tail.contains('.'));
            if is_token {
                found.push((place.start + begin..place.end, "[token]"));
                break;
            }
            begin = (begin + part.len() + 1).min(word.len());
        }
        random(word, place.start, found);
    }
}

/// Letters and digits mixed as no name has them. A UUID names a thing, and is shown.
fn random(word: &str, start: usize, found: &mut Vec<(Range<usize>, &'static str)>) {
    if word.len() < RANDOM_BYTES_MIN {
        return;
    }
    let mixed = |part: &str, digits_min: usize| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        part.len() >= RANDOM_BYTES_MIN && digits >= digits_min && letters >= 3
    };
    let unbroken = |part: &str| mixed(part, 3);
    if word.split(|c: char| !c.is_ascii_alphanumeric()).any(unbroken) || (mixed(word, 1) && is_restless(word))
    {
        found.push((start..start + word.len(), "[token]"));
    }
}

/// In one of five places at least, digits, small and large letters follow each other as they do not
/// in words, where a capital begins and a number ends.
fn is_restless(word: &str) -> bool {
    if word.split('-').all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
        && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
    {
        return false;
    }
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    };
    let classes: Vec<u8> = word.as_bytes().iter().filter_map(class).collect();
    let turns = classes.windows(2).filter(|pair| pair[0] != pair[1] && pair != &[2, 1]).count();
    turns * 5 >= classes.len()
}

/// What stands behind `Bearer` or `Basic` (RFC 6750, RFC 7617).
fn bearers(bytes: &[u8], found: &mut Vec<(Range<usize>, &'static str)>) {
    for scheme in [b"bearer".as_slice(), b"basic"] {
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(scheme.len()).position(|w| w.eq_ignore_ascii_case(scheme))
        {
            let end = from + at + scheme.len();
            let spaces = bytes[end..].iter().take_while(|b| matches!(b, b' ' | b'\t' | b':')).count();
            let token = bytes[end + spaces..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b))
                .count();
            // Shorter ones are words: "basic plan".
            if spaces > 0 && token >= 8 {
                found.push((end + spaces..end + spaces + token, "[token]"));
            }
            from = end;
        }
    }
}
