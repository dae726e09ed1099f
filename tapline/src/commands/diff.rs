//! `tapline diff A B`: what changed from one piece of data to another, and does it matter?

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use agent::range::{Edge, Range};
use anyhow::{Context as _, ensure};
use checks::compare::{self, Comparison, json};
use checks::report::PaneSummary;

use super::profile::read_all;
use super::source::{Line, Source, grouped, now_ms, parse_edge};
use super::{Outcome, colour, printable, verdict_out};
use crate::cli::ConnectArgs;

/// A saved profile is no larger: 10,000 fields of sketches.
const PROFILE_BYTES_MAX: u64 = 256 << 20;
/// How a saved profile begins.
const PROFILE_BEGINS: &[u8] = b"{\"version\":";

/// What `tapline diff` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// Before: a file, -, or topic:NAME[@FROM..TO]
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// After: the same
    #[arg(value_name = "B")]
    pub(crate) b: String,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// JSON, as documented in docs/checks.md
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<Outcome> {
    ensure!(args.a != "-" || args.b != "-", "standard input can only be one of the two");
    let side = |given: &str| -> anyhow::Result<(String, PaneSummary)> {
        let summary = side(given, &args.connect)?;
        ensure!(summary.read > 0, "there are no records in {given}");
        Ok((if given == "-" { "standard input".to_owned() } else { given.to_owned() }, summary))
    };
    let (a, b) = (side(&args.a)?, side(&args.b)?);
    let found = compare::compare(&a.1, &b.1);
    let mut out = verdict_out();
    if args.json {
        let of = |(source, summary)| json::SideJson { source, records: summary };
        let shape = json::diff(of((a.0.as_str(), a.1.read)), of((b.0.as_str(), b.1.read)), &found);
        serde_json::to_writer(&mut out, &shape)?;
        writeln!(out)?;
    } else {
        text((&a.0, a.1.read), (&b.0, b.1.read), &found, colour(&std::io::stdout()), &mut out)?;
    }
    Ok((!found.matters()).into())
}

/// The profile of a side.
fn side(given: &str, connect: &ConnectArgs) -> anyhow::Result<PaneSummary> {
    if let Some(range) = given.strip_prefix("topic:") {
        let range = parse_range(range, now_ms()).with_context(|| given.to_owned())?;
        return Ok(read_all(&Source::Topic { range, connect: connect.clone() })?.0);
    }
    if given == "-" {
        return whole(read_all(&Source::Stdin(Line::Value))?, given);
    }
    if let Some(text) = saved(Path::new(given)).with_context(|| given.to_owned())? {
        return json::read_profile(&text).map_err(anyhow::Error::msg).with_context(|| given.to_owned());
    }
    whole(read_all(&Source::File(PathBuf::from(given), Line::Value))?, given)
}

fn whole((summary, truncated): (PaneSummary, bool), name: &str) -> anyhow::Result<PaneSummary> {
    ensure!(!truncated, "{name} ends in the middle of a record: it is not compared");
    Ok(summary)
}

/// The text of a saved profile, if the file is one.
fn saved(path: &Path) -> std::io::Result<Option<String>> {
    let mut file = File::open(path)?;
    // A pipe can't be read twice.
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut begins = [0; PROFILE_BEGINS.len()];
    if file.read_exact(&mut begins).is_err() || begins != PROFILE_BEGINS {
        return Ok(None);
    }
    let mut bytes = begins.to_vec();
    file.take(PROFILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| json::is_profile(text)))
}

/// `NAME`, or `NAME@FROM..TO`.
fn parse_range(text: &str, now_ms: i64) -> anyhow::Result<Range> {
    let (topic, edges) = text.split_once('@').unwrap_or((text, ".."));
    ensure!(!topic.is_empty(), "no topic: write topic:orders, or topic:orders@-1h..end");
    let (from, to) = edges.split_once("..").context("a range is written FROM..TO, as in @-1h..end")?;
    let edge = |text: &str, default| if text.is_empty() { Ok(default) } else { parse_edge(text, now_ms) };
    Ok(Range { topic: topic.to_owned(), from: edge(from, Edge::Beginning)?, to: edge(to, Edge::End)? })
}

fn text(
    a: (&str, u64),
    b: (&str, u64),
    found: &Comparison,
    in_colour: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    for (mark, (name, records)) in [("A", a), ("B", b)] {
        writeln!(out, "{mark}  {}: {} records", printable(name), grouped(records))?;
    }
    writeln!(out)?;
    for change in &found.changes {
        let (mark, tint) = if change.matters { ("MATTERS", "1;31") } else { ("       ", "0") };
        let mark = if in_colour { format!("\x1b[{tint}m{mark}\x1b[0m") } else { mark.to_owned() };
        writeln!(out, "{mark}  {}", printable(&change.message))?;
    }
    if !found.changes.is_empty() {
        writeln!(out)?;
    }
    let matter = found.changes.iter().filter(|change| change.matters).count();
    let few = match found.too_few {
        0 => String::new(),
        n => format!(" ({n} with too few values to compare their distribution)"),
    };
    let changes = match (matter, found.changes.len()) {
        (_, 0) => "nothing changed beyond chance".to_owned(),
        (0, n) => format!("{n} changed, none in a way that matters"),
        (matter, n) => format!("{n} changes, {matter} of them matter"),
    };
    writeln!(out, "{} fields compared{few}: {changes}", found.compared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_topics_are_understood() {
        let range = |text| parse_range(text, 10_000_000).map(|r| (r.topic, r.from, r.to));
        let of = |from, to| ("orders".to_owned(), from, to);
        assert_eq!(range("orders").unwrap(), of(Edge::Beginning, Edge::End));
        assert_eq!(range("orders@-1h..").unwrap(), of(Edge::Time(6_400_000), Edge::End));
        assert_eq!(range("orders@5..10").unwrap(), of(Edge::Offset(5), Edge::Offset(10)));
        assert!(range("@1..2").is_err() && range("orders@5").is_err() && range("orders@a..b").is_err());
    }
}
