//! `tapline profile`: what the values of every field are like.

mod look;
mod table;

use std::io::Write;
use std::sync::Arc;

use checks::limits::Limits;
use checks::offline::Piece;
use checks::profile::json;
use checks::report::PaneSummary;
use checks::rules::{CheckSet, FieldPath, TopicRules};

use super::source::{Source, SourceArgs, parse_path};
use super::{Outcome, colour, environment};
use look::Look;

/// What `tapline profile` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// JSON, as documented in docs/api.md
    #[arg(long)]
    pub(crate) json: bool,
    /// With --json: the sketches too, so that `tapline diff` can compare distributions with it later
    #[arg(long, requires = "json")]
    pub(crate) sketches: bool,
    /// Leave frequent values out
    #[arg(long)]
    pub(crate) no_values: bool,
    /// A profile for each value of this field too, as `$.country`: of the 20 with the most records, and of the rest
    #[arg(long, value_name = "PATH", value_parser = parse_path, conflicts_with = "sketches")]
    pub(crate) by: Option<FieldPath>,
}

pub(crate) fn run(args: &ProfileArgs) -> anyhow::Result<Outcome> {
    let source = args.source.resolve()?;
    let name = source.name();
    let rules = args.source.hiding(CheckSet::default().for_topic(&name));
    let mut piece = Piece::new(&rules, &Limits::default())?;
    if let Some(path) = &args.by {
        piece = piece.divided_by(path).map_err(|why| anyhow::anyhow!("--by {}: {why}", path.text))?;
    }
    let truncated = source.read(&mut piece)?.truncated;
    let mut segments = if args.by.is_some() { piece.segments() } else { Vec::new() };
    let mut summary = match segments.as_slice() {
        [] => piece.summary(),
        [(_, first), others @ ..] => {
            let mut all = first.clone();
            others.iter().for_each(|(_, part)| all.merge(part));
            all
        }
    };
    if args.no_values {
        let parts = segments.iter_mut().map(|(_, part)| part).chain([&mut summary]);
        parts.flat_map(|part| &mut part.fields).for_each(|field| field.top = None);
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let mut profile = json::profile(&name, &summary);
        if args.sketches {
            profile = json::with_sketches(profile, &summary);
        }
        profile.segments = segments.iter().map(|(name, part)| json::segment(name, part)).collect();
        serde_json::to_writer(&mut out, &profile)?;
        writeln!(out)?;
    } else {
        let look = Look::of_stdout(colour(&std::io::stdout()), &environment());
        table::write(&name, &summary, truncated, &look, &mut out)?;
        for (segment, part) in &segments {
            writeln!(out)?;
            table::write(&format!("{name}, {segment}"), part, false, &look, &mut out)?;
        }
    }
    if truncated {
        writeln!(std::io::stderr(), "tapline: the data ends in the middle of a record")?;
    }
    anyhow::ensure!(summary.read > 0, "there are no records in {name}");
    Ok(Outcome::Good)
}

/// All of a source, without checks; and does it end in the middle of a record?
pub(crate) fn read(source: &Source, rules: &Arc<TopicRules>) -> anyhow::Result<(PaneSummary, bool)> {
    let mut piece = Piece::new(rules, &Limits::default())?;
    let seen = source.read(&mut piece)?;
    Ok((piece.summary(), seen.truncated))
}

/// The same of a source without rules.
pub(crate) fn read_all(source: &Source) -> anyhow::Result<(PaneSummary, bool)> {
    read(source, &CheckSet::default().for_topic(&source.name()))
}
