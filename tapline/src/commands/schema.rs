//! `tapline schema`: JSON Schemas for editors.

use std::io::Write as _;

use super::Outcome;
use crate::config;

/// What `tapline schema` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Of which files
    #[arg(value_enum, default_value = "checks")]
    pub(crate) of: Files,
}

/// Files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Files {
    /// Check files
    Checks,
    /// The configuration
    Config,
}

pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<Outcome> {
    let schema = match args.of {
        Files::Checks => checks::rules::checks_schema(),
        Files::Config => config::schema(),
    };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &schema)?;
    writeln!(out)?;
    Ok(Outcome::Good)
}
