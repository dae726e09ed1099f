//! The parser of nearly every record: it knows which key comes next.
//!
//! It never guesses: what it takes is JSON (RFC 8259) and becomes the tape that `reference` would
//! make of it, which a property test holds. Where it is not sure, it gives `None`, and says nothing
//! of why: an error, a limit, more nesting than `reference` takes.

use crate::tape::node::Scalar;
use crate::tape::{Builder, Object};

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
/// A one in each of eight bytes.
const ONES: u64 = u64::MAX / 255;
/// What makes digits 0 to 9.
const DIGITS: u64 = ONES * b'0' as u64;

/// Writes the document of a text that the builder was made [over](Builder::over).
pub(super) fn document<'t>(text: &'t str, builder: &mut Builder<'_, 't>) -> Option<()> {
    let mut parser = Parser { text, bytes: text.as_bytes(), builder };
    let record = parser.builder.record();
    parser.builder.null(record).ok()?;
    let end = parser.value(0)?;
    parser.bytes[end as usize..].iter().all(|b| is_space(*b)).then_some(())
}

/// Functions take where they begin, and give where they ended. A value is written as null once its place is known, and
/// then filled in: nothing of the place has to be kept meanwhile.
struct Parser<'b, 's, 't> {
    text: &'t str,
    bytes: &'t [u8],
    builder: &'b mut Builder<'s, 't>,
}

