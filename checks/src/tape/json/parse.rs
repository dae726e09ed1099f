//! The parser of nearly every record: it knows which key comes next.
//!
//! It never guesses: what it takes is JSON (RFC 8259) and becomes the tape that `reference` would
//! make of it, which a property test holds. Where it is not sure, it gives `None`, and says nothing
//! of why: an error, a limit, more nesting than `reference` takes.

use crate::tape::node::Scalar;
use crate::tape::{Builder, Object, Place};

/// Containers within each other: one less than `reference` refuses.
const NESTING_MAX: u32 = 127;
/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 17] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];
/// The same as integers.
const POWERS: [u64; 17] = {
    let mut powers = [1; 17];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};
/// Whole numbers up to here are doubles.
const EXACT_WHOLE: u64 = 1 << 53;

/// Writes the document of a text that the builder was made [over](Builder::over).
pub(super) fn document<'t>(text: &'t str, builder: &mut Builder<'_, 't>) -> Option<()> {
    let mut parser = Parser { text, bytes: text.as_bytes(), is_ascii: text.is_ascii(), builder };
    let (first, at) = parser.token(0)?;
    let record = parser.builder.record();
    let end = parser.value(record, first, at)?;
    parser.bytes[end..].iter().all(|b| is_space(*b)).then_some(())
}

/// Functions take where they begin, and give where they ended.
struct Parser<'b, 's, 't> {
    text: &'t str,
    bytes: &'t [u8],
    is_ascii: bool,
    builder: &'b mut Builder<'s, 't>,
}

