//! The tests that check files carry, run offline: records in, verdicts out, held against what the
//! file expects.
//!
//! ```text
//! given --json::decode--> Document --Examiner--> PaneSummary --judge--> Verdict == expected?
//! ```
//!
//! A test goes through the same code as the records of a topic; only the clock and the offsets are
//! made up. Each is one window, beginning at a fixed moment, and judged at its end; there is no
//! history.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::examine::ExamineError;
use crate::limits::Limits;
use crate::offline::{self, Piece};
use crate::record::{Header, RecordView, Timestamp};
use crate::report::PaneSummary;
use crate::rules::{CheckFile, CheckSet, Fixture, Rule, TopicRules, TopicSelector};
use crate::verdict::{Status, Verdict};

/// When the window of every test begins, but for rounding it down to a whole window:
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// The topic of tests in a file that selects its topics by pattern.
const UNNAMED_TOPIC: &str = "test";

/// How the tests of a set of files went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FixtureRun {
    /// Every test, in the order of the files.
    pub tests: Vec<TestRun>,
    /// Checks that no test has made fail: nobody has seen them work.
    pub never_failed: Vec<NeverFailed>,
}

/// How one test went.
#[derive(Clone, Debug, PartialEq)]
pub struct TestRun {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// One for each expectation, in the order of the file.
    pub outcomes: Vec<Outcome>,
}

/// What was expected of a check, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Id of the check.
    pub check: String,
    /// What the test says.
    pub expected: Status,
    /// What the judge says.
    pub got: Status,
    /// The verdict's sentence.
    pub message: String,
}

/// A check that no test has made fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverFailed {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its id.
    pub check: String,
}

impl FixtureRun {
    /// How many tests do not hold.
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.holds()).count()
    }
}

impl TestRun {
    /// Is everything as expected?
    pub fn holds(&self) -> bool {
        self.outcomes.iter().all(Outcome::holds)
    }
}

impl Outcome {
    /// Is it as expected?
    pub fn holds(&self) -> bool {
        self.expected == self.got
    }
}

/// Runs all tests of all files. Each goes by the checks of its own file alone.
pub fn run(set: &CheckSet, limits: &Limits) -> FixtureRun {
    let mut all = FixtureRun::default();
    for file in &set.files {
        let mut failed = HashSet::new();
        for fixture in &file.tests {
            let verdicts = verdicts(file, fixture, limits);
            let failing = verdicts.iter().filter(|(_, verdict)| verdict.status == Status::Fail);
            failed.extend(failing.map(|(id, _)| id.clone()));
            all.tests.push(compare(file, fixture, &verdicts));
        }
        let never = file.rules.iter().filter(|rule| !failed.contains(&rule.id));
        all.never_failed.extend(never.map(|rule| NeverFailed {
            file: file.path.clone(),
            line: rule.origin.line,
            check: rule.id.clone(),
        }));
    }
    all
}

/// A verdict for every check of the file.
fn verdicts(file: &CheckFile, fixture: &Fixture, limits: &Limits) -> Vec<(String, Verdict)> {
    let topic = match &file.topics {
        TopicSelector::Names(names) => names.first().map_or(UNNAMED_TOPIC, String::as_str),
        TopicSelector::Pattern(_) => UNNAMED_TOPIC,
    };
    let rules = file.for_topic(topic);
    let from_ms = START_MS - START_MS.rem_euclid(rules.window.size_ms);
    let to_ms = from_ms + rules.window.size_ms;
    let summary = match examine(&rules, fixture, from_ms, limits) {
        Ok(summary) => summary,
        // Loading has compiled everything: only a limit could still be in the way.
        Err(error) => {
            let verdict = |rule: &Arc<Rule>| {
                let verdict = Verdict::without(Status::Error, error.to_string());
                (rule.id.clone(), Verdict { from_ms, to_ms, ..verdict })
            };
            return rules.rules.iter().map(verdict).collect();
        }
    };
    let judged = offline::judge(&rules, &summary, (from_ms, to_ms), Some(to_ms));
    judged.checks.into_iter().map(|(rule, verdict)| (rule.id.clone(), verdict)).collect()
}

/// The records of a test as one pane.
fn examine(
    rules: &Arc<TopicRules>,
    fixture: &Fixture,
    from_ms: i64,
    limits: &Limits,
) -> Result<PaneSummary, ExamineError> {
    let mut piece = Piece::new(rules, limits)?;
    let mut offset = 0;
    for given in &fixture.given {
        let headers: Vec<Header<'_>> = given
            .headers
            .iter()
            .map(|(name, value)| Header { name, value: Some(value.as_bytes()) })
            .collect();
        for _ in 0..given.repeat {
            let record = RecordView {
                topic: &rules.topic,
                partition: 0,
                offset,
                timestamp: Timestamp::Created(from_ms + given.at_ms),
                key: given.key.as_deref().map(str::as_bytes),
                value: given.value.as_deref().map(str::as_bytes),
                headers: &headers,
            };
            offset += 1;
            piece.take_json(&record, from_ms + given.at_ms);
        }
    }
    Ok(piece.summary())
}