impl Parser<'_, '_, '_> {
    #[inline(always)]
    fn byte(&self, at: u32) -> Option<u8> {
        self.bytes.get(at as usize).copied()
    }

    /// The next byte that is no white space, and where it is.
    #[inline(always)]
    fn token(&self, mut at: u32) -> Option<(u8, u32)> {
        loop {
            let byte = self.byte(at)?;
            // Nearly always the first look is enough.
            if byte > b' ' || !is_space(byte) {
                return Some((byte, at));
            }
            at += 1;
        }
    }

    /// The next eight bytes, and zeros behind the last one.
    #[inline(always)]
    fn word(&self, at: u32) -> u64 {
        let at = at as usize;
        match self.bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk()) {
            Some(word) => u64::from_le_bytes(*word),
            None => self.last_word(at),
        }
    }

    /// The next sixteen.
    #[inline(always)]
    fn words(&self, at: u32) -> [u64; 2] {
        let at = at as usize;
        match self.bytes.get(at..at + 16).and_then(|bytes| bytes.as_chunks().0.first_chunk()) {
            Some([low, high]) => [u64::from_le_bytes(*low), u64::from_le_bytes(*high)],
            None => [self.last_word(at), self.last_word(at + 8)],
        }
    }

    /// One at a time: an array of two would be handed on through memory, and with it those of the usual way.
    #[cold]
    #[inline(never)]
    fn last_word(&self, at: usize) -> u64 {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    /// The next value.
    #[inline(always)]
    fn value(&mut self, at: u32) -> Option<u32> {
        let (first, at) = self.token(at)?;
        if first == b'"' {
            return self.string(at + 1);
        }
        let (scalar, end) = match first {
            b'{' => return self.object(at + 1),
            b'[' => return self.array(at + 1),
            b'-' | b'0'..=b'9' => match self.short_number(at, first == b'-') {
                Some(number) => number,
                None => return self.number(at),
            },
            b't' => (Scalar::bool(true), self.literal(b"rue", at + 1)?),
            b'f' => (Scalar::bool(false), self.literal(b"alse", at + 1)?),
            b'n' => (Scalar::NULL, self.literal(b"ull", at + 1)?),
            _ => return None,
        };
        self.builder.fill(scalar);
        Some(end)
    }

    #[inline(always)]
    fn string(&mut self, start: u32) -> Option<u32> {
        let end = self.run(start);
        if self.byte(end)? != b'"' {
            return self.other_string(start, end);
        }
        self.builder.fill(Scalar::text(start, end - start, true));
        Some(end + 1)
    }

    #[inline(never)]
    fn object(&mut self, at: u32) -> Option<u32> {
        if self.builder.depth() >= NESTING_MAX {
            return None;
        }
        let mut object = self.builder.fill_object().ok()?;
        let (mut byte, mut at) = self.token(at)?;
        if byte != b'}' {
            loop {
                if byte != b'"' {
                    return None;
                }
                let key = at + 1;
                at = match self.builder.expected_key(&mut object, key, self.words(key)) {
                    Some((member, end)) => {
                        self.builder.null(member).ok()?;
                        end
                    }
                    None => self.other_key(&mut object, key)?,
                };
                at = self.value(at)?;
                (byte, at) = self.token(at)?;
                match byte {
                    b',' => (byte, at) = self.token(at + 1)?,
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.builder.end_object(object).ok()?;
        Some(at + 1)
    }

    #[inline(never)]
    fn array(&mut self, at: u32) -> Option<u32> {
        if self.builder.depth() >= NESTING_MAX {
            return None;
        }
        let mut array = self.builder.fill_array().ok()?;
        let (mut byte, mut at) = self.token(at)?;
        if byte != b']' {
            loop {
                let element = self.builder.element(&mut array);
                self.builder.null(element).ok()?;
                (byte, at) = self.value(at).and_then(|at| self.token(at))?;
                match byte {
                    b',' => at += 1,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.builder.end_array(array).ok()?;
        Some(at + 1)
    }

    fn literal(&self, rest: &[u8], at: u32) -> Option<u32> {
        self.bytes.get(at as usize..)?.starts_with(rest).then_some(at + rest.len() as u32)
    }

    /// Any key, and the colon.
    #[cold]
    fn other_key(&mut self, object: &mut Object, start: u32) -> Option<u32> {
        let end = self.any_run(start);
        let (member, end) = match self.byte(end)? {
            b'"' => (self.builder.key(object, self.text.get(start as usize..end as usize)?).ok()?, end + 1),
            b'\\' => {
                let (key, end) = self.unescape(start, end)?;
                (self.builder.key_in_arena(object, key).ok()?, end)
            }
            _ => return None,
        };
        self.builder.null(member).ok()?;
        let (colon, at) = self.token(end)?;
        (colon == b':').then_some(at + 1)
    }

    /// A string whose characters up to `end` stand for themselves and are ASCII.
    #[inline(never)]
    fn other_string(&mut self, start: u32, end: u32) -> Option<u32> {
        let end = self.any_run(end);
        let (string, end) = match self.byte(end)? {
            b'"' => (Scalar::text(start, end - start, false), end + 1),
            b'\\' => {
                let (string, end) = self.unescape(start, end)?;
                (self.builder.string_in_arena(string), end)
            }
            _ => return None,
        };
        self.builder.fill(string);
        Some(end)
    }

    /// Where the characters end that are ASCII and stand for themselves: not a quote, a backslash or a control character.
    #[inline(always)]
    fn run(&self, mut at: u32) -> u32 {
        loop {
            match first(self.words(at), |word| ends(word) | word) {
                Some(end) => return at + end,
                None => at += 16,
            }
        }
    }

    /// The same of any characters.
    fn any_run(&self, mut at: u32) -> u32 {
        loop {
            match first(self.words(at), |word| ends(word) & !word) {
                Some(end) => return at + end,
                None => at += 16,
            }
        }
    }

    /// The string from `start` on, whose first backslash is at `escape`, written into the arena:
    /// where it begins there, and where the text goes on.
    #[cold]
    fn unescape(&mut self, start: u32, escape: u32) -> Option<(usize, u32)> {
        let in_arena = self.builder.arena_len();
        let (mut from, mut to) = (start, escape);
        loop {
            self.builder.add_to_arena(self.text.get(from as usize..to as usize)?).ok()?;
            match self.byte(to)? {
                b'"' => return Some((in_arena, to + 1)),
                b'\\' => {}
                _ => return None,
            }
            let (character, end) = self.escape(to + 1)?;
            self.builder.add_to_arena(character.encode_utf8(&mut [0; 4])).ok()?;
            from = end;
            to = self.any_run(from);
        }
    }

    /// The character that stands behind a backslash.
    fn escape(&self, at: u32) -> Option<(char, u32)> {
        let (byte, at) = (self.byte(at)?, at + 1);
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
                let at = self.literal(b"\\u", at + 4)?;
                let low = self.unit(at)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return Some((char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?, at + 4));
            }
            _ => return None,
        };
        Some((character, at))
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: u32) -> Option<u32> {
        let digits = self.bytes.get(at as usize..at as usize + 4)?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    /// A number of fewer than eight characters besides the sign, without an exponent: `None` for anything else.
    #[inline(always)]
    fn short_number(&self, at: u32, is_negative: bool) -> Option<(Scalar, u32)> {
        let at = at + u32::from(is_negative);
        let word = self.word(at) ^ DIGITS;
        let is = |byte: u64, wanted: u8| byte as u8 == wanted ^ b'0';
        let others = others(word);
        if others == 0 {
            return None;
        }
        // Digits are counted by their bits, eight each.
        let whole = others.trailing_zeros() & !7;
        if whole == 0 || is(word, b'0') && whole > 8 {
            return None;
        }
        let next = word >> whole;
        if !is(next, b'.') {
            let number = integer(is_negative, number_of(word << (64 - whole)));
            return (!is(next | 0x20, b'E')).then_some((number, at + whole / 8));
        }
        let (others, fraction) = (others >> whole >> 8, next >> 8);
        if others == 0 {
            return None;
        }
        let places = others.trailing_zeros() & !7;
        if places == 0 || is(fraction >> places | 0x20, b'E') {
            return None;
        }
        // The point is taken out.
        let digits = word & !(u64::MAX << whole) | fraction << whole;
        let number = quotient(is_negative, number_of(digits << (64 - whole - places)), places / 8);
        Some((number, at + (whole + places) / 8 + 1))
    }

    /// Any other number.
    #[inline(never)]
    fn number(&mut self, at: u32) -> Option<u32> {
        let (number, end) = self.exact_number(at).or_else(|| self.long_number(at))?;
        self.builder.fill(number);
        Some(end)
    }

    /// A number of few digits, without an exponent: `None` also for what is one, and longer.
    fn exact_number(&self, start: u32) -> Option<(Scalar, u32)> {
        let is_negative = self.byte(start)? == b'-';
        let at = start + u32::from(is_negative);
        let (whole, count) = self.digits(at)?;
        // Not `&&`: how many digits there are cannot be guessed.
        if (count == 0) | ((count > 1) & (self.byte(at) == Some(b'0'))) {
            return None;
        }
        let at = at + count;
        let next = self.byte(at).unwrap_or(b' ');
        if next == b'.' {
            let (fraction, places) = self.digits(at + 1)?;
            let digits = whole.checked_mul(*POWERS.get(places as usize)?)?.checked_add(fraction)?;
            let end = at + 1 + places;
            let goes_on = matches!(self.byte(end), Some(b'e' | b'E'));
            if places == 0 || digits > EXACT_WHOLE || goes_on {
                return None;
            }
            return Some((quotient(is_negative, digits, places), end));
        }
        if matches!(next, b'e' | b'E') {
            return None;
        }
        Some((integer(is_negative, whole), at))
    }

    /// The digits from here on, fewer than 16: the number that they are, and how many.
    #[inline(always)]
    fn digits(&self, at: u32) -> Option<(u64, u32)> {
        let (first, count) = self.eight_digits(at);
        if count < 8 {
            return Some((first, count));
        }
        let (second, count) = self.eight_digits(at + 8);
        (count < 8).then(|| (first * POWERS[count as usize] + second, 8 + count))
    }

    /// The same of the next eight bytes.
    #[inline(always)]
    fn eight_digits(&self, at: u32) -> (u64, u32) {
        let word = self.word(at) ^ DIGITS;
        match others(word).trailing_zeros() & !7 {
            0 => (0, 0),
            bits => (number_of(word << (64 - bits)), bits / 8),
        }
    }

    /// Any number, by the standard library.
    #[cold]
    fn long_number(&self, start: u32) -> Option<(Scalar, u32)> {
        let rest = self.bytes.get(start as usize..)?;
        let digits = |at: usize| {
            let count = rest.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
            (count > 0).then_some(at + count)
        };
        let is_next = |at: usize, wanted: &[u8]| rest.get(at).is_some_and(|b| wanted.contains(b));
        let first = usize::from(is_next(0, b"-"));
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
        let text = self.text.get(start as usize..start as usize + end)?;
        let scalar = match (text.parse(), text.parse()) {
            (Ok(n), _) => Scalar::u64(n),
            (_, Ok(n)) if n != 0 => Scalar::i64(n),
            _ => Scalar::f64(text.parse().ok().filter(|n: &f64| n.is_finite())?),
        };
        Some((scalar, start + end as u32))
    }
}

#[inline(always)]
fn integer(is_negative: bool, magnitude: u64) -> Scalar {
    match (is_negative, magnitude as i64) {
        (false, n) => Scalar::i64(n),
        (true, 0) => Scalar::f64(-0.0),
        (true, n) => Scalar::i64(-n),
    }
}

/// Digits, so many of them behind the point. Both parts are exact, so their quotient is rounded as the number itself
/// (Clinger, 1990).
#[inline(always)]
fn quotient(is_negative: bool, digits: u64, places: u32) -> Scalar {
    let magnitude = digits as i64 as f64 / EXACT_POWERS[places as usize];
    Scalar::f64(if is_negative { -magnitude } else { magnitude })
}

/// Of eight bytes, of which digits are 0 to 9, the first that is no digit has one of its upper bits set.
#[inline(always)]
fn others(word: u64) -> u64 {
    (word | word.wrapping_add(ONES * 6)) & (ONES * 0xf0)
}

/// The number that eight digits are, zeros for those that are missing in front: neighbours are added up by twos, fours,
/// eights (Lemire, 2022).
#[inline(always)]
fn number_of(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Which of sixteen bytes is the first whose highest bit is set in what is made of its word.
#[inline(always)]
pub(super) fn first(words: [u64; 2], made: impl Fn(u64) -> u64) -> Option<u32> {
    let [low, high] = words.map(|word| made(word) & (ONES << 7));
    // One number: in which of the words it is cannot be guessed.
    let found = u128::from(high) << 64 | u128::from(low);
    (found != 0).then(|| found.trailing_zeros() / 8)
}

/// The highest bit of each of eight bytes that ends a run. Of those that are ASCII the first is right: where one is
/// found, the next may be found wrongly.
#[inline(always)]
pub(super) fn ends(word: u64) -> u64 {
    // The bit that a quote (0x22) loses leaves it, and the control characters, below all others.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    quote_or_control | backslash
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
