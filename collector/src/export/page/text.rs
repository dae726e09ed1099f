//! Text on the page: escaped, and numbers as people read them.

use std::fmt;

/// Text between tags and in quoted attributes: whatever it holds, it stays text.
pub(super) struct Esc<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Esc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // Control characters, and those that turn the text around them.
                c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    self.0.write_str("\u{fffd}")?;
                }
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A name as one segment of an address (RFC 3986: all but unreserved characters encoded).
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&super::super::hex(&[byte]).to_ascii_uppercase());
        }
    }
    out
}

/// 1,284,110.
pub(super) fn count(n: impl TryInto<i128>) -> String {
    let n: i128 = n.try_into().unwrap_or(i128::MAX);
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if n < 0 { format!("\u{2212}{out}") } else { out }
}

/// 1.28 M; small numbers as they are.
pub(super) fn short(n: u64) -> String {
    for (size, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e5, "k")] {
        if n as f64 >= size {
            let scale = if unit == "k" { 1e3 } else { size };
            return format!("{} {unit}", number(n as f64 / scale));
        }
    }
    count(n)
}

/// Three significant digits or so.
pub(super) fn number(x: f64) -> String {
    let size = x.abs();
    if size != 0.0 && !(0.001..1e9).contains(&size) {
        return format!("{x:.2e}");
    }
    if size >= 1_000.0 {
        return count(x.round() as i64);
    }
    let decimals = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 0.1 {
        2
    } else {
        4
    };
    trimmed(format!("{x:.decimals$}"))
}

/// A duration as people say it.
pub(super) fn duration(seconds: f64) -> String {
    let s = seconds.abs();
    if s == 0.0 {
        "0 s".to_owned()
    } else if s < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if s < 1.0 {
        format!("{} ms", number((seconds * 1e3 * 10.0).round() / 10.0))
    } else if s < 120.0 {
        format!("{} s", number((seconds * 10.0).round() / 10.0))
    } else if s < 7_200.0 {
        format!("{} min", number((seconds / 6.0).round() / 10.0))
    } else if s < 172_800.0 {
        format!("{} h", number((seconds / 360.0).round() / 10.0))
    } else {
        format!("{} d", number((seconds / 8_640.0).round() / 10.0))
    }
}

/// The same where it may not be known.
pub(super) fn maybe(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), duration)
}

/// A share, 0 to 1, in percent.
pub(super) fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p == 0.0 || p == 100.0 {
        format!("{p:.0}%")
    } else if (99.9..100.0).contains(&p) {
        format!("{}%", trimmed(format!("{:.3}", (p * 1_000.0 + 1e-6).floor() / 1_000.0)))
    } else if p < 0.01 {
        "<0.01%".to_owned()
    } else {
        format!("{}%", trimmed(format!("{p:.2}")))
    }
}

/// Without zeros that say nothing.
fn trimmed(decimal: String) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal
    }
}

/// Bytes, in binary units.
pub(super) fn bytes(n: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if n >> shift > 0 {
            return format!("{} {unit}", number((n as f64 / (1u64 << shift) as f64 * 10.0).round() / 10.0));
        }
    }
    format!("{n} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            Esc("<b a='1' c=\"2\">&\u{202e}\n").to_string(),
            "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\u{fffd}\u{fffd}"
        );
        assert_eq!(segment("a/b?<ü>"), "a%2Fb%3F%3C%C3%BC%3E");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_284_110u64), "1,284,110");
        assert_eq!(count(-12i64), "\u{2212}12");
        assert_eq!(short(1_284_110), "1.28 M");
        assert_eq!(short(284_110), "284 k");
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.0314, "31.4 ms"),
            (1.0, "1 s"),
            (61.0, "61 s"),
            (1_530.0, "25.5 min"),
            (198_720.0, "2.3 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(percent(0.999_994), "99.999%", "never rounded up to all");
        assert_eq!(percent(0.999), "99.9%");
        assert_eq!(percent(0.000_01), "<0.01%");
        assert_eq!(bytes(61 << 20), "61 MiB");
    }
}
