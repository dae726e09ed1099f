//! Names of hosts and mailboxes.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Octets of a name without its final dot (RFC 1035, 2.3.4), of a label, and of the part before the
/// `@` (RFC 5321, 4.5.3.1.1).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const LOCAL_BYTES_MAX: usize = 64;

/// Labels of ASCII letters, digits and hyphens (RFC 1123, 2.1), the last of them not a number
/// alone, which would be an IPv4 address. No final dot, no underscore.
pub(super) fn is_hostname(text: &str) -> bool {
    is_domain(text, |c| c.is_ascii_alphanumeric())
}

fn is_domain(text: &str, is_letter: impl Fn(char) -> bool) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.chars().all(|c| is_letter(c) || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = || text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label) && !last_is_number()
}

/// `Mailbox` of RFC 5321 (4.1.2), in whose names and atoms RFC 6531 (3.3) lets letters of all
/// scripts be. Neither names of persons nor comments.
pub(super) fn is_email(text: &str) -> bool {
    // The last one: others may be in quotes.
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let literal = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']'));
    let domain_holds = match literal {
        Some(literal) => match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None => is_domain(domain, char::is_alphanumeric),
    };
    domain_holds && local.len() <= LOCAL_BYTES_MAX && is_local(local)
}

fn is_local(local: &str) -> bool {
    match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => is_quoted(quoted),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_character)),
    }
}

/// `atext` (RFC 5322, 3.2.3).
fn is_atom_character(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// `QcontentSMTP`.
fn is_quoted(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let holds = match c {
            '\\' => characters.next().is_some_and(|c| matches!(c, ' '..='~')),
            '"' => false,
            c => matches!(c, ' '..='~') || (!c.is_ascii() && !c.is_control()),
        };
        if !holds {
            return false;
        }
    }
    true
}
