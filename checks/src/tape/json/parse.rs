//! The parser of nearly every record: it knows which key comes next.
//!
//! It never guesses: what it takes is JSON (RFC 8259) and becomes the tape that `reference` would
//! make of it, which a property test holds. Where it is not sure, it gives `None`, and says nothing
//! of why: an error, a limit, more nesting than `reference` takes.

use crate::tape::Builder;

/// Containers within each other: one less than `reference` refuses.
const NESTING_MAX: usize = 127;
/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Whole numbers up to here are doubles.
const EXACT_WHOLE: u64 = 1 << 53;

/// Writes the document of a text that the builder was made [over](Builder::over).
pub(super) fn document<'t>(text: &'t str, builder: &mut Builder<'_, 't>) -> Option<()> {
    Parser { text, bytes: text.as_bytes(), at: 0, builder }.document()
}

struct Parser<'b, 's, 't> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    builder: &'b mut Builder<'s, 't>,
}

/// Where a run of characters ends that stand for themselves.
struct Run {
    end: usize,
    is_ascii: bool,
}

impl Parser<'_, '_, '_> {
    fn document(mut self) -> Option<()> {
        loop {
            // A value begins here.
            match self.token()? {
                b'"' => self.string()?,
                b'{' => {
                    self.begin(true)?;
                    if self.is_next(b'}')? {
                        self.builder.end_object().ok()?;
                    } else {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.begin(false)?;
                    if self.is_next(b']')? {
                        self.builder.end_array().ok()?;
                    } else {
                        continue;
                    }
                }
                b't' => {
                    self.word(b"rue")?;
                    self.builder.bool(true).ok()?;
                }
                b'f' => {
                    self.word(b"alse")?;
                    self.builder.bool(false).ok()?;
                }
                b'n' => {
                    self.word(b"ull")?;
                    self.builder.null().ok()?;
                }
                first @ (b'-' | b'0'..=b'9') => self.number(first)?,
                _ => return None,
            }
            // A value ended here, and with it perhaps what holds it.
            loop {
                let Some(in_object) = self.builder.is_in_object() else {
                    return self.bytes[self.at..].iter().all(|b| is_space(*b)).then_some(());
                };
                match (self.token()?, in_object) {
                    (b',', true) => self.key()?,
                    (b',', false) => {}
                    (b'}', true) => {
                        self.builder.end_object().ok()?;
                        continue;
                    }
                    (b']', false) => {
                        self.builder.end_array().ok()?;
                        continue;
                    }
                    _ => return None,
                }
                break;
            }
        }
    }

    /// The next byte that is no white space, taken.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if !is_space(byte) {
                return Some(byte);
            }
        }
    }

    /// Takes the next byte that is no white space if it is this one.
    #[inline]
    fn is_next(&mut self, wanted: u8) -> Option<bool> {
        let is_it = self.token()? == wanted;
        self.at -= usize::from(!is_it);
        Some(is_it)
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is_it = self.bytes.get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        is_it.then_some(())
    }

    fn begin(&mut self, is_object: bool) -> Option<()> {
        if self.builder.depth() >= NESTING_MAX {
            return None;
        }
        if is_object { self.builder.begin_object() } else { self.builder.begin_array() }.ok()
    }

    #[inline]
    fn key(&mut self) -> Option<()> {
        if self.token()? != b'"' {
            return None;
        }
        match self.builder.expected_key(self.at) {
            Some(end) => self.at = end,
            None => self.other_key()?,
        }
        (self.token()? == b':').then_some(())
    }

    #[cold]
    fn other_key(&mut self) -> Option<()> {
        let start = self.at;
        let run = self.run(start)?;
        match self.bytes[run.end] {
            b'"' => {
                self.at = run.end + 1;
                self.builder.key(self.text.get(start..run.end)?).ok()
            }
            b'\\' => {
                let key = self.unescape(start, run.end)?;
                self.builder.key_in_arena(key).ok()
            }
            _ => None,
        }
    }

    #[inline]
    fn string(&mut self) -> Option<()> {
        let start = self.at;
        let run = self.run(start)?;
        match self.bytes[run.end] {
            b'"' => {
                self.at = run.end + 1;
                self.builder.str_in_text(start..run.end, run.is_ascii).ok()
            }
            b'\\' => {
                let string = self.unescape(start, run.end)?;
                self.builder.str_in_arena(string).ok()
            }
            _ => None,
        }
    }

    /// Up to the next quote, backslash or control character: there must be one.
    #[inline]
    fn run(&self, start: usize) -> Option<Run> {
        const ONES: u64 = u64::MAX / 255;
        const HIGH: u64 = ONES << 7;
        let (mut at, mut all) = (start, 0);
        while let Some(eight) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*eight);
            // The highest bit of each byte that is 0 (and perhaps of one above it), of each below 32.
            let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
            let quotes = zeros(word ^ (ONES * u64::from(b'"')));
            let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
            let controls = word.wrapping_sub(ONES * 0x20) & !word;
            let found = (quotes | backslashes | controls) & HIGH;
            if found != 0 {
                let before = found.trailing_zeros() / 8;
                all |= word & ((1 << (8 * before)) - 1);
                return Some(Run { end: at + before as usize, is_ascii: all & HIGH == 0 });
            }
            all |= word;
            at += 8;
        }
        let mut is_ascii = all & HIGH == 0;
        loop {
            let byte = *self.bytes.get(at)?;
            if matches!(byte, b'"' | b'\\' | 0..0x20) {
                return Some(Run { end: at, is_ascii });
            }
            is_ascii &= byte.is_ascii();
            at += 1;
        }
    }

    /// The string from `start` on, whose first backslash is at `escape`, written into the arena:
    /// where it begins there.
    #[cold]
    fn unescape(&mut self, start: usize, escape: usize) -> Option<usize> {
        let in_arena = self.builder.arena_len();
        let (mut from, mut to) = (start, escape);
        loop {
            self.builder.add_to_arena(self.text.get(from..to)?).ok()?;
            match self.bytes[to] {
                b'"' => break,
                b'\\' => {}
                _ => return None,
            }
            self.at = to + 1;
            let character = self.escape()?;
            self.builder.add_to_arena(character.encode_utf8(&mut [0; 4])).ok()?;
            from = self.at;
            to = self.run(from)?.end;
        }
        self.at = to + 1;
        Some(in_arena)
    }

    /// The character that stands behind a backslash.
    fn escape(&mut self) -> Option<char> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                self.word(b"\\u")?;
                let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low);
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    #[inline]
    fn number(&mut self, first: u8) -> Option<()> {
        let start = self.at - 1;
        let is_negative = first == b'-';
        let first = if is_negative { self.take()? } else { first };
        let mut whole = u64::from(first.wrapping_sub(b'0'));
        if whole > 9 {
            return None;
        }
        // What does not fit is left to the library, as are all long fractions.
        let mut is_exact = true;
        while let Some(digit) = self.digit() {
            is_exact &= whole < u64::MAX / 10;
            whole = whole.wrapping_mul(10).wrapping_add(digit);
            if first == b'0' {
                return None;
            }
        }
        let (mut is_float, mut exponent) = (false, 0i32);
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            let from = self.at;
            while let Some(digit) = self.digit() {
                is_exact &= whole < u64::MAX / 10;
                whole = whole.wrapping_mul(10).wrapping_add(digit);
            }
            exponent = -i32::try_from(self.at - from).ok()?;
            if exponent == 0 {
                return None;
            }
            is_float = true;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            is_float = true;
            self.exponent()?;
            is_exact = false;
        }
        if !is_float && is_exact {
            return match (is_negative, i64::try_from(whole)) {
                (false, Ok(n)) => self.builder.i64(n),
                (false, Err(_)) => self.builder.u64(whole),
                (true, Ok(0)) => self.builder.f64(-0.0),
                (true, Ok(n)) => self.builder.i64(-n),
                (true, Err(_)) => return self.inexact(start),
            }
            .ok();
        }
        match EXACT_POWERS.get(exponent.unsigned_abs() as usize) {
            // Both are exact, so their quotient is rounded as the number itself (Clinger, 1990).
            Some(power) if is_exact && whole <= EXACT_WHOLE => {
                let magnitude = whole as f64 / power;
                self.builder.f64(if is_negative { -magnitude } else { magnitude }).ok()
            }
            _ => self.inexact(start),
        }
    }

    fn exponent(&mut self) -> Option<()> {
        if let Some(b'+' | b'-') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.digit()?;
        while self.digit().is_some() {}
        Some(())
    }

    #[inline]
    fn take(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn digit(&mut self) -> Option<u64> {
        let digit = self.bytes.get(self.at)?.wrapping_sub(b'0');
        (digit < 10).then(|| {
            self.at += 1;
            u64::from(digit)
        })
    }

    /// The number from `start` to here, by the standard library.
    #[cold]
    fn inexact(&mut self, start: usize) -> Option<()> {
        let text = self.text.get(start..self.at)?;
        if let Ok(n) = text.parse() {
            return self.builder.u64(n).ok();
        }
        if let Ok(n) = text.parse() {
            return self.builder.i64(n).ok();
        }
        let number: f64 = text.parse().ok()?;
        if number.is_infinite() {
            return None;
        }
        self.builder.f64(number).ok()
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
