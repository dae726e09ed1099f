//! The example check files are sound, and so is what docs/checks.md shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use checks::fixtures;
use checks::limits::Limits;
use checks::rules::{CheckFile, Inspection, Loader, inspect};
use checks::verdict::Status;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn examples() -> Inspection {
    inspect(&[docs().join("examples")], &Limits::default()).unwrap()
}

#[test]
fn examples_are_sound() {
    let inspection = examples();
    assert!(inspection.paths.len() >= 4, "{:?}", inspection.paths);
    assert!(inspection.found.is_empty(), "{}", inspection.found);
}

#[test]
fn their_tests_hold_and_every_check_is_seen_failing() {
    let set = examples().set.unwrap();
    let run = fixtures::run(&set, &Limits::default());
    assert!(run.tests.len() >= 20, "{}", run.tests.len());
    let wrong: Vec<_> = run.tests.iter().filter(|test| !test.holds()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(run.never_failed, []);
}

#[test]
fn a_test_that_expects_the_contrary_does_not_hold() {
    let mut set = examples().set.unwrap();
    for file in &mut set.files {
        for fixture in &mut Arc::make_mut(file).tests {
            for (_, expected) in &mut fixture.expect {
                *expected = if *expected == Status::Pass { Status::Fail } else { Status::Pass };
            }
        }
    }
    let run = fixtures::run(&set, &Limits::default());
    assert_eq!(run.failed(), run.tests.len());
    assert!(run.tests.iter().flat_map(|test| &test.outcomes).all(|outcome| !outcome.holds()));
}

#[test]
fn what_the_document_shows_is_sound() {
    let text = std::fs::read_to_string(docs().join("checks.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3);
    let limits = Limits::default();
    let head = "version: 1\ntopic: orders\nchecks:\n  - { id: schema-valid, metric: schemaViolations, mustBe: 0 }\n  - { id: ids-unique, metric: duplicateValues, field: $.id, mustBe: 0 }\n";
    for block in blocks {
        let text = if block.starts_with("version") { block.to_owned() } else { format!("{head}{block}") };
        let (_, found) = CheckFile::inspect(Path::new("checks.md"), &text, &Loader::files(&limits));
        assert!(found.is_empty(), "{found}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// However an example is damaged, it is either used or refused in its place.
    #[test]
    fn a_damaged_example_is_refused_where_it_is_damaged(
        which in 0usize..4,
        at in 0.0f64..1.0,
        cut in 0usize..40,
        put in "[-a:{}\\[\\],&*!|>'\"%@`#?<~0.\n\t ]{0,6}",
    ) {
        let path = &examples().paths[which];
        let mut text: Vec<char> = std::fs::read_to_string(path).unwrap().chars().collect();
        let from = (text.len() as f64 * at) as usize;
        let to = (from + cut).min(text.len());
        text.splice(from..to, put.chars());
        let text: String = text.into_iter().collect();
        let limits = Limits::default();
        let (file, found) = CheckFile::inspect(path, &text, &Loader::files(&limits));
        proptest::prop_assert_eq!(file.is_some(), found.errors() == 0, "{}", found);
        let lines = text.lines().count() + 1;
        for diagnostic in &found {
            proptest::prop_assert!((1..=lines).contains(&diagnostic.line), "{}", diagnostic);
            proptest::prop_assert!(!diagnostic.message.is_empty() && diagnostic.column >= 1);
        }
    }
}