fn compare(file: &CheckFile, fixture: &Fixture, verdicts: &[(String, Verdict)]) -> TestRun {
    let outcomes = fixture.expect.iter().map(|(check, expected)| {
        let verdict = verdicts.iter().find(|(id, _)| id == check).map(|(_, verdict)| verdict);
        Outcome {
            check: check.clone(),
            expected: *expected,
            got: verdict.map_or(Status::Error, |verdict| verdict.status),
            // Loading has seen to it that every expectation names a check of the file.
            message: verdict.map_or_else(|| "no such check".to_owned(), |verdict| verdict.message.clone()),
        }
    });
    TestRun {
        file: file.path.clone(),
        line: fixture.origin.line,
        name: fixture.name.clone(),
        outcomes: outcomes.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rules::Loader;

    /// Verdicts of these checks on these records.
    fn judged(checks: &str, given: &str) -> Vec<(String, Status)> {
        let ids: Vec<&str> = checks.split("id: ").skip(1).filter_map(|rest| rest.split(',').next()).collect();
        let expect: Vec<String> = ids.iter().map(|id| format!("{id}: pass")).collect();
        let text = format!(
            "version: 1\ntopic: orders\nchecks: [{checks}]\ntests: [{{ name: t, given: [{given}], expect: {{ {} }} }}]\n",
            expect.join(", ")
        );
        let limits = Limits::default();
        let file = CheckFile::parse(Path::new("a.yaml"), &text, &Loader::files(&limits))
            .unwrap_or_else(|found| panic!("{found}"));
        let run = run(&CheckSet::of(vec![Arc::new(file)]), &limits);
        run.tests[0].outcomes.iter().map(|outcome| (outcome.check.clone(), outcome.got)).collect()
    }

    fn one(check: &str, given: &str) -> Status {
        judged(check, given)[0].1
    }

    #[test]
    fn a_record_is_given_as_often_as_it_says() {
        let check = "{ id: a, metric: rowCount, mustBe: 5 }";
        assert_eq!(
            one(check, "{ value: { x: 1 }, repeat: 3 }, { value: null }, { raw: nonsense }"),
            Status::Pass
        );
        assert_eq!(one(check, "{ value: { x: 1 }, repeat: 6 }"), Status::Fail);
    }

    #[test]
    fn tombstones_are_neither_missing_nor_null() {
        let check = "{ id: a, metric: missingValues, field: $.x, mustBe: 0 }";
        assert_eq!(one(check, "{ value: null }"), Status::Unknown);
        assert_eq!(one(check, "{ value: null }, { value: { x: 1 } }"), Status::Pass);
        assert_eq!(one(check, "{ value: null }, { value: { y: 1 } }"), Status::Fail);
    }

    #[test]
    fn what_is_not_meant_as_json_is_not_decoded_and_half_a_document_is_a_failure() {
        let check = "{ id: a, metric: decodeFailures, mustBe: 0 }";
        assert_eq!(one(check, "{ raw: plain words }"), Status::Unknown);
        assert_eq!(one(check, "{ raw: \"{\\\"x\\\": 1\" }"), Status::Fail);
        assert_eq!(one(check, "{ value: plain words }"), Status::Pass);
    }

    #[test]
    fn key_headers_and_time_reach_the_expression() {
        let check = |expr: &str| format!("{{ id: a, metric: failedRows, expr: \"{expr}\", mustBe: 0 }}");
        let given = "{ key: k, value: { x: 1 }, headers: { source: shop, twice: [one, two] }, at: 10s }";
        for holds in ["key == 'k'", "headers.source == 'shop'", "headers.twice == 'two'", "meta.offset == 0"]
        {
            assert_eq!(one(&check(holds), given), Status::Pass, "{holds}");
        }
        assert_eq!(one(&check("key == 'other'"), given), Status::Fail);
        assert_eq!(one(&check("value.absent == 1"), given), Status::Error);
    }

    #[test]
    fn large_integers_keep_their_last_digit() {
        let check = "{ id: a, metric: invalidValues, field: $.x, arguments: { validValues: [9007199254740993] }, mustBe: 0 }";
        assert_eq!(one(check, "{ value: { x: 9007199254740993 } }"), Status::Pass);
        assert_eq!(one(check, "{ value: { x: 9007199254740992 } }"), Status::Fail);
    }

    #[test]
    fn the_window_ends_now_and_has_no_history() {
        let check = "{ id: a, metric: freshness, mustBeLessThan: 20s }";
        assert_eq!(one(check, "{ value: 1, at: 45s }"), Status::Pass);
        assert_eq!(one(check, "{ value: 1, at: 30s }"), Status::Fail);
        assert_eq!(one("{ id: a, metric: rowCount, baseline: previous }", "{ value: 1 }"), Status::Unknown);
    }

    #[test]
    fn a_check_is_seen_working_when_a_test_makes_it_fail() {
        let text = "version: 1\npattern: \"orders.*\"\nchecks:\n  - { id: a, metric: rowCount, mustBe: 0 }\n  - { id: b, metric: rowCount, mustBe: 1 }\ntests:\n  - { name: t, given: [{ value: 1 }], expect: { b: pass } }\n";
        let limits = Limits::default();
        let file = CheckFile::parse(Path::new("a.yaml"), text, &Loader::files(&limits)).unwrap();
        let run = run(&CheckSet::of(vec![Arc::new(file)]), &limits);
        assert_eq!(run.failed(), 0);
        let never: Vec<_> = run.never_failed.iter().map(|never| (never.check.as_str(), never.line)).collect();
        assert_eq!(never, [("b", 5)]);
    }
}
