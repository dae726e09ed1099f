//! `tapline test PATH…`: do the tests in check files hold? Offline.

use std::io::Write;
use std::path::Path;

use checks::fixtures::{self, FixtureRun, Outcome};
use checks::limits::Limits;
use checks::rules::LoadError;
use checks::verdict::Status;
use serde_json::{Value, json};

use super::lint::{CommandError, counted, look};
use super::{junit, printable};
use crate::cli::TestArgs;

/// Runs the tests and writes how they went; `false` when one does not hold.
///
/// # Errors
/// When there is no check file, or an error in one, or nothing can be written.
pub(crate) fn run(args: &TestArgs, out: &mut dyn Write) -> Result<bool, CommandError> {
    let inspection = look(&args.paths)?;
    let files = inspection.paths.len();
    // Half a set would make tests hold, or not, for another reason than the one shown.
    let set = inspection.set.ok_or(LoadError::Invalid(inspection.found))?;
    let run = fixtures::run(&set, &Limits::default());
    if args.json {
        writeln!(out, "{}", as_json(files, &run))?;
    } else {
        write_text(files, &run, out)?;
    }
    if let Some(path) = &args.junit {
        junit::write(path, "test", cases(&run)).map_err(CommandError::Report)?;
    }
    Ok(run.failed() == 0)
}

fn write_text(files: usize, run: &FixtureRun, out: &mut dyn Write) -> std::io::Result<()> {
    let mut file = None;
    for test in &run.tests {
        if file != Some(&test.file) {
            writeln!(out, "{}", test.file.display())?;
            file = Some(&test.file);
        }
        let mark = if test.holds() { "ok  " } else { "FAIL" };
        writeln!(out, "  {mark}  {}", printable(&test.name))?;
        for outcome in test.outcomes.iter().filter(|outcome| !outcome.holds()) {
            let Outcome { check, expected, got, message } = outcome;
            let (expected, got) = (expected.as_str(), got.as_str());
            writeln!(out, "        line {}: `{check}` was to {expected} and is {got}: {message}", test.line)?;
        }
    }
    if !run.tests.is_empty() {
        writeln!(out)?;
    }
    if !run.never_failed.is_empty() {
        writeln!(out, "no test makes these checks fail:")?;
        let width = run.never_failed.iter().map(|never| never.check.len()).max().unwrap_or(0);
        for never in &run.never_failed {
            writeln!(out, "  {:width$}  {}:{}", never.check, never.file.display(), never.line)?;
        }
        writeln!(out)?;
    }
    let (tests, failed) = (run.tests.len(), run.failed());
    let (files, tests) = (counted(files, "file"), counted(tests, "test"));
    match failed {
        0 if run.tests.is_empty() => writeln!(out, "{files}, no tests"),
        0 => writeln!(out, "{files}, {tests}: all hold"),
        failed => writeln!(out, "{files}, {tests}: {failed} failed"),
    }
}

fn as_json(files: usize, run: &FixtureRun) -> Value {
    let file = |path: &Path| path.to_string_lossy().into_owned();
    let results: Vec<Value> = run
        .tests
        .iter()
        .flat_map(|test| test.outcomes.iter().map(move |outcome| (test, outcome)))
        .map(|(test, outcome)| {
            json!({
                "file": file(&test.file),
                "line": test.line,
                "test": test.name,
                "check": outcome.check,
                "expected": outcome.expected.as_str(),
                "got": outcome.got.as_str(),
                "holds": outcome.holds(),
                "message": outcome.message,
            })
        })
        .collect();
    let never: Vec<Value> = run
        .never_failed
        .iter()
        .map(|never| json!({ "file": file(&never.file), "line": never.line, "check": never.check }))
        .collect();
    json!({
        "version": 1,
        "good": run.failed() == 0,
        "files": files,
        "tests": run.tests.len(),
        "failed": run.failed(),
        "results": results,
        "never_failed": never,
    })
}

fn cases(run: &FixtureRun) -> Vec<junit::Case> {
    let case = |test: &fixtures::TestRun| {
        let wrong: Vec<String> = test
            .outcomes
            .iter()
            .filter(|outcome| !outcome.holds())
            .map(|o| {
                format!(
                    "`{}` was to {} and is {}: {}",
                    o.check,
                    o.expected.as_str(),
                    o.got.as_str(),
                    o.message
                )
            })
            .collect();
        junit::Case {
            suite: test.file.to_string_lossy().into_owned(),
            name: test.name.clone(),
            status: if wrong.is_empty() { Status::Pass } else { Status::Fail },
            message: wrong.first().cloned().unwrap_or_default(),
            details: format!("{}:{}\n{}", test.file.display(), test.line, wrong.join("\n")),
        }
    };
    run.tests.iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
version: 1
topic: orders
checks:
  - { id: status-known, metric: invalidValues, field: $.status, arguments: { validValues: [new] }, mustBe: 0 }
  - { id: volume, metric: rowCount, mustBeGreaterThan: 0 }
tests:
  - name: an odd status is seen
    given: [ { value: { status: lost } } ]
    expect: { status-known: fail }
  - name: a usual one passes
    given: [ { value: { status: STATUS } } ]
    expect: { status-known: pass, volume: pass }
";

    fn test(text: &str, json: bool) -> (Result<bool, CommandError>, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("orders.yaml"), text).unwrap();
        let args = TestArgs { paths: vec![folder.path().to_path_buf()], json, junit: None };
        let mut out = Vec::new();
        let good = run(&args, &mut out);
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn tests_that_hold_are_good() {
        let (good, said) = test(&FILE.replace("STATUS", "new"), false);
        assert!(good.unwrap(), "{said}");
        assert!(said.contains("  ok    an odd status is seen\n  ok    a usual one passes\n"), "{said}");
        assert!(said.contains("no test makes these checks fail:\n  volume  "), "{said}");
        assert!(said.ends_with("1 file, 2 tests: all hold\n"), "{said}");
    }

    #[test]
    fn a_test_that_does_not_says_what_was_found_instead() {
        let (good, said) = test(&FILE.replace("STATUS", "odd"), false);
        assert!(!good.unwrap(), "{said}");
        assert!(said.contains("  FAIL  a usual one passes\n"), "{said}");
        assert!(said.contains("line 10: `status-known` was to pass and is fail: "), "{said}");
        assert!(said.ends_with("1 file, 2 tests: 1 failed\n"), "{said}");
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let (good, said) = test(&FILE.replace("STATUS", "odd"), true);
        assert!(!good.unwrap());
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["version"], &said["good"]), (&json!(1), &json!(false)));
        assert_eq!((&said["tests"], &said["failed"]), (&json!(2), &json!(1)));
        assert_eq!(said["results"].as_array().unwrap().len(), 3);
        let wrong = &said["results"][1];
        assert_eq!((&wrong["check"], &wrong["line"]), (&json!("status-known"), &json!(10)));
        assert_eq!(
            (&wrong["expected"], &wrong["got"], &wrong["holds"]),
            (&json!("pass"), &json!("fail"), &json!(false))
        );
        assert_eq!(said["never_failed"][0]["check"], "volume");
    }

    #[test]
    fn a_file_with_errors_is_not_run() {
        let (error, said) = test(&FILE.replace("metric: rowCount", "metric: rowCont"), false);
        assert!(error.unwrap_err().to_string().contains("did you mean `rowCount`?"));
        assert!(said.is_empty(), "{said}");
    }
}
