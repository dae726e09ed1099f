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

/// 8-4-4-4-12 hexadecimal digits (RFC 9562, 4); neither braces nor `urn:uuid:`. Of any version, the
/// nil and max ones too.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