impl Parser<'_, '_, '_> {
    /// The next byte that is no white space, and where the text goes on behind it.
    #[inline(always)]
    fn token(&self, mut at: usize) -> Option<(u8, usize)> {
        loop {
            let byte = *self.bytes.get(at)?;
            at += 1;
            // Nearly always the first look is enough.
            if byte > b' ' || !is_space(byte) {
                return Some((byte, at));
            }
        }
    }

    /// A value, from behind its first byte on.
    #[inline(always)]
    fn value(&mut self, place: Place, first: u8, at: usize) -> Option<usize> {
        let (scalar, end) = match first {
            b'"' => self.string(at)?,
            b'{' => return self.object(place, at),
            b'[' => return self.array(place, at),
            b'-' | b'0'..=b'9' => self.number(at - 1)?,
            b't' => (Scalar::bool(true), self.word(b"rue", at)?),
            b'f' => (Scalar::bool(false), self.word(b"alse", at)?),
            b'n' => (Scalar::NULL, self.word(b"ull", at)?),
            _ => return None,
        };
        self.builder.scalar(place, scalar).ok()?;
        Some(end)
    }

    #[inline(never)]
    fn object(&mut self, place: Place, at: usize) -> Option<usize> {
        if self.builder.depth() >= NESTING_MAX {
            return None;
        }
        let mut object = self.builder.begin_object(place).ok()?;
        let (mut byte, mut at) = self.token(at)?;
        if byte != b'}' {
            loop {
                if byte != b'"' {
                    return None;
                }
                let (member, end) = match self.builder.expected_key(&mut object, at) {
                    Some(member) => member,
                    None => self.other_key(&mut object, at)?,
                };
                (byte, at) = self.token(end)?;
                at = self.value(member, byte, at)?;
                (byte, at) = self.token(at)?;
                match byte {
                    b',' => (byte, at) = self.token(at)?,
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.builder.end_object(object).ok()?;
        Some(at)
    }

    #[inline(never)]
    fn array(&mut self, place: Place, at: usize) -> Option<usize> {
        if self.builder.depth() >= NESTING_MAX {
            return None;
        }
        let mut array = self.builder.begin_array(place).ok()?;
        let (mut byte, mut at) = self.token(at)?;
        if byte != b']' {
            loop {
                let element = self.builder.element(&mut array);
                at = self.value(element, byte, at)?;
                (byte, at) = self.token(at)?;
                match byte {
                    b',' => (byte, at) = self.token(at)?,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.builder.end_array(array).ok()?;
        Some(at)
    }

    fn word(&self, rest: &[u8], at: usize) -> Option<usize> {
        self.bytes.get(at..)?.starts_with(rest).then_some(at + rest.len())
    }

    /// Any key, and the colon.
    #[cold]
    fn other_key(&mut self, object: &mut Object, start: usize) -> Option<(Place, usize)> {
        let end = self.run(start)?;
        let (place, end) = match self.bytes[end] {
            b'"' => (self.builder.key(object, self.text.get(start..end)?).ok()?, end + 1),
            b'\\' => {
                let (key, end) = self.unescape(start, end)?;
                (self.builder.key_in_arena(object, key).ok()?, end)
            }
            _ => return None,
        };
        let (colon, end) = self.token(end)?;
        (colon == b':').then_some((place, end))
    }

    #[inline(always)]
    fn string(&mut self, start: usize) -> Option<(Scalar, usize)> {
        let end = self.run(start)?;
        match self.bytes[end] {
            b'"' => {
                let is_ascii = self.is_ascii || self.bytes[start..end].is_ascii();
                Some((Scalar::text(start..end, is_ascii), end + 1))
            }
            b'\\' => {
                let (string, end) = self.unescape(start, end)?;
                Some((self.builder.string_in_arena(string), end))
            }
            _ => None,
        }
    }

    /// Where the characters end that stand for themselves: at a quote, a backslash or a control character, of which
    /// there must be one.
    #[inline(always)]
    fn run(&self, start: usize) -> Option<usize> {
        let mut at = start;
        loop {
            let rest = self.bytes.get(at..)?;
            let sixteen = match rest.first_chunk() {
                Some(sixteen) => u128::from_le_bytes(*sixteen),
                None if rest.is_empty() => return None,
                None => {
                    let mut padded = [b' '; 16];
                    padded[..rest.len()].copy_from_slice(rest);
                    u128::from_le_bytes(padded)
                }
            };
            let (low, high) = (ends(sixteen as u64), ends((sixteen >> 64) as u64));
            let found = u128::from(high) << 64 | u128::from(low);
            if found != 0 {
                return Some(at + found.trailing_zeros() as usize / 8);
            }
            at += 16;
        }
    }

    /// The string from `start` on, whose first backslash is at `escape`, written into the arena:
    /// where it begins there, and where the text goes on.
    #[cold]
    fn unescape(&mut self, start: usize, escape: usize) -> Option<(usize, usize)> {
        let in_arena = self.builder.arena_len();
        let (mut from, mut to) = (start, escape);
        loop {
            self.builder.add_to_arena(self.text.get(from..to)?).ok()?;
            match self.bytes[to] {
                b'"' => return Some((in_arena, to + 1)),
                b'\\' => {}
                _ => return None,
            }
            let (character, end) = self.escape(to + 1)?;
            self.builder.add_to_arena(character.encode_utf8(&mut [0; 4])).ok()?;
            from = end;
            to = self.run(from)?;
        }
    }

    /// The character that stands behind a backslash.
    fn escape(&self, at: usize) -> Option<(char, usize)> {
        let (byte, at) = (*self.bytes.get(at)?, at + 1);
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit(at)?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return Some((char::from_u32(unit)?, at + 4));
                }
                let at = self.word(b"\\u", at + 4)?;
                let low = self.unit(at)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return Some((char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?, at + 4));
            }
            _ => return None,
        };
        Some((character, at))
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    #[inline(always)]
    fn number(&self, start: usize) -> Option<(Scalar, usize)> {
        self.short_number(start).or_else(|| self.long_number(start))
    }

    /// A number of few digits, without an exponent: `None` also for what is one, and longer.
    #[inline(always)]
    fn short_number(&self, start: usize) -> Option<(Scalar, usize)> {
        let is_negative = *self.bytes.get(start)? == b'-';
        let at = start + usize::from(is_negative);
        let (whole, count) = self.digits(at)?;
        // Not `&&`: how many digits there are cannot be guessed.
        if (count == 0) | ((count > 1) & (self.bytes.get(at) == Some(&b'0'))) {
            return None;
        }
        let at = at + count;
        let next = self.bytes.get(at).copied().unwrap_or(b' ');
        if next == b'.' {
            let (fraction, places) = self.digits(at + 1)?;
            // Both are exact, so their quotient is rounded as the number itself (Clinger, 1990).
            let digits = whole.checked_mul(*POWERS.get(places)?)?.checked_add(fraction)?;
            let end = at + 1 + places;
            let goes_on = matches!(self.bytes.get(end), Some(b'e' | b'E'));
            if places == 0 || digits > EXACT_WHOLE || goes_on {
                return None;
            }
            let magnitude = digits as f64 / EXACT_POWERS[places];
            return Some((Scalar::f64(if is_negative { -magnitude } else { magnitude }), end));
        }
        if matches!(next, b'e' | b'E') {
            return None;
        }
        let scalar = match (is_negative, whole as i64) {
            (false, n) => Scalar::i64(n),
            (true, 0) => Scalar::f64(-0.0),
            (true, n) => Scalar::i64(-n),
        };
        Some((scalar, at))
    }

    /// The digits from here on, fewer than 16: the number that they are, and how many.
    #[inline(always)]
    fn digits(&self, at: usize) -> Option<(u64, usize)> {
        let (first, count) = self.eight_digits(at)?;
        if count < 8 {
            return Some((first, count));
        }
        let (second, count) = self.eight_digits(at + 8)?;
        (count < 8).then(|| (first * POWERS[count] + second, 8 + count))
    }

    /// The same of the next eight bytes.
    #[inline(always)]
    fn eight_digits(&self, at: usize) -> Option<(u64, usize)> {
        const ONES: u64 = u64::MAX / 255;
        let word = match self.bytes.get(at..)?.first_chunk() {
            Some(eight) => u64::from_le_bytes(*eight),
            // The last ones of the text, and zeros behind them.
            None => {
                u64::from_le_bytes(*self.bytes.last_chunk()?) >> (8 * (at + 8 - self.bytes.len())).min(63)
            }
        };
        // Digits are now 0 to 9; the first other byte has one of its upper bits set, or gets one.
        let digits = word ^ (ONES * u64::from(b'0'));
        let others = (digits | digits.wrapping_add(ONES * 6)) & (ONES * 0xf0);
        let count = others.trailing_zeros() as usize / 8;
        if count == 0 {
            return Some((0, 0));
        }
        // As if zeros stood before them; neighbours are added up by twos, fours, eights (Lemire, 2022).
        let digits = digits << (64 - 8 * count);
        let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
        let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
        let all = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
        Some((all, count))
    }

    /// Any number, by the standard library.
    #[cold]
    fn long_number(&self, start: usize) -> Option<(Scalar, usize)> {
        let digits = |at: usize| {
            let count = self.bytes.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
            (count > 0).then_some(at + count)
        };
        let is_next = |at: usize, wanted: &[u8]| self.bytes.get(at).is_some_and(|b| wanted.contains(b));
        let first = start + usize::from(is_next(start, b"-"));
        let mut end = digits(first)?;
        if is_next(first, b"0") && end > first + 1 {
            return None;
        }
        if is_next(end, b".") {
            end = digits(end + 1)?;
        }
        if is_next(end, b"eE") {
            let sign = usize::from(is_next(end + 1, b"+-"));
            end = digits(end + 1 + sign)?;
        }
        let text = self.text.get(start..end)?;
        let scalar = match (text.parse(), text.parse()) {
            (Ok(n), _) => Scalar::u64(n),
            (_, Ok(n)) if n != 0 => Scalar::i64(n),
            _ => Scalar::f64(text.parse().ok().filter(|n: &f64| n.is_finite())?),
        };
        Some((scalar, end))
    }
}

/// The highest bit of each of eight bytes that ends a run: a quote, a backslash, a control character.
#[inline(always)]
fn ends(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let low = word & (ONES * 0x7f);
    // The highest bit is set where the lower seven differ from a quote, from a backslash, where they are at least 32.
    let not_quote = (low ^ (ONES * u64::from(b'"'))) + ONES * 0x7f;
    let not_backslash = (low ^ (ONES * u64::from(b'\\'))) + ONES * 0x7f;
    let not_control = low + ONES * 0x60;
    !((not_quote & not_backslash & not_control) | word) & (ONES << 7)
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
