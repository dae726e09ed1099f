//! The tests that check files carry, run offline: records in, verdicts out, held against what the
//! file expects.
//!
//! ```text
//! given --json::decode--> Document --Examiner--> PaneSummary --judge--> Verdict == expected?
//! ```
//!
//! A test goes through the same code as the records of a topic; only the clock and the offsets are
//! made up. Each is one window, beginning at a fixed moment, and judged at its end. The windows that
//! a test gives as `before` are read and judged one by one ahead of it, and make its past. Where windows
//! go by event time, a record is in the window that its event time says.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::examine::ExamineError;
use crate::judge;
use crate::judge::past::History;
use crate::limits::Limits;
use crate::offline::{self, Beside, Judged, Piece};
use crate::record::{Header, RecordView, Timestamp};
use crate::report::PaneSummary;
use crate::rules::{
    self, CheckFile, CheckSet, Fixture, FixtureRecord, PaneTimes, Rule, TopicRules, TopicSelector, WindowTime,
};
use crate::verdict::{Status, Verdict};

/// When the window of every test begins, but for rounding it down to a whole window:
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// The part of what lies in no window of a test.
const NO_WINDOW: usize = usize::MAX;
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
    let size_ms = rules.window.size_ms;
    let from_ms = START_MS - START_MS.rem_euclid(size_ms);
    match Story::new(&rules, limits) {
        Ok(mut story) => {
            let before = fixture.before.iter();
            let repeated = before.flat_map(|w| std::iter::repeat_n(w.given.as_slice(), w.repeat as usize));
            let windows: Vec<&[FixtureRecord]> = repeated.chain([fixture.given.as_slice()]).collect();
            let first_ms = from_ms - (windows.len() as i64 - 1) * size_ms;
            let judged = match (rules.window.gap_ms, rules.window.by) {
                (Some(gap_ms), _) => story.sessions(&windows, from_ms, gap_ms),
                (None, WindowTime::Record) => story.by_record_time(&windows, first_ms),
                (None, WindowTime::Event) => story.by_event_time(&windows, first_ms),
            };
            judged
                .into_iter()
                .flat_map(|judged| judged.checks)
                .map(|(rule, v)| (rule.id.clone(), v))
                .collect()
        }
        // Loading has compiled everything: only a limit could still be in the way.
        Err(error) => {
            let verdict = |rule: &Arc<Rule>| {
                let verdict = Verdict::without(Status::Error, error.to_string());
                (rule.id.clone(), Verdict { from_ms, to_ms: from_ms + size_ms, ..verdict })
            };
            rules.rules.iter().map(verdict).collect()
        }
    }
}

/// Windows of one topic, one after the other, each judged by what was before it.
struct Story<'a> {
    rules: &'a Arc<TopicRules>,
    piece: Piece,
    next_offset: i64,
    last_record_ms: Option<i64>,
    past: History,
    /// The latest windows, as far back as patterns reach.
    recent: VecDeque<PaneSummary>,
}

impl<'a> Story<'a> {
    fn new(rules: &'a Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        let piece = Piece::new(rules, limits)?;
        let (past, recent) = (History::default(), VecDeque::new());
        Ok(Self { rules, piece, next_offset: 0, last_record_ms: None, past, recent })
    }

