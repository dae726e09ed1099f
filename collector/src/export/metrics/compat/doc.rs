//! The tables of docs/migrate.md, generated from the peers' tables; the text around them is written
//! by hand.

use std::fmt::Write as _;

use super::Peer;
use super::table::{Fold, Scope};

/// What stands between the marks of this peer.
pub fn tables(peer: Peer) -> String {
    let mut out =
        String::from("\n| series | labels | value | in our names | differs |\n|---|---|---|---|---|\n");
    for row in peer.rows() {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let folded = match row.scope {
            Scope::GroupPartition(Fold::Max) | Scope::TopicPartition(Fold::Max) => {
                "; beyond the budget the greatest of all partitions"
            }
            Scope::GroupPartition(Fold::Drop) | Scope::TopicPartition(Fold::Drop) => {
                "; beyond the budget left out"
            }
            _ => "",
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {}{folded} | `{}` | {} |",
            row.name,
            labels.join(", "),
            row.help,
            row.ours,
            row.differs
        );
    }
    out.push_str("\nNot served:\n\n| series | why | instead |\n|---|---|---|\n");
    for row in peer.missing() {
        let _ = writeln!(out, "| `{}` | {} | {} |", row.name, row.why, row.instead);
    }
    out.push('\n');
    out
}

/// The document with the tables of every peer put between its marks.
///
/// # Errors
/// The mark that is not there.
pub fn spliced(document: &str) -> Result<String, String> {
    let mut out = document.to_owned();
    for peer in Peer::ALL {
        let begin = format!("<!-- generated: {} -->\n", peer.name());
        let end = format!("<!-- end of {} -->", peer.name());
        let from = out.find(&begin).ok_or_else(|| begin.clone())? + begin.len();
        let to = out[from..].find(&end).ok_or(end)? + from;
        out.replace_range(from..to, &tables(peer));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::export::metrics::table;

    fn read() -> (&'static str, String) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/migrate.md");
        (path, std::fs::read_to_string(path).expect("docs/migrate.md is there"))
    }

    #[test]
    fn docs_migrate_is_up_to_date() {
        let (path, found) = read();
        let expected = super::spliced(&found).expect("every mark is there");
        if std::env::var_os("TAPLINE_WRITE_DOCS").is_some() {
            std::fs::write(path, &expected).expect("docs/migrate.md can be written");
        }
        let found = read().1;
        assert!(
            found == expected,
            "docs/migrate.md is stale: TAPLINE_WRITE_DOCS=1 cargo test -p tapline-collector docs_migrate"
        );
    }

    #[test]
    fn every_series_of_ours_that_is_named_exists() {
        let text = super::spliced(&read().1).expect("every mark is there");
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let ours: Vec<&str> = words.filter(|word| word.starts_with("tapline_")).collect();
        assert!(ours.len() > 50, "{} names", ours.len());
        let rows = || table::SECTIONS.iter().flat_map(|section| section.rows);
        for name in ours {
            // `tapline_watch_*`
            let is_beginning = name.ends_with('_') && rows().any(|row| row.name.starts_with(name));
            assert!(is_beginning || table::find(name).is_some(), "{name} is no series of ours");
        }
    }
}
