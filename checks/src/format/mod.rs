//! Known forms of texts: `format` of `invalidValues`.
//!
//! | format | is a text as |
//! |---|---|
//! | `email` | RFC 5321 has a mailbox, with the letters of RFC 6531 |
//! | `uuid` | RFC 9562 writes one, in either case |
//! | `ipv4`, `ipv6` | RFC 6943 and RFC 4291 (2.2) write addresses, without a zone |
//! | `uri` | RFC 3986 has a URI: with a scheme |
//! | `date`, `date-time` | RFC 3339 has `full-date` and `date-time` |
//! | `country` | ISO 3166-1 assigns, alpha-2 or alpha-3, in capitals |
//! | `currency` | ISO 4217 assigns, in capitals |
//! | `iban` | ISO 13616 has an account number: length of its country, check digits, no spaces |
//! | `hostname` | RFC 1123 (2.1) has a name of a host |
//!
//! All of them look at a text once, allocate nothing and never panic.

mod codes;
mod iban;
mod net;
#[cfg(test)]
mod tests;
mod time;

/// A known form of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Email,
    Uuid,
    Ipv4,
    Ipv6,
    Uri,
    Date,
    DateTime,
    Country,
    Currency,
    Iban,
    Hostname,
}

/// All of them, by their names in files.
pub const FORMATS: [(&str, Format); 11] = [
    ("email", Format::Email),
    ("uuid", Format::Uuid),
    ("ipv4", Format::Ipv4),
    ("ipv6", Format::Ipv6),
    ("uri", Format::Uri),
    ("date", Format::Date),
    ("date-time", Format::DateTime),
    ("country", Format::Country),
    ("currency", Format::Currency),
    ("iban", Format::Iban),
    ("hostname", Format::Hostname),
];

impl Format {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Is the text of this form?
    pub fn matches(self, text: &str) -> bool {
        match self {
            Self::Email => net::is_email(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<core::net::Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<core::net::Ipv6Addr>().is_ok(),
            Self::Uri => fluent_uri::Uri::parse(text).is_ok(),
            Self::Date => time::is_date(text),
            Self::DateTime => time::is_date_time(text),
            Self::Country => {
                codes::ALPHA_2.binary_search(&text).is_ok() || codes::ALPHA_3.binary_search(&text).is_ok()
            }
            Self::Currency => codes::CURRENCIES.binary_search(&text).is_ok(),
            Self::Iban => iban::is_iban(text),
            Self::Hostname => net::is_hostname(text),
        }
    }
}

/// When a `date-time` or `date` is, in ms since the epoch (a date at its beginning in UTC), and which of them it is.
pub(crate) fn moment(text: &str) -> Option<(Format, i64)> {
    if !may_be_moment(text.as_bytes()) {
        return None;
    }
    match text.len() {
        10 => Some((Format::Date, time::date_ms(text)?)),
        _ => Some((Format::DateTime, time::date_time_ms(text)?)),
    }
}

/// Has it the dashes of a [`moment`]?
#[inline]
pub(crate) fn may_be_moment(text: &[u8]) -> bool {
    matches!(text, [_, _, _, _, b'-', _, _, b'-', _, _, ..])
}

/// The form that a text has, where it can be told from the text alone: `paid` is no host's name, though it could be.
/// Codes of countries and currencies are told by their being in the lists.
pub(crate) fn recognise(text: &str) -> Option<Format> {
    let bytes = text.as_bytes();
    let is = |format: Format| format.matches(text).then_some(format);
    let has = |byte: u8| bytes.contains(&byte);
    match bytes.len() {
        0 | 1 => return None,
        2 | 3 => {
            return if has(b':') {
                is(Format::Ipv6)
            } else {
                is(Format::Currency).or_else(|| is(Format::Country))
            };
        }
        36 if bytes[8] == b'-' => return is(Format::Uuid),
        _ => {}
    }
    if let Some((format, _)) = moment(text) {
        return Some(format);
    }
    if has(b' ') {
        return None;
    }
    if has(b'@') && !has(b'/') {
        return is(Format::Email);
    }
    if has(b':') {
        return is(Format::Ipv6).or_else(|| text.contains("://").then(|| is(Format::Uri)).flatten());
    }
    if has(b'.') {
        let ends_in_letter = bytes.last().is_some_and(u8::is_ascii_alphabetic);
        return if ends_in_letter { is(Format::Hostname) } else { is(Format::Ipv4) };
    }
    bytes[0].is_ascii_uppercase().then(|| is(Format::Iban)).flatten()
}

/// 8-4-4-4-12 hexadecimal digits (RFC 9562, 4); neither braces nor `urn:uuid:`. Of any version, the
/// nil and max ones too.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
