//! `tapline init`: a check file suggested from what is seen.

use std::io::Write as _;
use std::path::Path;

use checks::limits::Limits;
use checks::offline::Piece;
use checks::rules::CheckSet;
use checks::suggest;

use super::Outcome;
use super::source::{Source, SourceArgs};

/// What `tapline init` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<Outcome> {
    let source = args.source.resolve()?;
    let topic = topic(&source, args.source.topic.as_deref());
    let limits = Limits::default();
    let rules = args.source.hiding(CheckSet::default().for_topic(&topic));
    let mut piece = Piece::survey(&rules, &limits)?;
    let seen = source.read(&mut piece)?;
    if seen.truncated {
        writeln!(std::io::stderr(), "tapline: the data ends in the middle of a record")?;
    }
    let read = piece.records();
    let file = suggest::check_file(&topic, &source.name(), &piece.into_survey(), &limits);
    let Some(file) = file else {
        anyhow::bail!(
            "{read} records in {} are too few to say what is usual: a suggestion needs 30 that decode",
            source.name()
        );
    };
    std::io::stdout().lock().write_all(file.as_bytes())?;
    Ok(Outcome::Good)
}

/// The topic's name; of a file, its own name as far as Kafka would take it.
fn topic(source: &Source, given: Option<&str>) -> String {
    if let Some(topic) = given {
        return topic.to_owned();
    }
    let Source::File(path, _) = source else { return "my-topic".to_owned() };
    let stem = path.file_name().map(Path::new).and_then(Path::file_stem).unwrap_or_default();
    let name: String = stem
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(200)
        .collect();
    if name.trim_matches(['.', '-']).is_empty() { "my-topic".to_owned() } else { name }
}
