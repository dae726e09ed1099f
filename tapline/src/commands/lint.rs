//! `tapline lint PATH…`: are the check files sound? Offline.

use std::io::Write;
use std::path::PathBuf;

use checks::limits::Limits;
use checks::rules::{Inspection, LoadError, inspect};
use serde_json::{Value, json};

use crate::cli::LintArgs;

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

/// Looks at the files and writes what is wrong with them; `false` when there is an error in one.
///
/// # Errors
/// When nothing could be looked at, or written.
pub(crate) fn run(args: &LintArgs, out: &mut dyn Write) -> Result<bool, CommandError> {
    let inspection = look(&args.paths)?;
    let good = inspection.found.errors() == 0;
    if args.json {
        writeln!(out, "{}", as_json(&inspection))?;
        return Ok(good);
    }
    if !inspection.found.is_empty() {
        writeln!(out, "{}\n", inspection.found)?;
    }
    writeln!(out, "{}", summary(&inspection))?;
    Ok(good)
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

fn as_json(inspection: &Inspection) -> Value {
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
        let args = LintArgs { paths: vec![folder.path().to_path_buf()], json };
        let mut out = Vec::new();
        let good = run(&args, &mut out).unwrap();
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
        let none = run(&LintArgs { paths: vec![path.clone()], json: false }, &mut Vec::new()).unwrap_err();
        assert!(none.to_string().contains(path.to_str().unwrap()), "{none}");
        let absent = LintArgs { paths: vec![path.join("absent")], json: false };
        let absent = run(&absent, &mut Vec::new()).unwrap_err();
        assert!(absent.to_string().contains("absent"), "{absent}");
    }
}