    /// Reads window by window; the verdicts on the last one.
    fn by_record_time(&mut self, windows: &[&[FixtureRecord]], first_ms: i64) -> Option<Judged> {
        let mut last = None;
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(self.rules.window.size_ms as usize)) {
            for record in given.iter().filter(|record| record.topic.is_none()) {
                self.take(record, from_ms + record.at_ms);
            }
            let summary = self.piece.turn_over();
            let to_ms = from_ms + self.rules.window.size_ms;
            last = Some(self.close(summary, &others(given), (from_ms, to_ms)));
        }
        last
    }

    /// Reads everything in its order, each record into the window that its event is of; then judges
    /// window by window.
    fn by_event_time(&mut self, windows: &[&[FixtureRecord]], first_ms: i64) -> Option<Judged> {
        let size_ms = self.rules.window.size_ms;
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(size_ms as usize)) {
            for record in given.iter().filter(|record| record.topic.is_none()) {
                let record_ms = from_ms + record.at_ms;
                let at_ms = self.at_ms(record, record_ms);
                let window = usize::try_from((at_ms - first_ms).div_euclid(size_ms)).unwrap_or(NO_WINDOW);
                self.piece.turn_to(window);
                self.take(record, record_ms);
            }
        }
        let mut last = None;
        for (at, given) in windows.iter().enumerate() {
            self.piece.turn_to(at);
            let summary = self.piece.turn_over();
            let from_ms = first_ms + at as i64 * size_ms;
            last = Some(self.close(summary, &others(given), (from_ms, from_ms + size_ms)));
        }
        last
    }

    /// Reads everything in its order, and judges session by session. What is given before begins so far
    /// ahead that it is a session of its own; where the last part is several, its last one counts.
    fn sessions(&mut self, windows: &[&[FixtureRecord]], from_ms: i64, gap_ms: i64) -> Option<Judged> {
        let window = self.rules.window;
        let stride_ms = window.size_ms + gap_ms + window.allowed_lateness_ms;
        let first_ms = from_ms - (windows.len() as i64 - 1) * stride_ms;
        let mut told: Vec<(&FixtureRecord, i64, i64)> = Vec::new();
        let mut panes: BTreeMap<i64, PaneTimes> = BTreeMap::new();
        for (given, from_ms) in windows.iter().zip((first_ms..).step_by(stride_ms as usize)) {
            for record in given.iter() {
                let record_ms = from_ms + record.at_ms;
                let at_ms = self.at_ms(record, record_ms);
                let start_ms = at_ms.div_euclid(window.pane_ms) * window.pane_ms;
                let new = PaneTimes {
                    start_ms,
                    end_ms: start_ms + window.pane_ms,
                    first_ms: at_ms,
                    last_ms: at_ms,
                };
                panes.entry(start_ms).and_modify(|pane| *pane = pane.see(at_ms, at_ms)).or_insert(new);
                told.push((record, record_ms, at_ms));
            }
        }
        let sessions = rules::sessions(panes.into_values(), gap_ms, window.size_ms);
        for (record, record_ms, at_ms) in told {
            let session = sessions.partition_point(|session| session.start_ms <= at_ms);
            self.piece.turn_to(session.checked_sub(1).unwrap_or(NO_WINDOW));
            self.take(record, record_ms);
        }
        let mut last = None;
        for (at, session) in sessions.iter().enumerate() {
            self.piece.turn_to(at);
            let summary = self.piece.turn_over();
            last = Some(self.close(summary, &BTreeMap::new(), (session.from_ms, session.to_ms)));
        }
        last.or_else(|| {
            let nothing = || Verdict::without(Status::Unknown, "no record is given: there is no session");
            let checks = self.rules.rules.iter().map(|rule| (Arc::clone(rule), nothing())).collect();
            Some(Judged { checks, from_ms, to_ms: from_ms })
        })
    }

    /// Judges the next window.
    fn close(
        &mut self,
        summary: PaneSummary,
        others: &BTreeMap<String, u64>,
        (from_ms, to_ms): (i64, i64),
    ) -> Judged {
        let size_ms = self.rules.window.size_ms;
        let mut lead = PaneSummary::default();
        self.recent.iter().for_each(|window| lead.merge(window));
        let beside = Beside {
            past: Some(&self.past),
            lead: Some(&lead),
            last_record_ms: self.last_record_ms,
            others: Some(others),
        };
        let judged = offline::judge_beside(self.rules, &summary, (from_ms, to_ms), Some(to_ms), beside);
        if summary.last_record_ms > 0 {
            self.last_record_ms = self.last_record_ms.max(Some(summary.last_record_ms));
        }
        let failed = |(rule, verdict): &(Arc<Rule>, Verdict)| {
            matches!(verdict.status, Status::Fail | Status::Error).then(|| rule.id.clone())
        };
        let failed = judged.checks.iter().filter_map(failed).collect();
        self.past.keep(self.rules, from_ms, to_ms, &summary, failed);
        // A pattern needs nothing of the windows before but its tallies.
        self.recent.push_back(PaneSummary { rules: summary.rules, ..PaneSummary::default() });
        let reach_ms = judge::reach_ms(self.rules.rules.iter().map(Arc::as_ref));
        let reach = usize::try_from((reach_ms + size_ms - 1) / size_ms).unwrap_or(0);
        while self.recent.len() > reach {
            self.recent.pop_front();
        }
        judged
    }

    /// As often as it is given.
    fn take(&mut self, given: &FixtureRecord, record_ms: i64) {
        let headers = headers(given);
        for _ in 0..given.repeat {
            let record = record(&self.rules.topic, given, &headers, self.next_offset, record_ms);
            self.next_offset += 1;
            self.piece.take_json(&record, record_ms);
        }
    }

    /// The time that a record goes by.
    fn at_ms(&mut self, given: &FixtureRecord, record_ms: i64) -> i64 {
        let record = record(&self.rules.topic, given, &[], self.next_offset, record_ms);
        self.piece.time_of_json(&record, record_ms)
    }
}

fn headers(given: &FixtureRecord) -> Vec<Header<'_>> {
    let headers = given.headers.iter();
    headers.map(|(name, value)| Header { name, value: Some(value.as_bytes()) }).collect()
}

fn record<'a>(
    topic: &'a str,
    given: &'a FixtureRecord,
    headers: &'a [Header<'a>],
    offset: i64,
    record_ms: i64,
) -> RecordView<'a> {
    RecordView {
        topic,
        partition: 0,
        offset,
        timestamp: Timestamp::Created(record_ms),
        key: given.key.as_deref().map(str::as_bytes),
        value: given.value.as_deref().map(str::as_bytes),
        headers,
    }
}

/// Records of other topics, by topic.
fn others(given: &[FixtureRecord]) -> BTreeMap<String, u64> {
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    for record in given {
        if let Some(topic) = &record.topic {
            *others.entry(topic.clone()).or_default() += record.repeat;
        }
    }
    others
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
mod tests;
