//! JUnit XML, as CI systems read it.

use std::path::Path;

use anyhow::Context as _;
use checks::verdict::Status;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// One case.
pub(crate) struct Case {
    /// Its suite: a file, or a topic.
    pub(crate) suite: String,
    pub(crate) name: String,
    /// `pass` succeeds, `unknown` is skipped.
    pub(crate) status: Status,
    /// One sentence.
    pub(crate) message: String,
    /// More of it.
    pub(crate) details: String,
}

/// Writes the report of a command; cases of a suite stand together.
pub(crate) fn write(path: &Path, command: &str, cases: Vec<Case>) -> anyhow::Result<()> {
    let mut report = Report::new(format!("tapline {command}"));
    let mut suite: Option<TestSuite> = None;
    for case in cases {
        if suite.as_ref().is_none_or(|suite| suite.name.as_str() != case.suite) {
            report.add_test_suites(suite.take());
            suite = Some(TestSuite::new(case.suite.as_str()));
        }
        let mut status = match case.status {
            Status::Pass => TestCaseStatus::success(),
            Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Status::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
            Status::Unknown => TestCaseStatus::skipped(),
        };
        if case.status != Status::Pass {
            status.set_message(case.message.as_str());
            if !case.details.is_empty() {
                status.set_description(case.details.as_str());
            }
        }
        let mut test = TestCase::new(case.name, status);
        test.set_classname(case.suite);
        if let Some(suite) = &mut suite {
            suite.add_test_case(test);
        }
    }
    report.add_test_suites(suite);
    let text = report.to_string().context("the JUnit report")?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
