//! `tapline lint PATH…`: are the check files sound, and do they fit data, if there is any? Offline but for a topic.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use agent::range::Edge;
use checks::against;
use checks::limits::Limits;
use checks::offline::Piece;
use checks::rules::{Inspection, LoadError, inspect};
use serde_json::{Value, json};

use super::check::topic_of;
use super::source::{Source, SourceArgs, grouped};
use super::{Outcome, printable, verdict_out};

/// Why a command on check files could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A path is not there or not readable, or there are too many files.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing to look at.
    #[error("no check file (`*.yaml`, `*.yml`) in {}", shown(.0))]
    NoFiles(Vec<PathBuf>),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] std::io::Error),
    /// The report file cannot be written.
    #[error("{0:#}")]
    Report(anyhow::Error),
}

/// What `tapline lint` was asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct LintArgs {
    /// Check files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Most records that the files are held against; of a topic without --from, the latest
    #[arg(long, value_name = "N", default_value_t = RECORDS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Records that files are held against, unless more are asked for.
const RECORDS: u64 = 100_000;

/// What files were held against.
struct Held {
    source: String,
    topic: String,
    records: u64,
}

/// Looks at the files, holds them against data if there is any, and says what is wrong with them.
pub(crate) fn run(args: &LintArgs) -> anyhow::Result<Outcome> {
    Ok(write(args, &mut verdict_out())?.into())
}

/// `false` when there is an error in a file.
fn write(args: &LintArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut inspection = look(&args.paths)?;
    let held = hold(args, &mut inspection)?;
    let good = inspection.found.errors() == 0;
    if args.json {
        writeln!(out, "{}", as_json(&inspection, held.as_ref()))?;
        return Ok(good);
    }
    if !inspection.found.is_empty() {
        writeln!(out, "{}\n", inspection.found)?;
    }
    writeln!(out, "{}", summary(&inspection))?;
    if let Some(held) = held {
        let records = format!("{} record{}", grouped(held.records), if held.records == 1 { "" } else { "s" });
        writeln!(out, "held against {records} of {}", printable(&held.source))?;
    }
    Ok(good)
}

/// Adds what data says of the files, where data is given and the files have no errors.
fn hold(args: &LintArgs, inspection: &mut Inspection) -> anyhow::Result<Option<Held>> {
    if args.source.data.is_none() && args.source.topic.is_none() {
        return Ok(None);
    }
    let mut source = args.source.resolve()?;
    if let (Source::Topic { range, .. }, None) = (&mut source, &args.source.from) {
        range.from = Edge::Last(args.records);
    }
    let Some(set) = &inspection.set else { return Ok(None) };
    let topic = topic_of(set, args.source.topic.as_deref())?;
    let limits = Limits::default();
    let rules = Arc::new(against::watched(&args.source.hiding(set.for_topic(&topic))));
    let mut piece = Piece::new(&rules, &limits)?;
    source.read_most(&mut piece, args.records)?;
    let (summary, name) = (piece.summary(), source.name());
    anyhow::ensure!(summary.read > 0, "there are no records in {name}");
    let data = against::Data { rules: &rules, summary: &summary, source: &name };
    let found = against::findings(&inspection.texts, set, &data, &limits);
    inspection.found.extend(found);
    Ok(Some(Held { source: name, topic, records: summary.read }))
}

/// Reads the files; having none is an error.
pub(super) fn look(paths: &[PathBuf]) -> Result<Inspection, CommandError> {
    let inspection = inspect(paths, &Limits::default())?;
    if inspection.paths.is_empty() {
        return Err(CommandError::NoFiles(paths.to_vec()));
    }
    Ok(inspection)
}

fn summary(inspection: &Inspection) -> String {
    let found = &inspection.found;
    let files = counted(inspection.paths.len(), "file");
    let wrong = format!("{}, {}", counted(found.errors(), "error"), counted(found.warnings(), "warning"));
    let Some(set) = &inspection.set else { return format!("{files}: {wrong}") };
    let checks: usize = set.files.iter().map(|file| file.rules.len()).sum();
    let slos: usize = set.files.iter().map(|file| file.slos.len()).sum();
    let tests: usize = set.files.iter().map(|file| file.tests.len()).sum();
    let held = [counted(checks, "check"), counted(slos, "service level"), counted(tests, "test")].join(", ");
    let verdict = if found.is_empty() { "sound" } else { wrong.as_str() };
    format!("{files}, {held}: {verdict}")
}

fn as_json(inspection: &Inspection, held: Option<&Held>) -> Value {
    let found = &inspection.found;
    let findings: Vec<Value> = found
        .iter()
        .map(|d| {
            json!({
                "level": d.level.as_str(),
                "file": d.file.to_string_lossy(),
                "line": d.line,
                "column": d.column,
                "length": d.length,
                "message": d.message,
                "help": d.help,
            })
        })
        .collect();
    json!({
        "version": 1,
        "good": found.errors() == 0,
        "files": inspection.paths.len(),
        "errors": found.errors(),
        "warnings": found.warnings(),
        "findings": findings,
        "findings_dropped": found.dropped(),
        "data": held.map(|held| {
            json!({ "source": held.source, "topic": held.topic, "records": held.records })
        }),
    })
}

/// `1 file`, `2 files`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "nothing (name a file or a folder)".to_owned() } else { paths.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(text: &str, json: bool) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("orders.yaml"), text).unwrap();
        let args = LintArgs { paths: vec![folder.path().to_path_buf()], json, ..LintArgs::default() };
        let mut out = Vec::new();
        let good = write(&args, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    const SOUND: &str =
        "version: 1\ntopic: orders\nchecks:\n  - { id: volume, metric: rowCount, mustBeGreaterThan: 0 }\n";

    #[test]
    fn sound_files_are_said_to_be_sound() {
        assert_eq!(
            lint(SOUND, false),
            (true, "1 file, 1 check, 0 service levels, 0 tests: sound\n".to_owned())
        );
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands() {
        let (good, said) = lint(&SOUND.replace("metric:", "metrik:"), false);
        assert!(!good);
        assert!(said.contains("orders.yaml:4:19\n"), "{said}");
        assert!(said.contains("did you mean `metric`?"), "{said}");
        assert!(said.ends_with("1 file: 1 error, 0 warnings\n"), "{said}");
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let (good, said) = lint("version: 1\ntopic: orders\n", false);
        assert!(good, "{said}");
        assert!(said.contains("warning: the file has no checks"), "{said}");
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let (good, said) = lint(&SOUND.replace("metric:", "metrik:"), true);
        assert!(!good);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["version"], 1);
        assert_eq!(said["good"], false);
        assert_eq!((&said["errors"], &said["warnings"]), (&json!(1), &json!(0)));
        let finding = &said["findings"][0];
        assert_eq!(
            (&finding["line"], &finding["column"], &finding["length"]),
            (&json!(4), &json!(19), &json!(6))
        );
        assert_eq!(finding["help"], "did you mean `metric`?");
    }

    #[test]
    fn nothing_to_look_at_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_path_buf();
        let args = LintArgs { paths: vec![path.clone()], ..LintArgs::default() };
        let none = write(&args, &mut Vec::new()).unwrap_err();
        assert!(none.to_string().contains(path.to_str().unwrap()), "{none}");
        let absent = LintArgs { paths: vec![path.join("absent")], ..LintArgs::default() };
        let absent = write(&absent, &mut Vec::new()).unwrap_err();
        assert!(absent.to_string().contains("absent"), "{absent}");
    }
}
