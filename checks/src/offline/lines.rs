//! Lines of a file or pipe, one at a time, in bounded memory.

use std::io::{self, BufRead, Read as _};

/// Reads lines; what is longer than the limit is passed over, and told.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    max_bytes: usize,
    buffer: Vec<u8>,
    number: u64,
    bytes_read: u64,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which, from 1.
    pub number: u64,
    /// Its bytes without the line break; cut where it is too long.
    pub bytes: &'a [u8],
    /// All its bytes, those cut off included.
    pub length: u64,
    /// A line break ends it: only the last one may lack it.
    pub ended: bool,
}

impl Line<'_> {
    /// Was it longer than the limit?
    pub fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `max_bytes`.
    pub fn new(input: R, max_bytes: usize) -> Self {
        Self { input, max_bytes, buffer: Vec::new(), number: 0, bytes_read: 0 }
    }

    /// Bytes read so far, line breaks included.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next line that is not blank. A byte-order mark before the first one is a mark of the
    /// file, not of the record.
    ///
    /// # Errors
    /// The input cannot be read.
    #[allow(clippy::should_implement_trait)] // It lends from itself.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.buffer.clear();
            let most = self.max_bytes as u64 + 2;
            let mut read = self.input.by_ref().take(most).read_until(b'\n', &mut self.buffer)? as u64;
            if read == 0 {
                return Ok(None);
            }
            let mut ended = self.buffer.ends_with(b"\n");
            if !ended && read == most {
                let rest = skip_line(&mut self.input)?;
                ended = rest.1;
                read += rest.0;
            }
            self.bytes_read += read;
            self.number += 1;
            let mut length = read - u64::from(ended);
            if self.buffer.ends_with(b"\n") {
                self.buffer.pop();
            }
            if length == self.buffer.len() as u64 && self.buffer.ends_with(b"\r") {
                self.buffer.pop();
                length -= 1;
            }
            self.buffer.truncate(self.max_bytes);
            let mut from = 0;
            if self.number == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                (from, length) = (3, length - 3);
            }
            if self.buffer[from..].iter().all(u8::is_ascii_whitespace) && length <= self.max_bytes as u64 {
                continue;
            }
            return Ok(Some(Line { number: self.number, bytes: &self.buffer[from..], length, ended }));
        }
    }
}

/// Passes over the rest of a line: its bytes, and whether a line break ended it.
fn skip_line(input: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut passed = 0;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok((passed, false));
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(available.len(), |end| end + 1);
        input.consume(used);
        passed += used as u64;
        if end.is_some() {
            return Ok((passed, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8], max: usize, buffer: usize) -> Vec<(u64, Vec<u8>, u64, bool)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, Cursor::new(text)), max);
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            out.push((line.number, line.bytes.to_vec(), line.length, line.ended));
        }
        assert_eq!(lines.bytes_read(), text.len() as u64);
        out
    }

    #[test]
    fn blank_lines_keep_their_numbers_and_the_last_may_be_open() {
        let lines = all(b"\xef\xbb\xbf{}\r\n\n  \n[1]\n{\"a\"", 100, 7);
        let expected: Vec<(u64, &[u8], bool)> =
            vec![(1, b"{}", true), (4, b"[1]", true), (5, b"{\"a\"", false)];
        let got: Vec<_> = lines.iter().map(|(n, b, _, e)| (*n, b.as_slice(), *e)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut text = vec![b'x'; 1 << 20];
        text.extend_from_slice(b"\nshort\n");
        let lines = all(&text, 16, 64);
        assert_eq!((lines[0].1.len(), lines[0].2, lines[0].3), (16, 1 << 20, true));
        assert_eq!((lines[1].0, lines[1].1.as_slice()), (2, b"short".as_slice()));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[a\r\n]{0,60}", max in 1usize..20, buffer in 1usize..9) {
            let mut expected = Vec::new();
            let mut rest = text.as_str();
            let mut number = 0;
            while !rest.is_empty() {
                let (line, ended, after) = match rest.split_once('\n') {
                    Some((line, after)) => (line, true, after),
                    None => (rest, false, ""),
                };
                number += 1;
                rest = after;
                let whole = line.strip_suffix('\r').unwrap_or(line);
                if !whole.trim_matches(['\r', ' ']).is_empty() || whole.len() > max {
                    expected.push((number, whole.to_owned(), ended));
                }
            }
            let got = all(text.as_bytes(), max, buffer);
            prop_assert_eq!(got.len(), expected.len());
            for ((number, bytes, length, ended), (n, whole, e)) in got.iter().zip(&expected) {
                prop_assert_eq!((number, ended), (n, e));
                prop_assert!(whole.as_bytes().starts_with(bytes));
                prop_assert!(bytes.len() <= max);
                // The carriage return of a line too long is not seen.
                prop_assert!(*length == whole.len() as u64 || (*length > max as u64 && *length <= whole.len() as u64 + 1));
            }
        }
    }
}
